import { isUtf8 } from "node:buffer";
import { constants, openSync } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { Socket } from "node:net";
import { basename, join } from "node:path";
import { checkChoice, checkOptions, checkPaths, ShortlistError } from "../errors.js";
import { exists, fileError } from "./files.js";
import { type ItemFeature, itemFeatures, missingWords, type Schema, timeField, userFeatures } from "./schema.js";
import { ClickOrder, type OrderReport } from "./times.js";
import { Turns } from "./turns.js";

/** A value of the log; null stands for an empty field, `<unk>` or a word that the schema counts as missing. */
export type Token = string | null;

/** One click without its time: a token for each item feature of the schema, a list for a multi-valued one (never empty). */
export type Click = readonly (Token | readonly Token[])[];

/** One line of a log: a user. */
export interface LogLine {
  /** The token of the column named `user_id` (whatever its kind); undefined where the schema has none. */
  readonly userId: Token | undefined;
  /** Of the categorical user features, in schema order. */
  readonly tokens: readonly Token[];
  /** Of the number features, in schema order; NaN where missing. */
  readonly numbers: readonly number[];
  /**
   * Oldest first, at least one unless `withoutClicks`. Equal clicks are mostly the same object, so that work on one can be
   * kept.
   */
  readonly clicks: readonly Click[];
  /** Of each click, NaN where missing; empty where the schema has no time. */
  readonly times: readonly number[];
}

/** What every function that reads a click log takes. */
export interface LogOptions {
  /** "fail" (the default) throws at the first line that cannot be read, "skip" counts and lists them. */
  readonly onBadLine?: "fail" | "skip" | undefined;
  /**
   * Longest line that is read: a broken file must not fill the memory. Unless given, that of the dataset, which a model
   * keeps, and 16 MiB where a dataset is made.
   */
  readonly maxLineBytes?: number | undefined;
  /** Called with what looks wrong and does not stop the work, such as clicks that go back in time or unknown users. */
  readonly onWarning?: ((message: string) => void) | undefined;
  /** Stops the work; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** What functions take that read a log on the way to something else. */
export interface ReportedLogOptions extends LogOptions {
  /** Called once the log is read: how many lines there were, and which ones were left out. */
  readonly onReport?: ((report: LogReport) => void) | undefined;
}

/** What `readClickLog` takes. */
export interface ClickLogOptions extends ReportedLogOptions {
  /** The form of the log. */
  readonly schema: Schema;
  /** Take users whose column of clicks is missing: their history is empty. Otherwise such a line cannot be read. */
  readonly withoutClicks?: boolean | undefined;
  /**
   * Folder for copies of what can be read only once, such as a pipe: the first reading writes them, the next one reads
   * them. Without it such a log is read and gone.
   */
  readonly copies?: string | undefined;
  /** Called now and then with the bytes read so far and the bytes of all files. */
  readonly progress?: ((bytes: number, totalBytes: number) => void) | undefined;
}

/** What was found in logs: how much of them could be read. */
export interface LogReport {
  /** The base name, usable lines and skipped lines of each file. */
  readonly files: readonly { readonly name: string; readonly lines: number; readonly skipped: number }[];
  /** The usable lines, each a user. */
  readonly lines: number;
  /** The clicks of the usable lines. */
  readonly clicks: number;
  /** The usable lines of users without clicks. */
  readonly withoutClicks: number;
  /** The lines that were left out. */
  readonly skipped: number;
  /** What was wrong with the first 20 lines that were left out. */
  readonly badLines: readonly string[];
  /** How many clicks are older than the one before them, if there are any. */
  readonly unordered?: OrderReport | undefined;
}

const BASIC_LOG_OPTIONS: Readonly<Record<keyof LogOptions, true>> = {
  onBadLine: true,
  maxLineBytes: true,
  onWarning: true,
  signal: true,
};
export const LOG_OPTIONS: Readonly<Record<keyof ReportedLogOptions, true>> = { ...BASIC_LOG_OPTIONS, onReport: true };
/** The options of `readClickLog`. */
export const CLICK_LOG_OPTIONS: Readonly<Record<keyof ClickLogOptions, true>> = {
  ...LOG_OPTIONS,
  schema: true,
  withoutClicks: true,
  copies: true,
  progress: true,
};

/** A history of about a million clicks. */
export const DEFAULT_MAX_LINE_BYTES = 16 * 1024 * 1024;
/** A line becomes a string, and Node's strings end at 2²⁹ characters. */
const LARGEST_MAX_LINE_BYTES = 2 ** 28;
const CHUNK_BYTES = 1024 * 1024;
/** Read between two looks at the clock. */
const SLICE_BYTES = 16 * 1024;
const LISTED_BAD_LINES = 20;
const KEPT_CLICKS = 1 << 20;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * Reads click logs line by line and calls `onLine` with each usable line (docs/click_log.md). A line that cannot be read is
 * ERR_LOG with file, line and field; so are logs without any usable line, and those whose times say that they hold the newest
 * click first. Each log is opened once, so a pipe is as good as a file.
 */
export async function readClickLog(
  files: readonly string[],
  options: ClickLogOptions,
  onLine: (line: LogLine) => void,
): Promise<LogReport> {
  const { onBadLine = "fail", maxLineBytes = DEFAULT_MAX_LINE_BYTES, copies, progress, signal } = options;
  checkOptions("readClickLog", options, CLICK_LOG_OPTIONS);
  checkLogOptions(options);
  checkPaths("logs", files);
  if (files.length === 0) throw new ShortlistError("ERR_OPTION", "Expected at least one click log but received none");
  signal?.throwIfAborted();
  const parser = new LineParser(options);
  const order = new ClickOrder();
  const badLines: string[] = [];
  const reports: { name: string; lines: number; skipped: number }[] = [];
  let clicks = 0;
  let withoutClicks = 0;
  let bytesRead = 0;
  const totalBytes = await sumOfSizes(files);
  const turns = new Turns(signal);

  for (const [i, file] of files.entries()) {
    const report = { name: basename(file), lines: 0, skipped: 0 };
    reports.push(report);
    const readLine = (bytes: Buffer | undefined, number: number) => {
      try {
        if (!bytes)
          throw new BadLine(`Expected at most ${maxLineBytes} bytes in a line (--max-line-bytes) but received more`);
        const line = parser.parse(bytes);
        report.lines++;
        clicks += line.clicks.length;
        if (line.clicks.length === 0) withoutClicks++;
        order.add(line.times, () => `${file}:${number}`);
        onLine(line);
      } catch (error) {
        if (!(error instanceof BadLine)) throw error;
        const message = `${file}:${number}: ${error.message}`;
        if (onBadLine === "fail") throw new ShortlistError("ERR_LOG", message);
        report.skipped++;
        if (badLines.length < LISTED_BAD_LINES) badLines.push(message);
      }
    };
    const splitter = new LineSplitter(maxLineBytes, readLine);
    for await (const chunk of chunksOf(file, copies && join(copies, `log-${i + 1}`), signal)) {
      signal?.throwIfAborted();
      for (let start = 0; start < chunk.length; start += SLICE_BYTES) {
        splitter.push(chunk.subarray(start, start + SLICE_BYTES));
        if (turns.isDue) await turns.take();
      }
      bytesRead += chunk.length;
      progress?.(bytesRead, Math.max(bytesRead, totalBytes));
    }
    splitter.end();
  }

  const sum = (key: "lines" | "skipped") => reports.reduce((total, report) => total + report[key], 0);
  const [lines, skipped] = [sum("lines"), sum("skipped")];
  if (lines === 0) {
    const why = skipped > 0 ? ` (skipped ${skipped}, the first: ${badLines[0]})` : "";
    throw new ShortlistError(
      "ERR_LOG",
      `${files.join(", ")}: Expected at least one usable line but received none${why}`,
    );
  }
  const unordered = order.report(files, lines);
  if (unordered) options.onWarning?.(describeUnordered(unordered, lines));
  const report = { files: reports, lines, clicks, withoutClicks, skipped, badLines, ...(unordered && { unordered }) };
  options.onReport?.(report);
  return report;
}

/** The options of `ReportedLogOptions` among others. */
export function logOptionsOf(options: ReportedLogOptions): ReportedLogOptions {
  const { onBadLine, maxLineBytes, onWarning, signal, onReport } = options;
  return { onBadLine, maxLineBytes, onWarning, signal, onReport };
}

function describeUnordered({ lines, clicks, first }: OrderReport, all: number): string {
  return `clicks go back in time in ${lines} of ${all} lines, ${clicks} clicks in all (the first: ${first}): the oldest click comes first`;
}

/** Throws ERR_OPTION unless logs can be read with these options. */
export function checkLogOptions({ onBadLine, maxLineBytes }: LogOptions): void {
  if (onBadLine !== undefined) checkChoice("onBadLine", onBadLine, ["fail", "skip"]);
  if (!isMaxLineBytes(maxLineBytes)) {
    throw new ShortlistError(
      "ERR_OPTION",
      `Expected maxLineBytes to be a whole number from 1 to ${LARGEST_MAX_LINE_BYTES} but received ${maxLineBytes}`,
    );
  }
}

/** Whether this is undefined or an allowed longest line. */
export function isMaxLineBytes(value: unknown): value is number | undefined {
  const isAllowed = (bytes: number) => Number.isSafeInteger(bytes) && bytes >= 1 && bytes <= LARGEST_MAX_LINE_BYTES;
  return value === undefined || (typeof value === "number" && isAllowed(value));
}

/** What is wrong with a line; the reader adds file and line. */
class BadLine extends Error {}

/** Nothing is opened for it: a pipe that is opened and closed again breaks its writer. */
async function sumOfSizes(files: readonly string[]): Promise<number> {
  let sum = 0;
  for (const path of files) {
    const found = await stat(path).catch((error) => {
      throw fileError("read the click log", path, error);
    });
    if (found.isDirectory()) throw new ShortlistError("ERR_FILE", `Cannot read the click log ${path}: it is a folder`);
    if (found.isFile()) sum += found.size;
  }
  return sum;
}

/**
 * The bytes of a log. The memory of a chunk is used again for the next one. Where `copy` names a path, what is no regular
 * file is copied there, and read from there once the copy is there.
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
    for await (const chunk of found.isFIFO() ? pipeChunks(source, signal) : fileChunks(source)) {
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

/** A pipe may wait for its writer for long. It is waited for as events are, so that a signal can end it. */
async function* pipeChunks(path: string, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  const pipe = new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), readable: true });
  const stop = () => pipe.destroy();
  signal?.addEventListener("abort", stop);
  try {
    yield* pipe;
  } finally {
    signal?.removeEventListener("abort", stop);
    pipe.destroy();
    signal?.throwIfAborted();
  }
}

/**
 * Cuts chunks into lines; holds at most `maxLineBytes` of an unfinished one. A line that is longer is given as undefined,
 * as soon as that is known. A byte order mark at the start of a line is left out: files that begin with one may have been
 * joined.
 */
class LineSplitter {
  readonly #maxLineBytes: number;
  readonly #onLine: (bytes: Buffer | undefined, number: number) => void;
  #pieces: Buffer[] = [];
  #pieceBytes = 0;
  /** Lines that have ended. */
  #lines = 0;
  /** Whether the line that has not ended was given as too long. */
  #tooLong = false;
  /** An empty line is held back until another one follows: at the end of a file it is no line. */
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
    // One byte more than is allowed: it may be the \r of \r\n.
    if (this.#pieceBytes <= this.#maxLineBytes + 1) {
      this.#pieces.push(Buffer.from(piece));
      return;
    }
    this.#tooLong = true;
    this.#pieces = [];
    this.#give(undefined, this.#lines + 1);
  }

  #endLine(last: Buffer): void {
    this.#lines++;
    if (!this.#tooLong) {
      let bytes = this.#pieces.length > 0 ? Buffer.concat([...this.#pieces, last]) : last;
      if (bytes[bytes.length - 1] === 13) bytes = bytes.subarray(0, bytes.length - 1);
      if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
      this.#give(bytes.length <= this.#maxLineBytes ? bytes : undefined, this.#lines);
    }
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#tooLong = false;
  }

  #give(bytes: Buffer | undefined, number: number): void {
    if (this.#emptyLine > 0) this.#onLine(Buffer.alloc(0), this.#emptyLine);
    this.#emptyLine = bytes?.length === 0 ? number : 0;
    if (this.#emptyLine === 0) this.#onLine(bytes, number);
  }
}

/** Whether bytes begin as a file of gzip or zstd does. */
function isCompressed(bytes: Buffer): boolean {
  return (bytes[0] === 0x1f && bytes[1] === 0x8b) || bytes.subarray(0, 4).equals(Buffer.of(0x28, 0xb5, 0x2f, 0xfd));
}

/** Turns the bytes of a line into tokens, after the schema. */
class LineParser {
  readonly #schema: Schema;
  readonly #withoutClicks: boolean;
  readonly #missing: ReadonlySet<string>;
  /** By the last 7 bits of a word's first character: a bit for each length, 31 for all longer ones. */
  readonly #missingLengths = new Uint32Array(128);
  readonly #categorical: readonly number[];
  readonly #numbers: readonly number[];
  readonly #userId: number;
  readonly #clicks: number;
  readonly #clickForm: string;
  readonly #itemFeatures: readonly ItemFeature[];
  /** The field of a click that is its time, or −1. */
  readonly #time: number;
  /** Clicks that were seen, by their text without the time: most clicks of a log are repeats. */
  readonly #seen = new Map<string, Click>();

  constructor({ schema, withoutClicks = false }: Pick<ClickLogOptions, "schema" | "withoutClicks">) {
    this.#schema = schema;
    this.#withoutClicks = withoutClicks;
    this.#missing = missingWords(schema);
    for (const word of this.#missing) this.#missingLengths[word.charCodeAt(0) & 127]! |= 1 << Math.min(word.length, 31);
    const columnsOf = (kind: string) => userFeatures(schema).flatMap((f) => (f.kind === kind ? [f.column] : []));
    this.#categorical = columnsOf("categorical");
    this.#numbers = columnsOf("number");
    this.#userId = schema.columns.findIndex(({ name }) => name === "user_id");
    this.#clicks = schema.columns.findIndex(({ kind }) => kind === "clicks");
    this.#clickForm = schema.click.map(({ name }) => name).join(":");
    this.#itemFeatures = itemFeatures(schema);
    this.#time = timeField(schema);
  }

  parse(bytes: Buffer): LogLine {
    const { columns } = this.#schema;
    if (bytes.length === 0) throw new BadLine(`Expected ${columns.length} fields but received an empty line`);
    if (!isUtf8(bytes))
      this.#failBytes(
        bytes,
        (field) => !isUtf8(field),
        `UTF-8 text${isCompressed(bytes) ? " (it looks compressed: give <(zcat FILE) or <(zstdcat FILE))" : ""}`,
      );
    if (bytes.includes(0)) this.#failBytes(bytes, (field) => field.includes(0), "text without NUL bytes");
    const fields = bytes.toString("utf8").split("\t");
    if (fields.length < columns.length) {
      this.#fail(fields.length, `${columns.length} fields separated by tabs`, String(fields.length));
    }
    if (fields.length > columns.length) {
      this.#fail(columns.length, `${columns.length} fields separated by tabs`, String(fields.length));
    }
    return {
      userId: this.#userId < 0 ? undefined : this.#toToken(own(fields[this.#userId]!)),
      tokens: this.#categorical.map((column) => this.#toToken(own(fields[column]!))),
      numbers: this.#numbers.map((column) => this.#toNumber(fields[column]!, column)),
      ...this.#toClicks(fields[this.#clicks]!),
    };
  }

  #toNumber(text: string, column: number): number {
    if (this.#toToken(text) === null) return Number.NaN;
    const number = numberOf(text);
    const value = Math.fround(number);
    if (Number.isFinite(value)) return value;
    return this.#fail(column, Number.isNaN(number) ? "a number" : "a number that float32 can hold", quote(text));
  }

  #toClicks(text: string): Pick<LogLine, "clicks" | "times"> {
    if (this.#toToken(text) === null) {
      if (this.#withoutClicks) return { clicks: [], times: [] };
      this.#fail(this.#clicks, `clicks ${this.#clickForm}`, quote(text));
    }
    const texts = text.split(";");
    const clicks = new Array<Click>(texts.length);
    const times = new Array<number>(this.#time < 0 ? 0 : texts.length);
    for (let i = 0; i < texts.length; i++) {
      const text = texts[i]!;
      let rest = text;
      if (this.#time >= 0) [rest, times[i]] = this.#cutTime(text, i);
      clicks[i] = this.#seen.get(rest) ?? this.#parseClick(rest, text, i);
    }
    return { clicks, times };
  }

  /** The text of a click without its time, and the time. */
  #cutTime(text: string, index: number): [rest: string, time: number] {
    const fields = text.split(":");
    const { click } = this.#schema;
    if (fields.length !== click.length) this.#failClick(text, index);
    const field = fields.splice(this.#time, 1)[0]!;
    const rest = fields.join(":");
    if (this.#toToken(field) === null) return [rest, Number.NaN];
    const time = numberOf(field);
    if (!Number.isFinite(time)) {
      this.#fail(this.#clicks, `a number for ${click[this.#time]!.name} of click ${index + 1}`, quote(field));
    }
    return [rest, time];
  }

  /** `rest` is the click's text without its time. */
  #parseClick(rest: string, text: string, index: number): Click {
    const key = own(rest);
    const fields = key.split(":");
    const features = this.#itemFeatures;
    if (fields.length !== features.length || fields[0] === "") this.#failClick(text, index);
    const parsed = fields.map((field, i) =>
      features[i]!.multiple ? field.split("_").map((value) => this.#toToken(value)) : this.#toToken(field),
    );
    if (this.#seen.size >= KEPT_CLICKS) this.#seen.clear();
    this.#seen.set(key, parsed);
    return parsed;
  }

  #failClick(text: string, index: number): never {
    const item = text.split(":").length === this.#schema.click.length ? " with an item" : "";
    this.#fail(this.#clicks, `${this.#clickForm}${item} for click ${index + 1}`, quote(text));
  }

  /** Names the first field that is bad. */
  #failBytes(bytes: Buffer, isBad: (field: Buffer) => boolean, expected: string): never {
    let start = 0;
    for (let column = 0; ; column++) {
      const tab = bytes.indexOf(9, start);
      const field = bytes.subarray(start, tab < 0 ? bytes.length : tab);
      if (isBad(field)) this.#fail(column, expected, quote(field.toString("utf8")));
      start = tab + 1;
    }
  }

  /** Most tokens are told from the words for a missing value by their first character and length: no hash is needed. */
  #toToken(text: string): Token {
    if (text.length === 0) return null;
    const lengths = this.#missingLengths[text.charCodeAt(0) & 127]!;
    return (lengths >>> Math.min(text.length, 31)) & 1 && this.#missing.has(text) ? null : text;
  }

  #fail(column: number, expected: string, received: string): never {
    const name = this.#schema.columns[column]?.name;
    const field = `field ${column + 1}${name ? ` (${name})` : ""}`;
    throw new BadLine(`${field}: Expected ${expected} but received ${received}`);
  }
}

/** NaN where the text is no decimal number. */
function numberOf(text: string): number {
  return NUMBER.test(text) ? Number(text) : Number.NaN;
}

/** A copy of a long part of a line: V8 would keep the whole line alive for it (parts below 13 characters are copies). */
function own(part: string): string {
  return part.length < 13 ? part : Buffer.from(part).toString();
}

function quote(text: string): string {
  return text.length > 60 ? `${JSON.stringify(text.slice(0, 60))}… (${text.length} characters)` : JSON.stringify(text);
}
