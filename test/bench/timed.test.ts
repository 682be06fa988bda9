import { test } from "uvu";
import * as assert from "uvu/assert";
import { kernelContender, median } from "../../bench/contender.js";
import { bag, bagBytes, bagIds, gemm, ID_SETS, type KernelBuilder, lstmTraining, scan } from "../../bench/kernels.js";
import { repeatProgram } from "../../bench/repeat.js";
import { benchStore } from "../../bench/store.js";
import { EVICTING, timedProgram } from "../../bench/timed_program.js";
import { createNativeEngine } from "../../src/executors/native.js";
import { createReferenceEngine } from "../../src/executors/reference.js";
import { formatProgram, type Program, parseProgram, storedTensors } from "../../src/graph/program.js";
import { OPS } from "../../src/ops/index.js";
import { FLOAT32_EPSILON } from "../cases/compare.js";
import { assertClose } from "../ops/harness.js";

const native = createNativeEngine({ threads: 2 });
const reference = createReferenceEngine({ ops: OPS });
const bags = { rows: 50, width: 3, bags: 7, lengths: [1, 5], distribution: "zipf" } as const;

const kernels: Record<string, KernelBuilder> = {
  gemm: () => gemm({ rows: 5, out: 7, inner: 3 }),
  lstm: () => lstmTraining({ batch: 3, timesteps: 4, width: 8 }),
  bag: () => bag(bags, bagIds(bags), { train: false }),
  "bag and AdaGrad": () => bag(bags, bagIds(bags), { train: true }),
  scan: () => scan({ items: 40, width: 4, queries: 3, top: 5 }),
};

const opsOf = ({ instructions }: Program) => instructions.map(({ op }) => op);

for (const [name, build] of Object.entries(kernels)) {
  test(`${name}: native agrees with the reference, and repeats do what the Program does`, async () => {
    const { program, initializers } = build();
    const run = async (engine: typeof native, repeats: Program) => {
      const store = benchStore(engine, program, initializers);
      const outputs = await engine.createExecutor(repeats, store).run({}, {});
      return {
        ...outputs,
        ...Object.fromEntries(storedTensors(program).map((tensor) => [tensor.name, store.read(tensor.name)])),
      };
    };
    const [actual, expected] = [await run(native, program), await run(reference, program)];
    for (const [tensor, values] of Object.entries(expected)) {
      assertClose(actual[tensor]!, values, 64 * FLOAT32_EPSILON, tensor, 1);
    }

    const twice = parseProgram(formatProgram(repeatProgram(program, 2)));
    assert.equal(opsOf(twice), [...opsOf(program), ...opsOf(program)]);
    const [actualTwice, expectedTwice] = [await run(native, twice), await run(reference, twice)];
    for (const [tensor, values] of Object.entries(expectedTwice)) {
      assertClose(actualTwice[tensor]!, values, 64 * FLOAT32_EPSILON, tensor, 1);
    }
  });

  test(`${name}: a contender gives seconds`, async () => {
    const contender = await kernelContender(name, native, build());
    assert.ok((await contender.measure(0)) > 0);
    await contender.close();
  });
}

test("a timed Program has each instruction as often as asked, each after the caches are emptied", async () => {
  const { program, initializers } = lstmTraining({ batch: 2, timesteps: 3, width: 4 });
  const copies = program.instructions.map((_, i) => 1 + (i % 3));
  const warm = timedProgram(program, { copies, evicted: 0 });
  assert.equal(
    opsOf(warm.program),
    program.instructions.flatMap(({ op }, i) => Array(copies[i]).fill(op)),
  );
  const cold = timedProgram(program, { copies, evicted: 1000 });
  for (const { program: timed, copies: places } of [warm, cold]) {
    places.forEach((list, i) => {
      for (const place of list) assert.is(timed.instructions[place]!.op, program.instructions[i]!.op);
    });
    const store = benchStore(native, program, initializers);
    if (timed === cold.program) store.define({ name: EVICTING, dtype: "float32", shape: [1000] });
    await native.createExecutor(parseProgram(formatProgram(timed)), store).run({}, {});
  }
  for (const place of cold.copies.flat()) assert.is(cold.program.instructions[place - 1]!.op, "sum");
});

test("bags have the lengths and ids that were asked for", () => {
  const { offsets, sets } = bagIds(bags);
  assert.is(sets.length, ID_SETS);
  for (let i = 0; i < bags.bags; i++) {
    const length = offsets[i + 1]! - offsets[i]!;
    assert.ok(length >= 1 && length <= 5);
  }
  for (const set of sets) {
    assert.is(set.length, offsets[bags.bags]);
    assert.ok(set.every((id) => id >= 0 && id < bags.rows));
  }
  assert.is(bagBytes(bags, { offsets, sets }), 4 * 3 * offsets[bags.bags]!);
});

test("median", () => {
  assert.is(median([3, 1, 2]), 2);
  assert.is(median([4, 1, 2, 3]), 2.5);
});

test.run();
