import { closeSync, openSync, readSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { freemem } from "node:os";
import { type ErrorCode, ShortlistError } from "../errors.js";
import { checksum, wholePages, writeUncached } from "../platform/files.js";
import { fileError, hasCode, replaceFile } from "./files.js";
import {
  formatHeader,
  readSafetensorsHeader,
  type SafetensorsEntry,
  type TensorData,
  type TensorDtype,
} from "./safetensors.js";

/** A tensor that a snapshot copies. */
export interface TensorToCopy {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** Copies the elements from element `offset` on into `values`, as many as it has. */
  readonly readInto: (values: TensorData, offset: number) => void;
}

/** Metadata key of the checksum, 16 hexadecimal digits: XXH64 of the file with zeros in its place, piece by piece. */
const CHECKSUM = "checksum";
const UNKNOWN = "0".repeat(16);
const ELEMENT_BYTES = 4;
/** Positions and lengths of writes past the system's cache are multiples of it. */
const BLOCK_BYTES = 4096;
/** Bytes that are hashed and written at once: hashing them holds the event loop for about a millisecond. */
const PIECE_BYTES = 8 * 1024 * 1024;
/** A snapshot takes at most this part of the memory that is free. */
const MOST_MEMORY = 0.5;

/** A tensor and the position of its first byte behind the header. */
interface Placed extends TensorToCopy {
  readonly start: number;
  readonly end: number;
}

/**
 * Writes tensors that keep changing to safetensors files, each as of one moment. `take` copies them, which takes a
 * moment, and `write` writes the copy while they change already. The memory of the copy is used again by the next one.
 * If there is not enough memory for a copy, `isCopy` is false, and the tensors must not change until `write` is done.
 */
export class Snapshot {
  /** Whether the tensors may change between `take` and the end of `write`. */
  readonly isCopy: boolean;
  readonly #tensors: readonly Placed[];
  readonly #bytes: number;
  readonly #pieces: Uint8Array[];

  /** All tensors have elements of 4 bytes. */
  constructor(tensors: readonly TensorToCopy[], available = availableMemory()) {
    let start = 0;
    this.#tensors = tensors.map((tensor) => {
      const end = start + ELEMENT_BYTES * tensor.shape.reduce((product, size) => product * size, 1);
      const placed = { ...tensor, start, end };
      start = end;
      return placed;
    });
    this.#bytes = start;
    this.isCopy = this.#bytes <= MOST_MEMORY * available;
    const pieces = Math.ceil(this.#bytes / PIECE_BYTES);
    this.#pieces = Array.from({ length: this.isCopy ? pieces : Math.min(1, pieces) }, () => newPiece(PIECE_BYTES));
  }

  /** Copies the tensors as they are now. */
  take(): void {
    if (!this.isCopy) return;
    for (const [i, piece] of this.#pieces.entries()) this.#fill(piece, i * PIECE_BYTES);
  }

  /**
   * Writes the tensors as of the last `take`, with the metadata, in place of the file at `path`. Only one call at a time
   * may be in progress.
   */
  async write(path: string, metadata: Readonly<Record<string, string>>): Promise<void> {
    const header = (sum: string) => formatHeader(path, this.#tensors, { ...metadata, [CHECKSUM]: sum }, BLOCK_BYTES);
    const start = header(UNKNOWN);
    await replaceFile(path, async (file) => {
      const output = new PieceWriter(file);
      let sum = await output.hash(start, undefined);
      for (let position = 0; position < this.#bytes; position += PIECE_BYTES) {
        const piece = this.#pieces[this.isCopy ? position / PIECE_BYTES : 0]!;
        if (!this.isCopy) this.#fill(piece, position);
        const used = Math.min(PIECE_BYTES, this.#bytes - position);
        sum = await output.hash(piece.subarray(0, used), sum);
        await output.write(piece.subarray(0, roundUp(used)), start.length + position);
      }
      const whole = newPiece(start.length);
      whole.set(header(sum === undefined ? UNKNOWN : hexOf(sum)));
      await output.write(whole, 0);
      output.end();
      await file.truncate(start.length + this.#bytes);
    });
  }

  /** Copies the bytes of the tensors from `position` on. */
  #fill(piece: Uint8Array, position: number): void {
    for (const { dtype, start, end, readInto } of this.#tensors) {
      const [first, last] = [Math.max(start, position), Math.min(end, position + piece.length)];
      if (first >= last) continue;
      const values = viewOf(dtype, piece.buffer, piece.byteOffset + first - position, (last - first) / ELEMENT_BYTES);
      readInto(values, (first - start) / ELEMENT_BYTES);
    }
  }
}

/** Writes whole blocks to a file, past the cache of the system where that is possible. */
class PieceWriter {
  readonly #file: FileHandle;
  #uncached: boolean;

  constructor(file: FileHandle) {
    this.#file = file;
    this.#uncached = writeUncached(file.fd, true);
  }

  /** Continues a chain of checksums. A turn of the event loop comes before each, so that training steps can go on. */
  async hash(bytes: Uint8Array, seed: bigint | undefined): Promise<bigint | undefined> {
    await new Promise(setImmediate);
    return checksum(bytes, seed ?? 0n);
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      try {
        const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, position + done);
        done += bytesWritten;
        if (bytesWritten % BLOCK_BYTES !== 0) this.end();
      } catch (error) {
        // Some file systems accept the flag and refuse the writes.
        if (!this.#uncached || !hasCode(error, "EINVAL")) throw error;
        this.end();
      }
    }
  }

  /** Ends writing past the cache. */
  end(): void {
    if (this.#uncached) writeUncached(this.#file.fd, false);
    this.#uncached = false;
  }
}

/** A tensor of a snapshot in a file. */
export interface SnapshotTensor {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  /** Reads `count` elements from element `offset` on. */
  readonly read: (offset: number, count: number) => TensorData;
}

/** A file that `Snapshot` wrote. Its tensors can be read until it is closed. */
export interface OpenSnapshot {
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: readonly SnapshotTensor[];
  close(): void;
}

/** Opens a snapshot and reads all of it, to compare its checksum. Throws an error of `code` if it is damaged. */
export async function openSnapshot(path: string, code: ErrorCode): Promise<OpenSnapshot> {
  const { metadata, entries } = await readSafetensorsHeader(path, code);
  const dataStart = entries[0]?.position ?? 0;
  const dataEnd = entries.reduce((end, { position, bytes }) => Math.max(end, position + bytes), dataStart);
  try {
    await checkSum(path, metadata[CHECKSUM] ?? "", dataStart, dataEnd, code);
    const descriptor = openSync(path, "r");
    return {
      metadata,
      tensors: entries.map((entry) => tensorIn(descriptor, path, entry, code)),
      close: () => closeSync(descriptor),
    };
  } catch (error) {
    throw error instanceof ShortlistError ? error : fileError("read", path, error);
  }
}

async function checkSum(path: string, expected: string, dataStart: number, dataEnd: number, code: ErrorCode) {
  if (expected === UNKNOWN) return;
  const file = await open(path, "r");
  try {
    const start = new Uint8Array(dataStart);
    await file.read(start, 0, dataStart, 0);
    const text = Buffer.from(start).toString("latin1");
    const place = text.lastIndexOf(`"${CHECKSUM}":"${expected}"`);
    if (expected.length !== UNKNOWN.length || place < 0) throw damaged(path, code, "it has no checksum");
    start.set(Buffer.from(UNKNOWN), place + CHECKSUM.length + 4);
    let sum = checksum(start, 0n);
    const piece = new Uint8Array(Math.min(PIECE_BYTES, dataEnd - dataStart));
    for (let position = dataStart; position < dataEnd && sum !== undefined; position += piece.length) {
      const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, dataEnd - position), position);
      sum = checksum(piece.subarray(0, bytesRead), sum);
    }
    if (sum !== undefined && hexOf(sum) !== expected) throw damaged(path, code, "its bytes do not fit its checksum");
  } finally {
    await file.close();
  }
}

function tensorIn(descriptor: number, path: string, entry: SafetensorsEntry, code: ErrorCode): SnapshotTensor {
  const { name, dtype, shape, position } = entry;
  if (!dtype) throw damaged(path, code, `its tensor "${name}" has an unknown dtype`);
  return {
    name,
    dtype,
    shape,
    read: (offset, count) => {
      const bytes = new Uint8Array(ELEMENT_BYTES * count);
      const read = readSync(descriptor, bytes, 0, bytes.length, position + ELEMENT_BYTES * offset);
      if (read < bytes.length) throw damaged(path, code, "it is cut short");
      return viewOf(dtype, bytes.buffer, 0, count);
    },
  };
}

function damaged(path: string, code: ErrorCode, problem: string): ShortlistError {
  return new ShortlistError(code, `${path} is damaged: ${problem}`);
}

function viewOf(dtype: TensorDtype, buffer: ArrayBufferLike, byteOffset: number, elements: number): TensorData {
  switch (dtype) {
    case "float32":
      return new Float32Array(buffer as ArrayBuffer, byteOffset, elements);
    case "int32":
      return new Int32Array(buffer as ArrayBuffer, byteOffset, elements);
    case "uint32":
      return new Uint32Array(buffer as ArrayBuffer, byteOffset, elements);
    case "float64":
      throw new ShortlistError("ERR_FILE", "Expected a tensor with elements of 4 bytes but received float64");
  }
}

const LEAST_PAGES = 256 * 1024;

/** Memory that begins at a page. */
function newPiece(bytes: number): Uint8Array {
  return new Uint8Array(wholePages(Math.max(LEAST_PAGES, bytes)), 0, bytes);
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
}

function hexOf(sum: bigint): string {
  return sum.toString(16).padStart(UNKNOWN.length, "0");
}

/** Bytes of memory that this process can still have. */
function availableMemory(): number {
  // Not in every version of Node 20.
  const { availableMemory } = process as { availableMemory?: () => number };
  return availableMemory?.() ?? freemem();
}
