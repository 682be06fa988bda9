import { checkOptions } from "../errors.js";
import { addDims, type Dim } from "../graph/dims.js";
import type { Graph, InputSlot, ShapeOperands, Tensor } from "../graph/graph.js";
import { logit } from "./candidate_gradient.js";
import { checkWhole, logSumExp } from "./numerics.js";
import { type Cost, type CostCall, checkIds, checkOffsets, type KernelCall, type Op, promise } from "./op.js";

/** The input slots of ops that score all items: `top_n`, `target_rank` and `top_n_and_rank`. */
export const SCAN_INPUTS: Record<string, InputSlot> = {
  user: { dtype: "float32", rank: 2 },
  weight: { dtype: "float32", rank: 2 },
  bias: { dtype: "float32", rank: 1, optional: true },
  excluded: { dtype: "int32", rank: 1 },
  excluded_offsets: { dtype: "int32", rank: 1 },
};

/**
 * The items with the highest scores w·u + b among those from `skip_rows` on, best first, and ties by rising id. Items
 * are left out if the sample excludes them (excluded[excluded_offsets[s] … excluded_offsets[s + 1])) or if their score
 * is NaN. If fewer than `top` remain, the rest is filled with item −1 and score −∞.
 *
 * log_partition[s] = log Σᵢ exp(wᵢ·u + bᵢ) over all items from `skip_rows` on, including excluded ones, so that score −
 * log_partition is the log probability of an item. It is not finite if a score is NaN or +∞.
 */
export const topNOp: Op = {
  name: "top_n",
  inputs: SCAN_INPUTS,
  outputs: ["items", "score", "log_partition"],
  attributes: { skip_rows: 0, top: 1 },
  shapes: (operands) => {
    const samples = checkScan(operands);
    const shape = [samples, operands.attribute<Dim>("top")];
    return {
      items: { dtype: "int32", shape },
      score: { dtype: "float32", shape },
      log_partition: { dtype: "float32", shape: [samples] },
    };
  },
  check: (call) => {
    checkScanIds(call);
    promise(call, "items", -1, call.input("weight").rows - 1);
  },
  reference: (call) => {
    const logPartition = call.output("log_partition").data;
    for (let s = 0; s < logPartition.length; s++) {
      const scanned = scan(call, s);
      writeBest(call, s, scanned);
      logPartition[s] = logSumExp(scanned.map((candidate) => candidate.score));
    }
  },
  cost: scanCost,
};

/** Shape rule of the scan operands. Returns the number of samples. */
export function checkScan(operands: ShapeOperands): Dim {
  checkWhole(operands, "skip_rows", 0);
  const [samples, width] = operands.input("user").shape;
  const [items] = operands.input("weight").shape;
  operands.expectShape("weight", [items!, width!]);
  if (operands.has("bias")) operands.expectShape("bias", [items!]);
  operands.expectShape("excluded_offsets", [addDims(samples!, 1)]);
  return samples!;
}

/** Refuses excluded items that do not exist, and their offsets if these do not fit. */
export function checkScanIds(call: KernelCall): void {
  checkIds(call, "excluded", call.input("weight").rows);
  checkOffsets(call, "excluded_offsets", call.input("excluded").rows);
}

/** An item with its score. */
export interface ScoredItem {
  readonly item: number;
  readonly score: number;
}

/** Returns all items from `skip_rows` on with their scores for sample s, in rising order of ids. */
export function scan(call: KernelCall, s: number): ScoredItem[] {
  const scanned = [];
  for (let item = call.attribute<number>("skip_rows"); item < call.input("weight").rows; item++) {
    scanned.push({ item, score: logit(call, s, item) });
  }
  return scanned;
}

/** Writes row s of the outputs `items` and `score`, from all items with their scores. */
export function writeBest(call: KernelCall, s: number, scanned: readonly ScoredItem[]): void {
  const [items, scores] = [call.output("items"), call.output("score")];
  const top = items.columns;
  const excluded = excludedOf(call, s);
  const best = scanned
    .filter(({ item, score }) => !excluded.has(item) && !Number.isNaN(score))
    .sort((a, b) => b.score - a.score || a.item - b.item)
    .slice(0, top);
  for (let n = 0; n < top; n++) {
    items.data[s * top + n] = best[n]?.item ?? -1;
    scores.data[s * top + n] = best[n]?.score ?? -Infinity;
  }
}

/** The items that sample s excludes. */
export function excludedOf(call: KernelCall, s: number): Set<number> {
  const offsets = call.input("excluded_offsets").data;
  return new Set(call.input("excluded").data.subarray(offsets[s]!, offsets[s + 1]!));
}

/** The least work of scoring every item for every sample. */
export function scanCost(call: CostCall): Cost {
  const [user, weight] = [call.input("user"), call.input("weight")];
  return {
    flops: user.rows * weight.rows * (2 * weight.columns + 1),
    bytes: 4 * (user.rows * user.columns + weight.rows * (weight.columns + 1)),
  };
}

/** Operands of `topN`, which scores every item for every sample. */
export interface ScanInputs {
  /** The user vectors [samples, width]. */
  readonly user: Tensor;
  /** The item vectors [items, width]. */
  readonly weight: Tensor;
  /** The item biases [items] (default 0). */
  readonly bias?: Tensor | undefined;
  /** The items that each sample excludes, one sample after the other, int32 [n]. */
  readonly excluded: Tensor;
  /** Index of the first excluded item of each sample, int32 [samples + 1]. */
  readonly excludedOffsets: Tensor;
}

/** Options of `topN`. */
export interface TopNOptions {
  /** Number of items for each sample: a number, or the name of a dim. */
  readonly top: Dim;
  /** Number of items at the start that are no candidates, such as 1 for `<unk>` (default 0). */
  readonly skipRows?: number;
}

/** Result of `topN`. */
export interface BestItems {
  /** The items, best first, int32 [samples, top]; −1 after the last one if there are fewer than `top`. */
  readonly items: Tensor;
  /** Their scores [samples, top]; −∞ where there is no item. */
  readonly score: Tensor;
  /** The logarithm of the sum of exp(score) over all items, [samples]. */
  readonly logPartition: Tensor;
}

const TOP_N_OPTIONS: Readonly<Record<keyof TopNOptions, true>> = { top: true, skipRows: true };

/** Returns the items with the highest scores w·u + b for each sample, best first, and ties by rising id. */
export function topN(graph: Graph, name: string, inputs: ScanInputs, options: TopNOptions): BestItems {
  checkOptions("topN", options, TOP_N_OPTIONS);
  const { excludedOffsets, ...rest } = inputs;
  const { items, score, log_partition } = graph.apply(
    topNOp,
    name,
    { ...rest, excluded_offsets: excludedOffsets },
    { top: options.top, skip_rows: options.skipRows ?? 0 },
  );
  return { items: items!, score: score!, logPartition: log_partition! };
}
