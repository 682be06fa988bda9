import { test } from "uvu";
import * as assert from "uvu/assert";
import { ShortlistError } from "../../src/errors.js";
import { createNativeEngine, createReferenceEngine } from "../../src/executors/index.js";
import { OPS } from "../../src/ops/index.js";
import { type RandomValues, randomValues } from "../../src/random/initial_values.js";
import { philox, STREAMS } from "../../src/random/philox.js";

const normal: RandomValues = { kind: "normal", scale: 0.25, seed: 7, tensor: 0x9e3779b9 };
const uniform: RandomValues = { ...normal, kind: "uniform" };

function values(random: RandomValues, count: number, offset = 0): Float32Array {
  const array = new Float32Array(count);
  randomValues(random, array, offset);
  return array;
}

test("normals are Box and Muller's of the tensor's Philox words", () => {
  const words = new Uint32Array(4);
  const found = values(normal, 40_000);
  for (let i = 0; i < found.length; i += 4) {
    philox(words, i / 4, 0, normal.tensor, 0, normal.seed, STREAMS.initial_values);
    for (let j = 0; j < 4; j += 2) {
      const radius = 0.25 * Math.sqrt(-2 * Math.log((words[j]! + 0.5) / 2 ** 32));
      const angle = (2 * Math.PI * (words[j + 1]! + 0.5)) / 2 ** 32;
      const expected = [radius * Math.cos(angle), radius * Math.sin(angle)];
      for (let k = 0; k < 2; k++) {
        const error = Math.abs(found[i + j + k]! - expected[k]!);
        assert.ok(
          error <= 2 ** -23 * Math.abs(expected[k]!) + 1e-12,
          `${i + j + k}: ${found[i + j + k]} for ${expected[k]}`,
        );
      }
    }
  }
});

test("values have the requested distribution", () => {
  const moments = (random: RandomValues, power: number) =>
    values(random, 1 << 18).reduce((sum, x) => sum + (x / 0.25) ** power, 0) / (1 << 18);
  for (const [random, second, fourth] of [
    [normal, 1, 3],
    [uniform, 1 / 3, 1 / 5],
  ] as const) {
    assert.ok(Math.abs(moments(random, 1)) < 0.01, random.kind);
    assert.ok(Math.abs(moments(random, 2) - second) < 0.01, random.kind);
    assert.ok(Math.abs(moments(random, 4) - fourth) < 0.06, random.kind);
  }
  assert.ok(values(uniform, 1 << 18).every((x) => x >= -0.25 && x <= 0.25));
});

test("filling a part of a tensor gives the values of the whole", () => {
  for (const random of [normal, uniform]) assert.equal(values(random, 9, 1000), values(random, 1009).subarray(1000));
});

test("stores of both engines are filled with the same bits", () => {
  for (const random of [normal, uniform]) {
    for (const count of [0, 1, 2, 3, 5, 200_003]) {
      const filled = [createNativeEngine(), createReferenceEngine({ ops: OPS })].map((engine) => {
        const store = engine.createStore();
        store.define({ name: "table", dtype: "float32", shape: [count] });
        store.fill("table", random);
        return store.read("table");
      });
      assert.equal(filled[0], filled[1], `${random.kind}, ${count}`);
      assert.equal(filled[0], values(random, count));
    }
  }
});

test("an impossible fill is an error with its reason", () => {
  const store = createNativeEngine().createStore();
  store.define({ name: "ids", dtype: "int32", shape: [3] });
  for (const [name, message] of [
    ["ids", /Expected a tensor of float32 .* but "ids" is int32/],
    ["missing", /no tensor "missing"/],
  ] as const) {
    assert.throws(
      () => store.fill(name, normal),
      (error: Error) => error instanceof ShortlistError && message.test(error.message),
    );
  }
});

test.run();
