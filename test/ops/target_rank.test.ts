import { test } from "uvu";
import * as assert from "uvu/assert";
import { availableIsas, createNativeEngine } from "../../src/executors/native.js";
import { createReferenceEngine } from "../../src/executors/reference.js";
import { OPS } from "../../src/ops/index.js";
import { buildCase } from "../cases/build_case.js";
import { float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/target_rank.js";
import { runCase } from "../cases/run_case.js";
import { checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("mid-rank of ties; excluded items do not count, the target always does, <unk> is a miss", async () => {
  const rank = async (target: number, excluded: number[]) => {
    const operands = {
      user: float32([1, 1], [1]),
      weight: float32([7, 1], [9, 2, 3, 2, 1, 3, 2]),
      excluded: int32([excluded.length], excluded),
      excluded_offsets: int32([2], [0, excluded.length]),
      target: int32([1], [target]),
    };
    const { outputs } = await evaluate({ op: "target_rank", operands, attributes: { skip_rows: 1 } });
    return outputs["result"]![0];
  };
  assert.is(await rank(2, []), 1.5);
  assert.is(await rank(3, []), 4);
  assert.is(await rank(4, []), 6);
  assert.is(await rank(3, [2, 1]), 2.5);
  assert.is(await rank(3, [3, 3]), 4);
  assert.is(await rank(0, []), Number.POSITIVE_INFINITY);
});

test("a target with a score that is not finite is a miss, and an item whose score is NaN counts as higher", async () => {
  const [nan, infinite] = [Number.NaN, Number.POSITIVE_INFINITY];
  const weight = [0, 2, nan, infinite, -infinite, 1, 3];
  const targets = [1, 2, 3, 4, 5, 6];
  const rank = (excluded: readonly number[]) => ({
    op: "target_rank",
    name: "",
    operands: {
      user: float32(
        [targets.length, 1],
        targets.map(() => 1),
      ),
      weight: float32([weight.length, 1], weight),
      excluded: int32(
        [targets.length * excluded.length],
        targets.flatMap(() => [...excluded]),
      ),
      excluded_offsets: int32(
        [targets.length + 1],
        Array.from({ length: targets.length + 1 }, (_, s) => s * excluded.length),
      ),
      target: int32([targets.length], targets),
    },
    attributes: { skip_rows: 1 },
  });
  const native = availableIsas().map((isa) => createNativeEngine({ threads: 1, isa }));
  for (const engine of [createReferenceEngine({ ops: OPS }), ...native]) {
    const ranks = async (excluded: readonly number[]) => {
      const { outputs } = await runCase(engine, buildCase(rank(excluded), { gradients: false }));
      return [...outputs["result"]!];
    };
    const miss = Number.POSITIVE_INFINITY;
    assert.equal(await ranks([]), [4, miss, miss, miss, 5, 3], engine.isa);
    assert.equal(await ranks([2, 3]), [2, miss, miss, miss, 3, 1], engine.isa);
  }
});

test.run();
