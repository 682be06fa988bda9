import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { buildIndex, type Model, openIndex, recommend, type UserRequest } from "../../src/index.js";
import type { CandidateIndex } from "../../src/model/requests/item_index.js";
import { itemsIn, usersIn, widthIn } from "../../src/retrieve/index_space.js";
import { expectError, withFolder } from "../data/temporary.js";
import { handModel } from "../hand_model.js";
import { all } from "../small_model.js";
import { HAS_USEARCH, randomModel } from "./index_files.js";

const ITEMS = 12000;
/** Requests whose search width is below ITEMS / 500 use the index. */
const OPTIONS = { top: 10, minimumRecall: 0.5, connectivity: 8, expansion: 24 };

const users: readonly UserRequest[] = Array.from({ length: 40 }, (_, u) => ({
  history: [`v${u * 31}`, `v${u * 57 + 5}`, `v${u}`],
}));

async function withModel(work: (at: (name: string) => string, model: Model) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    using model = await randomModel(at("model"), ITEMS);
    await work(at, model);
  });
}

const tokensOf = (lists: readonly { readonly items: readonly { readonly item: string }[] }[]) =>
  lists.map(({ items }) => items.map(({ item }) => item));

const indexTest = HAS_USEARCH ? test : test.skip;

for (const space of ["inner_product", "simple_lsh"] as const) {
  test(`${space}: inner products have the order of scores`, () => {
    const width = 3;
    const items = Float64Array.of(0.5, 1, 2, -1, 0, 3, 0, 0.25, -2, 2, 2, 2);
    const user = Float64Array.of(1, 0.3, -0.7);
    const largest = 12;
    const vectors = itemsIn(space, items, width, largest);
    const query = usersIn(space, user, width);
    const own = widthIn(space, width);
    assert.is(vectors.length, 4 * own);
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>, at: number, n: number) =>
      Array.from({ length: n }, (_, i) => a[at + i]! * b[i]!).reduce((sum, product) => sum + product, 0);
    const order = (score: (item: number) => number) => [0, 1, 2, 3].sort((a, b) => score(b) - score(a));
    assert.equal(
      order((item) => dot(vectors, query, item * own, own)),
      order((item) => dot(items, user, item * width, width)),
    );
    if (space === "simple_lsh") {
      for (let item = 0; item < 4; item++) {
        const norm = dot(vectors, vectors.subarray(item * own, (item + 1) * own), item * own, own);
        assert.ok(Math.abs(norm - 1) < 1e-6);
      }
    }
  });
}

indexTest("an index finds what an exact scan finds, with the recall that it tells and the same scores", async () => {
  await withModel(async (at, model) => {
    const built = await buildIndex(model, { output: at("index"), ...OPTIONS });
    using index = await openIndex(at("index"), model);
    assert.equal(index.description, built);
    assert.equal([built.model, built.items, built.width, built.top], [model.id, ITEMS, 8, 10]);
    assert.ok(built.recall >= 0.5 && built.recall <= 1, String(built.recall));
    assert.is(built.spaces.length, 2);
    assert.is(built.searchWidth, Math.min(...built.spaces.map(({ searchWidth }) => searchWidth)));
    const exact = await model.recommend(users, { top: 10 });
    const found = await model.recommend(users, { top: 10, index });
    let hits = 0;
    for (const [u, { items }] of found.entries()) {
      assert.is(items.length, 10);
      assert.ok(items.every(({ probability }) => probability === undefined));
      const scores = await model.score(
        users[u]!,
        items.map(({ item }) => item),
      );
      assert.equal(
        items.map(({ item, score }) => [item, score]),
        scores.items.map(({ item, score }) => [item, score]),
      );
      assert.equal(
        items,
        items.toSorted((a, b) => b.score - a.score || a.id - b.id),
      );
      const watched = users[u]!.history as string[];
      assert.ok(items.every(({ item }) => !watched.includes(item)));
      const best = exact[u]!.items.map(({ item }) => item);
      hits += items.filter(({ item }) => best.includes(item)).length;
    }
    assert.ok(built.searchWidth * 1.3 * 500 < ITEMS, `the search width ${built.searchWidth} is too large for the test`);
    assert.ok(hits / (10 * users.length) >= 0.45, `${hits} hits`);
    assert.ok(hits < 10 * users.length, "an index that misses nothing would hide that it is not used");
    const one = await model.recommend(users[3]!, { top: 10, index });
    assert.equal(one, found[3]);
    const lines = users.map(({ history }, u) => `u${u}\t${history!.join(";")}\n`);
    await writeFile(at("log.tsv"), lines.join(""));
    const lists = await all(recommend(model, at("log.tsv"), { top: 10, index }));
    assert.equal(tokensOf(lists), tokensOf(found));
    assert.equal(
      lists.map(({ items }) => items.map(({ score }) => score)),
      found.map(({ items }) => items.map(({ score }) => score)),
    );
  });
});

/** An index with the same candidates for each user, which counts its searches. */
class FixedIndex implements CandidateIndex {
  readonly top = 10;
  readonly searchWidth = 12;
  readonly widths: number[] = [];
  constructor(
    readonly model: string,
    readonly ids: Int32Array,
  ) {}
  candidates(_: Float32Array, searchWidth: number): Int32Array {
    this.widths.push(searchWidth);
    return this.ids.subarray(0, searchWidth);
  }
}

test("shortlists are the best of the candidates; filters that leave few items lead to an exact scan", async () => {
  await withModel(async (_, model) => {
    const index = new FixedIndex(
      model.id!,
      Int32Array.from({ length: 2000 }, (_, i) => i + 1),
    );
    const top = 10;
    const exactly = { top, allow: Array.from({ length: 13 }, (_, i) => `v${i}`) };
    const [list] = await model.recommend([{ history: ["v3"] }], { top, index });
    assert.equal(index.widths, [14], "12 candidates for 10 items, so 14 for 10 and the watched one");
    const [expected] = await model.recommend([{ history: ["v3"] }], {
      ...exactly,
      allow: Array.from({ length: 14 }, (_, i) => `v${i}`),
    });
    assert.equal(tokensOf([list!]), tokensOf([expected!]));

    index.widths.length = 0;
    for (const options of [{ allow: exactly.allow }, { exclude: Array.from({ length: 3000 }, (_, i) => `v${i}`) }]) {
      const filtered = await model.recommend(users, { top, ...options, index });
      assert.equal(tokensOf(filtered), tokensOf(await model.recommend(users, { top, ...options })));
    }
    assert.equal(index.widths, [], "an exact scan is faster for each");

    // Half of the items: the search is twice as wide. Those of the candidates that are not allowed are left out.
    const allow = Array.from({ length: ITEMS - 20 }, (_, i) => `v${i + 20}`);
    const halved = await model.recommend([{}], { top, allow, index });
    assert.equal(index.widths, [13]);
    assert.equal(tokensOf(halved), tokensOf(await model.recommend([{}], { top, allow })), "too few were left");
  });
});

indexTest("an index below the minimum recall is not written", async () => {
  await withModel(async (at, model) => {
    const output = at("index");
    const worst = { output, top: 10, minimumRecall: 1, connectivity: 2, expansion: 1, space: "inner_product" } as const;
    const message = await expectError(buildIndex(model, worst), "ERR_INDEX", "Expected a recall@10 of at least 1");
    assert.match(message, /measured 0\.\d{4} \(inner_product, search width 640\), so no index was written/);
    assert.equal(await readdir(at(".")), ["model"]);
    await buildIndex(model, { output, ...OPTIONS, space: "simple_lsh" });
    const before = await readFile(join(output, "index.json"), "utf8");
    await expectError(buildIndex(model, worst), "ERR_INDEX", "measured 0.");
    assert.is(await readFile(join(output, "index.json"), "utf8"), before);
    for (const minimumRecall of [0, -1, 1.5, Number.NaN, "1" as never]) {
      await expectError(buildIndex(model, { output, minimumRecall }), "ERR_OPTION", "Expected minimumRecall");
    }
  });
});

indexTest("the same model gives the same index, on any number of threads; users of a log are measured", async () => {
  await withModel(async (at, model) => {
    const lines = Array.from({ length: 3000 }, (_, u) => `u${u}\tv${u % ITEMS};v${(u * 7) % ITEMS}\n`);
    await writeFile(at("users.tsv"), lines.join(""));
    const build = async (name: string, of: Model) => {
      const { usersFrom, users, ...built } = await buildIndex(of, {
        output: at(name),
        ...OPTIONS,
        users: at("users.tsv"),
      });
      assert.equal([usersFrom, users], ["log", 1024]);
      const { id } = JSON.parse(await readFile(join(at(name), "index.json"), "utf8"));
      return {
        id,
        searchWidth: built.searchWidth,
        recall: built.recall,
        bytes: await readFile(join(at(name), "items.usearch")),
      };
    };
    const first = await build("a", model);
    using again = await randomModel(at("model2"), ITEMS, 1, 2);
    assert.equal(await build("b", again), first);
    using index = await openIndex(at("a"), again);
    assert.is(index.model, model.id);
  });
});

indexTest("an index of another model, a damaged one and something else are refused", async () => {
  await withModel(async (at, model) => {
    const output = at("index");
    await buildIndex(model, { output, ...OPTIONS, space: "inner_product" });
    using other = await randomModel(at("other"), ITEMS, 2);
    await expectError(openIndex(output, other), "ERR_INDEX", `Expected an index of the model ${other.id}`);
    using index = await openIndex(output, model);
    await expectError(other.recommend({}, { index }), "ERR_INDEX", "the vectors of two models have nothing to do");
    await writeFile(at("log.tsv"), "u\tv1\n");
    await expectError(all(recommend(other, at("log.tsv"), { index })), "ERR_INDEX", "Build an index of this model");
    const both = { index, probabilities: true };
    await expectError(model.recommend({}, both), "ERR_OPTION", "Expected either an index or probabilities");
    await expectError(model.recommend({}, { index: output as never }), "ERR_OPTION", "open it with openIndex");
    index.close();
    await expectError(model.recommend({}, { top: 10, index }), "ERR_INDEX", "The index is closed");

    await expectError(openIndex(at("none"), model), "ERR_INDEX", /Cannot read .*index\.json.*shortlist index build/);
    await expectError(openIndex(at("model"), model), "ERR_INDEX", "Cannot read");
    await expectError(buildIndex(model, { output: at("model"), ...OPTIONS }), "ERR_INDEX", "Refused to replace");
    const graph = join(output, "items.usearch");
    const bytes = await readFile(graph);
    await writeFile(graph, bytes.subarray(0, bytes.length - 1));
    await expectError(openIndex(output, model), "ERR_INDEX", "items.usearch: Expected sha256");
    await writeFile(graph, bytes);
    const description = join(output, "index.json");
    const head = JSON.parse(await readFile(description, "utf8"));
    const changes: readonly (readonly [object, string])[] = [
      [{ format: "x" }, 'Expected "format"'],
      [{ version: 2 }, "Expected version 1"],
      [{ space: "cosine" }, 'Expected a valid "space"'],
      [{ items: ITEMS + 1 }, `Expected ${ITEMS + 1} vectors of width 9 but received ${ITEMS}`],
      [{ width: 9 }, `Expected ${ITEMS} vectors of width 10 but received ${ITEMS} of width 9`],
      [{ searchWidth: 0.5 }, 'Expected a valid "searchWidth"'],
      [{ id: "x" }, 'Expected "id" to be a sha256'],
      [{ id: undefined, members: undefined }, 'Expected "id"'],
    ];
    for (const [change, message] of changes) {
      await writeFile(description, JSON.stringify({ ...head, ...change }));
      await expectError(openIndex(output, model), "ERR_INDEX", message);
    }
  });
});

indexTest("a model without an id has no index; an aborted build leaves nothing", async () => {
  await withModel(async (at, model) => {
    using unsaved = handModel();
    await expectError(buildIndex(unsaved, { output: at("index") }), "ERR_MODEL", "save it with saveModel");
    const controller = new AbortController();
    const reason = new Error("enough");
    const onProgress = () => controller.abort(reason);
    const options = { output: at("index"), ...OPTIONS, signal: controller.signal, onProgress };
    await buildIndex(model, options).then(
      () => assert.unreachable(),
      (error) => assert.is(error, reason),
    );
    assert.equal(await readdir(at(".")), ["model"]);
  });
});

test.run();
