import { isUtf8 } from "node:buffer";
import { type FileHandle, open, stat } from "node:fs/promises";
import { basename } from "node:path";
import { ShortlistError } from "../../errors.js";
import { asWritten, hideEscaped, showEscaped } from "../escapes.js";
import { exists, fileError, pipeChunks } from "../files.js";
import {
  clickNumbers,
  type ItemFeature,
  itemFeatures,
  kindOf,
  missingWords,
  type Schema,
  timeField,
  type UserFeature,
  userFeaturesOf,
  weightField,
} from "../schema.js";
import { compressionOf, decompressed } from "./decompress.js";
import type { Click, LogRow, LogSource, RowBinding, Token } from "./source.js";

const CHUNK_BYTES = 1024 * 1024;
/** Number of bytes that are parsed between two looks at the clock. */
const SLICE_BYTES = 16 * 1024;
const MAX_CACHED_CLICKS = 1 << 20;
const BACKSLASH = 0x5c;
/** Bytes of a line that `maxLineBytes` does not count: a byte order mark and the \r of \r\n. */
const UNCOUNTED_BYTES = 4;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * Returns a source for a click log in a file or pipe: UTF-8, one user per line, columns separated by tabs, lines ended
 * by `\n` or `\r\n`, clicks and queries separated by `;`, fields of a click by `:`, and values of a multi-valued field
 * or column by `_`, all of which may be escaped (docs/click_log.md). Each line is a row.
 */
export function clickLog(path: string): LogSource {
  const source: LogSource = {
    name: path,
    label: basename(path),
    size: () => sizeOf(path),
    where: (line) => `${path}:${line}`,
    read: async (binding, sink, { copy, signal }) => {
      const parser = parserFor(binding);
      const splitter = new LineSplitter(binding.maxLineBytes, (bytes, number) => {
        let row: LogRow;
        try {
          if (!bytes) throw new BadLine(tooLong(binding));
          row = parser.parse(bytes);
        } catch (error) {
          if (!(error instanceof BadLine)) throw error;
          sink.bad(number, error.message);
          return;
        }
        sink.row(row, number);
      });
      for await (const chunk of chunksOf(path, copy, signal)) {
        signal?.throwIfAborted();
        for (let start = 0; start < chunk.length; start += SLICE_BYTES) {
          splitter.push(chunk.subarray(start, start + SLICE_BYTES));
          const pause = sink.pause();
          if (pause) await pause;
        }
        sink.progress(chunk.length);
      }
      splitter.end();
    },
  };
  contents.set(source.read, (signal) => unchangedChunksOf(path, signal));
  return source;
}

type Contents = (signal: AbortSignal | undefined) => AsyncIterable<Buffer>;

/** The bytes of click logs, by the function that reads their rows. A source with another such function is another log. */
const contents = new WeakMap<LogSource["read"], Contents>();

/**
 * Returns the decompressed bytes of a source that `clickLog` has made, for readers that parse them themselves; undefined
 * for other sources. Each chunk is in the same memory as the one before. Throws ERR_LOG at the end if the file was changed
 * while it was read.
 */
export function contentsOfClickLog({ read }: LogSource): Contents | undefined {
  return contents.get(read);
}

async function* unchangedChunksOf(path: string, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  const state = async () => {
    const found = await stat(path).catch(() => undefined);
    return found?.isFile() ? [found.ino, found.size, found.mtimeMs].join() : "";
  };
  const before = await state();
  yield* chunksOf(path, undefined, signal);
  if ((await state()) === before) return;
  throw new ShortlistError("ERR_LOG", `${path}: The log changed while it was read: prepare it again`);
}

/** All logs of one reading use one parser, because it caches the clicks that it has parsed. */
const parsers = new WeakMap<RowBinding, LineParser>();

function parserFor(binding: RowBinding): LineParser {
  const parser = parsers.get(binding) ?? new LineParser(binding);
  parsers.set(binding, parser);
  return parser;
}

function tooLong({ maxLineBytes }: RowBinding): string {
  return `Expected at most ${maxLineBytes} bytes in a line (--max-line-bytes) but received more`;
}

/** Describes what is wrong with a line. The sink adds the file and line. */
class BadLine extends Error {}

/**
 * Returns the size of a file; 0 for a pipe. It does not open the path, because opening and closing a pipe breaks its
 * writer.
 */
async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch((error) => {
    throw fileError("read the click log", path, error);
  });
  if (found.isDirectory()) throw new ShortlistError("ERR_FILE", `Cannot read the click log ${path}: it is a folder`);
  return found.isFile() ? found.size : 0;
}

/**
 * Yields the bytes of a log. Each chunk is in the same memory as the one before. If `copy` is given, a log that is not
 * a regular file is copied there, and a later call reads that copy.
 */
async function* chunksOf(
  path: string,
  copy: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const source = copy !== undefined && (await exists(copy)) ? copy : path;
  let copied: FileHandle | undefined;
  try {
    const found = await stat(source);
    if (copy !== undefined && source !== copy && !found.isFile()) copied = await open(copy, "wx");
    for await (const chunk of decompressed(found.isFIFO() ? pipeChunks(source, signal) : fileChunks(source), path)) {
      await copied?.writeFile(chunk);
      yield chunk;
    }
  } catch (error) {
    throw (error as NodeJS.ErrnoException | undefined)?.syscall ? fileError("read the click log", path, error) : error;
  } finally {
    await copied?.close();
  }
}

async function* fileChunks(path: string): AsyncGenerator<Buffer> {
  const file = await open(path, "r");
  try {
    const memory = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(memory, 0, CHUNK_BYTES);
      if (bytesRead === 0) return;
      yield memory.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/**
 * Cuts chunks into lines. It holds at most `maxLineBytes` bytes of an unfinished line; a longer line is passed on as
 * undefined as soon as its length is exceeded. A byte order mark at the start of any line is removed, because files
 * that begin with one may have been concatenated.
 */
class LineSplitter {
  readonly #maxLineBytes: number;
  readonly #onLine: (bytes: Buffer | undefined, number: number) => void;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  /** Number of complete lines. */
  #lines = 0;
  /** Whether the unfinished line was already passed on as too long. */
  #tooLong = false;
  /**
   * Number of an empty line that is passed on only when another line follows: at the end of a file it is not a line.
   */
  #emptyLine = 0;

  constructor(maxLineBytes: number, onLine: (bytes: Buffer | undefined, number: number) => void) {
    this.#maxLineBytes = maxLineBytes;
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      this.#endLine(chunk.subarray(start, end));
      start = end + 1;
    }
    this.#keep(chunk.subarray(start));
  }

  end(): void {
    if (this.#pieceBytes > 0) this.#endLine(Buffer.alloc(0));
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0 || this.#tooLong) return;
    this.#pieceBytes += piece.length;
    if (this.#pieceBytes <= this.#maxLineBytes + UNCOUNTED_BYTES) {
      this.#pieces.push(Buffer.from(piece));
      return;
    }
    this.#tooLong = true;
    this.#pieces = [];
    this.#emit(undefined, this.#lines + 1);
  }

  #endLine(last: Buffer): void {
    this.#lines++;
    if (!this.#tooLong) {
      let bytes = this.#pieces.length > 0 ? Buffer.concat([...this.#pieces, last]) : last;
      if (bytes[bytes.length - 1] === 13) bytes = bytes.subarray(0, bytes.length - 1);
      if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
      this.#emit(bytes.length <= this.#maxLineBytes ? bytes : undefined, this.#lines);
    }
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#tooLong = false;
  }

  #emit(bytes: Buffer | undefined, number: number): void {
    if (this.#emptyLine > 0) this.#onLine(Buffer.alloc(0), this.#emptyLine);
    this.#emptyLine = bytes?.length === 0 ? number : 0;
    if (this.#emptyLine === 0) this.#onLine(bytes, number);
  }
}

/** What a row has of the fields that describe the clicks themselves. */
interface ClickProperties {
  readonly times: number[];
  readonly weights?: number[];
  readonly clickNumbers?: number[][];
}

/** Parses the bytes of a line into a row, according to the schema. */
class LineParser {
  readonly #schema: Schema;
  readonly #withoutClicks: boolean;
  readonly #missing: ReadonlySet<string>;
  /**
   * A quick test for words that mean a missing value. The entry at the last 7 bits of a word's first character has a
   * bit for each length of such words, and bit 31 for all longer ones.
   */
  readonly #missingLengths = new Uint32Array(128);
  readonly #categorical: readonly UserFeature[];
  readonly #numbers: readonly UserFeature[];
  readonly #searches: readonly UserFeature[];
  readonly #userId: number;
  readonly #clicks: number;
  readonly #clickForm: string;
  readonly #itemFeatures: readonly ItemFeature[];
  /** The kind of each field of a click. */
  readonly #kinds: readonly ReturnType<typeof kindOf>[];
  /** The place of each field of a click among those of kind "number"; −1 for other fields. */
  readonly #numberOf: readonly number[];
  readonly #clickNumbers: number;
  readonly #hasTimes: boolean;
  readonly #hasWeights: boolean;
  /** Whether the line that is parsed has escape sequences, which `hideEscaped` has replaced. */
  #hasEscapes = false;
  /** Clicks that were parsed, by the text of their item features. Most clicks of a log are repeats. */
  readonly #seen = new Map<string, Click>();

  constructor({ schema, withoutClicks }: RowBinding) {
    this.#schema = schema;
    this.#withoutClicks = withoutClicks;
    this.#missing = missingWords(schema);
    for (const word of this.#missing) this.#missingLengths[word.charCodeAt(0) & 127]! |= 1 << Math.min(word.length, 31);
    this.#categorical = userFeaturesOf(schema, "categorical");
    this.#numbers = userFeaturesOf(schema, "number");
    this.#searches = userFeaturesOf(schema, "tokens");
    this.#userId = schema.columns.findIndex(({ name }) => name === "user_id");
    this.#clicks = schema.columns.findIndex(({ kind }) => kind === "clicks");
    this.#clickForm = schema.click.map(({ name }) => name).join(":");
    this.#itemFeatures = itemFeatures(schema);
    this.#kinds = schema.click.map(kindOf);
    const numbers = clickNumbers(schema);
    this.#numberOf = schema.click.map(({ name }) => numbers.indexOf(name));
    this.#clickNumbers = numbers.length;
    this.#hasTimes = timeField(schema) >= 0;
    this.#hasWeights = weightField(schema) >= 0;
  }

  parse(bytes: Buffer): LogRow {
    const { columns } = this.#schema;
    if (bytes.length === 0) throw new BadLine(`Expected ${columns.length} fields but received an empty line`);
    if (!isUtf8(bytes))
      this.#failBytes(
        bytes,
        (field) => !isUtf8(field),
        `UTF-8 text${compressionOf(bytes) !== "none" ? " (it looks compressed: give <(zcat FILE) or <(zstdcat FILE))" : ""}`,
      );
    if (bytes.includes(0)) this.#failBytes(bytes, (field) => field.includes(0), "text without NUL bytes");
    this.#hasEscapes = this.#schema.escapes === true && bytes.includes(BACKSLASH);
    const text = bytes.toString("utf8");
    const fields = (this.#hasEscapes ? hideEscaped(text) : text).split("\t");
    if (fields.length < columns.length) {
      this.#fail(fields.length, `${columns.length} fields separated by tabs`, String(fields.length));
    }
    if (fields.length > columns.length) {
      this.#fail(columns.length, `${columns.length} fields separated by tabs`, String(fields.length));
    }
    return {
      userId: this.#userId < 0 ? undefined : this.#toToken(this.#ownCopy(fields[this.#userId]!)),
      tokens: this.#categorical.map(({ column, multiple }) =>
        multiple ? this.#toTokens(this.#ownCopy(fields[column]!)) : this.#toToken(this.#ownCopy(fields[column]!)),
      ),
      numbers: this.#numbers.map(({ column }) => this.#toNumber(fields[column]!, column)),
      ...(this.#searches.length > 0 && {
        searches: this.#searches.map(({ column }) => this.#toQueries(this.#ownCopy(fields[column]!))),
      }),
      ...this.#toClicks(fields[this.#clicks]!),
    };
  }

  /** The values of a multi-valued field or column. */
  #toTokens(text: string): Token[] {
    return text.split("_").map((value) => this.#toToken(value));
  }

  /** The queries of a column of searches. */
  #toQueries(text: string): string[] {
    if (this.#toToken(text) === null) return [];
    return text.split(";").flatMap((query) => this.#toToken(query) ?? []);
  }

  #toNumber(text: string, column: number): number {
    if (this.#toToken(text) === null) return Number.NaN;
    const number = numberOf(text);
    const value = Math.fround(number);
    if (Number.isFinite(value)) return value;
    return this.#fail(column, Number.isNaN(number) ? "a number" : "a number that float32 can hold", quote(text));
  }

  #toClicks(text: string): Pick<LogRow, "clicks"> & ClickProperties {
    const isMissing = this.#toToken(text) === null;
    if (isMissing && !this.#withoutClicks) this.#fail(this.#clicks, `clicks ${this.#clickForm}`, quote(text));
    const texts = isMissing ? [] : text.split(";");
    const clicks = new Array<Click>(texts.length);
    const properties: ClickProperties = {
      times: new Array<number>(this.#hasTimes ? texts.length : 0),
      ...(this.#hasWeights && { weights: new Array<number>(texts.length) }),
      ...(this.#clickNumbers > 0 && {
        clickNumbers: Array.from({ length: this.#clickNumbers }, () => new Array<number>(texts.length)),
      }),
    };
    const hasProperties = this.#itemFeatures.length < this.#kinds.length;
    for (let i = 0; i < texts.length; i++) {
      const text = texts[i]!;
      const item = hasProperties ? this.#cutProperties(text, i, properties) : text;
      clicks[i] = this.#seen.get(item) ?? this.#parseClick(item, text, i);
    }
    return { clicks, ...properties };
  }

  /** Returns the text of a click's item features alone. Sets the time, the weight and the numbers of the click. */
  #cutProperties(text: string, index: number, { times, weights, clickNumbers }: ClickProperties): string {
    const fields = text.split(":");
    if (fields.length !== this.#kinds.length) this.#failClick(text, index);
    const item: string[] = [];
    for (let f = 0; f < fields.length; f++) {
      const kind = this.#kinds[f]!;
      if (kind === "categorical") item.push(fields[f]!);
      else if (kind === "time") times[index] = this.#toTime(fields[f]!, f, index);
      else if (kind === "weight") weights![index] = this.#toWeight(fields[f]!, f, index);
      else if (kind === "number") clickNumbers![this.#numberOf[f]!]![index] = this.#toClickNumber(fields[f]!, f, index);
    }
    return item.join(":");
  }

  #toTime(text: string, field: number, index: number): number {
    if (this.#toToken(text) === null) return Number.NaN;
    const time = numberOf(text);
    if (Number.isFinite(time)) return time;
    const { name } = this.#schema.click[field]!;
    return this.#fail(this.#clicks, `a number for ${name} of click ${index + 1}`, quote(text));
  }

  #toWeight(text: string, field: number, index: number): number {
    if (this.#toToken(text) === null) return Number.NaN;
    const weight = Math.fround(numberOf(text));
    if (weight >= 0 && weight < Number.POSITIVE_INFINITY) return weight;
    const { name } = this.#schema.click[field]!;
    return this.#fail(this.#clicks, `a number of at least 0 for ${name} of click ${index + 1}`, quote(text));
  }

  #toClickNumber(text: string, field: number, index: number): number {
    if (this.#toToken(text) === null) return Number.NaN;
    const number = numberOf(text);
    const value = Math.fround(number);
    if (Number.isFinite(value)) return value;
    const expected = Number.isNaN(number) ? "a number" : "a number that float32 can hold";
    const { name } = this.#schema.click[field]!;
    return this.#fail(this.#clicks, `${expected} for ${name} of click ${index + 1}`, quote(text));
  }

  /** Parses a click. `item` is the text of its item features. */
  #parseClick(item: string, text: string, index: number): Click {
    const key = this.#ownCopy(item);
    const fields = key.split(":");
    const features = this.#itemFeatures;
    if (fields.length !== features.length || fields[0] === "") this.#failClick(text, index);
    const parsed = fields.map((field, i) => (features[i]!.multiple ? this.#toTokens(field) : this.#toToken(field)));
    if (this.#seen.size >= MAX_CACHED_CLICKS) this.#seen.clear();
    this.#seen.set(key, parsed);
    return parsed;
  }

  #failClick(text: string, index: number): never {
    const item = text.split(":").length === this.#schema.click.length ? " with an item" : "";
    this.#fail(this.#clicks, `${this.#clickForm}${item} for click ${index + 1}`, quote(text));
  }

  /** Throws an error that names the first bad field. */
  #failBytes(bytes: Buffer, isBad: (field: Buffer) => boolean, expected: string): never {
    let start = 0;
    for (let column = 0; ; column++) {
      const tab = bytes.indexOf(9, start);
      const field = bytes.subarray(start, tab < 0 ? bytes.length : tab);
      if (isBad(field)) this.#fail(column, expected, quote(field.toString("utf8")));
      start = tab + 1;
    }
  }

  /**
   * Returns a token with the characters that it escapes, and null for a word that means a missing value. The first
   * character and the length rule out most tokens, without a hash.
   */
  #toToken(text: string): Token {
    if (text.length === 0) return null;
    const lengths = this.#missingLengths[text.charCodeAt(0) & 127]!;
    if ((lengths >>> Math.min(text.length, 31)) & 1 && this.#missing.has(text)) return null;
    return this.#hasEscapes ? showEscaped(text) : text;
  }

  /**
   * Copies a long part of a line, since V8 would keep the whole line in memory for it. (Parts of less than 13 characters
   * are copies anyway.) UTF-8 has no bytes for what stands for escape sequences.
   */
  #ownCopy(part: string): string {
    const encoding = this.#hasEscapes ? "utf16le" : "utf8";
    return part.length < 13 ? part : Buffer.from(part, encoding).toString(encoding);
  }

  #fail(column: number, expected: string, received: string): never {
    const name = this.#schema.columns[column]?.name;
    const field = `field ${column + 1}${name ? ` (${name})` : ""}`;
    throw new BadLine(`${field}: Expected ${expected} but received ${received}`);
  }
}

/** Returns NaN unless the text is a decimal number. */
function numberOf(text: string): number {
  return NUMBER.test(text) ? Number(text) : Number.NaN;
}

/** Quotes a part of a line as the log has it. */
function quote(part: string): string {
  const text = asWritten(part);
  return text.length > 60 ? `${JSON.stringify(text.slice(0, 60))}… (${text.length} characters)` : JSON.stringify(text);
}
