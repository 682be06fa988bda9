import { checkOptions } from "../errors.js";
import { type Dim, decrementDim, sameDim } from "../graph/dims.js";
import type { Graph, ShapeOperands, Tensor } from "../graph/graph.js";
import type { Attribute } from "../graph/program.js";
import { groupSumOp } from "./group_sum.js";
import { checkPrecision, type Precision, rounding } from "./numerics.js";
import { type Cost, type CostCall, checkOffsets, type KernelCall, type Op, type Value } from "./op.js";

/**
 * A fully connected layer over the concatenation of its inputs:
 *
 *     output[r] = activation([x₀[r] | x₁[r] | … | y₀[g] | …] · weight + bias),  activation "none" or "relu".
 *
 * Shapes: xᵢ [rows, widthᵢ], yᵢ [groups, widthᵢ], weight [Σ widthᵢ, out], bias [out]. A group consists of consecutive
 * rows with the same y: g is the group with group_offsets[g] ≤ r < group_offsets[g + 1], and its y is multiplied by the
 * weight only once. The concatenation is never stored: each input is multiplied by its own rows of the weight. The
 * attribute `order` has a letter for each input in the concatenation: "x" for the next of `input`, "g" for the next of
 * `group_input`. "" means all of `input`, if there are no group inputs. With precision "bf16" the operands of this
 * product and of those of its gradient are rounded to bfloat16.
 */
export const linearOp: Op = {
  name: "linear",
  inputs: {
    input: { dtype: "float32", rank: 2, variadic: true },
    weight: { dtype: "float32", rank: 2 },
    bias: { dtype: "float32", rank: 1, optional: true },
    group_input: { dtype: "float32", rank: 2, variadic: true, optional: true },
    group_offsets: { dtype: "int32", rank: 1, optional: true },
  },
  outputs: ["output"],
  attributes: { activation: "none", precision: "float32", order: "" },
  shapes: (operands) => {
    const weight = operands.input("weight");
    const rows = operands.list("input")[0]!.shape[0]!;
    expectWidths(operands, "input", rows);
    if (operands.has("group_offsets")) {
      expectWidths(operands, "group_input", decrementDim(operands.input("group_offsets").shape[0]!));
    }
    if (operands.has("group_offsets") !== operands.has("group_input")) {
      operands.fail("Expected group_offsets beside group_input");
    }
    const width = checkOrder(operands, "input", "group_input");
    if (weight.shape[0] !== width) operands.failShape("weight", `with ${width} rows`, weight);
    if (operands.has("bias")) operands.expectShape("bias", [weight.shape[1]!]);
    if (!["none", "relu"].includes(operands.attribute("activation")))
      operands.fail('Expected activation "none" or "relu"');
    checkPrecision(operands);
    return { output: { dtype: "float32", shape: [rows, weight.shape[1]!] } };
  },
  // With d = d output (only where output > 0, for relu) and D[g] = Σ d over the rows of group g: dX = d Wᵀ, dY = D Wᵀ,
  // dW = Xᵀ d for the rows of X and Yᵀ D for those of Y, and d bias = Σ d over all rows, or Σ D over all groups.
  gradient: ({ graph, name, attributes, input, list, optional, output, outputGradient, needed }) => {
    let gradient = outputGradient("output");
    if (attributes["activation"] === "relu") {
      gradient = graph.apply(reluGradientOp, `${name}.relu_gradient`, {
        output: output("output"),
        output_gradient: gradient,
      })["gradient"]!;
    }
    const [inputs, weight, bias] = [list("input"), input("weight"), optional("bias")];
    const offsets = optional("group_offsets");
    const groupInputs = offsets && list("group_input");
    const group_gradient =
      offsets && graph.apply(groupSumOp, `${name}.group_gradient`, { input: gradient, offsets })["output"]!;
    const common = { precision: attributes["precision"]!, order: attributes["order"]! };
    const forInput = { output_gradient: gradient, group_gradient, weight, like: inputs, group_like: groupInputs };
    const forWeight = { input: inputs, group_input: groupInputs, output_gradient: gradient, group_gradient };
    const inputGradients =
      needed("input") || needed("group_input")
        ? graph.applyLists(linearInputGradientOp, `${name}.input_gradient`, forInput, common)
        : undefined;
    return {
      input: inputGradients?.["gradient"],
      group_input: inputGradients?.["group_input_gradient"],
      weight: needed("weight")
        ? graph.apply(linearWeightGradientOp, `${name}.weight_gradient`, forWeight, common)["gradient"]
        : undefined,
      bias:
        bias && needed("bias")
          ? graph.apply(linearBiasGradientOp, `${name}.bias_gradient`, {
              output_gradient: group_gradient ?? gradient,
            })["gradient"]
          : undefined,
    };
  },
  check: (call) => {
    if (call.has("group_offsets")) checkOffsets(call, "group_offsets", call.output("output").rows);
  },
  reference: (call) => {
    const [weight, output] = [call.input("weight"), call.output("output")];
    const inputs = inOrder(call, "input", "group_input");
    const group = groupOfRow(call, output.rows);
    const bias = call.has("bias") ? call.input("bias").data : undefined;
    const relu = call.attribute("activation") === "relu";
    const round = rounding(call);
    for (let r = 0; r < output.rows; r++) {
      for (let n = 0; n < output.columns; n++) {
        let sum = bias?.[n] ?? 0;
        let k = 0;
        for (const { value: x, grouped } of inputs) {
          const row = grouped ? group[r]! : r;
          for (let c = 0; c < x.columns; c++, k++)
            sum += round(x.data[row * x.columns + c]!) * round(weight.data[k * weight.columns + n]!);
        }
        output.data[r * output.columns + n] = relu ? Math.max(0, sum) : sum;
      }
    }
  },
  cost: (call) => {
    const { rows, columns } = call.output("output");
    return productCost(rows, groupsOf(call, "group_input"), columns, widthsOf(call, "input", "group_input"));
  },
};

/** gradient = output_gradient where output > 0, else 0. */
export const reluGradientOp: Op = {
  name: "relu_gradient",
  inputs: { output: { dtype: "float32", rank: 2 }, output_gradient: { dtype: "float32", rank: 2 } },
  outputs: ["gradient"],
  attributes: {},
  shapes: (operands) => {
    const { shape } = operands.input("output");
    operands.expectShape("output_gradient", shape);
    return { gradient: { dtype: "float32", shape } };
  },
  reference: (call) => {
    const [output, outputGradient, gradient] = [
      call.input("output"),
      call.input("output_gradient"),
      call.output("gradient"),
    ];
    for (let i = 0; i < gradient.data.length; i++) gradient.data[i] = output.data[i]! > 0 ? outputGradient.data[i]! : 0;
  },
  cost: (call) => elementwiseCost(call.output("gradient"), 3),
};

/**
 * gradientᵢ = output_gradient · weightᵢᵀ and group_gradientᵢ = group_gradient · weightᵢᵀ, with one output for each
 * input of the layer. `like` and `group_like` only define the widths. `order` is as in `linear`.
 */
export const linearInputGradientOp: Op = {
  name: "linear_input_gradient",
  inputs: {
    output_gradient: { dtype: "float32", rank: 2 },
    weight: { dtype: "float32", rank: 2 },
    like: { dtype: "float32", rank: 2, variadic: true },
    group_gradient: { dtype: "float32", rank: 2, optional: true },
    group_like: { dtype: "float32", rank: 2, variadic: true, optional: true },
  },
  outputs: ["gradient", "group_input_gradient"],
  attributes: { precision: "float32", order: "" },
  shapes: (operands) => {
    checkPrecision(operands);
    const grouped = checkGroupGradient(operands, "group_like");
    const [rows, out] = operands.input("output_gradient").shape;
    expectWidths(operands, "like", rows!);
    if (grouped) expectWidths(operands, "group_like", operands.input("group_gradient").shape[0]!);
    operands.expectShape("weight", [checkOrder(operands, "like", "group_like"), out!]);
    const like = (slot: string) => operands.list(slot).map(({ shape }) => ({ dtype: "float32" as const, shape }));
    return { gradient: like("like"), ...(grouped && { group_input_gradient: like("group_like") }) };
  },
  reference: (call) => {
    const weight = call.input("weight");
    const round = rounding(call);
    const own = call.outputList("gradient").values();
    const grouped = call.outputList("group_input_gradient").values();
    let firstRow = 0;
    for (const letter of orderOf(call, "like")) {
      const gradient = (letter === "g" ? grouped : own).next().value!;
      const above = call.input(letter === "g" ? "group_gradient" : "output_gradient");
      for (let r = 0; r < gradient.rows; r++) {
        for (let c = 0; c < gradient.columns; c++) {
          gradient.data[r * gradient.columns + c] = dot(above, r, weight, firstRow + c, round);
        }
      }
      firstRow += gradient.columns;
    }
  },
  cost: (call) => {
    const { rows, columns } = call.input("output_gradient");
    return productCost(rows, groupsOf(call, "group_like"), columns, widthsOf(call, "like", "group_like"));
  },
};

/**
 * gradient = [x₀ | x₁ | …]ᵀ · output_gradient; for the rows of a group input y it is yᵀ · group_gradient. `order` is as
 * in `linear`.
 */
export const linearWeightGradientOp: Op = {
  name: "linear_weight_gradient",
  inputs: {
    input: { dtype: "float32", rank: 2, variadic: true },
    output_gradient: { dtype: "float32", rank: 2 },
    group_input: { dtype: "float32", rank: 2, variadic: true, optional: true },
    group_gradient: { dtype: "float32", rank: 2, optional: true },
  },
  outputs: ["gradient"],
  attributes: { precision: "float32", order: "" },
  shapes: (operands) => {
    checkPrecision(operands);
    const [rows, out] = operands.input("output_gradient").shape;
    expectWidths(operands, "input", rows!);
    if (checkGroupGradient(operands, "group_input")) {
      expectWidths(operands, "group_input", operands.input("group_gradient").shape[0]!);
    }
    return { gradient: { dtype: "float32", shape: [checkOrder(operands, "input", "group_input"), out!] } };
  },
  reference: (call) => {
    const gradient = call.output("gradient");
    const out = gradient.columns;
    const sum = new Float64Array(gradient.data.length);
    const round = rounding(call);
    let k = 0;
    for (const { value: x, grouped } of inOrder(call, "input", "group_input")) {
      const above = call.input(grouped ? "group_gradient" : "output_gradient").data;
      for (let c = 0; c < x.columns; c++, k++) {
        for (let r = 0; r < x.rows; r++) {
          for (let n = 0; n < out; n++)
            sum[k * out + n]! += round(x.data[r * x.columns + c]!) * round(above[r * out + n]!);
        }
      }
    }
    gradient.data.set(sum);
  },
  cost: (call) => {
    const { rows, columns } = call.input("output_gradient");
    return productCost(rows, groupsOf(call, "group_input"), columns, widthsOf(call, "input", "group_input"));
  },
};

/** gradient[n] = Σ_r output_gradient[r, n]. */
export const linearBiasGradientOp: Op = {
  name: "linear_bias_gradient",
  inputs: { output_gradient: { dtype: "float32", rank: 2 } },
  outputs: ["gradient"],
  attributes: {},
  shapes: (operands) => ({ gradient: { dtype: "float32", shape: [operands.input("output_gradient").shape[1]!] } }),
  reference: (call) => {
    const [outputGradient, gradient] = [call.input("output_gradient"), call.output("gradient")];
    const sum = new Float64Array(outputGradient.columns);
    for (let i = 0; i < outputGradient.data.length; i++) sum[i % sum.length]! += outputGradient.data[i]!;
    gradient.data.set(sum);
  },
  cost: (call) => elementwiseCost(call.input("output_gradient"), 1),
};

/** Inner product of row `i` of a and row `j` of b, which have the same width, after rounding. */
function dot(a: Value, i: number, b: Value, j: number, round: (x: number) => number): number {
  let sum = 0;
  for (let c = 0; c < a.columns; c++) sum += round(a.data[i * a.columns + c]!) * round(b.data[j * b.columns + c]!);
  return sum;
}

type Slots = readonly [own: string, grouped: string];

/** The letters of the inputs, in the order of the concatenation. */
function orderOf(
  call: { attribute<T extends Attribute>(name: string): T; list(slot: string): readonly unknown[] },
  own: string,
): string {
  return call.attribute<string>("order") || "x".repeat(call.list(own).length);
}

/** Returns the sum of the widths of all inputs. Refuses an `order` that does not have a letter for each input. */
function checkOrder(operands: ShapeOperands, ...[own, grouped]: Slots): number {
  const letters = [...orderOf(operands, own)];
  const count = (letter: string) => letters.filter((other) => other === letter).length;
  const [x, g] = [operands.list(own), operands.list(grouped)];
  if (count("x") !== x.length || count("g") !== g.length || letters.length !== x.length + g.length) {
    operands.fail(
      `Expected order of ${x.length} letters x and ${g.length} letters g but received "${letters.join("")}"`,
    );
  }
  return [...x, ...g].reduce((sum, { shape }) => sum + (shape[1] as number), 0);
}

function expectWidths(operands: ShapeOperands, slot: string, rows: Dim): void {
  for (const input of operands.list(slot)) {
    if (!sameDim(input.shape[0]!, rows)) operands.failShape(slot, `with ${rows} rows`, input);
    if (typeof input.shape[1] !== "number") operands.failShape(slot, "with a fixed width", input);
  }
}

/** Whether there are group inputs. If so, `group_gradient` must be as wide as `output_gradient`. */
function checkGroupGradient(operands: ShapeOperands, grouped: string): boolean {
  if (operands.has("group_gradient") !== operands.has(grouped))
    operands.fail("Expected group_gradient beside group inputs");
  if (!operands.has(grouped)) return false;
  const [groups] = operands.input("group_gradient").shape;
  operands.expectShape("group_gradient", [groups!, operands.input("output_gradient").shape[1]!]);
  return true;
}

/** The inputs, in the order of the concatenation. */
function inOrder(call: KernelCall, ...[own, grouped]: Slots): { readonly value: Value; readonly grouped: boolean }[] {
  const [x, g] = [call.list(own).values(), call.list(grouped).values()];
  return [...orderOf(call, own)].map((letter) => {
    const grouped = letter === "g";
    return { value: (grouped ? g : x).next().value!, grouped };
  });
}

/** [rows] The group of each row; all 0 without groups. */
function groupOfRow(call: KernelCall, rows: number): Int32Array {
  const group = new Int32Array(rows);
  if (!call.has("group_offsets")) return group;
  const offsets = call.input("group_offsets").data;
  for (let g = 0; g + 1 < offsets.length; g++) group.fill(g, offsets[g]!, offsets[g + 1]!);
  return group;
}

function groupsOf(call: CostCall, slot: string): number {
  return call.list(slot)[0]?.rows ?? 0;
}

function widthsOf(call: CostCall, ...slots: Slots): readonly number[] {
  return slots.map((slot) => call.list(slot).reduce((sum, { columns }) => sum + columns, 0));
}

/**
 * Cost of multiplying inputs by a weight of width `out`: inputs of total width `own` with one row per row, and of total
 * width `grouped` with one row per group.
 */
function productCost(rows: number, groups: number, out: number, [own, grouped]: readonly number[]): Cost {
  const products = rows * own! + groups * grouped!;
  return { flops: 2 * products * out, bytes: 4 * (products + (rows + groups) * out + (own! + grouped!) * out) };
}

function elementwiseCost(value: { readonly rows: number; readonly columns: number }, passes: number) {
  const elements = value.rows * value.columns;
  return { flops: elements, bytes: 4 * passes * elements };
}

/** Options of `linear`. */
export interface LinearOptions {
  /** Activation of the output: "none" (default) or "relu". */
  readonly activation?: "none" | "relu";
  /** Precision of the product's operands: "float32" (default) or "bf16". */
  readonly precision?: Precision;
  /** The range of rows of each group, int32 [groups + 1], for inputs that have one row for each group. */
  readonly groupOffsets?: Tensor | undefined;
}

const LINEAR_OPTIONS: Readonly<Record<keyof LinearOptions, true>> = {
  activation: true,
  precision: true,
  groupOffsets: true,
};

/**
 * Returns `activation`([x₀ | x₁ | …] · weight + bias), [rows, out], for inputs xᵢ [rows, widthᵢ], a weight
 * [Σ widthᵢ, out] and a bias [out] (default 0). With `groupOffsets`, inputs may also have one row for each group of
 * rows.
 */
export function linear(
  graph: Graph,
  name: string,
  inputs: readonly Tensor[],
  weight: Tensor,
  bias?: Tensor,
  options: LinearOptions = {},
): Tensor {
  checkOptions("linear", options, LINEAR_OPTIONS);
  const { activation = "none", precision = "float32", groupOffsets } = options;
  const groups = groupOffsets && decrementDim(groupOffsets.shape[0]!);
  const isGrouped = ({ shape }: Tensor) => groups !== undefined && sameDim(shape[0]!, groups);
  const grouped = inputs.filter(isGrouped);
  const own = { input: inputs.filter((input) => !isGrouped(input)), weight, bias };
  if (grouped.length === 0) return graph.apply(linearOp, name, own, { activation, precision })["output"]!;
  const order = inputs.map((input) => (isGrouped(input) ? "g" : "x")).join("");
  const operands = { ...own, group_input: grouped, group_offsets: groupOffsets };
  return graph.apply(linearOp, name, operands, { activation, precision, order })["output"]!;
}
