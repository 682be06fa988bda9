import { readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { OPS } from "../../src/ops/index.js";
import { allCases } from "./all_cases.js";
import { CORPUS, type CorpusCase, corpusCases, type Expectation, NETWORKS } from "./corpus.js";
import { networkCases } from "./networks.js";

const cases = await allCases();
const read = (file: URL) =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as CorpusCase);
const stored = read(CORPUS);

/**
 * The reference uses the platform's exp, log and tanh, whose last bit may differ between platforms. So numbers are
 * compared with a small tolerance.
 */
function assertExpected(actual: Expectation, expected: Expectation, where: string): void {
  assert.is(actual.every, expected.every, where);
  assert.is(actual.values.length, expected.values.length, where);
  const isNear = (a: number | string, b: number | string, bound: number) =>
    a === b || Math.abs(Number(a) - Number(b)) <= bound / 8;
  assert.ok(isNear(actual.bound, expected.bound, expected.bound), `${where}: bound`);
  const elements = expected.every * expected.values.length;
  assert.ok(isNear(actual.sum ?? 0, expected.sum ?? 0, elements * expected.bound), `${where}: sum`);
  actual.values.forEach((value, i) => {
    assert.ok(isNear(value, expected.values[i]!, expected.bound), `${where}: ${value}, ${expected.values[i]}`);
  });
}

function assertSame(stored: readonly CorpusCase[], generated: readonly CorpusCase[]): void {
  assert.equal(
    stored.map(({ name }) => name),
    generated.map(({ name }) => name),
  );
  stored.forEach(({ expected, ...rest }, i) => {
    const { expected: wanted, ...generatedRest } = generated[i]!;
    assert.equal(rest, JSON.parse(JSON.stringify(generatedRest)), rest.name);
    assert.equal(Object.keys(expected), Object.keys(wanted), rest.name);
    for (const [tensor, expectation] of Object.entries(wanted))
      assertExpected(expected[tensor]!, expectation, `${rest.name}: ${tensor}`);
  });
}

test("corpus.jsonl is what the cases and the reference give: else run test/cases/export.ts", async () => {
  assertSame(stored, await corpusCases(cases));
});

test("networks.jsonl is what the networks and the reference give: else run test/cases/export.ts", async () => {
  assertSame(read(NETWORKS), await networkCases());
});

test("native checks replay every op, and all cases but a few with thousands of integers", () => {
  const ops = new Set(stored.flatMap(({ program }) => program.instructions.map(({ op }) => op)));
  assert.equal(
    [...OPS.keys()].filter((op) => !ops.has(op)),
    [],
  );
  const names = new Set(stored.map(({ name }) => name));
  const left = cases.filter(({ op, name, benchmark }) => !benchmark && !names.has(`${op}: ${name}`));
  assert.ok(left.length <= 5, left.map(({ op, name }) => `${op}: ${name}`).join(", "));
});

test.run();
