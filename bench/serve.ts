// Loads `shortlist serve` with requests over loopback: `npm run bench:serve`. The service runs in a process of its own,
// by default with a model of a million items and random weights. README.md explains the numbers.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdtemp, rename, rm, symlink, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import autocannon from "autocannon";
import "./plain_errors.js";
import { openModel, saveModel } from "../src/index.js";
import { modelOf } from "../test/hand_model.js";
import { type Load, openLoad } from "./open_load.js";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string" },
    items: { type: "string", default: "1000000" },
    width: { type: "string", default: "32" },
    clicks: { type: "string", default: "20" },
    top: { type: "string", default: "100" },
    rate: { type: "string", default: "500" },
    seconds: { type: "string", default: "10" },
    threads: { type: "string", default: "2" },
    connections: { type: "string", default: "50" },
    swaps: { type: "string", default: "10" },
    probabilities: { type: "boolean", default: false },
    folder: { type: "string" },
  },
});
const [items, width, clicks, top, rate, seconds, connections, swaps] = [
  flags.items,
  flags.width,
  flags.clicks,
  flags.top,
  flags.rate,
  flags.seconds,
  flags.connections,
  flags.swaps,
].map(Number) as [number, number, number, number, number, number, number, number];

/** Largest p99, in milliseconds, at which the highest rate is looked for. */
const MOST_MS = 20;

/** Numbers from −1 to 1 that depend on the seed only. */
function randomValues(seed: number): (name: string, elements: number) => Float32Array {
  return (name, elements) => {
    let state = seed + name.length;
    return Float32Array.from({ length: elements }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state / 2 ** 31 - 1;
    });
  };
}

/** Writes a model with random weights. */
async function makeModel(output: string, seed: number): Promise<void> {
  const names = Array.from({ length: items }, (_, item) => `v${item}`);
  using model = modelOf(names, new Array(items).fill(1), width, 2, randomValues(seed));
  await saveModel(model, output);
}

/** Bodies of requests for one user each. */
async function makeBodies(folder: string): Promise<string[]> {
  using model = await openModel(folder, { threads: 1 });
  const { items } = model;
  return Array.from({ length: 1000 }, (_, user) => {
    const history = Array.from({ length: clicks }, (_, i) =>
      items.token(1 + ((user * 7919 + i * 104_729) % (items.size - 1))),
    );
    return JSON.stringify({ history, top, ...(flags.probabilities && { probabilities: true }) });
  });
}

const shortlistsOf = (url: string) => `${url}/v1/shortlists`;

/** Sends requests for shortlists at a rate. */
const load = (url: string, bodies: readonly string[], rate: number, seconds: number) =>
  openLoad(shortlistsOf(url), bodies, rate, seconds);

/** Sends requests without a pause, each connection the next one when the last was answered. */
async function closedLoad(url: string, bodies: readonly string[], seconds: number): Promise<Load> {
  let next = 0;
  const result = await autocannon({
    ...{ url: shortlistsOf(url), connections, duration: seconds, method: "POST" },
    headers: { "content-type": "application/json" },
    requests: [{ setupRequest: (sent: object) => ({ ...sent, body: bodies[next++ % bodies.length]! }) }],
  });
  const { latency, requests, non2xx, errors, timeouts } = result;
  const perSecond = requests.total / result.duration;
  return { p50: latency.p50, p99: latency.p99, longest: latency.max, perSecond, failed: non2xx + errors + timeouts };
}

interface Service {
  readonly child: ChildProcess;
  readonly url: string;
}

/** Starts a Node process that prints the address of its service. */
async function start(args: readonly string[]): Promise<Service> {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const [url] = (await once(createInterface(child.stdout!), "line")) as [string];
  return { child, url };
}

function startService(folder: string): Promise<Service> {
  const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
  return start([main, "serve", folder, "--port", "0", "--threads", flags.threads, "--log-level", "error"]);
}

/** A server that reads requests and does nothing: what it takes is due to Node and to the load generator. */
const EMPTY_SERVER = `
  const server = require("node:http").createServer((request, response) => {
    request.resume().on("end", () => response.end("{}"));
  });
  server.listen(0, "127.0.0.1", () => console.log("http://127.0.0.1:" + server.address().port));`;

async function loadEmptyServer(bodies: readonly string[]): Promise<Load> {
  const { child, url } = await start(["--eval", EMPTY_SERVER]);
  try {
    await load(url, bodies, rate, 3);
    return await load(url, bodies, rate, seconds);
  } finally {
    child.kill();
  }
}

/** A value of `/metrics`. */
async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
}

const residentMb = async (url: string) => (await metric(url, "process_resident_memory_bytes")) / 1e6;

/**
 * By how many milliseconds the event loop was late at most since the last look at it. Node measures the time between two
 * runs of a timer of 10 ms.
 */
const eventLoopMs = async (url: string) => 1000 * (await metric(url, "nodejs_eventloop_lag_max_seconds")) - 10;

/** Makes the served folder lead to another model. */
async function lead(link: string, folder: string): Promise<void> {
  await symlink(folder, `${link}.new`);
  await rename(`${link}.new`, link);
}

/** Swaps models while requests arrive; every sixth of the new models is broken. */
async function swapUnderLoad({ url }: Service, bodies: readonly string[], at: (name: string) => string) {
  await cp(at("b"), at("broken"), { recursive: true });
  await truncate(join(at("broken"), "model.safetensors"), 1000);
  let isOver = false;
  const loaded = (async () => {
    const parts: Load[] = [];
    while (!isOver) parts.push(await load(url, bodies, rate, 5));
    return parts;
  })();
  const times: number[] = [];
  let refused = 0;
  for (let swap = 0; swap < swaps; swap++) {
    const name = swap % 6 === 2 ? "broken" : ["b", "a"][swap % 2]!;
    await lead(at("live"), at(name));
    const started = performance.now();
    const { status } = await fetch(`${url}/v1/admin/reload`, { method: "POST" });
    times.push(performance.now() - started);
    if (status !== 200) refused++;
  }
  isOver = true;
  const parts = await loaded;
  const sum = (of: (part: Load) => number) => parts.reduce((total, part) => total + of(part), 0);
  return {
    seconds: Math.max(...times) / 1000,
    refused,
    answered: Math.round(sum(({ perSecond }) => perSecond * 5)),
    failed: sum(({ failed }) => failed),
    p99: Math.max(...parts.map(({ p99 }) => p99)),
    longest: Math.max(...parts.map(({ longest }) => longest)),
  };
}

/** The highest rate, in steps of a twentieth, at which the p99 is at most `MOST_MS` and no request fails. */
async function highestRate(url: string, bodies: readonly string[]): Promise<{ rate: number; load: Load } | undefined> {
  let best: { rate: number; load: Load } | undefined;
  let [low, high] = [0, rate * 16];
  for (
    let next = rate;
    high - low > Math.max(10, low / 20);
    next = best ? Math.min(2 * low, (low + high) / 2) : high / 2
  ) {
    const measured = await load(url, bodies, Math.round(next), 5);
    const holds = measured.p99 <= MOST_MS && measured.failed === 0 && measured.perSecond > 0.95 * next;
    if (holds) [low, best] = [next, { rate: Math.round(next), load: measured }];
    else high = next;
  }
  return best;
}

const format = (value: number) => value.toFixed(1);
const folder = await mkdtemp(join(tmpdir(), "shortlist-bench-"));
const at = (name: string) => join(name === "a" || name === "b" ? (flags.folder ?? folder) : folder, name);
let service: Service | undefined;
try {
  if (flags.model === undefined && !existsSync(at("b"))) {
    await makeModel(at("a"), 1);
    await makeModel(at("b"), 2);
  }
  await symlink(flags.model ?? at("a"), at("live"));
  const bodies = await makeBodies(at("live"));
  const empty = await loadEmptyServer(bodies);
  service = await startService(at("live"));
  const { url } = service;
  console.log(
    `histories of ${clicks} clicks, top ${top}${flags.probabilities ? " with probabilities" : ""}, ${flags.threads} threads`,
  );
  await load(url, bodies, rate, 3);
  console.log(`an empty server at ${rate} requests/s: p50 ${format(empty.p50)} ms, p99 ${format(empty.p99)} ms`);
  const before = await residentMb(url);
  const { p50, p99, longest, perSecond, failed } = await load(url, bodies, rate, seconds);
  console.log(
    `${rate} requests/s: p50 ${format(p50)} ms, p99 ${format(p99)} ms, longest ${format(longest)} ms; ${format(perSecond)} answers/s, ${failed} failed`,
  );
  const closed = await closedLoad(url, bodies, seconds);
  console.log(
    `${connections} connections without a pause: ${format(closed.perSecond)} answers/s, p50 ${format(closed.p50)} ms, p99 ${format(closed.p99)} ms, ${closed.failed} failed`,
  );
  const best = await highestRate(url, bodies);
  console.log(
    best
      ? `highest rate with p99 ≤ ${MOST_MS} ms: ${best.rate} requests/s (p50 ${format(best.load.p50)} ms, p99 ${format(best.load.p99)} ms)`
      : `no rate has a p99 of at most ${MOST_MS} ms`,
  );
  if (flags.model === undefined && swaps > 0) {
    await eventLoopMs(url);
    const swapped = await swapUnderLoad(service, bodies, at);
    const delay = await eventLoopMs(url);
    console.log(
      `${swaps} swaps at ${rate} requests/s: ${swapped.answered} answers, ${swapped.failed} failed, ${swapped.refused} broken models refused; slowest reload ${format(swapped.seconds)} s, p99 ${format(swapped.p99)} ms, longest ${format(swapped.longest)} ms; the event loop was late by up to ${format(delay)} ms`,
    );
  }
  console.log(`resident memory: ${format(before)} MB before, ${format(await residentMb(url))} MB after`);
} finally {
  if (service) {
    service.child.kill("SIGTERM");
    const [code] = await once(service.child, "exit");
    console.log(`SIGTERM: exit code ${code}`);
  }
  await rm(folder, { recursive: true });
}
