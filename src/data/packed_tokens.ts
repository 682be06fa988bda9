/** Tokens as UTF-8 bytes, numbered from 0. */
export interface TokenBytes {
  readonly size: number;
  /** Returns the number of bytes of a token. */
  lengthOf(index: number): number;
  /** Copies the bytes of a token to `target`, from `at` on. Returns their number. */
  copyTo(index: number, target: Buffer, at: number): number;
  token(index: number): string;
}

/** Length up to which a loop copies bytes faster than a call of `Buffer.copy`. */
const SHORT = 32;

/** Copies a range of bytes to `target`, from `at` on. Returns the number of bytes. */
export function copyBytes(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
  if (end - start > SHORT) source.copy(target, at, start, end);
  else for (let from = start, to = at; from < end; ) target[to++] = source[from++]!;
  return end - start;
}

/** Tokens whose bytes follow each other in one buffer outside of JavaScript's heap. */
export class PackedTokens implements TokenBytes {
  readonly size: number;
  readonly #bytes: Buffer;
  /** [size + 1] Where each token begins. */
  readonly #starts: Uint32Array;

  constructor(bytes: Buffer, starts: Uint32Array) {
    this.size = starts.length - 1;
    this.#bytes = bytes;
    this.#starts = starts;
  }

  lengthOf(index: number): number {
    return this.#starts[index + 1]! - this.#starts[index]!;
  }

  copyTo(index: number, target: Buffer, at: number): number {
    return copyBytes(this.#bytes, this.#starts[index]!, this.#starts[index + 1]!, target, at);
  }

  token(index: number): string {
    return this.#bytes.toString("utf8", this.#starts[index], this.#starts[index + 1]);
  }
}

/** Packs tokens, whose number and bytes are known before. */
export class PackedTokensWriter {
  readonly #bytes: Buffer;
  readonly #starts: Uint32Array;
  #size = 0;
  #used = 0;

  /** `bytes` is at most 2³² − 1. */
  constructor(size: number, bytes: number) {
    this.#bytes = Buffer.allocUnsafeSlow(bytes);
    this.#starts = new Uint32Array(size + 1);
  }

  add(token: string): void {
    this.#used += this.#bytes.write(token, this.#used);
    this.#starts[++this.#size] = this.#used;
  }

  /** Adds the token that `bytes` have from `start` on. */
  addBytes(bytes: Uint8Array, start: number, length: number): void {
    for (let i = 0; i < length; i++) this.#bytes[this.#used + i] = bytes[start + i]!;
    this.#used += length;
    this.#starts[++this.#size] = this.#used;
  }

  finish(): PackedTokens {
    return new PackedTokens(this.#bytes, this.#starts);
  }
}
