import { test } from "uvu";
import * as assert from "uvu/assert";
import type { ErrorCode } from "../../src/errors.js";
import type { Engine } from "../../src/executors/executor.js";
import { availableIsas, createEngine } from "../../src/executors/index.js";
import {
  type FoundItems,
  type ItemFilters,
  type ItemLists,
  type ItemSearch,
  type ReferenceItems,
  searchReference,
} from "../../src/executors/item_search.js";
import { Graph } from "../../src/graph/graph.js";
import { topN } from "../../src/ops/top_n.js";
import { RandomStream } from "../../src/random/philox.js";
import { expectError } from "../data/temporary.js";

const isFused = (isa: string) => isa !== "baseline";

/** Every instruction set, on 1 and 2 threads. */
const engines: Engine[] = availableIsas().flatMap((isa) => [1, 2].map((threads) => createEngine({ threads, isa })));

interface Vectors extends ReferenceItems {
  readonly queries: Float32Array;
}

interface Sizes {
  readonly items: number;
  readonly width: number;
  readonly queries: number;
  readonly skipRows?: number;
  readonly bias?: boolean;
}

/** Numbers between −1 and 1, the same in every run. */
function uniform(count: number, seed: number): Float32Array {
  const random = new RandomStream(seed, 77);
  return Float32Array.from({ length: count }, () => random.word() / 2 ** 31 - 1);
}

function randomVectors({ items, width, queries, skipRows = 0, bias = false }: Sizes): Vectors {
  return {
    items,
    width,
    skipRows,
    weight: uniform(items * width, 1),
    queries: uniform(queries * width, 2),
    bias: bias ? uniform(items, 3) : undefined,
  };
}

function openSearch(engine: Engine, vectors: Vectors, firstPass: "int8" | "none"): ItemSearch {
  const store = engine.createStore();
  store.define({ name: "w", dtype: "float32", shape: [vectors.items, vectors.width] });
  store.write("w", vectors.weight);
  if (vectors.bias) {
    store.define({ name: "b", dtype: "float32", shape: [vectors.items] });
    store.write("b", vectors.bias);
  }
  const bias = vectors.bias ? "b" : undefined;
  return engine.createItemSearch(store, { weight: "w", bias, skipRows: vectors.skipRows, firstPass });
}

const bitsOf = (values: Float32Array) => new Int32Array(values.buffer, values.byteOffset, values.length);

function assertSame(actual: FoundItems, expected: FoundItems, what: string): void {
  assert.equal(actual.items, expected.items, what);
  assert.equal(bitsOf(actual.scores), bitsOf(expected.scores), what);
}

/** Compares searches of every engine, with and without a first pass, with the reference, bit for bit. */
async function compare(
  vectors: Vectors,
  tops: readonly number[],
  filters: ItemFilters = {},
  what = "",
): Promise<FoundItems> {
  let expected: FoundItems | undefined;
  for (const fused of [true, false]) {
    for (const top of tops) {
      expected = searchReference(vectors, vectors.queries, top, filters, fused);
      for (const engine of engines.filter(({ isa }) => isFused(isa) === fused)) {
        for (const firstPass of ["none", "int8"] as const) {
          using search = openSearch(engine, vectors, firstPass);
          const found = await search.search(vectors.queries, top, filters);
          assertSame(found, expected, `${what} ${engine.isa}, ${engine.threads} threads, ${firstPass}, top ${top}`);
        }
      }
    }
  }
  return expected!;
}

test("every engine finds what the reference finds, bit for bit, at all sizes", async () => {
  for (const width of [1, 2, 7, 16, 33, 70]) {
    for (const items of [1, 5, 17, 70, 333]) {
      for (const queries of [1, 2, 3, 4, 5, 17, 40]) {
        const vectors = randomVectors({ items, width, queries, bias: (items + queries) % 2 === 0 });
        await compare(vectors, [items % 2 === 0 ? 10 : 500], {}, `[${items}, ${width}], ${queries} queries:`);
      }
    }
  }
});

test("vectors wider than a block of the sum have the bits of the reference", async () => {
  for (const width of [256, 257, 600]) {
    for (const queries of [1, 2, 9, 33]) await compare(randomVectors({ items: 50, width, queries, bias: true }), [7]);
  }
});

test("there may be no items, no queries, and fewer items than asked for", async () => {
  await compare(randomVectors({ items: 0, width: 4, queries: 3 }), [5]);
  await compare(randomVectors({ items: 9, width: 4, queries: 0 }), [5]);
  await compare(randomVectors({ items: 9, width: 4, queries: 2, skipRows: 9 }), [5]);
  await compare(randomVectors({ items: 9, width: 4, queries: 2, skipRows: 20 }), [5]);
  const found = await compare(randomVectors({ items: 3, width: 4, queries: 1, skipRows: 1 }), [4]);
  assert.equal([...found.items.subarray(2)], [-1, -1]);
  assert.equal([...found.scores.subarray(2)], [-Infinity, -Infinity]);
});

/** Lists for each query: random items, with repetitions, in random order. */
function randomLists(queries: number, items: number, length: number, seed: number): ItemLists {
  const random = new RandomStream(seed, 78);
  const offsets = Int32Array.from({ length: queries + 1 }, (_, q) => q * length);
  return { ids: Int32Array.from({ length: queries * length }, () => random.below(items)), offsets };
}

test("items are left out and allowed, for each query or for all, in any order", async () => {
  for (const queries of [1, 3, 20]) {
    const vectors = randomVectors({ items: 3000, width: 9, queries, skipRows: 1, bias: true });
    for (const length of [0, 1, 40, 2500]) {
      const own = randomLists(queries, 3000, length, length);
      const shared = own.ids.slice(0, length);
      const sorted = { ...own, ids: own.ids.slice() };
      for (let q = 0; q < queries; q++) sorted.ids.subarray(q * length, (q + 1) * length).sort();
      const other = randomLists(queries, 3000, 700, 99);
      const cases: ItemFilters[] = [
        ...[own, sorted, shared, Int32Array.from(new Set(shared)).sort()].flatMap((list) => [
          { exclude: list },
          { allow: list },
        ]),
        { exclude: own, allow: other },
        { exclude: other.ids.slice(0, 700), allow: own },
      ];
      for (const [i, filters] of cases.entries()) {
        await compare(vectors, [25], filters, `${queries} queries, lists of ${length}, case ${i}:`);
      }
    }
  }
});

test("if every item is left out, none is found", async () => {
  const vectors = randomVectors({ items: 200, width: 5, queries: 2 });
  const all = Int32Array.from({ length: 200 }, (_, i) => i);
  for (const exclude of [all, all.slice().reverse()]) {
    const { items } = await compare(vectors, [3], { exclude });
    assert.equal([...items], [-1, -1, -1, -1, -1, -1]);
  }
});

/** Vectors on which a first pass could go wrong. Each changes some rows of random vectors. */
const ADVERSARIAL: Readonly<Record<string, (vectors: Vectors, random: RandomStream) => void>> = {
  "all scores equal": ({ weight }) => weight.fill(0.25),
  "rows of zeros": ({ weight }) => weight.fill(0, 0, weight.length >> 1),
  "queries of zeros": ({ queries }) => queries.fill(0),
  "one outlier dimension": ({ weight, width }) => {
    for (let i = 0; i < weight.length; i += width) weight[i]! *= 1e6;
  },
  "an outlier dimension that cancels": ({ weight, width, queries }) => {
    for (let i = 0; i < weight.length; i += width) [weight[i], weight[i + 1]] = [1e5, -1e5];
    for (let i = 0; i < queries.length; i += width) queries[i] = queries[i + 1]!;
  },
  "norms over the whole range": ({ weight, width }, random) => {
    for (let i = 0; i < weight.length; i++) {
      const exponent = (Math.floor(i / width) * 37) % 250;
      weight[i] = weight[i]! * 2 ** (exponent - 140) * (random.below(2) ? 1 : -1);
    }
  },
  "huge norms, whose scores overflow": ({ weight, queries }) => {
    for (let i = 0; i < weight.length; i++) weight[i]! *= 3e38;
    for (let i = 0; i < queries.length; i++) queries[i]! *= 8;
  },
  "products of codes with a huge query that overflow, though scores do not": ({ weight, width, queries }) => {
    queries.fill(2e36);
    for (let i = 0; i < weight.length; i++) weight[i] = i < 40 * width ? 1e-28 : 1e-28 * weight[i]!;
    // The best row, whose codes are zeros but one.
    weight.fill(0, 50 * width, 51 * width)[50 * width] = 1e-26;
  },
  "subnormal numbers": ({ weight, queries }) => {
    for (let i = 0; i < weight.length; i++) weight[i]! *= 1e-42;
    for (let i = 0; i < queries.length; i++) queries[i]! *= i % 3 === 0 ? 1e-3 : 10;
  },
  "subnormal products": ({ weight, queries }) => {
    for (let i = 0; i < weight.length; i++) weight[i]! *= 1e-22;
    for (let i = 0; i < queries.length; i++) queries[i]! *= 1e-20;
  },
  "scores that differ in the last bit": ({ weight, width }, random) => {
    weight.fill(1);
    for (let i = 0; i < weight.length; i += width) weight[i] = 1 + random.below(8) * 2 ** -23;
  },
  "rows with NaN and infinities": ({ weight, width }) => {
    const values = [Number.NaN, Infinity, -Infinity];
    for (let row = 3; row * width < weight.length; row += 7) weight[row * width + (row % width)] = values[row % 3]!;
  },
  "a query with NaN, and one with infinities": ({ queries, width }) => {
    queries[0] = Number.NaN;
    queries[width + 1] = Infinity;
  },
  "biases of all sizes": ({ bias }, random) => {
    for (let i = 0; i < bias!.length; i++) bias![i]! *= 10 ** (random.below(60) - 25);
  },
  "biases that are not finite": ({ bias }) => {
    const values = [Number.NaN, Infinity, -Infinity];
    for (let i = 2; i < bias!.length; i += 5) bias![i] = values[i % 3]!;
  },
};

for (const [name, change] of Object.entries(ADVERSARIAL)) {
  test(`the result is that of the reference: ${name}`, async () => {
    for (const [items, width, queries] of [
      [1500, 8, 2],
      [700, 33, 4],
      [400, 5, 30],
    ] as const) {
      const vectors = randomVectors({ items, width, queries, bias: true });
      change(vectors, new RandomStream(5, 79));
      await compare(vectors, [1, 20], {}, `[${items}, ${width}], ${queries} queries:`);
    }
  });
}

const LARGE: Sizes = { items: 60_000, width: 12, queries: 40, skipRows: 1, bias: true };

/** The result of the op `top_n`. */
async function topOf(engine: Engine, vectors: Vectors, top: number, exclude: ItemLists): Promise<FoundItems> {
  const graph = new Graph();
  const user = graph.input("user", "float32", ["samples", vectors.width]);
  const weight = graph.constant("w", "float32", [vectors.items, vectors.width], { kind: "zeros" });
  const bias = graph.constant("b", "float32", [vectors.items], { kind: "zeros" });
  const best = topN(
    graph,
    "best",
    {
      user,
      weight,
      bias,
      excluded: graph.input("excluded", "int32", ["excluded"]),
      excludedOffsets: graph.input("offsets", "int32", ["samples+1"]),
    },
    { top: "top", skipRows: vectors.skipRows },
  );
  graph.output("items", best.items);
  graph.output("score", best.score);
  using store = engine.createStore();
  for (const { name, dtype, shape } of [weight, bias]) store.define({ name, dtype, shape: shape as number[] });
  store.write("w", vectors.weight);
  store.write("b", vectors.bias!);
  using executor = engine.createExecutor(graph.toProgram(), store);
  const { items, score } = await executor.run(
    { user: vectors.queries, excluded: exclude.ids, offsets: exclude.offsets },
    { samples: vectors.queries.length / vectors.width, excluded: exclude.ids.length, top },
  );
  return { items: items as Int32Array, scores: score as Float32Array };
}

test("a search returns what the op top_n returns, bit for bit, however many queries are searched at once", async () => {
  const vectors = randomVectors(LARGE);
  const exclude = randomLists(LARGE.queries, LARGE.items, 100, 1);
  for (const engine of engines) {
    const expected = await topOf(engine, vectors, 50, exclude);
    for (const firstPass of ["none", "int8"] as const) {
      using search = openSearch(engine, vectors, firstPass);
      assertSame(await search.search(vectors.queries, 50, { exclude }), expected, `${engine.isa}, ${firstPass}`);
      const calls = Array.from({ length: LARGE.queries }, (_, q) =>
        search.search(vectors.queries.subarray(q * LARGE.width, (q + 1) * LARGE.width), 50, {
          exclude: exclude.ids.subarray(exclude.offsets[q]!, exclude.offsets[q + 1]!),
        }),
      );
      const apart = await Promise.all(calls);
      const together = {
        items: Int32Array.from(apart.flatMap(({ items }) => [...items])),
        scores: Float32Array.from(apart.flatMap(({ scores }) => [...scores])),
      };
      assertSame(together, expected, `${engine.isa}, ${firstPass}, one query at a time`);
    }
  }
});

test("lists as long as the catalogue: half of the items left out or allowed", async () => {
  const vectors = randomVectors({ ...LARGE, queries: 3 });
  const half = Int32Array.from({ length: 30_000 }, (_, i) => (i * 14_983) % LARGE.items);
  const sorted = half.slice().sort();
  const expected = new Map(
    [true, false].map((fused) => [fused, searchReference(vectors, vectors.queries, 30, { exclude: sorted }, fused)]),
  );
  for (const engine of engines) {
    using plain = openSearch(engine, vectors, "none");
    using coded = openSearch(engine, vectors, "int8");
    const wanted = expected.get(isFused(engine.isa))!;
    const left = new Set(half);
    const rest = Int32Array.from({ length: LARGE.items }, (_, i) => i).filter((item) => !left.has(item));
    for (const filters of [{ exclude: half }, { exclude: sorted }, { allow: rest }]) {
      assertSame(await plain.search(vectors.queries, 30, filters), wanted, engine.isa);
      assertSame(await coded.search(vectors.queries, 30, filters), wanted, engine.isa);
    }
  }
});

const attempt = async (call: () => unknown): Promise<unknown> => call();

test("arguments that do not fit are refused, by both engines with the same messages", async () => {
  const vectors = randomVectors({ items: 10, width: 4, queries: 2 });
  for (const engine of [engines[0]!, createEngine({ executor: "reference" })]) {
    using search = openSearch(engine, vectors, "none");
    const { queries } = vectors;
    const fails = (code: ErrorCode, message: RegExp, call: () => unknown) => expectError(attempt(call), code, message);
    await fails("ERR_INPUT", /^Expected queries to be a Float32Array with 4 elements for each query/, () =>
      search.search(queries.subarray(1), 3),
    );
    await fails("ERR_OPTION", /^Expected top to be a whole number/, () => search.search(queries, 0));
    await fails("ERR_OPTION", /^search: Unknown option "excluded". Did you mean "exclude"/, () =>
      search.search(queries, 3, { excluded: [] } as object),
    );
    for (const ids of [Int32Array.of(1, 10), Int32Array.of(1, -1)]) {
      const message = `[search] Expected excluded[1] from 0 to 9 but received ${ids[1]}`;
      await fails("ERR_INPUT", new RegExp(message.replace(/[[\]]/g, "\\$&")), () =>
        search.search(queries, 3, { exclude: ids }),
      );
    }
    for (const offsets of [Int32Array.of(0, 2, 1), Int32Array.of(1, 1, 2), Int32Array.of(0, 1, 1)]) {
      await fails("ERR_INPUT", /^\[search\] Expected allowed_offsets to rise from 0 to 2/, () =>
        search.search(queries, 3, { allow: { ids: Int32Array.of(1, 2), offsets } }),
      );
    }
    const store = engine.createStore();
    store.define({ name: "ids", dtype: "int32", shape: [4] });
    store.define({ name: "w", dtype: "float32", shape: [4, 2] });
    for (const weight of ["ids", "none"]) {
      await fails("ERR_OPTION", /^Expected weight to name a float32 tensor with 2 axes/, () =>
        engine.createItemSearch(store, { weight }),
      );
    }
    search.close();
    await fails("ERR_EXECUTOR", /^The search is closed/, () => search.search(queries, 3));
  }
});

test("an open search keeps the store from being written, and closing it lets calls in flight finish", async () => {
  const engine = createEngine({ threads: 1 });
  const store = engine.createStore();
  store.define({ name: "w", dtype: "float32", shape: [4, 2] });
  store.write("w", Float32Array.of(1, 0, 0, 1, 1, 1, 2, 2));
  const search = engine.createItemSearch(store, { weight: "w", firstPass: "int8" });
  await expectError(
    attempt(() => store.write("w", new Float32Array(8))),
    "ERR_EXECUTOR",
    /^Expected no open search over the store while it is written: close it first/,
  );
  const running = search.search(Float32Array.of(1, 2), 2);
  search.close();
  assert.equal([...(await running).items], [3, 2]);
  store.write("w", new Float32Array(8));
  await expectError(search.search(Float32Array.of(1, 2), 2), "ERR_EXECUTOR", /^The search is closed/);
  store.close();
  engine.close();
});

test.run();
