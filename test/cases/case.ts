import type { Attribute, Dtype } from "../../src/graph/program.js";
import type { TensorData } from "../../src/ops/op.js";
import { RandomStream } from "../../src/random/philox.js";
import { CASE_STREAM, type Fill, fillValues } from "./fill.js";

/** An operand with its numbers. Floats are exact in float32. */
export interface CaseTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly values: TensorData;
  /** How to generate the numbers. If undefined, files contain the numbers themselves. */
  readonly fill?: Fill;
}

/**
 * One application of one op, as data. `test/ops` checks its gradients, compares native kernels with the reference, and
 * checks that bad ids are refused. test/native/cases.cc replays it from corpus.jsonl without Node. `bench` times it.
 */
export interface OpCase {
  readonly op: string;
  /** What is special about the case; unique within the op. */
  readonly name: string;
  /** The operands by input slot. */
  readonly operands: Readonly<Record<string, CaseTensor | readonly CaseTensor[]>>;
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Input slots whose gradient is checked against central differences. */
  readonly differentiate?: readonly string[];
  /** Whether the op rounds intermediate values (bfloat16), which makes central differences meaningless. */
  readonly rounds?: boolean;
  /**
   * For slots of ids, ranges and offsets, the smallest number that is too large. It must be refused, and so must −1.
   */
  readonly limits?: Readonly<Record<string, number>>;
  /**
   * Tolerance of float32 kernels: the largest difference from the reference, in float32 epsilons of the tensor's
   * largest magnitude (default 16).
   */
  readonly tolerance?: number;
  /** Magnitude of the summands, for sums that cancel so that the results themselves are small (default 0). */
  readonly magnitude?: number;
  /** Whether `bench` times the case. It is too large for a check of its gradient; smaller cases of the op have one. */
  readonly benchmark?: boolean;
  /**
   * Whether the case takes hundreds of megabytes. It is then timed only, not checked; smaller cases of the op are. Its
   * operands are generated when they are needed.
   */
  readonly large?: boolean;
}

export function float32(shape: readonly number[], values: Iterable<number>): CaseTensor {
  return checked({ dtype: "float32", shape, values: Float32Array.from(values) });
}

export function int32(shape: readonly number[], values: Iterable<number>): CaseTensor {
  return checked({ dtype: "int32", shape, values: Int32Array.from(values) });
}

export function uint32(shape: readonly number[], values: Iterable<number>): CaseTensor {
  return checked({ dtype: "uint32", shape, values: Uint32Array.from(values) });
}

/** The operands `start` and `end` for a list of ranges. */
export function rangeOperands(ranges: readonly (readonly [start: number, end: number])[]) {
  return {
    start: int32(
      [ranges.length],
      ranges.map(([start]) => start),
    ),
    end: int32(
      [ranges.length],
      ranges.map(([, end]) => end),
    ),
  };
}

/** Offsets [lengths + 1] of consecutive groups of these lengths. */
export function offsetsOf(lengths: Iterable<number>): number[] {
  const offsets = [0];
  for (const length of lengths) offsets.push(offsets.at(-1)! + length);
  return offsets;
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function checked(tensor: CaseTensor): CaseTensor {
  const { shape, values } = tensor;
  if (values.length !== elementCount(shape)) throw new Error(`A case gives ${values.length} values for [${shape}]`);
  return tensor;
}

const ARRAYS = { float32: Float32Array, int32: Int32Array, uint32: Uint32Array };

/** A tensor whose numbers a fill generates. */
export function filled(dtype: Dtype, shape: readonly number[], fill: Fill): CaseTensor {
  const values = new ARRAYS[dtype](elementCount(shape));
  fillValues(fill, values);
  return { dtype, shape, values, fill };
}

/** Generates operands of cases from a seed. Each tensor gets random numbers of its own. */
export class CaseValues {
  readonly #seed: number;
  /** Random numbers for tensors that are not fills. */
  readonly #random: RandomStream;
  #tensors = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = new RandomStream(seed, CASE_STREAM);
  }

  normal(shape: readonly number[], scale = 1): CaseTensor {
    return filled("float32", shape, { kind: "normal", scale, ...this.#next() });
  }

  /** A tensor of numbers uniform over [low, high). */
  uniform(shape: readonly number[], low: number, high: number): CaseTensor {
    const [scale, centre] = [(high - low) / 2, (high + low) / 2];
    return filled("float32", shape, { kind: "uniform", scale, centre, ...this.#next() });
  }

  /** A tensor of integers uniform over first … limit − 1. */
  ids(shape: readonly number[], limit: number, first = 0): CaseTensor {
    return filled("int32", shape, { kind: "whole", first, limit, unit: 1, ...this.#next() });
  }

  /**
   * A tensor of multiples of ½ from −2 to 2. Sums of a few products of them are exact in float32 in every order, and
   * many sums are equal.
   */
  halves(shape: readonly number[]): CaseTensor {
    return filled("float32", shape, { kind: "whole", first: -4, limit: 5, unit: 0.5, ...this.#next() });
  }

  /** A tensor of ids 0 … limit − 1 by Zipf's law: id i has weight 1 / (i + 10). */
  zipfIds(shape: readonly number[], limit: number): CaseTensor {
    const cumulative = new Float64Array(limit);
    let total = 0;
    for (let i = 0; i < limit; i++) {
      total += 1 / (i + 10);
      cumulative[i] = total;
    }
    return int32(
      shape,
      this.#list(shape, () => firstAbove(cumulative, this.#random.uniform() * total)),
    );
  }

  /** `count` consecutive ranges of 1 … `longest` elements each. */
  isolatedRanges(count: number, longest: number): { start: CaseTensor; end: CaseTensor; limit: number } {
    const ends: number[] = [];
    for (let i = 0; i < count; i++) ends.push((ends.at(-1) ?? 0) + 1 + this.#random.below(longest));
    return { start: int32([count], [0, ...ends.slice(0, -1)]), end: int32([count], ends), limit: ends.at(-1) ?? 0 };
  }

  /** `count` ranges within 0 … limit. Some are empty, and many overlap. */
  ranges(count: number, limit: number): { start: CaseTensor; end: CaseTensor } {
    const ends = Array.from({ length: count }, () =>
      [this.#random.below(limit + 1), this.#random.below(limit + 1)].sort((a, b) => a - b),
    );
    return {
      start: int32(
        [count],
        ends.map(([a]) => a!),
      ),
      end: int32(
        [count],
        ends.map(([, b]) => b!),
      ),
    };
  }

  /** Offsets [groups + 1] from 0 to `limit`. Some groups are empty. */
  offsets(groups: number, limit: number): CaseTensor {
    const cuts = this.#list([groups - 1], () => this.#random.below(limit + 1)).sort((a, b) => a - b);
    return int32([groups + 1], [0, ...cuts, limit]);
  }

  /** The number of the next tensor, which selects its random numbers; they differ from those of `#random`. */
  #next(): { readonly seed: number; readonly tensor: number } {
    return { seed: this.#seed, tensor: ++this.#tensors };
  }

  #list(shape: readonly number[], next: () => number): number[] {
    return Array.from({ length: elementCount(shape) }, next);
  }
}

/** Returns the first index whose number is greater than x, for increasing numbers. */
function firstAbove(rising: Float64Array, x: number): number {
  let [low, high] = [0, rising.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rising[middle]! > x) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Small numbers that are cheap to generate, for tables of hundreds of megabytes. */
export function largeTable(rows: number, width: number): CaseTensor {
  const values = new Float32Array(rows * width);
  for (let i = 0; i < values.length; i++) values[i] = 0.01 * ((i % 31) + 1);
  return { dtype: "float32", shape: [rows, width], values };
}

/** A row term with its numbers. */
export interface CaseTerm {
  readonly ids: CaseTensor;
  readonly rows: CaseTensor;
  readonly offsets?: CaseTensor;
  readonly scale?: CaseTensor;
}

/** The operands of a `_rows` optimizer other than its table and state: the row terms and their sorted ids. */
export function termOperands(terms: readonly CaseTerm[]) {
  const ids = terms.flatMap((term) => [...term.ids.values]);
  const order = ids.map((_, i) => i).sort((a, b) => ids[a]! - ids[b]! || a - b);
  const firsts = order.map((_, j) => j).filter((j) => j === 0 || ids[order[j]!] !== ids[order[j - 1]!]);
  const [n, count] = [ids.length, firsts.length];
  const offsets = terms.flatMap((term) => term.offsets ?? []);
  const scales = terms.flatMap((term) => term.scale ?? []);
  return {
    operands: {
      order: int32([n], order),
      rows: int32([n], [...firsts.map((j) => ids[order[j]!]!), ...Array(n - count).fill(0)]),
      segments: int32([n + 1], [...firsts, ...Array(n + 1 - count).fill(n)]),
      count: int32([], [count]),
      ids: terms.map((term) => term.ids),
      term_rows: terms.map((term) => term.rows),
      ...(offsets.length > 0 && { term_offsets: offsets }),
      ...(scales.length > 0 && { term_scale: scales }),
    },
    attributes: {
      terms: terms.map(({ offsets: o, scale: s }) => (o ? (s ? "b" : "o") : s ? "s" : "p")).join(""),
    },
  };
}

/** The `limits` of `termOperands` for a table with `rows` rows. */
export function termLimits(rows: number, { order }: { readonly order: CaseTensor }) {
  const n = order.values.length;
  return { ids: rows, rows, order: n, segments: n + 1, count: n + 1 };
}

/** Row terms of every kind for a table [rows, width], with duplicate ids within and between terms. */
export function mixedTerms(values: CaseValues, rows: number, width: number, n: number): CaseTerm[] {
  return [
    { ids: values.ids([n], rows), rows: values.normal([n, width]) },
    { ids: values.ids([n, 3], rows), rows: values.normal([n, width]), scale: values.normal([n, 3]) },
    { ids: values.ids([2 * n], rows), rows: values.normal([n, width]), offsets: values.offsets(n, 2 * n) },
    {
      ids: values.ids([n], rows),
      rows: values.normal([n, width]),
      offsets: values.offsets(n, n),
      scale: values.normal([n]),
    },
  ];
}
