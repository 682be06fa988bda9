import { checkOptions } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { philox, STREAMS } from "../random/philox.js";
import { checkRate, checkWhole, keepAbove } from "./numerics.js";
import { checkIds, type Op, promise } from "./op.js";

/**
 * Replaces ids by 0 (`<unk>`) with probability `rate`, so that row 0 of the table learns to represent unknown values.
 * Id i uses word i mod 4 of the Philox 4×32-10 block with counter (⌊i / 4⌋, 0, step, site) and key (seed, 5), and is
 * kept if that word is at least rate · 2³². `site` distinguishes the dropouts of one step. Ids from `limit` on are
 * refused.
 */
export const dropIdsOp: Op = {
  name: "drop_ids",
  inputs: {
    ids: { dtype: "int32", rank: 1 },
    seed: { dtype: "uint32", rank: 0 },
    step: { dtype: "uint32", rank: 0 },
  },
  outputs: ["output"],
  attributes: { rate: 0, site: 0, limit: 1 },
  shapes: (operands) => {
    checkRate(operands);
    checkWhole(operands, "limit", 1);
    return { output: { dtype: "int32", shape: operands.input("ids").shape } };
  },
  check: (call) => {
    const limit = call.attribute<number>("limit");
    checkIds(call, "ids", limit);
    promise(call, "output", 0, limit - 1);
  },
  reference: (call) => {
    const [ids, output] = [call.input("ids").data, call.output("output").data];
    const [seed, step] = [call.input("seed").data[0]!, call.input("step").data[0]!];
    const [rate, site] = [call.attribute<number>("rate"), call.attribute<number>("site")];
    const words = new Uint32Array(4);
    for (let i = 0; i < ids.length; i++) {
      if (i % 4 === 0) philox(words, i / 4, 0, step, site, seed, STREAMS.dropout);
      output[i] = words[i % 4]! >= keepAbove(rate) ? ids[i]! : 0;
    }
  },
  cost: (call) => ({ flops: 0, bytes: 8 * call.output("output").rows }),
};

/** Operands of `dropIds`. */
export interface DropIdsInputs {
  /** The ids, int32 [n]. */
  readonly ids: Tensor;
  /** The seed, a uint32 scalar. */
  readonly seed: Tensor;
  /** The number of steps before this one, a uint32 scalar. */
  readonly step: Tensor;
}

/** Options of `dropIds`. */
export interface DropIdsOptions {
  /** Probability with which an id becomes 0, below 1. */
  readonly rate: number;
  /** A number that differs between all dropouts of a Program. */
  readonly site: number;
  /** Number of rows of the table that the ids refer to. */
  readonly limit: number;
}

const DROP_IDS_OPTIONS: Readonly<Record<keyof DropIdsOptions, true>> = { rate: true, site: true, limit: true };

/** Returns the ids, int32 [n], some of them replaced by 0 (`<unk>`). */
export function dropIds(graph: Graph, name: string, inputs: DropIdsInputs, options: DropIdsOptions): Tensor {
  checkOptions("dropIds", options, DROP_IDS_OPTIONS);
  return graph.apply(dropIdsOp, name, { ...inputs }, { ...options })["output"]!;
}
