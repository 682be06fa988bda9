// Ours and the peers in turn, round after round, in one run: `npm run bench:peers -- --filter lstm --python PATH`.
// README.md says what is measured and how; `--write` keeps the results.

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Contender, median } from "../contender.js";
import { Peer } from "./peer.js";
import { type Measure, type Peers, type Row, rowsOf } from "./rows.js";

const { values: flags } = parseArgs({
  options: {
    filter: { type: "string", default: "" },
    python: { type: "string", default: process.env["PYTHON"] ?? "python3" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "9" },
    seconds: { type: "string", default: "0.2" },
    json: { type: "boolean", default: false },
  },
});

export interface Result {
  readonly group: string;
  readonly name: string;
  readonly threads: number;
  readonly target: number | undefined;
  readonly unit: Measure["unit"];
  /** Medians over the rounds. */
  readonly ours: number;
  readonly others: number;
  /** The one that `others` is. */
  readonly peer: string;
  /** Of the rates, the median over the rounds. */
  readonly ratio: number;
  readonly rounds: number;
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const say = (message: string) => console.error(message);
const rounds = Number(flags.rounds);
const seconds = Number(flags.seconds);

const folder = await mkdtemp(join(tmpdir(), "shortlist-peers-"));
const peers: Peers = { python: await openPython(), tensorflow: await openTensorflow(), folder };
const results: Result[] = [];
try {
  const rows = rowsOf(peers, Number(flags.threads)).filter((row) => label(row).includes(flags.filter));
  if (rows.length === 0) say(`No row matches "${flags.filter}"`);
  for (const row of rows) {
    const result = await compare(row);
    if (!result) continue;
    results.push(result);
    if (flags.json) console.log(JSON.stringify(result));
    else console.log(format(result));
  }
  summarize();
} finally {
  peers.python?.close();
  peers.tensorflow?.close();
  await rm(folder, { recursive: true });
}
if (results.length === 0) {
  say("Nothing ran");
  process.exitCode = 1;
}

function label({ group, name, threads }: Row): string {
  return `${group}: ${name}, ${threads} threads`;
}

async function compare(row: Row): Promise<Result | undefined> {
  if (row.needs !== "nothing" && !peers[row.needs]) {
    say(`skipped  ${label(row)}: no ${row.needs}`);
    return undefined;
  }
  const open: Contender[] = [];
  const opened = async (create: () => Promise<Contender>) => {
    const contender = await create();
    open.push(contender);
    return contender;
  };
  try {
    const ours = await opened(row.ours);
    const other = await fastest(row, opened);
    if (!other) return undefined;
    const times: { ours: number; other: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      times.push({ ours: await ours.measure(seconds), other: await other.measure(seconds) });
    }
    const { amount, unit } = row.measure;
    const othersAmount = (row.othersMeasure ?? row.measure).amount;
    return {
      group: row.group,
      name: row.name,
      threads: row.threads,
      target: row.target,
      unit,
      ours: median(times.map((time) => amount / time.ours)),
      others: median(times.map((time) => othersAmount / time.other)),
      peer: other.name,
      ratio: median(times.map((time) => amount / time.ours / (othersAmount / time.other))),
      rounds,
    };
  } catch (error) {
    say(`skipped  ${label(row)}: ${(error as Error).message}`);
    return undefined;
  } finally {
    for (const contender of open) await contender.close();
  }
}

/** The fastest of the ways that the others have, by a short try; the ones that fail are named. */
async function fastest(
  row: Row,
  opened: (create: () => Promise<Contender>) => Promise<Contender>,
): Promise<Contender | undefined> {
  const ways = row.others();
  let best: { contender: Contender; rate: number } | undefined;
  for (const create of ways) {
    try {
      const contender = await opened(create);
      if (ways.length === 1) return contender;
      const rate = 1 / (await contender.measure(2 * seconds));
      say(`tried    ${contender.name}: ${formatRate(row.measure.amount * rate)} ${row.measure.unit}`);
      if (!best || rate > best.rate) best = { contender, rate };
    } catch (error) {
      say(`tried    ${label(row)}: ${(error as Error).message}`);
    }
  }
  return best?.contender;
}

function format({ group, name, threads, target, unit, ours, others, peer, ratio }: Result): string {
  const verdict = target === undefined ? "" : ratio >= target ? "reached" : "below";
  return [
    `${group}: ${name}`.padEnd(72),
    `${threads} thr.`,
    formatRate(ours).padStart(9),
    formatRate(others).padStart(9),
    unit.padEnd(9),
    `${ratio.toFixed(2)}×`.padStart(8),
    (target === undefined ? "" : `≥ ${target.toFixed(2)} ${verdict}`).padEnd(14),
    peer,
  ].join(" ");
}

function formatRate(rate: number): string {
  return rate >= 1000 ? Math.round(rate).toString() : rate.toPrecision(3);
}

/** The geometric mean of the GEMM ratios, which has a target of its own. */
function summarize(): void {
  const ratios = results
    .filter(({ group, name }) => group === "gemm" && !name.startsWith("2048"))
    .map(({ ratio }) => ratio);
  if (ratios.length < 2 || flags.json) return;
  const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length);
  console.log(`gemm: geometric mean of ${ratios.length} ratios at the network's shapes: ${mean.toFixed(3)}× (≥ 1.15)`);
}

async function openPython(): Promise<Peer | undefined> {
  const peer = new Peer(flags.python, [here("peer.py")]);
  try {
    const versions = await peer.ask({ call: "versions" });
    const missing = Object.keys(versions).filter((name) => !versions[name]);
    if (missing.length > 0) {
      say(
        `${flags.python} lacks ${missing.join(", ")}: ${flags.python} -m pip install -r bench/peers/requirements.txt`,
      );
    }
    return peer;
  } catch (error) {
    say(`No Python peers: cannot run ${flags.python} (${(error as Error).message}). Name one with --python PATH`);
    return undefined;
  }
}

async function openTensorflow(): Promise<Peer | undefined> {
  if (!existsSync(here("node_modules/@tensorflow/tfjs"))) {
    say("No TensorFlow.js peer: npm install --prefix bench/peers");
    return undefined;
  }
  const peer = new Peer(process.execPath, [here("tensorflow.mjs")]);
  await peer.ask({ call: "versions" });
  return peer;
}
