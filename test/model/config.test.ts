import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type ModelConfig, PRESETS, readConfig, resolveConfig } from "../../src/model/config.js";
import { expectError, withFolder } from "../data/temporary.js";

const NUMBERS = Object.entries(PRESETS["default"]!).flatMap(([key, value]) =>
  typeof value === "number" ? [key as keyof ModelConfig] : [],
);

async function expectRefusal(key: string, value: unknown, expected: string): Promise<void> {
  const work = (async () => resolveConfig("default", { [key]: value }))();
  await expectError(work, "ERR_CONFIG", `Expected "${key}" to be ${expected}`);
}

test("a number that float32 cannot hold is refused for every key", async () => {
  assert.ok(NUMBERS.length > 20);
  for (const key of NUMBERS) {
    for (const value of [1e39, -1e39, 1e-46, -1e-46, 1e-39, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expectRefusal(key, value, "a");
    }
  }
});

test("a number that float32 would round so that a formula divides by 0 is refused", async () => {
  for (const key of ["beta1", "beta2"]) {
    for (const value of [1, 0.99999999, 1.5]) {
      await expectRefusal(key, value, "a number from 0 to below 1 that float32 can hold");
    }
    assert.is(resolveConfig("default", { [key]: 0.9999999 })[key as "beta1"], 0.9999999);
    assert.is(resolveConfig("default", { [key]: 0 })[key as "beta1"], 0);
  }
  for (const key of ["epsilon", "learningRate", "embeddingDeviation"]) {
    await expectRefusal(key, 0, "a number from 1.17");
    assert.is(resolveConfig("default", { [key]: 1e-30 })[key as "epsilon"], 1e-30);
  }
  for (const key of ["dropout", "embeddingDropout", "userDropout"]) {
    await expectRefusal(key, 1, "a number from 0 to 0.95");
  }
});

test("sizes stay within int32, and layers within reason", async () => {
  await expectRefusal("draws", 2 ** 31, "a whole number from 1 to 2147483647");
  await expectRefusal("lstmLayers", 100_000, "a whole number from 1 to 64");
  await expectRefusal("hiddenWidths", Array(65).fill(8), "a list of at most 64 whole numbers");
  assert.is(resolveConfig("default", { draws: 2 ** 31 - 1 }).draws, 2 ** 31 - 1);
});

test("a configuration file is checked as it is read, and the message names it", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "config.json");
    const read = async (value: unknown) => {
      await writeFile(path, JSON.stringify(value));
      return readConfig(path);
    };
    assert.equal(await read({ lstmWidth: 8, embeddingWidths: { item: 8 } }), {
      lstmWidth: 8,
      embeddingWidths: { item: 8 },
    });
    const warnings: string[] = [];
    await writeFile(path, JSON.stringify({ passes: 3 }));
    assert.equal(await readConfig(path, { onWarning: (message) => warnings.push(message) }), { epochs: 3 });
    assert.equal(warnings, [`${path}: "passes" is called "epochs" now`]);
    const both = `${path}: Expected "epochs" alone but received "passes" beside it`;
    await expectError(read({ passes: 3, epochs: 3 }), "ERR_CONFIG", both);
    assert.throws(
      () => resolveConfig("default", {}, ["passes=3"]),
      /Unknown configuration key "passes". Did you mean "epochs"\?/,
    );
    const misspelled = `${path}: Unknown configuration key "lstmWidht". Did you mean "lstmWidth"?`;
    await expectError(read({ lstmWidht: 8 }), "ERR_CONFIG", misspelled);
    await expectError(read({ loss: "hinge" }), "ERR_CONFIG", `${path}: Expected "loss" to be one of nce, `);
    for (const value of [[], 3, null]) {
      const received = JSON.stringify(value);
      await expectError(read(value), "ERR_CONFIG", `${path}: Expected a JSON object but received ${received}`);
    }
  });
});

test.run();
