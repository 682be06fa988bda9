import { test } from "uvu";
import * as assert from "uvu/assert";
import { int32 } from "../cases/case.js";
import { cases } from "../cases/ops/sort_rows.js";
import { checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("sorts the concatenation stably", async () => {
  const ids = [int32([3], [7, 2, 7]), int32([2, 2], [2, 7, 0, 2])];
  const { outputs } = await evaluate({ op: "sort_rows", operands: { ids } });
  assert.equal([...outputs["result"]!], [5, 1, 3, 6, 0, 2, 4]);
  assert.equal([...outputs["result.rows"]!], [0, 2, 7, 0, 0, 0, 0]);
  assert.equal([...outputs["result.segments"]!], [0, 1, 4, 7, 7, 7, 7, 7]);
  assert.equal([...outputs["result.count"]!], [3]);
});

test.run();
