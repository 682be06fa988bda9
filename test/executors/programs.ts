import type { Engine, Executor, TensorStore } from "../../src/executors/executor.js";
import { gradients } from "../../src/graph/gradients.js";
import { Graph, type Tensor } from "../../src/graph/graph.js";
import { type Program, STORED_ROLES } from "../../src/graph/program.js";
import { embeddingBag } from "../../src/ops/embedding_bag.js";
import { linear } from "../../src/ops/linear.js";
import { GRADIENT_SUMS } from "../../src/ops/loss_gradients.js";
import type { TensorData } from "../../src/ops/op.js";
import { RandomStream } from "../../src/random/philox.js";

export interface Prepared {
  readonly store: TensorStore;
  readonly executor: Executor;
}

/** Creates an executor with a new store of small random numbers, which are the same for every engine. */
export function prepare(engine: Engine, program: Program, profile = false): Prepared {
  const store = engine.createStore();
  program.tensors.forEach(({ name, dtype, shape, role }, index) => {
    if (!STORED_ROLES.has(role)) return;
    store.define({ name, dtype, shape: shape as number[] });
    const random = new RandomStream(7, index);
    const length = (shape as number[]).reduce((product, size) => product * size, 1);
    store.write(
      name,
      Float32Array.from({ length }, () => random.normal() / 4),
    );
  });
  return { store, executor: engine.createExecutor(program, store, { profile }) };
}

const ROWS = 50;

/**
 * A Program with two concatenated bags of embeddings, two layers on top, and all gradients. The bags' outputs and their
 * gradients are lists of matrices, which the native executor stores as the columns of wider matrices.
 */
export function bagProgram(): Program {
  const graph = new Graph();
  const zeros = { kind: "zeros" } as const;
  const wide = graph.parameter("wide", [ROWS, 11], zeros);
  const narrow = graph.parameter("narrow", [ROWS, 6], zeros);
  const [hidden, out] = [graph.parameter("hidden", [17, 9], zeros), graph.parameter("out", [9, 3], zeros)];
  const ids = graph.input("ids", "int32", ["clicks"]);
  const ranges = { start: graph.input("start", "int32", ["samples"]), end: graph.input("end", "int32", ["samples"]) };
  const bags = [
    embeddingBag(graph, "wide_mean", { table: wide, ids, ...ranges }),
    embeddingBag(graph, "narrow_mean", { table: narrow, ids, ...ranges }),
  ];
  const layer = linear(graph, "layer", bags, hidden, undefined, { activation: "relu" });
  const result = linear(graph, "result", [layer], out);
  const seed = graph.input("seed", "float32", ["samples", 3]);
  const found = gradients(graph, new Map([[result, seed]]), [wide, narrow, hidden, out], GRADIENT_SUMS);
  graph.output("score", result);
  for (const [parameter, gradient] of found) {
    const tensor: Tensor = gradient.kind === "dense" ? gradient.tensor : gradient.terms[0]!.rows;
    graph.output(`gradient.${parameter.name}`, tensor);
  }
  return graph.toProgram();
}

export function bagInputs(samples: number): {
  readonly inputs: Record<string, TensorData>;
  readonly dims: Record<string, number>;
} {
  const random = new RandomStream(samples, 1);
  const clicks = samples + 5;
  const start = Int32Array.from({ length: samples }, (_, s) => s);
  return {
    inputs: {
      ids: Int32Array.from({ length: clicks }, (_, i) => (i * 31 + 7) % ROWS),
      start,
      end: start.map((from, s) => from + (s % 5)),
      seed: Float32Array.from({ length: samples * 3 }, () => random.normal()),
    },
    dims: { samples, clicks },
  };
}

/** A Program that takes some tenths of a second. */
export function slowProgram(): Program {
  const graph = new Graph();
  let x = graph.input("x", "float32", ["rows", 512]);
  for (let i = 0; i < 8; i++)
    x = linear(graph, `layer${i}`, [x], graph.parameter(`weight${i}`, [512, 512], { kind: "zeros" }));
  graph.output("y", x);
  return graph.toProgram();
}

export const SLOW_ROWS = 2048;

export function slowInputs(): Record<string, TensorData> {
  return { x: new Float32Array(SLOW_ROWS * 512).fill(0.01) };
}
