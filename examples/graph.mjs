// How to build and train a network of your own: matrix factorisation with an exact softmax over all items, trained by
// gradient descent. Run it with `node examples/graph.mjs`.

import { createEngine, Graph, initializeStore, ops } from "shortlist/graph";

const [USERS, ITEMS, WIDTH, STEPS] = [8, 8, 4, 200];

// The graph of a training step. A size that is known only when it runs, here the number of samples in a batch, has a
// name.
const graph = new Graph();
const user = graph.input("user", "int32", ["samples"]);
const target = graph.input("target", "int32", ["samples"]);
const learningRate = graph.input("learning_rate", "float32", []);
const normal = { kind: "normal", standardDeviation: 0.1 };
const users = graph.parameter("users", [USERS, WIDTH], normal);
const items = graph.parameter("items", [ITEMS, WIDTH], normal);
const vectors = ops.embeddingLookup(graph, "user.vector", users, user);
const losses = ops.softmax(graph, "losses", { user: vectors, weight: items, target });
const loss = ops.mean(graph, "loss", losses);
graph.output("loss", loss);

// The gradients are computed by further instructions of the same graph. A table that is read by rows has a gradient of
// row terms, which its optimizer sums for each row that the batch touched.
for (const [parameter, gradient] of ops.lossGradients(graph, loss, [users, items])) {
  const name = `${parameter.name}.update`;
  if (gradient.kind === "dense") {
    ops.sgd(graph, name, { parameter, gradient: gradient.tensor, learningRate });
  } else {
    const { terms } = gradient;
    const ids = terms.map((term) => term.ids);
    ops.sgdRows(graph, name, { parameter, learningRate, sorted: ops.sortRows(graph, `${name}.order`, ids), terms });
  }
}

const program = graph.toProgram();
console.log(program.instructions.map(({ op }) => op).join(" → "));

// Training data: user u watches items u and u + 1.
const inputs = {
  user: Int32Array.from({ length: 2 * USERS }, (_, i) => i >> 1),
  target: Int32Array.from({ length: 2 * USERS }, (_, i) => ((i >> 1) + (i & 1)) % ITEMS),
  learning_rate: Float32Array.of(2),
};
const engine = createEngine();
const store = engine.createStore();
initializeStore(store, program, graph.initializers, 1);
const executor = engine.createExecutor(program, store);
for (let step = 0; step <= STEPS; step++) {
  const outputs = await executor.run(inputs, { samples: 2 * USERS });
  if (step % 50 === 0) console.log(`step ${step}: loss ${outputs.loss[0].toFixed(4)}`);
}
console.log(`the best possible loss is log 2 = ${Math.log(2).toFixed(4)}`);
executor.close();
store.close();
engine.close();
