import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, chown, type FileHandle, rename, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DATASET } from "../data/dataset.js";
import { destinationOf, isWritable, replaceFile, syncFile, syncFolder } from "../data/files.js";
import { withOutputFiles, withScratchFolder } from "../data/output_folder.js";
import { jsonLinesToParquet } from "../data/tables/parquet.js";
import { checkChoice, checkOptions, checkPath, type OptionNames, ShortlistError } from "../errors.js";
import { expectModel, MODEL, type Model } from "../model/model.js";
import { INDEX } from "./item_index.js";
import {
  MINE_OPTIONS,
  MINE_SIMILAR_OPTIONS,
  MINE_USERS_OPTIONS,
  type MineOptions,
  type MineSimilarOptions,
  type MineUsersOptions,
  minePopular,
  mineSimilar,
  mineUsers,
} from "./mine.js";
import { type MinedList, minedLine } from "./mined_line.js";
import { UnfinishedLines } from "./unfinished_lines.js";

/** A form of files of mined lists. */
export type MinedForm = "jsonl" | "text" | "parquet";

/** Options of all functions that write mined lists to a file. */
export interface MinedFileOptions {
  /** Path of the file to write. */
  readonly output: string;
  /**
   * - "jsonl" (default): each line is a list, as JSON.
   * - "text": each line is a user or item, a tab and item:number,item:number,…
   * - "parquet": the members of the JSON lines as columns. This form needs the package `@duckdb/node-api`.
   */
  readonly format?: MinedForm | undefined;
  /**
   * Continues a run that was interrupted, of the same model with the same options and inputs (default false: starts
   * anew). The file has the same bytes as that of an uninterrupted run.
   */
  readonly resume?: boolean | undefined;
  /** Called a few times a second with the number of lists that are written. */
  readonly onProgress?: ((progress: MinedReport) => void) | undefined;
}

/** How many lists were written. */
export interface MinedReport {
  /** Number of lists, those of interrupted runs included. */
  readonly lists: number;
  /** How many of them interrupted runs had written. */
  readonly resumed: number;
}

const FILE_OPTIONS: Readonly<Record<keyof MinedFileOptions, true>> = {
  output: true,
  format: true,
  resume: true,
  onProgress: true,
};

/** Options of `writeMinedUsers`. */
export interface WriteMinedUsersOptions extends Omit<MineUsersOptions, "skip">, MinedFileOptions {}
/** Options of `writeMinedSimilar`. */
export interface WriteMinedSimilarOptions extends Omit<MineSimilarOptions, "skip">, MinedFileOptions {}
/** Options of `writeMinedPopular`. */
export interface WriteMinedPopularOptions extends Omit<MineOptions, "skip">, MinedFileOptions {}

/** Lists to write. */
interface Mined {
  readonly kind: "users" | "similar" | "popular";
  readonly top: number;
  /** Paths of the files that the lists depend on, by option. */
  readonly files: Readonly<Record<string, unknown>>;
  /** Anything else that they depend on. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly lists: (skip: number) => AsyncIterable<MinedList>;
  /** SQL types of the columns of a Parquet file. */
  readonly columns: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
}

/**
 * Writes the shortlists of `mineUsers` to a file, which appears when it is complete. What an interrupted run has
 * written stays in a hidden folder beside it, from which `resume` continues (docs/files.md). Throws ERR_BUSY if another
 * process is writing the file, ERR_DEPENDENCY for "parquet" without its package, ERR_OPTION if the interrupted run was
 * another one, and the errors of `mineUsers`.
 */
export async function writeMinedUsers(model: Model, options: WriteMinedUsersOptions): Promise<MinedReport> {
  const { output, format, resume, onProgress, ...mine } = checkMined(
    "writeMinedUsers",
    model,
    options,
    MINE_USERS_OPTIONS,
  );
  const { top = 30, users, log, index, onBadLine, maxLineBytes, signal } = mine;
  return writeMined(model, options, {
    kind: "users",
    top,
    files: { users, log },
    settings: { onBadLine, maxLineBytes, index: index && [index.model, index.top, index.searchWidth] },
    lists: (skip) => mineUsers(model, { ...mine, skip }),
    columns: {
      user: "VARCHAR",
      known: "BOOLEAN",
      items: "STRUCT(item VARCHAR, title VARCHAR, score FLOAT, probability DOUBLE)[]",
    },
    signal,
  });
}

/** Writes the lists of `mineSimilar` to a file, as `writeMinedUsers` does. */
export async function writeMinedSimilar(model: Model, options: WriteMinedSimilarOptions): Promise<MinedReport> {
  const { output, format, resume, onProgress, ...mine } = checkMined(
    "writeMinedSimilar",
    model,
    options,
    MINE_SIMILAR_OPTIONS,
  );
  return writeMined(model, options, {
    kind: "similar",
    top: mine.top ?? 30,
    files: { items: mine.items },
    settings: {},
    lists: (skip) => mineSimilar(model, { ...mine, skip }),
    columns: {
      item: "VARCHAR",
      title: "VARCHAR",
      similar: "STRUCT(item VARCHAR, title VARCHAR, similarity FLOAT)[]",
    },
    signal: mine.signal,
  });
}

/** Writes the items of `minePopular` to a file, as `writeMinedUsers` does. */
export async function writeMinedPopular(model: Model, options: WriteMinedPopularOptions): Promise<MinedReport> {
  const { output, format, resume, onProgress, ...mine } = checkMined("writeMinedPopular", model, options, MINE_OPTIONS);
  return writeMined(model, options, {
    kind: "popular",
    top: mine.top ?? 30,
    files: {},
    settings: {},
    lists: (skip) => minePopular(model, { ...mine, skip }),
    columns: { item: "VARCHAR", title: "VARCHAR", clicks: "BIGINT", share: "DOUBLE" },
    signal: mine.signal,
  });
}

function checkMined<Options extends MinedFileOptions>(
  what: string,
  model: Model,
  options: Options,
  names: OptionNames,
): Options {
  const { skip: _, ...own } = names;
  checkOptions(what, options, { ...own, ...FILE_OPTIONS });
  expectModel(model);
  checkPath("output", options.output);
  checkChoice("format", options.format ?? "jsonl", ["jsonl", "text", "parquet"]);
  checkChoice("resume", options.resume ?? false, [true, false]);
  return options;
}

async function writeMined(model: Model, options: MinedFileOptions, mined: Mined): Promise<MinedReport> {
  const { output, resume = false } = options;
  return withOutputFiles([output], [MODEL, DATASET, INDEX], async () => {
    mined.signal?.throwIfAborted();
    const { target, isFile } = await destinationOf(output);
    if (isFile && (await isWritable(dirname(target)))) return writeResumable(model, target, options, mined);
    if (!resume) return writeAtOnce(output, options, mined);
    throw new ShortlistError(
      "ERR_OPTION",
      `Cannot resume ${output}: only a file whose folder can be written is resumed`,
    );
  });
}

/** Calls `write` with the line of each list, and reports progress. */
async function writeLines(
  { lists }: Mined,
  { format, onProgress }: MinedFileOptions,
  resumed: number,
  write: (line: string) => Promise<void>,
): Promise<MinedReport> {
  let [written, reported] = [resumed, performance.now()];
  for await (const list of lists(resumed)) {
    await write(minedLine(list, format === "text" ? "text" : "jsonl"));
    written++;
    if (performance.now() - reported < PROGRESS_MS) continue;
    reported = performance.now();
    onProgress?.({ lists: written, resumed });
  }
  return { lists: written, resumed };
}

const PROGRESS_MS = 250;

async function writeResumable(
  model: Model,
  target: string,
  options: MinedFileOptions,
  mined: Mined,
): Promise<MinedReport> {
  if (
    await stat(target).then(
      (found) => found.isDirectory(),
      () => false,
    )
  ) {
    throw new ShortlistError("ERR_FILE", `Cannot write ${target}: it is a folder`);
  }
  const lines = await UnfinishedLines.open(target, await describeRun(model, options, mined), options.resume ?? false);
  let report: MinedReport;
  try {
    report = await writeLines(mined, options, lines.resumed, (line) => lines.write(line));
    await lines.checkpoint();
  } catch (error) {
    // So that another run continues here. If the disk is full, it continues at the last checkpoint.
    await lines.checkpoint().catch(() => undefined);
    throw error;
  } finally {
    await lines.close();
  }
  const path = options.format === "parquet" ? await toParquet(lines.folder, lines.path, mined) : lines.path;
  mined.signal?.throwIfAborted();
  await takePlace(path, target);
  await lines.remove();
  return report;
}

/** Writes to a device, a pipe, or a file in a folder that takes no new files. */
async function writeAtOnce(output: string, options: MinedFileOptions, mined: Mined): Promise<MinedReport> {
  let report: MinedReport = { lists: 0, resumed: 0 };
  const write = async (file: FileHandle) => {
    report = await writeLines(mined, options, 0, (line) => file.writeFile(`${line}\n`));
  };
  if (options.format !== "parquet") {
    await replaceFile(output, write);
    return report;
  }
  await withScratchFolder(output, async (folder) => {
    const path = join(folder, "lines");
    await replaceFile(path, write);
    const parquet = await toParquet(folder, path, mined);
    await replaceFile(output, async (file) => {
      for await (const piece of createReadStream(parquet)) await file.writeFile(piece);
    });
  });
  return report;
}

/** About the bytes of an item of a list in memory. */
const BYTES_OF_ITEM = 64;

async function toParquet(folder: string, lines: string, { kind, top, columns, signal }: Mined): Promise<string> {
  const path = join(folder, "lists.parquet");
  const bytes = BYTES_OF_ITEM * (kind === "popular" ? 1 : top);
  const metadata = { shortlist: JSON.stringify({ format: "shortlist-lists", version: 1, of: kind }) };
  await withScratchFolder(path, (scratch) =>
    jsonLinesToParquet(scratch, lines, path, columns, bytes, metadata, signal),
  );
  return path;
}

/** Puts a finished file in the place of another one, whose owner and mode it takes. */
async function takePlace(path: string, target: string): Promise<void> {
  const before = await stat(target).catch(() => undefined);
  if (before) {
    await chown(path, before.uid, before.gid).catch(() => undefined);
    await chmod(path, before.mode & 0o7777);
  }
  await syncFile(path);
  await rename(path, target);
  await syncFolder(dirname(target));
}

/** Describes everything that the lines of a run depend on. A run is resumed only by one with the same description. */
async function describeRun(
  { id }: Model,
  { format = "jsonl", resume }: MinedFileOptions,
  { kind, top, files, settings, signal }: Mined,
): Promise<string> {
  const digests: Record<string, string> = {};
  for (const [option, path] of Object.entries(files)) {
    if (path !== undefined) digests[option] = await digestOf(option, path, resume, signal);
  }
  if (resume && id === undefined) {
    throw new ShortlistError("ERR_OPTION", "Cannot resume with a model that has no id: save it, and open it again");
  }
  return JSON.stringify({ mine: kind, model: id, top, format, ...settings, ...digests });
}

/** The SHA-256 of a file. What can be read only once has none, so such a run is not resumed. */
async function digestOf(
  option: string,
  path: unknown,
  resume: boolean | undefined,
  signal: AbortSignal | undefined,
): Promise<string> {
  const isFile =
    typeof path === "string" &&
    (await stat(path).then(
      (found) => found.isFile(),
      () => true,
    ));
  if (!isFile) {
    if (!resume) return "not a file";
    throw new ShortlistError("ERR_OPTION", `Cannot resume: Expected ${option} to be the path of a file`);
  }
  const hash = createHash("sha256");
  for await (const piece of createReadStream(path)) {
    signal?.throwIfAborted();
    hash.update(piece);
  }
  return hash.digest("hex");
}
