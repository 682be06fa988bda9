import { test } from "uvu";
import * as assert from "uvu/assert";
import { type CaseTensor, float32, uint32 } from "../cases/case.js";
import { cases } from "../cases/ops/dropout.js";
import { checkCases, evaluate } from "./harness.js";

checkCases(cases);

async function dropped(rows: number, columns: number, rate: number, site: number, step: number) {
  const operands: Record<string, CaseTensor> = {
    input: float32([rows, columns], new Float32Array(rows * columns).fill(1)),
    seed: uint32([], [1]),
    step: uint32([], [step]),
  };
  const { outputs } = await evaluate({ op: "dropout", operands, attributes: { rate, site } });
  return Array.from(outputs["result"]!);
}

test("sets about `rate` of the elements to 0, in every column, and keeps the mean", async () => {
  const [rows, columns, rate] = [4000, 10, 0.3];
  const values = await dropped(rows, columns, rate, 0, 0);
  for (let c = 0; c < columns; c++) {
    const column = values.filter((_, i) => i % columns === c);
    const zeros = column.filter((x) => x === 0).length / rows;
    assert.ok(Math.abs(zeros - rate) < 0.03, `column ${c}: ${zeros}`); // four standard deviations of 0.0072
  }
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  assert.ok(Math.abs(mean - 1) < 0.015, `${mean}`);
});

test("draws again for another step, and at another site", async () => {
  const first = await dropped(20, 20, 0.5, 0, 0);
  const differing = (other: readonly number[]) => other.filter((x, i) => x !== first[i]).length;
  assert.is(differing(await dropped(20, 20, 0.5, 0, 0)), 0);
  assert.ok(differing(await dropped(20, 20, 0.5, 0, 1)) > 100);
  assert.ok(differing(await dropped(20, 20, 0.5, 1, 0)) > 100);
});

test.run();
