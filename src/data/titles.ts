import { isUtf8 } from "node:buffer";
import { type ErrorCode, ShortlistError } from "../errors.js";
import { replaceFile } from "./files.js";

/** File of the titles of items, a member of dataset and model folders: a line for each id, empty without a title. */
export const TITLES = "titles.txt";

const NEWLINE = 10;
/** What a line of the file cannot hold. */
const BREAKS = /[\n\r\0\u2028\u2029]+/g;

/** The titles of items by id, for people to read. They are kept as bytes, and decoded when they are shown. */
export class Titles {
  readonly #bytes: Buffer;
  /** [items + 1] Where the line of each item begins. */
  readonly #starts: Float64Array;

  private constructor(bytes: Buffer, lines: number) {
    this.#bytes = bytes;
    this.#starts = new Float64Array(lines + 1);
    for (let line = 0, at = 0; line < lines; line++) {
      at = bytes.indexOf(NEWLINE, at) + 1;
      this.#starts[line + 1] = at;
    }
  }

  /**
   * `titles[id]` is the title of an item; undefined or null without one. The first is that of `<unk>`, which has none.
   */
  static of(titles: readonly (string | null | undefined)[]): Titles {
    const lines = titles.map((title) => `${title?.replace(BREAKS, " ").trim() ?? ""}\n`);
    return new Titles(Buffer.from(lines.join("")), titles.length);
  }

  /**
   * Parses the bytes of a file. Throws an error of `code` that starts with `path` unless they are `items` lines of
   * UTF-8.
   */
  static parse(bytes: Buffer, items: number, path: string, code: ErrorCode): Titles {
    let lines = 0;
    for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
    const isWhole = bytes.length === 0 || bytes.at(-1) === NEWLINE;
    if (isUtf8(bytes) && isWhole && lines === items) return new Titles(bytes, items);
    throw new ShortlistError(code, `${path}: Expected a line of UTF-8 text for each of ${items} items`);
  }

  /** Number of items, `<unk>` included. */
  get size(): number {
    return this.#starts.length - 1;
  }

  /** Number of items with a title. */
  get known(): number {
    let known = 0;
    for (let id = 0; id < this.size; id++) if (this.#starts[id + 1]! > this.#starts[id]! + 1) known++;
    return known;
  }

  /** Returns the title of an item; undefined if it has none. */
  titleOf(id: number): string | undefined {
    const [start, end] = [this.#starts[id], this.#starts[id + 1]];
    if (start === undefined || end === undefined || end - start <= 1) return undefined;
    return this.#bytes.toString("utf8", start, end - 1);
  }

  /** Returns the titles of the first items. */
  first(items: number): Titles {
    return new Titles(this.#bytes.subarray(0, this.#starts[items]), items);
  }

  /** Returns a copy with more items at the end. */
  append(titles: readonly (string | null | undefined)[]): Titles {
    const added = Titles.of(titles);
    return new Titles(Buffer.concat([this.#bytes, added.#bytes]), this.size + added.size);
  }

  /** Writes a file that `parse` reads. */
  async write(path: string): Promise<void> {
    await replaceFile(path, (file) => file.writeFile(this.#bytes));
  }
}
