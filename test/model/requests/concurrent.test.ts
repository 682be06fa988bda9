import { writeFile } from "node:fs/promises";
import { setImmediate as setImmediateCallback } from "node:timers";
import { setImmediate } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Model, openModel, type Recommendation, recommend, type UserRequest } from "../../../src/index.js";
import { multiplicationsOf } from "../../../src/model/requests/multiplications.js";
import { temporaryFolder } from "../../cli/run.js";
import { failureOf } from "../../data/temporary.js";
import { all } from "../../small_model.js";
import { clicksOf, featuresOf, lineOf, makeRichModel, USERS } from "./rich_model.js";

const folder = temporaryFolder();
const at = (name: string) => `${folder}/${name}`;
let model: Model;
test.before(async () => {
  await makeRichModel(folder);
  model = await openModel(at("model"), { threads: 2 });
});
test.after(() => model.close());

const users = Array.from({ length: USERS }, (_, i): UserRequest => {
  return { features: featuresOf(i), history: clicksOf(i) };
});

/** The answers of calls that are made one after the other. */
async function inTurn(of: Model, options: object): Promise<Recommendation[]> {
  const answers: Recommendation[] = [];
  for (const user of users) answers.push(await of.recommend(user, options));
  return answers;
}

test("a log and requests of the same users get the same shortlists, bit for bit", async () => {
  for (const options of [{ top: 5 }, { top: 40, keepWatched: true }]) {
    const lists = await all(recommend(model, at("log.tsv"), options));
    for (const answers of [await inTurn(model, options), await model.recommend(users, options)]) {
      assert.equal(
        answers.map(({ items }) => items.map(({ item, score, probability }) => ({ item, score, probability }))),
        lists.map(({ items }) => items),
      );
    }
  }
});

test("calls that run side by side get what each gets alone", async () => {
  const one = await inTurn(model, { top: 7 });
  assert.equal(await Promise.all(users.map((user) => model.recommend(user, { top: 7 }))), one);
  const mixed = await Promise.all(
    users.map(async (user, i) => {
      if (i % 4 === 0) return model.recommend(user, { top: 7 });
      if (i % 4 === 1) return (await model.recommend([users[0]!, user], { top: 7 }))[1]!;
      const { items } = await model.recommend(user, { top: i % 4 === 2 ? 3 : 40 });
      return { ...one[i]!, items: i % 4 === 2 ? [...items, ...one[i]!.items.slice(3)] : items.slice(0, 7) };
    }),
  );
  assert.equal(mixed, one);
});

test("allowed items, scores and vectors have the bits of whole shortlists", async () => {
  const every = Array.from({ length: 40 }, (_, i) => `v${i}`);
  const lists = await model.recommend(users, { top: 40 });
  const allowed = await model.recommend(users, { top: 40, allow: every });
  const some = every.filter((_, i) => i % 3 === 0);
  const few = await Promise.all(users.map((user) => model.recommend(user, { top: 40, allow: some })));
  const scores = await model.score(users, every);
  for (const [u, { items }] of lists.entries()) {
    const pairs = items.map(({ item, score }) => [item, score] as const);
    assert.equal(
      allowed[u]!.items.map(({ item, score }) => [item, score]),
      pairs,
    );
    assert.equal(
      few[u]!.items.map(({ item, score }) => [item, score]),
      pairs.filter(([item]) => some.includes(item)),
    );
    const scoreOf = new Map(scores[u]!.items.map(({ item, score }) => [item, score]));
    for (const [item, score] of pairs) assert.is(scoreOf.get(item), score);
  }
  const vectors = await model.userVectors(users);
  const alone = await Promise.all(users.map((user) => model.userVectors(user)));
  assert.equal(vectors, alone);
});

test("small requests that wait for each other let the event loop turn", async () => {
  let turns = 0;
  let done = false;
  const turn = () => {
    turns++;
    if (!done) setImmediateCallback(turn);
  };
  setImmediateCallback(turn);
  for (const user of users) await model.recommend(user, { top: 3 });
  done = true;
  assert.ok(turns >= users.length, `${turns} turns`);
});

test("the multiplications of a run are those of its layers", () => {
  const { program } = model.executorFor(["user_vector"]);
  const sizes = new Map(program.tensors.map(({ name, shape }) => [name, shape.map(Number)]));
  const product = (...names: string[]) =>
    names.reduce((sum, name) => sum + sizes.get(name)!.reduce((a, b) => a * b, 1), 0);
  const dense = program.tensors.map(({ name }) => name).filter((name) => /^(hidden\d|user_vector)\.weight$/.test(name));
  assert.equal(multiplicationsOf(program), {
    perUser: product(...dense),
    perClick: product("lstm.input_weight", "lstm.recurrent_weight", "click.numbers_weight"),
  });
  const ranked = multiplicationsOf(model.executorFor(["items"]).program);
  assert.is(ranked.perUser - product(...dense), model.items.size * model.description.config.userVectorWidth);
});

test("reading weights does not wait for runs in flight", async () => {
  const calls = users.map((user) => model.recommend(user, { explain: true, top: 3 }));
  const similar = await Promise.all([model.similar("v1"), model.similar(["v2", "v3"])]);
  assert.is(similar[1].length, 2);
  const explained = await Promise.all(calls);
  assert.is(explained[24]!.items[0]!.because!.length, 3);
  assert.equal(await model.recommend(users[24]!, { explain: true, top: 3 }), explained[24]);
});

test("each call honours its own signal: before, while it waits, and while it is computed", async () => {
  const reason = new Error("enough");
  const expected = await inTurn(model, { top: 5 });
  assert.is(await failureOf(model.recommend(users[0]!, { signal: AbortSignal.abort(reason) })), reason);
  const controllers = users.map(() => new AbortController());
  const calls = users.map((user, i) => model.recommend(user, { top: 5, signal: controllers[i]!.signal }));
  const settled = Promise.allSettled(calls);
  for (const [i, controller] of controllers.entries()) {
    if (i % 100 === 50) await setImmediate();
    if (i % 3 === 0) controller.abort(reason);
  }
  let aborted = 0;
  for (const [i, result] of (await settled).entries()) {
    if (result.status === "fulfilled") assert.equal(result.value, expected[i]);
    else assert.is(result.reason, reason);
    if (result.status === "rejected") aborted++;
  }
  assert.ok(aborted > 50 && aborted <= 100, String(aborted));
  const late = new AbortController();
  const whole = model.recommend(users, { top: 5, signal: late.signal });
  setTimeout(() => late.abort(reason), 0);
  const [first] = await Promise.allSettled([whole]);
  if (first!.status === "rejected") assert.is(first!.reason, reason);
  for (const call of [
    (signal: AbortSignal) => model.similar("v1", { signal }),
    (signal: AbortSignal) => model.score(users, ["v1"], { signal }),
    (signal: AbortSignal) => model.userVectors(users, { signal }),
    (signal: AbortSignal) => model.recommend(users, { allow: ["v1", "v2"], signal }),
  ]) {
    assert.is(await failureOf(call(AbortSignal.abort(reason))), reason);
  }
});

test("closing the model rejects the calls that wait, and answers or rejects the others", async () => {
  const closing = await openModel(at("model"), { threads: 1 });
  await closing.recommend(users[0]!);
  const calls = users.map((user) => closing.recommend(user));
  await Promise.resolve();
  closing.close();
  for (const result of await Promise.allSettled(calls)) {
    if (result.status === "rejected") assert.match(String(result.reason), /closed/);
  }
});

test("the event loop runs while a large call is answered", async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const many = Array.from({ length: 5000 }, (_, i) => users[i % USERS]!);
  const answers = await model.recommend(many, { top: 40 });
  clearInterval(timer);
  assert.is(answers.length, 5000);
  assert.ok(turns > 5, String(turns));
});

test("lines and requests agree about every user, also with the words for missing values", async () => {
  await writeFile(at("odd.tsv"), `NULL\t\tv1:7:NULL:t1_NULL:5:.5:-2.5;v2::c9::::NULL\tnobody\n${lineOf(3)}\n`);
  const odd = {
    features: { user_id: "NULL", city: "nobody" },
    history: [
      { item: "v1", category: "NULL", tags: ["t1", null], time: 5, price: -2.5 },
      { item: "v2", category: "c9", tags: [] },
    ],
  };
  const lists = await all(recommend(model, at("odd.tsv")));
  const answers = await model.recommend([odd, users[3]!]);
  for (const [i, { items }] of lists.entries()) {
    assert.equal(
      answers[i]!.items.map(({ item, score, probability }) => ({ item, score, probability })),
      items,
    );
  }
  assert.equal(answers[0]!.unknown, [
    { field: "users[0].features.city", value: "nobody" },
    { field: "users[0].history[1].category", value: "c9" },
  ]);
});

test.run();
