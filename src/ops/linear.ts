import { sameDim } from "../graph/dims.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { checkPrecision, type Precision, rounding } from "./numerics.js";
import type { Op, Value } from "./op.js";

/**
 * A fully connected layer over the concatenation of its inputs:
 *
 *     output = activation([x₀ | x₁ | …] · weight + bias),  activation "none" or "relu".
 *
 * xᵢ [rows, widthᵢ], weight [Σ widthᵢ, out], bias [out]. The concatenation is never made here: each input meets its own
 * rows of the weight. With precision "bf16" the operands of this product and of its gradients' are rounded to bfloat16.
 */
export const linearOp: Op = {
  name: "linear",
  inputs: {
    input: { dtype: "float32", rank: 2, variadic: true },
    weight: { dtype: "float32", rank: 2 },
    bias: { dtype: "float32", rank: 1, optional: true },
  },
  outputs: ["output"],
  attributes: { activation: "none", precision: "float32" },
  shapes: (operands) => {
    const inputs = operands.list("input");
    const weight = operands.input("weight");
    const rows = inputs[0]!.shape[0]!;
    let width = 0;
    for (const input of inputs) {
      if (!sameDim(input.shape[0]!, rows)) operands.failShape("input", `with ${rows} rows`, input);
      if (typeof input.shape[1] !== "number") operands.failShape("input", "with a fixed width", input);
      width += input.shape[1] as number;
    }
    if (weight.shape[0] !== width) operands.failShape("weight", `with ${width} rows`, weight);
    if (operands.has("bias")) operands.expectShape("bias", [weight.shape[1]!]);
    if (!["none", "relu"].includes(operands.attribute("activation")))
      operands.fail('Expected activation "none" or "relu"');
    checkPrecision(operands);
    return { output: { dtype: "float32", shape: [rows, weight.shape[1]!] } };
  },
  // With d = d output (where output > 0, for relu): dX = d Wᵀ, dW = Xᵀ d, d bias = Σ rows of d.
  gradient: ({ graph, name, attributes, input, list, optional, output, outputGradient, needed }) => {
    let gradient = outputGradient("output");
    if (attributes["activation"] === "relu") {
      gradient = graph.apply(reluGradientOp, `${name}.relu_gradient`, {
        output: output("output"),
        output_gradient: gradient,
      })["gradient"]!;
    }
    const [inputs, weight, bias] = [list("input"), input("weight"), optional("bias")];
    const precision = { precision: attributes["precision"]! };
    const forInput = { output_gradient: gradient, weight, like: inputs };
    const forWeight = { input: inputs, output_gradient: gradient };
    return {
      input: needed("input")
        ? graph.applyList(linearInputGradientOp, `${name}.input_gradient`, forInput, precision)
        : undefined,
      weight: needed("weight")
        ? graph.apply(linearWeightGradientOp, `${name}.weight_gradient`, forWeight, precision)["gradient"]
        : undefined,
      bias:
        bias && needed("bias")
          ? graph.apply(linearBiasGradientOp, `${name}.bias_gradient`, { output_gradient: gradient })["gradient"]
          : undefined,
    };
  },
  reference: (call) => {
    const [weight, output] = [call.input("weight"), call.output("output")];
    const inputs = call.list("input");
    const bias = call.has("bias") ? call.input("bias").data : undefined;
    const relu = call.attribute("activation") === "relu";
    const round = rounding(call);
    for (let r = 0; r < output.rows; r++) {
      for (let n = 0; n < output.columns; n++) {
        let sum = bias?.[n] ?? 0;
        let k = 0;
        for (const x of inputs) {
          for (let c = 0; c < x.columns; c++, k++)
            sum += round(x.data[r * x.columns + c]!) * round(weight.data[k * weight.columns + n]!);
        }
        output.data[r * output.columns + n] = relu ? Math.max(0, sum) : sum;
      }
    }
  },
  cost: (call) => productCost(call.output("output").rows, call.input("weight")),
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

/** gradientᵢ = output_gradient · weightᵢᵀ, one output for each input of the layer (`like` gives their widths only). */
export const linearInputGradientOp: Op = {
  name: "linear_input_gradient",
  inputs: {
    output_gradient: { dtype: "float32", rank: 2 },
    weight: { dtype: "float32", rank: 2 },
    like: { dtype: "float32", rank: 2, variadic: true },
  },
  outputs: ["gradient"],
  attributes: { precision: "float32" },
  shapes: (operands) => {
    checkPrecision(operands);
    operands.expectShape("output_gradient", [operands.list("like")[0]!.shape[0]!, operands.input("weight").shape[1]!]);
    return { gradient: operands.list("like").map(({ shape }) => ({ dtype: "float32" as const, shape })) };
  },
  reference: (call) => {
    const [outputGradient, weight] = [call.input("output_gradient"), call.input("weight")];
    const round = rounding(call);
    let firstRow = 0;
    for (const gradient of call.outputList("gradient")) {
      for (let r = 0; r < gradient.rows; r++) {
        for (let c = 0; c < gradient.columns; c++) {
          gradient.data[r * gradient.columns + c] = dot(outputGradient, r, weight, firstRow + c, round);
        }
      }
      firstRow += gradient.columns;
    }
  },
  cost: (call) => productCost(call.input("output_gradient").rows, call.input("weight")),
};

/** gradient = [x₀ | x₁ | …]ᵀ · output_gradient. */
export const linearWeightGradientOp: Op = {
  name: "linear_weight_gradient",
  inputs: { input: { dtype: "float32", rank: 2, variadic: true }, output_gradient: { dtype: "float32", rank: 2 } },
  outputs: ["gradient"],
  attributes: { precision: "float32" },
  shapes: (operands) => {
    checkPrecision(operands);
    const width = operands.list("input").reduce((sum, { shape }) => sum + (shape[1] as number), 0);
    return { gradient: { dtype: "float32", shape: [width, operands.input("output_gradient").shape[1]!] } };
  },
  reference: (call) => {
    const [outputGradient, gradient] = [call.input("output_gradient"), call.output("gradient")];
    const out = outputGradient.columns;
    const sum = new Float64Array(gradient.data.length);
    const round = rounding(call);
    let k = 0;
    for (const x of call.list("input")) {
      for (let c = 0; c < x.columns; c++, k++) {
        for (let r = 0; r < x.rows; r++) {
          for (let n = 0; n < out; n++)
            sum[k * out + n]! += round(x.data[r * x.columns + c]!) * round(outputGradient.data[r * out + n]!);
        }
      }
    }
    gradient.data.set(sum);
  },
  cost: (call) => productCost(call.input("output_gradient").rows, call.output("gradient")),
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

/** Row `i` of a times row `j` of b, both of the same width and rounded. */
function dot(a: Value, i: number, b: Value, j: number, round: (x: number) => number): number {
  let sum = 0;
  for (let c = 0; c < a.columns; c++) sum += round(a.data[i * a.columns + c]!) * round(b.data[j * b.columns + c]!);
  return sum;
}

function productCost(rows: number, weight: { readonly rows: number; readonly columns: number }) {
  const { rows: k, columns: n } = weight;
  return { flops: 2 * rows * k * n, bytes: 4 * (rows * (k + n) + k * n) };
}

function elementwiseCost(value: { readonly rows: number; readonly columns: number }, passes: number) {
  const elements = value.rows * value.columns;
  return { flops: elements, bytes: 4 * passes * elements };
}

export interface LinearOptions {
  /** "none" (default) or "relu" */
  readonly activation?: "none" | "relu";
  /** "float32" (default) or "bf16" */
  readonly precision?: Precision;
}

/** [rows, out]: activation(concatenated inputs · weight + bias). */
export function linear(
  graph: Graph,
  name: string,
  inputs: readonly Tensor[],
  weight: Tensor,
  bias?: Tensor,
  options: LinearOptions = {},
): Tensor {
  const { activation = "none", precision = "float32" } = options;
  return graph.apply(linearOp, name, { input: inputs, weight, bias }, { activation, precision })["output"]!;
}
