// Stores results: bench/results.json has the latest one of every row on every machine. bench/results.md and
// bench/results.svg are generated from it.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Measure } from "./rows.js";

export interface Result {
  readonly group: string;
  readonly name: string;
  readonly threads: number;
  readonly target: number | undefined;
  readonly unit: Measure["unit"];
  /** Rates of both sides: medians over the rounds. */
  readonly ours: number;
  readonly others: number;
  /** Name of the peer that `others` belongs to. */
  readonly peer: string;
  /** Ratio of the rates, ours to theirs: the median over the rounds, and the quartiles. */
  readonly ratio: number;
  readonly quartiles: readonly [number, number];
  readonly rounds: number;
}

/** Where and how results were measured. */
export interface Circumstances {
  readonly date: string;
  readonly cpu: string;
  readonly processors: number;
  readonly isa: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly command: string;
}

type KeptResult = Result & { readonly circumstances: Circumstances };

const HEADINGS: Readonly<Record<string, string>> = {
  gemm: "Matrix products (rows × out × inner)",
  lstm: "LSTM",
  softmax: "Exact softmax: loss and gradients",
  bag: "Embedding bags",
  adagrad: "Embedding bags trained: forward, backward, AdaGrad on the touched rows",
  scan: "Exact retrieval",
  recall: "Whole training steps of the recall network",
  preset: "Training steps of the default preset",
  own: "Against ourselves",
  tensorflow: "TensorFlow.js",
};

const bench = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));

export function circumstances(isa: string, versions: Readonly<Record<string, string>>): Circumstances {
  const args = process.argv.slice(2).flatMap((arg, i, all) => {
    // The path of Python is private.
    if (all[i - 1] === "--python" || arg === "--python") return arg === "--python" ? ["--python PATH"] : [];
    return [arg.startsWith("--python=") ? "--python PATH" : /\s/.test(arg) ? `"${arg}"` : arg];
  });
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model.trim() ?? process.arch,
    processors: cpus().length,
    isa,
    versions: { node: process.versions.node, ...versions },
    command: ["npm run bench:peers --", ...args].join(" "),
  };
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** The results that count for the target of the geometric mean. */
export function networkGemms<T extends Result>(results: readonly T[]): T[] {
  return results.filter(({ group, name }) => group === "gemm" && !name.startsWith("2048 "));
}

/** Replaces earlier results of the same rows and machine, and writes the tables and the plot again. */
export async function keepResults(
  results: readonly Result[],
  where: Circumstances,
  folder = bench("."),
): Promise<void> {
  const path = join(folder, "results.json");
  const earlier = existsSync(path) ? (JSON.parse(await readFile(path, "utf8")) as KeptResult[]) : [];
  const added = results.map((result) => ({ ...result, circumstances: where }));
  const kept = new Map([...earlier, ...added].map((result) => [keyOf(result), result]));
  const groups = Object.keys(HEADINGS);
  const all = [...kept.values()].sort((a, b) => groups.indexOf(a.group) - groups.indexOf(b.group));
  await writeFile(path, `[\n${all.map((result) => `  ${JSON.stringify(result)}`).join(",\n")}\n]\n`);
  await writeFile(join(folder, "results.md"), markdown(all));
  execFileSync(process.execPath, [bench("peers/plot.mjs"), path, join(folder, "results.svg")], {
    stdio: "inherit",
    timeout: 60_000,
  });
}

function keyOf({ group, name, threads, circumstances }: KeptResult): string {
  return `${group}: ${name}, ${threads}, ${machineOf(circumstances)}`;
}

/** Name of the machine, as in plot.mjs. */
function machineOf({ isa, cpu }: Circumstances): string {
  return `${isa}, ${cpu}`;
}

function markdown(results: readonly KeptResult[]): string {
  const parts = [
    `# Results

Shortlist and another library are measured in turn, round after round, in one run ([README.md](README.md)). Rates are
medians over the rounds. The ratio is the median of the ratios of the rounds, with its quartiles in brackets. This page
is written by \`npm run bench:peers -- --write\`.

![Ratio to the peer and target of each row](results.svg)
`,
  ];
  const machines = new Set(results.map(({ circumstances }) => machineOf(circumstances)));
  for (const [group, heading] of Object.entries(HEADINGS)) {
    const rows = results.filter((result) => result.group === group);
    if (rows.length === 0) continue;
    parts.push(`## ${heading}\n`);
    for (const machine of machines) {
      const own = rows.filter(({ circumstances }) => machineOf(circumstances) === machine);
      if (own.length === 0) continue;
      if (machines.size > 1) parts.push(`### ${machine}\n`);
      parts.push(...table(own));
    }
  }
  return `${parts.join("\n").trimEnd()}\n`;
}

/** The rows of one group on one machine, followed by how they were measured. */
function table(rows: readonly KeptResult[]): string[] {
  const lines = [
    "| work | threads | ours | other | ratio | target | |\n|---|---|---|---|---|---|---|",
    ...rows.map(tableRow),
  ];
  const ratios = networkGemms(rows).map(({ ratio }) => ratio);
  if (ratios.length > 1) {
    const mean = geometricMean(ratios);
    lines.push(
      `| **geometric mean at the network's shapes** | | | | **${mean.toFixed(2)}×** | ≥ 1.15 | ${mark(mean, 1.15)} |`,
    );
  }
  return [...lines, "", ...new Set(rows.map(({ circumstances }) => describe(circumstances))), ""];
}

function tableRow({ name, threads, ours, others, unit, peer, ratio, quartiles, target }: KeptResult): string {
  const goal = target === undefined ? "" : `≥ ${Number(target.toFixed(2))}`;
  const [low, high] = quartiles.map((value) => value.toFixed(2));
  return `| ${name} | ${threads} | ${formatRate(ours)} ${unit} | ${formatRate(others)} ${peer} | ${ratio.toFixed(2)}× (${low}–${high}) | ${goal} | ${mark(ratio, target)} |`;
}

const mark = (ratio: number, target: number | undefined) =>
  target === undefined ? "" : ratio >= target ? "✓" : "below";

function describe({ date, cpu, processors, isa, versions, command }: Circumstances): string {
  const names = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  return `${date}, ${cpu}, ${processors} processors, ${isa}; ${names.join(", ")}: \`${command}\`  `;
}

export function formatRate(rate: number): string {
  return rate >= 1000 ? Math.round(rate).toString() : rate.toPrecision(3);
}
