import { readdirSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { OPS } from "../../src/ops/index.js";
import { allCases, CASE_FILES } from "../cases/all_cases.js";
import { buildCase } from "../cases/build_case.js";

const TESTS = new URL("./", import.meta.url);

const cases = await allCases();
const ops = new Set(cases.map(({ op }) => op));

test("every op has cases, or is the gradient of one that has", () => {
  const used = new Set(ops);
  for (const opCase of cases.filter(({ benchmark }) => !benchmark)) {
    for (const { op } of buildCase(opCase, { gradients: true }).program.instructions) used.add(op);
  }
  assert.equal(
    [...OPS.keys()].filter((op) => !used.has(op)),
    [],
  );
  assert.equal(
    [...ops].filter((op) => !OPS.has(op)),
    [],
  );
});

test("every op with a gradient rule is checked against central differences", () => {
  for (const op of OPS.values()) {
    if (!op.gradient) continue;
    const checked = cases.some((opCase) => opCase.op === op.name && opCase.differentiate && !opCase.benchmark);
    assert.ok(checked, op.name);
  }
});

test("every case has a name of its own", () => {
  const names = cases.map(({ op, name }) => `${op}: ${name}`);
  assert.is(new Set(names).size, names.length);
});

test("every file of cases has its test", () => {
  const tests = readdirSync(TESTS);
  for (const file of CASE_FILES) assert.ok(tests.includes(`${file}.test.ts`), file);
});

test("every op of docs/ops.md is registered, and the reverse", () => {
  const docs = readFileSync(new URL("../../docs/ops.md", import.meta.url), "utf8");
  const rows = docs.split("\n").filter((line) => line.startsWith("| `"));
  const documented = rows.flatMap((line) =>
    [...line.split("|")[1]!.matchAll(/`([a-z0-9_]+)`/g)].map((match) => match[1]!),
  );
  assert.equal([...documented].sort(), [...OPS.keys()].sort());
});

test("costs are finite and positive for every benchmark case", () => {
  for (const opCase of cases.filter(({ benchmark, large }) => benchmark && !large)) {
    const { program } = buildCase(opCase, { gradients: false });
    const specs = new Map(program.tensors.map((tensor) => [tensor.name, tensor]));
    const shapeOf = (name: string) => {
      const [rows = 1, columns = 1] = specs.get(name)!.shape as number[];
      return { rows, columns };
    };
    const [instruction] = program.instructions;
    const { inputs, outputs, attributes } = instruction!;
    const cost = OPS.get(opCase.op)!.cost({
      has: (slot) => slot in inputs || slot in outputs,
      input: (slot) => shapeOf(inputs[slot] as string),
      list: (slot) => [inputs[slot] ?? []].flat().map((name) => shapeOf(name as string)),
      output: (slot) => shapeOf(outputs[slot] as string),
      attribute: (name) => attributes[name] as never,
    });
    assert.ok(cost.bytes > 0 && Number.isFinite(cost.bytes) && Number.isFinite(cost.flops), opCase.op);
  }
});

test.run();
