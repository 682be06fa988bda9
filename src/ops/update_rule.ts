import type { GraphOp, InputSlot, OutputShape, ShapeOperands } from "../graph/graph.js";
import type { KernelCall, Op } from "./op.js";
import { checkRowTermShapes, checkRowTerms, forEachTouchedRow, ROW_TERM_INPUTS, rowTermCost } from "./row_terms.js";

/**
 * The update rule of an optimizer, which updates each element of a parameter by the gradient of that element. Two ops
 * apply it in place: `denseOp` to a whole parameter with a dense gradient, and `rowsOp` to the rows of a table that
 * have a gradient, which is given as row terms.
 */
export interface UpdateRule {
  /** Name of the dense op. That of the other op is `<name>_rows`. */
  readonly name: string;
  /** Slots of the optimizer state: tensors of the parameter's shape that are updated with it. */
  readonly state: readonly string[];
  /** Slots of the scalars that the rule reads. */
  readonly scalars: Readonly<Record<string, InputSlot>>;
  readonly attributes: GraphOp["attributes"];
  /** Floating-point operations per element. */
  readonly flops: number;
  /** Returns the rule for the tensors of one call: a function that updates element `i` by its gradient. */
  readonly update: (call: KernelCall) => (i: number, gradient: number) => void;
}

const FLOAT32: InputSlot = { dtype: "float32" };

/** The slots that a rule updates in place. */
const updatedSlots = ({ state }: UpdateRule): string[] => ["parameter", ...state];

function updatedInputs(rule: UpdateRule): Record<string, InputSlot> {
  return Object.fromEntries(updatedSlots(rule).map((slot) => [slot, FLOAT32]));
}

function updatedShapes(rule: UpdateRule, operands: ShapeOperands): Record<string, OutputShape> {
  const { shape } = operands.input("parameter");
  for (const slot of rule.state) operands.expectShape(slot, shape);
  return Object.fromEntries(updatedSlots(rule).map((slot) => [slot, { inPlace: operands.input(slot) }]));
}

/** Creates the op that updates a whole parameter by `gradient`, a tensor of its shape. */
export function denseOp(rule: UpdateRule): Op {
  return {
    name: rule.name,
    inputs: { ...updatedInputs(rule), gradient: FLOAT32, ...rule.scalars },
    outputs: updatedSlots(rule),
    attributes: rule.attributes,
    shapes: (operands) => {
      operands.expectShape("gradient", operands.input("parameter").shape);
      return updatedShapes(rule, operands);
    },
    reference: (call) => {
      const gradient = call.input("gradient").data;
      const update = rule.update(call);
      for (let i = 0; i < gradient.length; i++) update(i, gradient[i]!);
    },
    // The gradient is read; the parameter and its state are read and written.
    cost: (call) => {
      const { rows, columns } = call.input("parameter");
      const passes = 1 + 2 * updatedSlots(rule).length;
      return { flops: rule.flops * rows * columns, bytes: 4 * passes * rows * columns };
    },
  };
}

/**
 * Creates the op that updates the rows of a table that have a gradient, by the sum of their row terms. Other rows do
 * not change.
 */
export function rowsOp(rule: UpdateRule): Op {
  return {
    name: `${rule.name}_rows`,
    inputs: { ...updatedInputs(rule), ...rule.scalars, ...ROW_TERM_INPUTS },
    outputs: updatedSlots(rule),
    attributes: { ...rule.attributes, terms: "" },
    shapes: (operands) => {
      checkRowTermShapes(operands);
      return updatedShapes(rule, operands);
    },
    check: checkRowTerms,
    reference: (call) => {
      const width = call.input("parameter").columns;
      const update = rule.update(call);
      forEachTouchedRow(call, (row, gradient) => {
        for (let c = 0; c < width; c++) update(row * width + c, gradient[c]!);
      });
    },
    cost: (call) => rowTermCost(call, rule.flops, updatedSlots(rule).length),
  };
}
