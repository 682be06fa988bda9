import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { prepareDataset } from "../../src/data/dataset.js";
import { parseSchema } from "../../src/data/schema.js";
import { isKnownUser, readsUserIds, warnOfUnknown } from "../../src/model/known.js";
import { openModel } from "../../src/model/model.js";
import { type MineUsersOptions, mineUsers } from "../../src/retrieve/mine.js";
import { recommend, type Shortlist } from "../../src/retrieve/recommend.js";
import { writeUserVectors } from "../../src/retrieve/vectors.js";
import { train } from "../../src/train/trainer.js";
import { run, temporaryFolder } from "../cli/run.js";
import { expectError } from "../data/temporary.js";
import { A, ANN, BOB, clicksOf, handModel } from "../hand_model.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SET = ["lstmWidth=8", "userVectorWidth=8", "hiddenWidths=[8]", "batchSize=64", "epochs=1"];
const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "clicks" }],
  click: [{ name: "item" }, { name: "tags", multiple: true }],
});

test.before(async () => {
  const lines = Array.from({ length: 30 }, (_, u) => {
    return `u${u}\t${Array.from({ length: 6 }, (_, c) => `i${(u + c * c) % 9}:t${c % 2}_t${u % 3}`).join(";")}\n`;
  });
  await writeFile(at("log.tsv"), lines.join(""));
  await writeFile(at("users.txt"), "u3\nnobody\nu1 \n");
  await writeFile(at("strangers.txt"), "nobody\nsomebody\n");
  await writeFile(at("mixed.tsv"), "u2\tnew:NULL\nnobody\tnew:x;i1:x\nnobody\tnew:t1\nnobody\tnew:x_y;newer:\n");
  await prepare("dataset", 0);
  await prepare("rare", 5);
  await trainSmall("dataset", "model");
  await trainSmall("rare", "nameless");
  await trainSmall("dataset", "blind", 'exclude=["user_id"]');
});

const prepare = (output: string, featureAppearLimit: number) =>
  prepareDataset({ logs: [at("log.tsv")], output: at(output), schema: SCHEMA, featureAppearLimit });
const trainSmall = (dataset: string, output: string, ...set: string[]) =>
  train({ dataset: at(dataset), output: at(output), threads: 1, set: [...SET, ...set] });

async function listsOf(lists: AsyncIterable<Shortlist>): Promise<[user: string, known: boolean][]> {
  const found: [string, boolean][] = [];
  for await (const { user, known, items } of lists) {
    assert.ok(items.length > 0);
    found.push([user, known ?? true]);
  }
  return found;
}

async function mine(model: string, options: MineUsersOptions) {
  const warnings: string[] = [];
  const opened = await openModel(at(model), { threads: 1 });
  const lists = await listsOf(
    mineUsers(opened, { ...options, top: 3, onWarning: (message) => warnings.push(message) }),
  );
  opened.close();
  return { lists, warnings };
}

test("mine users marks the users that the model does not know, and says how many there are", async () => {
  const { lists, warnings } = await mine("model", { users: at("users.txt") });
  assert.equal(lists, [
    ["u3", true],
    ["nobody", false],
    ["u1 ", false],
  ]);
  assert.equal(warnings, [`The model knows 1 of the 3 users of ${at("users.txt")}, not "nobody"`]);
  const { lists: all, warnings: none } = await mine("model", {});
  assert.equal([all.length, all.every(([, known]) => known), none.length], [30, true, 0]);
});

test("mine users refuses input for which the result would be empty or the same for everybody", async () => {
  const strangers = mine("model", { users: at("strangers.txt") });
  await expectError(
    strangers,
    "ERR_OPTION",
    `The model knows none of the 2 users of ${at("strangers.txt")}, such as "nobody"`,
  );
  const log = at("log.tsv");
  await expectError(
    mine("model", { users: at("strangers.txt"), log }),
    "ERR_OPTION",
    `${log} holds none of the 2 users`,
  );
  await expectError(mine("nameless", {}), "ERR_OPTION", 'left every value of "user_id" out');
  await expectError(mine("nameless", { users: at("users.txt") }), "ERR_OPTION", "--log");
  await expectError(mine("blind", {}), "ERR_OPTION", 'The model does not read "user_id"');
  const { lists } = await mine("nameless", { log });
  assert.equal([lists.length, lists.every(([, known]) => known)], [30, true]);
});

test("mine users by a log says which users are not in it", async () => {
  const { lists, warnings } = await mine("model", { users: at("users.txt"), log: at("log.tsv") });
  assert.equal(lists, [["u3", true]]);
  assert.equal(warnings, [`${at("log.tsv")} holds 1 of the 3 users of ${at("users.txt")}, not "nobody"`]);
});

test("recommend and vectors say of how many users the model knows nothing: neither the id nor a click", async () => {
  const model = await openModel(at("model"), { threads: 1 });
  const warnings: string[] = [];
  const onWarning = (message: string) => warnings.push(message);
  const lists = await listsOf(recommend(model, at("mixed.tsv"), { onWarning }));
  assert.equal(
    lists.map(([, known]) => known),
    [true, true, true, false],
  );
  await writeUserVectors(model, at("mixed.tsv"), { output: at("vectors"), onWarning });
  const said = `${at("mixed.tsv")}: The model knows neither the id nor any click of 1 of 4 users`;
  assert.is(warnings.length, 2);
  for (const warning of warnings) assert.match(warning, said);
  model.close();
});

test("by hand: a user is known by the id or by one click", () => {
  const model = handModel();
  const isKnown = isKnownUser(
    model,
    clicksOf([
      [ANN, []],
      [0, []],
      [0, [0, 0]],
      [0, [0, A, 0]],
      [BOB, [0]],
    ]),
  );
  assert.equal([0, 1, 2, 3, 4].map(isKnown), [true, false, false, true, true]);
  assert.is(readsUserIds(model), true);
  model.close();
});

test("by hand: only users that are asked for are counted, and nothing is said where all are known", async () => {
  const warnings: string[] = [];
  const clicks = clicksOf(Array.from({ length: 3000 }, () => [0, []] as const));
  const options = { onWarning: (text: string) => warnings.push(text) };
  await warnOfUnknown("x.tsv", clicks, () => true, options);
  assert.equal(warnings, []);
  await warnOfUnknown("x.tsv", clicks, (user) => user !== 2999, options);
  await warnOfUnknown(
    "x.tsv",
    clicks,
    (user) => user % 2 === 0,
    options,
    (user) => user < 1500,
  );
  assert.equal(
    warnings.map((text) => / of (\d+ of \d+) users/.exec(text)![1]),
    ["1 of 3000", "750 of 1500"],
  );
});

test("on the command line: a message and an exit code instead of silence", () => {
  const { status, stdout, stderr } = run(["mine", "users", at("nameless")]);
  assert.equal([status, stdout], [1, ""]);
  assert.match(stderr, "The model knows no user by id");
  const some = run(["mine", "users", at("model"), "--users", at("users.txt"), "--top", "1"]);
  assert.is(some.status, 0);
  assert.match(some.stderr, "warning: The model knows 1 of the 3 users");
  assert.is(some.stdout.match(/"known":false/g)?.length, 2);
  const recommended = run(["recommend", at("model"), at("mixed.tsv"), "--top", "1"]);
  assert.match(recommended.stderr, /warning: .* 1 of 4 users/);
});

test.run();
