// Builds an index and compares its searches with exact scans: `npm run bench:index`. Without a model, it makes one
// whose items lie in clusters, as those of trained models do. README.md explains the numbers.

import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import "./plain_errors.js";
import { parseSchema } from "../src/data/schema.js";
import { Turns } from "../src/data/turns.js";
import { UNKNOWN, Vocabulary } from "../src/data/vocabulary.js";
import { countElements } from "../src/graph/dims.js";
import { storedTensors } from "../src/graph/program.js";
import { createEngine } from "../src/graph_entry.js";
import { buildIndex, type IndexSpace, type ItemIndex, Model, openIndex, openModel, saveModel } from "../src/index.js";
import { resolveConfig } from "../src/model/config.js";
import { inferenceProgram } from "../src/model/programs.js";
import { IndexedSearch, openItemSearch } from "../src/model/requests/indexed_search.js";
import { RandomStream, STREAMS } from "../src/random/philox.js";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string" },
    users: { type: "string" },
    items: { type: "string", default: "1000000" },
    width: { type: "string", default: "32" },
    clusters: { type: "string", default: "2000" },
    top: { type: "string", default: "100" },
    space: { type: "string", default: "auto" },
    expansion: { type: "string", default: "128" },
    connectivity: { type: "string", default: "16" },
    "minimum-recall": { type: "string", default: "0.95" },
    threads: { type: "string", default: "2" },
    folder: { type: "string" },
  },
});
const [items, width, clusters, top] = [flags.items, flags.width, flags.clusters, flags.top].map(Number) as [
  number,
  number,
  number,
  number,
];

/**
 * Saves a model whose item vectors are normally distributed around the centres of clusters, with norms and biases that
 * differ. A user's vector is the mean of the vectors of the clicked items.
 */
async function saveClusteredModel(folder: string): Promise<void> {
  const schema = parseSchema({ columns: [{ name: "user_id" }, { name: "clicks" }], click: [{ name: "item" }] });
  const tokens = [UNKNOWN, ...Array.from({ length: items }, (_, i) => `v${i}`)];
  const counts = Float64Array.from(tokens, (_, i) => Math.ceil(items / (i + 10)));
  const encoding = {
    schema,
    vocabularies: new Map([
      ["user_id", new Vocabulary([UNKNOWN], Float64Array.of(0))],
      ["item", new Vocabulary(tokens, counts)],
    ]),
    numbers: new Map(),
  };
  const config = resolveConfig("paddle", {
    history: "mean",
    embeddingWidths: { item: width, user_id: 1 },
    hiddenWidths: [],
    userVectorWidth: width,
    userVectorActivation: "none",
  });
  const { program } = inferenceProgram(config, encoding);
  const engine = createEngine({ threads: 1 });
  const store = engine.createStore();
  const random = new RandomStream(1, STREAMS.simulate);
  const centres = Float32Array.from({ length: clusters * width }, () => random.normal());
  const vectors = new Float32Array((items + 1) * width);
  for (let item = 1; item <= items; item++) {
    const cluster = random.below(clusters);
    const norm = Math.exp(0.3 * random.normal()) / Math.sqrt(width);
    for (let c = 0; c < width; c++) {
      vectors[item * width + c] = norm * (centres[cluster * width + c]! + 0.7 * random.normal());
    }
  }
  /** Columns 0 … width − 1 of the user vector are the mean of the history. */
  const identity = (rows: number) =>
    Float32Array.from({ length: rows * width }, (_, i) => (Math.floor(i / width) === i % width ? 4 : 0));
  for (const { name, dtype, shape } of storedTensors(program)) {
    store.define({ name, dtype, shape });
    const elements = countElements(shape, {});
    if (name === "embedding.item" || name === "output.weight") store.write(name, vectors);
    else if (name === "user_vector.weight") store.write(name, identity(elements / width));
    else if (name === "output.bias")
      store.write(
        name,
        Float32Array.from({ length: elements }, () => 0.3 * random.normal()),
      );
    else store.write(name, new Float32Array(elements));
  }
  using model = new Model({ ...encoding, config, training: {} }, program, engine, store);
  await saveModel(model, folder);
}

/** The median and the 99th percentile of the milliseconds of one request after the other. */
async function latency<User>(
  request: (user: User) => Promise<unknown>,
  users: readonly User[],
): Promise<[p50: number, p99: number]> {
  for (const user of users) await request(user);
  const times: number[] = [];
  for (const user of users) {
    const start = performance.now();
    await request(user);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return [0.5, 0.99].map((share) => times[Math.floor(share * times.length)]!) as [number, number];
}

/** Builds the index unless the folder has one from an earlier run, and prints what `buildIndex` chose. */
async function indexOf(model: Model, output: string): Promise<ItemIndex> {
  const started = performance.now();
  if (!existsSync(output)) {
    await buildIndex(model, {
      output,
      top,
      minimumRecall: Number(flags["minimum-recall"]),
      space: flags.space as IndexSpace,
      expansion: Number(flags.expansion),
      connectivity: Number(flags.connectivity),
      users: flags.users,
    });
    console.log(`built in ${((performance.now() - started) / 1000).toFixed(0)} s`);
  }
  const index = await openIndex(output, model);
  for (const { space, searchWidth, recall } of index.description.spaces) {
    console.log(`${space.padEnd(14)} search width ${searchWidth}, recall@${top} ${recall.toFixed(4)}`);
  }
  return index;
}

const row = (name: string, [p50, p99]: readonly [number, number]) =>
  console.log(`${name.padEnd(40)} p50 ${p50.toFixed(3)} ms, p99 ${p99.toFixed(3)} ms`);

const folder = flags.folder ?? (await mkdtemp(join(tmpdir(), "shortlist-bench-")));
try {
  const path = flags.model ?? join(folder, "model");
  if (flags.model === undefined && !existsSync(path)) await saveClusteredModel(path);
  using model = await openModel(path, { threads: Number(flags.threads) });
  using index = await indexOf(model, join(folder, "index"));
  console.log(`${model.items.size - 1} items × ${index.description.width}, top ${top}, ${flags.threads} threads`);
  const last = model.items.size - 2;
  const users = Array.from({ length: 200 }, (_, u) => ({
    history: Array.from({ length: 10 }, (_, i) => model.items.token(1 + ((u * 7919 + i * 104729) % last))),
  }));
  const vectors = (await model.userVectors(users)).map(({ vector }) => vector);
  using bytesFirst = openItemSearch(model);
  using floats = model.engine.createItemSearch(model.store, {
    weight: "output.weight",
    bias: "output.bias",
    skipRows: 1,
  });
  const indexed = new IndexedSearch(model, bytesFirst, index);
  const excluded = { ids: new Int32Array(0), offsets: new Int32Array(2) };
  const turns = new Turns();
  row("search by the index", await latency((u) => indexed.search({ vectors: u, top, excluded, turns }), vectors));
  row("exact scan, first in 8 bits", await latency((u) => bytesFirst.search(u, top), vectors));
  row("exact scan in float32", await latency((u) => floats.search(u, top), vectors));
  row("request with the index", await latency((user) => model.recommend(user, { top, index }), users));
  const plain = { top, probabilities: false };
  row("request without, and no probabilities", await latency((user) => model.recommend(user, plain), users));
} finally {
  if (flags.folder === undefined) await rm(folder, { recursive: true, force: true });
}
