import { type Instruction, namesIn, type Program, tensorsByName } from "../graph/program.js";
import { SCAN_INPUTS } from "../ops/top_n.js";

/** The output that `mergeScans` adds. */
export const HIGHEST_SCORE = "top.highest_score";

/**
 * Replaces a `top_n` and the `target_rank` beside it, which scan the same items for the same users, by one
 * `top_n_and_rank`. In place of the log partition, the Program gets the output `HIGHEST_SCORE` [samples], which is
 * finite if and only if the log partition is. Returns undefined if there are no such instructions, or if the log
 * partition is read or is an output.
 */
export function mergeScans(program: Program): Program | undefined {
  const specs = tensorsByName(program);
  const read = new Set(program.instructions.flatMap(({ inputs }) => namesIn(inputs)));
  const at = program.instructions.findIndex((_, i) => pairAt(program, i) !== undefined);
  const pair = pairAt(program, at);
  const partition = pair?.top.outputs["log_partition"];
  if (!pair || typeof partition !== "string" || specs.has(HIGHEST_SCORE)) return undefined;
  if (read.has(partition) || specs.get(partition)!.role === "output") return undefined;
  const { top, rank } = pair;
  const { log_partition: _, ...best } = top.outputs;
  const merged: Instruction = {
    op: "top_n_and_rank",
    inputs: rank.inputs,
    outputs: { ...best, ...rank.outputs, highest: HIGHEST_SCORE },
    attributes: top.attributes,
  };
  return {
    ...program,
    tensors: program.tensors.map((tensor) =>
      tensor.name === partition ? { ...tensor, name: HIGHEST_SCORE, role: "output" } : tensor,
    ),
    instructions: program.instructions.toSpliced(at, 2, merged),
  };
}

/** Instructions i and i + 1 if they are a `top_n` and a `target_rank`, in any order, with the same operands. */
function pairAt({ instructions }: Program, i: number): { top: Instruction; rank: Instruction } | undefined {
  const pair = instructions.slice(i, i + 2);
  const top = pair.find(({ op }) => op === "top_n");
  const rank = pair.find(({ op }) => op === "target_rank");
  if (i < 0 || !top || !rank) return undefined;
  const isSame =
    Object.keys(SCAN_INPUTS).every((slot) => top.inputs[slot] === rank.inputs[slot]) &&
    top.attributes["skip_rows"] === rank.attributes["skip_rows"];
  return isSame ? { top, rank } : undefined;
}
