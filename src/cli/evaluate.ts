import { Command } from "commander";
import {
  type Evaluation,
  type EvaluationProtocol,
  evaluate,
  openDataset,
  openModel,
  type RankingMetrics,
} from "../index.js";
import { type EngineFlags, type LogFlags, path, wholeNumbers, withEngineFlags, withLogFlags } from "./options.js";
import { formatTable, LOG_MESSAGES, print, writeJson } from "./output.js";

interface Flags extends EngineFlags, LogFlags {
  readonly top: number[];
  readonly keepWatched: boolean;
  readonly baselines?: string;
  readonly json: boolean;
  readonly output?: string;
}

export function evaluateCommand(): Command {
  const command = new Command("evaluate")
    .description("measure how well a model ranks the last click of each line, given the clicks before it")
    .argument("<model>", "model folder", path)
    .argument("<log>", "click log", path)
    .option("--top <list>", "shortlist lengths K to measure", wholeNumbers, [10, 50, 100, 200])
    .option("--keep-watched", "also rank items that the user has already watched", false)
    .option(
      "--baselines <dataset>",
      "also measure the transitions counted in this dataset, on which the model was trained",
      path,
    )
    .option("--json", "print one JSON object", false)
    .option("--output <file>", "also write the JSON object to a file", path);
  return withEngineFlags(withLogFlags(command)).action(async (folder: string, log: string, flags: Flags) => {
    const { top, keepWatched, baselines, json, output, onBadLine, maxLineBytes, ...engine } = flags;
    const model = await openModel(folder, engine);
    const dataset = baselines === undefined ? undefined : await openDataset(baselines);
    const logOptions = { onBadLine, maxLineBytes, ...LOG_MESSAGES };
    const evaluation = await evaluate(model, log, {
      ...{ tops: top, keepWatched, baselines: dataset, output },
      ...logOptions,
    });
    if (json) await writeJson(evaluation);
    else await print(`${formatEvaluation(evaluation)}\n`);
  });
}

/** Formats the metrics of a model and of the baselines as a table. */
export function formatEvaluation(evaluation: Evaluation): string {
  const { protocol, users, coverage, popularity, transitions, ...model } = evaluation;
  const baselines: [string, RankingMetrics][] = [["popularity", popularity]];
  if (transitions) baselines.push(["transitions", transitions]);
  const number = (value: number | undefined) => (value ?? 0).toFixed(4);
  const metrics = ({ hitRate, ndcg }: RankingMetrics, top: string) => [number(hitRate[top]), number(ndcg[top])];
  const rows = [
    ["", "model", "", "", ...baselines.flatMap(([name]) => [name, ""])],
    ["", "HitRate", "NDCG", "coverage", ...baselines.flatMap(() => ["HitRate", "NDCG"])],
    ...Object.keys(coverage).map((top) => [
      `@${top}`,
      ...metrics(model, top),
      number(coverage[top]),
      ...baselines.flatMap(([, baseline]) => metrics(baseline, top)),
    ]),
  ];
  const reciprocal = baselines.map(([name, { mrr }]) => `${name} ${number(mrr)}`).join(", ");
  const summary = `${users} users, MRR ${number(model.mrr)} (${reciprocal})`;
  return [formatTable(rows), summary, formatProtocol(protocol), ...notesOf(evaluation)].join("\n");
}

/** Describes in a sentence what was measured. */
function formatProtocol({ minClicks, rankedItems, watchedItems }: EvaluationProtocol): string {
  const users = minClicks > 1 ? `each user with at least ${minClicks} clicks` : "each user";
  const left = watchedItems === "left-out" ? " but those that the user has watched" : "";
  return `Ranked: the last click of ${users} among all ${rankedItems} items${left}`;
}

/** Explains which targets count as misses, and which do not test the model. */
function notesOf({ users, unknownTargets, watchedTargets, trainedTargets = 0 }: Evaluation): string[] {
  const notes: [number, string][] = [
    [
      watchedTargets,
      "are in the user's own history, so that no shortlist has them: misses (evaluate --keep-watched ranks them)",
    ],
    [unknownTargets, "are items that the model does not know: misses"],
    [trainedTargets, "are also training targets (same user, same clicks before), so that they do not test the model"],
  ];
  return notes.flatMap(([count, what]) =>
    count > 0 ? [`${count} of ${users} targets ${what}, ${((100 * count) / users).toFixed(1)} % of all`] : [],
  );
}
