import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { checkProgram } from "../../src/graph/check_program.js";
import { type Program, parseProgram } from "../../src/graph/program.js";
import { OPS } from "../../src/ops/index.js";

const lines = (path: string) =>
  readFileSync(new URL(path, import.meta.url), "utf8")
    .trimEnd()
    .split("\n");
const programs = [...lines("../cases/corpus.jsonl"), ...lines("../cases/networks.jsonl")].map((line) =>
  parseProgram(JSON.stringify((JSON.parse(line) as { program: Program }).program)),
);

test("the Programs that mutations start from are valid", () => {
  for (const program of programs) checkProgram(program, OPS);
});

test("every op is in one of them", () => {
  const used = new Set(programs.flatMap(({ instructions }) => instructions.map(({ op }) => op)));
  assert.equal(
    [...OPS.keys()].filter((op) => !used.has(op)),
    [],
  );
});

test.run();
