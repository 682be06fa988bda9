import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

/** An event as the tests' tables have it. */
export interface Event {
  readonly user: string;
  readonly item: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly rating: number;
}

/** Whether DuckDB's package is there, an optional dependency; tests of tables are skipped without it. */
export const HAS_DUCKDB = (() => {
  try {
    createRequire(import.meta.url).resolve("@duckdb/node-api");
    return true;
  } catch {
    return false;
  }
})();

/** Events of users in an order of time that is not the order of rows; some of one user have the same time. */
export function events(users = 40): Event[] {
  const all: Event[] = [];
  for (let u = 0; u < users; u++) {
    for (let e = 0; e < 3 + (u % 5); e++) {
      const item = ["7", "007", "é,ß", 'say "x"', "𝄞", "�", "a b", "B00-1"][(u * 5 + e * e) % 8]!;
      all.push({
        user: String((u * 37) % 1000),
        item,
        time: 1.6e12 + ((u * 7919 + (e >> 1) * 104729) % 1e6) * 100,
        rating: 1 + ((u + e) % 5),
      });
    }
  }
  return all.sort((a, b) => ((a.time * 31) % 997) - ((b.time * 31) % 997));
}

/** The events as a click log with a line a user: users by the bytes of their ids, clicks by time, then by row. */
export function clickLogOf(all: readonly Event[]): string {
  const byUser = new Map<string, Event[]>();
  for (const event of all) byUser.set(event.user, [...(byUser.get(event.user) ?? []), event]);
  const users = [...byUser].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const clicksOf = (own: readonly Event[]) =>
    own
      .slice()
      .sort((a, b) => a.time - b.time)
      .map(({ item, time }) => `${item}:${time / 1000}`)
      .join(";");
  return users.map(([user, own]) => `${user}\t${clicksOf(own)}\n`).join("");
}

/** The events as lines of text: a value that holds a separator or a quote is quoted. */
export function textOf(all: readonly Event[], separator: string, { header = true, end = "\n" } = {}): string {
  const cell = (value: string | number) =>
    /[",]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value);
  const rows = all.map(({ user, item, time, rating }) => [user, item, rating, time].map(cell));
  const lines = [...(header ? [["user_id", "item_id", "rating", "timestamp"]] : []), ...rows];
  return lines.map((row) => row.join(separator) + end).join("");
}

/** The events as JSON lines. */
export function jsonLinesOf(all: readonly Event[]): string {
  return all
    .map(({ user, item, time, rating }) =>
      JSON.stringify({ userId: user, video_id: item, ts: new Date(time).toISOString(), rating }),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/** Runs SQL in a DuckDB of its own, which writes the Parquet files of the tests. */
export async function runSql(...statements: readonly string[]): Promise<void> {
  const { DuckDBInstance } = await import("@duckdb/node-api");
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  for (const sql of statements) await connection.run(sql);
  connection.closeSync();
  instance.closeSync();
}

/** The events as a Parquet file of typed columns: whole numbers, text, and a timestamp. */
export async function writeParquet(folder: string, path: string, all: readonly Event[], rows = 2048): Promise<void> {
  const json = join(folder, "for-parquet.jsonl");
  await writeFile(json, all.map((event) => `${JSON.stringify(event)}\n`).join(""));
  await runSql(
    `COPY (SELECT user AS user_id, item AS item_id, rating, make_timestamp(time * 1000) AS "timestamp"
     FROM read_json('${json}', columns={user: 'BIGINT', item: 'VARCHAR', rating: 'INTEGER', time: 'BIGINT'}))
     TO '${path}' (FORMAT parquet, ROW_GROUP_SIZE ${rows})`,
  );
}
