import { once } from "node:events";
import { fstatSync, writeSync } from "node:fs";
import { type LogReport, ShortlistError } from "../index.js";
import { describeOutputError } from "./errors.js";

/**
 * Writes lines to standard output without running ahead of a slow reader; a closed pipe (`| head`) ends the process
 * quietly.
 */
export class LineWriter {
  #buffer: string[] = [];
  #length = 0;

  async write(line: string): Promise<void> {
    this.#buffer.push(line, "\n");
    this.#length += line.length + 1;
    if (this.#length >= 1 << 16) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#length === 0) return;
    const text = this.#buffer.join("");
    this.#buffer = [];
    this.#length = 0;
    await print(text);
  }
}

/**
 * Writes to standard output. Node takes a write of a part for the whole where standard output is a file, so that a full
 * disk would cut the output without an error: files are written to here.
 */
export async function print(text: string): Promise<void> {
  if (!isFile()) {
    if (!process.stdout.write(text)) await once(process.stdout, "drain");
    return;
  }
  const bytes = Buffer.from(text);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(process.stdout.fd, bytes, done);
  } catch (error) {
    throw new ShortlistError("ERR_FILE", describeOutputError(error as NodeJS.ErrnoException), { cause: error });
  }
}

/** Whether standard output is a file or a device that is no terminal: what Node writes to synchronously. */
function isFile(): boolean {
  const found = fstatSync(process.stdout.fd);
  return found.isFile() || (found.isCharacterDevice() && !process.stdout.isTTY);
}

export async function writeJson(value: unknown): Promise<void> {
  const writer = new LineWriter();
  await writer.write(JSON.stringify(value));
  await writer.flush();
}

/** A text table: the first column to the left, the others to the right. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => widthOf(rows, column));
  return rows
    .map((row) =>
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join("  "),
    )
    .join("\n");
}

/** Says which lines of a log were left out, and which users have no clicks. */
export function sayReport({ badLines, skipped, withoutClicks }: LogReport): void {
  for (const message of badLines) say(`left out ${message}`);
  if (skipped > badLines.length) say(`left out ${skipped - badLines.length} more lines`);
  if (withoutClicks > 0) say(`${withoutClicks} users without clicks`);
}

/** The longest cell of a column. */
export function widthOf(rows: readonly (readonly string[])[], column: number): number {
  return rows.reduce((longest, row) => Math.max(longest, row[column]!.length), 0);
}

/** What looks wrong and does not stop a command. */
export function warn(message: string): void {
  say(`warning: ${message}`);
}

/** For every function that reads a click log. */
export const LOG_MESSAGES = { onReport: sayReport, onWarning: warn };

export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
