import { mkdirSync } from "node:fs";
import { type FileHandle, open, readFile, rm, stat, truncate } from "node:fs/promises";
import { dirname, join } from "node:path";
import { formatJson, parseJson, replaceFile, syncFolder } from "../data/files.js";
import { unfinishedNameFor } from "../data/hidden_names.js";
import { ShortlistError } from "../errors.js";

const LINES = "lines";
const STATE = "state.json";
const CHECKPOINT_MS = 2000;
const BUFFER_CHARACTERS = 1 << 16;

/** Where a run continues: the run itself, the lines that are safely on the disk, and their bytes. */
interface State {
  readonly run: string;
  readonly lines: number;
  readonly bytes: number;
}

/**
 * The lines of an output that is being written, in a hidden folder beside it. If the run is interrupted, even by a
 * crash of the machine, another one continues after the lines of the last checkpoint.
 */
export class UnfinishedLines {
  readonly folder: string;
  /** Number of lines, those of earlier runs included. */
  lines: number;
  /** Number of lines of earlier runs. */
  readonly resumed: number;
  readonly #run: string;
  readonly #file: FileHandle;
  #bytes: number;
  #buffer: string[] = [];
  #length = 0;
  #checkpoint = performance.now();

  private constructor(folder: string, file: FileHandle, { run, lines, bytes }: State) {
    this.folder = folder;
    this.#file = file;
    this.#run = run;
    this.lines = lines;
    this.resumed = lines;
    this.#bytes = bytes;
  }

  /**
   * Starts the output `target`, or continues it with `resume`. `run` describes everything that its lines depend on;
   * throws ERR_OPTION if the interrupted run had another one.
   */
  static async open(target: string, run: string, resume: boolean): Promise<UnfinishedLines> {
    const folder = unfinishedNameFor(target);
    const path = join(folder, LINES);
    const before = resume ? await readState(folder) : undefined;
    if (before && before.run !== run) {
      throw new ShortlistError(
        "ERR_OPTION",
        `Cannot resume ${target}: Expected ${run} but the interrupted run was ${before.run}. Repeat that run, or start anew without resume`,
      );
    }
    if (before) {
      await truncate(path, before.bytes);
    } else {
      await rm(folder, { recursive: true, force: true });
      mkdirSync(folder);
      await syncFolder(dirname(folder));
    }
    const lines = new UnfinishedLines(folder, await open(path, "a"), before ?? { run, lines: 0, bytes: 0 });
    if (!before) await lines.checkpoint();
    return lines;
  }

  get path(): string {
    return join(this.folder, LINES);
  }

  async write(line: string): Promise<void> {
    this.#buffer.push(line, "\n");
    this.#length += line.length + 1;
    this.lines++;
    if (this.#length >= BUFFER_CHARACTERS) await this.#flush();
    if (performance.now() - this.#checkpoint >= CHECKPOINT_MS) await this.checkpoint();
  }

  async #flush(): Promise<void> {
    const bytes = Buffer.from(this.#buffer.join(""));
    this.#buffer = [];
    this.#length = 0;
    await this.#file.writeFile(bytes);
    this.#bytes += bytes.length;
  }

  /** Makes the lines so far survive a crash. */
  async checkpoint(): Promise<void> {
    await this.#flush();
    await this.#file.sync();
    const state: State = { run: this.#run, lines: this.lines, bytes: this.#bytes };
    await replaceFile(join(this.folder, STATE), (file) => file.writeFile(formatJson(state)));
    this.#checkpoint = performance.now();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** Removes the folder, after its lines have become the output. */
  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The state of an interrupted run. Undefined if there is none that can be continued. */
async function readState(folder: string): Promise<State | undefined> {
  const text = await readFile(join(folder, STATE), "utf8").catch(() => undefined);
  const found = await stat(join(folder, LINES)).catch(() => undefined);
  if (text === undefined || !found) return undefined;
  const state = parseJson(text, join(folder, STATE), "ERR_FILE") as State;
  return found.size >= state.bytes ? state : undefined;
}
