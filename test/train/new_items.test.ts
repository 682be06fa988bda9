import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { valuesOf } from "../../src/data/catalogue.js";
import { Titles } from "../../src/data/titles.js";
import { Turns } from "../../src/data/turns.js";
import {
  extendModelFolder,
  inspect,
  minePopular,
  mineSimilar,
  openDataset,
  openModel,
  type PrepareTablesOptions,
  prepareTables,
  recommend,
  type TableSource,
  train,
} from "../../src/index.js";
import { HAS_DUCKDB } from "../data/table_files.js";
import { expectError, withFolder } from "../data/temporary.js";
import { all, SMALL } from "../small_model.js";

const tables = HAS_DUCKDB ? test : test.skip;

type At = (name: string) => string;

/** 60 users with five events each on twelve items of three kinds, which have one or two tags. */
const KINDS = ["drama", "war", "comedy"];
const ITEMS = Array.from({ length: 12 }, (_, i) => `v${i}`);
const EVENTS = Array.from({ length: 300 }, (_, e) => {
  const user = e % 60;
  return {
    user: `u${user}`,
    item: `v${(user * 5 + (e % 7) * 3 + Math.floor(e / 60)) % 12}`,
    time: 1_600_000_000 + e * 60,
  };
});
const rowOf = (item: string, i: number) => `${item},Film ${i}: a tale,${KINDS[i % 3]},${i % 2 ? "old" : "old|long"}`;
const KNOWN = ITEMS.map(rowOf);
/** In another order than that of the bytes. One has a kind that no event names. */
const NEW = [
  "z9,Film ninety-nine,war,long",
  "n1,,drama,old|long",
  "a2,Film of nothing,opera,",
  "n0,Film 𝄞 zero,comedy,old",
];

async function withTables(work: (at: At) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    const rows = EVENTS.map(({ user, item, time }) => `${user},${item},${time}`);
    await writeFile(at("events"), ["user_id,item_id,timestamp", ...rows, ""].join("\n"));
    await work(at);
  });
}

const FEATURES = [{ column: "kind" }, { column: "tags", kind: "list", separator: "|" }] as const;

async function prepare(
  at: At,
  output: string,
  rows: readonly string[],
  options: Partial<PrepareTablesOptions> = {},
): ReturnType<typeof prepareTables> {
  await writeFile(at("items"), ["item_id,title,kind,tags", ...rows, ""].join("\n"));
  const source: TableSource = {
    events: { files: [at("events")] },
    items: { files: [at("items")], features: FEATURES },
  };
  return prepareTables({ source, output: at(output), featureAppearLimit: 0, ...options });
}

tables("items of a table without events are new items of the dataset, with their attributes and titles", async () => {
  await withTables(async (at) => {
    const prepared = await prepare(at, "ds", [...NEW, ...KNOWN]);
    assert.is(prepared.newItems, 4);
    const dataset = await openDataset(at("ds"));
    const { vocabularies, newItems, catalogue, titles } = dataset;
    const { tokens, counts } = vocabularies.get("item")!;
    assert.equal([newItems, tokens.length], [4, 17]);
    assert.equal(tokens.slice(13), ["a2", "n0", "n1", "z9"]);
    assert.equal([...counts.slice(13)], [0, 0, 0, 0]);
    const textsOf = (id: number) =>
      catalogue!.map((values) =>
        Array.from(valuesOf(values, id), (value) => vocabularies.get(values.name)!.token(value)),
      );
    assert.equal([13, 14, 15, 16].map(textsOf), [
      [["<unk>"], ["<unk>"]],
      [["comedy"], ["old"]],
      [["drama"], ["old", "long"]],
      [["war"], ["long"]],
    ]);
    for (const [i, item] of ITEMS.entries()) {
      const id = tokens.indexOf(item);
      assert.equal(textsOf(id), [[KINDS[i % 3]], i % 2 ? ["old"] : ["old", "long"]]);
      assert.is(titles!.titleOf(id), `Film ${i}: a tale`);
    }
    assert.equal(
      [13, 14, 15, 16, 0].map((id) => titles!.titleOf(id)),
      ["Film of nothing", "Film 𝄞 zero", undefined, "Film ninety-nine", undefined],
    );
    const inspection = await inspect(at("ds"));
    assert.ok(inspection.kind === "dataset");
    assert.equal([inspection.newItems, inspection.titles], [4, 15]);
    // Rows without events say nothing of the events: everything else is the same without them.
    await prepare(at, "known", KNOWN);
    const known = await openDataset(at("known"));
    assert.equal([known.newItems, known.catalogue], [0, undefined]);
    assert.equal(known.clicks, dataset.clicks);
    assert.equal(known.vocabularies.get("kind")!.tokens, vocabularies.get("kind")!.tokens);
  });
});

tables("training on a dataset with new items is training without them, and extending the model by them", async () => {
  await withTables(async (at) => {
    await prepare(at, "ds", [...NEW, ...KNOWN]);
    await prepare(at, "known", KNOWN);
    const options = { set: [...SMALL, "epochs=2"], threads: 1, seed: 7 };
    await train({ ...options, dataset: at("ds"), output: at("model") });
    await train({ ...options, dataset: at("known"), output: at("model-known") });
    await writeFile(
      at("new.tsv"),
      "\ta2::;n0:comedy:old;n1:drama:old_long;z9:war:long\n".replaceAll(/(:\w*)(?=[;\n])/g, "$1:"),
    );
    await extendModelFolder(at("model-known"), { logs: [at("new.tsv")], output: at("extended") });
    const [found, expected] = [await openModel(at("model")), await openModel(at("extended"))];
    try {
      assert.equal(found.items.tokens, expected.items.tokens);
      assert.equal(found.description.catalogue, expected.description.catalogue);
      for (const name of ["output.weight", "output.bias", "embedding.item", "embedding.kind"]) {
        assert.equal(found.store.read(name), expected.store.read(name), name);
      }
      assert.is(found.description.training.extendedItems, 4);
      const inspection = await inspect(at("model"));
      assert.ok(inspection.kind === "model");
      assert.equal([inspection.items, inspection.titles], [16, 15]);
      // An epoch's model is what training continues from, without the new items.
      const epoch = await openModel(at("model/epoch-2"));
      assert.equal(epoch.items.size, 13);
      assert.equal(epoch.store.read("output.weight"), found.store.read("output.weight", 0, 13 * 8));
      epoch.close();
    } finally {
      found.close();
      expected.close();
    }
  });
});

tables("shortlists and lists of similar and popular items show titles", async () => {
  await withTables(async (at) => {
    await prepare(at, "ds", [...NEW, ...KNOWN]);
    await train({ dataset: at("ds"), output: at("model"), set: SMALL, steps: 2, threads: 1 });
    const model = await openModel(at("model"));
    try {
      await writeFile(at("log.tsv"), "u1\tv1:war:old:5\n");
      const [shortlist] = await all(recommend(model, at("log.tsv"), { top: 20 }));
      assert.is(shortlist!.items.length, 15);
      const titleIn = (item: string) => shortlist!.items.find((found) => found.item === item)!.title;
      assert.equal(["v3", "z9", "n1"].map(titleIn), ["Film 3: a tale", "Film ninety-nine", undefined]);
      const [popular] = await all(minePopular(model, { top: 1 }));
      assert.match(popular!.title!, /^Film \d+: a tale$/);
      const similar = (await all(mineSimilar(model, { top: 16 }))).find(({ item }) => item === "z9")!;
      assert.is(similar.title, "Film ninety-nine");
      assert.is(similar.similar.find(({ item }) => item === "n0")!.title, "Film 𝄞 zero");
    } finally {
      model.close();
    }
  });
});

tables("an item whose events are all held out is a new item, and the finished model is evaluated on it", async () => {
  await withTables(async (at) => {
    const late = Array.from({ length: 30 }, (_, u) => `u${u},v99,1700000000`);
    await writeFile(at("events"), `${await readFile(at("events"), "utf8")}${late.join("\n")}\nu0,v98,1700000001\n`);
    const row = rowOf("v99", 3);
    const split = { holdOut: { splitTime: 1_700_000_000 } };
    const prepared = await prepare(at, "ds", [...KNOWN, row, ...NEW], split);
    assert.equal([prepared.newItems, prepared.testUsers], [5, 30]);
    const { vocabularies } = await openDataset(at("ds"));
    // An item without a row is not known of.
    assert.equal(vocabularies.get("item")!.tokens.slice(13), ["a2", "n0", "n1", "v99", "z9"]);
    const options = { dataset: at("ds"), output: at("model"), set: SMALL, steps: 2, threads: 1 };
    const { evaluation } = await train({ ...options, testLog: at("ds/test.tsv") });
    assert.equal([evaluation!.users, evaluation!.unknownTargets, evaluation!.protocol.rankedItems], [30, 0, 17]);
    // Epochs are compared by what is trained.
    const validation = { log: at("ds/test.tsv") };
    await expectError(train({ ...options, validation }), "ERR_LOG", "The model knows none of the target items");
  });
});

tables("items are new only if the table has attributes to recommend them by; many new items are doubtful", async () => {
  await withTables(async (at) => {
    const warnings: string[] = [];
    const onWarning = (message: string) => warnings.push(message.replace(/^\S+: /, ""));
    await writeFile(at("items"), ["item_id,title", "v1,One", "x1,New", ""].join("\n"));
    const source: TableSource = { events: { files: [at("events")] }, items: { files: [at("items")] } };
    const prepared = await prepareTables({ source, output: at("ds"), onWarning });
    assert.is(prepared.newItems, 0);
    assert.equal(warnings.slice(0, 2), [
      "11 of 12 items of the events have no row: their features are missing",
      "1 items have a row but no event: they are left out",
    ]);
    const { titles, vocabularies } = await openDataset(at("ds"));
    assert.is(titles!.titleOf(vocabularies.get("item")!.idOf("v1")), "One");
    assert.is(titles!.known, 1);
    warnings.length = 0;
    const many = Array.from({ length: 13 }, (_, i) => `x${i},,war,`);
    await prepare(at, "ds", [...KNOWN, ...many], { onWarning });
    assert.match(warnings[0]!, "13 items have a row but no event, more than the 12 with events");
  });
});

tables("damaged titles and counts of new items are refused", async () => {
  await withTables(async (at) => {
    await prepare(at, "ds", [...NEW, ...KNOWN]);
    await writeFile(at("ds/titles.txt"), `${await readFile(at("ds/titles.txt"), "utf8")}x\n`);
    await expectError(openDataset(at("ds")), "ERR_DATASET", "titles.txt: Expected sha256");
    await prepare(at, "ds", [...NEW, ...KNOWN]);
    const description = JSON.parse(await readFile(at("ds/dataset.json"), "utf8"));
    for (const count of [-1, 1.5, 16, "4"]) {
      await writeFile(at("ds/dataset.json"), JSON.stringify({ ...description, new_items: count }));
      await expectError(openDataset(at("ds")), "ERR_DATASET", `an impossible number of new_items, ${count}`);
    }
  });
});

test("titles are lines by id, without breaks", async () => {
  const titles = Titles.of([null, "A\tb", undefined, " é\r\nß ", "\n"]);
  assert.equal(
    Array.from({ length: 6 }, (_, id) => titles.titleOf(id)),
    [undefined, "A\tb", undefined, "é ß", undefined, undefined],
  );
  assert.equal([titles.size, titles.known], [5, 2]);
  const more = titles.append(["C", null]);
  assert.equal(
    [more.size, more.titleOf(3), more.titleOf(5), more.first(4).size, more.first(4).titleOf(3)],
    [7, "é ß", "C", 4, "é ß"],
  );
  const parse = (bytes: Buffer, items: number) => Titles.parse(bytes, items, "titles.txt", "ERR_MODEL", new Turns());
  for (const [text, items] of [
    ["a\nb", 2],
    ["a\n", 2],
    ["a\nb\nc\n", 2],
    ["", 1],
  ] as const) {
    await expectError(parse(Buffer.from(text), items), "ERR_MODEL", "a line of UTF-8 text for each of");
  }
  await expectError(parse(Buffer.of(0xff, 10), 1), "ERR_MODEL", "a line of UTF-8 text for each of");
  const many = Array.from({ length: 100_000 }, (_, id) => (id % 3 === 1 ? "" : `titlé ${id}`));
  const parsed = await parse(Buffer.from(`${many.join("\n")}\n`), many.length);
  assert.equal(
    many.map((_, id) => parsed.titleOf(id) ?? ""),
    many,
  );
  assert.is(parsed.append(["last"]).titleOf(many.length), "last");
});

test.run();
