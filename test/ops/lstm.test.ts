import { test } from "uvu";
import * as assert from "uvu/assert";
import { availableIsas, createNativeEngine } from "../../src/executors/native.js";
import { gradients } from "../../src/graph/gradients.js";
import { Graph, type Tensor } from "../../src/graph/graph.js";
import { storedTensors } from "../../src/graph/program.js";
import { lstm } from "../../src/ops/index.js";
import { GRADIENT_SUMS } from "../../src/ops/loss_gradients.js";
import { buildCase } from "../cases/build_case.js";
import { CaseValues, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/lstm.js";
import { runCase } from "../cases/run_case.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

const values = new CaseValues(31);
const weights = {
  input_weight: values.normal([4, 12], 0.5),
  bias: values.normal([12]),
  recurrent_weight: values.normal([3, 12], 0.6),
  peephole_input: values.normal([3]),
  peephole_forget: values.normal([3]),
  peephole_output: values.normal([3]),
};
const input = values.normal([6, 4]);

const run = async (position: number[], sequenceOffsets: number[]) => {
  const operands = {
    input,
    ...weights,
    position: int32([position.length], position),
    sequence_offsets: int32([sequenceOffsets.length], sequenceOffsets),
  };
  return [...(await evaluate({ op: "lstm", operands })).outputs["result"]!];
};

test("sequences start from zero state", async () => {
  const together = await run([0, 1, 2, 3, 1, 5], [0, 2, 2, 5, 6]);
  const apart = [await run([0, 1], [0, 2]), await run([2, 3, 1], [0, 3]), await run([5], [0, 1])].flat();
  assertNumbers(together, apart, 0);
});

test("a sequence has the same bits alone as among many, also with wide inputs", async () => {
  const random = new CaseValues(7);
  const [sequences, length, wide, width] = [20, 5, 700, 9];
  const rows = random.normal([sequences * length, wide]);
  const stored = {
    input_weight: random.normal([wide, 4 * width], 0.04),
    recurrent_weight: random.normal([width, 4 * width], 0.3),
  };
  const counting = (count: number, step: number) => Array.from({ length: count }, (_, i) => step * i);
  for (const precision of ["float32", "bf16"]) {
    for (const isa of availableIsas()) {
      const hidden = async (count: number) => {
        const timesteps = count * length;
        const operands = {
          input: { ...rows, shape: [timesteps, wide], values: rows.values.subarray(0, timesteps * wide) },
          ...stored,
          position: int32([timesteps], counting(timesteps, 1)),
          sequence_offsets: int32([count + 1], counting(count + 1, length)),
        };
        const built = buildCase({ op: "lstm", name: "", operands, attributes: { precision } }, { gradients: false });
        return (await runCase(createNativeEngine({ threads: 2, isa }), built)).outputs["result"]!;
      };
      const all = await hidden(sequences);
      for (const count of [1, 3]) {
        const expected = all.subarray(0, count * length * width);
        assert.equal(await hidden(count), expected, `${count} sequences, ${precision}, ${isa}`);
      }
    }
  }
});

test("one timestep by hand", async () => {
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  const [h] = await run([4], [0, 1]);
  const projection = (n: number) =>
    [0, 1, 2, 3].reduce(
      (sum, k) => sum + input.values[4 * 4 + k]! * weights.input_weight.values[k * 12 + n]!,
      weights.bias.values[n]!,
    );
  const [i, , g, o] = [0, 3, 6, 9].map(projection);
  const c = sigmoid(i!) * Math.tanh(g!);
  assertNumbers([h!], [sigmoid(o! + weights.peephole_output.values[0]! * c) * Math.tanh(c)]);
});

test("a saturated cell gives its gates no gradient, which long sequences would add up", async () => {
  const timesteps = 100;
  const graph = new Graph();
  const zeros = { kind: "zeros" } as const;
  const bias = graph.parameter("bias", [4], zeros);
  const output = lstm(graph, "h", {
    input: graph.parameter("x", [1, 1], zeros),
    inputWeight: graph.parameter("w", [1, 4], zeros),
    bias,
    recurrentWeight: graph.parameter("r", [1, 4], zeros),
    position: graph.input("position", "int32", [timesteps]),
    sequenceOffsets: graph.input("sequence_offsets", "int32", [2]),
  });
  const byOutput = graph.input("by_output", "float32", [timesteps, 1]);
  const found = gradients(graph, new Map([[output, byOutput]]), [bias], GRADIENT_SUMS).get(bias)!;
  assert.ok("tensor" in found);
  graph.output("gradient", (found as { readonly tensor: Tensor }).tensor);
  const program = graph.toProgram();
  const inputs = {
    position: new Int32Array(timesteps),
    sequence_offsets: Int32Array.of(0, timesteps),
    by_output: Float32Array.from({ length: timesteps }, (_, timestep) => Number(timestep === timesteps - 1)),
  };
  for (const isa of availableIsas()) {
    const engine = createNativeEngine({ isa, threads: 1 });
    const store = engine.createStore();
    for (const tensor of storedTensors(program)) store.define(tensor); // zeros
    store.write("bias", Float32Array.of(2, 12, 0.3, 1));
    const { gradient } = await engine.createExecutor(program, store).run(inputs, {});
    assertNumbers(gradient!.slice(0, 3), [0, 0, 0], 1e-9);
    const o = 1 / (1 + Math.exp(-1));
    assertNumbers(gradient!.slice(3), [o * (1 - o)], 1e-6);
  }
});

test("one or two peepholes are refused", () => {
  const { peephole_input: peephole, input_weight, recurrent_weight } = weights;
  const operands = {
    input,
    input_weight,
    recurrent_weight,
    peephole_input: peephole,
    position: int32([1], [0]),
    sequence_offsets: int32([2], [0, 1]),
  };
  assert.throws(
    () => buildCase({ op: "lstm", name: "", operands }, { gradients: false }),
    /\[lstm\] Expected all three peepholes or none/,
  );
});

test.run();
