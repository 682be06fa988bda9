// Measures this engine and its peers in turn, round after round: `npm run bench:peers -- --filter lstm --python PATH`.
// README.md says what is measured and how; `--write` stores the results.

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Contender, median } from "../contender.js";
import { Peer } from "./peer.js";
import { circumstances, formatRate, geometricMean, keepResults, networkGemms, type Result } from "./report.js";
import { isaOf, type Peers, type Row, rowsOf } from "./rows.js";

const { values: flags } = parseArgs({
  options: {
    filter: { type: "string", default: "" },
    python: { type: "string", default: process.env["PYTHON"] ?? "python3" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "9" },
    seconds: { type: "string", default: "0.2" },
    json: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
  },
});

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const say = (message: string) => console.error(message);
const rounds = Number(flags.rounds);
const seconds = Number(flags.seconds);

if (loadavg()[0]! > 0.5) {
  const busy = `The machine is busy (load ${loadavg()[0]!.toFixed(1)}): peers whose threads spin at barriers suffer most, so the ratios are too high`;
  say(flags.write ? `${busy}. They are not kept: wait until it is idle, or leave --write out` : busy);
  if (flags.write) process.exit(1);
}
/** Versions of the peers, by name. */
const versions: Record<string, string> = {};
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
  if (flags.write && results.length > 0) await keepResults(results, circumstances(isaOf(), versions));
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
    const ratios = times.map((time) => amount / time.ours / (othersAmount / time.other)).sort((a, b) => a - b);
    return {
      group: row.group,
      name: row.name,
      threads: row.threads,
      target: row.target,
      unit,
      ours: median(times.map((time) => amount / time.ours)),
      others: median(times.map((time) => othersAmount / time.other)),
      peer: other.name,
      ratio: median(ratios),
      quartiles: [ratios[Math.floor(rounds / 4)]!, ratios[Math.ceil((3 * rounds) / 4) - 1]!],
      rounds,
    };
  } catch (error) {
    say(`skipped  ${label(row)}: ${(error as Error).message}`);
    return undefined;
  } finally {
    for (const contender of open) await contender.close();
  }
}

/**
 * Finds the fastest variant of the other side by two short measurements of each, in turn. Variants that fail are
 * reported.
 */
async function fastest(
  row: Row,
  opened: (create: () => Promise<Contender>) => Promise<Contender>,
): Promise<Contender | undefined> {
  const ways = row.others();
  const tried: { contender: Contender; seconds: number }[] = [];
  for (const create of ways) {
    try {
      tried.push({ contender: await opened(create), seconds: Number.POSITIVE_INFINITY });
    } catch (error) {
      say(`tried    ${label(row)}: ${(error as Error).message}`);
    }
  }
  if (ways.length === 1) return tried[0]?.contender;
  for (let turn = 0; turn < 2; turn++) {
    for (const way of tried) way.seconds = Math.min(way.seconds, await way.contender.measure(seconds));
  }
  const { unit, amount } = row.othersMeasure ?? row.measure;
  for (const way of tried) say(`tried    ${way.contender.name}: ${formatRate(amount / way.seconds)} ${unit}`);
  return tried.sort((a, b) => a.seconds - b.seconds)[0]?.contender;
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

/** Prints the geometric mean of the GEMM ratios, which has a target of its own. */
function summarize(): void {
  const ratios = networkGemms(results).map(({ ratio }) => ratio);
  if (ratios.length < 2 || flags.json) return;
  const mean = geometricMean(ratios);
  console.log(`gemm: geometric mean of ${ratios.length} ratios at the network's shapes: ${mean.toFixed(3)}× (≥ 1.15)`);
}

async function openPython(): Promise<Peer | undefined> {
  const peer = new Peer(flags.python, [here("peer.py")]);
  try {
    const found = await peer.ask({ call: "versions" });
    for (const [name, version] of Object.entries(found)) if (version) versions[name] = String(version);
    const missing = Object.keys(found).filter((name) => !found[name]);
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
  versions["tfjs"] = String((await peer.ask({ call: "versions" }))["tfjs"]);
  return peer;
}
