import type { Encoding, ItemValues } from "../data/clicks.js";
import { weightField } from "../data/schema.js";
import type { Gradient } from "../graph/gradients.js";
import { Graph, type Initializer, type Tensor } from "../graph/graph.js";
import type { Program } from "../graph/program.js";
import {
  clipGradients,
  decayRows,
  drawNegatives,
  embeddingLookup,
  l2Decay,
  lossGradients,
  mean,
  multiply,
  nce,
  paddleNce,
  type SortedRows,
  sampledSoftmax,
  softmax,
  sum,
  targetRank,
  topN,
} from "../ops/index.js";
import { accumulatorOf } from "../optimizers/adagrad.js";
import { applyGradients, RowSorter } from "../optimizers/index.js";
import type { OptimizerInputs } from "../optimizers/optimizer.js";
import type { AliasTable } from "../random/alias_table.js";
import type { CatalogueConfig, ModelConfig } from "./config.js";
import { trainingDropouts } from "./dropouts.js";
import { composedItemVectors, composesItems, type ItemVectors, itemVectors } from "./item_vectors.js";
import { rowOptions, userVector } from "./network.js";

/** A Program with the initial values of its stored tensors, which keep their values between runs. */
export interface InitializedProgram {
  readonly program: Program;
  readonly initializers: ReadonlyMap<string, Initializer>;
}

/**
 * Number of rows of the item table before the first item: `<unk>` is never a target, a negative or a recommendation.
 */
const SKIP_ROWS = 1;

/**
 * The Program of a saved model. Its outputs are `user_vector` [samples, width]; the best items that are not excluded,
 * as `items` and `score` [samples, top], with `log_partition` [samples]; and the `rank` [samples] of `target`. Each
 * command selects the outputs that it needs.
 */
export function inferenceProgram(config: ModelConfig, encoding: Encoding): InitializedProgram {
  const graph = new Graph();
  const user = userVector(graph, config, encoding);
  const scan = {
    user,
    ...itemVectors(graph, config, encoding),
    excluded: graph.input("excluded", "int32", ["excluded"]),
    excludedOffsets: graph.input("excluded_offsets", "int32", ["samples+1"]),
  };
  const best = topN(graph, "top.items", scan, { top: "top", skipRows: SKIP_ROWS });
  const target = graph.input("target", "int32", ["samples"]);
  graph.output("user_vector", user);
  graph.output("items", best.items);
  graph.output("score", best.score);
  graph.output("log_partition", best.logPartition);
  graph.output("rank", targetRank(graph, "target.rank", { ...scan, target }, { skipRows: SKIP_ROWS }));
  return { program: graph.toProgram(), initializers: graph.initializers };
}

/**
 * A Program that finds, among some items, those with the highest scores for vectors. Inputs: the `vectors` [samples,
 * width], the ids of the items (`chosen` [chosen]) and their biases (`bias` [chosen]), and `excluded` with
 * `excluded_offsets`. Outputs: `items` and `score` [samples, top], and `log_partition` [samples]. The items of
 * `excluded` and of the output are indices into `chosen`. `rows` is the number of items of the model, with `<unk>`.
 */
export function scanProgram(rows: number, width: number): InitializedProgram {
  const graph = new Graph();
  const table = graph.constant("output.weight", "float32", [rows, width], { kind: "zeros" });
  const scan = {
    user: graph.input("vectors", "float32", ["samples", width]),
    weight: embeddingLookup(graph, "chosen.rows", table, graph.input("chosen", "int32", ["chosen"])),
    bias: graph.input("bias", "float32", ["chosen"]),
    excluded: graph.input("excluded", "int32", ["excluded"]),
    excludedOffsets: graph.input("excluded_offsets", "int32", ["samples+1"]),
  };
  const best = topN(graph, "top.items", scan, { top: "top" });
  graph.output("items", best.items);
  graph.output("score", best.score);
  graph.output("log_partition", best.logPartition);
  return { program: graph.toProgram(), initializers: graph.initializers };
}

/** The noise distribution q over the items, from which negatives are drawn. */
export interface Noise {
  /** q(i) for each item id i; q(<unk>) = 0. */
  readonly distribution: Float64Array;
  readonly aliasTable: AliasTable;
}

/**
 * A Program that computes the item vectors of a model from the tables that they are composed of. Its output `weight` is
 * to be stored as `output.weight`. Undefined if the model does not compose its item vectors.
 */
export function itemVectorsProgram(
  config: CatalogueConfig,
  encoding: Encoding,
  catalogue: readonly ItemValues[],
): InitializedProgram | undefined {
  if (!composesItems(config)) return undefined;
  const graph = new Graph();
  const { weight } = composedItemVectors(graph, config, encoding, catalogue);
  const values = Int32Array.from({ length: weight.shape[0] as number }, (_, i) => i);
  const all = graph.constant("all_items.rows", "int32", [values.length], { kind: "values", values });
  graph.output("weight", weight.role === "parameter" ? embeddingLookup(graph, "items.weight", weight, all) : weight);
  return { program: graph.toProgram(), initializers: graph.initializers };
}

/**
 * The Program of one training step: forward, backward and optimizer. Its output is the batch's `loss`, a scalar.
 * `catalogue` has the attributes of every item.
 */
export function trainingProgram(
  config: CatalogueConfig,
  encoding: Encoding,
  noise: Noise,
  catalogue: readonly ItemValues[],
): InitializedProgram {
  const graph = new Graph();
  const inputs = optimizerInputs(graph);
  const draws = { seed: graph.input("seed", "uint32", []), step: inputs.step };
  const drop = trainingDropouts(graph, config, draws);
  const user = userVector(graph, config, encoding, { drop, ...rowOptions(config, encoding.schema) });
  const items = composesItems(config)
    ? composedItemVectors(graph, config, encoding, catalogue)
    : itemVectors(graph, config, encoding);
  const parameters = [...graph.initializers.keys()]
    .map((name) => graph.tensor(name)!)
    .filter(({ role }) => role === "parameter");
  const sorter = new RowSorter(graph);
  const sampleLoss = lossOf(graph, config, { user, ...items }, noise, { ...inputs, ...draws, sorter });
  const reduce = config.reduction === "mean" ? mean : sum;
  const loss = reduce(graph, "loss.batch", weighted(graph, encoding, sampleLoss));
  graph.output("loss", loss);

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
  applyGradients(graph, config, clipped(graph, found, config.clipNorm), inputs, sorter);
  return { program: graph.toProgram(), initializers: graph.initializers };
}

/** Returns the gradients with all dense ones scaled down together to a joint norm of at most `limit`. */
function clipped(graph: Graph, found: ReadonlyMap<Tensor, Gradient>, limit: number): ReadonlyMap<Tensor, Gradient> {
  if (limit === 0) return found;
  const dense = [...found].flatMap(([parameter, gradient]) =>
    gradient.kind === "dense" ? [{ parameter, tensor: gradient.tensor }] : [],
  );
  const tensors = clipGradients(
    graph,
    "gradients.clipped",
    dense.map(({ tensor }) => tensor),
    limit,
  );
  const replaced = dense.map(({ parameter }, i) => [parameter, { kind: "dense", tensor: tensors[i]! }] as const);
  return new Map<Tensor, Gradient>([...found, ...replaced]);
}

function optimizerInputs(graph: Graph): OptimizerInputs {
  return { learningRate: graph.input("learning_rate", "float32", []), step: graph.input("step", "uint32", []) };
}

/**
 * A Program that applies the outstanding lazy decay (`l2Output`) to all rows of the output table, as of step `step`.
 * Run it before anything but training reads the table. Its inputs `rows` and `count` are all row numbers and their
 * number. Undefined if the configuration has no such decay.
 */
export function flushDecayProgram(config: ModelConfig, items: number): Program | undefined {
  if (!config.l2Output || config.l2 === 0) return undefined;
  const graph = new Graph();
  const weight = graph.parameter("output.weight", [items, config.userVectorWidth], { kind: "zeros" });
  const bias = graph.parameter("output.bias", [items], { kind: "zeros" });
  const touched = { rows: graph.input("rows", "int32", [items]), count: graph.input("count", "int32", []) };
  decayOutput(graph, config, [weight, bias], touched, optimizerInputs(graph));
  return graph.toProgram();
}

function decayOutput(
  graph: Graph,
  config: ModelConfig,
  tables: readonly Tensor[],
  touched: Pick<SortedRows, "rows" | "count">,
  { learningRate, step }: OptimizerInputs,
): void {
  const { l2, epsilon, epsilonInside } = config;
  for (const parameter of tables) {
    const accumulator = accumulatorOf(graph, parameter, parameter.shape as number[]);
    const rows = parameter.shape.slice(0, 1) as number[];
    const lastStep = graph.optimizerState(`${parameter.name}.last_step`, rows, { kind: "zeros" }, "uint32");
    const operands = { parameter, accumulator, lastStep, touched, learningRate, step };
    decayRows(graph, `${parameter.name}.decay`, operands, { l2, epsilon, epsilonInside });
  }
}

interface LossInputs extends OptimizerInputs {
  readonly seed: Tensor;
  readonly sorter: RowSorter;
}

function lossOf(
  graph: Graph,
  config: CatalogueConfig,
  { user, weight, bias }: ItemVectors & { readonly user: Tensor },
  noise: Noise,
  { sorter, ...inputs }: LossInputs,
): Tensor {
  const target = graph.input("target", "int32", ["samples"]);
  if (config.loss === "softmax") {
    const keepScores = config.batchSize * (weight.shape[0] as number) <= MOST_KEPT_SCORES;
    const options = { skipRows: SKIP_ROWS, keepScores, precision: config.precision };
    return softmax(graph, "loss.samples", { user, weight, bias, target }, options);
  }

  const items = noise.distribution.length;
  const { threshold, alias } = noise.aliasTable;
  const negatives =
    config.negatives === "batch"
      ? target
      : drawNegatives(
          graph,
          "negatives.items",
          {
            threshold: graph.constant("noise.threshold", "uint32", [items], { kind: "values", values: threshold }),
            alias: graph.constant("noise.alias", "int32", [items], { kind: "values", values: alias }),
            target,
            seed: inputs.seed,
            step: inputs.step,
          },
          { draws: config.draws, shared: config.sharedDraws },
        );
  if (config.l2Output && config.l2 > 0) {
    decayOutput(graph, config, [weight, bias], sorter.sort([target, negatives]), inputs);
  }
  const logProbability = new Float32Array(items);
  for (let i = 0; i < items; i++) logProbability[i] = Math.log(Math.max(noise.distribution[i]!, MIN_PROBABILITY));
  const logNoise = graph.constant("noise.log_probability", "float32", [items], {
    kind: "values",
    values: logProbability,
  });
  const lossOp = { nce, paddle_nce: paddleNce, sampled_softmax: sampledSoftmax }[config.loss];
  const { precision } = config;
  return lossOp(graph, "loss.samples", { user, weight, bias, target, negatives, logNoise }, { precision });
}

/** The losses of samples, multiplied by the weights of their targets if the schema has weights. */
function weighted(graph: Graph, { schema }: Encoding, losses: Tensor): Tensor {
  const field = schema.click[weightField(schema)];
  return field ? multiply(graph, "loss.weighted", losses, graph.input(field.name, "float32", ["samples"])) : losses;
}

/** Largest number of scores of a batch that are kept from the forward pass to the gradient: 64 MiB. */
const MOST_KEPT_SCORES = 1 << 24;

/** Stands in for q(<unk>) = 0, so that its logarithm, which is never read, is finite. */
const MIN_PROBABILITY = 1e-30;

function decays(config: ModelConfig, parameter: Tensor): boolean {
  if (config.l2 === 0) return false;
  return parameter.shape.length === 2 || config.l2Biases;
}
