import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { ShortlistError } from "../../errors.js";
import type { PackedTokensWriter } from "../packed_tokens.js";

/**
 * Tables are read by DuckDB, whose package is an optional dependency. The parts of it that are used are declared here,
 * so that the project compiles without it.
 */
interface Package {
  readonly DuckDBInstance: { create(path: string, options: Record<string, string>): Promise<Instance> };
}

interface Instance {
  connect(): Promise<Connection>;
  closeSync(): void;
}

interface Connection {
  stream(sql: string): Promise<Result>;
  interrupt(): void;
  closeSync(): void;
}

interface Result {
  fetchChunk(): Promise<Chunk | null>;
}

interface Chunk {
  readonly rowCount: number;
  readonly columnCount: number;
  getColumnVector(column: number): Vector;
  getColumnValues(column: number): unknown[];
}

interface Vector {
  /** The array of a column of numbers. */
  readonly items?: unknown;
  /** The records of a column of texts, as `duckdb_string_t` of DuckDB's C API defines them. */
  readonly dataView?: unknown;
  getItem(row: number): unknown;
}

/** Bytes of a record of a text: its length in 4 bytes, and then a short text itself. */
const [TEXT_RECORD, TEXT_START, SHORT_TEXT] = [16, 4, 12];

const PACKAGE = "@duckdb/node-api";
const GIB = 2 ** 30;
/**
 * Memory limit of DuckDB, which keeps larger tables on disk. The arrays of the dataset need memory in addition: for 100
 * million events with times, 2 GB.
 */
const MEMORY = 1.5 * GIB;

/** Settings of the database of a session whose files are in `folder`. */
export function sessionSettings(folder: string): Record<string, string> {
  return {
    autoinstall_known_extensions: "false",
    autoload_known_extensions: "false",
    memory_limit: `${Math.round(Math.min(MEMORY, totalmem() / 4) / 2 ** 20)}MiB`,
    temp_directory: join(folder, "sorting"),
  };
}

/** Some rows of a result, by columns. */
export class TableRows {
  readonly #chunk: Chunk;

  constructor(chunk: Chunk) {
    this.#chunk = chunk;
  }

  get count(): number {
    return this.#chunk.rowCount;
  }

  get columns(): number {
    return this.#chunk.columnCount;
  }

  /** Returns the values of a column: strings, numbers, bigints or null. */
  values(column: number): readonly unknown[] {
    return this.#chunk.getColumnValues(column);
  }

  /** Adds the values of a VARCHAR column without nulls to a list of tokens. Short ones do not become strings. */
  pack(column: number, tokens: PackedTokensWriter): void {
    const vector = this.#chunk.getColumnVector(column);
    const { dataView } = vector;
    if (!(dataView instanceof DataView)) {
      for (const text of this.values(column)) tokens.add(text as string);
      return;
    }
    const bytes = new Uint8Array(dataView.buffer, dataView.byteOffset, dataView.byteLength);
    const { count } = this;
    for (let row = 0, at = 0; row < count; row++, at += TEXT_RECORD) {
      const length = dataView.getUint32(at, true);
      if (length > SHORT_TEXT) tokens.add(vector.getItem(row) as string);
      else tokens.addBytes(bytes, at + TEXT_START, length);
    }
  }

  /**
   * Returns the values of an INTEGER column without nulls. It is the array of DuckDB's vector, so that no value becomes
   * an object.
   */
  int32(column: number): Int32Array {
    const { items } = this.#chunk.getColumnVector(column);
    return items instanceof Int32Array ? items : Int32Array.from(this.values(column) as number[]);
  }

  /** Returns the values of a UINTEGER column without nulls, in the same way. */
  uint32(column: number): Uint32Array {
    const { items } = this.#chunk.getColumnVector(column);
    return items instanceof Uint32Array ? items : Uint32Array.from(this.values(column) as number[]);
  }

  /** Returns the values of a FLOAT column without nulls, in the same way. */
  float32(column: number): Float32Array {
    const { items } = this.#chunk.getColumnVector(column);
    return items instanceof Float32Array ? items : Float32Array.from(this.values(column) as number[]);
  }

  /** Returns the values of a DOUBLE column without nulls, in the same way. */
  float64(column: number): Float64Array {
    const { items } = this.#chunk.getColumnVector(column);
    return items instanceof Float64Array ? items : Float64Array.from(this.values(column) as number[]);
  }
}

/**
 * A temporary database for one reading, in its own folder. Whatever SQL it is given, it reads only the files that it is
 * told to: no network, no extensions, no settings.
 */
export class TableSession {
  readonly #instance: Instance;
  readonly #connection: Connection;
  readonly #folder: string;
  /** Ends the current statement, which rejects with the signal's reason. */
  readonly signal: AbortSignal | undefined;
  readonly #interrupt: () => void;

  private constructor(instance: Instance, connection: Connection, folder: string, signal: AbortSignal | undefined) {
    this.#instance = instance;
    this.#connection = connection;
    this.#folder = folder;
    this.signal = signal;
    this.#interrupt = () => connection.interrupt();
    signal?.addEventListener("abort", this.#interrupt);
  }

  /** Calls `work` with a session whose files are in `folder`. Creates the folder, and removes it afterwards. */
  static async with<T>(
    folder: string,
    signal: AbortSignal | undefined,
    work: (session: TableSession) => Promise<T>,
  ): Promise<T> {
    const { DuckDBInstance } = await load();
    await mkdir(folder, { recursive: true });
    const instance = await DuckDBInstance.create(join(folder, "tables.duckdb"), sessionSettings(folder)).catch(
      (error) => {
        throw describe(error);
      },
    );
    const session = new TableSession(instance, await instance.connect(), folder, signal);
    try {
      // Dates without a time zone are UTC, whatever the time zone of the machine.
      await session.run("SET TimeZone = 'UTC'");
      // The optimizer turns long IN lists into joins, and rows that go through a join may lose the order of their file.
      await session.run("SET disabled_optimizers = 'in_clause'");
      return await work(session);
    } finally {
      session.#close();
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Calls `work` with a session whose files are in a temporary folder of the system. */
  static async temporary<T>(signal: AbortSignal | undefined, work: (session: TableSession) => Promise<T>): Promise<T> {
    const folder = await mkdtemp(join(tmpdir(), "shortlist-tables-"));
    try {
      return await TableSession.with(join(folder, "session"), signal, work);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Makes these files the only ones that can be read. This cannot be undone. */
  async lock(files: readonly string[]): Promise<void> {
    await this.run(`SET allowed_paths = ${list(files.map((file) => resolve(file)))}`);
    await this.run(`SET allowed_directories = ${list([`${resolve(this.#folder)}/`])}`);
    await this.run("SET enable_external_access = false");
    await this.run("SET lock_configuration = true");
  }

  /** Runs a statement and ignores its result. */
  async run(sql: string): Promise<void> {
    for await (const _ of this.stream(sql));
  }

  /** Returns all rows of a small result, each as a list of values. */
  async rows(sql: string): Promise<unknown[][]> {
    const rows: unknown[][] = [];
    for await (const part of this.stream(sql)) {
      const first = rows.length;
      for (let row = 0; row < part.count; row++) rows.push([]);
      for (let column = 0; column < part.columns; column++) {
        part.values(column).forEach((value, row) => {
          rows[first + row]!.push(value);
        });
      }
    }
    return rows;
  }

  /** Yields the rows of a result in order, some thousands at a time. */
  async *stream(sql: string): AsyncGenerator<TableRows> {
    this.signal?.throwIfAborted();
    let next: Promise<Chunk | null> | undefined;
    try {
      const result = await this.#connection.stream(sql);
      next = result.fetchChunk();
      for (;;) {
        const chunk = await next;
        this.signal?.throwIfAborted();
        if (!chunk || chunk.rowCount === 0) return;
        // The database goes on while the caller uses these rows.
        next = result.fetchChunk();
        yield new TableRows(chunk);
      }
    } catch (error) {
      this.signal?.throwIfAborted();
      throw describe(error);
    } finally {
      // The connection may only be closed when nothing uses it.
      await next?.catch(() => undefined);
    }
  }

  #close(): void {
    this.signal?.removeEventListener("abort", this.#interrupt);
    this.#connection.closeSync();
    this.#instance.closeSync();
  }
}

/** Quotes a text for SQL. */
export function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

/** Quotes a column name for SQL. */
export function name(value: string): string {
  return `"${value.replaceAll('"', '""')}"`;
}

/** Formats a list of texts for SQL. */
export function list(values: readonly string[]): string {
  return `[${values.map(text).join(", ")}]`;
}

/** Whether DuckDB could not write: it also stops before it fills the disk, or at a limit of the process. */
export function isDiskFull(error: unknown): boolean {
  return /No space left on device|File too large|Disk quota exceeded|max_temp_directory_size/i.test(String(error));
}

/**
 * Loads the package. If it cannot be loaded, throws ERR_DEPENDENCY with what needs it, the command that installs it, and
 * what to do without it.
 */
export async function load(
  need = "Tables (CSV, Parquet, JSON lines) are read",
  otherwise = "give a click log",
): Promise<Package> {
  try {
    return (await import(PACKAGE)) as Package;
  } catch (cause) {
    throw new ShortlistError(
      "ERR_DEPENDENCY",
      `${need} by the package ${PACKAGE}, which cannot be loaded (${firstLine(cause)}). Install it with "npm install ${PACKAGE}", or ${otherwise}`,
      { cause },
    );
  }
}

/** Turns an error of DuckDB into one of ours. */
function describe(error: unknown): unknown {
  if (error instanceof ShortlistError) return error;
  if (isDiskFull(error)) {
    return new ShortlistError(
      "ERR_FILE",
      `Cannot keep the rows of the table beside the output: the disk is full (${firstLine(error)})`,
      { cause: error },
    );
  }
  return new ShortlistError("ERR_TABLE", `Cannot read the table: ${detail(error)}`, { cause: error });
}

function firstLine(error: unknown): string {
  return String((error as Error | undefined)?.message ?? error).split("\n")[0]!;
}

/**
 * Returns the first line of a message, and the line of the file that it is about. The rest, which advises on options of
 * the reader, is left out.
 */
function detail(error: unknown): string {
  const [first, ...others] = String((error as Error | undefined)?.message ?? error).split("\n");
  const about = others.filter((line) =>
    /^(Original Line|Expected Number of Columns|Did you mean|Candidate)/.test(line),
  );
  return [first, ...about].join(" ");
}
