import type { Block, Intervals, ReportPage, Section, Table } from "./blocks.js";
import type { Estimate } from "./bootstrap.js";
import type { ComparedModel, Comparison } from "./compare.js";
import { count, counted, duration, metric, percent, setting } from "./format.js";

/** Decides what the page of a comparison shows. */
export function comparePage(comparison: Comparison): ReportPage {
  const { on, users, resamples, models } = comparison;
  return {
    title: `Comparison of ${models.length} models`,
    subtitle: `${counted(users, "user")}, ${on} · intervals of 95 % by ${count(resamples)} resamples of the users`,
    sections: [
      metricsSection(comparison),
      differencesSection(comparison),
      settingsSection(comparison),
      costSection(comparison),
    ],
  };
}

/** The mean and the interval of an estimate. */
function estimateText({ mean, low, high }: Estimate): string {
  return `${metric(mean)} [${metric(low)}, ${metric(high)}]`;
}

/** `estimateText` of a difference, with signs. */
function differenceText({ mean, low, high }: Estimate): string {
  const signed = (value: number) => `${value < 0 ? "−" : value > 0 ? "+" : ""}${metric(Math.abs(value))}`;
  return `${signed(mean)} [${signed(low)}, ${signed(high)}]`;
}

/** Whether an interval does not contain 0. */
function isClear({ low, high }: Estimate): boolean {
  return low > 0 || high < 0;
}

function metricsSection({ models }: Comparison): Section {
  const names = Object.keys(models[0]!.metrics);
  const tops = Object.keys(models[0]!.coverage);
  const table: Table = {
    kind: "table",
    caption: "Metrics with their intervals",
    head: ["", ...models.map(({ folder }) => folder)],
    rows: [
      ...names.map((name) => [name, ...models.map(({ metrics }) => estimateText(metrics[name]!))]),
      ...tops.map((top) => [`coverage@${top}`, ...models.map(({ coverage }) => percent(coverage[top]!))]),
      ["unknown targets", ...models.map(({ unknownTargets }) => count(unknownTargets))],
    ],
  };
  return { title: "Metrics", blocks: [...mainMetrics(names).map((name) => intervalsOf(name, models)), table] };
}

/** The metrics of the shortest shortlist. */
function mainMetrics(names: readonly string[]): string[] {
  return ["NDCG@", "HitRate@"].map((prefix) => names.find((name) => name.startsWith(prefix))!);
}

function intervalsOf(name: string, models: readonly ComparedModel[]): Intervals {
  const rows = models.map(({ folder, metrics }) => ({
    label: folder,
    ...pick(metrics[name]!),
    text: estimateText(metrics[name]!),
  }));
  return { kind: "intervals", caption: name, rows };
}

function pick({ low, mean, high }: Estimate): Estimate {
  return { low, mean, high };
}

function differencesSection({ models }: Comparison): Section {
  const [first, ...others] = models;
  const names = Object.keys(first!.metrics);
  const differences = others.map(({ folder, metrics }): Intervals => {
    const rows = names.map((name) => {
      const difference = metrics[name]!.difference!;
      return {
        label: isClear(difference) ? name : `${name} (unclear)`,
        ...pick(difference),
        text: differenceText(difference),
      };
    });
    return { kind: "intervals", caption: `${folder} minus ${first!.folder}`, rows, hasZero: true };
  });
  const text =
    "Paired by user: every resample draws the same users for both models. A difference is unclear if its interval contains 0. The intervals tell how much other users would change the numbers, not how much another seed of training would.";
  return { title: `Differences from ${first!.folder}`, blocks: [...differences, { kind: "note", text }] };
}

function settingsSection({ models, differences }: Comparison): Section {
  const blocks: Block[] =
    differences.length === 0
      ? [{ kind: "note", text: "The models have the same configuration, preset, seed and number of items." }]
      : [
          {
            kind: "table",
            caption: "Settings in which the models differ",
            head: ["setting", ...models.map(({ folder }) => folder)],
            rows: differences.map(({ name, values }) => [name, ...values.map(settingText)]),
            isText: true,
          },
        ];
  return { title: "Configuration", blocks };
}

/** The value of a setting; a dash where it is not known. */
function settingText(value: unknown): string {
  return value === null ? "–" : setting(value);
}

function costSection({ models }: Comparison): Section {
  const table: Table = {
    kind: "table",
    caption: "What training took",
    head: ["", ...models.map(({ folder }) => folder)],
    rows: costRows(models),
  };
  return { title: "Cost", blocks: [table] };
}

/** The rows of a table of training costs, with a column for each model. */
function costRows(models: readonly ComparedModel[]): string[][] {
  const row = (label: string, value: (cost: ComparedModel["cost"]) => string | undefined) => [
    label,
    ...models.map(({ cost }) => value(cost) ?? "–"),
  ];
  const known = (value: number | undefined, format: (value: number) => string) =>
    value === undefined ? undefined : format(value);
  return [
    row("training time", ({ seconds }) => known(seconds, duration)),
    row("steps", ({ steps }) => known(steps, count)),
    row("samples", ({ samples }) => known(samples, count)),
    row("samples/s", ({ samples, seconds }) => (samples && seconds ? count(samples / seconds) : undefined)),
    row("epochs", ({ epochs }) => known(epochs, (value) => String(Number(value.toFixed(2))))),
    row("kept epoch", ({ keptEpoch }) => known(keptEpoch, String)),
    row("threads", ({ threads }) => known(threads, String)),
    row("weights", ({ weightBytes }) => `${(weightBytes / 2 ** 20).toFixed(1)} MiB`),
  ];
}
