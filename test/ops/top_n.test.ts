import { test } from "uvu";
import * as assert from "uvu/assert";
import { availableIsas, createNativeEngine } from "../../src/executors/native.js";
import { createReferenceEngine } from "../../src/executors/reference.js";
import { Graph } from "../../src/graph/graph.js";
import { OPS, topN } from "../../src/ops/index.js";
import { RandomStream, STREAMS } from "../../src/random/philox.js";
import { float32, int32 } from "../cases/case.js";
import { cases } from "../cases/ops/top_n.js";
import { runCase } from "../cases/run_case.js";
import { assertNumbers, checkCases, evaluate } from "./harness.js";

checkCases(cases);

const user = float32([2, 1], [1, -1]);
const weight = float32([6, 1], [9, 2, 3, 2, 1, 3]);
const operands = {
  user,
  weight,
  excluded: int32([3], [2, 2, 4]),
  excluded_offsets: int32([3], [0, 2, 3]),
};

test("items are ordered by decreasing score, equal ones by increasing id, without excluded items", async () => {
  const { outputs } = await evaluate({ op: "top_n", operands, attributes: { top: 3, skip_rows: 1 } });
  assert.equal([...outputs["result"]!], [5, 1, 3, 1, 3, 2]);
  assertNumbers(outputs["result.score"]!, [3, 2, 2, -2, -2, -3]);
});

test("log_partition counts excluded items too", async () => {
  const { outputs } = await evaluate({ op: "top_n", operands, attributes: { top: 1, skip_rows: 1 } });
  const partition = (sign: number) => Math.log([2, 3, 2, 1, 3].reduce((sum, w) => sum + Math.exp(sign * w), 0));
  assertNumbers(outputs["result.log_partition"]!, [partition(1), partition(-1)]);
});

test("missing places are filled with -1 and -Infinity", async () => {
  const { outputs } = await evaluate({ op: "top_n", operands, attributes: { top: 7, skip_rows: 1 } });
  assert.equal([...outputs["result"]!], [5, 1, 3, 4, -1, -1, -1, 1, 3, 2, 5, -1, -1, -1]);
  assert.is(outputs["result.score"]![4], -Infinity);
});

test("top may be a dim, given at run time", async () => {
  const graph = new Graph();
  const best = topN(
    graph,
    "best",
    {
      user: graph.input("user", "float32", ["samples", 1]),
      weight: graph.parameter("weight", [6, 1], { kind: "zeros" }),
      excluded: graph.input("excluded", "int32", ["excluded"]),
      excludedOffsets: graph.input("excluded_offsets", "int32", ["samples+1"]),
    },
    { top: "top", skipRows: 1 },
  );
  graph.output("items", best.items);
  const inputs = {
    user: user.values,
    excluded: operands.excluded.values,
    excluded_offsets: operands.excluded_offsets.values,
  };
  const built = { program: graph.toProgram(), stored: { weight: weight.values }, inputs };
  for (const engine of [createReferenceEngine({ ops: OPS }), createNativeEngine({ threads: 1 })]) {
    const { outputs } = await runCase(engine, built, { samples: 2, excluded: 3, top: 2 });
    assert.equal([...outputs["items"]!], [5, 1, 1, 3]);
  }
});

test("a single query gets the same bits as in a batch of queries", async () => {
  const items = 500;
  const random = new RandomStream(1, STREAMS.simulate);
  for (const width of [1, 33, 300]) {
    const together = 40;
    const users = Float32Array.from({ length: together * width }, () => random.normal());
    const weight = Float32Array.from({ length: items * width }, () => random.normal());
    for (const isa of availableIsas()) {
      const scores = async (samples: number, from: number) => {
        const graph = new Graph();
        const best = topN(
          graph,
          "best",
          {
            user: graph.input("user", "float32", ["samples", width]),
            weight: graph.parameter("weight", [items, width], { kind: "zeros" }),
            bias: graph.parameter("bias", [items], { kind: "zeros" }),
            excluded: graph.input("excluded", "int32", [0]),
            excludedOffsets: graph.input("excluded_offsets", "int32", ["samples+1"]),
          },
          { top: items, skipRows: 0 },
        );
        graph.output("items", best.items);
        graph.output("score", best.score);
        const inputs = {
          user: users.subarray(from * width, (from + samples) * width),
          excluded: new Int32Array(0),
          excluded_offsets: new Int32Array(samples + 1),
        };
        const stored = { weight, bias: weight.subarray(0, items) };
        return runCase(
          createNativeEngine({ threads: 1, isa }),
          { program: graph.toProgram(), stored, inputs },
          { samples },
        );
      };
      const all = (await scores(together, 0)).outputs;
      for (const samples of [1, 2, 3, 4, 5]) {
        const { outputs } = await scores(samples, 7);
        for (const name of ["items", "score"]) {
          const expected = all[name]!.subarray(7 * items, (7 + samples) * items);
          assert.equal(outputs[name], expected, `${name} of ${samples}, width ${width}, ${isa}`);
        }
      }
    }
  }
});

test("the results of a query depend neither on top nor on the other queries", async () => {
  const [items, width, together] = [7000, 8, 200];
  const random = new RandomStream(2, STREAMS.simulate);
  const users = Float32Array.from({ length: together * width }, () => random.normal());
  const weight = Float32Array.from({ length: items * width }, () => random.normal());
  for (const isa of availableIsas()) {
    using engine = createNativeEngine({ threads: 2, isa });
    const found = async (top: number, from: number, samples: number) => {
      const graph = new Graph();
      const scan = {
        user: graph.input("user", "float32", ["samples", width]),
        weight: graph.parameter("weight", [items, width], { kind: "zeros" }),
        excluded: graph.input("excluded", "int32", [0]),
        excludedOffsets: graph.input("excluded_offsets", "int32", ["samples+1"]),
      };
      const best = topN(graph, "best", scan, { top, skipRows: 1 });
      graph.output("items", best.items);
      graph.output("log_partition", best.logPartition);
      const user = users.subarray(from * width, (from + samples) * width);
      const inputs = { user, excluded: new Int32Array(0), excluded_offsets: new Int32Array(samples + 1) };
      return (await runCase(engine, { program: graph.toProgram(), stored: { weight }, inputs }, { samples })).outputs;
    };
    const all = await found(300, 0, together);
    for (const [top, from, samples] of [
      [1, 0, together],
      [30, 5, 1],
      [300, 190, 3],
      [7, 60, 80],
    ] as const) {
      const some = await found(top, from, samples);
      const where = `top ${top}, ${samples} queries, ${isa}`;
      assert.equal(some["log_partition"], all["log_partition"]!.subarray(from, from + samples), where);
      const best = Array.from({ length: samples * top }, (_, i) => {
        return all["items"]![(from + Math.floor(i / top)) * 300 + (i % top)];
      });
      assert.equal([...some["items"]!], best, where);
    }
  }
});

test("of many equal scores the lowest ids are the best, whichever thread scans them first", async () => {
  const items = 40_000;
  const scores = [0, 3, -3, 1e-38, -Infinity];
  for (const isa of availableIsas()) {
    for (const threads of [1, 2, 4]) {
      using engine = createNativeEngine({ threads, isa });
      const graph = new Graph();
      const scan = {
        user: graph.input("user", "float32", ["samples", 1]),
        weight: graph.parameter("weight", [items, 1], { kind: "zeros" }),
        excluded: graph.input("excluded", "int32", [0]),
        excludedOffsets: graph.input("excluded_offsets", "int32", ["samples+1"]),
      };
      graph.output("items", topN(graph, "best", scan, { top: 3, skipRows: 1 }).items);
      const inputs = {
        user: Float32Array.from(scores),
        excluded: new Int32Array(0),
        excluded_offsets: new Int32Array(scores.length + 1),
      };
      const stored = { weight: new Float32Array(items).fill(1) };
      const samples = scores.length;
      const { outputs } = await runCase(engine, { program: graph.toProgram(), stored, inputs }, { samples });
      assert.equal([...outputs["items"]!], Array(samples).fill([1, 2, 3]).flat(), `${isa}, ${threads} threads`);
    }
  }
});

test.run();
