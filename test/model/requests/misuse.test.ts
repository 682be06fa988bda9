import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Model, openModel, ShortlistError, type UserRequest } from "../../../src/index.js";
import { RandomStream, STREAMS } from "../../../src/random/philox.js";
import { temporaryFolder } from "../../cli/run.js";
import { expectError } from "../../data/temporary.js";
import { makeRichModel } from "./rich_model.js";

const folder = temporaryFolder();
let model: Model;
test.before(async () => {
  await makeRichModel(folder);
  model = await openModel(`${folder}/model`, { threads: 2 });
});
test.after(() => model.close());

const recommend = (user: unknown, options?: object) => model.recommend(user as UserRequest, options);

test("a request that does not fit the schema is refused with the name of the field", async () => {
  const object = "the user to be an object with features and history but received";
  const refused: readonly (readonly [user: unknown, message: string])[] = [
    [undefined, `Expected ${object} nothing`],
    [null, `Expected ${object} null`],
    ["u1", `Expected ${object} "u1"`],
    [new Map(), `Expected ${object} an object`],
    [() => {}, `Expected ${object} a function`],
    [[{}, 7], "Expected users[1] to be an object with features and history but received 7"],
    [[{}, { histroy: [] }], 'Unknown field "histroy" in users[1]. Did you mean "history"?'],
    [{ user: "u1" }, 'Unknown field "user" in the user. Expected features, history'],
    [{ features: ["u1"] }, "Expected features to be an object of features by name but received an array"],
    [{ features: { agee: 3 } }, 'Unknown feature "agee" in features. Did you mean "age"?'],
    [
      { features: { age: "31" } },
      'Expected features.age to be a finite number that float32 can hold but received "31"',
    ],
    [{ features: { age: Number.NaN } }, "Expected features.age to be a finite number"],
    [
      { features: { age: 1e300 } },
      "Expected features.age to be a finite number that float32 can hold but received 1e+300",
    ],
    [{ features: { city: 7 } }, "Expected features.city to be a string but received 7"],
    [{ features: { city: 7n } }, "Expected features.city to be a string but received 7n"],
    [{ features: { city: Symbol("x") } }, "Expected features.city to be a string but received a symbol"],
    [{ features: { city: "\ud800" } }, "Expected features.city to be text without halves of surrogate pairs"],
    [{ features: { toString: "x" } }, 'Unknown feature "toString" in features'],
    [{ history: "v1" }, 'Expected history to be an array of items and clicks, oldest first, but received "v1"'],
    [
      { history: [7] },
      "Expected history[0] to be an item or an object with item, shown, category, tags, time, seen, price but received 7",
    ],
    [{ history: ["v1", ""] }, 'Expected history[1] to be the token of an item but received ""'],
    [{ history: [{}] }, "Expected history[0].item to be the token of an item but received nothing"],
    [{ history: [{ item: null }] }, "Expected history[0].item to be the token of an item but received null"],
    [{ history: [{ itme: "v1" }] }, 'Unknown field "itme" in history[0]. Did you mean "item"?'],
    [
      { history: [{ item: "v1", category: ["c1"] }] },
      "Expected history[0].category to be a string but received an array",
    ],
    [{ history: [{ item: "v1", tags: "t1" }] }, 'Expected history[0].tags to be an array of strings but received "t1"'],
    [{ history: [{ item: "v1", tags: ["t1", 2] }] }, "Expected history[0].tags[1] to be a string but received 2"],
    ...[-1, "1", 1e39, Number.NaN].map((seen): [object, string] => [
      { history: [{ item: "v1", seen }] },
      "Expected history[0].seen to be a finite number of at least 0 but received",
    ]),
    ...["1", 1e39, Number.NaN].map((price): [object, string] => [
      { history: ["v2", { item: "v1", price }] },
      "Expected history[1].price to be a finite number that float32 can hold but received",
    ]),
    [{ history: [{ item: "v1", time: "noon" }] }, 'Expected history[0].time to be a finite number but received "noon"'],
    [
      { history: new Array(1) },
      "Expected history[0] to be an item or an object with item, shown, category, tags, time, seen, price but received",
    ],
  ];
  for (const [user, message] of refused) await expectError(recommend(user), "ERR_REQUEST", message);
  const long = "x".repeat(1000);
  const message = await expectError(recommend({ features: { age: long } }), "ERR_REQUEST", "… (1000 characters)");
  assert.ok(message.length < 250, message);
});

test("impossible options are refused", async () => {
  for (const [options, message] of [
    [{ exclude: "v1" }, 'Expected exclude to be an array of items but received "v1"'],
    [{ exclude: ["v1", 2] }, "Expected exclude[1] to be the token of an item but received 2"],
    [{ allow: new Set(["v1"]) }, "Expected allow to be an array of items but received an object"],
    [{ allow: null }, "Expected allow to be an array of items but received null"],
  ] as const) {
    await expectError(recommend({}, options), "ERR_REQUEST", message);
    await expectError(model.similar("v1", options as object), "ERR_REQUEST", message);
  }
  for (const [options, message] of [
    [{ top: 0 }, "Expected top to be a whole number of at least 1 but received 0"],
    [{ top: "3" }, "Expected top to be a whole number"],
    [{ keepWatched: 1 }, "Expected keepWatched to be true or false but received 1"],
    [{ explain: "yes" }, 'Expected explain to be true or false but received "yes"'],
    [{ signal: {} }, "Expected signal to be an AbortSignal but received an object"],
    [{ tpo: 3 }, 'Model.recommend: Unknown option "tpo". Did you mean "top"?'],
    [null, "Model.recommend: Expected an object of options but received null"],
  ] as const) {
    await expectError(recommend({}, options as object), "ERR_OPTION", message);
  }
  await expectError(
    model.score({}, "v1" as never),
    "ERR_REQUEST",
    'Expected items to be an array of items but received "v1"',
  );
  await expectError(model.score({}, [3] as never), "ERR_REQUEST", "Expected items[0] to be the token of an item");
  await expectError(model.similar(3 as never), "ERR_REQUEST", "Expected items to be the token of an item or an array");
  await expectError(model.similar([3] as never), "ERR_REQUEST", "Expected items[0] to be the token of an item");
  await expectError(model.userVectors(3 as never), "ERR_REQUEST", "Expected the user to be an object");
});

test("a part of a call that is refused refuses the whole call, and no other one", async () => {
  const users = Array.from({ length: 300 }, (_, i) => (i === 250 ? { history: [1] } : { history: ["v1"] }));
  const [bad, good] = await Promise.allSettled([recommend(users), recommend({ history: ["v1"] })]);
  assert.is(bad!.status, "rejected");
  assert.match((bad as PromiseRejectedResult).reason.message, "users[250].history[0]");
  assert.is(good!.status, "fulfilled");
});

/** Values of every kind, valid ones among them. */
const VALUES: readonly unknown[] = [
  ...[undefined, null, true, 0, -1, 1.5, 1e39, Number.NaN, Number.POSITIVE_INFINITY, 7n, Symbol("s"), () => 1],
  ...["", "v1", "v2", "c1", "t1", "u1", "NULL", "<unk>", "\0", "\t", "\ud800", "😀", "x".repeat(5000), "__proto__"],
  ...[[], {}, new Map(), new Date(0), new Int32Array(2), Object.create(null), /x/, new Proxy({}, {}), [[["v1"]]]],
];
const NAMES = [
  "features",
  "history",
  "user_id",
  "age",
  "city",
  "item",
  "category",
  "tags",
  "time",
  "",
  "constructor",
  "length",
];

test("10,000 random requests: an answer or a refusal, never another error", async () => {
  const random = new RandomStream(20, STREAMS.simulate);
  const pick = <T>(values: readonly T[]): T => values[random.below(values.length)]!;
  const value = (depth: number): unknown => {
    if (depth === 0 || random.below(3) === 0) return pick(VALUES);
    if (random.below(2) === 0) return Array.from({ length: random.below(4) }, () => value(depth - 1));
    return Object.fromEntries(Array.from({ length: random.below(4) }, () => [pick(NAMES), value(depth - 1)]));
  };
  const click = (): unknown => {
    if (random.below(4) === 0) return value(2);
    if (random.below(2) === 0) return `v${random.below(50)}`;
    return { item: "v3", ...(random.below(2) && { category: "c1" }), ...(random.below(8) === 0 && { tags: value(1) }) };
  };
  const user = (): unknown => {
    if (random.below(5) === 0) return value(3);
    const features = random.below(4) === 0 ? value(2) : { age: random.below(9) === 0 ? value(0) : 3, city: "p1" };
    const history = random.below(6) === 0 ? value(2) : Array.from({ length: random.below(5) }, click);
    return random.below(9) === 0 ? { features, history, [pick(NAMES)]: value(1) } : { features, history };
  };
  const options = (): object => {
    if (random.below(3) > 0) return { top: 3 };
    return Object.fromEntries(
      [pick(["top", "exclude", "allow", "keepWatched", "explain"])].map((name) => [name, value(1)]),
    );
  };
  const counts = { answered: 0, refused: 0 };
  const check = async (call: Promise<unknown>) => {
    try {
      await call;
      counts.answered++;
    } catch (error) {
      assert.instance(error, ShortlistError, String((error as Error)?.stack));
      assert.ok(["ERR_REQUEST", "ERR_OPTION"].includes((error as ShortlistError).code), String(error));
      counts.refused++;
    }
  };
  for (let round = 0; round < 200; round++) {
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => {
        if (i % 10 === 0) return check(model.score(user() as never, value(1) as never));
        if (i % 10 === 1) return check(model.similar(value(2) as never, options()));
        return check(recommend(random.below(4) === 0 ? [user(), user()] : user(), options()));
      }),
    );
  }
  assert.is(counts.answered + counts.refused, 10_000);
  assert.ok(Math.min(counts.answered, counts.refused) > 1000, JSON.stringify(counts));
});

test.run();
