import type { Clicks } from "../data/clicks.js";
import { DATASET } from "../data/dataset.js";
import { encodeUsers } from "../data/encode_log.js";
import { withOutputFiles } from "../data/output_folder.js";
import type { Log } from "../data/sources/log.js";
import { LOG_OPTIONS, type ReportedLogOptions } from "../data/sources/read_log.js";
import { Turns } from "../data/turns.js";
import { checkChoice, checkOptions, checkPath, type OptionNames } from "../errors.js";
import { isKnownUser, warnOfUnknown } from "../model/known.js";
import { expectModel, MODEL, type Model } from "../model/model.js";
import { notFinite } from "../model/scores.js";
import { itemVectors, largestSquare, simpleLshItems, simpleLshUsers, userVectors } from "./simple_lsh.js";
import { pathsOf, type VectorForm, type Vectors, type VectorTransform, writeVectorFiles } from "./vector_files.js";

/** Options of `writeUserVectors`. */
export interface UserVectorOptions extends VectorOptions, ReportedLogOptions {}

/** Options of `writeItemVectors`. */
export interface VectorOptions {
  /** Path of the file to write. */
  readonly output: string;
  /**
   * - "text" (default): each line is an id, a tab and the elements separated by commas.
   * - "npy": a float32 array [rows, width] of NumPy. The ids of its rows are in `<output>.tokens.txt`, one a line, and
   *   `<output>.json` says which model made the vectors.
   * - "parquet": columns `id` and `vector` (a list of float32). The metadata say which model made the vectors. This form
   *   needs the package `@duckdb/node-api`.
   */
  readonly format?: VectorForm | undefined;
  /**
   * - "none" (default for npy and parquet): [1; u] for users and [b; w] for items, whose inner product is the score. The
   *   vectors have one element more than the model's user vectors.
   * - "simple_lsh" (default for text): for each user, the order of items by cosine is their order by score. The vectors
   *   have two elements more.
   */
  readonly transform?: VectorTransform | undefined;
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

interface Form {
  readonly format: VectorForm;
  readonly transform: VectorTransform;
}

/** Checks the options, and returns the form to write with its defaults. */
function formOf(what: string, options: VectorOptions, names: OptionNames): Form {
  checkOptions(what, options, names);
  const { output, format = "text", transform = format === "text" ? "simple_lsh" : "none" } = options;
  checkPath("output", output);
  checkChoice("format", format, ["text", "npy", "parquet"]);
  checkChoice("transform", transform, ["simple_lsh", "none"]);
  return { format, transform };
}

/** Result of writing vectors. */
export interface VectorReport {
  /** Number of vectors. */
  readonly count: number;
  /** Number of elements of each vector. */
  readonly width: number;
  /** The transform of the vectors. */
  readonly transform: VectorTransform;
}

/**
 * Writes a vector for the user of each line. Items that the user may click next are near it (docs/vector_search.md).
 * Throws ERR_DIVERGED if a vector is not finite, ERR_BUSY if another process is writing the file, ERR_DEPENDENCY for
 * "parquet" without its package, and the errors of `readLog`.
 */
export async function writeUserVectors(model: Model, log: Log, options: UserVectorOptions): Promise<VectorReport> {
  const form = formOf("writeUserVectors", options, USER_VECTOR_OPTIONS);
  expectModel(model);
  return withOutputFiles(pathsOf(options.output, form.format), [MODEL, DATASET], async () => {
    const { clicks, userIds } = await encodeUsers(log, model.description, options);
    await warnOfUnknown(log, clicks, isKnownUser(model, clicks), options);
    const width = model.description.config.userVectorWidth + 1;
    const chunks = () => vectorsOfUsers(model, clicks, options.signal);
    const plain = { count: clicks.users, id: (row: number) => userIds[row]!, width, chunks };
    return write(model, "users", plain, (rows) => simpleLshUsers(rows, width), form, options);
  });
}

/**
 * Writes the vector of each item in the order of ids, without `<unk>` (docs/vector_search.md). Throws ERR_DIVERGED if a
 * vector is not finite, ERR_BUSY if another process is writing the file, and ERR_DEPENDENCY for "parquet" without its
 * package.
 */
export async function writeItemVectors(model: Model, options: VectorOptions): Promise<VectorReport> {
  const form = formOf("writeItemVectors", options, VECTOR_OPTIONS);
  expectModel(model);
  return withOutputFiles(pathsOf(options.output, form.format), [MODEL, DATASET], async () => {
    options.signal?.throwIfAborted();
    await model.items.load(new Turns(options.signal));
    const plain = plainItems(model);
    const { width } = plain;
    const largest = form.transform === "simple_lsh" ? await largestNorm(plain, options.signal) : 0;
    return write(model, "items", plain, (rows) => simpleLshItems(rows, width, largest), form, options);
  });
}

/** Number of vectors that are computed and written at once: few, so that the event loop can run in between. */
const ROWS_AT_ONCE = 64;

/** Yields the vectors [1; u] of all users. */
async function* vectorsOfUsers(model: Model, clicks: Clicks, signal: AbortSignal | undefined) {
  const { window, windows, userVectorWidth: width } = model.description.config;
  const batches = model.engine.createUserBatches({ clicks, window, windows });
  for (let b = 0; b < batches.batches; b++) {
    signal?.throwIfAborted();
    const outputs = await model.runUsers(["user_vector"], batches, b);
    const users = outputs["user_vector"] as Float32Array;
    for (let first = 0; first < users.length; first += ROWS_AT_ONCE * width) {
      yield userVectors(users.subarray(first, first + ROWS_AT_ONCE * width), width);
    }
  }
}

/** The vectors [b; w] of all items but `<unk>`. The vocabulary of the items must be loaded. */
export function plainItems(model: Model): Vectors {
  const { items, description } = model;
  const id = (row: number) => items.token(row + 1);
  const width = description.config.userVectorWidth + 1;
  return { count: items.size - 1, id, width, chunks: () => vectorsOfItems(model) };
}

/** Yields the vectors [b; w] of all items but `<unk>`. */
async function* vectorsOfItems({ store, items, description }: Model) {
  const width = description.config.userVectorWidth;
  for (let first = 1; first < items.size; first += ROWS_AT_ONCE) {
    const count = Math.min(ROWS_AT_ONCE, items.size - first);
    const rowsOf = (name: string, columns: number) => store.read(name, first * columns, count * columns);
    yield itemVectors(rowsOf("output.weight", width) as Float32Array, rowsOf("output.bias", 1) as Float32Array);
  }
}

/** The largest squared norm of these vectors. */
export async function largestNorm({ width, chunks }: Vectors, signal: AbortSignal | undefined): Promise<number> {
  const turns = new Turns(signal);
  let largest = 0;
  for await (const rows of chunks()) {
    largest = Math.max(largest, largestSquare(rows, width));
    if (turns.isDue) await turns.take();
  }
  return largest;
}

async function write(
  model: Model,
  of: "users" | "items",
  plain: Vectors,
  simpleLsh: (rows: Float64Array) => Float64Array,
  { format, transform }: Form,
  { output, signal }: VectorOptions,
): Promise<VectorReport> {
  const isPlain = transform === "none";
  const width = plain.width + (isPlain ? 0 : 1);
  const chunks = async function* () {
    let first = 0;
    for await (const rows of plain.chunks()) {
      const broken = rows.findIndex((value) => !Number.isFinite(Math.fround(value)));
      if (broken >= 0) throw notFinite(`The vector of "${plain.id(first + Math.floor(broken / plain.width))}" is`);
      first += rows.length / plain.width;
      yield isPlain ? rows : simpleLsh(rows);
    }
  };
  const { count, id } = plain;
  const origin = { model: model.id ?? null, of, transform, width, count };
  await writeVectorFiles(output, format, { count, id, width, chunks }, origin, signal);
  return { count, width, transform };
}
