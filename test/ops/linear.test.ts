import { test } from "uvu";
import * as assert from "uvu/assert";
import { availableIsas, createNativeEngine } from "../../src/executors/native.js";
import { Graph } from "../../src/graph/graph.js";
import { linear } from "../../src/ops/index.js";
import { RandomStream, STREAMS } from "../../src/random/philox.js";
import { buildCase } from "../cases/build_case.js";
import { CaseValues, float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/linear.js";
import { runCase } from "../cases/run_case.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

const values = new CaseValues(32);

test("several inputs mean their concatenation", async () => {
  const [left, right] = [values.normal([3, 2]), values.normal([3, 3])];
  const rest = { weight: values.normal([5, 4]), bias: values.normal([4]) };
  const row = (r: number) => [...left.values.slice(2 * r, 2 * r + 2), ...right.values.slice(3 * r, 3 * r + 3)];
  const whole = float32([3, 5], [0, 1, 2].flatMap(row));
  const apart = await evaluate({ op: "linear", operands: { input: [left, right], ...rest } });
  const together = await evaluate({ op: "linear", operands: { input: [whole], ...rest } });
  assertNumbers(apart.outputs["result"]!, together.outputs["result"]!, 0);
});

test("a group's input means the same input in each of its rows", async () => {
  const [own, grouped] = [values.normal([4, 2]), values.normal([2, 3])];
  const rest = { weight: values.normal([5, 4]), bias: values.normal([4]) };
  const group = [0, 0, 0, 1];
  const row = (r: number) => [
    ...grouped.values.slice(3 * group[r]!, 3 * group[r]! + 3),
    ...own.values.slice(2 * r, 2 * r + 2),
  ];
  const whole = float32([4, 5], [0, 1, 2, 3].flatMap(row));
  const operands = { input: [own], group_input: [grouped], group_offsets: int32([3], [0, 3, 4]), ...rest };
  const apart = await evaluate({ op: "linear", operands, attributes: { order: "gx" } });
  const together = await evaluate({ op: "linear", operands: { input: [whole], ...rest } });
  assertNumbers(apart.outputs["result"]!, together.outputs["result"]!, 0);
});

test("every input has a letter in order", () => {
  const operands = {
    input: [values.normal([4, 2])],
    group_input: [values.normal([2, 3])],
    group_offsets: int32([3], [0, 3, 4]),
    weight: values.normal([5, 4]),
  };
  for (const order of ["", "x", "gg", "xgx"]) {
    assert.throws(
      () => buildCase({ op: "linear", name: "", operands, attributes: { order } }, { gradients: false }),
      /\[linear\] Expected order of 1 letters x and 1 letters g but received/,
    );
  }
});

test("messages name the operand and both shapes", () => {
  const operands = { input: [values.normal([3, 2]), values.normal([3, 3])], weight: values.normal([4, 4]) };
  assert.throws(
    () => buildCase({ op: "linear", name: "", operands }, { gradients: false }),
    /\[linear\] Expected weight with 5 rows but received weight \[4, 4\]/,
  );
});

test("a row has the same bits in a batch of thousands as in a small one", async () => {
  const [rows, out] = [2900, 161]; // enough rows that the weight is packed once for all of them
  for (const width of [300, 700]) await checkRows(rows, width, out);
});

async function checkRows(rows: number, width: number, out: number): Promise<void> {
  const random = new RandomStream(1, STREAMS.simulate);
  const input = Float32Array.from({ length: rows * width }, () => random.normal());
  const weight = Float32Array.from({ length: width * out }, () => random.normal());
  for (const precision of ["float32", "bf16"] as const) {
    const graph = new Graph();
    const x = graph.input("x", "float32", ["rows", width]);
    const parameter = graph.parameter("weight", [width, out], { kind: "zeros" });
    graph.output("y", linear(graph, "y", [x], parameter, undefined, { precision }));
    const program = graph.toProgram();
    for (const isa of availableIsas()) {
      for (const threads of [1, 3]) {
        const engine = createNativeEngine({ threads, isa });
        const multiply = async (from: number, count: number) => {
          const inputs = { x: input.subarray(from * width, (from + count) * width) };
          return (await runCase(engine, { program, stored: { weight }, inputs }, { rows: count })).outputs["y"]!;
        };
        const all = await multiply(0, rows);
        for (const from of [0, 1007, rows - 20]) {
          const expected = all.subarray(from * out, (from + 20) * out);
          assert.equal(
            await multiply(from, 20),
            expected,
            `rows from ${from}, width ${width}, ${precision}, ${isa}, ${threads} threads`,
          );
        }
      }
    }
  }
}

test.run();
