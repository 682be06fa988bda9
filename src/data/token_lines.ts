import { isUtf8 } from "node:buffer";
import { ShortlistError } from "../errors.js";
import { copyBytes, type TokenBytes } from "./packed_tokens.js";
import { countLines, wholeLines } from "./text_lines.js";
import { finish, type Turns } from "./turns.js";

/** The token of id 0, which stands for all values that a vocabulary does not hold. */
export const UNKNOWN = "<unk>";

const [TAB, NEWLINE, ZERO] = [9, 10, 48];
/** Positions of lines are stored in 32 bits. */
const MAX_BYTES = 2 ** 32 - 1;
const [FNV_START, FNV_PRIME] = [0x811c9dc5, 0x01000193];
const LINES_AT_ONCE = 1024;

/** Reports what is wrong with a line, numbered from 1. */
type Fail = (line: number, expected: string, received: string) => never;

/**
 * The `token ⇥ count` lines of a vocabulary, in the order of ids, as a vocabulary file has them. Tokens are found in
 * these bytes, so that millions of them need neither strings nor a Map (which is limited to 2²⁴ entries).
 */
export class TokenLines implements TokenBytes {
  readonly bytes: Buffer;
  /** [size + 1] Where each line begins. */
  readonly #starts: Uint32Array;
  /**
   * Hash table with open addressing and at least two places per line. An entry is 1 + the id of a line; 0 is free.
   * Undefined until a token is looked up.
   */
  #places: Int32Array | undefined;
  #scratch = Buffer.allocUnsafe(256);

  private constructor(bytes: Buffer, starts: Uint32Array) {
    this.bytes = bytes;
    this.#starts = starts;
  }

  /**
   * Returns the line of `<unk>` and those of some tokens with their counts, in the order of `order`. Throws
   * ERR_VOCABULARY if a token cannot be stored.
   */
  static of(tokens: TokenBytes, order: Int32Array, counts: Float64Array, unknown: number): TokenLines {
    const ends = UNKNOWN.length + 2 + digitsOf(unknown);
    let length = ends;
    for (const index of order) length += tokens.lengthOf(index) + 2 + digitsOf(counts[index]!);
    checkLength(length, "the vocabulary of a feature");
    const bytes = Buffer.allocUnsafeSlow(length);
    const starts = new Uint32Array(order.length + 2);
    bytes.write(UNKNOWN, 0);
    writeCount(bytes, UNKNOWN.length, unknown);
    let at = ends;
    for (let line = 0; line < order.length; line++) {
      const index = order[line]!;
      starts[line + 1] = at;
      const end = at + tokens.copyTo(index, bytes, at);
      if (!isStorable(bytes, at, end)) checkToken(tokens.token(index));
      at = writeCount(bytes, end, counts[index]!);
    }
    starts[order.length + 1] = at;
    return new TokenLines(bytes, starts);
  }

  /** Takes lines that the native reader of click logs has made. */
  static ofLines(bytes: Buffer, size: number): TokenLines {
    checkLength(bytes.length, "the vocabulary of a feature");
    const starts = new Uint32Array(size + 1);
    for (let line = 0, at = 0; line < size; starts[++line] = at) while (bytes[at++] !== NEWLINE);
    return new TokenLines(bytes, starts);
  }

  /** Reads lines without making strings of them. Calls `fail` for the first problem. */
  static parse(bytes: Buffer, fail: Fail): TokenLines {
    return finish(TokenLines.parsing(bytes, fail, "no-index"));
  }

  /** `parse`, which yields after each piece of the work. With "index" the lines keep what `find` needs. */
  static *parsing(bytes: Buffer, fail: Fail, index: "index" | "no-index"): Generator<void, TokenLines> {
    checkLength(bytes.length, "a vocabulary file");
    let size = 0;
    for (const piece of wholeLines(bytes)) {
      if (!isUtf8(piece)) fail(1, "UTF-8 text", "other bytes");
      size += countLines(piece);
      yield;
    }
    if (bytes.includes("\r\n")) bytes = Buffer.from(bytes.toString("utf8").replaceAll("\r\n", "\n"));
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    if (size === 0 || end < bytes.length) {
      const rest = JSON.stringify(bytes.toString("utf8", end));
      fail(size + 1, "a line that ends in a newline (the file is cut short)", rest);
    }
    const nul = bytes.indexOf(0);
    if (nul >= 0) fail(countLines(bytes.subarray(0, nul)) + 1, "a token without a NUL byte", "one");
    const starts = new Uint32Array(size + 1);
    starts[size] = bytes.length;
    const lines = new TokenLines(bytes, starts);
    const places = placesFor(size);
    for (let from = 0, at = 0; from < size; from += LINES_AT_ONCE) {
      at = lines.#check(places, from, Math.min(size, from + LINES_AT_ONCE), at, fail);
      yield;
    }
    if (index === "index") lines.#places = places;
    return lines;
  }

  /**
   * Finds where some lines begin, the first of them at `at`, and checks that each is well-formed and no token is there
   * twice. Returns where the next line begins.
   */
  #check(places: Int32Array, from: number, to: number, at: number, fail: Fail): number {
    const [bytes, starts] = [this.bytes, this.#starts];
    for (let line = from; line < to; line++) {
      const start = at;
      starts[line] = start;
      let tokenEnd = -1;
      for (; bytes[at] !== NEWLINE; at++) if (bytes[at] === TAB) tokenEnd = at;
      const end = at;
      let count = 0;
      if (tokenEnd >= 0) at = tokenEnd + 1;
      for (; bytes[at]! >= ZERO && bytes[at]! < ZERO + 10; at++) count = 10 * count + (bytes[at]! - ZERO);
      if (tokenEnd <= start || at === tokenEnd + 1 || at !== end || !Number.isSafeInteger(count)) {
        fail(line + 1, "a token, a tab and a whole number", quoted(bytes, start, end));
      }
      if (line === 0 && bytes.toString("utf8", start, tokenEnd) !== UNKNOWN) {
        fail(1, `the token ${UNKNOWN}`, quoted(bytes, start, tokenEnd));
      }
      at++;
      const place = this.#placeOf(places, bytes, start, tokenEnd);
      if (places[place] !== 0) fail(line + 1, "each token once", `${quoted(bytes, start, tokenEnd)} again`);
      places[place] = line + 1;
    }
    return at;
  }

  /** Number of lines. */
  get size(): number {
    return this.#starts.length - 1;
  }

  /** Returns the token of an id below `size`. */
  token(id: number): string {
    return this.bytes.toString("utf8", this.#starts[id], this.#tokenEnd(id));
  }

  lengthOf(id: number): number {
    return this.#tokenEnd(id) - this.#starts[id]!;
  }

  copyTo(id: number, target: Buffer, at: number): number {
    return copyBytes(this.bytes, this.#starts[id]!, this.#tokenEnd(id), target, at);
  }

  /** Compares two tokens by their bytes. */
  compare(a: number, b: number): number {
    return this.bytes.compare(this.bytes, this.#starts[b], this.#tokenEnd(b), this.#starts[a], this.#tokenEnd(a));
  }

  /** [size] The counts. */
  counts(): Float64Array {
    const bytes = this.bytes;
    const counts = new Float64Array(this.size);
    for (let id = 0; id < counts.length; id++) {
      let count = 0;
      for (let at = this.#tokenEnd(id) + 1; bytes[at] !== NEWLINE; at++) count = 10 * count + (bytes[at]! - ZERO);
      counts[id] = count;
    }
    return counts;
  }

  /** Returns the id of a token; −1 if there is none. */
  find(token: string): number {
    this.#places ??= this.#index();
    if (3 * token.length > this.#scratch.length) this.#scratch = Buffer.allocUnsafe(6 * token.length);
    const scratch = this.#scratch;
    let length = 0;
    // ASCII is copied here: a call of `write` takes as long as the rest of the look-up.
    for (; length < token.length; length++) {
      const code = token.charCodeAt(length);
      if (code > 0x7f) break;
      scratch[length] = code;
    }
    if (length < token.length) length = scratch.write(token);
    return this.#places[this.#placeOf(this.#places, scratch, 0, length)]! - 1;
  }

  /** Prepares `find`, without blocking the event loop for long. */
  async load(turns: Turns): Promise<void> {
    if (this.#places) return;
    const places = placesFor(this.size);
    for (let from = 0; from < this.size; from += LINES_AT_ONCE) {
      this.#add(places, from, Math.min(this.size, from + LINES_AT_ONCE));
      if (turns.isDue) await turns.take();
    }
    this.#places ??= places;
  }

  /** Yields the ids, except 0, of tokens that are one of these lower-case ASCII words but for their case. */
  *idsOfWords(words: readonly string[]): Generator<number> {
    const bytes = this.bytes;
    const byLength = new Map<number, Buffer[]>();
    for (const word of words) {
      byLength.set(word.length, [...(byLength.get(word.length) ?? []), Buffer.from(word, "latin1")]);
    }
    for (let id = 1; id < this.size; id++) {
      const start = this.#starts[id]!;
      const candidates = byLength.get(this.#tokenEnd(id) - start);
      if (candidates?.some((word) => word.every((letter, i) => lowerCase(bytes[start + i]!) === letter))) yield id;
    }
  }

  /** Returns the first lines. */
  first(size: number): TokenLines {
    return new TokenLines(this.bytes.subarray(0, this.#starts[size]), this.#starts.subarray(0, size + 1));
  }

  /** Whether the first lines of this have the tokens of the other one. */
  beginsLike(other: TokenLines): boolean {
    if (this.size < other.size) return false;
    for (let id = 0; id < other.size; id++) {
      const [start, end] = [other.#starts[id]!, other.#tokenEnd(id)];
      if (!this.#isAt(id, other.bytes, start, end)) return false;
    }
    return true;
  }

  #index(): Int32Array {
    const places = placesFor(this.size);
    this.#add(places, 0, this.size);
    return places;
  }

  #add(places: Int32Array, from: number, to: number): void {
    for (let id = from; id < to; id++) {
      places[this.#placeOf(places, this.bytes, this.#starts[id]!, this.#tokenEnd(id))] = id + 1;
    }
  }

  /** Index of the byte after the token: the last tab of the line. */
  #tokenEnd(id: number): number {
    let at = this.#starts[id + 1]! - 2;
    while (this.bytes[at] !== TAB) at--;
    return at;
  }

  /** The place of the token that `bytes` hold from `start` to `end`, or the free place where it belongs. */
  #placeOf(places: Int32Array, bytes: Buffer, start: number, end: number): number {
    let hash = FNV_START;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, FNV_PRIME);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    const mask = places.length - 1;
    let place = (hash ^ (hash >>> 13)) & mask;
    for (; places[place] !== 0; place = (place + 1) & mask)
      if (this.#isAt(places[place]! - 1, bytes, start, end)) break;
    return place;
  }

  /** Whether line `id` has the token that `bytes` hold from `start` to `end`. */
  #isAt(id: number, bytes: Buffer, start: number, end: number): boolean {
    const own = this.bytes;
    let at = this.#starts[id]!;
    for (let other = start; other < end; other++) if (own[at++] !== bytes[other]) return false;
    return own[at] === TAB;
  }
}

function placesFor(lines: number): Int32Array {
  return new Int32Array(2 ** Math.ceil(Math.log2(2 * lines + 1)));
}

/** A piece of text for a message. */
function quoted(bytes: Buffer, start: number, end: number): string {
  return JSON.stringify(bytes.toString("utf8", start, end));
}

function checkLength(bytes: number, what: string): void {
  if (bytes <= MAX_BYTES) return;
  throw new ShortlistError(
    "ERR_VOCABULARY",
    `Expected ${what} to have at most ${MAX_BYTES} bytes but received ${bytes}: raise --feature-appear-limit, or leave the feature out`,
  );
}

function isStorable(bytes: Buffer, start: number, end: number): boolean {
  if (end === start || (end - start === UNKNOWN.length && bytes.toString("latin1", start, end) === UNKNOWN))
    return false;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === NEWLINE || byte === 0) return false;
  }
  return true;
}

/** Throws ERR_VOCABULARY unless a token can be stored. Click logs contain no such values, but other sources may. */
export function checkToken(token: string): void {
  if (token !== "" && token !== UNKNOWN && !/[\n\0]/.test(token)) return;
  throw new ShortlistError(
    "ERR_VOCABULARY",
    `Expected values without newline or NUL, and neither "" nor "${UNKNOWN}", but received ${JSON.stringify(token)}: leave such values out as missing`,
  );
}

function digitsOf(count: number): number {
  let digits = 1;
  for (let power = 10; power <= count; power *= 10) digits++;
  return digits;
}

/** Writes the end of a line: a tab, a count and a newline. Returns the index after it. */
function writeCount(bytes: Buffer, start: number, count: number): number {
  const end = start + 1 + digitsOf(count);
  bytes[start] = TAB;
  for (let at = end - 1, left = count; at > start; at--) {
    bytes[at] = ZERO + (left % 10);
    left = Math.floor(left / 10);
  }
  bytes[end] = NEWLINE;
  return end + 1;
}

function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
