// The kernels that are compared with other libraries, as Programs.

import { gradients } from "../src/graph/gradients.js";
import { Graph, type Initializer, type Tensor } from "../src/graph/graph.js";
import { embeddingBag, linear, lstm, rangeMax, softmax, topN } from "../src/ops/index.js";
import { GRADIENT_SUMS } from "../src/ops/loss_gradients.js";
import { applyGradients } from "../src/optimizers/index.js";
import { aliasTable } from "../src/random/alias_table.js";
import { RandomStream } from "../src/random/philox.js";
import type { KernelProgram } from "./contender.js";

const NORMAL: Initializer = { kind: "normal", standardDeviation: 1 };
/** The key word of these random numbers; `src/random` uses the small ones. */
const STREAM = 1102;

const values = (data: Float32Array | Int32Array | Uint32Array): Initializer => ({ kind: "values", values: data });

function ids(graph: Graph, name: string, data: Int32Array): Tensor {
  return graph.constant(name, "int32", [data.length], values(data));
}

function built(graph: Graph, units = 1): KernelProgram {
  return { program: graph.toProgram(), initializers: graph.initializers, units };
}

/** Builds a kernel for certain sizes. */
export type KernelBuilder = () => KernelProgram;

export interface GemmSizes {
  readonly rows: number;
  readonly out: number;
  readonly inner: number;
}

/** The product [rows, inner] · [inner, out], which takes 2 · rows · out · inner flops. */
export function gemm({ rows, out, inner }: GemmSizes): KernelProgram {
  const graph = new Graph();
  const input = graph.constant("a.matrix", "float32", [rows, inner], NORMAL);
  const weight = graph.constant("b.matrix", "float32", [inner, out], NORMAL);
  graph.output("product", linear(graph, "c.matrix", [input], weight));
  return built(graph);
}

export const gemmFlops = ({ rows, out, inner }: GemmSizes) => 2 * rows * out * inner;

export interface LstmSizes {
  readonly batch: number;
  readonly timesteps: number;
  readonly width: number;
}

/**
 * An LSTM layer on [batch, timesteps, width] with the maximum over time, and the gradients of the loss Σ maxima with
 * respect to input, weights and bias. It does the same as `nn.LSTM` followed by `h.max(1).values.sum().backward()`.
 */
export function lstmTraining({ batch, timesteps, width }: LstmSizes): KernelProgram {
  const graph = new Graph();
  const positions = batch * timesteps;
  const uniform: Initializer = { kind: "uniform", limit: 1 / Math.sqrt(width) };
  const input = graph.parameter("x.input", [positions, width], NORMAL);
  const inputWeight = graph.parameter("w.input", [width, 4 * width], uniform);
  const recurrentWeight = graph.parameter("w.recurrent", [width, 4 * width], uniform);
  const bias = graph.parameter("b.gates", [4 * width], uniform);
  const hidden = lstm(graph, "h.hidden", {
    input,
    inputWeight,
    bias,
    recurrentWeight,
    position: ids(
      graph,
      "i.position",
      Int32Array.from({ length: positions }, (_, i) => i),
    ),
    sequenceOffsets: ids(
      graph,
      "i.sequences",
      Int32Array.from({ length: batch + 1 }, (_, sequence) => sequence * timesteps),
    ),
  });
  const maxima = rangeMax(graph, "m.maxima", {
    input: hidden,
    start: ids(
      graph,
      "i.start",
      Int32Array.from({ length: batch }, (_, sequence) => sequence * timesteps),
    ),
    end: ids(
      graph,
      "i.end",
      Int32Array.from({ length: batch }, (_, sequence) => (sequence + 1) * timesteps),
    ),
  });
  const seed = graph.constant("s.seed", "float32", [batch, width], { kind: "constant", value: 1 });
  const found = gradients(graph, new Map([[maxima, seed]]), [input, inputWeight, recurrentWeight, bias], GRADIENT_SUMS);
  for (const [parameter, gradient] of found) {
    if (gradient.kind === "dense") graph.output(`${parameter.name}.gradient`, gradient.tensor);
  }
  return built(graph);
}

/**
 * The flops of the matrix products. The backward pass has twice those of the forward pass. The first timestep has no
 * recurrent product.
 */
export const lstmFlops = ({ batch, timesteps, width }: LstmSizes) =>
  3 * batch * (2 * timesteps - 1) * 8 * width * width;

export interface SoftmaxSizes {
  readonly samples: number;
  readonly items: number;
  readonly width: number;
  readonly precision?: "float32" | "bf16";
}

/**
 * The mean exact cross-entropy of samples over all items, and its gradients with respect to user vectors, item vectors
 * and biases. It does the same as `cross_entropy(linear(u, w, b), target).backward()`.
 */
export function softmaxTraining({ samples, items, width, precision = "float32" }: SoftmaxSizes): KernelProgram {
  const graph = new Graph();
  const random = new RandomStream(1, STREAM);
  const user = graph.parameter("u.users", [samples, width], NORMAL);
  const weight = graph.parameter("w.items", [items, width], { kind: "normal", standardDeviation: 0.05 });
  const bias = graph.parameter("b.items", [items], { kind: "constant", value: 0 });
  const target = ids(
    graph,
    "i.target",
    Int32Array.from({ length: samples }, () => random.below(items)),
  );
  const loss = softmax(graph, "l.loss", { user, weight, bias, target }, { keepScores: true, precision });
  const share: Initializer = { kind: "constant", value: 1 / samples };
  const seed = graph.constant("s.seed", "float32", [samples], share);
  const found = gradients(graph, new Map([[loss, seed]]), [user, weight, bias], GRADIENT_SUMS);
  for (const [parameter, gradient] of found) {
    if (gradient.kind === "dense") graph.output(`${parameter.name}.gradient`, gradient.tensor);
  }
  return built(graph);
}

/** The flops of the three products: scores, and the gradients of users and of items. */
export const softmaxFlops = ({ samples, items, width }: SoftmaxSizes) => 6 * samples * items * width;

export interface BagSizes {
  readonly rows: number;
  readonly width: number;
  readonly bags: number;
  /** The range of the bags' lengths, which are uniformly distributed. */
  readonly lengths: readonly [first: number, last: number];
  readonly distribution: "uniform" | "zipf";
}

/** Number of sets of ids that are used in turn, so that rows are not in the cache from the previous use. */
export const ID_SETS = 8;

export interface BagIds {
  /** Offsets of the bags, [bags + 1]. */
  readonly offsets: Int32Array;
  /** The ids of all bags, for each of the ID_SETS sets. */
  readonly sets: readonly Int32Array[];
}

export function bagIds({ rows, bags, lengths, distribution }: BagSizes): BagIds {
  const [shortest, longest] = lengths;
  const random = new RandomStream(1, STREAM);
  const offsets = new Int32Array(bags + 1);
  for (let bag = 0; bag < bags; bag++)
    offsets[bag + 1] = offsets[bag]! + shortest + random.below(longest - shortest + 1);
  const table =
    distribution === "zipf" ? aliasTable(Float64Array.from({ length: rows }, (_, rank) => 1 / (rank + 10))) : undefined;
  const next = () => {
    const column = random.below(rows);
    if (!table) return column;
    return random.word() < table.threshold[column]! ? column : table.alias[column]!;
  };
  const length = offsets[bags]!;
  return { offsets, sets: Array.from({ length: ID_SETS }, () => Int32Array.from({ length }, next)) };
}

/**
 * The mean of each bag's rows. With `train`, also the gradient of the loss Σ output, and AdaGrad on the touched rows.
 */
export function bag(sizes: BagSizes, { offsets, sets }: BagIds, options: { readonly train: boolean }): KernelProgram {
  const graph = new Graph();
  const table = graph.parameter("t.table", [sizes.rows, sizes.width], NORMAL);
  const start = ids(graph, "i.start", offsets.subarray(0, sizes.bags));
  const end = ids(graph, "i.end", offsets.subarray(1));
  const scalars = options.train
    ? {
        seed: graph.constant("s.seed", "float32", [sizes.bags, sizes.width], { kind: "constant", value: 1 }),
        learningRate: graph.constant("s.rate", "float32", [], values(Float32Array.of(0.1))),
        step: graph.constant("s.step", "uint32", [], values(Uint32Array.of(0))),
      }
    : undefined;
  const adagrad = { optimizer: "adagrad", epsilon: 1e-10, epsilonInside: false, beta1: 0, beta2: 0 } as const;
  sets.forEach((set, i) => {
    const output = embeddingBag(graph, `o${i}.mean`, { table, ids: ids(graph, `i.ids${i}`, set), start, end });
    graph.output(`mean${i}`, output);
    if (scalars) {
      const found = gradients(graph, new Map([[output, scalars.seed]]), [table], GRADIENT_SUMS);
      applyGradients(graph, adagrad, found, scalars);
    }
  });
  return built(graph, ID_SETS);
}

/** Bytes of table rows that reading all bags once takes. */
export const bagBytes = ({ width }: BagSizes, { offsets }: BagIds) => 4 * width * offsets[offsets.length - 1]!;

export interface ScanSizes {
  readonly items: number;
  readonly width: number;
  readonly queries: number;
  readonly top: number;
}

/** Exact search for the `top` items with the largest inner products. A unit of work is a query. */
export function scan({ items, width, queries, top }: ScanSizes): KernelProgram {
  const graph = new Graph();
  const best = topN(
    graph,
    "b.best",
    {
      user: graph.constant("q.queries", "float32", [queries, width], NORMAL),
      weight: graph.constant("w.items", "float32", [items, width], NORMAL),
      excluded: ids(graph, "i.excluded", new Int32Array(0)),
      excludedOffsets: ids(graph, "i.offsets", new Int32Array(queries + 1)),
    },
    { top },
  );
  graph.output("items", best.items);
  graph.output("score", best.score);
  return built(graph, queries);
}
