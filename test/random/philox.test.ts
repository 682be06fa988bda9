import { test } from "uvu";
import * as assert from "uvu/assert";
import { multiplyHigh, philox, RandomStream, STREAMS } from "../../src/random/philox.js";

function words(...counterAndKey: [number, number, number, number, number, number]): string {
  const output = new Uint32Array(4);
  philox(output, ...counterAndKey);
  return Array.from(output, (word) => word.toString(16).padStart(8, "0")).join(" ");
}

test("gives Random123's known answers", () => {
  const ones = 0xffffffff;
  assert.is(words(0, 0, 0, 0, 0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8");
  assert.is(words(ones, ones, ones, ones, ones, ones), "408f276d 41c83b0e a20bc7c6 6d5451fd");
  assert.is(
    words(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0),
    "d16cfe09 94fdcceb 5001e420 24126ea1",
  );
});

test("multiplyHigh is exact", () => {
  const edges = [0, 1, 2, 0xffff, 0x10000, 0x10001, 0x7fffffff, 0x80000000, 0xffff0000, 0xfffffffe, 0xffffffff];
  const random = new RandomStream(7, STREAMS.simulate);
  for (let i = 0; i < 200; i++) edges.push(random.word());
  for (const a of edges) {
    for (const b of edges) assert.is(multiplyHigh(a, b), Number((BigInt(a) * BigInt(b)) >> 32n), `${a} * ${b}`);
  }
});

test("a stream reads block after block", () => {
  const stream = new RandomStream(11, STREAMS.initial_values, [5, 6, 7]);
  const block = new Uint32Array(4);
  for (let j = 0; j < 12; j++) {
    philox(block, j >> 2, 5, 6, 7, 11, STREAMS.initial_values);
    assert.is(stream.word(), block[j % 4]);
  }
});

test("uniform, below and normal have their moments and bounds", () => {
  const stream = new RandomStream(3, STREAMS.simulate);
  const n = 100_000;
  const counts = new Float64Array(10);
  let [sum, squares, fourths, uniforms] = [0, 0, 0, 0];
  for (let i = 0; i < n; i++) {
    const u = stream.uniform();
    assert.ok(u >= 0 && u < 1);
    uniforms += u;
    counts[stream.below(10)]!++;
    const z = stream.normal();
    sum += z;
    squares += z * z;
    fourths += z ** 4;
  }
  assert.ok(Math.abs(uniforms / n - 0.5) < 0.005);
  for (const count of counts) assert.ok(Math.abs(count - n / 10) < 500, String(count));
  assert.ok(Math.abs(sum / n) < 0.015);
  assert.ok(Math.abs(squares / n - 1) < 0.02);
  assert.ok(Math.abs(fourths / n - 3) < 0.15);
  assert.is(stream.below(1), 0);
});

test("refuses a seed that is not a uint32", () => {
  for (const seed of [-1, 1.5, 2 ** 32, Number.NaN]) {
    assert.throws(
      () => new RandomStream(seed, 1),
      /Expected seed to be a whole number from 0 to 4294967295 but received/,
    );
  }
});

test.run();
