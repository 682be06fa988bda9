import { ShortlistError } from "../errors.js";

/**
 * The size of one axis of a shape: a number, or a linear expression of sizes that are known only at run time.
 * Expressions have a canonical form, such as `"samples"`, `"5*samples"` or `"5*samples+tags+1"`: names sorted by their
 * code units, and the constant last.
 */
export type Dim = number | string;

/** The sizes of the named dims in one run, such as `{ samples: 256, positions: 2610 }`. */
export type DimSizes = Readonly<Record<string, number>>;

const CONSTANT = "";
const TERM = /^(?:(\d+)\*)?([a-z_][a-z0-9_]*)$|^(\d+)$/;

/** Whether a text can be the name of a dim. */
export function isDimName(text: string): boolean {
  return /^[a-z_][a-z0-9_]*$/.test(text);
}

type Terms = Map<string, number>;

function parse(dim: Dim): Terms {
  const terms: Terms = new Map();
  if (typeof dim === "number") {
    if (!Number.isSafeInteger(dim) || dim < 0) {
      throw new ShortlistError("ERR_PROGRAM", `Expected a dim that is a non-negative whole number but received ${dim}`);
    }
    return dim === 0 ? terms : terms.set(CONSTANT, dim);
  }
  // A Program from a file may have a value of any type here.
  for (const text of String(dim).split("+")) {
    const match = typeof dim === "string" ? TERM.exec(text) : null;
    if (!match) {
      throw new ShortlistError(
        "ERR_PROGRAM",
        `Expected a dim such as "samples" or "5*samples+1" but received "${dim}"`,
      );
    }
    const name = match[2] ?? CONSTANT;
    const factor = Number(match[3] ?? match[1] ?? 1);
    terms.set(name, (terms.get(name) ?? 0) + factor);
    if (!Number.isSafeInteger(terms.get(name))) {
      throw new ShortlistError("ERR_PROGRAM", `Expected a dim of numbers below 2^53 but received "${dim}"`);
    }
  }
  return terms;
}

function format(terms: Terms): Dim {
  const constant = terms.get(CONSTANT) ?? 0;
  const names = [...terms.keys()].filter((name) => name !== CONSTANT && terms.get(name) !== 0).sort();
  if (names.length === 0) return constant;
  const parts = names.map((name) => (terms.get(name) === 1 ? name : `${terms.get(name)}*${name}`));
  if (constant !== 0) parts.push(String(constant));
  return parts.join("+");
}

/** Returns the sum of some dims. */
export function addDims(...dims: Dim[]): Dim {
  const sum: Terms = new Map();
  for (const dim of dims) for (const [name, factor] of parse(dim)) sum.set(name, (sum.get(name) ?? 0) + factor);
  return format(sum);
}

/** Returns a dim multiplied by a number. */
export function multiplyDim(dim: Dim, factor: number): Dim {
  return format(new Map([...parse(dim)].map(([name, value]) => [name, value * factor])));
}

/** Returns the dim minus one: the number of groups that `n + 1` offsets delimit. */
export function decrementDim(dim: Dim): Dim {
  const terms = parse(dim);
  const constant = terms.get(CONSTANT) ?? 0;
  if (constant < 1)
    throw new ShortlistError("ERR_GRAPH", `Expected offsets of length n + 1 but received length ${dim}`);
  return format(terms.set(CONSTANT, constant - 1));
}

/** Whether two dims are equal for all sizes. */
export function sameDim(a: Dim, b: Dim): boolean {
  return a === b || format(parse(a)) === format(parse(b));
}

/** Whether two shapes are equal for all sizes. */
export function sameShape(a: readonly Dim[], b: readonly Dim[]): boolean {
  return a.length === b.length && a.every((dim, axis) => sameDim(dim, b[axis]!));
}

/** The names that occur in a dim. */
export function dimNames(dim: Dim): string[] {
  return [...parse(dim).keys()].filter((name) => name !== CONSTANT);
}

/** Returns a dim with some of its names replaced. */
export function renameDims(dim: Dim, names: ReadonlyMap<string, string>): Dim {
  return format(new Map([...parse(dim)].map(([name, factor]) => [names.get(name) ?? name, factor])));
}

/** The value of a dim in a run with these sizes. */
export function evaluateDim(dim: Dim, sizes: DimSizes): number {
  if (typeof dim === "number") return dim;
  let sum = 0;
  for (const [name, factor] of parse(dim)) {
    const size = name === CONSTANT ? 1 : sizes[name];
    if (size === undefined || !Number.isSafeInteger(size) || size < 0) {
      throw new ShortlistError("ERR_INPUT", `Expected a whole number for dim "${name}" but received ${size}`);
    }
    sum += factor * size;
  }
  return sum;
}

/** Number of elements of a tensor of this shape in a run with these sizes. A scalar `[]` has one. */
export function countElements(shape: readonly Dim[], sizes: DimSizes): number {
  return shape.reduce<number>((count, dim) => count * evaluateDim(dim, sizes), 1);
}

/** Formats a shape for messages, such as "[samples, 64]". */
export function formatShape(shape: readonly Dim[]): string {
  return `[${shape.join(", ")}]`;
}
