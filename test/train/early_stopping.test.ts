import { test } from "uvu";
import * as assert from "uvu/assert";
import { ShortlistError } from "../../src/errors.js";
import { EarlyStopping } from "../../src/train/early_stopping.js";

/** For each epoch, whether it is the best so far; and the epoch after which training stops (0: never). */
function stoppingOf(patience: number | undefined, criteria: readonly number[]): { best: boolean[]; stop: number } {
  const stopping = new EarlyStopping(patience);
  const best: boolean[] = [];
  for (const criterion of criteria) {
    best.push(stopping.addEpoch(criterion));
    if (stopping.isOver) return { best, stop: best.length };
  }
  return { best, stop: 0 };
}

test("training stops after so many epochs without a better one, equal ones included", () => {
  assert.equal(stoppingOf(undefined, [0.1, 0.2, 0.2, 0.1, 0.9]), { best: [true, true, false, false], stop: 4 });
  assert.equal(stoppingOf(1, [0.1, 0.2, 0.1]), { best: [true, true, false], stop: 3 });
  assert.equal(stoppingOf(3, [0.3, 0.2, 0.1, 0.4, 0.3]), { best: [true, false, false, true, false], stop: 0 });
  assert.equal(stoppingOf(0, [0.5, 0.4, 0.3, 0.2, 0.1, 0]).stop, 0);
  assert.equal(stoppingOf(2, [0, 0, 0]), { best: [true, false, false], stop: 3 });
});

test("early stopping can be restored from its state", () => {
  const first = new EarlyStopping(2);
  for (const criterion of [0.1, 0.3, 0.2]) first.addEpoch(criterion);
  const state = JSON.parse(JSON.stringify(first.state));
  assert.equal(state, { epochs: 3, bestEpoch: 2, bestCriterion: 0.3 });
  const second = new EarlyStopping(2);
  second.restore(state);
  assert.is(second.addEpoch(0.25), false);
  assert.ok(second.isOver);
  const third = new EarlyStopping(2);
  third.restore(new EarlyStopping().state);
  assert.is(third.addEpoch(0), true);
});

test("patience is a whole number", () => {
  for (const patience of [-1, 1.5, Number.NaN]) {
    assert.throws(
      () => new EarlyStopping(patience),
      (error: unknown) => error instanceof ShortlistError && error.code === "ERR_OPTION",
    );
  }
});

test.run();
