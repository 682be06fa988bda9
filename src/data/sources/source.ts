import type { Schema } from "../schema.js";

/**
 * A value of a log as text without newline and NUL; null if it is missing. Sources must return null for "",
 * `<unk>` and every word that the schema declares as missing.
 */
export type Token = string | null;

/**
 * A click without its time: a token for each item feature of the schema, or a non-empty list of tokens for a
 * multi-valued feature.
 */
export type Click = readonly (Token | readonly Token[])[];

/** A row of a log, which describes one user. All sources return values of these types. */
export interface LogRow {
  /** Token of the column named `user_id` (of any kind). Undefined if the schema has no such column. */
  readonly userId: Token | undefined;
  /** Values of the categorical user features, in schema order; a non-empty list for a multi-valued feature. */
  readonly tokens: readonly (Token | readonly Token[])[];
  /** Values of the number features, in schema order; NaN if missing. They must be in the range of float32. */
  readonly numbers: readonly number[];
  /**
   * The clicks, oldest first; at least one unless `withoutClicks` is true. Equal clicks should be the same object,
   * since the lookup of a click is cached by object.
   */
  readonly clicks: readonly Click[];
  /** Times of the clicks; NaN if missing. Empty if the schema has no time. */
  readonly times: readonly number[];
  /**
   * Weights of the clicks, from 0 on and in the range of float32; NaN if missing, which counts as 1. If undefined, all are
   * missing.
   */
  readonly weights?: readonly number[] | undefined;
  /**
   * For each field of kind "number", the numbers of the clicks, in the range of float32; NaN if missing. If undefined, all
   * are missing.
   */
  readonly clickNumbers?: readonly (readonly number[])[] | undefined;
  /** The queries of each column of kind "tokens", oldest first, all of them before the clicks (default: none). */
  readonly searches?: readonly (readonly string[])[] | undefined;
}

/** How rows are to be read. All sources of one reading get the same object. */
export interface RowBinding {
  readonly schema: Schema;
  /** Whether a row without clicks is a user without a history. Otherwise such a row cannot be used. */
  readonly withoutClicks: boolean;
  /** Longest line in bytes, for sources that consist of text lines. */
  readonly maxLineBytes: number;
}

/** Receives the rows of one source in order. Rows are numbered from 1, including those that cannot be used. */
export interface RowSink {
  /** Receives a row. */
  row(row: LogRow, number: number): void;
  /** Receives the problem of a row that cannot be used, such as: field 2 (age): Expected a number but received "x". */
  bad(number: number, problem: string): void;
  /** Reports that this much more was read, in the unit of `LogSource.size`. */
  progress(amount: number): void;
  /**
   * Returns a promise if the event loop was blocked for long. Call it every few thousand clicks and await the result.
   */
  pause(): Promise<void> | undefined;
}

/**
 * A log that can be read repeatedly, with the same rows each time. `clickLog` returns one for a file; other sources of
 * such rows can implement it too.
 */
export interface LogSource {
  /** Name in messages, such as the path of a file. */
  readonly name: string;
  /** Name without folders, for reports and datasets. */
  readonly label: string;
  /**
   * Amount to read, in bytes or rows, for progress reports; 0 if unknown. Throws ERR_FILE if the log cannot be read.
   */
  size(): Promise<number>;
  /** Returns the place of a row for messages, such as "log.tsv:12". */
  where(row: number): string;
  /**
   * Pushes all rows to `sink`. Equal clicks should be the same object as far as that is cheap. If the log can be read
   * only once, as a pipe, it also writes a copy to the path `copy`, if given, and reads that copy in later calls with
   * the same path. Stops with the reason of the signal, or with whatever the sink throws.
   */
  read(
    binding: RowBinding,
    sink: RowSink,
    options: { readonly copy?: string | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<void>;
}
