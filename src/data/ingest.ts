import { ShortlistError } from "../errors.js";
import { createIngest, type IngestHandle, type IngestState } from "../platform/ingest.js";
import { threadCount } from "../platform/threads.js";
import { type Clicks, type ItemValues, type NumberStatistics, type NumberValues, statisticsOf } from "./clicks.js";
import { type RowsOfUsers, rowsOfUsers } from "./join_users.js";
import {
  clickNumbers,
  type ItemFeature,
  itemFeatures,
  type Schema,
  timeField,
  userFeatures,
  weightField,
} from "./schema.js";
import { contentsOfClickLog } from "./sources/click_log.js";
import {
  checkLogOptions,
  finishReport,
  type LogOptions,
  type LogReport,
  sumOfSizes,
  totalsOf,
} from "./sources/read_log.js";
import type { LogSource } from "./sources/source.js";
import { ClickOrder, clickTimes } from "./times.js";
import { TokenLines } from "./token_lines.js";
import { ValueCounts } from "./token_table.js";
import { Vocabulary } from "./vocabulary.js";
import { clickWeights } from "./weights.js";

/** Number of bytes that are parsed at once, on all threads, while the next ones are read. */
const BLOCK_BYTES = 8 * 1024 * 1024;

/** Options of `ingestLogs`. */
export interface IngestOptions extends LogOptions {
  readonly schema: Schema;
  readonly maxLineBytes: number;
  /** Accepts lines without clicks (default false). */
  readonly withoutClicks?: boolean | undefined;
  readonly threads?: number | undefined;
  readonly progress?: ((bytes: number, totalBytes: number) => void) | undefined;
}

/** A feature with tokens, and how often each of them occurs. */
export interface CountedFeature {
  readonly name: string;
  readonly multiple: boolean;
  readonly counts: ValueCounts;
}

/** Rows with ids, and the vocabularies and statistics that give them their meaning. */
export interface IngestedRows {
  readonly vocabularies: ReadonlyMap<string, Vocabulary>;
  readonly numbers: ReadonlyMap<string, NumberStatistics>;
  readonly clicks: Clicks;
}

/**
 * Reads click logs once, in C++ on all threads, with the results of `readLog` and `encodeRows`. Returns undefined if a
 * source is no click log, if users have several values of a feature or searches, or if the addon is not built.
 */
export async function ingestLogs(
  sources: readonly LogSource[],
  options: IngestOptions,
): Promise<IngestedLogs | undefined> {
  const { schema, onBadLine = "fail", maxLineBytes, withoutClicks = false, progress } = options;
  if (sources.length === 0 || !sources.every(contentsOfClickLog)) return undefined;
  // The native reader knows no columns of several values and no searches.
  if (userFeatures(schema).some(({ kind, multiple }) => multiple || kind === "tokens")) return undefined;
  checkLogOptions(options);
  const handle = createIngest(JSON.stringify(schema), {
    withoutClicks,
    skipBadLines: onBadLine === "skip",
    maxLineBytes,
    threads: threadCount(options.threads),
  });
  if (!handle) return undefined;
  const totalBytes = await sumOfSizes(sources);
  let bytes = 0;
  for (const source of sources) {
    await handle.beginLog();
    const isStopped = await readInto(handle, source, options.signal, (amount) => {
      bytes += amount;
      progress?.(bytes, Math.max(bytes, totalBytes));
    });
    if (!isStopped) await handle.endLog();
    // The last line of a log may lack its end.
    if (handle.state().stopped) throw badLine(handle, sources);
  }
  return new IngestedLogs(handle, sources, options);
}

/**
 * Reads the contents of a source. Returns whether a line that cannot be used has ended the reading. Such a line comes
 * before an error of the source itself, which is behind it.
 */
async function readInto(
  handle: IngestHandle,
  source: LogSource,
  signal: AbortSignal | undefined,
  progress: (bytes: number) => void,
): Promise<boolean> {
  const blocks = new Blocks(handle);
  try {
    for await (const chunk of contentsOfClickLog(source)!(signal)) {
      signal?.throwIfAborted();
      if (await blocks.add(chunk)) return true;
      progress(chunk.length);
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (await blocks.finish()) return true;
    throw error;
  }
  signal?.throwIfAborted();
  return blocks.finish();
}

/** Collects chunks in two blocks: one is filled while the other is parsed. */
class Blocks {
  readonly #handle: IngestHandle;
  #filling = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #parsing = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #used = 0;
  #parsed = Promise.resolve(false);

  constructor(handle: IngestHandle) {
    this.#handle = handle;
  }

  /** Returns whether a line that cannot be used has ended the reading. */
  async add(chunk: Buffer): Promise<boolean> {
    for (let at = 0; at < chunk.length; ) {
      const copied = chunk.copy(this.#filling, this.#used, at);
      at += copied;
      this.#used += copied;
      if (this.#used === BLOCK_BYTES && (await this.#parse())) return true;
    }
    return false;
  }

  async finish(): Promise<boolean> {
    return (await this.#parse()) || this.#parsed;
  }

  /** Waits for the block that is being parsed, and starts to parse the other one. */
  async #parse(): Promise<boolean> {
    if (await this.#parsed) return true;
    this.#parsed = this.#handle.add(this.#filling.subarray(0, this.#used)).catch((error) => {
      throw asLimit(error);
    });
    // It is awaited before the next block is parsed, but may fail earlier.
    this.#parsed.catch(() => undefined);
    [this.#filling, this.#parsing] = [this.#parsing, this.#filling];
    this.#used = 0;
    return false;
  }
}

/** The limits of the reader are those of a dataset. */
function asLimit(error: unknown): unknown {
  const { code, message } = error as { readonly code?: string; readonly message: string };
  return code === "ERR_INPUT" ? new ShortlistError("ERR_DATASET", message, { cause: error }) : error;
}

function badLine(handle: IngestHandle, sources: readonly LogSource[]): ShortlistError {
  return new ShortlistError("ERR_LOG", describe(handle.state().badLines[0]!, sources));
}

function describe({ log, line, problem }: IngestState["badLines"][number], sources: readonly LogSource[]): string {
  return `${sources[log]!.where(line)}: ${problem}`;
}

/** Logs whose tokens are counted, and can be encoded once. */
export class IngestedLogs {
  readonly report: LogReport;
  /** The categorical user features, then the item features, in the order of the schema. */
  readonly features: readonly CountedFeature[];
  readonly #handle: IngestHandle;
  readonly #state: IngestState;
  readonly #schema: Schema;
  readonly #identities: ValueCounts | undefined;

  constructor(handle: IngestHandle, sources: readonly LogSource[], options: IngestOptions) {
    this.#handle = handle;
    this.#state = handle.state();
    this.#schema = options.schema;
    this.report = reportOf(this.#state, sources, options);
    this.features = this.#named().map(({ name, multiple }, f) => ({ name, multiple, counts: this.#countsOf(f) }));
    const { identity } = this.#state;
    this.#identities = identity < 0 ? undefined : (this.features[identity]?.counts ?? this.#countsOf(identity));
  }

  /** The categorical column that identifies users. Undefined if there is none. */
  get identity(): string | undefined {
    return this.features[this.#state.identity]?.name;
  }

  /** Returns the rows of each user if several rows have the same user id. Call it before `encode`. */
  async users(): Promise<RowsOfUsers | undefined> {
    if ((this.#identities?.highest ?? 0) <= 1) return undefined;
    return rowsOfUsers(await this.#handle.identities(), this.#state.features[this.#state.identity]!.numbers);
  }

  /** [rows] The users' identities if they are no feature, "NULL" where missing. Call it after `users`. */
  async userIds(): Promise<readonly string[] | undefined> {
    const { identity } = this.#state;
    if (identity < this.features.length) return undefined;
    const { size, lines, ids } = await this.#handle.encode(identity, 0);
    const tokens = TokenLines.ofLines(lines, size);
    return Array.from(ids, (id) => (id === 0 ? "NULL" : tokens.token(id)));
  }

  /** Encodes the rows. `limits` has the limit of each feature: values that occur more often get an id. */
  async encode(limits: ReadonlyMap<string, number>): Promise<IngestedRows> {
    const vocabularies = new Map<string, Vocabulary>();
    const columns: ItemValues[] = [];
    for (const [f, { name }] of this.features.entries()) {
      const { size, lines, ids, offsets } = await this.#handle.encode(f, limits.get(name)!);
      vocabularies.set(name, Vocabulary.ofLines(lines, size));
      columns.push({ name, ids, offsets });
    }
    const numbers = new Map<string, NumberStatistics>();
    const values: NumberValues[] = [];
    for (const [n, name] of this.#userFeatures("number").entries()) {
      const column = await this.#handle.numbers(n);
      numbers.set(name, statisticsOf(column));
      values.push({ name, values: column, ...numbers.get(name)! });
    }
    const ofClicks: NumberValues[] = [];
    for (const [n, name] of clickNumbers(this.#schema).entries()) {
      const column = await this.#handle.clickNumbers(n);
      numbers.set(name, statisticsOf(column));
      ofClicks.push({ name, values: column, ...numbers.get(name)! });
    }
    const users = this.#userFeatures("categorical").length;
    const weight = this.#schema.click[weightField(this.#schema)];
    const clicks: Clicks = {
      users: this.#state.rows,
      clicks: this.#state.clicks,
      clickOffsets: await this.#handle.clickOffsets(),
      userFeatures: columns.slice(0, users).map(({ name, ids }) => ({ name, ids })),
      numbers: values,
      itemFeatures: columns.slice(users),
      ...(timeField(this.#schema) >= 0 && { times: clickTimes(await this.#handle.times()) }),
      ...(weight && { weights: clickWeights(weight.name, await this.#handle.weights()) }),
      ...(ofClicks.length > 0 && { clickNumbers: ofClicks }),
    };
    return { vocabularies, numbers, clicks };
  }

  #userFeatures(kind: "categorical" | "number"): string[] {
    return userFeatures(this.#schema).flatMap((feature) => (feature.kind === kind ? [feature.name] : []));
  }

  #named(): ItemFeature[] {
    const users = this.#userFeatures("categorical").map((name) => ({ name, multiple: false }));
    return [...users, ...itemFeatures(this.#schema)];
  }

  #countsOf(feature: number): ValueCounts {
    const counts = new ValueCounts(this.#handle.counts(feature));
    counts.unknown = this.#state.features[feature]!.missing;
    return counts;
  }
}

function reportOf(
  { logs, badLines, clicks, withoutClicks, order }: IngestState,
  sources: readonly LogSource[],
  options: IngestOptions,
): LogReport {
  const files = sources.map(({ label }, i) => ({ name: label, ...logs[i]! }));
  const counts = {
    ...{ files, clicks, withoutClicks, badLines: badLines.map((line) => describe(line, sources)) },
    ...totalsOf(files),
  };
  const first = order.lines > 0 ? sources[order.firstLog]!.where(order.firstLine) : "";
  const names = sources.map(({ name }) => name);
  return finishReport(names, counts, ClickOrder.of(order.compared, { ...order, first }), options);
}
