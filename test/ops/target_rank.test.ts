import { test } from "uvu";
import * as assert from "uvu/assert";
import { float32, int32 } from "../../bench/cases/case.js";
import { cases } from "../../bench/cases/target_rank.js";
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

test.run();
