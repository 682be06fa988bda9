import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Engine } from "../../src/executors/executor.js";
import { availableIsas, createNativeEngine } from "../../src/executors/native.js";
import { createReferenceEngine } from "../../src/executors/reference.js";
import type { Gradient } from "../../src/graph/gradients.js";
import type { Tensor } from "../../src/graph/graph.js";
import { OPS } from "../../src/ops/index.js";
import type { TensorData } from "../../src/ops/op.js";
import { RandomStream } from "../../src/random/philox.js";
import { badNumbers, withBadNumber } from "../cases/bad_numbers.js";
import { type BuiltCase, buildCase, SEED } from "../cases/build_case.js";
import type { CaseTensor, CaseTerm, OpCase } from "../cases/case.js";
import { difference, magnitudeOf, runDifference } from "../cases/compare.js";
import { type RunResult, runCase } from "../cases/run_case.js";

/**
 * Runs a case's op once by the reference in float64. Returns the outputs by slot (`result` is the first) and stored
 * tensors.
 */
export async function evaluate(opCase: Omit<OpCase, "name">): Promise<RunResult> {
  const engine = createReferenceEngine({ ops: OPS, precision: "float64" });
  return runCase(engine, buildCase({ name: "", ...opCase }, { gradients: false }));
}

/** Dense gradients of the loss Σ seed · output with respect to a case's differentiated slots. */
export async function evaluateGradients(
  opCase: Omit<OpCase, "name">,
  seed: ArrayLike<number>,
): Promise<Record<string, Float64Array>> {
  const engine = createReferenceEngine({ ops: OPS, precision: "float64" });
  const built = buildCase({ name: "", ...opCase }, { gradients: true });
  const inputs: Record<string, TensorData> = { ...built.inputs, [SEED]: Float64Array.from(seed) };
  const { outputs } = await runCase(engine, { ...built, inputs });
  const value = (tensor: Tensor) => outputs[tensor.name] ?? inputs[tensor.name] ?? built.stored[tensor.name]!;
  const shapeOf = (name: string) => built.program.tensors.find((tensor) => tensor.name === name)!.shape as number[];
  return Object.fromEntries(
    [...built.gradients].map(([name, gradient]) => [name, denseGradient(gradient, shapeOf(name), value)]),
  );
}

/** The dense gradient of a table [rows, width] for row terms, by their definition in docs/ops.md. */
export function denseTerms(terms: readonly CaseTerm[], rows: number, width: number): Float64Array {
  const sum = new Float64Array(rows * width);
  for (const term of terms) {
    const [ids, from] = [term.ids.values, term.rows.values];
    const perRow = ids.length / (from.length / width);
    for (let j = 0; j < ids.length; j++) {
      const row = term.offsets ? term.offsets.values.findLastIndex((offset) => offset <= j) : Math.floor(j / perRow);
      for (let c = 0; c < width; c++)
        sum[ids[j]! * width + c]! += (term.scale?.values[j] ?? 1) * from[row * width + c]!;
    }
  }
  return sum;
}

/** Asserts that two lists of numbers are equal except for rounding. */
export function assertNumbers(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-12): void {
  assertClose(Float64Array.from(actual), Float64Array.from(expected), tolerance, "numbers", 1);
}

/** Converts a gradient to a dense tensor, with the numbers of a run. */
export function denseGradient(
  gradient: Gradient,
  shape: readonly number[],
  value: (tensor: Tensor) => TensorData,
): Float64Array {
  if (gradient.kind === "dense") return Float64Array.from(value(gradient.tensor));
  const [rows, width = 1] = shape;
  const caseTensor = (tensor: Tensor): CaseTensor => ({ ...tensor, shape: [], values: value(tensor) });
  const terms = gradient.terms.map(({ ids, rows: from, offsets, scale }) => ({
    ids: caseTensor(ids),
    rows: caseTensor(from),
    ...(offsets && { offsets: caseTensor(offsets) }),
    ...(scale && { scale: caseTensor(scale) }),
  }));
  return denseTerms(terms, rows!, width);
}

/**
 * The elements of a parameter whose derivative is checked. Large cases check fewer, because each element runs the op
 * twice.
 */
function checkedElements(built: BuiltCase): number {
  const elements = Object.values(built.stored).reduce((sum, values) => sum + values.length, 0);
  return Math.max(3, Math.min(40, Math.floor(40_000 / elements)));
}

const STEP = 1e-5;

/** Compares gradient rules with central differences, both in float64. */
export async function checkGradients(opCase: OpCase): Promise<void> {
  const engine = createReferenceEngine({ ops: OPS, precision: "float64" });
  const built = buildCase(opCase, { gradients: true });
  const forward = buildCase(opCase, { gradients: false });
  const seed = built.inputs[SEED]!;
  const { outputs } = await runCase(engine, built);
  const value = (tensor: Tensor) => outputs[tensor.name] ?? built.inputs[tensor.name] ?? built.stored[tensor.name]!;

  const loss = async (name: string, element: number, step: number): Promise<number> => {
    const moved = Float64Array.from(built.stored[name]!);
    moved[element]! += step;
    const run = await runCase(engine, { ...forward, stored: { ...built.stored, [name]: moved } });
    return [...run.outputs[forward.outputs[0]!.name]!].reduce((sum, output, i) => sum + output * seed[i]!, 0);
  };

  const random = new RandomStream(7, 1002);
  for (const [name, values] of Object.entries(built.stored)) {
    const { shape } = built.program.tensors.find((tensor) => tensor.name === name)!;
    const gradient = built.gradients.get(name);
    assert.ok(gradient, `[${opCase.op}] no gradient for ${name}`);
    const analytic = denseGradient(gradient, shape as number[], value);
    assert.is(analytic.length, values.length);
    const count = Math.min(values.length, checkedElements(built));
    for (let n = 0; n < count; n++) {
      const i = count === values.length ? n : random.below(values.length);
      const numeric = ((await loss(name, i, STEP)) - (await loss(name, i, -STEP))) / (2 * STEP);
      const error = Math.abs(numeric - analytic[i]!);
      const where = `d ${name}[${i}]: ${analytic[i]} by the rule, ${numeric} by differences`;
      assert.ok(error <= 2e-6 * (1 + Math.abs(numeric)), where);
    }
  }
}

/**
 * Asserts that each element of `actual` differs from `expected` by at most `tolerance` times the largest finite
 * magnitude of `expected` (or `leastMagnitude`, if that is larger). Elements that are not finite must be equal.
 */
export function assertClose(
  actual: TensorData,
  expected: TensorData,
  tolerance: number,
  name: string,
  leastMagnitude = 0,
): void {
  const found = difference(actual, expected, tolerance * magnitudeOf(expected, leastMagnitude), name);
  if (found !== undefined) assert.unreachable(found);
}

/** Compares engines with the reference: the outputs of every instruction, and the stored tensors after the run. */
export async function checkAgainstReference(opCase: OpCase): Promise<(engine: Engine) => Promise<RunResult>> {
  const built = buildCase(opCase, { gradients: true });
  const expected = await runCase(createReferenceEngine({ ops: OPS }), built);
  return async (engine) => {
    const actual = await runCase(engine, built);
    const found = runDifference(opCase, built, actual, expected);
    if (found !== undefined) assert.unreachable(`${engine.isa}: ${found}`);
    return actual;
  };
}

function bytesOf({ outputs, stored }: RunResult): Record<string, Uint8Array> {
  const bytes = ({ buffer, byteOffset, byteLength }: TensorData) => new Uint8Array(buffer, byteOffset, byteLength);
  return Object.fromEntries(
    [...Object.entries(outputs), ...Object.entries(stored)].map(([name, data]) => [name, bytes(data)]),
  );
}

/** Expects that a run rejects with ERR_INPUT. `runOnce` checks that the stored tensors have not changed. */
export async function checkRefused(engine: Engine, opCase: OpCase): Promise<void> {
  let code: string | undefined;
  try {
    await runCase(engine, buildCase(opCase, { gradients: false }));
  } catch (error) {
    code = (error as { code?: string }).code;
    if (code === undefined || (error as Error).name === "Assertion") throw error;
  }
  assert.is(code, "ERR_INPUT", `${opCase.name} was not refused`);
}

/**
 * Registers the tests for the cases of an op: gradients, native kernels against the reference, refused ids. Call
 * `test.run()` afterwards.
 */
export function checkCases(cases: readonly OpCase[]): void {
  const reference = createReferenceEngine({ ops: OPS });
  const label = ({ op, name }: OpCase) => `${op}: ${name}`;
  const small = cases.filter(({ benchmark }) => !benchmark);

  for (const opCase of small) {
    if (!opCase.differentiate || opCase.rounds) continue;
    test(`${label(opCase)}: gradients agree with central differences`, () => checkGradients(opCase));
  }
  for (const opCase of small) {
    const bad = badNumbers(opCase);
    if (bad.length === 0) continue;
    test(`${label(opCase)}: ids and ranges out of bounds are refused`, async () => {
      for (const number of bad) await checkRefused(reference, withBadNumber(opCase, number));
    });
  }
  for (const opCase of cases.filter(({ large }) => !large)) {
    test(`${label(opCase)}: native agrees with reference on every ISA, alike with 1 and 2 threads`, async () => {
      const check = await checkAgainstReference(opCase);
      for (const isa of availableIsas()) {
        const one = await check(createNativeEngine({ threads: 1, isa }));
        const two = await check(createNativeEngine({ threads: 2, isa }));
        assert.equal(bytesOf(two), bytesOf(one), isa);
      }
    });
  }
  for (const opCase of small) {
    const bad = badNumbers(opCase);
    if (bad.length === 0) continue;
    test(`${label(opCase)}: native refuses ids and ranges out of bounds`, async () => {
      const engine = createNativeEngine({ threads: 1 });
      for (const number of bad) await checkRefused(engine, withBadNumber(opCase, number));
    });
  }
}
