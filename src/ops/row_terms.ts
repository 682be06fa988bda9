import { addDims, sameDim } from "../graph/dims.js";
import type { RowTerm } from "../graph/gradients.js";
import type { InputSlot, ShapeOperands, Tensor } from "../graph/graph.js";
import {
  type Cost,
  type CostCall,
  checkIds,
  checkOffsetsValue,
  type KernelCall,
  refuse,
  refuseComputed,
  sortThatMade,
  type Value,
} from "./op.js";
import { elementsOf, type SortedRows, sortIds } from "./sort_rows.js";

/*
 * The gradient of a table as row terms (`RowTerm`), which the `_rows` optimizers sum for each row that has a gradient.
 * Row ids[j] of the table gains scale[j] · rows[r(j)], where r(j) is the row with offsets[r] ≤ j < offsets[r + 1], or
 * ⌊j / (ids per row)⌋ without offsets. The attribute `terms` has a letter for each term: `p` for a plain one, `o` with
 * offsets, `s` with scale, `b` with both. The lists `term_offsets` and `term_scale` have entries only for terms with
 * them.
 */

/** The input slots of row terms. */
export const ROW_TERM_INPUTS: Record<string, InputSlot> = {
  order: { dtype: "int32", rank: 1 },
  rows: { dtype: "int32", rank: 1 },
  segments: { dtype: "int32", rank: 1 },
  count: { dtype: "int32", rank: 0 },
  ids: { dtype: "int32", variadic: true },
  term_rows: { dtype: "float32", variadic: true },
  term_offsets: { dtype: "int32", rank: 1, variadic: true, optional: true },
  term_scale: { dtype: "float32", variadic: true, optional: true },
};

const LETTERS = /^[posb]*$/;

const hasOffsets = (letter: string) => letter === "o" || letter === "b";
const hasScale = (letter: string) => letter === "s" || letter === "b";

/** The gradient of a table, and the result of sorting its ids. */
export interface RowGradientInputs {
  /** The result of `sortRows` for the ids of all terms, in the order of the terms. */
  readonly sorted: SortedRows;
  /** The terms, as `gradients` returns them. */
  readonly terms: readonly RowTerm[];
}

/** Returns the operands and the attribute that represent row terms. */
export function rowTermOperands({ sorted, terms }: RowGradientInputs) {
  const letter = ({ offsets, scale }: RowTerm) => (offsets ? (scale ? "b" : "o") : scale ? "s" : "p");
  const present = (tensors: readonly (Tensor | undefined)[]) => tensors.filter((tensor) => tensor !== undefined);
  return {
    inputs: {
      order: sorted.order,
      rows: sorted.rows,
      segments: sorted.segments,
      count: sorted.count,
      ids: terms.map(({ ids }) => ids),
      term_rows: terms.map(({ rows }) => rows),
      term_offsets: present(terms.map(({ offsets }) => offsets)),
      term_scale: present(terms.map(({ scale }) => scale)),
    },
    attributes: { terms: terms.map(letter).join("") },
  };
}

/**
 * Shape rule of row terms: there must be as many operands of each kind as the attribute `terms` says, and rows must be
 * as wide as the table in slot `table`.
 */
export function checkRowTermShapes(operands: ShapeOperands, table = "parameter"): void {
  const letters = [...operands.attribute<string>("terms")];
  if (!LETTERS.test(letters.join(""))) operands.fail(`Expected terms of p, o, s, b but received "${letters.join("")}"`);
  const expectLength = (slot: string, expected: number) => {
    const { length } = operands.list(slot);
    if (length !== expected) operands.fail(`Expected ${expected} ${slot} for these terms but received ${length}`);
  };
  expectLength("ids", letters.length);
  expectLength("term_rows", letters.length);
  expectLength("term_offsets", letters.filter(hasOffsets).length);
  expectLength("term_scale", letters.filter(hasScale).length);

  const ids = operands.list("ids");
  const width = operands.input(table).shape[1] ?? 1;
  for (const rows of operands.list("term_rows")) {
    const columns = rows.shape[1] ?? 1;
    if (width !== 1 && columns !== width) operands.failShape("term_rows", `with ${width} columns`, rows);
  }
  const scaled = ids.filter((_, i) => hasScale(letters[i]!));
  operands.list("term_scale").forEach((scale, i) => {
    const elements = elementsOf(scaled[i]!.shape);
    if (!sameDim(elementsOf(scale.shape), elements)) operands.failShape("term_scale", `of ${elements} elements`, scale);
  });
  const n = addDims(...ids.map(({ shape }) => elementsOf(shape)));
  operands.expectShape("order", [n]);
  operands.expectShape("rows", [n]);
  operands.expectShape("segments", [addDims(n, 1)]);
}

interface Term {
  readonly ids: Value;
  readonly rows: Value;
  readonly offsets: Value | undefined;
  readonly scale: Value | undefined;
}

function termsOf(call: KernelCall): Term[] {
  const [ids, rows] = [call.list("ids"), call.list("term_rows")];
  const [offsets, scales] = [[...call.list("term_offsets")], [...call.list("term_scale")]];
  return [...call.attribute<string>("terms")].map((letter, i) => ({
    ids: ids[i]!,
    rows: rows[i]!,
    offsets: hasOffsets(letter) ? offsets.shift() : undefined,
    scale: hasScale(letter) ? scales.shift() : undefined,
  }));
}

/** Refuses row terms whose ids, offsets or sort do not fit the table in slot `table`. */
export function checkRowTerms(call: KernelCall, table = "parameter"): void {
  const { rows: tableRows, columns: width } = call.input(table);
  if (width === 0) refuse(call, "Expected a table with columns", "ERR_PROGRAM");
  checkIds(call, "ids", tableRows);
  for (const { ids, rows, offsets } of termsOf(call)) {
    const [n, m] = [ids.data.length, rows.data.length / width];
    if (!Number.isInteger(m)) refuse(call, "Expected term_rows of whole table rows", "ERR_PROGRAM");
    if (offsets) {
      if (offsets.rows !== m + 1) refuse(call, "Expected term_offsets [term_rows + 1]", "ERR_PROGRAM");
      checkOffsetsValue(call, offsets, n);
    } else if (n > 0 && (m === 0 || n % m !== 0)) {
      refuse(call, "Expected as many ids for each of term_rows", "ERR_PROGRAM");
    }
  }
  checkSorted(call);
}

const SORTED = ["order", "rows", "segments", "count"] as const;

/**
 * Refuses `order`, `rows`, `segments` and `count` unless they are the result of sorting these ids: either the outputs
 * of one `sort_rows` of the same tensors, or given to the run with the values that it would compute.
 */
function checkSorted(call: KernelCall): void {
  const maker = sortThatMade(call.input("order"), "order");
  const given = SORTED.every((slot) => call.input(slot).given);
  for (const slot of SORTED) {
    const { name } = call.input(slot);
    if (given || maker?.output(slot) === call.input(slot)) continue;
    refuse(
      call,
      `Expected order, rows, segments and count of one sort_rows, or all of them given, but ${name} is not`,
      "ERR_PROGRAM",
    );
  }
  const ids = call.list("ids");
  if (maker) {
    const sorted = maker.list("ids");
    if (ids.length === sorted.length && ids.every((value, i) => value === sorted[i])) return;
    const { name } = call.input("order");
    refuse(call, `Expected the ids that sort_rows sorted, in their order, for ${name}`, "ERR_PROGRAM");
  }
  for (const value of ids) if (!value.given) refuseComputed(call, value, "ids whose order can be given");
  const expected = sortIds(ids.flatMap(({ data }) => [...data]));
  for (const slot of SORTED) {
    const { name, data } = call.input(slot);
    const at = data.findIndex((number, i) => number !== expected[slot][i]);
    if (at < 0) continue;
    refuse(
      call,
      `Expected what sort_rows gives for these ids, ${expected[slot][at]}, in ${name} but received ${data[at]} at ${at}`,
    );
  }
}

/** Calls `update` for each row that has a gradient, in rising order, with the sum of its terms. */
export function forEachTouchedRow(
  call: KernelCall,
  update: (row: number, gradient: Float64Array) => void,
  table = "parameter",
): void {
  const width = call.input(table).columns;
  const [order, segments] = [call.input("order").data, call.input("segments").data];
  const contributions = termsOf(call).flatMap((term) => contributionsOf(term, width));
  const gradient = new Float64Array(width);
  for (let i = 0; i < call.input("count").data[0]!; i++) {
    gradient.fill(0);
    for (let j = segments[i]!; j < segments[i + 1]!; j++) {
      const { rows, row, scale } = contributions[order[j]!]!;
      for (let c = 0; c < width; c++) gradient[c]! += scale * rows.data[row * width + c]!;
    }
    update(call.input("rows").data[i]!, gradient);
  }
}

/** Returns what each id of a term contributes: `scale` times row `row` of `rows`. */
function contributionsOf(term: Term, width: number): { rows: Value; row: number; scale: number }[] {
  const { ids, rows, offsets, scale } = term;
  const idsPerRow = (ids.data.length * width) / rows.data.length;
  let row = 0;
  return Array.from({ length: ids.data.length }, (_, j) => {
    while (offsets && offsets.data[row + 1]! <= j) row++;
    return { rows, row: offsets ? row : Math.floor(j / idsPerRow), scale: scale?.data[j] ?? 1 };
  });
}

/**
 * `tables` is the number of table-sized operands that the update of a row reads and writes: the parameter and its
 * state.
 */
export function rowTermCost(call: CostCall, flopsPerElement: number, tables: number, table = "parameter"): Cost {
  const [parameter, order] = [call.input(table), call.input("order")];
  const elements = order.rows * parameter.columns;
  return { flops: elements * (1 + flopsPerElement), bytes: 4 * (elements * (1 + 2 * tables) + 4 * order.rows) };
}
