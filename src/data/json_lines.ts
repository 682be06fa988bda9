import { replaceFile } from "./files.js";

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
