import { test } from "uvu";
import * as assert from "uvu/assert";
import { RandomStream, STREAMS } from "../../src/random/philox.js";
import {
  itemVectors,
  largestSquare,
  simpleLshItems,
  simpleLshUsers,
  userVectors,
} from "../../src/retrieve/simple_lsh.js";
import { assertNumbers } from "../ops/harness.js";

test("the bias becomes a coordinate: [1; u] · [b; w] is the score", () => {
  assert.equal([...userVectors(Float32Array.of(2, 3, 5, 7), 2)], [1, 2, 3, 1, 5, 7]);
  assert.equal([...itemVectors(Float32Array.of(2, 3, 5, 7), Float32Array.of(-1, 4))], [-1, 2, 3, 4, 5, 7]);
  assert.is(userVectors(new Float32Array(0), 2).length, 0);
});

test("all items get the norm of the largest item", () => {
  const items = Float32Array.of(3, 4, 0, 0, 0, 3);
  assert.is(largestSquare(items, 2), 25);
  assertNumbers(simpleLshItems(items, 2), [3, 4, 0, 0, 0, 5, 0, 3, 4]);
  assertNumbers(simpleLshItems(items.subarray(4), 2, 25), [0, 3, 4]);
  assert.is(largestSquare(new Float32Array(0), 2), 0);
});

test("users get norm 1 and no share in the added coordinate; a zero vector stays zero", () => {
  assertNumbers(simpleLshUsers(Float32Array.of(3, 4, 0, 0), 2), [0.6, 0.8, 0, 0, 0, 0]);
});

test("the order by cosine is the order by score", () => {
  const [users, items, width] = [3, 40, 4];
  const random = new RandomStream(5, STREAMS.simulate);
  const numbers = (length: number) => Float64Array.from({ length }, () => random.normal());
  const [u, w, b] = [numbers(users * width), numbers(items * width), numbers(items)];
  const dot = (x: Float64Array, r: number, y: Float64Array, s: number, columns: number) => {
    let sum = 0;
    for (let c = 0; c < columns; c++) sum += x[r * columns + c]! * y[s * columns + c]!;
    return sum;
  };
  const plain = { users: userVectors(u, width), items: itemVectors(w, b) };
  const lsh = { users: simpleLshUsers(plain.users, width + 1), items: simpleLshItems(plain.items, width + 1) };
  const norm = (x: Float64Array, r: number) => Math.sqrt(dot(x, r, x, r, width + 2));
  const order = (value: (item: number) => number) =>
    Array.from({ length: items }, (_, item) => item).sort((x, y) => value(y) - value(x));
  for (let r = 0; r < users; r++) {
    const score = (item: number) => dot(u, r, w, item, width) + b[item]!;
    const cosine = (item: number) =>
      dot(lsh.users, r, lsh.items, item, width + 2) / norm(lsh.users, r) / norm(lsh.items, item);
    assert.equal(order(cosine), order(score));
    for (let item = 0; item < items; item++) {
      assertNumbers([dot(plain.users, r, plain.items, item, width + 1)], [score(item)]);
    }
  }
});

test.run();
