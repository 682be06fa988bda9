import { checkOptions, ShortlistError } from "../errors.js";
import { fileError, readBytes, replaceFile } from "./files.js";
import type { TokenBytes } from "./packed_tokens.js";
import { checkToken, TokenLines, UNKNOWN } from "./token_lines.js";
import { type TokenCounts, TokenTable, tableOf } from "./token_table.js";
import { finishInTurns, type Turns } from "./turns.js";

export { UNKNOWN };

/** The known values (tokens) of one feature. A token's id is its index; id 0 is `<unk>`. */
export class Vocabulary {
  #size: number;
  /** What it was made or read from, unless that were the tokens and counts themselves. */
  #lines: TokenLines | undefined;
  #tokens: readonly string[] | undefined;
  /** The tokens of `lines` that were asked for, by id. */
  #decoded: string[] | undefined;
  #counts: Float64Array | undefined;
  /** Maps tokens to ids if there are no lines, which do the same. */
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

  static #of(lines: TokenLines): Vocabulary {
    const vocabulary = new Vocabulary([UNKNOWN], new Float64Array(1));
    vocabulary.#size = lines.size;
    vocabulary.#lines = lines;
    vocabulary.#tokens = undefined;
    vocabulary.#counts = undefined;
    return vocabulary;
  }

  /**
   * Takes `token ⇥ count` lines that the native reader of click logs has made.
   *
   * @internal
   */
  static ofLines(lines: Buffer, size: number): Vocabulary {
    return Vocabulary.#of(TokenLines.ofLines(lines, size));
  }

  /**
   * Keeps the values that appear more than `appearLimit` times, most frequent first, and ties by the bytes of the
   * token. All others, and missing values, are counted for `<unk>`.
   *
   * @internal
   */
  static fromCounts(counted: TokenCounts, appearLimit: number): Vocabulary {
    const { tokens, values } = counted;
    const kept = indicesAbove(values, appearLimit);
    kept.sort((a, b) => values[b]! - values[a]! || tokens.compare(a, b));
    return Vocabulary.#of(TokenLines.of(tokens, kept, values, counted.below(appearLimit)));
  }

  /**
   * `fromCounts` for tokens in the order of their bytes, each with its count. `missing` values are counted for `<unk>`.
   * Also returns the id of each token; 0 if it has none.
   *
   * @internal
   */
  static fromSorted(
    tokens: TokenBytes,
    counts: Float64Array,
    missing: number,
    appearLimit: number,
  ): { readonly vocabulary: Vocabulary; readonly ids: Int32Array } {
    const kept = byFallingCount(indicesAbove(counts, appearLimit), counts);
    const ids = new Int32Array(tokens.size);
    for (let place = 0; place < kept.length; place++) ids[kept[place]!] = place + 1;
    let unknown = missing;
    for (const count of counts) if (count <= appearLimit) unknown += count;
    return { vocabulary: Vocabulary.#of(TokenLines.of(tokens, kept, counts, unknown)), ids };
  }

  /**
   * Prepares what `idOf` and `token` would otherwise prepare at their first use, without blocking the event loop for
   * long.
   *
   * @internal
   */
  async load(turns: Turns): Promise<void> {
    if (this.#lines) return this.#lines.load(turns);
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

  /** [size] The tokens by id. Millions of strings need much memory; `token` and `idOf` need none of them. */
  get tokens(): readonly string[] {
    this.#tokens ??= Array.from({ length: this.size }, (_, id) => this.#lines!.token(id));
    return this.#tokens;
  }

  /**
   * [size] How often each token appears in the training log; for `<unk>`, the sum over all values that were left out.
   * If the vocabulary was read from a file, each access parses the counts again.
   */
  get counts(): Float64Array {
    return this.#counts ?? this.#lines!.counts();
  }

  /** Returns the id of a token; 0 for null and for unknown tokens. */
  idOf(token: string | null): number {
    if (token === null) return 0;
    if (this.#lines) return Math.max(0, this.#lines.find(token));
    this.#ids ??= tableOf(this.tokens);
    return Math.max(0, this.#ids.find(token));
  }

  /** Returns the token of an id. Throws ERR_VOCABULARY if there is no such id. */
  token(id: number): string {
    if (!Number.isInteger(id) || id < 0 || id >= this.size) {
      throw new ShortlistError("ERR_VOCABULARY", `Expected an id from 0 to ${this.size - 1} but received ${id}`);
    }
    if (this.#tokens) return this.#tokens[id]!;
    if (this.size > MOST_STRINGS) return this.#lines!.token(id);
    this.#decoded ??= new Array<string>(this.size);
    this.#decoded[id] ??= this.#lines!.token(id);
    return this.#decoded[id];
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
   * Returns the vocabulary of the same tokens with other counts [size], as `fromCounts` would make it, and the new id
   * of each old one.
   *
   * @internal
   */
  recounted(
    counts: Float64Array,
    appearLimit: number,
  ): { readonly vocabulary: Vocabulary; readonly newIds: Int32Array } {
    const before = this.counts;
    const tokens = this.#lines ?? tableOf(this.tokens);
    const kept = byFallingCount(
      indicesAbove(counts, appearLimit).filter((id) => id > 0),
      counts,
    );
    for (let start = 0, end = 0; start < kept.length; start = end) {
      while (end < kept.length && counts[kept[end]!] === counts[kept[start]!]) end++;
      // Tokens that had equal counts before are already in the order of their bytes.
      if (before[kept[start]!] !== before[kept[end - 1]!])
        kept.subarray(start, end).sort((a, b) => tokens.compare(a, b));
    }
    const newIds = new Int32Array(this.size);
    for (let place = 0; place < kept.length; place++) newIds[kept[place]!] = place + 1;
    let unknown = 0;
    for (let id = 0; id < counts.length; id++) if (id === 0 || counts[id]! <= appearLimit) unknown += counts[id]!;
    return { vocabulary: Vocabulary.#of(TokenLines.of(tokens, kept, counts, unknown)), newIds };
  }

  /** Returns the vocabulary of the first tokens. */
  first(size: number): Vocabulary {
    if (this.#lines) return Vocabulary.#of(this.#lines.first(size));
    return new Vocabulary(this.tokens.slice(0, size), this.counts.slice(0, size));
  }

  /** Returns a copy with other counts [size]. */
  withCounts(counts: Float64Array): Vocabulary {
    if (!this.#lines || counts.length !== this.size || !counts.every(Number.isSafeInteger)) {
      return new Vocabulary(this.tokens, counts);
    }
    const known = Int32Array.from({ length: this.size - 1 }, (_, i) => i + 1);
    return Vocabulary.#of(TokenLines.of(this.#lines, known, counts, counts[0]!));
  }

  /**
   * Whether this is the other vocabulary, or that vocabulary with tokens of count 0 appended, so that all its ids mean
   * the same here.
   */
  extends(other: Vocabulary): boolean {
    if (this.#lines && other.#lines) {
      if (!this.#lines.beginsLike(other.#lines)) return false;
    } else if (!other.tokens.every((token, id) => token === this.tokens[id])) {
      return false;
    }
    return this.counts.subarray(other.size).every((count) => count === 0);
  }

  /**
   * Reads a vocabulary file with `token ⇥ count` lines in the order of ids (docs/formats.md#vocabularies). Throws
   * ERR_VOCABULARY if it is malformed.
   */
  static async read(path: string): Promise<Vocabulary> {
    try {
      return Vocabulary.parse(await readBytes(path), path);
    } catch (error) {
      if (error instanceof ShortlistError) throw error;
      throw new ShortlistError("ERR_VOCABULARY", fileError("read the vocabulary", path, error).message, {
        cause: error,
      });
    }
  }

  /** Parses the bytes of a vocabulary file. Error messages start with `path`. */
  static parse(bytes: Buffer, path: string): Vocabulary {
    return Vocabulary.#of(TokenLines.parse(bytes, failIn(path)));
  }

  /**
   * `parse`, which lets the event loop run now and then. With "index" the vocabulary is ready for `idOf`: it keeps the
   * 8 to 16 bytes for each token that checking them took, which `idOf` would make anew.
   *
   * @internal
   */
  static async parseInTurns(
    bytes: Buffer,
    path: string,
    turns: Turns,
    index: "index" | "no-index",
  ): Promise<Vocabulary> {
    return Vocabulary.#of(await finishInTurns(TokenLines.parsing(bytes, failIn(path), index), turns));
  }

  /**
   * Returns the ids of tokens that are one of these lower-case ASCII words but for their case.
   *
   * @internal
   */
  idsOfWords(words: readonly string[]): number[] {
    if (this.#lines) return [...this.#lines.idsOfWords(words)];
    const wanted = new Set(words);
    return this.tokens.flatMap((token, id) => (id > 0 && wanted.has(token.toLowerCase()) ? [id] : []));
  }

  /**
   * Writes a vocabulary file with `token ⇥ count` lines in the order of ids. Throws ERR_VOCABULARY if a token is empty
   * or contains a newline or NUL.
   */
  async write(path: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    checkOptions("Vocabulary.write", options, { signal: true });
    const { signal } = options;
    signal?.throwIfAborted();
    const lines = this.#lines;
    if (lines) {
      await replaceFile(path, (file) => file.writeFile(lines.bytes));
      return;
    }
    for (const token of this.tokens) {
      if (token === "" || /[\n\0]/.test(token)) {
        throw new ShortlistError(
          "ERR_VOCABULARY",
          `Expected a token without newline or NUL but received ${JSON.stringify(token)}`,
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

/** Reports what is wrong with a line of a file. */
function failIn(path: string): (line: number, expected: string, received: string) => never {
  return (line, expected, received) => {
    throw new ShortlistError("ERR_VOCABULARY", `${path}:${line}: Expected ${expected} but received ${received}`);
  };
}

const TOKENS_AT_ONCE = 1024;
/**
 * Largest vocabulary whose tokens stay strings once they were asked for. Those of a larger one are decoded each time:
 * all of them would need some 50 bytes each.
 */
const MOST_STRINGS = 2 ** 20;

function indicesAbove(counts: Float64Array, limit: number): Int32Array {
  let size = 0;
  for (const count of counts) if (count > limit) size++;
  const indices = new Int32Array(size);
  for (let index = 0, place = 0; index < counts.length; index++) if (counts[index]! > limit) indices[place++] = index;
  return indices;
}

const RADIX = 2 ** 16;

/** Sorts indices so that their whole counts fall; those of equal counts stay in their order. A radix sort. */
function byFallingCount(indices: Int32Array, counts: Float64Array): Int32Array {
  let [order, other]: [Int32Array, Int32Array] = [indices, new Int32Array(indices.length)];
  let highest = 0;
  for (const index of indices) highest = Math.max(highest, counts[index]!);
  for (let unit = 1; unit <= highest; unit *= RADIX) {
    const digitOf = (index: number) => Math.floor((highest - counts[index]!) / unit) % RADIX;
    const places = new Uint32Array(RADIX + 1);
    for (const index of order) places[digitOf(index) + 1]!++;
    for (let digit = 0; digit < RADIX; digit++) places[digit + 1]! += places[digit]!;
    for (const index of order) other[places[digitOf(index)]!++] = index;
    [order, other] = [other, order];
  }
  return order;
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
