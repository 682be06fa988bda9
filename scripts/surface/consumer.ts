// Code of a user of the package. It is compiled against the packed package with its declarations.

import { openModel, recommend, TrainingSession, type TrainOptions, train, Vocabulary } from "shortlist";
import { createEngine, Graph, type Op, ops } from "shortlist/graph";

const options: TrainOptions = { dataset: "dataset", output: "model", config: { lstmWidth: 8 } };
const report = await train(options);
const model = await openModel("model");
for await (const { user, items } of recommend(model, "users.tsv", { top: 10 })) console.log(user, items[0]?.score);
console.log(report.evaluation?.hitRate["10"]);

const graph = new Graph();
const mean = ops.mean(graph, "mean", graph.input("values", "float32", ["n"]));
graph.output("mean", mean);
const engine = createEngine({ executor: "reference" });
const outputs = await engine
  .createExecutor(graph.toProgram(), engine.createStore())
  .run({ values: Float32Array.of(1, 2) }, { n: 2 });
console.log(outputs["mean"]?.[0], ops.OPS.get("mean") satisfies Op | undefined);

// @ts-expect-error: internal
Vocabulary.fromCounts;
// @ts-expect-error: internal
TrainingSession.prototype.write;
