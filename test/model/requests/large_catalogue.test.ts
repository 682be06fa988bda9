import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model, Recommendation } from "../../../src/index.js";
import { failureOf } from "../../data/temporary.js";
import { modelOf } from "../../hand_model.js";

// Shortlists without probabilities from a catalogue that is large enough for the search by a first pass in 8 bits.

const ITEMS = 40_000;
const WIDTH = 32;
const nameOf = (item: number) => `v${item}`;

/** Elements from −1 to 1, in eighths, so that many scores are equal. */
function values(name: string, elements: number): Float32Array {
  let state = name.length;
  return Float32Array.from({ length: elements }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 16) % 17) / 8 - 1;
  });
}

const names = Array.from({ length: ITEMS }, (_, item) => nameOf(item));
const make = (valuesOf = values) => modelOf(names, new Array(ITEMS).fill(1), WIDTH, 2, valuesOf);
let model: Model;
test.before(() => {
  model = make();
});
test.after(() => model.close());

const users = Array.from({ length: 9 }, (_, user) => ({
  features: { user_id: ["ann", "bob", "zoe"][user % 3] },
  history: Array.from({ length: user * 3 }, (_, click) => nameOf((user * 7919 + click * 104729) % ITEMS)),
}));

const withoutProbabilities = (answers: readonly Recommendation[]) =>
  answers.map(({ items }) => items.map(({ probability: _, ...item }) => item));
const itemsOf = (answers: readonly Recommendation[]) => answers.map(({ items }) => items);

test("shortlists without probabilities have the items and scores of those with them", async () => {
  const best = (await model.recommend(users[8]!, { top: 5 })).items.map(({ item }) => item);
  for (const options of [{ top: 1 }, { top: 100 }, { top: 300, keepWatched: true }, { top: 20, exclude: best }]) {
    const withThem = await model.recommend(users, { ...options, probabilities: true });
    assert.ok(withThem.every(({ items }) => items.every(({ probability }) => probability! > 0)));
    const expected = withoutProbabilities(withThem);
    const asked = { ...options, probabilities: false };
    assert.equal(itemsOf(await model.recommend(users, options)), expected, "the default of a large catalogue");
    assert.equal(itemsOf(await model.recommend(users, asked)), expected);
    assert.equal(itemsOf(await Promise.all(users.map((user) => model.recommend(user, asked)))), expected);
    for (const [i, user] of users.entries()) assert.equal((await model.recommend(user, asked)).items, expected[i]);
  }
});

test("explanations and lists of allowed items come without probabilities", async () => {
  const allow = names.filter((_, item) => item % 100 === 0);
  for (const options of [
    { top: 3, explain: true },
    { top: 7, allow },
  ]) {
    const expected = withoutProbabilities(await model.recommend(users, { ...options, probabilities: true }));
    assert.equal(itemsOf(await model.recommend(users, { ...options, probabilities: false })), expected);
  }
});

test("a user whose scores are not finite is named", async () => {
  const broken = make((name, elements) => {
    const all = values(name, elements);
    return name === "embedding.user_id" ? all.fill(3e38, WIDTH) : all; // <unk> keeps its own
  });
  try {
    for (const probabilities of [true, false]) {
      const error = await failureOf(broken.recommend([{}, users[1]!], { probabilities }));
      assert.match(error.message, /users\[1\]/);
      assert.is((error as { code?: string }).code, "ERR_DIVERGED");
      assert.is((await broken.recommend({}, { probabilities })).items.length, 30);
    }
  } finally {
    broken.close();
  }
});

test.run();
