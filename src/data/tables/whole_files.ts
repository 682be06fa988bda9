import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { decompressionError } from "../sources/decompress.js";
import type { TableForm } from "./file_form.js";
import type { TableFiles } from "./table_files.js";

/**
 * Throws ERR_FILE if a compressed file is truncated or broken. DuckDB would take a truncated file for a complete one,
 * so that an interrupted download would lose events silently.
 */
export async function checkWhole({ paths }: TableFiles, form: TableForm, signal?: AbortSignal): Promise<void> {
  if (form.format === "parquet" || form.compression === "none") return;
  for (const path of paths) {
    if (form.compression === "gzip") await checkGzip(path, signal);
    else await checkZstd(path);
  }
}

async function checkGzip(path: string, signal: AbortSignal | undefined): Promise<void> {
  const nowhere = new Writable({ write: (_, __, done) => done() });
  try {
    await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), createGunzip({ chunkSize: 1 << 20 }), nowhere, {
      signal,
    });
  } catch (error) {
    signal?.throwIfAborted();
    throw decompressionError(path, (error as Error).message, error);
  }
}

const ENDS_WITHIN = "the file ends within a block of zstd";
const ZSTD_FRAME = 0xfd2fb528;
/** Frames with data of other programs: 0x184d2a50 to 0x184d2a5f. */
const SKIPPABLE = 0x184d2a5;

/** Follows the frames and blocks of a zstd file (RFC 8878, section 3.1) to its end, without decompressing them. */
async function checkZstd(path: string): Promise<void> {
  const file = await open(path, "r");
  try {
    const { size } = await file.stat();
    const memory = Buffer.alloc(18);
    const read = async (at: number, bytes: number) => {
      if (at + bytes > size) throw decompressionError(path, ENDS_WITHIN);
      await file.read(memory, 0, bytes, at);
      return memory;
    };
    for (let at = 0; at < size; ) {
      const magic = (await read(at, 4)).readUInt32LE(0);
      if (magic >>> 4 === SKIPPABLE) {
        at += 8 + (await read(at + 4, 4)).readUInt32LE(0);
        continue;
      }
      if (magic !== ZSTD_FRAME) throw decompressionError(path, "bytes between the frames of zstd");
      const descriptor = (await read(at + 4, 1))[0]!;
      at += 5 + headerBytes(descriptor);
      for (let isLast = false; !isLast; ) {
        const block = (await read(at, 3)).readUIntLE(0, 3);
        isLast = (block & 1) === 1;
        const isRepeated = ((block >> 1) & 3) === 1;
        at += 3 + (isRepeated ? 1 : block >> 3);
      }
      if ((descriptor >> 2) & 1) at += 4;
      if (at > size) throw decompressionError(path, ENDS_WITHIN);
    }
  } finally {
    await file.close();
  }
}

/** Returns the size of a frame header after its descriptor: window, dictionary and content size. */
function headerBytes(descriptor: number): number {
  const isSingle = (descriptor >> 5) & 1;
  const contentSize = [isSingle, 2, 4, 8][descriptor >> 6]!;
  return 1 - isSingle + [0, 1, 2, 4][descriptor & 3]! + contentSize;
}
