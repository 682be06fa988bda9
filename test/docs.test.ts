import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ERROR_CODES } from "../src/errors.js";
import { type ModelConfig, PRESETS } from "../src/model/config.js";
import { OPS } from "../src/ops/index.js";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

test("docs/errors.md explains every error code, and no other", () => {
  const documented = [...read("../docs/errors.md").matchAll(/^\| `(ERR_\w+)`/gm)].map(([, code]) => code!);
  assert.equal(documented.sort(), Object.keys(ERROR_CODES).sort());
});

test("docs/ops.md names every op", () => {
  const text = read("../docs/ops.md");
  const missing = [...OPS.keys()].filter((name) => !text.includes(`\`${name}\``));
  assert.equal(missing, []);
});

test("docs/configuration.md has every key, with both presets' values", () => {
  const rows = [...read("../docs/configuration.md").matchAll(/^\| `(\w+)` \|.*?\| `([^|]*)` \| `([^|]*)` \|/gm)];
  const { default: best, paddle } = PRESETS;
  const text = (value: unknown) => (typeof value === "object" ? JSON.stringify(value) : String(value));
  const expected = Object.entries(best!).map(([key, value]) => [
    key,
    text(value),
    text(paddle![key as keyof ModelConfig]),
  ]);
  assert.equal(rows.map((row) => row.slice(1)).sort(), expected.sort());
});

test("native/ops/registry.inc and src/ops/index.ts have the same ops", () => {
  const native = [...read("../native/ops/registry.inc").matchAll(/^SHORTLIST_(?:OP|PRODUCT)\((\w+)\)/gm)].map(
    ([, name]) => name!,
  );
  assert.equal(native.sort(), [...OPS.keys()].sort());
});

test.run();
