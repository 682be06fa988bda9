import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Dataset, openDataset, type PrepareOptions, prepareDataset } from "../../src/data/dataset.js";
import { parseSchema } from "../../src/data/schema.js";
import { expectError, withFolder } from "./temporary.js";

const COLUMNS = [{ name: "user_id" }, { name: "city" }, { name: "age", kind: "number" }, { name: "clicks" }];
const TIMED = parseSchema({
  columns: COLUMNS,
  click: [{ name: "item" }, { name: "tags", multiple: true }, { name: "time", kind: "time" }],
});
const UNTIMED = parseSchema({ columns: COLUMNS, click: [{ name: "item" }, { name: "tags", multiple: true }] });

/** Prepares a log of these lines; returns the dataset and the warnings. */
async function prepare(lines: readonly string[], schema: typeof TIMED, options: Partial<PrepareOptions> = {}) {
  const warnings: string[] = [];
  let prepared: Awaited<ReturnType<typeof prepareDataset>> | undefined;
  let dataset: Dataset | undefined;
  await withFolder(async (folder) => {
    const [log, output] = [join(folder, "log.tsv"), join(folder, "dataset")];
    await writeFile(log, `${lines.join("\n")}\n`);
    const onWarning = (message: string) => warnings.push(message);
    prepared = await prepareDataset({ logs: [log], output, schema, featureAppearLimit: 0, onWarning, ...options });
    dataset = await openDataset(output);
  });
  return { prepared: prepared!, dataset: dataset!, warnings };
}

/** The users as texts: `user city age: item tags time, …`. */
function textsOf({ clicks, vocabularies }: Dataset): string[] {
  const token = (name: string, id: number) => vocabularies.get(name)!.tokens[id]!;
  const [item, tags] = clicks.itemFeatures as [(typeof clicks.itemFeatures)[0], (typeof clicks.itemFeatures)[0]];
  return Array.from({ length: clicks.users }, (_, user) => {
    const [start, end] = [clicks.clickOffsets[user]!, clicks.clickOffsets[user + 1]!];
    const events = Array.from({ length: end - start }, (_, k) => {
      const click = start + k;
      const names = [...tags.ids.subarray(tags.offsets![click]!, tags.offsets![click + 1]!)].map((id) =>
        token("tags", id),
      );
      return [
        token("item", item.ids[click]!),
        names.join("_"),
        ...(clicks.times ? [clicks.times.values[click]] : []),
      ].join(" ");
    });
    const features = clicks.userFeatures.map(({ name, ids }) => token(name, ids[user]!));
    return `${features.join(" ")} ${clicks.numbers[0]!.values[user]}: ${events.join(", ")}`;
  });
}

test("lines of one user are joined, their clicks in the order of their times", async () => {
  const { prepared, dataset, warnings } = await prepare(
    ["u1\trome\t30\ta:x:10;b:y_z:30", "u2\toslo\t\tc:x:5", "u1\t\t31\td:z:20;e:y:30;f:x:40", "u1\tnice\t\tg:x:1"],
    TIMED,
  );
  assert.equal(textsOf(dataset), ["u1 nice 31: g x 1, a x 10, d z 20, b y_z 30, e y 30, f x 40", "u2 oslo NaN: c x 5"]);
  assert.equal([prepared.users, prepared.joinedLines, prepared.clicks], [2, 2, 7]);
  assert.is(
    warnings[0],
    "2 of 4 lines are of users who have an earlier line: each user's lines were joined, their clicks in the order of their times. --repeat-users keep takes every line for a user",
  );
});

test("joining keeps the order within a line, and clicks without a time behind those before them", async () => {
  const { dataset } = await prepare(["u\tc\t1\ta:x:10;b:x:;c:x:30", "u\tc\t1\td:x:;e:x:20;f:x:15;g:x:40"], TIMED);
  assert.equal(textsOf(dataset), ["u c 1: d x NaN, a x 10, b x NaN, e x 20, f x 15, c x 30, g x 40"]);
});

test("without times lines follow each other; users without an identity stay apart", async () => {
  const { dataset, warnings } = await prepare(
    ["u\trome\t1\tb:x", "NULL\trome\t1\tc:x", "u\trome\t2\ta:x_y;b:x", "NULL\trome\t1\td:x"],
    UNTIMED,
  );
  assert.equal(textsOf(dataset), ["u rome 2: b x, a x_y, b x", "<unk> rome 1: c x", "<unk> rome 1: d x"]);
  assert.match(warnings[0]!, "their clicks in the order of the lines.");
});

test("lines are joined by an identity that is no feature", async () => {
  const columns = [
    { name: "user_id", kind: "ignore" },
    { name: "city" },
    { name: "age", kind: "number" },
    { name: "clicks" },
  ];
  const schema = parseSchema({ columns, click: [{ name: "item" }, { name: "tags", multiple: true }] });
  const { dataset } = await prepare(["u\trome\t1\tb:x", "v\trome\t2\ta:x", "u\tnice\t3\ta:x"], schema);
  assert.equal(textsOf(dataset), ["nice 3: b x, a x", "rome 2: a x"]);
});

test("the id of a dataset depends on its contents, not on the name of the log", async () => {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    const idOf = async (name: string, text: string) => {
      await writeFile(at(name), text);
      await prepareDataset({ logs: [at(name)], output: at("ds"), schema: UNTIMED, featureAppearLimit: 0 });
      return JSON.parse(await readFile(at("ds/dataset.json"), "utf8")).id;
    };
    const id = await idOf("a.tsv", "u\trome\t1\tb:x;c:x\n");
    assert.is(await idOf("b.tsv", "u\trome\t1\tb:x;c:x\n"), id);
    assert.is.not(await idOf("c.tsv", "u\trome\t1\tc:x;b:x\n"), id);
  });
});

test("keep takes every line for a user, and says how many lines that concerns", async () => {
  const lines = ["u\trome\t1\tb:x", "u\trome\t2\ta:x"];
  const { prepared, dataset, warnings } = await prepare(lines, UNTIMED, { repeatUsers: "keep" });
  assert.equal(textsOf(dataset), ["u rome 1: b x", "u rome 2: a x"]);
  assert.is(prepared.joinedLines, 0);
  assert.match(warnings[0]!, "1 of 2 lines are of users who have an earlier line: each is taken for a user of its own");
  await expectError(prepare(lines, UNTIMED, { repeatUsers: "both" as never }), "ERR_OPTION", "repeatUsers");
});

test("a log with a line for each user is not touched, and clicks that were logged twice are reported", async () => {
  const lines = Array.from({ length: 40 }, (_, u) => `u${u}\tc\t1\ta${u}:x:${100 + u};b:x:${200 + u};b:x:${200 + u}`);
  const { prepared, dataset, warnings } = await prepare(lines, TIMED);
  assert.equal([prepared.users, prepared.joinedLines], [40, 0]);
  assert.is(textsOf(dataset)[7], "u7 c 1: a7 x 107, b x 207, b x 207");
  assert.is(warnings.length, 1);
  assert.match(warnings[0]!, "40 of 120 clicks repeat the item and the time of an earlier click");
});

test.run();
