import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { HAS_DUCKDB, runSql } from "../data/table_files.js";
import { main, temporaryFolder } from "./run.js";

// Runs every command of the table "Public data sets" of docs/data.md, in a shell, on made-up files of the same form.
// All files have the same events, so all commands have to give the same dataset.

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const tables = HAS_DUCKDB ? test : test.skip;

/** [user, item, seconds, rating] */
const EVENTS = Array.from({ length: 400 }, (_, e) => {
  const user = 1 + ((e * 7) % 40);
  return [user, 100 + ((e * e + user) % 30), 1_600_000_000 + ((e * 7919) % 5000) * 60, 4 + (e % 2)] as const;
});
const dateOf = (seconds: number) => new Date(seconds * 1000).toISOString();
const lines = (rows: readonly string[]) => rows.map((row) => `${row}\n`).join("");
const csv = (
  header: string | undefined,
  row: (event: (typeof EVENTS)[number]) => readonly unknown[],
  separator = ",",
) => lines([...(header ? [header] : []), ...EVENTS.map((event) => row(event).join(separator))]);
const jsonLines = (object: (event: (typeof EVENTS)[number]) => object) =>
  lines(EVENTS.map((e) => JSON.stringify(object(e))));

/** An event that is no long view, after each that is one. */
function kuaiRand(events: typeof EVENTS): string {
  const header =
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab";
  const row = (user: number, item: number, seconds: number, long: number) =>
    [
      user,
      item,
      dateOf(seconds).slice(0, 10).replaceAll("-", ""),
      1200,
      seconds * 1000,
      1,
      0,
      0,
      0,
      0,
      0,
      long,
      9000,
      10000,
      0,
      0,
      0,
      0,
      1,
    ].join(",");
  return lines([header, ...events.flatMap(([u, i, t]) => [row(u, i, t, 1), row(u, i + 1, t + 1, 0)])]);
}

async function writeFiles(): Promise<void> {
  const put = (name: string, content: string | Buffer) => writeFileSync(at(name), content);
  put(
    "ratings.csv",
    csv("userId,movieId,rating,timestamp", ([u, i, t, r]) => [u, i, r, t]),
  );
  put(
    "ratings.dat",
    csv(undefined, ([u, i, t, r]) => [u, i, r, t], "::"),
  );
  put(
    "u.data",
    csv(undefined, ([u, i, t, r]) => [u, i, r, t], "\t"),
  );
  const atomic = "user_id:token\titem_id:token\trating:float\ttimestamp:float";
  put(
    "ml-100k.inter",
    csv(atomic, ([u, i, t, r]) => [u, i, r, t], "\t"),
  );
  put("log_standard_4_08_to_4_21_pure.csv", kuaiRand(EVENTS.slice(0, 200)));
  put("log_standard_4_22_to_5_08_pure.csv", kuaiRand(EVENTS.slice(200)));
  const review = ([u, i, t, r]: (typeof EVENTS)[number]) => ({
    ...{
      rating: r,
      title: `Good, "${i}"`,
      text: "I like it\nvery much",
      images: [],
      asin: `B0${i}`,
      parent_asin: `${i}`,
    },
    ...{ user_id: `${u}`, timestamp: t * 1000, helpful_vote: 0, verified_purchase: true },
  });
  put("Books.jsonl.gz", gzipSync(jsonLines(review)));
  const older = ([u, i, t, r]: (typeof EVENTS)[number]) => ({
    ...{
      overall: r,
      verified: true,
      reviewTime: "09 13, 2020",
      reviewerID: `${u}`,
      asin: `${i}`,
      style: { "Format:": " Paperback" },
    },
    ...{ reviewerName: "A. Reader", reviewText: "I like it", summary: "Good", unixReviewTime: t },
  });
  put("Books.json.gz", gzipSync(jsonLines(older)));
  put(
    "yoochoose-clicks.dat",
    csv(undefined, ([u, i, t]) => [u, dateOf(t), i, 0]),
  );
  const postgres = (t: number) => dateOf(t).replace("T", " ").replace(".000Z", "+00");
  put(
    "export.csv",
    csv("user_id,item_id,created_at", ([u, i, t]) => [u, i, postgres(t)]),
  );
  mkdirSync(at("day_0"));
  mkdirSync(at("day_1"));
  const read = `read_csv('${at("ratings.csv")}')`;
  const criteo = `SELECT "timestamp", userId AS uid, movieId AS campaign, rating AS conversion FROM ${read}`;
  const bigQuery = `SELECT userId::VARCHAR AS user_id, movieId::VARCHAR AS item_id, "timestamp" * 1000000 AS event_timestamp FROM ${read}`;
  await runSql(
    `COPY (${criteo} LIMIT 150) TO '${at("day_0/part-0.parquet")}' (FORMAT parquet)`,
    `COPY (${criteo} OFFSET 150) TO '${at("day_1/part-0.parquet")}' (FORMAT parquet)`,
    `COPY (${bigQuery} LIMIT 300) TO '${at("events-000000000000.parquet")}' (FORMAT parquet)`,
    `COPY (${bigQuery} OFFSET 300) TO '${at("events-000000000001.parquet")}' (FORMAT parquet)`,
  );
}

/** The command of each row of the table. */
function commands(): string[] {
  const page = readFileSync(fileURLToPath(new URL("../../docs/data.md", import.meta.url)), "utf8");
  const [, section = ""] = /## Public data sets\n([\s\S]*?)\n## /.exec(page) ?? [];
  return section.split("\n").flatMap((row) => {
    const spans = [...row.replaceAll("\\|", "¦").matchAll(/`([^`]*shortlist prepare [^`]*)`/g)];
    return spans.slice(-1).map(([, span]) => span!.replaceAll("¦", "|"));
  });
}

const PRELUDE = `shortlist() { '${process.execPath}' '${main}' "$@"; }; psql() { cat export.csv; }; `;

function runInShell(command: string): { readonly id: string; readonly clicks: number } {
  const { status, stderr } = spawnSync("bash", ["-c", PRELUDE + command], { cwd: folder, encoding: "utf8" });
  assert.is(status, 0, `${command}\n${stderr}`);
  const { id, clicks } = JSON.parse(readFileSync(at("dataset/dataset.json"), "utf8"));
  return { id, clicks };
}

tables("every command of docs/data.md for a public data set gives the dataset of its events", async () => {
  await writeFiles();
  const found = commands();
  assert.is(found.length, 11, found.join("\n"));
  const expected = runInShell(found[0]!);
  assert.is(expected.clicks, EVENTS.length);
  for (const command of found) assert.equal(runInShell(command), expected, command);
});

tables("a condition leaves the good ratings of any of them, with and without a header", () => {
  const good = EVENTS.filter(([, , , rating]) => rating >= 5).length;
  const expected = runInShell('shortlist prepare ratings.csv --where "rating >= 5" --output dataset');
  assert.is(expected.clicks, good);
  const columns = "--user 1 --item 2 --time 4";
  assert.equal(runInShell(`shortlist prepare ratings.dat ${columns} --where '"3" >= 5' --output dataset`), expected);
});

test.run();
