// Times requests to a model through the library: `npm run bench:requests -- --model MODEL --log LOG`. It asks for the
// users of a log, one at a time and many at once, and measures how long the event loop is held meanwhile. Without a
// model, it simulates a log and trains on it for a moment. README.md explains the numbers.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseArgs } from "node:util";
import "./plain_errors.js";
import { type Model, openModel, prepareDataset, simulate, train, type UserRequest } from "../src/index.js";
import { requestsOf } from "../test/cases/requests_of.js";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string" },
    log: { type: "string" },
    users: { type: "string", default: "943" },
    top: { type: "string", default: "100" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "20" },
    seconds: { type: "string", default: "3" },
    json: { type: "boolean", default: false },
  },
});

const [top, rounds, seconds, count] = [flags.top, flags.rounds, flags.seconds, flags.users].map(Number) as [
  number,
  number,
  number,
  number,
];

const percentile = (values: readonly number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]!;

interface Row {
  readonly name: string;
  readonly users: number;
  /** Milliseconds of one call. */
  readonly p50: number;
  readonly p99: number;
  readonly usersPerSecond: number;
}

/** Keeps `atOnce` calls in flight until the time is over. */
async function time(name: string, atOnce: number, call: (i: number) => Promise<unknown>, users = 1): Promise<Row> {
  const times: number[] = [];
  let next = 0;
  const run = async (until: number) => {
    while (performance.now() < until) {
      const started = performance.now();
      await call(next++);
      times.push(performance.now() - started);
    }
  };
  const side = (ms: number) => Promise.all(Array.from({ length: atOnce }, () => run(performance.now() + ms)));
  await side(500);
  times.length = 0;
  const started = performance.now();
  await side(1000 * seconds);
  const usersPerSecond = (1000 * users * times.length) / (performance.now() - started);
  return { name, users: times.length, p50: percentile(times, 0.5), p99: percentile(times, 0.99), usersPerSecond };
}

/** How long the event loop is held, in milliseconds, while `work` runs. */
async function loopDelay(work: () => Promise<unknown>) {
  const histogram = monitorEventLoopDelay({ resolution: 1 });
  histogram.enable();
  for (let round = 0; round < rounds; round++) await work();
  histogram.disable();
  const at = (share: number) => histogram.percentile(share) / 1e6;
  return { p50: at(50), p99: at(99), longest: histogram.max / 1e6 };
}

async function withModel(work: (model: Model, users: readonly UserRequest[]) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "shortlist-bench-"));
  const at = (name: string) => join(folder, name);
  try {
    let { model: path, log } = flags;
    if (path === undefined || log === undefined) {
      await simulate({ output: folder, users: 3000, items: 7500, meanClicks: 20 });
      await prepareDataset({ logs: [at("train.tsv")], output: at("dataset") });
      await train({ dataset: at("dataset"), output: at("model"), steps: 20 });
      [path, log] = [at("model"), at("infer.tsv")];
    }
    using model = await openModel(path, { threads: Number(flags.threads) });
    await work(model, await requestsOf(model, log));
  } finally {
    await rm(folder, { recursive: true });
  }
}

await withModel(async (model, users) => {
  const user = (i: number) => users[i % users.length]!;
  const tokens = model.items.tokens.slice(1);
  const allow = Array.from({ length: 50 }, (_, i) => tokens[(i * 97) % tokens.length]!);
  await model.similar(tokens[0]!);
  const rows = [
    await time("one request", 1, (i) => model.recommend(user(i), { top })),
    await time("8 requests at once", 8, (i) => model.recommend(user(i), { top })),
    await time("64 requests at once", 64, (i) => model.recommend(user(i), { top })),
    await time("one request of 64 users", 1, (i) => model.recommend(some(64 * i, 64), { top }), 64),
    await time("one request, 50 items allowed", 1, (i) => model.recommend(user(i), { top, allow })),
    await time("one request, explained", 1, (i) => model.recommend(user(i), { top: 10, explain: true })),
    await time("scores of 50 items", 1, (i) => model.score(user(i), allow)),
    await time("user vector", 1, (i) => model.userVectors(user(i))),
    await time("similar items", 1, (i) => model.similar(tokens[i % tokens.length]!, { top })),
  ];
  function some(first: number, length: number) {
    return Array.from({ length }, (_, i) => user(first + i));
  }
  const delays = {
    "one call": await loopDelay(() => model.recommend(some(0, count), { top })),
    "a call each": await loopDelay(() => Promise.all(some(0, count).map((one) => model.recommend(one, { top })))),
  };
  if (flags.json) {
    console.log(JSON.stringify({ items: tokens.length, top, rows, delays }));
    return;
  }
  const milliseconds = (value: number) => value.toFixed(3).padStart(9);
  console.log(`${tokens.length} items, top ${top}, ${model.engine.threads} threads, ${model.engine.isa}\n`);
  console.log(`${"".padEnd(32)}   p50 ms   p99 ms    users/s`);
  for (const { name, p50, p99, usersPerSecond } of rows) {
    console.log(`${name.padEnd(32)}${milliseconds(p50)}${milliseconds(p99)}${usersPerSecond.toFixed(0).padStart(11)}`);
  }
  console.log(`\nevent loop while ${count} users are asked, ${rounds} times: delay in ms`);
  for (const [name, { p50, p99, longest }] of Object.entries(delays)) {
    console.log(`${name.padEnd(32)}${milliseconds(p50)}${milliseconds(p99)}  longest ${longest.toFixed(1)}`);
  }
});
