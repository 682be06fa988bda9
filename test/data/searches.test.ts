import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createTrainingBatches, NextClickBatches } from "../../src/data/batches.js";
import type { Clicks, Searches } from "../../src/data/clicks.js";
import { type Dataset, openDataset, type PrepareOptions, prepareDataset } from "../../src/data/dataset.js";
import { readSafetensors, writeSafetensors } from "../../src/data/safetensors.js";
import { parseSchema } from "../../src/data/schema.js";
import { queryTokens, SEARCH_WINDOW } from "../../src/data/searches.js";
import { LENGTHS, randomClicks, withSearches } from "./random_clicks.js";
import { expectError, withFolder } from "./temporary.js";

test("tokens of a query: its words in lower case, then its pairs of neighbouring words", () => {
  const tokens = (query: string) => queryTokens(query).join("|");
  assert.is(tokens("Cat videos, 2024!"), "cat|videos|2024|cat videos|videos 2024");
  assert.is(tokens("one"), "one");
  assert.is(tokens(""), "");
  assert.is(tokens(" ?! \t"), "");
  assert.is(tokens("don't"), "don|t|don t");
  assert.is(tokens("a a a"), "a|a|a|a a|a a");
  assert.is(tokens("ÜBER-größe ＦＵＬＬ ﬁn ½"), "über|größe|full|fin|1|2|über größe|größe full|full fin|fin 1|1 2");
  assert.is(tokens("ΟΔΟΣ οδος"), "οδοσ|οδοσ|οδοσ οδοσ");
  assert.is(tokens("हिन्दी गाने"), "हिन्दी|गाने|हिन्दी गाने");
  assert.is(tokens("猫の動画"), "猫の動画");
  assert.is(tokens("e\u0301 \u0301"), "e\u0301");
  assert.is(tokens("𝐁𝐨𝐥𝐝 𠀋"), "bold|𠀋|bold 𠀋");
});

const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "languages", multiple: true }, { name: "searches", kind: "tokens" }].concat([
    { name: "clicks" } as never,
  ]),
  click: [{ name: "item" }],
});

async function prepare(
  lines: readonly string[],
  check: (dataset: Dataset, folder: string) => void | Promise<void>,
  options: Partial<PrepareOptions> = {},
): Promise<void> {
  await withFolder(async (folder) => {
    await writeFile(join(folder, "log.tsv"), lines.map((line) => `${line}\n`).join(""));
    const output = join(folder, "dataset");
    const logs = [join(folder, "log.tsv")];
    const prepared = await prepareDataset({ logs, output, schema: SCHEMA, featureAppearLimit: 0, ...options });
    assert.equal(
      prepared.features.map(({ name, unit }) => `${name} ${unit}`),
      ["user_id lines", "languages uses", "searches tokens", "item clicks"],
    );
    await check(await openDataset(output), output);
  });
}

/** The queries of each user as tokens, and the languages. */
function textsOf({ clicks, vocabularies }: Dataset): string[] {
  const [searches] = clicks.searches as [Searches];
  const languages = clicks.userFeatures[1]!;
  const tokens = (name: string, ids: Int32Array) => [...ids].map((id) => vocabularies.get(name)!.tokens[id]);
  return Array.from({ length: clicks.users }, (_, user) => {
    const queries: string[] = [];
    for (let q = searches.queryOffsets[user]!; q < searches.queryOffsets[user + 1]!; q++) {
      queries.push(tokens("searches", searches.ids.subarray(searches.offsets[q], searches.offsets[q + 1])).join("+"));
    }
    const { ids, offsets } = languages;
    return `${tokens("languages", ids.subarray(offsets![user], offsets![user + 1])).join("_")}: ${queries.join(", ")}`;
  });
}

test("a column of searches and one of several values become arrays of a dataset", () =>
  prepare(
    [
      "u1\ten_de\tFunny cats;;dogs;funny CATS\ta;b",
      "u2\tNULL\tNULL\tb;a",
      "u3\tde\t!;null;cats\ta;b",
      "u4\tde_NULL_en\t\tb;b",
    ],
    (dataset) => {
      const { clicks, vocabularies } = dataset;
      assert.equal(textsOf(dataset), [
        "en_de: funny+cats+funny cats, dogs, funny+cats+funny cats",
        "<unk>: ",
        "de: , cats",
        "de_<unk>_en: ",
      ]);
      assert.equal([...clicks.searches![0]!.queryOffsets], [0, 3, 3, 5, 5]);
      assert.is(clicks.searches![0]!.before, undefined);
      const { tokens, counts } = vocabularies.get("searches")!;
      assert.equal(tokens, ["<unk>", "cats", "funny", "funny cats", "dogs"]);
      assert.equal([...counts], [0, 3, 2, 2, 1]);
      assert.equal([...vocabularies.get("languages")!.counts], [2, 3, 2]);
    },
  ));

test("tokens that are too rare are left out of their queries", () =>
  prepare(
    ["u1\ten\tcats;rare cats\ta;b", "u2\ten\tcats\tb;a"],
    (dataset) => {
      assert.equal(textsOf(dataset), ["en: cats, cats", "en: cats"]);
      assert.equal([...dataset.vocabularies.get("searches")!.counts], [2, 3]);
    },
    { featureAppearLimit: { searches: 1, languages: 0, item: 0, user_id: 0 } },
  ));

test("lines of one user: searches one after the other, the languages of the last line that has any", () =>
  prepare(
    [
      "u1\ten_de\tcats\ta;b",
      "u2\ten\tbirds;birds dogs\tb",
      "u1\tNULL\t\ta",
      "u1\tde\tdogs;cats\tb",
      "u2\tNULL\tcats\ta",
    ],
    (dataset) => {
      assert.equal(textsOf(dataset), ["de: cats, dogs, cats", "en: birds, birds+dogs+birds dogs, cats"]);
    },
  ));

test("damaged arrays of searches are refused", () =>
  prepare(["u1\ten_de\tcats;dogs\ta;b", "u2\ten\tbirds\tb;a"], async (_, folder) => {
    const path = join(folder, "clicks.safetensors");
    const { tensors, metadata } = await readSafetensors(path, "ERR_DATASET");
    const whole = await readFile(path);
    for (const [name, values, message] of [
      ["searches_queries", [0, 2, 4], 'Expected "searches_queries" to run from 0 to 3'],
      ["searches_queries", [0, 2], 'Expected 3 elements of "searches_queries"'],
      ["searches_offsets", [0, 2, 1, 3], 'Expected "searches_offsets" to rise but element 2 falls'],
      ["searches", [1, 2, 4], 'Expected ids of "searches" from 0 to 3'],
      ["searches_before", [0, 3, 0, 0], 'Expected "searches_before" to rise up to 2 but element 1 is 3'],
      ["searches_before", [1, 0, 0, 0], 'Expected "searches_before" to rise up to 2 but element 1 is 0'],
      ["languages_offsets", [0, 0, 3], 'Expected "languages_offsets" to rise'],
    ] as const) {
      const changed = new Map(tensors).set(name, {
        dtype: "int32",
        shape: [values.length],
        data: Int32Array.from(values),
      });
      const written = [...changed].map(([tensor, { dtype, shape, data }]) => ({ name: tensor, dtype, shape, data }));
      await writeFile(path, whole);
      await writeSafetensors(path, written as never, metadata);
      await expectError(openDataset(folder), "ERR_DATASET", message);
    }
  }));

/** The tokens that each sample of a batch reads. */
function searchedTokens(name: string, batch: { readonly inputs: Readonly<Record<string, unknown>> }): number[][] {
  const [ids, offsets, start, end] = ["", "_offsets", "_start", "_end"].map(
    (part) => batch.inputs[name + part] as Int32Array,
  ) as [Int32Array, Int32Array, Int32Array, Int32Array];
  return Array.from(start, (from, s) => [...ids.subarray(offsets[from], offsets[end[s]!])]);
}

test("a sample reads the last queries before its target and no later ones", () => {
  const clicks = withSearches(randomClicks([...LENGTHS, 90], 0.2));
  const expected = ({ queryOffsets, offsets, ids }: Searches, user: number, count: number) => {
    const end = queryOffsets[user]! + count;
    const start = Math.max(queryOffsets[user]!, end - SEARCH_WINDOW);
    return [...ids.subarray(offsets[start], offsets[end])];
  };
  const userOf = (click: number) => clicks.clickOffsets.findIndex((offset) => offset > click) - 1;
  for (const batching of ["shuffled", "shared"] as const) {
    const options = { clicks, window: 1000, batchSize: 16, seed: 1, batching };
    const batches = createTrainingBatches(options);
    const seen = new Set<string>();
    for (let b = 0; b < batches.batchesPerEpoch; b++) {
      const batch = batches.batch(0, b);
      const [ends, category] = [batch.inputs["sample_end"]!, batch.inputs["category"]!];
      for (const searches of clicks.searches!) {
        const found = searchedTokens(searches.name, batch);
        ends.forEach((end, s) => {
          // The category of a click is its index + 1. The target follows the last click of the history, but for those
          // that are <unk>, which are no targets; an empty history has category 0, and then the user tells the first.
          const last = category[end - 1]! - 1;
          let target = last < 0 ? clicks.clickOffsets[batch.inputs["user_id"]![s]!]! : last + 1;
          while (clicks.itemFeatures[0]!.ids[target] === 0) target++;
          const user = userOf(target);
          const queries = searches.queryOffsets[user + 1]! - searches.queryOffsets[user]!;
          assert.equal(found[s], expected(searches, user, searches.before?.[target] ?? queries), `${b}, ${s}`);
          seen.add(found[s]!.length > 0 ? searches.name : "none");
        });
      }
    }
    assert.equal([...seen].sort(), ["none", "past", "searches"]);
  }
  const next = new NextClickBatches({ clicks, window: 5, batchSize: clicks.users }).batch(0);
  for (const searches of clicks.searches!) {
    searchedTokens(searches.name, next).forEach((found, user) => {
      assert.equal(found, expected(searches, user, searches.queryOffsets[user + 1]! - searches.queryOffsets[user]!));
    });
  }
});

test("samples of a user share the queries that they read, and without searches batches are what they were", () => {
  const plain = randomClicks([40, 90], 0);
  const clicks: Clicks = withSearches(plain);
  const options = { window: 10, batchSize: 128, seed: 1, batching: "shared" } as const;
  const [without, searched] = [plain, clicks].map((of) =>
    createTrainingBatches({ ...options, clicks: of }).batch(0, 0),
  );
  const queries = clicks.searches![1]!.queryOffsets;
  assert.ok(
    searched!.dims["past_queries"]! <= 32 * Math.min(SEARCH_WINDOW, Math.max(queries[1]!, queries[2]! - queries[1]!)),
  );
  for (const [name, values] of Object.entries(without!.inputs)) assert.equal(searched!.inputs[name], values, name);
  assert.equal({ ...searched!.dims, ...without!.dims }, searched!.dims);
});

test.run();
