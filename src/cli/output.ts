import { once } from "node:events";
import { fstatSync, writeSync } from "node:fs";
import { type LogReport, ShortlistError } from "../index.js";
import { describeOutputError } from "./errors.js";

/** Writes lines to standard output at the speed of its reader. A closed pipe (`| head`) ends the process quietly. */
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
 * Writes to standard output. If standard output is a file, Node takes a partial write for a complete one, so that a
 * full disk would cut the output without an error. Therefore files are written to directly.
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

/**
 * Whether standard output is something to which Node writes synchronously: a file, or a device other than a terminal.
 */
function isFile(): boolean {
  const found = fstatSync(process.stdout.fd);
  return found.isFile() || (found.isCharacterDevice() && !process.stdout.isTTY);
}

/** Prints a value as one line of JSON. */
export async function writeJson(value: unknown): Promise<void> {
  const writer = new LineWriter();
  await writer.write(JSON.stringify(value));
  await writer.flush();
}

/** Formats a table. The first column is aligned to the left, the others to the right. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => widthOf(rows, column));
  return rows
    .map((row) =>
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join("  "),
    )
    .join("\n");
}

/** Formats a table of text with all columns aligned to the left. */
export function alignText(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => widthOf(rows, column));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Prints which lines of a log were left out, and how many users have no clicks. */
export function sayReport({ badLines, skipped, withoutClicks }: LogReport): void {
  for (const message of badLines) say(`left out ${message}`);
  if (skipped > badLines.length) say(`left out ${skipped - badLines.length} more lines`);
  if (withoutClicks > 0) say(`${withoutClicks} users without clicks`);
}

/** Length of the longest cell of a column. */
export function widthOf(rows: readonly (readonly string[])[], column: number): number {
  return rows.reduce((longest, row) => Math.max(longest, row[column]!.length), 0);
}

/** Prints a warning about something that looks wrong but does not stop the command. */
export function warn(message: string): void {
  say(`warning: ${message}`);
}

/** Log options of every command that reads a click log. */
export const LOG_MESSAGES = { onReport: sayReport, onWarning: warn };

/** Prints a line to standard error, so that standard output has results only. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
