/*
 * Compares every engine with the golden vectors: inputs and results that other programs computed. They are read from
 * the folder SHORTLIST_GOLDEN (default ../shared/golden, beside the repository). The kind of a vector is recognised by
 * its keys; the losses over draws have the same keys and are told apart by the names of their files.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Engine, RunOutputs } from "../../src/executors/executor.js";
import { availableIsas, createNativeEngine } from "../../src/executors/native.js";
import { createReferenceEngine } from "../../src/executors/reference.js";
import type { Gradient } from "../../src/graph/gradients.js";
import { gradients } from "../../src/graph/gradients.js";
import { Graph, type Tensor } from "../../src/graph/graph.js";
import {
  adagrad,
  adagradRows,
  embeddingBag,
  embeddingLookup,
  l2Decay,
  linear,
  lossGradients,
  lstm,
  mean,
  nce,
  OPS,
  paddleNce,
  rangeMax,
  sampledSoftmax,
  softmax,
  sortRows,
} from "../../src/ops/index.js";
import { GRADIENT_SUMS } from "../../src/ops/loss_gradients.js";
import type { TensorData } from "../../src/ops/op.js";
import { itemVectors, simpleLshItems, simpleLshUsers, userVectors } from "../../src/retrieve/simple_lsh.js";
import { outputTemporaries } from "../cases/build_case.js";
import { assertClose, denseGradient } from "../ops/harness.js";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
const FOLDER = resolve(process.env["SHORTLIST_GOLDEN"] ?? join(REPOSITORY, "../shared/golden"));

type Json = number | string | Json[] | { [key: string]: Json };
type Vector = { readonly [key: string]: Json };

function numbers(value: Json | undefined): number[] {
  return Array.isArray(value) ? value.flatMap(numbers) : value === undefined ? [] : [value as number];
}

function shapeOf(value: Json | undefined): number[] {
  return Array.isArray(value) ? [value.length, ...shapeOf(value[0])] : [];
}

/**
 * An engine with its tolerances: largest differences from PyTorch's float64 results, relative to a tensor's largest
 * magnitude.
 */
interface TestedEngine {
  readonly name: string;
  readonly engine: () => Engine;
  readonly floats: (values: number[]) => TensorData;
  /** Tolerance for one forward and backward pass. */
  readonly tolerance: number;
  /**
   * Tolerance for parameters after AdaGrad. Its first steps are close to η · sign(g), so the rounding error of a
   * gradient that is almost 0 has a large effect.
   */
  readonly trainedTolerance: number;
}

const float32 = { floats: (values: number[]) => Float32Array.from(values), tolerance: 1e-5, trainedTolerance: 1e-4 };
const ENGINES: TestedEngine[] = [
  {
    name: "reference in float64",
    engine: () => createReferenceEngine({ ops: OPS, precision: "float64" }),
    floats: (values) => Float64Array.from(values),
    tolerance: 1e-9,
    trainedTolerance: 1e-9,
  },
  { name: "reference in float32", engine: () => createReferenceEngine({ ops: OPS }), ...float32 },
  { name: "native", engine: () => createNativeEngine({ threads: 2 }), ...float32 },
];

/**
 * The instruction sets other than the default one. None if the addon is missing, which the native tests above report.
 */
function otherIsas(): string[] {
  try {
    return availableIsas().slice(1);
  } catch {
    return [];
  }
}
for (const isa of otherIsas()) {
  ENGINES.push({ name: `native, ${isa}`, engine: () => createNativeEngine({ threads: 1, isa }), ...float32 });
}

/** Builds a graph from a vector's tensors and runs it. */
class Trial {
  readonly graph = new Graph();
  readonly tested: TestedEngine;
  readonly #vector: Vector;
  readonly #stored = new Map<Tensor, TensorData>();
  readonly #inputs: Record<string, TensorData> = {};
  #outputs: RunOutputs = {};

  constructor(vector: Vector, tested: TestedEngine) {
    this.#vector = vector;
    this.tested = tested;
  }

  parameter(key: string): Tensor {
    const value = this.#vector[key];
    const tensor = this.graph.parameter(key, shapeOf(value), { kind: "zeros" });
    this.#stored.set(tensor, this.tested.floats(numbers(value)));
    return tensor;
  }

  /** Like `parameter`, or undefined if the vector has no such key. */
  optionalParameter(key: string): Tensor | undefined {
    return key in this.#vector ? this.parameter(key) : undefined;
  }

  state(name: string, shape: readonly number[]): Tensor {
    const tensor = this.graph.optimizerState(name, shape, { kind: "zeros" });
    this.#stored.set(tensor, this.tested.floats(Array(shape.reduce((a, b) => a * b, 1)).fill(0)));
    return tensor;
  }

  floats(name: string, shape: readonly number[], values: number[]): Tensor {
    this.#inputs[name] = this.tested.floats(values);
    return this.graph.input(name, "float32", shape);
  }

  ints(name: string, value: Json | undefined): Tensor {
    this.#inputs[name] = Int32Array.from(numbers(value));
    return this.graph.input(name, "int32", shapeOf(value));
  }

  /**
   * Differentiates Σ output_grad · output with respect to every parameter, runs the graph, and checks `output` and each
   * `<parameter>_grad`.
   */
  async checkPass(output: Tensor): Promise<void> {
    const value = this.#vector["output_grad"];
    const seed = this.floats("output_grad", shapeOf(value), numbers(value));
    const parameters = [...this.#stored.keys()];
    const found = gradients(this.graph, new Map([[output, seed]]), parameters, GRADIENT_SUMS);
    await this.run();
    this.check(output, this.#vector["output"]);
    for (const parameter of parameters) {
      this.checkGradient(found.get(parameter), parameter, this.#vector[`${parameter.name}_grad`]);
    }
  }

  /** Runs the graph once, on a new store. */
  async run(): Promise<void> {
    await this.session((step) => step());
  }

  /** Runs the graph on a new store, once for each call that `use` makes of its argument. */
  async session(use: (step: () => Promise<(name: string) => TensorData>) => Promise<unknown>): Promise<void> {
    outputTemporaries(this.graph);
    const engine = this.tested.engine();
    const store = engine.createStore();
    const program = this.graph.toProgram();
    for (const { name, dtype, shape } of this.#stored.keys()) {
      store.define({ name, dtype, shape: shape as number[] });
    }
    for (const [{ name }, values] of this.#stored) store.write(name, values);
    const executor = engine.createExecutor(program, store);
    try {
      await use(async () => {
        this.#outputs = await executor.run(this.#inputs, {});
        return (name) => store.read(name);
      });
    } finally {
      executor.close();
    }
  }

  value(tensor: Tensor): TensorData {
    return this.#outputs[tensor.name] ?? this.#inputs[tensor.name] ?? this.#stored.get(tensor)!;
  }

  check(tensor: Tensor, expected: Json | undefined): void {
    this.compare(this.value(tensor), expected, tensor.name);
  }

  checkGradient(gradient: Gradient | undefined, parameter: Tensor, expected: Json | undefined): void {
    assert.ok(gradient, `no gradient for ${parameter.name}`);
    const dense = denseGradient(gradient, parameter.shape as number[], (tensor) => this.value(tensor));
    this.compare(dense, expected, `the gradient of ${parameter.name}`);
  }

  compare(actual: TensorData, expected: Json | undefined, name: string, tolerance = this.tested.tolerance): void {
    assert.ok(expected !== undefined, `the vector has no numbers for ${name}`);
    assertClose(actual, Float64Array.from(numbers(expected)), tolerance, name);
  }
}

/** A kind of vectors: how to recognise it, and its test. */
interface Kind {
  readonly name: string;
  matches(vector: Vector, file: string): boolean;
  check(vector: Vector, tested: TestedEngine): Promise<void>;
}

const has = (vector: Vector, ...keys: string[]) => keys.every((key) => key in vector);

const embeddingBagKind: Kind = {
  name: "embedding_bag",
  matches: (vector) => has(vector, "table", "ids", "start", "end", "output"),
  check: async (vector, tested) => {
    const trial = new Trial(vector, tested);
    const output = embeddingBag(trial.graph, "result", {
      table: trial.parameter("table"),
      ids: trial.ints("ids", vector["ids"]),
      start: trial.ints("start", vector["start"]),
      end: trial.ints("end", vector["end"]),
      offsets: has(vector, "offsets") ? trial.ints("offsets", vector["offsets"]) : undefined,
    });
    await trial.checkPass(output);
  },
};

const rangeMaxKind: Kind = {
  name: "range_max",
  matches: (vector) => has(vector, "input", "start", "end", "output"),
  check: async (vector, tested) => {
    const trial = new Trial(vector, tested);
    const input = trial.parameter("input");
    const [start, end] = [trial.ints("start", vector["start"]), trial.ints("end", vector["end"])];
    await trial.checkPass(rangeMax(trial.graph, "result", { input, start, end }));
  },
};

const lstmKind: Kind = {
  name: "lstm",
  matches: (vector) => has(vector, "input", "recurrent_weight", "offsets"),
  check: async (vector, tested) => {
    const trial = new Trial(vector, tested);
    const [input, weight] = [trial.parameter("input"), trial.parameter("input_weight")];
    const positions = [...numbers(vector["input"]).slice(0, shapeOf(vector["input"])[0]).keys()];
    const output = lstm(trial.graph, "result", {
      input,
      inputWeight: weight,
      bias: trial.optionalParameter("bias"),
      recurrentWeight: trial.parameter("recurrent_weight"),
      position: trial.ints("position", positions),
      sequenceOffsets: trial.ints("offsets", vector["offsets"]),
      peepholeInput: trial.optionalParameter("peephole_i"),
      peepholeForget: trial.optionalParameter("peephole_f"),
      peepholeOutput: trial.optionalParameter("peephole_o"),
    });
    await trial.checkPass(output);
  },
};

/** Checks a loss per sample, and the gradients of its mean. */
async function checkLoss(
  vector: Vector,
  tested: TestedEngine,
  build: (trial: Trial) => { loss: Tensor; parameters: Tensor[] },
) {
  const trial = new Trial(vector, tested);
  const { loss, parameters } = build(trial);
  const batch = mean(trial.graph, "mean", loss);
  const found = lossGradients(trial.graph, batch, parameters);
  await trial.run();
  trial.check(loss, vector["loss_per_sample"]);
  trial.check(batch, vector["loss_mean"]);
  for (const parameter of parameters) {
    trial.checkGradient(found.get(parameter), parameter, vector[`${parameter.name}_grad`]);
  }
}

function scorers(trial: Trial) {
  const operands = {
    user: trial.parameter("user"),
    weight: trial.parameter("weight"),
    bias: trial.optionalParameter("bias"),
  };
  return { operands, parameters: Object.values(operands).filter((tensor) => tensor !== undefined) };
}

function candidateKind(name: string, op: typeof nce): Kind {
  return {
    name,
    matches: (vector, file) => has(vector, "user", "target", "negatives", "noise") && file.startsWith(name),
    check: (vector, tested) =>
      checkLoss(vector, tested, (trial) => {
        const { operands, parameters } = scorers(trial);
        const loss = op(trial.graph, "loss", {
          ...operands,
          target: trial.ints("target", vector["target"]),
          negatives: trial.ints("negatives", vector["negatives"]),
          logNoise: logNoise(trial, vector),
        });
        assert.is(shapeOf(vector["negatives"]).at(-1), vector["draws"]);
        return { loss, parameters };
      }),
  };
}

function logNoise(trial: Trial, vector: Vector): Tensor {
  return trial.floats("log_noise", shapeOf(vector["noise"]), numbers(vector["noise"]).map(Math.log));
}

const softmaxKind: Kind = {
  name: "softmax",
  matches: (vector) => has(vector, "user", "weight", "target", "loss_per_sample") && !has(vector, "negatives"),
  check: (vector, tested) =>
    checkLoss(vector, tested, (trial) => {
      const { operands, parameters } = scorers(trial);
      const loss = softmax(trial.graph, "loss", { ...operands, target: trial.ints("target", vector["target"]) });
      return { loss, parameters };
    }),
};

const DECAYED = new Set(["lstm_input_weight", "lstm_recurrent_weight", "relu1_weight", "relu2_weight"]);

const networkKind: Kind = {
  name: "network_three_steps",
  matches: (vector) => has(vector, "initial", "steps", "batch", "hyper"),
  check: async (vector, tested) => {
    const trial = new Trial({ ...(vector["initial"] as Vector), noise: vector["noise"]! }, tested);
    const { graph } = trial;
    const hyper = vector["hyper"] as Record<string, number>;
    const parameters = new Map(Object.keys(vector["initial"]!).map((key) => [key, trial.parameter(key)]));
    const parameter = (key: string) => parameters.get(key)!;

    const { loss, user } = network(trial, vector, parameter);
    const found = lossGradients(graph, loss, [...parameters.values()]);
    const learningRate = trial.floats("learning_rate", [], [hyper["learning_rate"]!]);
    const options = { epsilon: hyper["epsilon"]! };
    for (const [tensor, gradient] of found) {
      const name = `${tensor.name}.update`;
      const inputs = {
        parameter: tensor,
        accumulator: trial.state(`${tensor.name}.accumulator`, tensor.shape as number[]),
        learningRate,
      };
      if (gradient.kind === "rows") {
        const ids = gradient.terms.map((term) => term.ids);
        const sorted = sortRows(graph, `${tensor.name}.order`, ids);
        adagradRows(graph, name, { ...inputs, sorted, terms: gradient.terms }, options);
        continue;
      }
      const decayed = DECAYED.has(tensor.name)
        ? l2Decay(
            graph,
            `${tensor.name}.decayed`,
            { gradient: gradient.tensor, parameter: tensor },
            { l2: hyper["l2"]! },
          )
        : gradient.tensor;
      adagrad(graph, name, { ...inputs, gradient: decayed }, options);
    }

    await trial.session(async (step) => {
      for (const expected of vector["steps"] as Vector[]) {
        const read = await step();
        trial.check(loss, expected["loss"]);
        if (has(expected, "user_vector")) trial.check(user, expected["user_vector"]);
        for (const [name, numbers] of Object.entries((expected["grads"] ?? {}) as Vector)) {
          trial.checkGradient(found.get(parameter(name)), parameter(name), numbers);
        }
        for (const [name, numbers] of Object.entries((expected["parameters_after"] ?? {}) as Vector)) {
          trial.compare(read(name), numbers, `${name} after the step`, tested.trainedTolerance);
        }
      }
    });
  },
};

/**
 * The network of docs/math.md#the-network with the small sizes of the vector: an LSTM over the history with the maximum
 * over time, two ReLU layers, NCE.
 */
function network(trial: Trial, vector: Vector, parameter: (key: string) => Tensor) {
  const { graph } = trial;
  const batch = vector["batch"] as Vector;
  const ids = (feature: string) => trial.ints(feature, batch[feature]);
  const lookup = (feature: string, of = ids(feature)) =>
    embeddingLookup(graph, `${feature}.embedding`, parameter(`${feature}_table`), of);
  const offsets = numbers(vector["item_offsets"]);
  const window = { start: trial.ints("start", offsets.slice(0, -1)), end: trial.ints("end", offsets.slice(1)) };

  const items = lookup("item");
  const hidden = lstm(graph, "hidden", {
    input: items,
    inputWeight: parameter("lstm_input_weight"),
    bias: parameter("lstm_bias"),
    recurrentWeight: parameter("lstm_recurrent_weight"),
    position: trial.ints("position", [...numbers(batch["item"]).keys()]),
    sequenceOffsets: trial.ints("sequence_offsets", offsets),
  });
  const features = [
    rangeMax(graph, "lstm_max", { input: hidden, ...window }),
    lookup("user_id"),
    lookup("province"),
    lookup("city"),
    embeddingBag(graph, "category_mean", { table: parameter("category_table"), ids: ids("category"), ...window }),
    embeddingBag(graph, "tag_mean", {
      table: parameter("tag_table"),
      ids: ids("tag"),
      ...window,
      offsets: trial.ints("tag_offsets", vector["tag_offsets_per_item"]),
    }),
    lookup("phone"),
  ];
  const relu = { activation: "relu" } as const;
  const first = linear(graph, "relu1", features, parameter("relu1_weight"), parameter("relu1_bias"), relu);
  const user = linear(graph, "relu2", [first], parameter("relu2_weight"), parameter("relu2_bias"), relu);
  const sampleLoss = nce(graph, "sample_loss", {
    user,
    weight: parameter("nce_weight"),
    bias: parameter("nce_bias"),
    target: ids("target"),
    negatives: trial.ints("negatives", vector["negatives"]),
    logNoise: logNoise(trial, vector),
  });
  return { user, loss: mean(graph, "loss", sampleLoss) };
}

const simpleLshKind: Kind = {
  name: "simple_lsh",
  matches: (vector) => has(vector, "relu_output", "nce_weight", "nce_bias", "item_vectors"),
  check: async (vector) => {
    const values = (key: string) => Float64Array.from(numbers(vector[key]));
    const width = shapeOf(vector["relu_output"])[1]!;
    const plain = {
      users: userVectors(values("relu_output"), width),
      items: itemVectors(values("nce_weight"), values("nce_bias")),
    };
    const transformed = {
      users: simpleLshUsers(plain.users, width + 1),
      items: simpleLshItems(plain.items, width + 1),
    };
    assertClose(transformed.users, values("user_vectors"), 1e-12, "user vectors");
    assertClose(transformed.items, values("item_vectors"), 1e-12, "item vectors");
    assert.equal(order(plain, width + 1, false), vector["inner_product_order"]);
    assert.equal(order(transformed, width + 2, true), vector["cosine_order"]);
  },
};

/** The items of each user in the order of decreasing inner product or cosine. */
function order(vectors: { users: Float64Array; items: Float64Array }, width: number, cosine: boolean): number[][] {
  const rows = (matrix: Float64Array) =>
    Array.from({ length: matrix.length / width }, (_, r) => [...matrix.subarray(r * width, (r + 1) * width)]);
  const dot = (a: number[], b: number[]) => a.reduce((sum, x, c) => sum + x * b[c]!, 0);
  const items = rows(vectors.items);
  return rows(vectors.users).map((user) => {
    const scores = items.map((item) => dot(user, item) / (cosine ? Math.sqrt(dot(item, item)) : 1));
    return [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b);
  });
}

const KINDS: Kind[] = [
  networkKind,
  simpleLshKind,
  lstmKind,
  embeddingBagKind,
  rangeMaxKind,
  candidateKind("sampled_softmax", sampledSoftmax),
  candidateKind("paddle_nce", paddleNce),
  candidateKind("nce", nce),
  softmaxKind,
];

const files = existsSync(FOLDER) ? readdirSync(FOLDER).filter((name) => name.endsWith(".json")) : [];
if (files.length === 0) test.skip(`no golden vectors in ${FOLDER}: nothing was checked`, () => {});
for (const file of files.sort()) {
  const vector = JSON.parse(readFileSync(join(FOLDER, file), "utf8")) as Vector;
  const kind = KINDS.find((candidate) => candidate.matches(vector, basename(file, ".json")));
  if (!kind) {
    test(`${file} is a vector that this test knows`, () => {
      const keys = Object.keys(vector).join(", ");
      assert.unreachable(`Expected ${KINDS.map(({ name }) => name).join(", ")} but ${file} has the keys ${keys}`);
    });
    continue;
  }
  for (const tested of kind === simpleLshKind ? ENGINES.slice(0, 1) : ENGINES) {
    test(`${file} (${kind.name}): ${tested.name}`, () => kind.check(vector, tested));
  }
}

test.run();
