import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type AppearLimit, appearLimitOf } from "../../src/data/appear_limits.js";
import { openDataset, prepareDataset } from "../../src/data/dataset.js";
import { TokenCounts } from "../../src/data/token_table.js";
import { expectError, withFolder } from "./temporary.js";

/** Tokens that occur this often. */
function countsOf(...counts: readonly number[]): TokenCounts {
  const tokens = new TokenCounts();
  for (const [i, count] of counts.entries()) tokens.add(`t${i}`, count);
  return tokens;
}

test("auto keeps every item, and of other features all but the rarest 1 % of the uses", () => {
  const limitOf = (...counts: number[]) => appearLimitOf("auto", "tags", countsOf(...counts), false);
  assert.is(appearLimitOf("auto", "item", countsOf(1, 1, 1000), true), 0);
  // 3 uses of 300 are 1 %, and 3 of 299 are more.
  assert.is(limitOf(1, 2, 297), 20);
  assert.is(limitOf(1, 2, 296), 1);
  assert.is(limitOf(2, 2, 296), 1);
  assert.is(limitOf(...Array<number>(50).fill(1)), 0);
  assert.is(limitOf(...Array<number>(50).fill(20), 200), 19);
  assert.is(limitOf(...Array<number>(50).fill(21)), 20);
  assert.is(limitOf(), 20);
});

test("missing values count neither as uses nor as left out", () => {
  const counts = countsOf(1, 99);
  counts.add(null, 1_000_000);
  assert.is(appearLimitOf("auto", "city", counts, false), 20);
  counts.add("another", 1);
  assert.is(appearLimitOf("auto", "city", counts, false), 0);
});

test("a number is the limit of all features; an object has limits of some", () => {
  const counts = countsOf(1, 5);
  assert.is(appearLimitOf(7, "item", counts, true), 7);
  assert.is(appearLimitOf({ item: 3 }, "item", counts, true), 3);
  assert.is(appearLimitOf({ item: 3, tags: "auto" }, "tags", counts, false), 0);
  assert.is(appearLimitOf({ item: 3 }, "constructor", counts, false), 0);
});

const SCHEMA = {
  columns: [
    { name: "user_id", kind: "categorical" },
    { name: "clicks", kind: "clicks" },
  ],
  click: [
    { name: "item", multiple: false },
    { name: "tags", multiple: true },
  ],
} as const;

test("the limits that were used are reported and stored; limits of unknown features are refused", async () => {
  await withFolder(async (folder) => {
    const log = join(folder, "log.tsv");
    const lines = Array.from({ length: 200 }, (_, u) => `u${u}\tv${u}:common${u === 7 ? "_rare" : ""};v0:common\n`);
    await writeFile(log, lines.join(""));
    const prepare = (featureAppearLimit?: AppearLimit) =>
      prepareDataset({ logs: [log], output: join(folder, "dataset"), schema: SCHEMA, featureAppearLimit });
    const limitsOf = async () => (await openDataset(join(folder, "dataset"))).appearLimits;

    const { features, vocabularySizes } = await prepare();
    assert.equal(vocabularySizes, { user_id: 201, item: 201, tags: 2 });
    assert.equal(features, [
      { name: "user_id", unit: "lines", appearLimit: 0, values: 200, valuesLeftOut: 0, uses: 200, usesLeftOut: 0 },
      { name: "item", unit: "clicks", appearLimit: 0, values: 200, valuesLeftOut: 0, uses: 400, usesLeftOut: 0 },
      { name: "tags", unit: "uses", appearLimit: 20, values: 2, valuesLeftOut: 1, uses: 401, usesLeftOut: 1 },
    ]);
    assert.equal(await limitsOf(), { user_id: 0, item: 0, tags: 20 });

    await prepare({ item: 1, tags: 0 });
    assert.equal(await limitsOf(), { user_id: 0, item: 1, tags: 0 });
    await prepare(3);
    assert.equal(await limitsOf(), { user_id: 3, item: 3, tags: 3 });

    await expectError(
      prepare({ tag: 1 }),
      "ERR_OPTION",
      'featureAppearLimit: Unknown option "tag". Did you mean "tags"?',
    );
    for (const wrong of [-1, 1.5, "all", null, [1], { item: -1 }, { item: null }]) {
      await expectError(prepare(wrong as never), "ERR_OPTION", 'Expected featureAppearLimit to be "auto" or a whole');
    }
    assert.equal(await limitsOf(), { user_id: 3, item: 3, tags: 3 });
  });
});

test.run();
