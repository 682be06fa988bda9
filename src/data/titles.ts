import { isUtf8 } from "node:buffer";
import { type ErrorCode, ShortlistError } from "../errors.js";
import { replaceFile } from "./files.js";
import { wholeLines } from "./text_lines.js";
import { finish, finishInTurns, type Turns } from "./turns.js";

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

  private constructor(bytes: Buffer, starts: Float64Array) {
    this.#bytes = bytes;
    this.#starts = starts;
  }

  /**
   * `titles[id]` is the title of an item; undefined or null without one. The first is that of `<unk>`, which has none.
   */
  static of(titles: readonly (string | null | undefined)[]): Titles {
    const lines = titles.map((title) => `${title?.replace(BREAKS, " ").trim() ?? ""}\n`);
    const bytes = Buffer.from(lines.join(""));
    return new Titles(bytes, finish(startsOf(bytes, titles.length))!);
  }

  /**
   * Parses the bytes of a file. Throws an error of `code` that starts with `path` unless they are `items` lines of
   * UTF-8.
   */
  static async parse(bytes: Buffer, items: number, path: string, code: ErrorCode, turns: Turns): Promise<Titles> {
    const starts = await finishInTurns(startsOf(bytes, items), turns);
    if (starts) return new Titles(bytes, starts);
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
    return new Titles(this.#bytes.subarray(0, this.#starts[items]), this.#starts.subarray(0, items + 1));
  }

  /** Returns a copy with more items at the end. */
  append(titles: readonly (string | null | undefined)[]): Titles {
    const added = Titles.of(titles);
    const starts = new Float64Array(this.size + added.size + 1);
    starts.set(this.#starts);
    starts.set(
      added.#starts.map((start) => this.#bytes.length + start),
      this.size,
    );
    return new Titles(Buffer.concat([this.#bytes, added.#bytes]), starts);
  }

  /** Writes a file that `parse` reads. */
  async write(path: string): Promise<void> {
    await replaceFile(path, (file) => file.writeFile(this.#bytes));
  }
}

/**
 * Returns where each line begins, and the end of the last one [lines + 1]; undefined unless the bytes are so many lines
 * of UTF-8. Yields after each piece of the work.
 */
function* startsOf(bytes: Buffer, lines: number): Generator<void, Float64Array | undefined> {
  const starts = new Float64Array(lines + 1);
  let [line, at] = [0, 0];
  for (const piece of wholeLines(bytes)) {
    if (!isUtf8(piece)) return undefined;
    for (let i = 0; i < piece.length; i++, at++) if (piece[i] === NEWLINE) starts[++line] = at + 1;
    if (line > lines) return undefined;
    yield;
  }
  return line === lines && starts[lines] === bytes.length ? starts : undefined;
}
