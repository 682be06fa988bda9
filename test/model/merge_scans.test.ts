import { test } from "uvu";
import * as assert from "uvu/assert";
import { createNativeEngine } from "../../src/executors/native.js";
import { createReferenceEngine } from "../../src/executors/reference.js";
import { checkProgram } from "../../src/graph/check_program.js";
import { Graph } from "../../src/graph/graph.js";
import { type Program, parseProgram, selectOutputs } from "../../src/graph/program.js";
import { HIGHEST_SCORE, mergeScans } from "../../src/model/merge_scans.js";
import { add, mean, OPS, targetRank, topN } from "../../src/ops/index.js";
import { runCase } from "../cases/run_case.js";

interface Variant {
  readonly rankFirst?: boolean;
  readonly skipRows?: number;
  /** The operand of `target_rank` that another tensor takes the place of. */
  readonly other?: "user" | "weight" | "bias" | "excluded" | "excludedOffsets" | undefined;
  readonly between?: boolean;
  readonly readPartition?: boolean;
}

/** A Program with the outputs `items`, `rank` and others. */
function scans({ rankFirst, skipRows = 1, other, between, readPartition }: Variant): Program {
  const graph = new Graph();
  const operands = (prefix: string) => ({
    user: graph.input(`${prefix}user`, "float32", ["samples", 1]),
    weight: graph.parameter(`${prefix}weight`, [6, 1], { kind: "zeros" }),
    bias: graph.parameter(`${prefix}bias`, [6], { kind: "zeros" }),
    excluded: graph.input(`${prefix}excluded`, "int32", ["excluded"]),
    excludedOffsets: graph.input(`${prefix}excluded_offsets`, "int32", ["samples+1"]),
  });
  const scan = operands("");
  const target = graph.input("target", "int32", ["samples"]);
  const scanOfRank = other ? { ...scan, [other]: operands("other.")[other] } : scan;
  const rank = () => targetRank(graph, "rank", { ...scanOfRank, target }, { skipRows });
  const early = rankFirst && rank();
  const best = topN(graph, "best", scan, { top: "top", skipRows: 1 });
  if (between) graph.output("sum", add(graph, "between", scan.bias, scan.bias));
  graph.output("rank", early || rank());
  graph.output("items", best.items);
  graph.output("score", best.score);
  graph.output("log_partition", best.logPartition);
  if (readPartition) graph.output("mean", mean(graph, "mean.partition", best.logPartition));
  return graph.toProgram();
}

test("top_n and target_rank of the same scan become one instruction, with the same results", async () => {
  for (const rankFirst of [false, true]) {
    const program = scans({ rankFirst });
    const merged = mergeScans(selectOutputs(program, ["items", "rank"]))!;
    assert.equal(
      merged.instructions.map(({ op }) => op),
      ["top_n_and_rank"],
    );
    checkProgram(parseProgram(JSON.stringify(merged)), OPS);
    const inputs = {
      user: Float32Array.of(1, -1),
      excluded: Int32Array.of(2, 2, 4),
      excluded_offsets: Int32Array.of(0, 2, 3),
      target: Int32Array.of(3, 5),
    };
    const stored = { weight: Float32Array.of(9, 2, 3, 2, 1, 3), bias: new Float32Array(6) };
    const dims = { samples: 2, excluded: 3, top: 2 };
    for (const engine of [createReferenceEngine({ ops: OPS }), createNativeEngine({ threads: 1 })]) {
      const both = (await runCase(engine, { program, stored, inputs }, dims)).outputs;
      const { outputs } = await runCase(engine, { program: merged, stored, inputs }, dims);
      assert.equal(Object.keys(outputs).sort(), ["items", "rank", HIGHEST_SCORE]);
      assert.equal([outputs["items"], outputs["rank"]], [both["items"], both["rank"]]);
      assert.equal([...outputs[HIGHEST_SCORE]!], [3, -1]);
      engine.close();
    }
  }
});

test("other scans stay as they are", () => {
  const merge = (variant: Variant, outputs: readonly string[] = ["items", "rank"]) =>
    mergeScans(selectOutputs(scans(variant), outputs));
  assert.ok(merge({}));
  for (const other of ["user", "weight", "bias", "excluded", "excludedOffsets"] as const) {
    assert.is(merge({ other }), undefined, other);
  }
  assert.is(merge({ skipRows: 0 }), undefined);
  assert.is(merge({}, ["items"]), undefined);
  assert.is(merge({}, ["rank"]), undefined);
  assert.is(merge({}, ["items", "rank", "log_partition"]), undefined, "the log partition is an output");
  assert.is(merge({ readPartition: true }, ["items", "rank", "mean"]), undefined, "the log partition is read");
  assert.ok(merge({ readPartition: true }), "an instruction that is not needed reads it");
  assert.is(merge({ between: true }, ["items", "rank", "sum"]), undefined, "they are not neighbours");
});

test.run();
