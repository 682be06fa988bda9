import { createReferenceEngine } from "../../src/executors/reference.js";
import { type DimSizes, evaluateDim } from "../../src/graph/dims.js";
import type { Program } from "../../src/graph/program.js";
import { OPS } from "../../src/ops/index.js";
import type { TensorData } from "../../src/ops/op.js";
import { badNumbers } from "./bad_numbers.js";
import { buildCase } from "./build_case.js";
import type { CaseTensor, OpCase } from "./case.js";
import { boundsOf } from "./compare.js";
import type { Fill } from "./fill.js";
import { type RunResult, runCase } from "./run_case.js";

/** The files that native checks replay, with a CorpusCase in each line: cases of ops, and whole networks. */
export const CORPUS = new URL("./corpus.jsonl", import.meta.url);
export const NETWORKS = new URL("./networks.jsonl", import.meta.url);

/** A number; as JSON has no such numbers, NaN and infinities are the strings "NaN", "Infinity" and "-Infinity". */
type JsonNumber = number | string;

/** The expected contents of a tensor after a run. */
export interface Expectation {
  /** Tolerance: the largest difference of a number from the expected one. */
  readonly bound: number;
  /**
   * For a tensor with many numbers, all finite: the distance between the numbers that the file contains, counted from
   * the last one backwards.
   */
  readonly every: number;
  readonly values: readonly JsonNumber[];
  /** If numbers are left out: Σ (1 + i mod 31) · xᵢ over all of them, so that each one is checked. */
  readonly sum?: number;
}

/** A case in the form that test/native/cases.cc replays: one line of corpus.jsonl or networks.jsonl. */
export interface CorpusCase {
  readonly name: string;
  readonly program: Program;
  /** The sizes of the Program's dims. */
  readonly dims: DimSizes;
  /** The inputs and stored tensors by name, as fills or as numbers. */
  readonly given: Readonly<Record<string, Fill | readonly JsonNumber[]>>;
  /** The expected outputs and stored tensors after a run. */
  readonly expected: Readonly<Record<string, Expectation>>;
  /** Runs that must be refused and change nothing: a tensor, and the bad number that replaces its last element. */
  readonly refused: readonly (readonly [tensor: string, value: number])[];
}

/** The largest number of elements of a tensor that the file contains completely. */
const MOST_VALUES = 40;

/** Cases whose integers take more characters than this are left out of the files; only test/ops checks them. */
const MOST_CHARACTERS = 6000;

/**
 * The cases that native checks replay: all that `bench` does not time, if their integers do not make the file too
 * large.
 */
export async function corpusCases(cases: readonly OpCase[]): Promise<CorpusCase[]> {
  const engine = createReferenceEngine({ ops: OPS });
  const corpus: CorpusCase[] = [];
  for (const opCase of cases.filter(({ benchmark }) => !benchmark)) {
    const built = buildCase(opCase, { gradients: true });
    const given = givenNumbers(built.program, built.given);
    if (JSON.stringify(given).length > MOST_CHARACTERS) continue;
    const run = await runCase(engine, built);
    corpus.push({
      name: `${opCase.op}: ${opCase.name}`,
      program: built.program,
      dims: {},
      given,
      expected: expectations(built.program, {}, run, boundsOf(opCase, built, run)),
      refused: badNumbers(opCase).map(({ tensor, value }) => [tensor, value]),
    });
  }
  return corpus;
}

/** The values of a Program's inputs and stored tensors as the file has them. `given` may contain further tensors. */
export function givenNumbers(program: Program, given: Readonly<Record<string, CaseTensor>>): CorpusCase["given"] {
  return Object.fromEntries(
    program.tensors
      .filter(({ name }) => name in given)
      .map(({ name }) => [name, given[name]!.fill ?? Array.from(given[name]!.values, (x) => written(x, 0))]),
  );
}

/** A number as the file has it: whole numbers in full, and exact float32 values where results must be equal. */
function written(x: number, bound: number): JsonNumber {
  if (!Number.isFinite(x)) return String(x);
  if (Number.isInteger(x)) return x;
  return bound === 0 ? sameFloat(x) : rounded(x, bound);
}

/** The results of a run as the file has them, with the tolerances in `bounds`. */
export function expectations(
  program: Program,
  dims: DimSizes,
  run: RunResult,
  bounds: Readonly<Record<string, number>>,
): CorpusCase["expected"] {
  const specs = new Map(program.tensors.map((spec) => [spec.name, spec]));
  return Object.fromEntries(
    Object.entries({ ...run.outputs, ...run.stored }).map(([name, values]) => {
      const [, columns = 1] = specs.get(name)!.shape;
      return [name, expectation(values, evaluateDim(columns, dims), bounds[name]!)];
    }),
  );
}

function expectation(values: TensorData, columns: number, exactBound: number): Expectation {
  const bound = Number(exactBound.toPrecision(3));
  const every = values.every(Number.isFinite) ? strideOf(values.length, columns) : 1;
  const chosen: JsonNumber[] = [];
  for (let i = values.length - 1; i >= 0; i -= every) chosen.push(written(values[i]!, bound));
  if (every === 1) return { bound, every, values: chosen };
  let [sum, weights] = [0, 0];
  values.forEach((x: number, i: number) => {
    sum += weightOf(i) * x;
    weights += weightOf(i);
  });
  return { bound, every, values: chosen, sum: rounded(sum, weights * bound) };
}

/** Weight of element i in the weighted sum. Neighbours have different weights, so exchanging them changes the sum. */
function weightOf(i: number): number {
  return 1 + (i % 31);
}

/**
 * The distance between the numbers that the file contains. It has no common divisor with the number of columns, so they
 * cover every column.
 */
function strideOf(elements: number, columns: number): number {
  let stride = Math.ceil(elements / MOST_VALUES) || 1;
  if (stride > 1) while (greatestCommonDivisor(stride, columns) > 1) stride++;
  return stride;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/**
 * The number with the fewest digits whose distance from x is at most 1/64 of the bound, so that rounding is negligible.
 */
function rounded(x: number, bound: number): number {
  return shortest(x, (short) => Math.abs(short - x) <= bound / 64);
}

/** The number with the fewest digits that float32 rounds to `x`. */
function sameFloat(x: number): number {
  return shortest(x, (short) => Math.fround(short) === x);
}

function shortest(x: number, isCloseEnough: (short: number) => boolean): number {
  for (let digits = 1; digits < 17; digits++) {
    const short = Number(x.toPrecision(digits));
    if (isCloseEnough(short)) return short;
  }
  return x;
}
