import type { Hash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { type ErrorCode, ShortlistError } from "../errors.js";
import { fileError, readFully, replaceFile } from "./files.js";
import { parseStrictJson } from "./strict_json.js";

/**
 * The safetensors format (https://huggingface.co/docs/safetensors): the length of the header in 8 bytes, little-endian;
 * the header as JSON, which maps names to dtype, shape and byte range; then the tensors without gaps.
 */
const DTYPES = { float32: "F32", int32: "I32", uint32: "U32", float64: "F64" } as const;
/**
 * Bits per element of every dtype of the format, since a file may hold tensors that are not read.
 * native/core/safetensors.cc has the same table.
 */
const DTYPE_BITS: ReadonlyMap<unknown, number> = new Map([
  ...([
    ["F4", 4],
    ["F6_E2M3", 6],
    ["F6_E3M2", 6],
  ] as const),
  ...(["BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"] as const).map((name) => [name, 8] as const),
  ...(["I16", "U16", "F16", "BF16"] as const).map((name) => [name, 16] as const),
  ...(["I32", "U32", "F32"] as const).map((name) => [name, 32] as const),
  ...(["C64", "F64", "I64", "U64"] as const).map((name) => [name, 64] as const),
]);
const ARRAYS = { float32: Float32Array, int32: Int32Array, uint32: Uint32Array, float64: Float64Array } as const;

/** A dtype that Shortlist reads and writes. */
export type TensorDtype = keyof typeof DTYPES;
/** The elements of a tensor. */
export type TensorData = Float32Array | Int32Array | Uint32Array | Float64Array;

/** A tensor that was read from a file. */
export interface SafetensorsTensor {
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/**
 * A tensor to write. `data` is an array, or a function that returns the elements in chunks, so that they need not be in
 * memory all at once.
 */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly data: TensorData | (() => Iterable<TensorData> | AsyncIterable<TensorData>);
}

/** What the header says of one tensor. */
export interface SafetensorsEntry {
  readonly name: string;
  /** Undefined for a dtype that Shortlist does not use. */
  readonly dtype: TensorDtype | undefined;
  readonly shape: readonly number[];
  /** Position of the first byte in the file. */
  readonly position: number;
  readonly bytes: number;
}

/** The header of a file. */
export interface SafetensorsHeader {
  readonly metadata: Readonly<Record<string, string>>;
  /** The tensors, in the order of the file. */
  readonly entries: readonly SafetensorsEntry[];
}

const ALIGNMENT = 8;
const MAX_HEADER_BYTES = 100_000_000;
const OPENING_BRACE = 0x7b;
const PIECE_BYTES = 64 * 1024 * 1024;

/** Metadata key of the id that all members of a model or dataset folder have in common. */
export const ID_KEY = "id";
const ID_DIGITS = 64;

/**
 * Writes tensors to a file, in the given order. The same tensors give the same bytes, and the file appears only when it
 * is complete. `contents` is a sha256 of everything else that the id covers. If it is given, the tensors are added to
 * it, and its hex digest is stored as `id` in the metadata and returned. The signal is checked between pieces.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata: Readonly<Record<string, string>> = {},
  contents?: Hash,
  signal?: AbortSignal,
): Promise<string> {
  const unknownId = "0".repeat(ID_DIGITS);
  const start = formatHeader(path, tensors, contents ? { ...metadata, [ID_KEY]: unknownId } : metadata);
  let id = unknownId;
  await replaceFile(path, async (file) => {
    const write = (bytes: Uint8Array) => {
      contents?.update(bytes);
      return writeAll(file, bytes, undefined, signal);
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

/**
 * Returns the length of the header and the padded header, together a multiple of `alignment` bytes. The metadata come last, so that a value can be overwritten in
 * place.
 */
export function formatHeader(
  path: string,
  tensors: readonly Omit<TensorToWrite, "data">[],
  metadata: Readonly<Record<string, string>>,
  alignment = ALIGNMENT,
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
  const headerBytes = Math.ceil((json.length + 8) / alignment) * alignment - 8;
  const start = Buffer.alloc(8 + headerBytes, " ");
  start.writeBigUInt64LE(BigInt(headerBytes));
  json.copy(start, 8);
  return start;
}

/**
 * Reads all tensors of a file that have one of the dtypes above, each into its own memory. Throws an error of `code` if
 * the file is not valid. `source` is the path to read if it differs from `path`, which messages show.
 */
export async function readSafetensors(
  path: string,
  code: ErrorCode = "ERR_FILE",
  source = path,
  signal?: AbortSignal,
): Promise<{
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>;
}> {
  const file = await SafetensorsFile.open(path, code, source);
  try {
    const tensors = new Map<string, SafetensorsTensor>();
    for (const { name, dtype } of file.entries) if (dtype) tensors.set(name, await file.read(name, signal));
    return { metadata: file.metadata, tensors };
  } finally {
    await file.close();
  }
}

/** A file that stays open, so that its tensors can be read one by one even if another file takes its name. */
export class SafetensorsFile implements SafetensorsHeader {
  readonly path: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly entries: readonly SafetensorsEntry[];
  readonly handle: FileHandle;
  readonly #code: ErrorCode;
  readonly #byName: ReadonlyMap<string, SafetensorsEntry>;

  private constructor(path: string, code: ErrorCode, handle: FileHandle, header: SafetensorsHeader) {
    this.path = path;
    this.#code = code;
    this.handle = handle;
    this.metadata = header.metadata;
    this.entries = header.entries;
    this.#byName = new Map(header.entries.map((entry) => [entry.name, entry]));
  }

  /** Opens a file and reads its header. Throws the errors of `readSafetensors`. */
  static async open(path: string, code: ErrorCode = "ERR_FILE", source = path): Promise<SafetensorsFile> {
    let handle: FileHandle | undefined;
    try {
      // With O_NONBLOCK a named pipe is refused instead of waited for.
      handle = await open(source, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
      return new SafetensorsFile(path, code, handle, await readHeader(handle, path, code));
    } catch (error) {
      await handle?.close();
      throw readError(path, code, error);
    }
  }

  /** What the header says of a tensor. Undefined if there is none of that name, or if it has a dtype that is not used. */
  find(name: string): (SafetensorsEntry & { readonly dtype: TensorDtype }) | undefined {
    const entry = this.#byName.get(name);
    return entry?.dtype && { ...entry, dtype: entry.dtype };
  }

  /** Reads a tensor that `find` finds. */
  async read(name: string, signal?: AbortSignal): Promise<SafetensorsTensor> {
    const { dtype, shape, position, bytes } = this.find(name)!;
    try {
      const memory = new Uint8Array(bytes);
      const read = await readFully(this.handle, memory, position, signal);
      if (read === bytes) return { dtype, shape, data: new ARRAYS[dtype](memory.buffer) };
    } catch (error) {
      signal?.throwIfAborted();
      throw readError(this.path, this.#code, error);
    }
    fail(this.path, this.#code, "the file is cut short");
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}

function readError(path: string, code: ErrorCode, error: unknown): ShortlistError {
  if (error instanceof ShortlistError) return error;
  return new ShortlistError(code, fileError("read", path, error).message, { cause: error });
}

/**
 * Reads the names, dtypes, shapes and positions of the tensors, without their elements. Throws the errors of
 * `readSafetensors`.
 */
export async function readSafetensorsHeader(
  path: string,
  code: ErrorCode = "ERR_FILE",
  source = path,
): Promise<SafetensorsHeader> {
  const file = await SafetensorsFile.open(path, code, source);
  await file.close();
  return { metadata: file.metadata, entries: file.entries };
}

async function readHeader(file: FileHandle, path: string, code: ErrorCode): Promise<SafetensorsHeader> {
  const status = await file.stat();
  if (!status.isFile()) fail(path, code, "it is not a regular file");
  const { size } = status;
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
  const where = `Cannot read ${path}: header`;
  const header = parseStrictJson(text, where, code);
  if (!isObject(header) || text[0] !== OPENING_BRACE) fail(path, code, "its header is not a JSON object");
  const { __metadata__: metadata = {}, ...tensors } = header;
  if (!isObject(metadata) || !Object.values(metadata).every((value) => typeof value === "string")) {
    fail(path, code, `"__metadata__" of its header is not an object of strings`);
  }
  const entries = Object.entries(tensors).map(([name, value]) => parseEntry(name, value, dataStart, path, code));
  checkLayout(entries, dataStart, size, path, code);
  return { metadata: metadata as Record<string, string>, entries };
}

function parseEntry(name: string, value: unknown, dataStart: number, path: string, code: ErrorCode): SafetensorsEntry {
  const tensor = `tensor ${JSON.stringify(name)}`;
  const entry = isObject(value) ? value : {};
  const [fileDtype, shape, offsets] = [entry["dtype"], entry["shape"], entry["data_offsets"]];
  const bits = DTYPE_BITS.get(fileDtype);
  if (bits === undefined) {
    fail(
      path,
      code,
      `expected a dtype of the format, such as F32, for ${tensor} but received ${JSON.stringify(fileDtype)}`,
    );
  }
  if (!isCounts(shape)) fail(path, code, `shape of ${tensor} is not a list of whole numbers`);
  if (!isCounts(offsets) || offsets.length !== 2)
    fail(path, code, `data_offsets of ${tensor} is not a pair of whole numbers`);
  const [begin, end] = offsets as [number, number];
  let elements = 1;
  for (const size of shape) {
    elements *= size;
    if (!Number.isSafeInteger(elements)) fail(path, code, `${tensor} [${shape.join(", ")}] has too many elements`);
  }
  const bytes = (elements * bits) / 8;
  if (end - begin !== bytes || !Number.isSafeInteger(elements * bits)) {
    const needs = `needs ${bytes} bytes but has the range ${begin} to ${end}`;
    fail(path, code, `${tensor} [${shape.join(", ")}] ${needs}`);
  }
  const dtype = (Object.keys(DTYPES) as TensorDtype[]).find((known) => DTYPES[known] === fileDtype);
  return { name, dtype, shape, position: dataStart + begin, bytes };
}

/** Sorts the entries by position, and checks that the data have neither gaps nor overlaps and end with the file. */
function checkLayout(
  entries: SafetensorsEntry[],
  dataStart: number,
  size: number,
  path: string,
  code: ErrorCode,
): void {
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

/** Writes at `position`, or at the current position of the file. */
async function writeAll(file: FileHandle, bytes: Uint8Array, position?: number, signal?: AbortSignal): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    signal?.throwIfAborted();
    const length = Math.min(PIECE_BYTES, bytes.length - done);
    const at = position === undefined ? null : position + done;
    done += (await file.write(bytes, done, length, at)).bytesWritten;
  }
}
