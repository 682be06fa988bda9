import { ShortlistError } from "../errors.js";
import { copyBytes, type TokenBytes } from "./packed_tokens.js";

const FIRST_TOKENS = 512;
const MAX_TOKENS = 2 ** 29;
/** The chunks that hold the bytes double in size, up to the largest size. */
const [FIRST_CHUNK, LARGEST_CHUNK] = [2 ** 12, 2 ** 24];
const [FNV_START, FNV_PRIME] = [0x811c9dc5, 0x01000193];

/**
 * Numbers tokens 0, 1, 2, … in the order in which they are added. Their bytes are outside of JavaScript's heap. It
 * holds up to 2²⁹ tokens, while a Map is limited to 2²⁴ entries.
 */
export class TokenTable implements TokenBytes {
  #size = 0;
  /**
   * Hash table with open addressing and at least two places per token. An entry is 1 + the index of a token; 0 is free.
   */
  #places = new Int32Array(2 * FIRST_TOKENS);
  /** For each token: its hash, and the chunk and range of its UTF-8 bytes. */
  #hashes = new Int32Array(FIRST_TOKENS);
  #chunkOf = new Int32Array(FIRST_TOKENS);
  #starts = new Int32Array(FIRST_TOKENS);
  #ends = new Int32Array(FIRST_TOKENS);
  readonly #chunks: Buffer[] = [];
  /** Number of bytes used in the last chunk. */
  #used = 0;
  /** The token of the current lookup: its bytes, their number, and their hash. */
  #bytes = Buffer.allocUnsafe(1024);
  #length = 0;
  #hash = 0;

  /** Number of tokens. */
  get size(): number {
    return this.#size;
  }

  /** Returns the index of a token; −1 if there is no such token. */
  find(token: string): number {
    return this.#places[this.#look(token)]! - 1;
  }

  /** Returns the index of a token, after adding it if it is new. */
  add(token: string): number {
    let place = this.#look(token);
    if (this.#places[place] !== 0) return this.#places[place]! - 1;
    if (this.#size === this.#hashes.length) {
      this.#grow();
      place = this.#placeOf();
    }
    const index = this.#size++;
    this.#places[place] = index + 1;
    this.#hashes[index] = this.#hash;
    this.#keep(index);
    return index;
  }

  token(index: number): string {
    return this.#chunks[this.#chunkOf[index]!]!.toString("utf8", this.#starts[index], this.#ends[index]);
  }

  lengthOf(index: number): number {
    return this.#ends[index]! - this.#starts[index]!;
  }

  copyTo(index: number, target: Buffer, at: number): number {
    const chunk = this.#chunks[this.#chunkOf[index]!]!;
    return copyBytes(chunk, this.#starts[index]!, this.#ends[index]!, target, at);
  }

  /** Compares two tokens by their bytes. */
  compare(a: number, b: number): number {
    const [one, other] = [this.#chunks[this.#chunkOf[a]!]!, this.#chunks[this.#chunkOf[b]!]!];
    return one.compare(other, this.#starts[b], this.#ends[b], this.#starts[a], this.#ends[a]);
  }

  /** Sets the token of the current lookup (its bytes and their FNV-1a hash with mixed bits), and returns its place. */
  #look(token: string): number {
    const bytes = this.#roomFor(token.length);
    let length = token.length;
    let hash = FNV_START;
    for (let i = 0; i < length; i++) {
      const unit = token.charCodeAt(i);
      if (unit >= 0x80) {
        length = bytes.write(token);
        hash = FNV_START;
        for (let j = 0; j < length; j++) hash = Math.imul(hash ^ bytes[j]!, FNV_PRIME);
        break;
      }
      bytes[i] = unit;
      hash = Math.imul(hash ^ unit, FNV_PRIME);
    }
    this.#length = length;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    this.#hash = hash ^ (hash >>> 13);
    return this.#placeOf();
  }

  /** Returns `#bytes` after making room for a string of this many UTF-16 units. */
  #roomFor(units: number): Buffer {
    if (3 * units > this.#bytes.length) this.#bytes = Buffer.allocUnsafe(6 * units);
    return this.#bytes;
  }

  /** The place in the hash table of the token of the current lookup, or the free place where it belongs. */
  #placeOf(): number {
    const [places, hashes, hash] = [this.#places, this.#hashes, this.#hash];
    const mask = places.length - 1;
    let place = hash & mask;
    for (; places[place] !== 0; place = (place + 1) & mask) {
      const index = places[place]! - 1;
      if (hashes[index] === hash && this.#isAt(index)) break;
    }
    return place;
  }

  /** Whether token `index` equals the token of the current lookup. */
  #isAt(index: number): boolean {
    const [bytes, length, start] = [this.#bytes, this.#length, this.#starts[index]!];
    if (this.#ends[index]! - start !== length) return false;
    const chunk = this.#chunks[this.#chunkOf[index]!]!;
    for (let i = 0; i < length; i++) if (chunk[start + i] !== bytes[i]) return false;
    return true;
  }

  #keep(index: number): void {
    const length = this.#length;
    const last = this.#chunks.at(-1);
    if (!last || last.length - this.#used < length) {
      const usual = Math.min(LARGEST_CHUNK, last ? 2 * last.length : FIRST_CHUNK);
      this.#chunks.push(Buffer.allocUnsafeSlow(Math.max(usual, length)));
      this.#used = 0;
    }
    this.#chunkOf[index] = this.#chunks.length - 1;
    this.#starts[index] = this.#used;
    this.#bytes.copy(this.#chunks.at(-1)!, this.#used, 0, length);
    this.#used += length;
    this.#ends[index] = this.#used;
  }

  #grow(): void {
    const tokens = this.#hashes.length;
    if (tokens === MAX_TOKENS) {
      throw new ShortlistError("ERR_DATASET", `Expected at most ${MAX_TOKENS} different values of a feature`);
    }
    this.#hashes = doubled(this.#hashes);
    this.#chunkOf = doubled(this.#chunkOf);
    this.#starts = doubled(this.#starts);
    this.#ends = doubled(this.#ends);
    this.#places = new Int32Array(2 * this.#places.length);
    const mask = this.#places.length - 1;
    for (let index = 0; index < tokens; index++) {
      let place = this.#hashes[index]! & mask;
      while (this.#places[place] !== 0) place = (place + 1) & mask;
      this.#places[place] = index + 1;
    }
  }
}

/** Returns a table with the given tokens. */
export function tableOf(tokens: Iterable<string>): TokenTable {
  const table = new TokenTable();
  for (const token of tokens) table.add(token);
  return table;
}

function doubled(values: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * values.length);
  larger.set(values);
  return larger;
}

/** How often each value of a feature occurs, by the number of the value. */
export class ValueCounts {
  /** Zeros may follow the counts of the values. */
  protected counts: Float64Array;
  /** Number of missing values. */
  unknown = 0;

  constructor(counts: Float64Array) {
    this.counts = counts;
  }

  /** Number of distinct values that occur. */
  get size(): number {
    return this.sizeAbove(0);
  }

  /** Count of the most frequent value; 0 without values. */
  get highest(): number {
    return this.counts.reduce((a, b) => Math.max(a, b), 0);
  }

  /** Number of distinct values that occur more than `limit` times. */
  sizeAbove(limit: number): number {
    return this.counts.reduce((size, count) => size + (count > limit ? 1 : 0), 0);
  }

  /** `rare[n]` for n up to `largest`: the uses of values that occur n times. `all`: the uses of all values. */
  usesByCount(largest: number): { readonly rare: Float64Array; readonly all: number } {
    const rare = new Float64Array(largest + 1);
    let all = 0;
    for (const count of this.counts) {
      if (count <= largest) rare[count]! += count;
      all += count;
    }
    return { rare, all };
  }

  /** Number of values that are missing or occur at most `limit` times. */
  below(limit: number): number {
    return this.counts.reduce((sum, count) => sum + (count > limit ? 0 : count), this.unknown);
  }
}

/** Counts how often each token occurs. */
export class TokenCounts extends ValueCounts {
  readonly #tokens = new TokenTable();

  constructor() {
    super(new Float64Array(FIRST_TOKENS));
  }

  add(token: string | null, times: number): void {
    if (token === null) {
      this.unknown += times;
      return;
    }
    const index = this.#tokens.add(token);
    if (index === this.counts.length) {
      const larger = new Float64Array(2 * index);
      larger.set(this.counts);
      this.counts = larger;
    }
    this.counts[index]! += times;
  }

  override get size(): number {
    return this.#tokens.size;
  }

  /** The tokens, by the numbers that `counts` has. */
  get tokens(): TokenTable {
    return this.#tokens;
  }

  /** [values] How often each token occurs. */
  get values(): Float64Array {
    return this.counts.subarray(0, this.size);
  }
}
