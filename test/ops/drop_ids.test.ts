import { test } from "uvu";
import * as assert from "uvu/assert";
import { int32, uint32 } from "../cases/case.js";
import { cases } from "../cases/ops/drop_ids.js";
import { checkCases, evaluate } from "./harness.js";

checkCases(cases);

test("replaces about `rate` of the ids by 0 and keeps the others", async () => {
  const ids = Int32Array.from({ length: 8000 }, (_, i) => i + 1);
  const { outputs } = await evaluate({
    op: "drop_ids",
    operands: { ids: int32([8000], ids), seed: uint32([], [1]), step: uint32([], [0]) },
    attributes: { rate: 0.25, site: 0, limit: 8001 },
  });
  const result = Array.from(outputs["result"]!);
  assert.ok(result.every((id, i) => id === 0 || id === ids[i]));
  const share = result.filter((id) => id === 0).length / 8000;
  assert.ok(Math.abs(share - 0.25) < 0.02, `${share}`); // four standard deviations of 0.0048
});

test.run();
