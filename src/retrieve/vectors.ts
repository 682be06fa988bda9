import { encodeUsers } from "../data/clicks.js";
import { DATASET } from "../data/dataset.js";
import { type OutputFile, replaceFiles } from "../data/files.js";
import { withOutputFiles } from "../data/output_folder.js";
import type { Log } from "../data/sources/log.js";
import { LOG_OPTIONS, type ReportedLogOptions } from "../data/sources/read_log.js";
import { Turns } from "../data/turns.js";
import { checkChoice, checkOptions, checkPath, type OptionNames } from "../errors.js";
import { isKnownUser, warnOfUnknown } from "../model/known.js";
import { expectModel, MODEL, type Model } from "../model/model.js";
import { notFinite } from "../model/scores.js";
import { itemVectors, largestSquare, simpleLshItems, simpleLshUsers, userVectors } from "./simple_lsh.js";

/** Options of `writeUserVectors`. */
export interface UserVectorOptions extends VectorOptions, ReportedLogOptions {}

/** Options of `writeItemVectors`. */
export interface VectorOptions {
  /** Path of the file to write. */
  readonly output: string;
  /**
   * "text" (default): each line is a token, a tab and the elements separated by commas. "npy": a float32 array [rows,
   * width], with the tokens of its rows in `<output>.tokens.txt`.
   */
  readonly format?: "text" | "npy" | undefined;
  /**
   * "simple_lsh" (default): for each user, the order of items by cosine is their order by score. "none": [1; u] for
   * users and [b; w] for items, whose inner product is the score.
   */
  readonly transform?: "simple_lsh" | "none" | undefined;
  /** Stops the work, which rejects with the signal's reason. Nothing is written then. */
  readonly signal?: AbortSignal | undefined;
}

const VECTOR_OPTIONS: Readonly<Record<keyof VectorOptions, true>> = {
  output: true,
  format: true,
  transform: true,
  signal: true,
};
const USER_VECTOR_OPTIONS: Readonly<Record<keyof UserVectorOptions, true>> = { ...VECTOR_OPTIONS, ...LOG_OPTIONS };

function checkVectorOptions(what: string, options: VectorOptions, names: OptionNames): void {
  checkOptions(what, options, names);
  const { output, format = "text", transform = "simple_lsh" } = options;
  checkPath("output", output);
  checkChoice("format", format, ["text", "npy"]);
  checkChoice("transform", transform, ["simple_lsh", "none"]);
}

/** Result of writing vectors. */
export interface VectorReport {
  /** Number of vectors. */
  readonly count: number;
  /** Number of elements of each vector. */
  readonly width: number;
}

/**
 * Vectors that are computed a few at a time, so that they are never all in memory and the event loop can run in
 * between.
 */
interface VectorRows {
  readonly tokens: readonly string[];
  readonly width: number;
  /** Returns the vectors of `count` rows from row `first` on: [count, width]. */
  read(first: number, count: number): Float64Array;
}

/**
 * Writes a vector for the user of each line. Items that the user may click next are near it (docs/math.md#retrieval).
 * Throws ERR_DIVERGED if a vector is not finite, ERR_BUSY if another process is writing the file, and the errors of
 * `readLog`.
 */
export async function writeUserVectors(model: Model, log: Log, options: UserVectorOptions): Promise<VectorReport> {
  checkVectorOptions("writeUserVectors", options, USER_VECTOR_OPTIONS);
  expectModel(model);
  return withOutputFiles(pathsOf(options), [MODEL, DATASET], () => writeVectorsOfUsers(model, log, options));
}

async function writeVectorsOfUsers(model: Model, log: Log, options: UserVectorOptions): Promise<VectorReport> {
  const { clicks, userIds } = await encodeUsers(log, model.description, options);
  await warnOfUnknown(log, clicks, isKnownUser(model, clicks), options);
  const { window, windows, userVectorWidth: width } = model.description.config;
  const batches = model.engine.createUserBatches({ clicks, window, windows });
  const users = new Float32Array(clicks.users * width);
  for (let b = 0; b < batches.batches; b++) {
    options.signal?.throwIfAborted();
    const outputs = await model.runUsers(["user_vector"], batches, b);
    users.set(outputs["user_vector"]!, batches.firstUser(b) * width);
  }
  const plain: VectorRows = {
    tokens: userIds,
    width: width + 1,
    read: (first, count) => userVectors(users.subarray(first * width, (first + count) * width), width),
  };
  await checkVectors(plain, options);
  return writeVectors(
    transformed(plain, options, (rows) => simpleLshUsers(rows, plain.width)),
    options,
  );
}

/**
 * Writes the vector of each item in the order of ids, without `<unk>` (docs/math.md#retrieval). Throws ERR_DIVERGED if
 * a vector is not finite, and ERR_BUSY if another process is writing the file.
 */
export async function writeItemVectors(model: Model, options: VectorOptions): Promise<VectorReport> {
  checkVectorOptions("writeItemVectors", options, VECTOR_OPTIONS);
  expectModel(model);
  return withOutputFiles(pathsOf(options), [MODEL, DATASET], () => writeVectorsOfItems(model, options));
}

async function writeVectorsOfItems(model: Model, options: VectorOptions): Promise<VectorReport> {
  options.signal?.throwIfAborted();
  await model.items.load(new Turns(options.signal));
  const width = model.description.config.userVectorWidth;
  const rowsOf = (name: string, columns: number, first: number, count: number) =>
    model.store.read(name, (first + 1) * columns, count * columns) as Float32Array;
  const plain: VectorRows = {
    tokens: model.items.tokens.slice(1),
    width: width + 1,
    read: (first, count) =>
      itemVectors(rowsOf("output.weight", width, first, count), rowsOf("output.bias", 1, first, count)),
  };
  const largest = await checkVectors(plain, options);
  return writeVectors(
    transformed(plain, options, (rows) => simpleLshItems(rows, plain.width, largest)),
    options,
  );
}

/** Returns the largest squared norm. Throws ERR_DIVERGED if a vector is not finite, before anything is written. */
async function checkVectors({ tokens, width, read }: VectorRows, { signal }: VectorOptions): Promise<number> {
  const turns = new Turns(signal);
  let largest = 0;
  for (let first = 0; first < tokens.length; first += ROWS_AT_ONCE) {
    const rows = read(first, Math.min(ROWS_AT_ONCE, tokens.length - first));
    const broken = rows.findIndex((value) => !Number.isFinite(Math.fround(value)));
    if (broken >= 0) throw notFinite(`The vector of "${tokens[first + Math.floor(broken / width)]}" is`);
    largest = Math.max(largest, largestSquare(rows, width));
    if (turns.isDue) await turns.take();
  }
  return largest;
}

/** Returns the vectors after the transform of the options. SIMPLE-LSH adds a column. */
function transformed(
  plain: VectorRows,
  options: VectorOptions,
  simpleLsh: (rows: Float64Array) => Float64Array,
): VectorRows {
  if (options.transform === "none") return plain;
  return { ...plain, width: plain.width + 1, read: (first, count) => simpleLsh(plain.read(first, count)) };
}

/** Paths of the files to write. For npy, the tokens of the rows are in a second file. */
function pathsOf({ output, format }: VectorOptions): string[] {
  return format === "npy" ? [output, `${output}.tokens.txt`] : [output];
}

async function writeVectors(rows: VectorRows, options: VectorOptions): Promise<VectorReport> {
  const { format = "text", signal } = options;
  const { tokens, width, read } = rows;
  const writer = (head: string | Buffer, chunk: ChunkWriter) =>
    chunkWriter(head, tokens.length, new Turns(signal), chunk);
  const texts = writer("", (first, count) => {
    const values = Array.from(read(first, count), formatFloat32);
    const line = (_: unknown, row: number) =>
      `${tokens[first + row]}\t${values.slice(row * width, (row + 1) * width).join(",")}\n`;
    return Array.from({ length: count }, line).join("");
  });
  const arrays = writer(npyHead(tokens.length, width), (first, count) => bytesOf(read(first, count)));
  const names = writer("", (first, count) => `${tokens.slice(first, first + count).join("\n")}\n`);
  const writers = format === "npy" ? [arrays, names] : [texts];
  await replaceFiles(pathsOf(options).map((path, i) => ({ path, write: writers[i]! })));
  return { count: tokens.length, width };
}

/** Nine significant digits represent every float32 exactly. */
function formatFloat32(value: number): string {
  return String(Number(Math.fround(value).toPrecision(9)));
}

const ROWS_AT_ONCE = 64;

type ChunkWriter = (first: number, count: number) => string | Uint8Array;

/** Returns a function that writes a head and then `count` rows, some at a time. */
function chunkWriter(head: string | Buffer, count: number, turns: Turns, chunk: ChunkWriter): OutputFile["write"] {
  return async (file) => {
    await file.writeFile(head);
    for (let first = 0; first < count; first += ROWS_AT_ONCE) {
      await file.writeFile(chunk(first, Math.min(ROWS_AT_ONCE, count - first)));
      if (turns.isDue) await turns.take();
    }
  };
}

function bytesOf(values: Float64Array): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}

/** The header of a NumPy file, version 1.0: magic, header length, and a Python dict padded to 64 bytes. */
function npyHead(rows: number, columns: number): Buffer {
  const dict = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${columns}), }`;
  const headerBytes = Math.ceil((10 + dict.length + 1) / 64) * 64 - 10;
  const head = Buffer.alloc(10 + headerBytes, " ");
  head.write("\x93NUMPY\x01\x00", "latin1");
  head.writeUInt16LE(headerBytes, 8);
  head.write(dict, 10, "latin1");
  head[head.length - 1] = 0x0a;
  return head;
}
