import { Readable } from "node:stream";
import * as zlib from "node:zlib";
import { ShortlistError } from "../../errors.js";

const GZIP = Buffer.of(0x1f, 0x8b);
const ZSTD = Buffer.of(0x28, 0xb5, 0x2f, 0xfd);

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
    const problem = `Cannot decompress ${path}: ${(error as Error).message}. Is the file whole?`;
    throw new ShortlistError("ERR_FILE", problem, { cause: error });
  } finally {
    copies.destroy();
  }
}

function decompressorOf(bytes: Buffer): (NodeJS.ReadWriteStream & { destroy(error?: Error): unknown }) | undefined {
  if (bytes.subarray(0, 2).equals(GZIP)) return zlib.createGunzip();
  const { createZstdDecompress } = zlib as { createZstdDecompress?: () => zlib.Gunzip };
  return bytes.subarray(0, 4).equals(ZSTD) ? createZstdDecompress?.() : undefined;
}

async function* chainOf(first: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield first;
    for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
  } finally {
    await rest.return?.();
  }
}
