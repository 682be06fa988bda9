import type { Dim } from "../graph/dims.js";
import { checkIds, type Op, promise } from "./op.js";
import { rankOf } from "./target_rank.js";
import { checkScan, checkScanIds, SCAN_INPUTS, scan, scanCost, writeBest } from "./top_n.js";

/**
 * `items` and `score` of `top_n` and the `rank` of `target_rank`, with one scan of the items, for evaluation.
 *
 * In place of log_partition there is `highest`, which takes no exponentials: the highest score over all items from
 * `skip_rows` on, including excluded ones. It is NaN if one of these scores is NaN, and −∞ without items. So it is
 * finite if and only if log_partition is.
 */
export const topNAndRankOp: Op = {
  name: "top_n_and_rank",
  inputs: { ...SCAN_INPUTS, target: { dtype: "int32", rank: 1 } },
  outputs: ["items", "score", "rank", "highest"],
  attributes: { skip_rows: 0, top: 1 },
  shapes: (operands) => {
    const samples = checkScan(operands);
    operands.expectShape("target", [samples]);
    const shape = [samples, operands.attribute<Dim>("top")];
    return {
      items: { dtype: "int32", shape },
      score: { dtype: "float32", shape },
      rank: { dtype: "float32", shape: [samples] },
      highest: { dtype: "float32", shape: [samples] },
    };
  },
  check: (call) => {
    checkScanIds(call);
    checkIds(call, "target", call.input("weight").rows);
    promise(call, "items", -1, call.input("weight").rows - 1);
  },
  reference: (call) => {
    const [rank, highest] = [call.output("rank").data, call.output("highest").data];
    for (let s = 0; s < rank.length; s++) {
      const scanned = scan(call, s);
      writeBest(call, s, scanned);
      rank[s] = rankOf(call, s, scanned);
      highest[s] = scanned.reduce((best, { score }) => Math.max(best, score), Number.NEGATIVE_INFINITY);
    }
  },
  cost: scanCost,
};
