import { test } from "uvu";
import * as assert from "uvu/assert";
import { availableIsas, createNativeEngine } from "../../src/executors/native.js";
import { RandomStream, STREAMS } from "../../src/random/philox.js";
import { buildCase } from "../cases/build_case.js";
import { float32, int32, type OpCase } from "../cases/case.js";
import { cases } from "../cases/ops/top_n_and_rank.js";
import { runCase } from "../cases/run_case.js";
import { checkCases, evaluate } from "./harness.js";

checkCases(cases);

const operands = {
  user: float32([2, 1], [1, -1]),
  weight: float32([6, 1], [9, 2, 3, 2, 1, 3]),
  excluded: int32([3], [2, 2, 4]),
  excluded_offsets: int32([3], [0, 2, 3]),
  target: int32([2], [2, 3]),
};

test("items without excluded ones, the rank of the target even if it is excluded, and the highest score", async () => {
  const { outputs } = await evaluate({ op: "top_n_and_rank", operands, attributes: { top: 3, skip_rows: 1 } });
  assert.equal([...outputs["result"]!], [5, 1, 3, 1, 3, 2]);
  assert.equal([...outputs["result.score"]!], [3, 2, 2, -2, -2, -3]);
  assert.equal([...outputs["result.rank"]!], [1.5, 1.5]);
  assert.equal([...outputs["result.highest"]!], [3, -1]);
});

/** A scan of random scores of which some are equal, and some are `special`. */
function randomScan(samples: number, width: number, special: readonly number[] = []): OpCase {
  const items = 3000;
  const random = new RandomStream(3, STREAMS.simulate);
  const numbers = (count: number) => Float32Array.from({ length: count }, () => random.normal());
  const weight = numbers(items * width);
  for (let i = 0; i < items; i += 7) weight.copyWithin(i * width, (i / 7) * width, (i / 7 + 1) * width);
  special.forEach((value, i) => {
    weight[(137 * i + 600) * width] = value;
  });
  const perSample = 9;
  const ids = (count: number) => Int32Array.from({ length: count }, () => random.below(items));
  const target = ids(samples);
  const excluded = ids(samples * perSample);
  for (let s = 0; s < samples; s += 3) excluded.fill(target[s]!, s * perSample, s * perSample + 2);
  return {
    op: "top_n_and_rank",
    name: "",
    operands: {
      user: float32([samples, width], numbers(samples * width)),
      weight: float32([items, width], weight),
      bias: float32([items], new Float32Array(items)),
      excluded: int32([excluded.length], excluded),
      excluded_offsets: int32(
        [samples + 1],
        Array.from({ length: samples + 1 }, (_, s) => s * perSample),
      ),
      target: int32([samples], target),
    },
    attributes: { skip_rows: 1, top: 40 },
  };
}

test("the results have the bits of top_n and target_rank, and highest is finite where log_partition is", async () => {
  const special = [Number.NaN, -Infinity, Infinity];
  for (const isa of availableIsas()) {
    for (const [samples, width, numbers] of [
      [1, 33, []],
      [3, 300, []],
      [130, 33, []],
      [70, 1, [-Infinity]],
      [70, 1, special],
      [2, 1, special],
    ] as const) {
      const scan = randomScan(samples, width, numbers);
      const { target, ...withoutTarget } = scan.operands;
      const found = async (threads: number, opCase: OpCase) => {
        using engine = createNativeEngine({ threads, isa });
        const { outputs } = await runCase(engine, buildCase(opCase, { gradients: false }));
        // Strings, because NaN is not equal to itself.
        return Object.fromEntries(Object.entries(outputs).map(([name, values]) => [name, Array.from(values, String)]));
      };
      const where = `${samples} samples of width ${width}, ${isa}`;
      const both = await found(1, scan);
      for (const threads of [2, 4]) assert.equal(await found(threads, scan), both, `${where}, ${threads} threads`);
      const best = await found(1, { ...scan, op: "top_n", operands: withoutTarget });
      const { skip_rows } = scan.attributes!;
      const rank = await found(1, { ...scan, op: "target_rank", attributes: { skip_rows: skip_rows! } });
      assert.equal(both["result"], best["result"], where);
      assert.equal(both["result.score"], best["result.score"], where);
      assert.equal(both["result.rank"], rank["result"], where);
      const finite = (values: readonly string[]) => values.map((value) => Number.isFinite(Number(value)));
      assert.equal(finite(both["result.highest"]!), finite(best["result.log_partition"]!), where);
    }
  }
});

test.run();
