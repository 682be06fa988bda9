import { itemVocabulary } from "../data/clicks.js";
import type { RankingMetrics } from "../model/training_record.js";
import type { Evaluation } from "../train/evaluate.js";
import type { Exposure } from "../train/exposure.js";
import type { DatasetRecord, EpochRecord, TrainingHistory } from "../train/history.js";
import type { TrainingProfile } from "../train/profile.js";
import type { Bars, Block, Chart, ReportPage, Section, Table, Tiles } from "./blocks.js";
import { count, counted, duration, metric, percent, setting } from "./format.js";
import type { ReportContents } from "./report.js";

/** Decides what the page about a model shows. */
export function reportPage(contents: ReportContents): ReportPage {
  const { name, description, history } = contents;
  const { training } = description;
  const facts = [
    `preset ${training.preset ?? "unknown"}`,
    ...(training.seed === undefined ? [] : [`seed ${training.seed}`]),
    ...(training.updates === undefined ? [] : [`updated ${timesOf(training.updates)}`]),
    counted(itemVocabulary(description).size - 1, "item"),
    ...(history ? [`${counted(history.threads, "thread")}, ${history.isa}`] : []),
  ];
  const sections = [
    summarySection(contents),
    ...(history ? [updateSection(history)] : []),
    ...(history ? [trainingSection(history), epochsSection(history, contents.measured)] : []),
    evaluationSection(contents),
    recommendedSection(contents),
    ...(history ? [timeSection(history), datasetSection(history.dataset)] : []),
    neighboursSection(contents),
    configurationSection(contents),
  ];
  return {
    title: `Model ${name}`,
    subtitle: facts.join(" · "),
    sections: sections.filter(({ blocks }) => blocks.length > 0),
  };
}

/** The most trustworthy evaluation that is known, and what it was measured on. */
function bestEvaluation({ measured, history }: ReportContents): ReportContents["measured"] {
  if (measured) return measured;
  if (history?.test) return { on: "the test log", evaluation: history.test, isValidation: false };
  if (history?.validation) return { on: "the validation clicks", evaluation: history.validation, isValidation: true };
  return undefined;
}

function summarySection(contents: ReportContents): Section {
  const { history } = contents;
  const best = bestEvaluation(contents);
  const tiles: Tiles["tiles"][number][] = [];
  if (best) {
    const { evaluation, on } = best;
    const top = Object.keys(evaluation.ndcg)[0]!;
    for (const [label, key] of [
      [`NDCG@${top}`, "ndcg"],
      [`HitRate@${top}`, "hitRate"],
    ] as const) {
      const baselines = baselinesOf(evaluation).map(([name, metrics]) => `${name} ${metric(metrics[key][top])}`);
      tiles.push({ label: `${label} on ${on}`, value: metric(evaluation[key][top]), note: baselines.join(", ") });
    }
  }
  if (!history) {
    const text =
      "There is no record of the training (history.json): an older version trained the model, or it was extended.";
    return { title: "Summary", blocks: [...(tiles.length > 0 ? [{ kind: "tiles", tiles } as const] : []), note(text)] };
  }
  const last = history.steps.at(-1)!;
  tiles.push(
    { label: "Kept", value: `epoch ${history.keptEpoch}`, note: `of ${epochsRun(history)}` },
    { label: "Loss in the last epoch", value: metric(history.epochs.at(-1)!.loss) },
    {
      label: "Training steps",
      value: count(last.step),
      note: `${count(last.samples)} samples in ${duration(last.seconds)}`,
    },
    { label: "Speed", value: `${count(last.samples / last.seconds)}/s`, note: "samples while training" },
  );
  return { title: "Summary", blocks: [{ kind: "tiles", tiles }, note(endOf(history))] };
}

function epochsRun({ epochs, configuredEpochs, pilot }: TrainingHistory): string {
  const { part } = epochs.at(-1)!;
  const run = part === 1 ? String(epochs.length) : (epochs.length - 1 + part).toFixed(2);
  return `${run} that ran, ${configuredEpochs} ${pilot ? "measured to be best" : "configured"}`;
}

/** Says why training ended and which epoch was kept. */
function endOf({ ended, epochs, keptEpoch, validation, configuredEpochs, pilot }: TrainingHistory): string {
  const after = epochs.length - keptEpoch;
  const reason =
    ended === "patience"
      ? `Training ended after epoch ${epochs.length} of ${configuredEpochs}, because the last ${counted(after, "epoch")} had no better NDCG@10.`
      : "Training ended when all its steps had run.";
  const measured = pilot
    ? `The number of epochs was measured: of ${pilot.epochs.length} epochs at the full learning rate, epoch ${pilot.bestEpoch} was the best. `
    : "";
  const kept = validation
    ? `Epoch ${keptEpoch} is kept: it has the best NDCG@10 on the validation clicks, ${metric(validation.ndcg["10"])}.`
    : `Epoch ${keptEpoch}, the last one, is kept, since nothing was validated.`;
  return `${measured}${reason} ${kept}`;
}

function timesOf(number: number): string {
  return number === 1 ? "once" : `${count(number)} times`;
}

/** The model from which training went on, and what grew since. Empty for a training from nothing. */
function updateSection({ from, dataset }: TrainingHistory): Section {
  const title = "Update";
  if (!from) return { title, blocks: [] };
  const { growth } = dataset.preparation ?? {};
  const { name, id, updates, hasState, replay = 0 } = from;
  const ofModel = id === undefined ? "" : `id ${id.slice(0, 12)}, `;
  const tiles: Tiles["tiles"][number][] = [
    {
      label: "Went on from",
      value: name,
      note: `${ofModel}${updates === 0 ? "trained from nothing" : `updated ${timesOf(updates)} before`}`,
    },
    ...(growth
      ? [
          {
            label: "New clicks",
            value: count(growth.clicks),
            note: `of ${count(dataset.clicks)}; ${replay > 0 ? `targets, with ${count(replay)} earlier of the user for each` : "only these are targets"}`,
          },
          { label: "New users", value: count(growth.users), note: `of ${count(dataset.users)}` },
          {
            label: "Evicted",
            value: counted(growth.evicted.items, "item"),
            note: `and ${counted(growth.evicted.users, "user")}, which were not seen for long`,
          },
        ]
      : []),
  ];
  const values: Table = {
    kind: "table",
    caption: "Values that are new, with rows of their own",
    head: ["feature", "new values", "all values"],
    rows: Object.entries(growth?.values ?? {}).map(([feature, added]) => [
      feature,
      count(added),
      count((dataset.vocabularySizes[feature] ?? 1) - 1),
    ]),
    isHalf: true,
  };
  const state = hasState
    ? "The optimizer went on with its state."
    : `The optimizer began with a state of zeros, since ${name} has none (--keep-state).`;
  const way = "shortlist compare tells whether the new model is better than that one, on the same users.";
  return {
    title,
    blocks: [{ kind: "tiles", tiles }, note(`${state} ${way}`), ...(values.rows.length > 0 ? [values] : [])],
  };
}

function note(text: string): Block {
  return { kind: "note", text };
}

function trainingSection({ steps, epochs }: TrainingHistory): Section {
  const x = { label: "step", values: steps.map(({ step }) => step) };
  const speeds = steps.map(({ samples, seconds }, i) => {
    const before = steps[i - 1] ?? { samples: 0, seconds: 0 };
    return seconds > before.seconds ? (samples - before.samples) / (seconds - before.seconds) : null;
  });
  const chart = (title: string, label: string, values: Chart["lines"][number]["values"]): Chart => ({
    ...{ kind: "chart", title, x, summary: rangeText(label, x.values, values) },
    lines: [{ label, values }],
  });
  const losses = steps.map(({ loss }) => loss);
  const ofEpochs = epochs.map(({ epoch, loss, step }) => ({ epoch, loss, step }));
  const byEpoch: Table = {
    kind: "table",
    caption: "Loss by epoch",
    head: ["epoch", "mean loss", "samples/s", "learning rate"],
    rows: epochs.map(({ epoch, loss, samplesPerSecond, learningRate }) => [
      String(epoch),
      metric(loss),
      count(samplesPerSecond),
      String(Number(learningRate.toPrecision(4))),
    ]),
    isClosed: ofEpochs.length > 12,
  };
  return {
    title: "Training",
    blocks: [
      chart("Loss by step", "loss", losses),
      {
        ...chart(
          "Learning rate by step",
          "learning rate",
          steps.map(({ learningRate }) => learningRate),
        ),
        isHalf: true,
      },
      { ...chart("Speed by step", "samples/s", speeds), isHalf: true },
      byEpoch,
    ],
  };
}

/** Describes a line by its first and last value. */
function rangeText(label: string, x: readonly number[], values: readonly (number | null)[]): string {
  const text = (value: number | null | undefined) =>
    typeof value === "number" ? Number(value.toPrecision(4)) : "unknown";
  return `The ${label} goes from ${text(values[0])} at step ${x[0]} to ${text(values.at(-1))} at step ${x.at(-1)}.`;
}

function epochsSection(history: TrainingHistory, measured: ReportContents["measured"]): Section {
  const { epochs, keptEpoch } = history;
  const transitions = measured?.isValidation ? measured.evaluation.transitions : undefined;
  const evaluated = epochs.filter(({ validation }) => validation !== undefined);
  if (evaluated.length === 0) return { title: "Metrics by epoch", blocks: [] };
  const charts = [
    epochChart("NDCG@10", { epochs: evaluated, keptEpoch, transitions }, ({ ndcg }) => ndcg["10"]!),
    epochChart("HitRate@10", { epochs: evaluated, keptEpoch, transitions }, ({ hitRate }) => hitRate["10"]!),
  ];
  const tops = Object.keys(evaluated[0]!.validation!.ndcg);
  const table: Table = {
    kind: "table",
    caption: "Metrics of every epoch on the validation clicks",
    head: [
      "epoch",
      ...tops.flatMap((top) => [`HitRate@${top}`, `NDCG@${top}`]),
      "MRR",
      `coverage@${tops[0]}`,
      "seconds",
    ],
    rows: evaluated.map(({ epoch, validation, evaluationSeconds = 0 }) => [
      epoch === keptEpoch ? `${epoch} (kept)` : String(epoch),
      ...tops.flatMap((top) => [metric(validation!.hitRate[top]), metric(validation!.ndcg[top])]),
      metric(validation!.mrr),
      percent(validation!.coverage[tops[0]!]!),
      evaluationSeconds.toFixed(2),
    ]),
  };
  return { title: "Metrics by epoch", blocks: [...charts, table] };
}

/** What a chart of a metric by epoch shows. */
interface EvaluatedEpochs {
  readonly epochs: readonly EpochRecord[];
  readonly keptEpoch: number;
  /** The metrics of the transitions on the same clicks. Undefined if they were not measured. */
  readonly transitions: RankingMetrics | undefined;
}

function epochChart(
  label: string,
  { epochs, keptEpoch, transitions }: EvaluatedEpochs,
  value: (metrics: RankingMetrics) => number,
): Chart {
  const values = epochs.map(({ validation }) => value(validation!));
  const popularity = epochs.map(({ validation }) => value(validation!.popularity));
  const kept = epochs.findIndex(({ epoch }) => epoch === keptEpoch);
  return {
    kind: "chart",
    title: `${label} on the validation clicks`,
    summary: `${label} is ${metric(values[kept])} in epoch ${keptEpoch}, which is kept; popularity has ${metric(popularity[kept])}.`,
    x: { label: "epoch", values: epochs.map(({ epoch }) => epoch) },
    lines: [
      { label: "model", values },
      { label: "popularity", values: popularity, isBaseline: true },
      ...(transitions
        ? [{ label: "transitions", values: epochs.map(() => value(transitions)), isBaseline: true }]
        : []),
    ],
    marks: [{ x: keptEpoch, label: `kept: ${metric(values[kept])}` }],
    isHalf: true,
    hasPoints: true,
  };
}

/** The baselines of an evaluation with their names. */
function baselinesOf({ popularity, transitions }: Evaluation): [string, RankingMetrics][] {
  return [
    ["popularity", popularity],
    ...(transitions ? [["transitions", transitions] as [string, RankingMetrics]] : []),
  ];
}

function evaluationSection({ measured, history }: ReportContents): Section {
  const evaluations = [
    ...(measured ? [measured] : []),
    ...(history?.test && !measured ? [{ on: "the test log", evaluation: history.test }] : []),
    ...(history?.validation
      ? [{ on: "the validation clicks, by which the epoch was chosen", evaluation: history.validation }]
      : []),
  ];
  const blocks = evaluations.map(({ on, evaluation }) => evaluationTable(on, evaluation));
  const hasTransitions = evaluations.some(({ evaluation }) => evaluation.transitions);
  if (blocks.length === 0)
    return { title: "Model and baselines", blocks: [note(history?.from ? UPDATE_NOT_MEASURED : NOT_MEASURED)] };
  return { title: "Model and baselines", blocks: [...blocks, ...(hasTransitions ? [] : [note(NO_TRANSITIONS)])] };
}

const NOT_MEASURED =
  "Nothing was measured. Train with a test log or with validation, or give the dataset: shortlist report MODEL --dataset DATASET.";
const UPDATE_NOT_MEASURED =
  "Nothing was measured. Update with a test log (--test), or compare the model with the one before: shortlist compare MODEL1 MODEL2 --test LOG.";
const NO_TRANSITIONS =
  "Transitions, the baseline that counts which item follows which, were not measured: shortlist report MODEL --dataset DATASET measures them.";

function evaluationTable(on: string, evaluation: Evaluation): Table {
  const baselines = baselinesOf(evaluation);
  const { users, unknownTargets, protocol } = evaluation;
  const row = (label: string, value: (metrics: RankingMetrics) => number | undefined) => [
    label,
    metric(value(evaluation)),
    ...baselines.map(([, metrics]) => metric(value(metrics))),
  ];
  const tops = Object.keys(evaluation.ndcg);
  const unknown =
    unknownTargets > 0 ? `, ${count(unknownTargets)} of them with targets that the model does not know` : "";
  return {
    kind: "table",
    caption: `On ${on}: ${counted(users, "user")}${unknown}, among ${counted(protocol.rankedItems, "item")}`,
    head: ["", "model", ...baselines.map(([name]) => name)],
    rows: [
      ...tops.map((top) => row(`HitRate@${top}`, ({ hitRate }) => hitRate[top])),
      ...tops.map((top) => row(`NDCG@${top}`, ({ ndcg }) => ndcg[top])),
      row("MRR", ({ mrr }) => mrr),
    ],
    isHalf: true,
  };
}

function recommendedSection(contents: ReportContents): Section {
  const title = "What is recommended";
  const best = bestEvaluation(contents);
  if (!best) return { title, blocks: [] };
  const { coverage, exposure } = best.evaluation;
  const shares: Bars = {
    kind: "bars",
    caption: "Coverage: the share of all items that are on the shortlist of at least one user",
    rows: Object.entries(coverage).map(([top, share]) => ({
      label: `shortlists of ${top}`,
      shares: [share],
      text: percent(share),
    })),
  };
  return { title, blocks: [shares, ...(exposure ? exposureBlocks(exposure) : [])] };
}

function exposureBlocks({ top, groups, gini }: Exposure): Block[] {
  let first = 1;
  const rows = groups.map(({ items, clicks, places }) => {
    const label = items === 1 ? `item ${count(first)}` : `items ${count(first)} to ${count(first + items - 1)}`;
    first += items;
    return { label, shares: [places, clicks], text: `${percent(places)}, ${percent(clicks)}` };
  });
  const caption = `Popularity: shares of the places on shortlists of ${top}, and of the training clicks, by items from the most to the least popular`;
  return [
    { kind: "bars", caption, names: ["places on shortlists", "training clicks"], rows },
    note(
      `The Gini coefficient of the places is ${gini.toFixed(3)}: 0 means that all items are recommended equally often, 1 that one item has all places.`,
    ),
  ];
}

function timeSection({ seconds, profile, steps, pilot }: TrainingHistory): Section {
  const parts: [string, number][] = [
    ["training steps", seconds.steps],
    ["waiting for batches", seconds.waiting],
    ["evaluation", seconds.evaluation],
    ...(pilot ? [["measuring the number of epochs", pilot.seconds] as [string, number]] : []),
    ["opening the dataset", seconds.opening],
    ["saving, and the rest", seconds.saving],
  ];
  const total = parts.reduce((sum, [, part]) => sum + part, 0);
  const bars: Bars = {
    kind: "bars",
    caption: `Time: ${duration(total)} for ${counted(steps.at(-1)!.step, "step")}`,
    rows: parts.map(([label, part]) => ({
      label,
      shares: [part / total],
      text: `${duration(part)}, ${percent(part / total)}`,
    })),
  };
  const hint = "The time of single instructions was not measured: train --profile measures it.";
  return { title: "Where the time went", blocks: [bars, ...(profile ? profileBlocks(profile) : [note(hint)])] };
}

/** Most ops that have a bar. */
const SHOWN = 12;

function profileBlocks({ instructions, seconds, steps }: TrainingProfile): Block[] {
  const ops = [...new Set(instructions.map(({ op }) => op))].map((op) => {
    const own = instructions.filter((instruction) => instruction.op === op);
    return { op, instructions: own.length, seconds: own.reduce((sum, { seconds }) => sum + seconds, 0) };
  });
  const bars: Bars = {
    kind: "bars",
    caption: "The slowest ops, as shares of the training steps",
    rows: slowestFirst(ops)
      .slice(0, SHOWN)
      .map((op) => ({
        label: `${op.op} (${counted(op.instructions, "instruction")})`,
        shares: [op.seconds / seconds],
        text: `${percent(op.seconds / seconds)}, ${duration(op.seconds / steps)} a step`,
      })),
  };
  const rate = (amount: number, time: number) => (amount > 0 && time > 0 ? (amount / time / 1e9).toFixed(1) : "");
  const table: Table = {
    kind: "table",
    caption: `All ${instructions.length} instructions`,
    head: ["instruction", "seconds", "share", "GFLOP/s", "GB/s"],
    rows: slowestFirst(instructions).map((instruction) => [
      `${instruction.op} → ${instruction.outputs[0]}${instruction.outputs.length > 1 ? ", …" : ""}`,
      instruction.seconds.toFixed(3),
      percent(instruction.seconds / seconds),
      rate(instruction.flops, instruction.seconds),
      rate(instruction.bytes, instruction.seconds),
    ]),
    isClosed: true,
  };
  return [bars, table];
}

function slowestFirst<T extends { readonly seconds: number }>(parts: readonly T[]): T[] {
  return [...parts].sort((a, b) => b.seconds - a.seconds);
}

function datasetSection({ users, clicks, vocabularySizes, newItems, logs, preparation }: DatasetRecord): Section {
  const tiles: Tiles["tiles"][number][] = [
    { label: "Users", value: count(users) },
    { label: "Clicks", value: count(clicks), note: `${(clicks / users).toFixed(1)} a user` },
    ...(newItems > 0
      ? [{ label: "New items", value: count(newItems), note: "without a click, added after training" }]
      : []),
  ];
  const sources: Table = {
    kind: "table",
    caption: "Logs",
    head: ["log", "usable lines", "skipped lines"],
    rows: logs.map(({ name, lines, skipped }) => [name, count(lines), count(skipped)]),
    isClosed: logs.length > 8,
    isHalf: true,
  };
  const title = "Preparation of the dataset";
  if (!preparation) {
    const rows = Object.entries(vocabularySizes).map(([name, size]) => [name, count(size)]);
    const table: Table = { kind: "table", caption: "Vocabularies", head: ["feature", "tokens"], rows };
    return { title, blocks: [{ kind: "tiles", tiles }, table, sources] };
  }
  const { features, growth, ...lines } = preparation;
  const leftOut: Table = {
    kind: "table",
    caption: growth ? "Lines of the new events, and users" : "Lines and users",
    head: ["", "number"],
    rows: [
      ["lines left out, because they could not be read", count(lines.skipped)],
      ["lines without clicks", count(lines.withoutClicks)],
      ["lines joined to an earlier line of the user", count(lines.joinedLines)],
      ["users with one click, from which nothing is learned", count(lines.singleClickUsers)],
      ...(lines.testUsers === undefined ? [] : [["users with held-out clicks", count(lines.testUsers)]]),
    ],
    isHalf: true,
  };
  const share = (part: number, whole: number) => (whole > 0 ? percent(part / whole) : "–");
  const table: Table = {
    kind: "table",
    caption: `Values ${growth ? "of the new events " : ""}that are too rare for an id of their own count as unknown`,
    head: ["feature", "values", "kept if more than", "values left out", "uses left out", "share of uses"],
    rows: features.map(({ name, unit, values, appearLimit, valuesLeftOut, uses, usesLeftOut }) => [
      name,
      count(values),
      `${appearLimit} ${unit}`,
      count(valuesLeftOut),
      count(usesLeftOut),
      share(usesLeftOut, uses),
    ]),
  };
  return { title, blocks: [{ kind: "tiles", tiles }, leftOut, sources, table] };
}

function neighboursSection({ neighbours }: ReportContents): Section {
  const title = "Neighbours of items";
  if (!neighbours) {
    return {
      title,
      blocks: [note("They were left out, since reading the weights takes a while: shortlist report MODEL adds them.")],
    };
  }
  if (neighbours.length === 0) return { title, blocks: [] };
  const cards = neighbours.map(({ title, clicks, similar }) => ({
    title,
    note: counted(clicks, "training click"),
    rows: similar.map(({ title, similarity }) => ({ text: title, value: similarity.toFixed(2) })),
  }));
  const text =
    "Items with similar output weights, by cosine: the same users would click them next. Shown are popular and rarer items, which divide all clicks into equal parts.";
  return { title, blocks: [note(text), { kind: "cards", cards }] };
}

function configurationSection({ description }: ReportContents): Section {
  const rows = Object.entries(description.config).map(([key, value]) => [key, setting(value)]);
  const table: Table = {
    kind: "table",
    caption: "All keys",
    head: ["key", "value"],
    rows,
    isClosed: true,
    isText: true,
  };
  return { title: "Configuration", blocks: [table] };
}
