import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { catalogueOf, type Dataset, openDataset, prepareDataset } from "../../src/data/dataset.js";
import { parseSchema } from "../../src/data/schema.js";
import { prepareTables } from "../../src/data/tables/prepare_tables.js";
import { HAS_DUCKDB } from "./table_files.js";
import { expectError, withFolder } from "./temporary.js";

const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "city" }, { name: "clicks" }, { name: "age", kind: "number" }],
  click: [{ name: "item" }, { name: "tags", multiple: true }, { name: "time", kind: "time" }],
});

/** Makes datasets from the lines of logs. Warnings go to `warnings`. */
function makerIn(folder: string) {
  const at = (name: string) => join(folder, name);
  const warnings: string[] = [];
  let logs = 0;
  const prepare = async (name: string, lines: readonly string[], from?: string, others: object = {}) => {
    const log = at(`log-${logs++}.tsv`);
    await writeFile(log, lines.map((line) => `${line}\n`).join(""));
    const options = from === undefined ? { schema: SCHEMA, featureAppearLimit: 0 } : { from: at(from) };
    const onWarning = (message: string) => warnings.push(message);
    return prepareDataset({ logs: [log], output: at(name), ...options, onWarning, threads: 1, ...others });
  };
  return { at, prepare, warnings, open: (name: string) => openDataset(at(name)) };
}

/** The clicks of each user as tokens: `user city age | item(tags)@time …`; new clicks follow `+`. */
function linesOf({ schema, vocabularies, clicks, knownClicks }: Dataset): string[] {
  const token = (name: string, id: number) => (id === 0 ? "?" : vocabularies.get(name)!.token(id));
  const [item, tags] = clicks.itemFeatures;
  assert.is(schema.click.length, 3);
  return Array.from({ length: clicks.users }, (_, user) => {
    const features = clicks.userFeatures.map(({ name, ids }) => token(name, ids[user]!));
    const start = clicks.clickOffsets[user]!;
    const ofUser = Array.from({ length: clicks.clickOffsets[user + 1]! - start }, (_, i) => {
      const click = start + i;
      const values = Array.from(tags!.ids.subarray(tags!.offsets![click], tags!.offsets![click + 1]), (id) =>
        token("tags", id),
      );
      const mark = i === knownClicks?.[user] ? "+ " : "";
      return `${mark}${token("item", item!.ids[click]!)}(${values.join()})@${clicks.times!.values[click]}`;
    });
    return `${features.join(" ")} ${clicks.numbers[0]!.values[user]} | ${ofUser.join(" ")}`;
  });
}

const NONE = { evicted: { items: 0, users: 0 } };
const FIRST = ["a\tRome\tx:t1:1;y:t1_t2:2;x:t1:3\t30", "b\tOslo\ty:t2:2;z:t3:4\t40", "c\tRome\tx:t1:5\t"];
const SECOND = ["b\t\tw:t9:11;x:t1:12\t41", "d\tLima\tw:t9:10;v:t1:13\t20"];

test("a dataset grows: old ids stay, new values follow by their counts, and clicks follow those of their user", async () => {
  await withFolder(async (folder) => {
    const { prepare, open } = makerIn(folder);
    await prepare("old", FIRST);
    const { growth, users, clicks } = await prepare("new", SECOND, "old");
    assert.equal(growth, { clicks: 4, users: 1, values: { user_id: 1, city: 1, item: 2, tags: 1 }, ...NONE });
    assert.equal([users, clicks], [4, 10]);
    const [old, grown] = [await open("old"), await open("new")];
    for (const [name, vocabulary] of old.vocabularies) {
      assert.equal(grown.vocabularies.get(name)!.tokens.slice(0, vocabulary.size), vocabulary.tokens, name);
    }
    assert.equal(grown.vocabularies.get("item")!.tokens.slice(-2), ["w", "v"]);
    const whole = await prepare("whole", [...FIRST, ...SECOND]).then(() => open("whole"));
    for (const [name, { tokens, counts }] of whole.vocabularies) {
      const found = grown.vocabularies.get(name)!;
      for (const [id, token] of tokens.entries()) {
        assert.is(found.counts[found.idOf(id === 0 ? null : token)], counts[id], token);
      }
    }
    assert.equal(linesOf(grown), [
      "a Rome 30 | x(t1)@1 y(t1,t2)@2 x(t1)@3",
      "b Oslo 41 | y(t2)@2 z(t3)@4 + w(t9)@11 x(t1)@12",
      "c Rome NaN | x(t1)@5",
      "d Lima 20 | + w(t9)@10 v(t1)@13",
    ]);
    assert.equal(grown.numbers, old.numbers, "the network was trained with the old statistics");
    assert.equal(grown.grown, { from: old.id, updates: 1 });
    assert.is(whole.grown, undefined);
    assert.equal(
      grown.logs.map(({ lines }) => lines),
      [3, 2],
    );
  });
});

test("growing twice is growing by both; --history keeps the last clicks, and the attributes of items that lose theirs", async () => {
  await withFolder(async (folder) => {
    const { prepare, open } = makerIn(folder);
    await prepare("old", FIRST);
    await prepare("once", SECOND, "old");
    await prepare("twice", ["a\tBari\tv:t2:20\t", "e\tOslo\tu:t5:21\t1"], "once", { history: 2 });
    const twice = await open("twice");
    assert.equal(linesOf(twice), [
      "a Bari 30 | y(t1,t2)@2 x(t1)@3 + v(t2)@20",
      "b Oslo 41 | w(t9)@11 x(t1)@12",
      "c Rome NaN | x(t1)@5",
      "d Lima 20 | w(t9)@10 v(t1)@13",
      "e Oslo 1 | + u(t5)@21",
    ]);
    assert.is(twice.grown!.updates, 2);
    const [tags] = catalogueOf(twice);
    const z = twice.vocabularies.get("item")!.idOf("z");
    const ids = tags!.ids.subarray(tags!.offsets![z], tags!.offsets![z + 1]);
    assert.equal(
      Array.from(ids, (id) => twice.vocabularies.get("tags")!.token(id)),
      ["t3"],
    );
  });
});

test("the limits of the dataset hold for new values; values that it left out stay out", async () => {
  await withFolder(async (folder) => {
    const { prepare, open } = makerIn(folder);
    const options = { schema: SCHEMA, featureAppearLimit: { item: 1, user_id: 0, city: 0, tags: 0 } };
    await prepare("old", FIRST, undefined, options);
    const { features } = await prepare("new", ["d\tLima\tw:t9:10;z:t1:13;w:t9:14\t20"], "old");
    const { vocabularies, clicks, appearLimits } = await open("new");
    assert.equal(vocabularies.get("item")!.tokens, ["<unk>", "x", "y", "w"]);
    assert.equal([...vocabularies.get("item")!.counts], [2, 3, 2, 2]);
    assert.equal([...clicks.itemFeatures[0]!.ids.slice(-3)], [3, 0, 3]);
    assert.is(appearLimits["item"], 1);
    const { values, valuesLeftOut, usesLeftOut } = features.find(({ name }) => name === "item")!;
    assert.equal([values, valuesLeftOut, usesLeftOut], [2, 1, 1]);
  });
});

test("counts decay by half in `halfLife` growths, on average exactly, and never to 0", async () => {
  await withFolder(async (folder) => {
    const { prepare, open } = makerIn(folder);
    const items = Array.from({ length: 60 }, (_, i) => Array.from({ length: i + 1 }, () => `i${i}:t:1`));
    await prepare("g0", [`a\tRome\t${items.flat().join(";")}\t1`]);
    const before = (await open("g0")).vocabularies.get("item")!;
    for (let growth = 1; growth <= 4; growth++)
      await prepare(`g${growth}`, ["b\tRome\ti0:t:2\t1"], `g${growth - 1}`, { halfLife: 4 });
    const after = (await open("g4")).vocabularies.get("item")!;
    assert.equal(after.tokens, before.tokens);
    let [sum, expected] = [0, 0];
    for (let id = 1; id < before.size; id++) {
      const [old, left] = [before.counts[id]!, after.counts[id]!];
      assert.ok(Number.isInteger(left) && left >= 1);
      if (before.token(id) === "i0") continue;
      assert.ok(Math.abs(left - old / 2) <= 2, `${old} became ${left}`);
      sum += left;
      expected += old / 2;
    }
    assert.ok(Math.abs(sum - expected) < 0.02 * expected, `${sum}, not about ${expected}`);
  });
});

test("items and users without a click in the last growths are dropped, and the ids of the others close the gaps", async () => {
  await withFolder(async (folder) => {
    const { prepare, open } = makerIn(folder);
    await prepare("g0", FIRST);
    const days = [["b\t\tx:t1:12\t41"], ["d\tLima\tw:t9:20\t2"], ["b\t\tw:t9:30\t"]];
    for (const [day, lines] of days.entries()) {
      const { growth } = await prepare(`g${day + 1}`, lines, `g${day}`, { evictAfter: 2 });
      // y, z, and a and c had their last clicks in the first dataset.
      assert.equal(growth!.evicted, day === 1 ? { items: 2, users: 2 } : { items: day === 2 ? 1 : 0, users: 0 });
    }
    const second = await open("g2");
    assert.equal(second.vocabularies.get("item")!.tokens, ["<unk>", "x", "w"]);
    assert.equal([...second.vocabularies.get("item")!.counts], [3, 4, 1]);
    assert.equal(second.vocabularies.get("user_id")!.tokens, ["<unk>", "b", "d"]);
    assert.equal(linesOf(second), ["b Oslo 41 | ?(t2)@2 ?(t3)@4 x(t1)@12", "d Lima 2 | + w(t9)@20"]);
    assert.equal(second.grown, { from: (await open("g1")).id, updates: 2, evicted: true });
    const third = await open("g3");
    assert.equal(third.vocabularies.get("item")!.tokens, ["<unk>", "w"]);
    assert.equal(linesOf(third), ["b Oslo 41 | ?(t2)@2 ?(t3)@4 ?(t1)@12 + w(t9)@30", "d Lima 2 | w(t9)@20"]);
    assert.equal(third.lastGrowths, { items: Int32Array.of(0, 3), users: Int32Array.of(3, 2) });
  });
});

test("searches: old ones come before the new clicks, new ones not before the old clicks; several values of a user", async () => {
  await withFolder(async (folder) => {
    const { prepare, open } = makerIn(folder);
    const schema = parseSchema({
      columns: [
        { name: "user_id" },
        { name: "languages", multiple: true },
        { name: "searches", kind: "tokens" },
        { name: "clicks" },
      ],
      click: [{ name: "item" }],
    });
    await prepare("old", ["a\ten_de\tred car;blue\tx;y", "b\tfr\t\ty;x"], undefined, { schema, featureAppearLimit: 0 });
    await prepare("new", ["b\t\tgreen;red\tz", "a\tfr_nl\tcar\tz;x", "c\ten\tblue\tx"], "old", { evictAfter: 5 });
    await prepare("shrunk", ["c\t\tred\ty"], "new", { evictAfter: 2, history: 1 });
    const describe = ({ vocabularies, clicks }: Dataset) => {
      const [searched, languages] = [clicks.searches![0]!, clicks.userFeatures[1]!];
      const tokens = (name: string, ids: Int32Array) =>
        Array.from(ids, (id) => vocabularies.get(name)!.token(id)).join("+");
      return Array.from({ length: clicks.users }, (_, user) => {
        const { queryOffsets, offsets, ids, before } = searched;
        const queries = Array.from({ length: queryOffsets[user + 1]! - queryOffsets[user]! }, (_, q) => {
          const query = queryOffsets[user]! + q;
          return tokens("searches", ids.subarray(offsets[query], offsets[query + 1]));
        });
        const own = languages.ids.subarray(languages.offsets![user], languages.offsets![user + 1]);
        const counts = before!.subarray(clicks.clickOffsets[user], clicks.clickOffsets[user + 1]);
        return `${tokens("languages", own)} | ${queries.join(", ")} | ${counts.join()}`;
      });
    };
    assert.equal(describe(await open("new")), [
      "fr+nl | red+car+red car, blue, car | 2,2,3,3",
      "fr | green, red | 0,0,2",
      "en | blue | 1",
    ]);
    assert.equal(describe(await open("shrunk")), [
      "fr+nl | red+car+red car, blue, car | 3",
      "fr | green, red | 2",
      "en | blue, red | 1,2",
    ]);
    await prepare("gone", ["c\t\tblue\ty"], "shrunk", { evictAfter: 1 });
    assert.equal(describe(await open("gone")), ["en | blue, red, blue | 1,2,3"]);
  });
});

test("late clicks are warned of, and what does not fit is refused with a way out", async () => {
  await withFolder(async (folder) => {
    const { at, prepare, warnings } = makerIn(folder);
    await prepare("old", FIRST);
    await prepare("again", FIRST, "old");
    assert.ok(
      warnings.some((warning) => /3 of 6 new clicks .* added before\?/.test(warning)),
      warnings.join("\n"),
    );
    const refused = (others: object, pattern: RegExp) =>
      expectError(prepare("new", SECOND, "old", others), "ERR_OPTION", pattern);
    await refused({ schema: SCHEMA }, /no schema beside from/);
    await refused({ holdOut: "last" }, /no holdOut beside from/);
    await refused({ halfLife: 0 }, /halfLife/);
    await refused({ history: 0 }, /history/);
    await expectError(prepare("new", FIRST, undefined, { history: 3 }), "ERR_OPTION", /from.* beside history/);
    const anonymous = parseSchema({ columns: [{ name: "clicks" }], click: [{ name: "item" }] });
    await prepare("anonymous", ["x;y", "y;z"], undefined, { schema: anonymous });
    await expectError(prepare("new", ["x;y"], "anonymous"), "ERR_DATASET", /column "user_id"/);
    if (!HAS_DUCKDB) return;
    await writeFile(at("events.csv"), "user_id,item_id,time\na,x,1\nb,y,2\n");
    const tables = { source: { events: { files: [at("events.csv")] } }, from: at("old"), output: at("new") };
    await expectError(prepareTables(tables), "ERR_DATASET", /Expected the schema of .* --items/);
  });
});

test("tables grow a dataset like click logs, one event a user is enough, and items without events stay new", async () => {
  if (!HAS_DUCKDB) return;
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    const table = async (name: string, rows: readonly string[]) =>
      writeFile(at(name), rows.map((row) => `${row}\n`).join(""));
    await table("items.csv", ["item_id,genre,title", "x,g1,The X", "y,g2,The Y", "z,g1,The Z", "w,g3,The W"]);
    await table("day1.csv", ["user_id,item_id,time", "a,x,1", "a,y,2", "b,y,1", "b,x,3"]);
    await table("day2.csv", ["user_id,item_id,time", "b,z,11", "c,x,12"]);
    await table("items2.csv", ["item_id,genre,title", "z,g1,The new Z", "v,g2,The V"]);
    const source = (day: string, items: string) => ({
      events: { files: [at(day)] },
      items: { files: [at(items)], features: [{ column: "genre" }] },
    });
    await prepareTables({ source: source("day1.csv", "items.csv"), output: at("old") });
    const report = await prepareTables({
      source: source("day2.csv", "items2.csv"),
      output: at("new"),
      from: at("old"),
    });
    assert.is(report.newItems, 2);
    assert.equal(report.growth, { clicks: 2, users: 1, values: { user_id: 1, item: 1, genre: 0 }, ...NONE });
    const { vocabularies, clicks, knownClicks, titles, ...dataset } = await openDataset(at("new"));
    const items = vocabularies.get("item")!;
    assert.equal(items.tokens.slice(3), ["z", "w", "v"]);
    assert.equal([...items.counts.slice(3)], [1, 0, 0]);
    assert.equal([...knownClicks!], [2, 2, 0]);
    assert.equal([...clicks.clickOffsets], [0, 2, 5, 6]);
    assert.is(titles!.titleOf(items.idOf("z")), "The new Z");
    assert.is(titles!.titleOf(items.idOf("w")), "The W");
    const [genre] = catalogueOf({ ...dataset, vocabularies, clicks } as Dataset);
    const genres = vocabularies.get("genre")!;
    assert.equal(
      Array.from(genre!.ids.slice(3), (id) => genres.token(id)),
      ["g1", "<unk>", "g2"],
    );
    assert.match(await readFile(at("new/dataset.json"), "utf8"), /"updates": 1/);
  });
});

test.run();
