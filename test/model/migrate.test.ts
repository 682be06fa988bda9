import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ShortlistError } from "../../src/errors.js";
import { type Program, parseProgram } from "../../src/graph/program.js";
import { migrateProgram } from "../../src/model/migrate.js";
import { FIXTURES } from "../fixtures/fixtures.js";

// What opening the fixtures does not show: which names are renamed, and which are refused.

const read = (version: number) => parseProgram(readFileSync(join(FIXTURES, `model-v${version}/program.json`), "utf8"));

test("the Program of a model of version 1 becomes that of version 2", () => {
  const [old, current] = [read(1), read(2)];
  assert.ok(old.dims.includes("runs") && old.tensors.some(({ name }) => name === "step_position"));
  const migrated = migrateProgram(old, { version: 1 });
  assert.equal(migrated.tensors, current.tensors);
  assert.equal(migrated.instructions, current.instructions);
  assert.equal([...migrated.dims].sort(), [...current.dims].sort());
  assert.equal(migrateProgram(current, { version: 2 }), current);
});

test("a Program of version 1 that has names of version 2 is refused", () => {
  const old = read(1);
  const temporary = { name: "timestep_end", dtype: "int32", shape: [1], role: "temporary" } as const;
  const advice = "If it is that of a feature, rename the feature in the schema, and prepare and train again";
  const cases: [Program, string][] = [
    [{ ...old, dims: [...old.dims, "sequences"] }, 'Program: expected no dim "sequences" before version 2'],
    [{ ...old, tensors: [...old.tensors, temporary] }, 'Program: expected no tensor "timestep_end" before version 2'],
  ];
  for (const [program, message] of cases) {
    try {
      migrateProgram(program, { version: 1 });
    } catch (error) {
      assert.is((error as ShortlistError).code, "ERR_PROGRAM");
      assert.is((error as ShortlistError).message, `${message}. ${advice}`);
      continue;
    }
    assert.unreachable("was not refused");
  }
});

test.run();
