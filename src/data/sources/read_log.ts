import { join } from "node:path";
import { checkChoice, checkOptions, ShortlistError } from "../../errors.js";
import type { Schema } from "../schema.js";
import { ClickOrder, type OrderReport } from "../times.js";
import { Turns } from "../turns.js";
import { checkLogs, type Log, sourceOf } from "./log.js";
import type { LogRow, LogSource, RowSink } from "./source.js";

/** What every function that reads a log takes. */
export interface LogOptions {
  /** "fail" (the default) throws at the first row that cannot be used, "skip" counts and lists them. */
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

/** What `readLog` takes. */
export interface ReadLogOptions extends ReportedLogOptions {
  /** The form of the log. */
  readonly schema: Schema;
  /** Take users whose column of clicks is missing: their history is empty. Otherwise such a row cannot be used. */
  readonly withoutClicks?: boolean | undefined;
  /**
   * Folder for copies of what can be read only once, such as a pipe: the first reading writes them, the next one reads
   * them. Without it such a log is read and gone.
   */
  readonly copies?: string | undefined;
  /** Called now and then with the bytes read so far and the bytes of all logs. */
  readonly progress?: ((bytes: number, totalBytes: number) => void) | undefined;
}

/** What was found in logs: how much of them could be read. A line is a row, which is a user. */
export interface LogReport {
  /** The name without folders, usable lines and skipped lines of each log. */
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
/** The options of `readLog`. */
export const READ_LOG_OPTIONS: Readonly<Record<keyof ReadLogOptions, true>> = {
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
const LISTED_BAD_LINES = 20;

/**
 * Reads logs row by row, one after another. A row that cannot be used is ERR_LOG with log, row and field; so are logs
 * without any usable row, and those whose times say that they hold the newest click first. Each log is opened once, so
 * a pipe is as good as a file.
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

/** Counts what is read, and decides what becomes of rows that cannot be used. */
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

  /** What takes the rows of the next source. */
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
    const { onWarning, onReport } = this.#options;
    const sum = (key: "lines" | "skipped") => this.#files.reduce((total, file) => total + file[key], 0);
    const [lines, skipped, badLines] = [sum("lines"), sum("skipped"), this.#badLines];
    if (lines === 0) {
      const why = skipped > 0 ? ` (skipped ${skipped}, the first: ${badLines[0]})` : "";
      throw new ShortlistError(
        "ERR_LOG",
        `${names.join(", ")}: Expected at least one usable line but received none${why}`,
      );
    }
    const unordered = this.#order.report(names, lines);
    if (unordered) onWarning?.(describeUnordered(unordered, lines));
    const report = {
      files: this.#files,
      lines,
      clicks: this.#clicks,
      withoutClicks: this.#withoutClicks,
      skipped,
      badLines,
      ...(unordered && { unordered }),
    };
    onReport?.(report);
    return report;
  }
}

async function sumOfSizes(sources: readonly LogSource[]): Promise<number> {
  let sum = 0;
  for (const source of sources) sum += await source.size();
  return sum;
}

function describeUnordered({ lines, clicks, first }: OrderReport, all: number): string {
  return `clicks go back in time in ${lines} of ${all} lines, ${clicks} clicks in all (the first: ${first}): the oldest click comes first`;
}

/** The options of `ReportedLogOptions` among others. */
export function logOptionsOf(options: ReportedLogOptions): ReportedLogOptions {
  const { onBadLine, maxLineBytes, onWarning, signal, onReport } = options;
  return { onBadLine, maxLineBytes, onWarning, signal, onReport };
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
