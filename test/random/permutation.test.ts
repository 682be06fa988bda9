import { test } from "uvu";
import * as assert from "uvu/assert";
import { KeyedPermutation } from "../../src/random/permutation.js";

function values(n: number, seed: number, words: [number, number] = [0, 0]): number[] {
  const permutation = new KeyedPermutation(n, seed, words);
  return Array.from({ length: n }, (_, i) => permutation.at(i));
}

test("is a permutation at every length", () => {
  for (const n of [...Array(70).keys(), 127, 128, 129, 1000, 4095, 4097, 10_007]) {
    const sorted = values(n, 42).sort((a, b) => a - b);
    assert.equal(
      sorted,
      Array.from({ length: n }, (_, i) => i),
      `n = ${n}`,
    );
  }
});

test("stays in range without collisions for lengths past 2^32", () => {
  for (const n of [2 ** 32, 2 ** 40, 2 ** 40 + 12_345, 2 ** 52]) {
    const permutation = new KeyedPermutation(n, 9);
    const seen = new Set<number>();
    for (let i = 0; i < 2000; i++) {
      for (const index of [i, n - 1 - i]) {
        const value = permutation.at(index);
        assert.ok(Number.isSafeInteger(value) && value >= 0 && value < n);
        seen.add(value);
      }
    }
    assert.is(seen.size, 4000);
    assert.ok(Math.max(...seen) > n * 0.99 && Math.min(...seen) < n * 0.01);
  }
});

test("depends on seed and words, and on nothing else", () => {
  const base = values(1000, 1, [0, 0]);
  assert.equal(values(1000, 1, [0, 0]), base);
  for (const other of [values(1000, 2, [0, 0]), values(1000, 1, [1, 0]), values(1000, 1, [0, 1])]) {
    const equal = other.filter((value, i) => value === base[i]).length;
    assert.ok(equal < 10, `${equal} of 1000 in the same place`);
  }
});

test("maps indices, and pairs of indices, uniformly", () => {
  const n = 7;
  const seeds = 21_000;
  const places = new Float64Array(n * n);
  const pairs = new Float64Array(n * n);
  for (let seed = 0; seed < seeds; seed++) {
    const order = values(n, seed);
    order.forEach((value, i) => {
      places[i * n + value]!++;
    });
    pairs[order[0]! * n + order[1]!]!++;
  }
  const chiSquare = (counts: number[], expected: number) =>
    counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  // There are 36 degrees of freedom for places (the sums of rows and columns are fixed) and 41 for ordered pairs. With
  // a probability of 99.99 %, chi-square lies below 76 and 83.
  assert.ok(chiSquare([...places], seeds / n) < 76, `places: ${chiSquare([...places], seeds / n)}`);
  const distinct = [...pairs].filter((_, i) => Math.floor(i / n) !== i % n);
  assert.ok(chiSquare(distinct, seeds / 42) < 83, `pairs: ${chiSquare(distinct, seeds / 42)}`);
});

test("refuses an index out of range and an impossible length", () => {
  assert.throws(() => new KeyedPermutation(3, 1).at(3), /below 3/);
  assert.throws(() => new KeyedPermutation(3, 1).at(-1), /below 3/);
  assert.throws(() => new KeyedPermutation(-1, 1), /Expected a length/);
  assert.throws(() => new KeyedPermutation(2 ** 53, 1), /Expected a length/);
});

test.run();
