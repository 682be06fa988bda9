import { checkOptions } from "../errors.js";
import type { Graph, Tensor } from "../graph/graph.js";
import { checkIds, type KernelCall, type Op } from "./op.js";
import {
  checkScan,
  checkScanIds,
  excludedOf,
  SCAN_INPUTS,
  type ScanInputs,
  type ScoredItem,
  scan,
  scanCost,
  type TopNOptions,
} from "./top_n.js";

/**
 * The rank of the target by w·u + b among the items from `skip_rows` on. Tied items get the mean of their ranks
 * (docs/math.md#evaluation):
 *
 *     rank = 1 + |{candidates with a higher score}| + ½ |{other candidates with an equal one}|.
 *
 * Excluded items are no candidates, but the target always is one. If the target is below `skip_rows` or its score is
 * not finite, the rank is +∞, a miss. A candidate whose score is NaN counts as higher, so that NaN never improves a
 * rank.
 */
export const targetRankOp: Op = {
  name: "target_rank",
  inputs: { ...SCAN_INPUTS, target: { dtype: "int32", rank: 1 } },
  outputs: ["rank"],
  attributes: { skip_rows: 0 },
  shapes: (operands) => {
    const samples = checkScan(operands);
    operands.expectShape("target", [samples]);
    return { rank: { dtype: "float32", shape: [samples] } };
  },
  check: (call) => {
    checkScanIds(call);
    checkIds(call, "target", call.input("weight").rows);
  },
  reference: (call) => {
    const rank = call.output("rank").data;
    for (let s = 0; s < rank.length; s++) rank[s] = rankOf(call, s, scan(call, s));
  },
  cost: scanCost,
};

/** The rank of the target of sample s, from all items with their scores. */
export function rankOf(call: KernelCall, s: number, scanned: readonly ScoredItem[]): number {
  const target = call.input("target").data[s]!;
  const excluded = excludedOf(call, s);
  const own = scanned.find(({ item }) => item === target);
  if (!own || !Number.isFinite(own.score)) return Number.POSITIVE_INFINITY;
  const others = scanned.filter(({ item }) => item !== target && !excluded.has(item));
  const count = (of: (score: number) => boolean) => others.filter(({ score }) => of(score)).length;
  return 1 + count((score) => !(score <= own.score)) + 0.5 * count((score) => score === own.score);
}

/** Operands of `targetRank`. */
export interface TargetRankInputs extends ScanInputs {
  /** The target item of each sample, int32 [samples]. */
  readonly target: Tensor;
}

/**
 * Returns the rank of each sample's target, [samples]: 1 for the best, the mean rank for ties, and +∞ for a miss
 * (docs/math.md#evaluation).
 */
export function targetRank(
  graph: Graph,
  name: string,
  inputs: TargetRankInputs,
  options: Pick<TopNOptions, "skipRows"> = {},
): Tensor {
  checkOptions("targetRank", options, { skipRows: true });
  const { excludedOffsets, ...rest } = inputs;
  const operands = { ...rest, excluded_offsets: excludedOffsets };
  return graph.apply(targetRankOp, name, operands, { skip_rows: options.skipRows ?? 0 })["rank"]!;
}
