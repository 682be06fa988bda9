import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { ShortlistError } from "../../src/errors.js";
import { loadAddon } from "../../src/executors/load.js";

const folder = mkdtempSync(join(tmpdir(), "shortlist-test-"));
test.after(() => rmSync(folder, { recursive: true }));

function failure(path: string): ShortlistError {
  try {
    loadAddon(path);
  } catch (error) {
    return error as ShortlistError;
  }
  throw new Error(`${path} was loaded`);
}

test("the addon is of this version", () => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  assert.is(loadAddon().version(), version);
  assert.is(loadAddon(), loadAddon());
});

test("the error of a missing or foreign addon lists possible solutions", () => {
  writeFileSync(join(folder, "broken.node"), "no shared library");
  for (const name of ["missing.node", "broken.node"]) {
    const error = failure(join(folder, name));
    assert.instance(error, ShortlistError);
    assert.is(error.code, "ERR_EXECUTOR");
    assert.instance(error.cause, Error);
    const [reason, solutions] = error.message.split("\nPossible solutions:\n");
    assert.ok(reason!.startsWith("Cannot load the native engine"), reason);
    assert.ok(reason!.includes(name), reason);
    for (const solution of ["npm run setup", "npm rebuild shortlist", "C++17 compiler", "--executor reference"]) {
      assert.ok(solutions!.includes(solution), solution);
    }
  }
});

test.run();
