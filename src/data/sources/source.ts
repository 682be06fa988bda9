import type { Schema } from "../schema.js";

/**
 * A value of a log as text, without tab, newline or NUL; null stands for a missing one. What a source stores as "", as
 * `<unk>` or as a word that the schema counts as missing is to be null.
 */
export type Token = string | null;

/**
 * One click without its time: a token for each item feature of the schema, a list for a multi-valued one (never empty).
 */
export type Click = readonly (Token | readonly Token[])[];

/** One row of a log, a user, as the schema has it: whatever the source stores, values have these types. */
export interface LogRow {
  /** The token of the column named `user_id` (whatever its kind); undefined where the schema has none. */
  readonly userId: Token | undefined;
  /** Of the categorical user features, in schema order. */
  readonly tokens: readonly Token[];
  /** Of the number features, in schema order: kept as float32, which must hold them; NaN where missing. */
  readonly numbers: readonly number[];
  /**
   * Oldest first, at least one unless `withoutClicks`. Equal clicks are mostly the same object, so that work on one can
   * be kept.
   */
  readonly clicks: readonly Click[];
  /** Of each click, NaN where missing; empty where the schema has no time. */
  readonly times: readonly number[];
}

/** What rows are read for. All sources of one reading get the same object. */
export interface RowBinding {
  readonly schema: Schema;
  /** Whether a row without clicks is a user without a history. Otherwise such a row cannot be used. */
  readonly withoutClicks: boolean;
  /** Longest line in bytes, of a source that holds lines of text. */
  readonly maxLineBytes: number;
}

/** What takes the rows of one source, in their order. Rows are numbered from 1, those that cannot be used included. */
export interface RowSink {
  /** Takes a row. */
  row(row: LogRow, number: number): void;
  /** Takes what is wrong with a row that cannot be used: "field 2 (age): Expected a number but received "x"". */
  bad(number: number, problem: string): void;
  /** Says that so much more was read, in what `LogSource.size` counts. */
  progress(amount: number): void;
  /** Lets the event loop turn, where the work has held it for long; to be awaited every few thousand clicks. */
  pause(): Promise<void> | undefined;
}

/**
 * Rows of a log that can be read again and again, each time the same. A click log in a file is one (`clickLog`);
 * whatever gives rows of these types can be another.
 */
export interface LogSource {
  /** What messages call it, such as the path of a file. */
  readonly name: string;
  /** Its name without folders, which reports and datasets keep. */
  readonly label: string;
  /**
   * How much there is to read, for progress: bytes, or rows; 0 where that is unknown. ERR_FILE where it cannot be read.
   */
  size(): Promise<number>;
  /** Where a row is, for messages: "log.tsv:12". */
  where(row: number): string;
  /**
   * Gives all rows to `sink`, from the first on. Each `Click` is to be one object for equal clicks as far as that is
   * cheap. Where what it holds can be read only once, such as a pipe, it writes a copy to the path `copy`, if that is
   * given, and reads that copy when it is called again with it. What stops it is the signal, or what the sink throws.
   */
  read(
    binding: RowBinding,
    sink: RowSink,
    options: { readonly copy?: string | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<void>;
}
