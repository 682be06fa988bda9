import { test } from "uvu";
import * as assert from "uvu/assert";
import { migrate, type StoredFormat } from "../../src/data/stored_format.js";
import { ShortlistError } from "../../src/errors.js";

const FORMAT: StoredFormat = {
  name: "test",
  version: 3,
  code: "ERR_MODEL",
  remake: "bake it again",
  migrations: [
    { version: 2, object: "config", member: "glaze", change: { added: "none" } },
    { version: 2, object: "config", member: "length", change: { renamed: "size" } },
    { version: 3, object: "config", member: "size", change: { renamed: "width" } },
    { version: 3, object: "training", member: "rounds", change: { added: [1, 2] } },
  ],
};

function refused(head: object): string {
  try {
    migrate({ format: "test", ...head }, FORMAT, "at/config.json");
  } catch (error) {
    assert.ok(error instanceof ShortlistError && error.code === "ERR_MODEL");
    return (error as Error).message;
  }
  return "not refused";
}

test("what a version adds or renames is there in older folders, and nothing else changes", () => {
  const rest = { id: "x", config: { flour: 1 } };
  const cases: [before: object, after: object][] = [
    [
      { version: 1, config: { length: 7, flour: 1 }, training: { steps: 3 } },
      { config: { width: 7, flour: 1, glaze: "none" }, training: { steps: 3, rounds: [1, 2] } },
    ],
    [{ version: 2, config: { size: 7, glaze: "sugar" } }, { config: { width: 7, glaze: "sugar" } }],
    [
      { version: 3, config: { width: 7, glaze: "sugar", length: 1 }, training: {} },
      { config: { width: 7, glaze: "sugar", length: 1 }, training: {} },
    ],
    // Missing or malformed members are left to the code that reads them.
    [
      { version: 1, config: {}, training: 5 },
      { config: { glaze: "none" }, training: 5 },
    ],
    [{ version: 1, config: null }, { config: null }],
  ];
  for (const [before, after] of cases) {
    const head = { format: "test", ...rest, ...before };
    const copy = structuredClone(head);
    assert.equal(migrate(head, FORMAT, "x"), { format: "test", ...rest, ...after, version: 3 });
    assert.equal(head, copy, "the stored object stays as it is");
  }
});

test("other formats and versions are refused, newer ones with the way out", () => {
  assert.is(refused({ format: "other" }), 'at/config.json: Expected format "test" but received "other"');
  for (const version of [undefined, 0, -1, 1.5, "1", null]) {
    const received = JSON.stringify(version);
    assert.is(refused({ version }), `at/config.json: Expected a version from 1 to 3 but received ${received}`);
  }
  assert.is(
    refused({ version: 4 }),
    "at/config.json: Expected a version from 1 to 3 but received 4: a newer Shortlist wrote it. Update Shortlist, or bake it again with this one",
  );
});

test("a member of a later version than the folder's is refused, not overwritten", () => {
  const expected = (member: string, version: number) =>
    `at/config.json: Expected no "${member}" in "config" before version ${version}`;
  assert.is(refused({ version: 1, config: { glaze: "sugar" } }), expected("glaze", 2));
  assert.is(refused({ version: 1, config: { size: 1, length: 1 } }), expected("size", 2));
  assert.is(refused({ version: 2, config: { width: 1 } }), expected("width", 3));
});

test.run();
