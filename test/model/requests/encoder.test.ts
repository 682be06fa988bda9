import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSchema } from "../../../src/data/schema.js";
import { Turns } from "../../../src/data/turns.js";
import { UNKNOWN, Vocabulary } from "../../../src/data/vocabulary.js";
import type { ModelDescription } from "../../../src/model/model.js";
import { RequestEncoder } from "../../../src/model/requests/encoder.js";
import { expectError } from "../../data/temporary.js";

const vocabulary = (...tokens: string[]) => new Vocabulary([UNKNOWN, ...tokens], new Float64Array(tokens.length + 1));

/** An encoder of a schema with fields that are named as methods of all objects are. */
function encoder(): RequestEncoder {
  const schema = parseSchema({
    columns: [{ name: "valueof" }, { name: "constructor" }, { name: "size", kind: "number" }, { name: "clicks" }],
    click: [{ name: "item" }, { name: "tostring", multiple: true }, { name: "color" }, { name: "time", kind: "time" }],
  });
  const description = {
    schema,
    vocabularies: new Map([
      ["valueof", vocabulary("a", "b")],
      ["constructor", vocabulary("x", "y")],
      ["item", vocabulary("v1", "v2")],
      ["tostring", vocabulary("t1", "t2", "t3")],
      ["color", vocabulary("red")],
    ]),
    numbers: new Map([["size", { mean: 1, standardDeviation: 2 }]]),
    catalogue: [
      { name: "tostring", ids: Int32Array.of(3, 1, 2), offsets: Int32Array.of(0, 0, 1, 3) },
      { name: "color", ids: Int32Array.of(0, 1, 0), offsets: undefined },
    ],
  };
  return new RequestEncoder(description as unknown as ModelDescription);
}

const encode = (...users: unknown[]) =>
  encoder().encode(users, 0, users.length, (user) => `users[${user}].`, new Turns());

test("users become ids: features of both kinds, single and multiple values, the item table", async () => {
  const { clicks, unknown } = await encode(
    {
      features: { constructor: "y", size: 2.5 },
      history: ["v2", { item: "v1", time: 3 }, { item: "v9", tostring: ["t2", null, "t7"], color: "red" }],
    },
    {},
    { features: { valueof: "b" }, history: [{ item: "v2", tostring: [], color: null }] },
  );
  assert.equal(clicks.clickOffsets, Int32Array.of(0, 3, 3, 4));
  assert.equal(
    clicks.userFeatures.map(({ ids }) => [...ids]),
    [
      [0, 0, 2],
      [2, 0, 0],
    ],
  );
  assert.equal([...clicks.numbers[0]!.values], [2.5, Number.NaN, Number.NaN]);
  const [item, tags, color] = clicks.itemFeatures;
  assert.equal(item!.ids, Int32Array.of(2, 1, 0, 2));
  assert.equal(tags!.offsets, Int32Array.of(0, 2, 3, 6, 7));
  assert.equal(tags!.ids, Int32Array.of(1, 2, 3, 2, 0, 0, 0));
  assert.equal(color!.ids, Int32Array.of(0, 1, 1, 0));
  assert.is(clicks.times!.values.length, 4);
  assert.equal(unknown, [
    [
      { field: "users[0].history[2].item", value: "v9" },
      { field: "users[0].history[2].tostring[2]", value: "t7" },
    ],
    [],
    [],
  ]);
});

test("a field with the name of a method of all objects is missing unless it is given", async () => {
  const { clicks } = await encode({ features: {}, history: [{ item: "v1" }] });
  assert.equal(
    clicks.userFeatures.map(({ ids }) => ids[0]),
    [0, 0],
  );
  await expectError(
    encode({ features: { constructor: () => {} } }),
    "ERR_REQUEST",
    "Expected users[0].features.constructor to be a string but received a function",
  );
});

test.run();
