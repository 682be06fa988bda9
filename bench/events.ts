import { rm } from "node:fs/promises";
import { DuckDBInstance } from "@duckdb/node-api";
import { ShortlistError } from "../src/errors.js";

/** A made-up table of events. */
export interface EventTableOptions {
  readonly events: number;
  readonly users: number;
  readonly items: number;
  /** Ids as whole numbers (default), or as texts of 13 and 9 characters. */
  readonly ids?: "integer" | "text" | undefined;
  /** Seed of the random numbers (default 1). */
  readonly seed?: number | undefined;
}

/** The rank of a user is users · x^USER_SKEW for x uniform in [0, 1): the most active user of 5 million has 0.04 %. */
const USER_SKEW = 2;
/** Zipf's law of items: p ~ 1 / (rank + ZIPF_SHIFT). */
const ZIPF_SHIFT = 10;
/** Odd numbers without small factors: `rank * SCATTER % size` scatters ranks over the ids. */
const [SCATTER_USERS, SCATTER_ITEMS] = [2_654_435_761, 2_246_822_519];
/** 2026-01-01 in milliseconds, and the length of the log: 90 days. */
const [START, SPAN] = [1_767_225_600_000, 7_776_000_000];
/** Events are in the order of their times but for this many milliseconds, as where several servers write a log. */
const JITTER = 60_000;

/**
 * Writes a Parquet file with the columns user_id, item_id, time and watched_seconds. Activity of users and popularity of
 * items are skewed, and the rows are nearly in the order of their times, as in a log. Every user has an event. The same
 * options give the same rows with the same version of DuckDB, on any number of threads.
 */
export async function writeEventTable(path: string, options: EventTableOptions): Promise<void> {
  const { events, users, items, ids = "integer", seed = 1 } = options;
  if (!(events >= users)) {
    throw new ShortlistError("ERR_OPTION", `Expected an event for each of ${users} users but received ${events}`);
  }
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    const uniform = (stream: number) => `((hash(row, ${4 * seed + stream}) >> 32) / 4294967296.0)`;
    const rank = `CASE WHEN row < ${users} THEN row ELSE ${users} * ${uniform(0)} ** ${USER_SKEW} END`;
    const popularity = `${ZIPF_SHIFT} * (${(items + ZIPF_SHIFT) / ZIPF_SHIFT} ** ${uniform(1)} - 1)`;
    const [user, item] =
      ids === "integer"
        ? ["1000 + u", "100 + i"]
        : ["format('u{:012x}', u * 48271 % 281474976710656)", "format('v{:08x}', i * 48271 % 4294967296)"];
    await connection.run(
      `COPY (
        SELECT ${user} AS user_id, ${item} AS item_id, make_timestamp(ms * 1000) AS "time", watched AS watched_seconds
        FROM (
          SELECT CAST(least(floor(${rank}), ${users - 1}) AS BIGINT) * ${SCATTER_USERS} % ${users} AS u,
            CAST(least(floor(${popularity}), ${items - 1}) AS BIGINT) * ${SCATTER_ITEMS} % ${items} AS i,
            CAST(${START} + floor(row * ${SPAN / events}::DOUBLE) + floor(${JITTER} * ${uniform(2)}) AS BIGINT) AS ms,
            CAST(600 * ${uniform(3)} ** 2 AS INTEGER) AS watched
          FROM (SELECT range AS row FROM range(${events}))
        )
      ) TO '${path.replaceAll("'", "''")}' (FORMAT parquet)`,
    );
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
