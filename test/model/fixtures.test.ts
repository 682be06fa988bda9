import { deepStrictEqual } from "node:assert";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDataset } from "../../src/data/dataset.js";
import { encodeLog } from "../../src/data/encode_log.js";
import { inspect } from "../../src/model/inspect.js";
import { MODEL_FORMAT } from "../../src/model/migrate.js";
import { openModel, saveModel } from "../../src/model/model.js";
import { evaluate } from "../../src/train/evaluate.js";
import { expectError, withFolder } from "../data/temporary.js";
import { type Answer, answersOf } from "../fixtures/answers.js";
import { FIXTURES, fixtures } from "../fixtures/fixtures.js";
import { withFeatureRenamed } from "../fixtures/renamed_feature.js";

// Folders that earlier versions of Shortlist wrote still open, and their models compute the same results.

const expectedOf = (model: string): Answer[] =>
  JSON.parse(readFileSync(model.replace(/model-(v\d+)$/, "expected-$1.json"), "utf8"));

const LOG = join(FIXTURES, "log.tsv");

test("there is a model of every version of the format", () => {
  const versions = Array.from({ length: MODEL_FORMAT.version }, (_, i) => join(FIXTURES, `model-v${i + 1}`));
  assert.equal(fixtures("model"), versions);
});

for (const folder of fixtures("model")) {
  const name = folder.slice(FIXTURES.length);

  test(`${name} on the reference executor says exactly what it said`, async () => {
    const model = await openModel(folder, { executor: "reference" });
    const expected = expectedOf(folder);
    assert.ok(expected.length > 10 && expected.some(({ items }) => Math.abs(items[0]!.score) > 0.1));
    assert.equal(await answersOf(model), expected);
    model.close();
  });

  test(`${name} on the native engine says the same within float32's rounding`, async () => {
    const model = await openModel(folder, { threads: 1 });
    const near = (actual: number, expected: number, what: string) =>
      assert.ok(
        Math.abs(actual - expected) <= 1e-5 * Math.max(1, Math.abs(expected)),
        `${what}: ${actual}, ${expected}`,
      );
    const [answers, expected] = [await answersOf(model), expectedOf(folder)];
    for (const [u, { user, vector, items }] of expected.entries()) {
      assert.is(answers[u]!.user, user);
      for (const [i, value] of vector.entries()) near(answers[u]!.vector[i]!, value, `${user}, ${i}`);
      assert.is(answers[u]!.items.length, items.length);
      for (const [i, { score }] of items.entries()) near(answers[u]!.items[i]!.score, score, `${user}, item ${i}`);
    }
    model.close();
  });

  test(`${name} can be inspected, evaluated and saved as the current version`, async () => {
    const inspection = await inspect(folder, { training: true });
    assert.is(inspection.kind, "model");
    const model = await openModel(folder, { executor: "reference" });
    const { training } = model.description;
    assert.is(training.heldOut, "last");
    assert.ok(training.validation!.ndcg["10"]! > 0);
    const baselines = await openDataset(fixtures("dataset").at(-1)!);
    assert.is((await evaluate(model, LOG, { baselines })).users, 12);
    await withFolder(async (work) => {
      await saveModel(model, join(work, "again"));
      assert.is(JSON.parse(await readFile(join(work, "again/config.json"), "utf8")).version, MODEL_FORMAT.version);
      const again = await openModel(join(work, "again"), { executor: "reference" });
      assert.equal(await answersOf(again), expectedOf(folder));
      again.close();
    });
    model.close();
  });
}

test("a model of version 1 with a feature of a name that version 2 reserves is refused, and told the way out", async () => {
  const [model] = fixtures("model");
  await withFolder(async (work) => {
    const open = async (from: string, name: string) => {
      const renamed = join(work, `${from} as ${name}`);
      await withFeatureRenamed(model!, renamed, from, name);
      return openModel(renamed, { executor: "reference" });
    };
    const advice = "rename the feature in the schema, and prepare and train again";
    for (const name of ["sequences", "timesteps"]) {
      const text = `The name "${name}" in click[1] is reserved: ${advice}`;
      await expectError(open("category", name), "ERR_MODEL", text);
    }
    const text = `expected no tensor "sequence_offsets" before version 2. If it is that of a feature, ${advice}`;
    await expectError(open("tags", "sequence"), "ERR_MODEL", text);
    for (const [from, name] of [
      ["category", "sequence"],
      ["tags", "genres"],
    ] as const) {
      const opened = await open(from, name);
      assert.equal(await answersOf(opened), expectedOf(model!));
      opened.close();
    }
  });
});

for (const folder of fixtures("dataset")) {
  test(`${folder.slice(FIXTURES.length)} holds the clicks of its log`, async () => {
    const dataset = await openDataset(folder);
    const { clicks } = await encodeLog([LOG], dataset);
    deepStrictEqual(dataset.clicks, clicks); // which treats NaN as equal to NaN
    assert.equal(dataset.logs, [{ name: "log.tsv", lines: 12, skipped: 0 }]);
    assert.equal(new Set(Object.values(dataset.appearLimits)), new Set([1]));
  });
}

test.run();
