import { embeddingBagGradientOp, embeddingBagOp } from "./embedding_bag.js";
import {
  linearBiasGradientOp,
  linearInputGradientOp,
  linearOp,
  linearWeightGradientOp,
  reluGradientOp,
} from "./linear.js";
import type { Op } from "./op.js";

export { embeddingBag } from "./embedding_bag.js";
export { linear } from "./linear.js";

/** Every op that a Program may use, by name. */
export const OPS: ReadonlyMap<string, Op> = new Map(
  [
    embeddingBagOp,
    embeddingBagGradientOp,
    linearOp,
    reluGradientOp,
    linearInputGradientOp,
    linearWeightGradientOp,
    linearBiasGradientOp,
  ].map((op) => [op.name, op]),
);
