import { createReadStream } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { escapeTabs } from "../data/escapes.js";
import { formatJson, type OutputFile, replaceFiles } from "../data/files.js";
import { withScratchFolder } from "../data/output_folder.js";
import { writeParquet } from "../data/tables/parquet.js";
import { Turns } from "../data/turns.js";
import { ShortlistError } from "../errors.js";

/** A form of vector files. */
export type VectorForm = "text" | "npy" | "parquet";

/** How vectors were changed for an index. */
export type VectorTransform = "simple_lsh" | "none";

/** Vectors that are computed a few at a time, so that they are never all in memory. */
export interface Vectors {
  readonly count: number;
  /** Returns the id of a row. */
  readonly id: (row: number) => string;
  /** Number of elements of each vector. */
  readonly width: number;
  /** Yields all rows in order, some at a time: [n, width]. */
  chunks(): AsyncIterable<Float64Array>;
}

/** What the files say of the vectors: those of two models have nothing to do with each other. */
export interface VectorOrigin {
  /** The id of the model that made them; null if it has none. */
  readonly model: string | null;
  readonly of: "users" | "items";
  readonly transform: VectorTransform;
  readonly width: number;
  readonly count: number;
}

/** Key of the origin in the metadata of a Parquet file. */
const METADATA_KEY = "shortlist";

/** Paths of the files to write. */
export function pathsOf(output: string, format: VectorForm): string[] {
  return format === "npy" ? [output, `${output}.tokens.txt`, `${output}.json`] : [output];
}

/** Writes vectors and their ids. All files appear together, when they are complete. */
export async function writeVectorFiles(
  output: string,
  format: VectorForm,
  vectors: Vectors,
  origin: VectorOrigin,
  signal: AbortSignal | undefined,
): Promise<void> {
  const described = { format: "shortlist-vectors", version: 1, ...origin };
  const writers: Readonly<Record<VectorForm, readonly OutputFile["write"][]>> = {
    text: [(file) => writeChunks(file, vectors, textOf, signal)],
    npy: [
      async (file) => {
        await file.writeFile(npyHead(vectors.count, vectors.width));
        await writeChunks(file, vectors, (values) => new Uint8Array(Float32Array.from(values).buffer), signal);
      },
      (file) => writeIds(file, vectors, signal),
      (file) => file.writeFile(formatJson(described)),
    ],
    parquet: [
      (file) =>
        withScratchFolder(output, async (folder) => {
          const metadata = { [METADATA_KEY]: JSON.stringify(described) };
          const path = await writeParquet(folder, rowsOf(vectors), vectors.width, metadata, signal);
          for await (const piece of createReadStream(path, { highWaterMark: COPIED_BYTES })) {
            signal?.throwIfAborted();
            await file.writeFile(piece);
          }
        }),
    ],
  };
  await replaceFiles(pathsOf(output, format).map((path, i) => ({ path, write: writers[format][i]! })));
}

const COPIED_BYTES = 1 << 20;

/** Yields the rows with their ids. */
async function* rowsOf(vectors: Vectors) {
  let first = 0;
  for await (const values of vectors.chunks()) {
    const count = values.length / vectors.width;
    yield { ids: idsOf(vectors, first, count), values };
    first += count;
  }
}

function idsOf({ id }: Vectors, first: number, count: number): string[] {
  return Array.from({ length: count }, (_, i) => expectLine(id(first + i)));
}

async function writeChunks(
  file: FileHandle,
  vectors: Vectors,
  format: (values: Float64Array, ids: readonly string[]) => string | Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  const turns = new Turns(signal);
  for await (const { ids, values } of rowsOf(vectors)) {
    await file.writeFile(format(values, ids));
    if (turns.isDue) await turns.take();
  }
}

const IDS_AT_ONCE = 4096;

async function writeIds(file: FileHandle, vectors: Vectors, signal: AbortSignal | undefined): Promise<void> {
  const turns = new Turns(signal);
  for (let first = 0; first < vectors.count; first += IDS_AT_ONCE) {
    const ids = idsOf(vectors, first, Math.min(IDS_AT_ONCE, vectors.count - first));
    await file.writeFile(`${ids.join("\n")}\n`);
    if (turns.isDue) await turns.take();
  }
}

/**
 * Returns an id as a line of its own. Tokens have no newlines (docs/click_log.md), but a log source of somebody else may
 * break that rule, and the ids after such a one would belong to other rows.
 */
function expectLine(id: string): string {
  if (!id.includes("\n")) return id;
  throw new ShortlistError(
    "ERR_LOG",
    `Expected ids without newlines but received ${JSON.stringify(id)}. Change the log's source`,
  );
}

function textOf(values: Float64Array, ids: readonly string[]): string {
  const width = values.length / ids.length;
  const numbers = Array.from(values, formatFloat32);
  return ids
    .map((id, row) => `${escapeTabs(id)}\t${numbers.slice(row * width, (row + 1) * width).join(",")}\n`)
    .join("");
}

/** Nine significant digits represent every float32 exactly. */
function formatFloat32(value: number): string {
  return String(Number(Math.fround(value).toPrecision(9)));
}

/** The header of a NumPy file, version 1.0: magic, header length, and a Python dict padded to 64 bytes. */
export function npyHead(rows: number, columns: number): Buffer {
  const dict = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${columns}), }`;
  const headerBytes = Math.ceil((10 + dict.length + 1) / 64) * 64 - 10;
  const head = Buffer.alloc(10 + headerBytes, " ");
  head.write("\x93NUMPY\x01\x00", "latin1");
  head.writeUInt16LE(headerBytes, 8);
  head.write(dict, 10, "latin1");
  head[head.length - 1] = 0x0a;
  return head;
}
