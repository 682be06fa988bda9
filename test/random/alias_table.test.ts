import { test } from "uvu";
import * as assert from "uvu/assert";
import { aliasTable } from "../../src/random/alias_table.js";
import { RandomStream, STREAMS } from "../../src/random/philox.js";

const FULL = 2n ** 32n;

/** For each column, the exact number of the n · 2³² pairs (column, word) that draw it. */
function implied(weights: readonly number[]): bigint[] {
  const { threshold, alias } = aliasTable(weights);
  const mass = weights.map(() => 0n);
  for (let c = 0; c < weights.length; c++) {
    mass[c]! += BigInt(threshold[c]!);
    mass[alias[c]!]! += FULL - BigInt(threshold[c]!);
  }
  return mass;
}

function check(weights: readonly number[]): void {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const mass = implied(weights);
  weights.forEach((weight, c) => {
    const expected = (weight / sum) * weights.length * 2 ** 32;
    const error = Math.abs(Number(mass[c]!) - expected);
    if (weight === 0) assert.is(mass[c], 0n, `column ${c} has weight 0`);
    else
      assert.ok(error <= 2 + 4e-16 * expected * Math.sqrt(weights.length), `column ${c} is off by ${error} · 2⁻³² / n`);
  });
}

test("implies the weights exactly but for the rounding of thresholds", () => {
  check([1]);
  check([1, 1, 1]);
  check([3, 1]);
  check([0, 1]);
  check([0, 5, 0, 0, 1, 0]);
  check([1e-300, 1]);
  check([0.1, 0.2, 0.3, 0.4, 0, 1e-9]);
  const random = new RandomStream(1, STREAMS.simulate);
  for (let n = 1; n < 60; n++) {
    const weights = Array.from({ length: n }, () => (random.uniform() < 0.3 ? 0 : random.uniform() ** 8));
    weights[random.below(n)] = 1;
    check(weights);
  }
  check([0, ...Array.from({ length: 20_000 }, (_, i) => (i + 1) ** -1.1)]);
});

test("a column with probability 1 has itself as alias", () => {
  assert.equal(aliasTable([2, 2, 2, 2]), {
    threshold: new Uint32Array(4).fill(2 ** 32 - 1),
    alias: Int32Array.of(0, 1, 2, 3),
  });
  assert.equal(aliasTable([0, 0, 4]).alias, Int32Array.of(2, 2, 2));
  assert.equal(aliasTable([0, 0, 4]).threshold.subarray(0, 2), Uint32Array.of(0, 0));
});

test("refuses weights that cannot be drawn from", () => {
  assert.throws(() => aliasTable([]), /finite sum above 0/);
  assert.throws(() => aliasTable([0, 0]), /finite sum above 0/);
  assert.throws(() => aliasTable([1, -1]), /weight 1 is -1/);
  assert.throws(() => aliasTable([1, Number.NaN]), /weight 1 is NaN/);
});

test.run();
