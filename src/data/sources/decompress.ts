import { Readable } from "node:stream";
import * as zlib from "node:zlib";
import { ShortlistError } from "../../errors.js";

/** Compression of a file. */
export type Compression = "none" | "gzip" | "zstd";

const GZIP = Buffer.of(0x1f, 0x8b);
const ZSTD = Buffer.of(0x28, 0xb5, 0x2f, 0xfd);

/** The compression that the first bytes of a file show. */
export function compressionOf(bytes: Buffer): Compression {
  if (bytes.subarray(0, 2).equals(GZIP)) return "gzip";
  return bytes.subarray(0, 4).equals(ZSTD) ? "zstd" : "none";
}

/** ERR_FILE for a compressed file that is broken or truncated. */
export function decompressionError(path: string, problem: string, cause?: unknown): ShortlistError {
  return new ShortlistError("ERR_FILE", `Cannot decompress ${path}: ${problem}. Is the file whole?`, { cause });
}

/**
 * Yields the decompressed bytes of a file, whose compression shows in its first bytes; others are passed on. Zstandard
 * needs Node 22.15. Throws ERR_FILE if the file at `path` is broken or truncated.
 */
export async function* decompressed(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) return;
  const all = chainOf(first.value, iterator);
  const decompressor = decompressorOf(first.value);
  if (!decompressor) return yield* all;
  // Copies the chunks, since the memory of a chunk is reused for the next one.
  const copies = Readable.from(
    (async function* () {
      for await (const chunk of all) yield Buffer.from(chunk);
    })(),
  );
  copies.on("error", (error) => decompressor.destroy(error));
  try {
    yield* copies.pipe(decompressor) as AsyncIterable<Buffer>;
  } catch (error) {
    if (!String((error as NodeJS.ErrnoException).code).startsWith("Z")) throw error;
    throw decompressionError(path, (error as Error).message, error);
  } finally {
    copies.destroy();
  }
}

function decompressorOf(bytes: Buffer): (NodeJS.ReadWriteStream & { destroy(error?: Error): unknown }) | undefined {
  const compression = compressionOf(bytes);
  if (compression === "gzip") return zlib.createGunzip();
  const { createZstdDecompress } = zlib as { createZstdDecompress?: () => zlib.Gunzip };
  return compression === "zstd" ? createZstdDecompress?.() : undefined;
}

async function* chainOf(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield first;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}
