import { join } from "node:path";
import { ShortlistError } from "../../errors.js";
import { isDiskFull, load, sessionSettings, text } from "./duckdb.js";

/** The parts of the package that writing needs. */
interface Package {
  readonly DuckDBInstance: { create(path: string, options: Record<string, string>): Promise<Instance> };
  readonly DuckDBDataChunk: { create(types: readonly unknown[], rows: number): Chunk };
  readonly VARCHAR: unknown;
  readonly FLOAT: unknown;
  ARRAY(type: unknown, length: number): unknown;
  arrayValue(items: readonly number[]): unknown;
}

interface Instance {
  connect(): Promise<Connection>;
  closeSync(): void;
}

interface Connection {
  run(sql: string): Promise<unknown>;
  createAppender(table: string): Promise<Appender>;
  interrupt(): void;
  closeSync(): void;
}

interface Appender {
  appendDataChunk(chunk: Chunk): void;
  closeSync(): void;
}

interface Chunk {
  setColumnValues(column: number, values: readonly unknown[]): void;
}

/** Memory limit of DuckDB, which writes what is beyond it to its file. */
const MEMORY = "256MiB";
/** Size of a row group, which readers and writers hold in memory as a whole. */
const GROUP_BYTES = 2 ** 24;
/** DuckDB handles rows by this many. */
const ROWS_OF_VECTOR = 2048;

/** Some rows of a table of vectors: ids [n] and vectors [n, width]. */
export interface VectorRows {
  readonly ids: readonly string[];
  readonly values: Float64Array;
}

/**
 * Writes a Parquet file with the columns `id` and `vector` in an empty folder, in the order of the rows, and returns
 * its path. DuckDB keeps the rows in a database in that folder, so memory is bounded; the caller removes the folder.
 * Throws ERR_DEPENDENCY without DuckDB's package.
 */
export async function writeParquet(
  folder: string,
  rows: AsyncIterable<VectorRows>,
  width: number,
  metadata: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<string> {
  const path = join(folder, "vectors.parquet");
  await withDatabase(folder, "choose --format npy", signal, async (duckdb, connection) => {
    await run(connection, `CREATE TABLE vectors (id VARCHAR, vector FLOAT[${width}])`, signal);
    await append(duckdb, connection, rows, width, signal);
    await copy(connection, "vectors", path, 4 * width, metadata, signal);
  });
  return path;
}

/**
 * Writes a file of JSON lines as a Parquet file, in the order of the lines. `columns` has the SQL type of each member
 * of a line, and `bytesOfRow` about the size of a row. Creates files in `folder`, which the caller removes. Throws
 * ERR_DEPENDENCY without DuckDB's package.
 */
export async function jsonLinesToParquet(
  folder: string,
  lines: string,
  path: string,
  columns: Readonly<Record<string, string>>,
  bytesOfRow: number,
  metadata: Readonly<Record<string, string>>,
  signal?: AbortSignal,
): Promise<void> {
  await withDatabase(folder, "choose --format jsonl", signal, async (_, connection) => {
    const types = Object.entries(columns).map(([name, type]) => `${text(name)}: ${text(type)}`);
    const rows = `(FROM read_json(${text(lines)}, format = 'newline_delimited', columns = {${types.join(", ")}}))`;
    await copy(connection, rows, path, bytesOfRow, metadata, signal);
  });
}

/** Calls `work` with a database in an empty folder. One thread, so that the same rows always give the same bytes. */
async function withDatabase(
  folder: string,
  otherwise: string,
  signal: AbortSignal | undefined,
  work: (duckdb: Package, connection: Connection) => Promise<void>,
): Promise<void> {
  const duckdb = (await load("Parquet is written", otherwise)) as unknown as Package;
  const settings = { ...sessionSettings(folder), threads: "1", memory_limit: MEMORY };
  const instance = await duckdb.DuckDBInstance.create(join(folder, "rows.duckdb"), settings);
  const connection = await instance.connect();
  const interrupt = () => connection.interrupt();
  signal?.addEventListener("abort", interrupt);
  try {
    await work(duckdb, connection);
  } finally {
    signal?.removeEventListener("abort", interrupt);
    connection.closeSync();
    instance.closeSync();
  }
}

/** Writes a table or a query in parentheses to a Parquet file. */
async function copy(
  connection: Connection,
  rows: string,
  path: string,
  bytesOfRow: number,
  metadata: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const entries = Object.entries(metadata).map(([key, value]) => `${key}: ${text(value)}`);
  const groupRows = ROWS_OF_VECTOR * Math.max(1, Math.floor(GROUP_BYTES / (bytesOfRow * ROWS_OF_VECTOR)));
  const options = `(FORMAT parquet, ROW_GROUP_SIZE ${groupRows}, KV_METADATA {${entries.join(", ")}})`;
  await run(connection, `COPY ${rows} TO ${text(path)} ${options}`, signal);
}

async function append(
  { DuckDBDataChunk, VARCHAR, FLOAT, ARRAY, arrayValue }: Package,
  connection: Connection,
  rows: AsyncIterable<VectorRows>,
  width: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const appender = await connection.createAppender("vectors");
  try {
    for await (const { ids, values } of rows) {
      signal?.throwIfAborted();
      const chunk = DuckDBDataChunk.create([VARCHAR, ARRAY(FLOAT, width)], ids.length);
      const vectors = ids.map((_, row) => arrayValue([...values.subarray(row * width, (row + 1) * width)]));
      chunk.setColumnValues(0, ids);
      chunk.setColumnValues(1, vectors);
      appender.appendDataChunk(chunk);
    }
  } finally {
    appender.closeSync();
  }
}

async function run(connection: Connection, sql: string, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  try {
    await connection.run(sql);
  } catch (cause) {
    signal?.throwIfAborted();
    const [message] = String((cause as Error).message).split("\n");
    const reason = isDiskFull(cause) ? "the disk is full" : message;
    throw new ShortlistError("ERR_FILE", `Cannot write Parquet: ${reason}`, { cause });
  }
}
