import { checkOptions } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { checkIds, type KernelCall, type Op, refuse, refuseComputed, sortThatMade } from "./op.js";
import type { SortedRows } from "./sort_rows.js";

/**
 * Lazy L2 decay of a table under AdaGrad (docs/math.md#l2-decay): decay is applied to a row only when the row is next
 * updated. Since the row's accumulator a did not change in the Δt steps since then, their joint decay is exactly
 *
 *     θ ← θ · max(0, 1 − η·λ / d)^Δt,   d = √a + ε, or √(a + ε) with epsilon_inside;   last_step ← step.
 *
 * It updates only the rows rows[0 … count), in place. Apply it before the op that reads these rows.
 */
export const decayRowsOp: Op = {
  name: "decay_rows",
  inputs: {
    parameter: { dtype: "float32" },
    accumulator: { dtype: "float32" },
    last_step: { dtype: "uint32", rank: 1 },
    rows: { dtype: "int32", rank: 1 },
    count: { dtype: "int32", rank: 0 },
    learning_rate: { dtype: "float32", rank: 0 },
    step: { dtype: "uint32", rank: 0 },
  },
  outputs: ["parameter", "last_step"],
  attributes: { l2: 0, epsilon: 1e-6, epsilon_inside: false },
  shapes: (operands) => {
    const parameter = operands.input("parameter");
    operands.expectShape("accumulator", parameter.shape);
    operands.expectShape("last_step", [parameter.shape[0]!]);
    return { parameter: { inPlace: parameter }, last_step: { inPlace: operands.input("last_step") } };
  },
  check: (call) => {
    checkIds(call, "rows", call.input("parameter").rows);
    checkIds(call, "count", call.input("rows").rows + 1);
    checkDistinct(call);
  },
  reference: (call) => {
    const [parameter, accumulator] = [call.input("parameter"), call.input("accumulator").data];
    const [lastStep, rows] = [call.input("last_step").data, call.input("rows").data];
    const step = call.input("step").data[0]!;
    const rate = call.input("learning_rate").data[0]! * call.attribute<number>("l2");
    const epsilon = call.attribute<number>("epsilon");
    const inside = call.attribute<boolean>("epsilon_inside");
    const width = parameter.columns;
    for (let i = 0; i < call.input("count").data[0]!; i++) {
      const row = rows[i]!;
      const steps = step - lastStep[row]!;
      for (let j = row * width; j < (row + 1) * width; j++) {
        const divisor = inside ? Math.sqrt(accumulator[j]! + epsilon) : Math.sqrt(accumulator[j]!) + epsilon;
        parameter.data[j]! *= Math.max(0, 1 - rate / divisor) ** steps;
      }
      lastStep[row] = step;
    }
  },
  cost: (call) => {
    const elements = call.input("rows").rows * call.input("parameter").columns;
    return { flops: 8 * elements, bytes: 12 * elements };
  },
};

function checkDistinct(call: KernelCall): void {
  const [rows, count] = [call.input("rows"), call.input("count")];
  const sort = sortThatMade(rows, "rows");
  if ((sort && sort.output("count") === count) || rows.bounds?.consecutive) return;
  if (!rows.given) refuseComputed(call, rows, "distinct rows");
  const seen = new Set<number>();
  const used = rows.data.subarray(0, count.given ? count.data[0] : rows.rows);
  used.forEach((row, i) => {
    if (seen.has(row)) refuse(call, `Expected distinct rows in ${rows.name} but received ${row} again at ${i}`);
    seen.add(row);
  });
}

/** Operands of `decayRows`. */
export interface DecayRowsInputs {
  /** The table, [rows, width] or [rows]. */
  readonly parameter: Tensor;
  /** AdaGrad's accumulator for the table, of the same shape. */
  readonly accumulator: Tensor;
  /** The step up to which each row has decayed, uint32 [rows]. */
  readonly lastStep: Tensor;
  /** The distinct rows to decay, from `sortRows` or any other list. */
  readonly touched: Pick<SortedRows, "rows" | "count">;
  /** The learning rate, a scalar. */
  readonly learningRate: Tensor;
  /** The number of steps before this one, a uint32 scalar. */
  readonly step: Tensor;
}

/** Options of `decayRows`. ε is that of the AdaGrad that updates the table. */
export interface DecayRowsOptions {
  /** The decay λ. */
  readonly l2: number;
  /** ε of AdaGrad. */
  readonly epsilon: number;
  /** Whether AdaGrad adds ε inside the square root. */
  readonly epsilonInside: boolean;
}

const DECAY_ROWS_OPTIONS: Readonly<Record<keyof DecayRowsOptions, true>> = {
  l2: true,
  epsilon: true,
  epsilonInside: true,
};

/** Applies the outstanding L2 decay to some rows of a table, in place (docs/math.md#l2-decay). */
export function decayRows(graph: Graph, name: string, inputs: DecayRowsInputs, options: DecayRowsOptions): void {
  checkOptions("decayRows", options, DECAY_ROWS_OPTIONS);
  const { lastStep, touched, learningRate, ...rest } = inputs;
  const { rows, count } = touched;
  graph.apply(
    decayRowsOp,
    name,
    { ...rest, last_step: lastStep, rows, count, learning_rate: learningRate },
    { l2: options.l2, epsilon: options.epsilon, epsilon_inside: options.epsilonInside },
  );
}
