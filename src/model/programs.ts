import type { Encoding } from "../data/clicks.js";
import { Graph, type Initializer, type Tensor } from "../graph/graph.js";
import type { Program } from "../graph/program.js";
import {
  drawNegatives,
  l2Decay,
  lossGradients,
  mean,
  nce,
  paddleNce,
  sampledSoftmax,
  softmax,
  sum,
  targetRank,
  topN,
} from "../ops/index.js";
import { applyGradients } from "../optimizers/index.js";
import type { AliasTable } from "../random/alias_table.js";
import type { ModelConfig } from "./config.js";
import { type RecallNetwork, recallNetwork } from "./network.js";

/** A Program with the start values of the tensors that it keeps between runs. */
export interface InitializedProgram {
  readonly program: Program;
  readonly initializers: ReadonlyMap<string, Initializer>;
}

/** Rows of the item table before the first item: `<unk>` is never a target, a negative or a recommendation. */
const SKIP_ROWS = 1;

/**
 * What a saved model computes, by output: `user_vector` [samples, width]; `items`, `score` [samples, top] and
 * `log_partition` [samples], the best items without the excluded ones; `rank` [samples] of `target`. Each command selects
 * the outputs that it needs.
 */
export function inferenceProgram(config: ModelConfig, encoding: Encoding): InitializedProgram {
  const graph = new Graph();
  const { userVector, outputWeight, outputBias } = recallNetwork(graph, config, encoding);
  const scan = {
    user: userVector,
    weight: outputWeight,
    bias: outputBias,
    excluded: graph.input("excluded", "int32", ["excluded"]),
    excludedOffsets: graph.input("excluded_offsets", "int32", ["samples+1"]),
  };
  const best = topN(graph, "top.items", scan, { top: "top", skipRows: SKIP_ROWS });
  const target = graph.input("target", "int32", ["samples"]);
  graph.output("user_vector", userVector);
  graph.output("items", best.items);
  graph.output("score", best.score);
  graph.output("log_partition", best.logPartition);
  graph.output("rank", targetRank(graph, "target.rank", { ...scan, target }, { skipRows: SKIP_ROWS }));
  return { program: graph.toProgram(), initializers: graph.initializers };
}

/** The noise distribution q over the items: what negatives are drawn from. */
export interface Noise {
  /** q(i); q(<unk>) = 0 */
  readonly distribution: Float64Array;
  readonly aliasTable: AliasTable;
}

/** One training step: forward, backward, optimizer. Its output is the batch's `loss` []. */
export function trainingProgram(config: ModelConfig, encoding: Encoding, noise: Noise): InitializedProgram {
  const graph = new Graph();
  const network = recallNetwork(graph, config, encoding);
  const parameters = [...graph.initializers.keys()].map((name) => graph.tensor(name)!);
  const step = graph.input("step", "uint32", []);
  const sampleLoss = lossOf(graph, config, network, noise, step);
  const reduce = config.reduction === "mean" ? mean : sum;
  const loss = reduce(graph, "loss.batch", sampleLoss);
  graph.output("loss", loss);

  const learningRate = graph.input("learning_rate", "float32", []);
  const found = lossGradients(graph, loss, parameters);
  for (const [parameter, gradient] of found) {
    if (gradient.kind !== "dense" || !decays(config, parameter)) continue;
    const decayed = l2Decay(
      graph,
      `${parameter.name}.decayed`,
      { gradient: gradient.tensor, parameter },
      { l2: config.l2 },
    );
    found.set(parameter, { kind: "dense", tensor: decayed });
  }
  applyGradients(graph, config, found, { learningRate, step });
  return { program: graph.toProgram(), initializers: graph.initializers };
}

function lossOf(graph: Graph, config: ModelConfig, network: RecallNetwork, noise: Noise, step: Tensor): Tensor {
  const target = graph.input("target", "int32", ["samples"]);
  const { userVector: user, outputWeight: weight, outputBias: bias } = network;
  if (config.loss === "softmax")
    return softmax(graph, "loss.samples", { user, weight, bias, target }, { skipRows: SKIP_ROWS });

  const items = noise.distribution.length;
  const { threshold, alias } = noise.aliasTable;
  const negatives = drawNegatives(
    graph,
    "negatives.items",
    {
      threshold: graph.constant("noise.threshold", "uint32", [items], { kind: "values", values: threshold }),
      alias: graph.constant("noise.alias", "int32", [items], { kind: "values", values: alias }),
      target,
      seed: graph.input("seed", "uint32", []),
      step,
    },
    { draws: config.draws, shared: config.sharedDraws },
  );
  const logNoise = graph.constant("noise.log_probability", "float32", [items], {
    kind: "values",
    values: Float32Array.from(noise.distribution, (q) => Math.log(Math.max(q, MIN_PROBABILITY))),
  });
  const lossOp = { nce, paddle_nce: paddleNce, sampled_softmax: sampledSoftmax }[config.loss];
  return lossOp(graph, "loss.samples", { user, weight, bias, target, negatives, logNoise });
}

/** Stands in for q(<unk>) = 0, whose logarithm is never read. */
const MIN_PROBABILITY = 1e-30;

function decays(config: ModelConfig, parameter: Tensor): boolean {
  if (config.l2 === 0) return false;
  return parameter.shape.length === 2 || config.l2Biases;
}
