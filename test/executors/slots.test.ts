import { test } from "uvu";
import * as assert from "uvu/assert";
import { loadAddon } from "../../src/executors/load.js";
import { OPS } from "../../src/ops/index.js";

const native = new Map(
  loadAddon()
    .ops()
    .map((op) => [op.name, op]),
);

test("the native engine and the reference have the same ops", () => {
  assert.equal([...native.keys()].sort(), [...OPS.keys()].sort());
});

test("each native slot takes the dtype and rank that the op asks for", () => {
  for (const { name, inputs, outputs } of OPS.values()) {
    const slots = Object.entries(inputs).map(([slot, { dtype, rank, optional = false, variadic = false }]) => ({
      name: slot,
      dtype,
      ...(rank !== undefined && { rank }),
      optional,
      list: variadic,
    }));
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
    assert.equal([...native.get(name)!.inputs].sort(byName), slots.sort(byName), name);
    assert.equal(
      native
        .get(name)!
        .outputs.map((slot) => slot.name)
        .sort(),
      [...outputs].sort(),
      name,
    );
  }
});

test("an output slot with the name of an input slot is updated in place, and no other one", () => {
  for (const { name, inputs, outputs } of native.values()) {
    const inPlace = outputs.filter((output) => inputs.some((input) => input.name === output.name));
    const stateful = /^(sgd|adagrad|rowwise_adagrad|adam|decay)(_rows)?$/.test(name);
    assert.is(inPlace.length > 0, stateful, name);
  }
});

test.run();
