import type { ErrorCode } from "../errors.js";
import { exists, parseJson, readText, replaceFile } from "./files.js";

/** A file of JSON values, one a line, that grows: whenever it is looked at, it holds whole lines. */
export class JsonLines {
  readonly #path: string;
  readonly #lines: string[];

  /** `values` are the lines that are there already; the file is written when the first one is added. */
  constructor(path: string, values: readonly unknown[] = []) {
    this.#path = path;
    this.#lines = values.map((value) => JSON.stringify(value));
  }

  async add(value: unknown): Promise<void> {
    this.#lines.push(JSON.stringify(value));
    await replaceFile(this.#path, (file) => file.writeFile(this.#lines.map((line) => `${line}\n`).join("")));
  }
}

/** The values of such a file, none where there is no file; an error of `code` names the line that is no JSON. */
export async function readJsonLines(path: string, code: ErrorCode): Promise<unknown[]> {
  if (!(await exists(path))) return [];
  const lines = (await readText(path)).split("\n").filter((line) => line !== "");
  return lines.map((line, i) => parseJson(line, `${path}:${i + 1}`, code));
}
