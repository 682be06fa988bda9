import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { prepareDataset } from "../../src/data/dataset.js";
import { parseSchema } from "../../src/data/schema.js";
import { readLog } from "../../src/data/sources/read_log.js";
import { clickTimes } from "../../src/data/times.js";
import { expectError, withFolder } from "./temporary.js";

const DAY = 86_400;
const START = 1_700_000_000;
/** Times of clicks over a month, with a few in each hour. */
const month = (count = 500) => Array.from({ length: count }, (_, i) => START + ((i * 7919) % (30 * DAY)));

function rangeOf(times: readonly number[]) {
  const { earliest, latest, farOff } = clickTimes(Float64Array.from(times));
  return { earliest, latest, farOff };
}

const plainRange = (times: readonly number[], farOff = 0) => ({
  earliest: Math.min(...times),
  latest: Math.max(...times),
  farOff,
});

test("times that stand for something else are left out of the range, wherever and however many they are", () => {
  const times = month();
  assert.equal(rangeOf(times), plainRange(times));
  for (const marker of [0, -1, -62_135_596_800, 1, 253_402_300_799, 1.7e12, 1e300]) {
    assert.equal(rangeOf([...times, marker]), plainRange(times, 1), String(marker));
    assert.equal(rangeOf([marker, ...times, Number.NaN]), plainRange(times, 1), String(marker));
  }
  assert.equal(rangeOf([...times, ...Array<number>(300).fill(0), -1]), plainRange(times, 301));
  assert.equal(rangeOf([...times, 0, -1, 253_402_300_799, Number.NaN]), plainRange(times, 3));
});

test("times that are no such thing keep their range, bit for bit", () => {
  const days = Array.from({ length: 300 }, (_, i) => i % 30);
  const around = Array.from({ length: 300 }, (_, i) => i - 150);
  for (const times of [
    days,
    around,
    around.map((time) => time - 1e9),
    [...month(), START - 200 * DAY],
    [...Array<number>(300).fill(7), 8],
    [0, START],
    Array<number>(50).fill(0),
  ]) {
    assert.equal(rangeOf(times), plainRange(times));
  }
  assert.equal(rangeOf([]), { earliest: Number.NaN, latest: Number.NaN, farOff: 0 });
});

const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "clicks" }],
  click: [{ name: "item" }, { name: "time", kind: "time" }],
});

async function report(lines: readonly (readonly (number | "")[])[]) {
  let result: Awaited<ReturnType<typeof readLog>>["unordered"];
  await withFolder(async (folder) => {
    const log = join(folder, "log.tsv");
    const text = lines.map((times, u) => `u${u}\t${times.map((time, i) => `i${i}:${time}`).join(";")}\n`);
    await writeFile(log, text.join(""));
    result = (await readLog([log], { schema: SCHEMA }, () => {})).unordered;
    if (result) result = { ...result, first: result.first.slice(folder.length + 1) };
  });
  return result;
}

test("a log with the newest click first is refused", async () => {
  await expectError(
    report([[12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2], [9]]),
    "ERR_LOG",
    /Expected the oldest click first but times fall .* 1 of 2 lines \(the first: .*log\.tsv:1\)/,
  );
  const long = [20, 19, "", 18, 17, 17, 16, 15, 14, 13, 12, 11, 10] as const;
  await expectError(report([[5], long]), "ERR_LOG", "log.tsv:2): are they newest first?");
  const mostly = Array.from({ length: 20 }, (_, u) => (u === 0 ? [1, 2] : [9, 8, 7]));
  await expectError(report(mostly), "ERR_LOG", "19 of 20 lines");
});

test("a few clicks are too few to tell", async () => {
  assert.equal(await report([[5], [3, 2, 1]]), { lines: 1, clicks: 2, first: "log.tsv:2" });
});

test("some clicks that go back in time are counted, with the first line", async () => {
  assert.is(await report([[1, 2, 2, "", 3], [5]]), undefined);
  assert.equal(
    await report([
      [1, 2],
      [1, 3, 2, 4],
      [2, 1, 3, 2, 4],
    ]),
    { lines: 2, clicks: 3, first: "log.tsv:2" },
  );
});

test("prepare says which times it found, and warns of those that are far off and of users with one click", async () => {
  await withFolder(async (folder) => {
    const log = join(folder, "log.tsv");
    const times = month(40);
    const lines = times.map((time, u) => `u${u}\ta:${u === 7 ? 0 : time}\n`);
    await writeFile(log, lines.join(""));
    const warnings: string[] = [];
    const prepared = await prepareDataset({
      logs: [log],
      output: join(folder, "dataset"),
      schema: SCHEMA,
      featureAppearLimit: 20,
      onWarning: (message) => warnings.push(message),
    });
    assert.equal(
      prepared.times,
      plainRange(
        times.filter((_, u) => u !== 7),
        1,
      ),
    );
    assert.is(prepared.singleClickUsers, 40);
    assert.equal(prepared.features, [
      { name: "user_id", unit: "lines", appearLimit: 20, values: 40, valuesLeftOut: 40, uses: 40, usesLeftOut: 40 },
      { name: "item", unit: "clicks", appearLimit: 20, values: 1, valuesLeftOut: 0, uses: 40, usesLeftOut: 0 },
    ]);
    assert.is(warnings.length, 3);
    assert.match(
      warnings[0]!,
      'every value of "user_id" is left out, as it appears at most 20 times: the model will know no',
    );
    assert.match(warnings[1]!, "1 of 40 clicks have a time far from all others");
    assert.match(warnings[2]!, "40 of 40 users have a single click");
  });
});

test("prepare warns of times that are all the same, and of two units in one log", async () => {
  await withFolder(async (folder) => {
    const warningsOf = async (times: readonly number[]) => {
      const log = join(folder, "log.tsv");
      await writeFile(log, times.map((time, u) => `u${u}\ta:${time};b:${time}\n`).join(""));
      const warnings: string[] = [];
      const onWarning = (message: string) => warnings.push(message);
      await prepareDataset({
        logs: [log],
        output: join(folder, "dataset"),
        schema: SCHEMA,
        onWarning,
        featureAppearLimit: 0,
      });
      return warnings.join();
    };
    assert.match(await warningsOf([5, 5, 5]), "all clicks have the same time, 5");
    const seconds = month(20);
    assert.match(await warningsOf([...seconds, ...seconds.map((time) => 1000 * time)]), "of two units");
    for (const times of [seconds, [1, 2, 100_000], [3, 5]]) assert.is(await warningsOf(times), "");
  });
});

test.run();
