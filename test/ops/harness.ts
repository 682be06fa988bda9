import { test } from "uvu";
import * as assert from "uvu/assert";
import { type BuiltCase, buildCase, SEED, storeOf } from "../../bench/build_case.js";
import type { CaseTensor, CaseTerm, OpCase } from "../../bench/cases/case.js";
import type { Engine, RunOutputs } from "../../src/executors/executor.js";
import { availableIsas, createNativeEngine } from "../../src/executors/native.js";
import { createReferenceEngine } from "../../src/executors/reference.js";
import type { Gradient } from "../../src/graph/gradients.js";
import type { Tensor } from "../../src/graph/graph.js";
import { storedTensors } from "../../src/graph/program.js";
import { OPS } from "../../src/ops/index.js";
import type { TensorData } from "../../src/ops/op.js";
import { RandomStream } from "../../src/random/philox.js";

export const FLOAT32_EPSILON = 2 ** -23;

export interface RunResult {
  readonly outputs: RunOutputs;
  /** The stored tensors after the run. */
  readonly stored: Record<string, TensorData>;
}

/** Runs a Program once, on a store of its own. */
export async function runOnce(engine: Engine, built: BuiltCase, dims: Record<string, number> = {}): Promise<RunResult> {
  const { program, stored, inputs } = built;
  const store = storeOf(engine, built);
  const specs = storedTensors(program);
  const executor = engine.createExecutor(program, store);
  try {
    const outputs = await executor.run(inputs, dims);
    return { outputs, stored: Object.fromEntries(specs.map(({ name }) => [name, store.read(name)])) };
  } catch (error) {
    for (const { name } of specs) assert.equal(store.read(name), sameKind(store.read(name), stored[name]!));
    throw error;
  } finally {
    executor.close();
  }
}

function sameKind(like: TensorData, values: TensorData): TensorData {
  return (like.constructor as unknown as { from(values: ArrayLike<number>): TensorData }).from(values);
}

/** One run of a case's op by the reference, in float64: outputs by slot (`result` is the first) and the stored tensors. */
export async function evaluate(opCase: Omit<OpCase, "name">): Promise<RunResult> {
  const engine = createReferenceEngine({ ops: OPS, precision: "float64" });
  return runOnce(engine, buildCase({ name: "", ...opCase }, { gradients: false }));
}

/** The gradients of a case by its differentiated slots, dense, for the loss Σ seed · output. */
export async function evaluateGradients(
  opCase: Omit<OpCase, "name">,
  seed: ArrayLike<number>,
): Promise<Record<string, Float64Array>> {
  const engine = createReferenceEngine({ ops: OPS, precision: "float64" });
  const built = buildCase({ name: "", ...opCase }, { gradients: true });
  const inputs: Record<string, TensorData> = { ...built.inputs, [SEED]: Float64Array.from(seed) };
  const { outputs } = await runOnce(engine, { ...built, inputs });
  const value = (tensor: Tensor) => outputs[tensor.name] ?? inputs[tensor.name] ?? built.stored[tensor.name]!;
  const shapeOf = (name: string) => built.program.tensors.find((tensor) => tensor.name === name)!.shape as number[];
  return Object.fromEntries(
    [...built.gradients].map(([name, gradient]) => [name, denseGradient(gradient, shapeOf(name), value)]),
  );
}

/** The gradient of a table [rows, width] that row terms stand for, by the definition in docs/ops.md. */
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

/** Two lists of numbers, equal but for rounding. */
export function assertNumbers(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-12): void {
  assertClose(Float64Array.from(actual), Float64Array.from(expected), tolerance, "numbers", 1);
}

/** A gradient as one dense tensor, by the numbers of a run. */
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

/** Elements of a parameter whose derivative is checked: fewer where the case is large, as each runs the op twice. */
function checkedElements(built: BuiltCase): number {
  const elements = Object.values(built.stored).reduce((sum, values) => sum + values.length, 0);
  return Math.max(3, Math.min(40, Math.floor(40_000 / elements)));
}

const STEP = 1e-5;

/** Holds the gradient rules against central differences, both in float64. */
export async function checkGradients(opCase: OpCase): Promise<void> {
  const engine = createReferenceEngine({ ops: OPS, precision: "float64" });
  const built = buildCase(opCase, { gradients: true });
  const forward = buildCase(opCase, { gradients: false });
  const seed = built.inputs[SEED]!;
  const { outputs } = await runOnce(engine, built);
  const value = (tensor: Tensor) => outputs[tensor.name] ?? built.inputs[tensor.name] ?? built.stored[tensor.name]!;

  const loss = async (name: string, element: number, step: number): Promise<number> => {
    const moved = Float64Array.from(built.stored[name]!);
    moved[element]! += step;
    const run = await runOnce(engine, { ...forward, stored: { ...built.stored, [name]: moved } });
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
 * Each element of `actual` within `tolerance` times the largest finite magnitude of `expected` (or `leastMagnitude`); what
 * is not finite exactly equal.
 */
export function assertClose(
  actual: TensorData,
  expected: TensorData,
  tolerance: number,
  name: string,
  leastMagnitude = 0,
): void {
  assert.is(actual.length, expected.length, name);
  let magnitude = leastMagnitude;
  for (const x of expected) if (Number.isFinite(x)) magnitude = Math.max(magnitude, Math.abs(x));
  const bound = tolerance * magnitude;
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    if (Object.is(a, b) || a === b || Math.abs(a - b) <= bound) continue;
    assert.unreachable(`${name}[${i}]: expected ${b} ± ${bound} but received ${a}`);
  }
}

const isInteger = (values: TensorData) => values instanceof Int32Array || values instanceof Uint32Array;

/** Holds engines against the reference: the outputs of every instruction and the stored tensors afterwards. */
export async function checkAgainstReference(opCase: OpCase): Promise<(engine: Engine) => Promise<RunResult>> {
  const built = buildCase(opCase, { gradients: true });
  const expected = await runOnce(createReferenceEngine({ ops: OPS }), built);
  const epsilons = opCase.tolerance ?? 16;
  return async (engine) => {
    const actual = await runOnce(engine, built);
    for (const part of ["outputs", "stored"] as const) {
      assert.equal(Object.keys(actual[part]).sort(), Object.keys(expected[part]).sort());
      for (const [name, values] of Object.entries(expected[part])) {
        // Gradients are sums, even of an op that only copies.
        const gradient = part === "outputs" && !built.outputs.some((tensor) => tensor.name === name);
        const tolerance = isInteger(values) ? 0 : Math.max(epsilons, gradient ? 16 : 0) * FLOAT32_EPSILON;
        assertClose(actual[part][name]!, values, tolerance, `${engine.isa}: ${name}`, opCase.magnitude);
      }
    }
    return actual;
  };
}

function bytesOf({ outputs, stored }: RunResult): Record<string, Uint8Array> {
  const bytes = ({ buffer, byteOffset, byteLength }: TensorData) => new Uint8Array(buffer, byteOffset, byteLength);
  return Object.fromEntries(
    [...Object.entries(outputs), ...Object.entries(stored)].map(([name, data]) => [name, bytes(data)]),
  );
}

/** Every number that a case must refuse, put in one place of one slot: −1, and the first one too large. */
export function badCases(opCase: OpCase): OpCase[] {
  return Object.entries(opCase.limits ?? {}).flatMap(([slot, limit]) => {
    const operand = opCase.operands[slot]!;
    const list = Array.isArray(operand);
    const tensor = (list ? operand[0] : operand) as CaseTensor;
    if (tensor.values.length === 0) return [];
    return [-1, limit].map((bad) => {
      const values = tensor.values.slice();
      values[values.length - 1] = bad;
      const changed = { ...tensor, values };
      return {
        ...opCase,
        name: `${opCase.name}: ${slot} holds ${bad}`,
        operands: { ...opCase.operands, [slot]: list ? [changed, ...operand.slice(1)] : changed },
      };
    });
  });
}

/** Rejects with ERR_INPUT and leaves the stored tensors as they were (`runOnce` sees to that). */
export async function checkRefused(engine: Engine, opCase: OpCase): Promise<void> {
  let code: string | undefined;
  try {
    await runOnce(engine, buildCase(opCase, { gradients: false }));
  } catch (error) {
    code = (error as { code?: string }).code;
    if (code === undefined || (error as Error).name === "Assertion") throw error;
  }
  assert.is(code, "ERR_INPUT", `${opCase.name} was not refused`);
}

/** Registers the tests of every case of an op: gradients, native against reference, refusals. Call `test.run()` after it. */
export function checkCases(cases: readonly OpCase[]): void {
  const reference = createReferenceEngine({ ops: OPS });
  const label = ({ op, name }: OpCase) => `${op}: ${name}`;
  const small = cases.filter(({ benchmark }) => !benchmark);

  for (const opCase of small) {
    if (!opCase.differentiate || opCase.rounds) continue;
    test(`${label(opCase)}: gradients agree with central differences`, () => checkGradients(opCase));
  }
  for (const opCase of small) {
    const bad = badCases(opCase);
    if (bad.length === 0) continue;
    test(`${label(opCase)}: ids and ranges out of bounds are refused`, async () => {
      for (const badCase of bad) await checkRefused(reference, badCase);
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
    const bad = badCases(opCase);
    if (bad.length === 0) continue;
    test(`${label(opCase)}: native refuses ids and ranges out of bounds`, async () => {
      for (const badCase of bad) await checkRefused(createNativeEngine({ threads: 1 }), badCase);
    });
  }
}
