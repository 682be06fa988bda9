import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const root = fileURLToPath(new URL("../", import.meta.url));

// The example imports the package by its name, like a user's code.
test("examples/graph.mjs trains a network of its own, close to the best possible loss", () => {
  const printed = execFileSync(process.execPath, ["examples/graph.mjs"], { cwd: root, encoding: "utf8" });
  const losses = [...printed.matchAll(/^step \d+: loss ([\d.]+)$/gm)].map(([, loss]) => Number(loss));
  assert.is(losses.length, 5);
  assert.ok(Math.abs(losses[0]! - Math.log(8)) < 0.01, `${losses[0]} before the first step`);
  assert.ok(losses.at(-1)! > Math.log(2) && losses.at(-1)! < Math.log(2) + 0.01, `${losses.at(-1)} after the last one`);
});

test.run();
