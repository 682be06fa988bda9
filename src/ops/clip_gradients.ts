import type { Graph, Tensor } from "../graph/graph.js";
import type { Op } from "./op.js";

/**
 * Clips gradients by their joint norm (Pascanu et al. 2013). With n = √Σ gᵢ² over the elements of all gradients,
 *
 *     outputᵢ = gradientᵢ · min(1, limit / n).
 *
 * If the norm is NaN, the gradients are unchanged, so that the problem stays visible.
 */
export const clipGradientsOp: Op = {
  name: "clip_gradients",
  inputs: { gradient: { dtype: "float32", variadic: true } },
  outputs: ["output"],
  attributes: { limit: 1 },
  shapes: (operands) => {
    const limit = operands.attribute<number>("limit");
    if (!(limit > 0)) operands.fail(`Expected limit above 0 but received ${limit}`);
    return { output: operands.list("gradient").map(({ shape }) => ({ dtype: "float32" as const, shape })) };
  },
  reference: (call) => {
    const gradients = call.list("gradient");
    let squares = 0;
    for (const { data } of gradients) for (const x of data) squares += x * x;
    const norm = Math.sqrt(squares);
    const limit = call.attribute<number>("limit");
    const scale = norm > limit ? limit / norm : 1;
    call.outputList("output").forEach(({ data }, i) => {
      for (let j = 0; j < data.length; j++) data[j] = gradients[i]!.data[j]! * scale;
    });
  },
  cost: (call) => {
    const elements = call.list("gradient").reduce((sum, { rows, columns }) => sum + rows * columns, 0);
    return { flops: 3 * elements, bytes: 12 * elements };
  },
};

/** Returns the gradients, all scaled down by one factor if their joint norm is above `limit`. */
export function clipGradients(
  graph: Graph,
  name: string,
  gradient: readonly Tensor[],
  limit: number,
): readonly Tensor[] {
  return graph.applyLists(clipGradientsOp, name, { gradient }, { limit })["output"]!;
}
