import type { Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { type ErrorCode, ShortlistError } from "../errors.js";
import { fileError, replaceFile } from "./files.js";

/**
 * The safetensors format (https://huggingface.co/docs/safetensors): 8 bytes little-endian length of the header, the
 * header as JSON (name → dtype, shape, byte range), then the tensors back to back.
 */
const DTYPES = { float32: "F32", int32: "I32", uint32: "U32", float64: "F64" } as const;
const ARRAYS = { float32: Float32Array, int32: Int32Array, uint32: Uint32Array, float64: Float64Array } as const;

export type TensorDtype = keyof typeof DTYPES;
export type TensorData = Float32Array | Int32Array | Uint32Array | Float64Array;

export interface StoredTensor {
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** A tensor to write: an array, or a function that gives its elements in chunks, so that it need not exist as a whole. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly data: TensorData | (() => Iterable<TensorData> | AsyncIterable<TensorData>);
}

export interface SafetensorsEntry {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly position: number;
  readonly bytes: number;
}

export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of the file. */
  readonly entries: readonly SafetensorsEntry[];
}

const ALIGNMENT = 8;
const MAX_HEADER_BYTES = 100_000_000;
const PIECE_BYTES = 64 * 1024 * 1024;

/** The metadata key of the id that every member of a model or dataset folder shares. */
export const ID_KEY = "id";
const ID_DIGITS = 64;

/**
 * Writes the tensors in the given order; the same tensors give the same bytes. The file appears whole or not at all.
 * With `contents`, a sha256 of what the id covers besides the tensors, the tensors are added to it, and its hex digest
 * becomes the file's `id` in the metadata and is returned.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
  contents?: Hash,
): Promise<string> {
  const unknownId = "0".repeat(ID_DIGITS);
  const start = formatHeader(path, tensors, contents ? { ...metadata, [ID_KEY]: unknownId } : metadata);
  let id = unknownId;
  await replaceFile(path, async (file) => {
    const write = (bytes: Uint8Array) => {
      contents?.update(bytes);
      return writeAll(file, bytes);
    };
    await write(start);
    for (const tensor of tensors) {
      const chunks = typeof tensor.data === "function" ? tensor.data() : [tensor.data];
      let elements = 0;
      for await (const chunk of chunks) {
        if (!(chunk instanceof ARRAYS[tensor.dtype])) {
          throw new ShortlistError("ERR_FILE", `Cannot write ${path}: tensor "${tensor.name}" is not ${tensor.dtype}`);
        }
        elements += chunk.length;
        await write(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      }
      if (elements !== countElements(tensor.shape)) {
        throw new ShortlistError(
          "ERR_FILE",
          `Cannot write ${path}: expected ${countElements(tensor.shape)} elements for tensor "${tensor.name}" [${tensor.shape.join(", ")}] but received ${elements}`,
        );
      }
    }
    if (!contents) return;
    id = contents.digest("hex");
    await writeAll(file, formatHeader(path, tensors, { ...metadata, [ID_KEY]: id }), 0);
  });
  return id;
}

/** The length of the header and the header, padded. Its metadata are last, so that their values can change in place. */
function formatHeader(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const header: Record<string, unknown> = Object.create(null);
  let offset = 0;
  for (const { name, dtype, shape } of tensors) {
    if (name in header || name === "__metadata__") {
      throw new ShortlistError(
        "ERR_FILE",
        `Cannot write ${path}: tensor "${name}" is there twice or has a reserved name`,
      );
    }
    const end = offset + countElements(shape) * ARRAYS[dtype].BYTES_PER_ELEMENT;
    header[name] = { dtype: DTYPES[dtype], shape, data_offsets: [offset, end] };
    offset = end;
  }
  if (Object.keys(metadata).length > 0) header["__metadata__"] = metadata;
  const json = Buffer.from(JSON.stringify(header));
  const headerBytes = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT;
  const start = Buffer.alloc(8 + headerBytes, " ");
  start.writeBigUInt64LE(BigInt(headerBytes));
  json.copy(start, 8);
  return start;
}

/**
 * Every tensor of a file by name, each in memory of its own; anything wrong with the file is an error of `code`. It is read
 * from `source`, where that is another way to the file than the path that messages name.
 */
export async function readSafetensors(
  path: string,
  code: ErrorCode = "ERR_FILE",
  source = path,
): Promise<{
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}> {
  return withFile(path, code, source, async (file) => {
    const { metadata, entries } = await readHeader(file, path, code);
    const tensors = new Map<string, StoredTensor>();
    for (const { name, dtype, shape, position, bytes } of entries) {
      const memory = new Uint8Array(bytes);
      if ((await readFully(file, memory, position)) < bytes) fail(path, code, "the file is cut short");
      tensors.set(name, { dtype, shape, data: new ARRAYS[dtype](memory.buffer) });
    }
    return { metadata, tensors };
  });
}

/** What a file holds and where, without reading the tensors. */
export async function readSafetensorsHeader(path: string, code: ErrorCode = "ERR_FILE"): Promise<SafetensorsHeader> {
  return withFile(path, code, path, (file) => readHeader(file, path, code));
}

async function withFile<T>(
  path: string,
  code: ErrorCode,
  source: string,
  read: (file: FileHandle) => Promise<T>,
): Promise<T> {
  let file: FileHandle | undefined;
  try {
    file = await open(source, "r");
    return await read(file);
  } catch (error) {
    if (error instanceof ShortlistError) throw error;
    throw new ShortlistError(code, fileError("read", path, error).message, { cause: error });
  } finally {
    await file?.close();
  }
}

async function readHeader(file: FileHandle, path: string, code: ErrorCode): Promise<SafetensorsHeader> {
  const { size } = await file.stat();
  const prefix = Buffer.alloc(8);
  if ((await readFully(file, prefix, 0)) < 8) fail(path, code, `it has only ${size} bytes: the file is cut short`);
  const headerBytes = Number(prefix.readBigUInt64LE());
  if (headerBytes > MAX_HEADER_BYTES)
    fail(path, code, `its header would have ${headerBytes} bytes: not a safetensors file`);
  const dataStart = 8 + headerBytes;
  if (dataStart > size) {
    fail(path, code, `its header needs ${dataStart} bytes, the file has ${size}: it is cut short`);
  }
  const text = Buffer.alloc(headerBytes);
  await readFully(file, text, 8);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch (error) {
    fail(path, code, `its header is not JSON (${(error as Error).message})`);
  }
  if (!isObject(header)) fail(path, code, "its header is not a JSON object");
  const { __metadata__: metadata = {}, ...tensors } = header;
  if (!isObject(metadata) || !Object.values(metadata).every((value) => typeof value === "string")) {
    fail(path, code, `"__metadata__" of its header is not an object of strings`);
  }

  const entries = Object.entries(tensors).map(([name, value]) => {
    const entry = isObject(value) ? value : {};
    const dtype = (Object.keys(DTYPES) as TensorDtype[]).find((known) => DTYPES[known] === entry["dtype"]);
    if (!dtype) {
      const received = JSON.stringify(entry["dtype"]);
      fail(path, code, `expected dtype F32, I32, U32 or F64 for tensor "${name}" but received ${received}`);
    }
    const [shape, offsets] = [entry["shape"], entry["data_offsets"]];
    if (!isCounts(shape)) fail(path, code, `shape of tensor "${name}" is not a list of whole numbers`);
    if (!isCounts(offsets) || offsets.length !== 2)
      fail(path, code, `data_offsets of tensor "${name}" is not a pair of whole numbers`);
    const [begin, end] = offsets as [number, number];
    const bytes = countElements(shape) * ARRAYS[dtype].BYTES_PER_ELEMENT;
    if (end - begin !== bytes) {
      fail(
        path,
        code,
        `tensor "${name}" [${shape.join(", ")}] needs ${bytes} bytes but has the range ${begin} to ${end}`,
      );
    }
    return { name, dtype, shape, position: dataStart + begin, bytes };
  });
  entries.sort((a, b) => a.position - b.position || a.bytes - b.bytes);
  let expected = dataStart;
  for (const { name, position, bytes } of entries) {
    if (position !== expected) {
      fail(
        path,
        code,
        `tensor "${name}" ${position < expected ? "overlaps the one before it" : "leaves a gap before it"}`,
      );
    }
    expected += bytes;
  }
  if (expected > size) fail(path, code, `its tensors need ${expected} bytes, the file has ${size}: it is cut short`);
  if (expected < size)
    fail(path, code, `its tensors need ${expected} bytes, the file has ${size}: it goes on after them`);
  return { metadata: metadata as Record<string, string>, entries };
}

function fail(path: string, code: ErrorCode, problem: string): never {
  throw new ShortlistError(code, `Cannot read ${path}: ${problem}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((member) => Number.isSafeInteger(member) && member >= 0);
}

function countElements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Writes from `position` on, or where the file stands. */
async function writeAll(file: FileHandle, bytes: Uint8Array, position?: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const length = Math.min(PIECE_BYTES, bytes.length - done);
    const at = position === undefined ? null : position + done;
    done += (await file.write(bytes, done, length, at)).bytesWritten;
  }
}

/** Fills `bytes` from `position` on; fewer bytes only where the file ends. */
async function readFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    const length = Math.min(PIECE_BYTES, bytes.length - done);
    const { bytesRead } = await file.read(bytes, done, length, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
