import type { ErrorCode } from "../errors.js";
import { exists, parseJson, readText, replaceFile } from "./files.js";

/** A file that grows by one JSON value per line. At every moment it holds whole lines only. */
export class JsonLines {
  readonly #path: string;
  readonly #lines: string[];

  /** `values` are the lines that the file already has. The file is first written when a line is added. */
  constructor(path: string, values: readonly unknown[] = []) {
    this.#path = path;
    this.#lines = values.map((value) => JSON.stringify(value));
  }

  async add(value: unknown): Promise<void> {
    this.#lines.push(JSON.stringify(value));
    await replaceFile(this.#path, (file) => file.writeFile(this.#lines.map((line) => `${line}\n`).join("")));
  }
}

/**
 * Reads the values of such a file; none if there is no file. Throws an error of `code` that names the line if one is
 * not JSON.
 */
export async function readJsonLines(path: string, code: ErrorCode): Promise<unknown[]> {
  if (!(await exists(path))) return [];
  const lines = (await readText(path)).split("\n").filter((line) => line !== "");
  return lines.map((line, i) => parseJson(line, `${path}:${i + 1}`, code));
}
