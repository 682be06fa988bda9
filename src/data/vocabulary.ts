import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { checkOptions, ShortlistError } from "../errors.js";
import { fileError, replaceFile } from "./files.js";
import { type TokenCounts, TokenTable, tableOf } from "./token_table.js";
import type { Turns } from "./turns.js";

/** The token of id 0, which stands for all values that a vocabulary does not hold. */
export const UNKNOWN = "<unk>";

/** Characters that no line of a vocabulary file can contain. */
const NO_TOKEN = /[\t\n\0]/;

/** Throws ERR_VOCABULARY unless a token can be stored. Click logs contain no such values, but other sources may. */
function checkToken(token: string): void {
  if (token !== "" && token !== UNKNOWN && !NO_TOKEN.test(token)) return;
  throw new ShortlistError(
    "ERR_VOCABULARY",
    `Expected values without tab, newline or NUL, and neither "" nor "${UNKNOWN}", but received ${JSON.stringify(token)}: leave such values out as missing`,
  );
}

/** The known values (tokens) of one feature. A token's id is its index; id 0 is `<unk>`. */
export class Vocabulary {
  #size: number;
  /**
   * The `token ⇥ count` lines of the file that it was read from. They are parsed only when tokens, ids or counts are
   * needed.
   */
  #lines: Buffer | undefined;
  #tokens: readonly string[] | undefined;
  #counts: Float64Array | undefined;
  /** Maps tokens to ids. */
  #ids: TokenTable | undefined;

  constructor(tokens: readonly string[], counts: Float64Array) {
    if (tokens[0] !== UNKNOWN || tokens.length !== counts.length) {
      throw new ShortlistError(
        "ERR_VOCABULARY",
        `Expected as many counts as tokens, and ${UNKNOWN} as the first token, but received ${tokens.length} tokens, ${counts.length} counts and ${JSON.stringify(tokens[0])}`,
      );
    }
    this.#size = tokens.length;
    this.#tokens = tokens;
    this.#counts = counts;
  }

  /**
   * Keeps the values that appear more than `appearLimit` times, most frequent first, and ties by the bytes of the
   * token. All others, and missing values, are counted for `<unk>`.
   *
   * @internal
   */
  static fromCounts(counts: TokenCounts, appearLimit: number): Vocabulary {
    const kept = [...counts.above(appearLimit)];
    kept.sort((a, b) => b[1] - a[1] || compareBytes(a[0], b[0]));
    const tokens = [UNKNOWN];
    const sums = new Float64Array(kept.length + 1);
    sums[0] = counts.below(appearLimit);
    for (const [token, count] of kept) {
      checkToken(token);
      sums[tokens.length] = count;
      tokens.push(token);
    }
    return new Vocabulary(tokens, sums);
  }

  /**
   * `fromCounts` for tokens in the order of their bytes, each with its count. `missing` values are counted for `<unk>`.
   * Also returns the id of each token; 0 if it has none.
   *
   * @internal
   */
  static fromSorted(
    tokens: readonly string[],
    counts: Float64Array,
    missing: number,
    appearLimit: number,
  ): { readonly vocabulary: Vocabulary; readonly ids: Int32Array } {
    const kept = Int32Array.from(counts.keys()).filter((index) => counts[index]! > appearLimit);
    kept.sort((a, b) => counts[b]! - counts[a]! || a - b);
    const ids = new Int32Array(tokens.length);
    kept.forEach((index, place) => {
      ids[index] = place + 1;
      checkToken(tokens[index]!);
    });
    const sums = new Float64Array(kept.length + 1);
    sums[0] = counts.reduce((sum, count) => sum + (count > appearLimit ? 0 : count), missing);
    kept.forEach((index, place) => {
      sums[place + 1] = counts[index]!;
    });
    return { vocabulary: new Vocabulary([UNKNOWN, ...Array.from(kept, (index) => tokens[index]!)], sums), ids };
  }

  /**
   * Prepares what `tokens` and `idOf` would otherwise prepare at their first use, without blocking the event loop for
   * long.
   *
   * @internal
   */
  async load(turns: Turns): Promise<void> {
    if (this.#lines) {
      const tokens: string[] = [];
      for (const piece of piecesOf(this.#lines)) {
        readPiece(piece, tokens);
        if (turns.isDue) await turns.take();
      }
      this.#tokens ??= tokens;
    }
    if (this.#ids) return;
    const table = new TokenTable();
    for (const token of this.tokens) {
      table.add(token);
      if (table.size % TOKENS_AT_ONCE === 0 && turns.isDue) await turns.take();
    }
    this.#ids ??= table;
  }

  /** Number of tokens, including `<unk>`. */
  get size(): number {
    return this.#size;
  }

  /** [size] The tokens by id. */
  get tokens(): readonly string[] {
    this.#tokens ??= readTokens(this.#lines!);
    return this.#tokens;
  }

  /**
   * [size] How often each token appears in the training log; for `<unk>`, the sum over all values that were left out.
   * If the vocabulary was read from a file, each access parses the counts again.
   */
  get counts(): Float64Array {
    return this.#counts ?? readCounts(this.#lines!, this.size);
  }

  /** Returns the id of a token; 0 for null and for unknown tokens. */
  idOf(token: string | null): number {
    this.#ids ??= tableOf(this.tokens);
    return token === null ? 0 : Math.max(0, this.#ids.find(token));
  }

  /** Returns the token of an id. Throws ERR_VOCABULARY if there is no such id. */
  token(id: number): string {
    const token = this.tokens[id];
    if (token === undefined) {
      throw new ShortlistError("ERR_VOCABULARY", `Expected an id from 0 to ${this.size - 1} but received ${id}`);
    }
    return token;
  }

  /**
   * Returns a copy with more tokens at the end, each with count 0. Throws ERR_VOCABULARY if a token cannot be stored.
   */
  append(tokens: readonly string[]): Vocabulary {
    for (const token of tokens) checkToken(token);
    const counts = new Float64Array(this.size + tokens.length);
    counts.set(this.counts);
    return new Vocabulary([...this.tokens, ...tokens], counts);
  }

  /**
   * Returns the vocabulary of the same tokens with other counts [size], as `fromCounts` would make it, and the new id of
   * each old one.
   *
   * @internal
   */
  recounted(
    counts: Float64Array,
    appearLimit: number,
  ): { readonly vocabulary: Vocabulary; readonly newIds: Int32Array } {
    const [before, tokens] = [this.counts, this.tokens];
    const kept = Int32Array.from(counts.keys()).filter((id) => id > 0 && counts[id]! > appearLimit);
    // Tokens that had equal counts before are already in the order of their bytes.
    const byToken = (a: number, b: number) => (before[a] === before[b] ? a - b : compareBytes(tokens[a]!, tokens[b]!));
    kept.sort((a, b) => counts[b]! - counts[a]! || byToken(a, b));
    const newIds = new Int32Array(this.size);
    const sums = new Float64Array(kept.length + 1);
    sums[0] = counts.reduce((sum, count, id) => (id === 0 || count <= appearLimit ? sum + count : sum), 0);
    kept.forEach((id, place) => {
      newIds[id] = place + 1;
      sums[place + 1] = counts[id]!;
    });
    return { vocabulary: new Vocabulary([UNKNOWN, ...Array.from(kept, (id) => tokens[id]!)], sums), newIds };
  }

  /** Returns a copy with other counts [size]. */
  withCounts(counts: Float64Array): Vocabulary {
    return new Vocabulary(this.tokens, counts);
  }

  /**
   * Whether this is the other vocabulary, or that vocabulary with tokens of count 0 appended, so that all its ids mean
   * the same here.
   */
  extends(other: Vocabulary): boolean {
    return (
      other.tokens.every((token, id) => token === this.tokens[id]) &&
      this.counts.subarray(other.size).every((count) => count === 0)
    );
  }

  /**
   * Reads a vocabulary file with `token ⇥ count` lines in the order of ids (docs/formats.md#vocabularies). Throws
   * ERR_VOCABULARY if it is malformed.
   */
  static async read(path: string): Promise<Vocabulary> {
    try {
      return Vocabulary.parse(await readFile(path), path);
    } catch (error) {
      if (error instanceof ShortlistError) throw error;
      throw new ShortlistError("ERR_VOCABULARY", fileError("read the vocabulary", path, error).message, {
        cause: error,
      });
    }
  }

  /** Parses the bytes of a vocabulary file. Error messages start with `path`. */
  static parse(bytes: Buffer, path: string): Vocabulary {
    const fail = (line: number, expected: string, received: string): never => {
      throw new ShortlistError("ERR_VOCABULARY", `${path}:${line}: Expected ${expected} but received ${received}`);
    };
    if (!isUtf8(bytes)) fail(1, "UTF-8 text", "other bytes");
    if (bytes.includes("\r\n")) bytes = Buffer.from(bytes.toString("utf8").replaceAll("\r\n", "\n"));
    const vocabulary = new Vocabulary([UNKNOWN], new Float64Array(1));
    vocabulary.#size = checkLines(bytes, fail);
    vocabulary.#lines = bytes;
    vocabulary.#tokens = undefined;
    vocabulary.#counts = undefined;
    return vocabulary;
  }

  /**
   * Writes a vocabulary file with `token ⇥ count` lines in the order of ids. Throws ERR_VOCABULARY if a token is empty
   * or contains a tab, newline or NUL.
   */
  async write(path: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    checkOptions("Vocabulary.write", options, { signal: true });
    const { signal } = options;
    signal?.throwIfAborted();
    const lines = this.#lines;
    if (lines) {
      await replaceFile(path, (file) => file.writeFile(lines));
      return;
    }
    for (const token of this.tokens) {
      if (token === "" || /[\t\n\0]/.test(token)) {
        throw new ShortlistError(
          "ERR_VOCABULARY",
          `Expected a token without tab, newline or NUL but received ${JSON.stringify(token)}`,
        );
      }
    }
    await replaceFile(path, async (file) => {
      const linesAtOnce = 1 << 16;
      for (let start = 0; start < this.size; start += linesAtOnce) {
        signal?.throwIfAborted();
        const lines = this.tokens.slice(start, start + linesAtOnce);
        await file.writeFile(lines.map((token, i) => `${token}\t${this.counts[start + i]}\n`).join(""));
      }
    });
  }
}

const [TAB, NEWLINE, ZERO] = [9, 10, 48];

/**
 * Target size of a piece of lines. Decoding one takes only a moment, and it is far below the maximum length of a string
 * (2²⁹ characters).
 */
const PIECE_BYTES = 2 ** 16;
const TOKENS_AT_ONCE = 1024;

/** Cuts the lines into pieces of whole lines. */
function* piecesOf(lines: Buffer): Generator<Buffer> {
  for (let start = 0; start < lines.length; ) {
    const end = lines.indexOf(NEWLINE, Math.min(lines.length - 1, start + PIECE_BYTES)) + 1;
    yield lines.subarray(start, end);
    start = end;
  }
}

/** Appends the tokens of a piece of lines. */
function readPiece(piece: Buffer, tokens: string[]): void {
  for (const line of piece.toString("utf8", 0, piece.length - 1).split("\n"))
    tokens.push(line.slice(0, line.indexOf("\t")));
}

function readTokens(lines: Buffer): string[] {
  const tokens: string[] = [];
  for (const piece of piecesOf(lines)) readPiece(piece, tokens);
  return tokens;
}

function readCounts(lines: Buffer, size: number): Float64Array {
  const counts = new Float64Array(size);
  for (let line = 0, at = 0; line < size; line++) {
    while (lines[at] !== TAB) at++;
    let count = 0;
    for (at++; lines[at] !== NEWLINE; at++) count = 10 * count + (lines[at]! - ZERO);
    counts[line] = count;
    at++;
  }
  return counts;
}

/** Checks the lines of a vocabulary without making strings of them, and returns their number. */
function checkLines(bytes: Buffer, fail: (line: number, expected: string, received: string) => never): number {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  const end = bytes.lastIndexOf(NEWLINE) + 1;
  if (lines === 0 || end < bytes.length) {
    const rest = JSON.stringify(bytes.toString("utf8", end));
    fail(lines + 1, "a line that ends in a newline (the file is cut short)", rest);
  }
  const nul = bytes.indexOf(0);
  if (nul >= 0) {
    const before = bytes.subarray(0, nul).reduce((count, byte) => count + (byte === NEWLINE ? 1 : 0), 0);
    fail(before + 1, "a token without a NUL byte", "one");
  }
  const starts = new Uint32Array(lines);
  const hashes = new Int32Array(lines);
  /** Hash table with open addressing. An entry is 1 + the line of the token; 0 is free. */
  const table = new Int32Array(2 ** Math.ceil(Math.log2(2 * lines + 1)));
  for (let line = 0, at = 0; line < lines; line++) {
    starts[line] = at;
    const start = at;
    let hash = 0x811c9dc5; // FNV-1a
    for (; bytes[at] !== TAB && bytes[at] !== NEWLINE; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
    const tokenEnd = at;
    let count = 0;
    if (bytes[at] === TAB) at++;
    for (; bytes[at]! >= ZERO && bytes[at]! < ZERO + 10; at++) count = 10 * count + (bytes[at]! - ZERO);
    const text = () => JSON.stringify(bytes.toString("utf8", start, bytes.indexOf(NEWLINE, start)));
    if (tokenEnd === start || at <= tokenEnd + 1 || bytes[at] !== NEWLINE || !Number.isSafeInteger(count)) {
      fail(line + 1, "a token, a tab and a whole number", text());
    }
    const token = () => JSON.stringify(bytes.toString("utf8", start, tokenEnd));
    if (line === 0 && token() !== JSON.stringify(UNKNOWN)) fail(1, `the token ${UNKNOWN}`, token());
    at++;
    hashes[line] = hash;
    let place = (hash ^ (hash >>> 15)) & (table.length - 1);
    for (; table[place] !== 0; place = (place + 1) & (table.length - 1)) {
      const other = table[place]! - 1;
      if (hashes[other] !== hash) continue;
      // Compares with the tab, so that a prefix of a token is not equal to it.
      const [length, from] = [tokenEnd + 1 - start, starts[other]!];
      if (bytes.subarray(from, from + length).equals(bytes.subarray(start, start + length))) {
        fail(line + 1, "each token once", `${token()} again`);
      }
    }
    table[place] = line + 1;
  }
  return lines;
}

/**
 * The noise distribution q [counts]: q(i) = count(i)^power / Σ count^power, q(`<unk>`) = 0. The original example has
 * power 1, word2vec 0.75 (docs/math.md#vocabulary-and-noise).
 */
export function noiseDistribution(counts: ArrayLike<number>, power: number): Float64Array {
  if (!Number.isFinite(power)) {
    throw new ShortlistError("ERR_OPTION", `Expected the noise power to be a number but received ${power}`);
  }
  const noise = new Float64Array(counts.length);
  let sum = 0;
  for (let id = 1; id < counts.length; id++) {
    noise[id] = counts[id]! ** power;
    sum += noise[id]!;
  }
  if (!(sum > 0 && sum < Number.POSITIVE_INFINITY)) {
    throw new ShortlistError(
      "ERR_VOCABULARY",
      `Expected tokens to draw besides ${UNKNOWN} but their weights sum to ${sum}`,
    );
  }
  for (let id = 0; id < noise.length; id++) noise[id]! /= sum;
  return noise;
}

/** Compares two strings by their UTF-8 bytes. This differs from the order of UTF-16 units only above U+D7FF. */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** Surrogates encode code points above those of all other UTF-16 units. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
