import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { ShortlistError } from "../errors.js";
import { fileError, replaceFile } from "./files.js";

/** The token of id 0: every value that a vocabulary does not hold. */
export const UNKNOWN = "<unk>";

/** The values of one feature that are told apart, in id order; id 0 is `<unk>`. */
export class Vocabulary {
  /** [size] */
  readonly tokens: readonly string[];
  /** [size] how often each appears in the training log; that of `<unk>` sums everything that was filtered. */
  readonly counts: Float64Array;
  #ids: Map<string, number> | undefined;

  constructor(tokens: readonly string[], counts: Float64Array) {
    if (tokens[0] !== UNKNOWN || tokens.length !== counts.length) {
      throw new ShortlistError(
        "ERR_VOCABULARY",
        `Expected as many counts as tokens, and ${UNKNOWN} as the first token, but received ${tokens.length} tokens, ${counts.length} counts and ${JSON.stringify(tokens[0])}`,
      );
    }
    this.tokens = tokens;
    this.counts = counts;
  }

  /**
   * Keeps the values that appear more than `appearLimit` times, by falling count, then by the bytes of the token.
   * `unknown` counts values that were missing from the start.
   */
  static fromCounts(counts: ReadonlyMap<string, number>, unknown: number, appearLimit: number): Vocabulary {
    let filtered = unknown;
    const kept: [string, number][] = [];
    for (const entry of counts) {
      if (entry[1] > appearLimit) kept.push(entry);
      else filtered += entry[1];
    }
    kept.sort((a, b) => b[1] - a[1] || compareBytes(a[0], b[0]));
    return new Vocabulary(
      [UNKNOWN, ...kept.map(([token]) => token)],
      Float64Array.from([filtered, ...kept.map(([, count]) => count)]),
    );
  }

  /** Tokens, `<unk>` included. */
  get size(): number {
    return this.tokens.length;
  }

  /** The id of a token; 0 for null and for a token that is not held. */
  idOf(token: string | null): number {
    this.#ids ??= new Map(this.tokens.map((member, id) => [member, id]));
    return token === null ? 0 : (this.#ids.get(token) ?? 0);
  }

  token(id: number): string {
    const token = this.tokens[id];
    if (token === undefined) {
      throw new ShortlistError("ERR_VOCABULARY", `Expected an id from 0 to ${this.size - 1} but received ${id}`);
    }
    return token;
  }

  /** Reads `token ⇥ count` lines in id order. */
  static async read(path: string): Promise<Vocabulary> {
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (error) {
      throw new ShortlistError("ERR_VOCABULARY", fileError("read the vocabulary", path, error).message, {
        cause: error,
      });
    }
    const fail = (line: number, expected: string, received: string): never => {
      throw new ShortlistError("ERR_VOCABULARY", `${path}:${line}: Expected ${expected} but received ${received}`);
    };
    if (!isUtf8(bytes)) fail(1, "UTF-8 text", "other bytes");
    const lines = bytes.toString("utf8").split("\n");
    const rest = lines.pop()!;
    if (rest !== "" || lines.length === 0) {
      fail(lines.length + 1, "a line that ends in a newline (the file is cut short)", JSON.stringify(rest));
    }
    const counts = new Float64Array(lines.length);
    const seen = new Set<string>();
    const tokens = lines.map((text, i) => {
      const line = text.endsWith("\r") ? text.slice(0, -1) : text;
      const [token = "", count = "", ...more] = line.split("\t");
      if (token === "" || more.length > 0 || !/^\d+$/.test(count) || !Number.isSafeInteger(Number(count))) {
        fail(i + 1, "a token, a tab and a whole number", JSON.stringify(line));
      }
      if (i === 0 && token !== UNKNOWN) fail(1, `the token ${UNKNOWN}`, JSON.stringify(token));
      if (seen.has(token)) fail(i + 1, "each token once", `${JSON.stringify(token)} again`);
      seen.add(token);
      counts[i] = Number(count);
      return token;
    });
    return new Vocabulary(tokens, counts);
  }

  async write(path: string): Promise<void> {
    for (const token of this.tokens) {
      if (token === "" || /[\t\n]/.test(token)) {
        throw new ShortlistError(
          "ERR_VOCABULARY",
          `Expected a token without tab or newline but received ${JSON.stringify(token)}`,
        );
      }
    }
    await replaceFile(path, async (file) => {
      const linesAtOnce = 1 << 16;
      for (let start = 0; start < this.size; start += linesAtOnce) {
        const lines = this.tokens.slice(start, start + linesAtOnce);
        await file.writeFile(lines.map((token, i) => `${token}\t${this.counts[start + i]}\n`).join(""));
      }
    });
  }
}

/**
 * q [counts]: q(i) = count(i)^power / Σ count^power with q(`<unk>`) = 0. Power 1 is the original's, 0.75 word2vec's.
 */
export function noiseDistribution(counts: ArrayLike<number>, power: number): Float64Array {
  if (!Number.isFinite(power)) {
    throw new ShortlistError("ERR_OPTION", `Expected the noise power to be a number but received ${power}`);
  }
  const noise = Float64Array.from(counts, (count, id) => (id === 0 ? 0 : count ** power));
  const sum = noise.reduce((total, weight) => total + weight, 0);
  if (!(sum > 0 && sum < Number.POSITIVE_INFINITY)) {
    throw new ShortlistError(
      "ERR_VOCABULARY",
      `Expected tokens to draw besides ${UNKNOWN} but their weights sum to ${sum}`,
    );
  }
  return noise.map((weight) => weight / sum);
}

/** The order of two strings' UTF-8 bytes. It differs from that of UTF-16 units above U+D7FF only. */
export function compareBytes(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above every other unit. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
