import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  addDims,
  countElements,
  type Dim,
  decrementDim,
  dimNames,
  evaluateDim,
  multiplyDim,
  sameDim,
  sameShape,
} from "../../src/graph/dims.js";

test("sums and products have one canonical text", () => {
  assert.is(addDims("tags", "samples", 1, "tags"), "samples+2*tags+1");
  assert.is(addDims(2, 3), 5);
  assert.is(addDims(), 0);
  assert.is(addDims("samples", 0), "samples");
  assert.is(multiplyDim("samples+1", 5), "5*samples+5");
  assert.is(multiplyDim("samples", 0), 0);
  assert.is(multiplyDim(7, 3), 21);
});

test("decrementDim gives the groups of n + 1 offsets", () => {
  assert.is(decrementDim("sequences+1"), "sequences");
  assert.is(decrementDim(4), 3);
  assert.throws(() => decrementDim("sequences"), /Expected offsets of length n \+ 1 but received length sequences/);
  assert.throws(() => decrementDim(0), /n \+ 1/);
});

test("equal dims are equal whatever their text", () => {
  assert.ok(sameDim("1+samples", "samples+1"));
  assert.ok(sameDim("samples+samples", "2*samples"));
  assert.not.ok(sameDim("samples", "positions"));
  assert.ok(sameShape(["a+b", 3], ["b+a", 3]));
  assert.not.ok(sameShape(["a"], ["a", 1]));
});

test("dims have names, and sizes in a run", () => {
  assert.equal(dimNames("5*samples+tags+1"), ["samples", "tags"]);
  assert.equal(dimNames(3), []);
  assert.is(evaluateDim("5*samples+tags+1", { samples: 2, tags: 7 }), 18);
  assert.is(countElements(["samples", 4], { samples: 3 }), 12);
  assert.is(countElements([], {}), 1);
});

test("a size that is missing or no whole number is refused", () => {
  for (const size of [undefined, -1, 1.5, Number.NaN]) {
    const sizes = { samples: size } as Record<string, number>;
    assert.throws(() => evaluateDim("samples", sizes), /Expected a whole number for dim "samples"/);
  }
});

test("what is no dim is refused", () => {
  const wrong: unknown[] = ["", "+", "2*", "Samples", "samples-1", "2samples", -1, 1.5, null, {}];
  for (const dim of wrong) assert.throws(() => addDims(dim as Dim), /Expected a dim/, String(dim));
});

test.run();
