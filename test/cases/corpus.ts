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

/** The files of the cases that native checks replay, a CorpusCase a line: those of ops, and whole networks. */
export const CORPUS = new URL("./corpus.jsonl", import.meta.url);
export const NETWORKS = new URL("./networks.jsonl", import.meta.url);

/** JSON has no other way to write "NaN", "Infinity" and "-Infinity". */
type JsonNumber = number | string;

/** What a tensor must hold after a run. */
export interface Expectation {
  /** How far each number may be from the one that is expected. */
  readonly bound: number;
  /** Of a tensor with many numbers, all of them finite, every so many are written out, counted from the last one. */
  readonly every: number;
  readonly values: readonly JsonNumber[];
  /** Where some are left out: Σ (1 + i mod 31) · xᵢ over all of them, so that none is without a say. */
  readonly sum?: number;
}

/** A case as test/native/cases.cc replays it: one line of corpus.jsonl or networks.jsonl. */
export interface CorpusCase {
  readonly name: string;
  readonly program: Program;
  /** The sizes of the Program's dims. */
  readonly dims: DimSizes;
  /** The inputs and stored tensors, by name: what fills them, or their numbers. */
  readonly given: Readonly<Record<string, Fill | readonly JsonNumber[]>>;
  /** The outputs and stored tensors after a run. */
  readonly expected: Readonly<Record<string, Expectation>>;
  /** Runs that must be refused and change nothing: a tensor, and the number that its last one is replaced by. */
  readonly refused: readonly (readonly [tensor: string, value: number])[];
}

/** A tensor with up to so many numbers is written out. */
const MOST_VALUES = 40;

/** Cases whose integers take more characters than this stay out: native checks leave them to test/ops. */
const MOST_CHARACTERS = 6000;

/** The cases that native checks replay: those that are checked, not timed, in files of a moderate size. */
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

/** What a Program is given, as it is written down; `given` may hold more. */
export function givenNumbers(program: Program, given: Readonly<Record<string, CaseTensor>>): CorpusCase["given"] {
  return Object.fromEntries(
    program.tensors
      .filter(({ name }) => name in given)
      .map(({ name }) => [name, given[name]!.fill ?? Array.from(given[name]!.values, (x) => written(x, 0))]),
  );
}

/** A number as it is written down: whole numbers in full, and the float32 itself where it must be met exactly. */
function written(x: number, bound: number): JsonNumber {
  if (!Number.isFinite(x)) return String(x);
  if (Number.isInteger(x)) return x;
  return bound === 0 ? sameFloat(x) : rounded(x, bound);
}

/** What a run leaves, as it is written down: numbers may be as far from it as `bounds` says. */
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

/** The weight of element i in a sum: neighbours differ, so that no two can be exchanged unseen. */
function weightOf(i: number): number {
  return 1 + (i % 31);
}

/** The distance of the numbers that are written out. It has no divisor in common with the columns, so each column is met. */
function strideOf(elements: number, columns: number): number {
  let stride = Math.ceil(elements / MOST_VALUES) || 1;
  if (stride > 1) while (greatestCommonDivisor(stride, columns) > 1) stride++;
  return stride;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** The number with the fewest digits that is 64 times closer than the bound, so that rounding does not count. */
function rounded(x: number, bound: number): number {
  return shortest(x, (short) => Math.abs(short - x) <= bound / 64);
}

/** The number with the fewest digits whose float32 is `x`. */
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
