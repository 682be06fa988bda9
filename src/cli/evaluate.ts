import { Command } from "commander";
import { type Evaluation, evaluate, openModel } from "../index.js";
import { type EngineFlags, wholeNumbers, withEngineFlags } from "./options.js";
import { formatTable, writeJson } from "./output.js";

interface Flags extends EngineFlags {
  readonly top: number[];
  readonly keepWatched: boolean;
  readonly json: boolean;
}

export function evaluateCommand(): Command {
  const command = new Command("evaluate")
    .description("measure a model: the last click of each line is the target, the clicks before it the history")
    .argument("<model>", "model folder")
    .argument("<log>", "click log")
    .option("--top <list>", "lengths of the shortlist", wholeNumbers, [10, 50, 100, 200])
    .option("--keep-watched", "let items that the user has watched compete", false)
    .option("--json", "print one JSON object", false);
  return withEngineFlags(command).action(
    async (folder: string, log: string, { top, keepWatched, json, ...engine }: Flags) => {
      const model = await openModel(folder, engine);
      const evaluation = await evaluate(model, log, { tops: top, keepWatched });
      if (json) await writeJson(evaluation);
      else process.stdout.write(`${formatEvaluation(evaluation)}\n`);
    },
  );
}

/** Metrics beside popularity's, as a table. */
export function formatEvaluation({ users, hitRate, ndcg, mrr, coverage, popularity }: Evaluation): string {
  const number = (value: number | undefined) => (value ?? 0).toFixed(4);
  const rows = [["", "HitRate", "NDCG", "coverage", "popularity's HitRate", "its NDCG"]];
  for (const top of Object.keys(hitRate)) {
    const baseline = [number(popularity.hitRate[top]), number(popularity.ndcg[top])];
    rows.push([`@${top}`, number(hitRate[top]), number(ndcg[top]), number(coverage[top]), ...baseline]);
  }
  return `${formatTable(rows)}\n${users} users, MRR ${number(mrr)}`;
}
