import { join } from "node:path";
import { checkChoice, checkOptions, ShortlistError } from "../../errors.js";
import type { Schema } from "../schema.js";
import { ClickOrder, type OrderReport } from "../times.js";
import { Turns } from "../turns.js";
import { checkLogs, type Log, sourceOf } from "./log.js";
import type { LogRow, LogSource, RowSink } from "./source.js";

/** Options of every function that reads a log. */
export interface LogOptions {
  /** "fail" (default) throws ERR_LOG at the first row that cannot be used. "skip" counts such rows and reports them. */
  readonly onBadLine?: "fail" | "skip" | undefined;
  /**
   * Longest line in bytes, so that a broken file cannot fill the memory. The default is that of the dataset, which
   * models keep; 16 MiB when a dataset is prepared.
   */
  readonly maxLineBytes?: number | undefined;
  /**
   * Called with a message if something looks wrong but does not stop the work, such as clicks that go back in time, or
   * unknown users.
   */
  readonly onWarning?: ((message: string) => void) | undefined;
  /** Stops the work, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of functions that read a log as part of something else. */
export interface ReportedLogOptions extends LogOptions {
  /** Called once the log is read, with the number of lines and those that were skipped. */
  readonly onReport?: ((report: LogReport) => void) | undefined;
}

/** Options of `readLog`. */
export interface ReadLogOptions extends ReportedLogOptions {
  /** Schema of the log. */
  readonly schema: Schema;
  /** Accepts rows without clicks, as users with an empty history (default: such a row cannot be used). */
  readonly withoutClicks?: boolean | undefined;
  /**
   * Folder for copies of logs that can be read only once, such as pipes. The first reading writes a copy, the next one
   * reads it. Without this folder, such a log can be read only once.
   */
  readonly copies?: string | undefined;
  /** Called now and then with the number of bytes read so far and the total of all logs. */
  readonly progress?: ((bytes: number, totalBytes: number) => void) | undefined;
}

/** Result of reading logs. A line is a row of a log and describes one user. */
export interface LogReport {
  /** Name without folders, number of usable lines and number of skipped lines of each log. */
  readonly files: readonly { readonly name: string; readonly lines: number; readonly skipped: number }[];
  /** Number of usable lines. */
  readonly lines: number;
  /** Number of clicks in usable lines. */
  readonly clicks: number;
  /** Number of usable lines without clicks. */
  readonly withoutClicks: number;
  /** Number of skipped lines. */
  readonly skipped: number;
  /** Error messages of the first 20 skipped lines. */
  readonly badLines: readonly string[];
  /** Clicks that are older than the one before them. Undefined if there are none. */
  readonly unordered?: OrderReport | undefined;
}

const BASIC_LOG_OPTIONS: Readonly<Record<keyof LogOptions, true>> = {
  onBadLine: true,
  maxLineBytes: true,
  onWarning: true,
  signal: true,
};
export const LOG_OPTIONS: Readonly<Record<keyof ReportedLogOptions, true>> = { ...BASIC_LOG_OPTIONS, onReport: true };
/** Names of the options of `readLog`. */
export const READ_LOG_OPTIONS: Readonly<Record<keyof ReadLogOptions, true>> = {
  ...LOG_OPTIONS,
  schema: true,
  withoutClicks: true,
  copies: true,
  progress: true,
};

/** Enough for a history of about a million clicks. */
export const DEFAULT_MAX_LINE_BYTES = 16 * 1024 * 1024;
/** Lines become strings, and the longest string in Node has 2²⁹ characters. */
const LARGEST_MAX_LINE_BYTES = 2 ** 28;
const LISTED_BAD_LINES = 20;

/**
 * Reads logs row by row, one after the other. Throws ERR_LOG with log, row and field if a row cannot be used, if a log
 * has no usable row, or if the times show that the newest click comes first. Each log is opened only once, so a pipe
 * works as well as a file.
 */
export async function readLog(
  logs: readonly Log[],
  options: ReadLogOptions,
  onRow: (row: LogRow) => void,
): Promise<LogReport> {
  checkOptions("readLog", options, READ_LOG_OPTIONS);
  checkLogOptions(options);
  checkLogs("logs", logs);
  if (logs.length === 0) throw new ShortlistError("ERR_OPTION", "Expected at least one click log but received none");
  const { schema, withoutClicks = false, maxLineBytes = DEFAULT_MAX_LINE_BYTES, copies, signal } = options;
  signal?.throwIfAborted();
  const sources = logs.map(sourceOf);
  const binding = { schema, withoutClicks, maxLineBytes };
  const reading = new Reading(options, await sumOfSizes(sources), onRow);
  for (const [i, source] of sources.entries()) {
    const copy = copies && join(copies, `log-${i + 1}`);
    await source.read(binding, reading.begin(source), { copy, signal });
  }
  return reading.end(sources.map(({ name }) => name));
}

/** Counts what is read, and handles rows that cannot be used. */
class Reading {
  readonly #options: ReadLogOptions;
  readonly #totalBytes: number;
  readonly #onRow: (row: LogRow) => void;
  readonly #turns: Turns;
  readonly #order = new ClickOrder();
  readonly #files: { name: string; lines: number; skipped: number }[] = [];
  readonly #badLines: string[] = [];
  #bytesRead = 0;
  #clicks = 0;
  #withoutClicks = 0;

  constructor(options: ReadLogOptions, totalBytes: number, onRow: (row: LogRow) => void) {
    this.#options = options;
    this.#totalBytes = totalBytes;
    this.#onRow = onRow;
    this.#turns = new Turns(options.signal);
  }

  /** Returns the sink for the rows of the next source. */
  begin(source: LogSource): RowSink {
    const { onBadLine = "fail", progress } = this.#options;
    const file = { name: source.label, lines: 0, skipped: 0 };
    this.#files.push(file);
    return {
      row: (row, number) => {
        file.lines++;
        this.#clicks += row.clicks.length;
        if (row.clicks.length === 0) this.#withoutClicks++;
        this.#order.add(row.times, () => source.where(number));
        this.#onRow(row);
      },
      bad: (number, problem) => {
        const message = `${source.where(number)}: ${problem}`;
        if (onBadLine === "fail") throw new ShortlistError("ERR_LOG", message);
        file.skipped++;
        if (this.#badLines.length < LISTED_BAD_LINES) this.#badLines.push(message);
      },
      progress: (amount) => {
        this.#bytesRead += amount;
        progress?.(this.#bytesRead, Math.max(this.#bytesRead, this.#totalBytes));
      },
      pause: () => (this.#turns.isDue ? this.#turns.take() : undefined),
    };
  }

  end(names: readonly string[]): LogReport {
    const { lines, skipped } = totalsOf(this.#files);
    const [clicks, withoutClicks] = [this.#clicks, this.#withoutClicks];
    const counts = { files: this.#files, lines, clicks, withoutClicks, skipped, badLines: this.#badLines };
    return finishReport(names, counts, this.#order, this.#options);
  }
}

/** Numbers of usable and of skipped lines of all logs. */
export function totalsOf(files: LogReport["files"]): Pick<LogReport, "lines" | "skipped"> {
  const sum = (key: "lines" | "skipped") => files.reduce((total, file) => total + file[key], 0);
  return { lines: sum("lines"), skipped: sum("skipped") };
}

/**
 * Returns the report of logs with these names, after warning of clicks that are out of order. Throws ERR_LOG if there is
 * no usable line, or if the newest click comes first.
 */
export function finishReport(
  names: readonly string[],
  counts: Omit<LogReport, "unordered">,
  order: ClickOrder,
  { onWarning, onReport }: Pick<ReportedLogOptions, "onWarning" | "onReport">,
): LogReport {
  const { lines, skipped, badLines } = counts;
  if (lines === 0) {
    const why = skipped > 0 ? ` (skipped ${skipped}, the first: ${badLines[0]})` : "";
    throw new ShortlistError(
      "ERR_LOG",
      `${names.join(", ")}: Expected at least one usable line but received none${why}`,
    );
  }
  const unordered = order.report(names, lines);
  if (unordered) onWarning?.(describeUnordered(unordered, lines));
  const report = { ...counts, ...(unordered && { unordered }) };
  onReport?.(report);
  return report;
}

/** Sum of what there is to read, for progress reports. */
export async function sumOfSizes(sources: readonly LogSource[]): Promise<number> {
  let sum = 0;
  for (const source of sources) sum += await source.size();
  return sum;
}

function describeUnordered({ lines, clicks, first }: OrderReport, all: number): string {
  return `clicks go back in time in ${lines} of ${all} lines, ${clicks} clicks in all (the first: ${first}): the oldest click comes first`;
}

/** Picks the options of `ReportedLogOptions` out of a larger object. */
export function logOptionsOf(options: ReportedLogOptions): ReportedLogOptions {
  const { onBadLine, maxLineBytes, onWarning, signal, onReport } = options;
  return { onBadLine, maxLineBytes, onWarning, signal, onReport };
}

/** Throws ERR_OPTION if a value of these options is impossible. */
export function checkLogOptions({ onBadLine, maxLineBytes }: LogOptions): void {
  if (onBadLine !== undefined) checkChoice("onBadLine", onBadLine, ["fail", "skip"]);
  if (!isMaxLineBytes(maxLineBytes)) {
    throw new ShortlistError(
      "ERR_OPTION",
      `Expected maxLineBytes to be a whole number from 1 to ${LARGEST_MAX_LINE_BYTES} but received ${maxLineBytes}`,
    );
  }
}

/** Whether this is undefined or an allowed value of `maxLineBytes`. */
export function isMaxLineBytes(value: unknown): value is number | undefined {
  const isAllowed = (bytes: number) => Number.isSafeInteger(bytes) && bytes >= 1 && bytes <= LARGEST_MAX_LINE_BYTES;
  return value === undefined || (typeof value === "number" && isAllowed(value));
}
