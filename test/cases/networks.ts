import { createReferenceEngine } from "../../src/executors/reference.js";
import { countElements, type DimSizes } from "../../src/graph/dims.js";
import { type Program, STORED_ROLES, type TensorSpec } from "../../src/graph/program.js";
import type { ModelConfig } from "../../src/model/config.js";
import { flushDecayProgram, inferenceProgram } from "../../src/model/programs.js";
import { OPS } from "../../src/ops/index.js";
import type { TensorData } from "../../src/ops/op.js";
import { scalars, trainingCase } from "../executors/training_case.js";
import { type CaseTensor, filled } from "./case.js";
import { FLOAT32_EPSILON, magnitudeOf } from "./compare.js";
import { type CorpusCase, expectations, givenNumbers } from "./corpus.js";
import { runCase } from "./run_case.js";

/*
 * Whole Programs of small networks with their numbers: a training step, inference, and the flush of lazy decay. Native
 * checks replay them in addition to the cases of ops, and test/fuzz/mutate_programs.cc mutates both.
 */

/** Whether clicks have weights or numbers. */
interface Has {
  readonly hasWeights?: true;
  readonly hasNumbers?: true;
}

/** Configurations that together cover the variants of the networks' Programs. */
const NETWORKS: Readonly<Record<string, Partial<ModelConfig> & Has>> = {
  "softmax, adagrad": { loss: "softmax", optimizer: "adagrad", pooling: "last", lstmLayers: 2 },
  "nce, own draws, decay, weights": {
    loss: "nce",
    sharedDraws: false,
    optimizer: "adagrad",
    l2: 0.1,
    l2Output: true,
    hasWeights: true,
  },
  "sampled softmax, rowwise, numbers": {
    hasNumbers: true,
    optimizer: "rowwise_adagrad",
    peepholes: true,
    attributes: "sequence",
    lastClick: true,
  },
  "paddle nce, mean, dropout, numbers": {
    hasNumbers: true,
    loss: "paddle_nce",
    history: "mean",
    optimizer: "sgd",
    dropout: 0.2,
    userDropout: 0.3,
  },
  "tied items, batch negatives": {
    tiedItems: true,
    userVectorWidth: 4,
    negatives: "batch",
    clipNorm: 1,
    skipHidden: true,
  },
};

const ITEMS = 9;
const SAMPLES = 6;

/**
 * Tolerance in float32 epsilons of a tensor's largest magnitude. It is large because optimizers divide gradients by
 * roots of small numbers.
 */
const TOLERANCE = 1024;

const engine = createReferenceEngine({ ops: OPS });

/** The Programs of all networks, each with the results of one run of the reference. */
export async function networkCases(): Promise<CorpusCase[]> {
  const cases: CorpusCase[] = [];
  for (const [name, { hasWeights, hasNumbers, ...changes }] of Object.entries(NETWORKS)) {
    const made = trainingCase(engine, { batchSize: SAMPLES }, ITEMS, changes, { hasWeights, hasNumbers });
    const { program, store, batches, config, encoding } = made;
    const { inputs, dims } = batches.batch(0, 0);
    const isStored = new Set(program.tensors.filter(({ role }) => role === "constant").map((tensor) => tensor.name));
    const constants = Object.fromEntries([...isStored].map((tensor) => [tensor, store.read(tensor)]));
    const numbers = { ...inputs, ...scalars(0, 1), ...constants };
    cases.push(await networkCase(`training: ${name}`, program, dims, numbers));

    const excluded = Int32Array.of(1, 2);
    const offsets = new Int32Array(dims["samples"]! + 1).fill(excluded.length, 1);
    const asked = { ...numbers, excluded, excluded_offsets: offsets };
    const sizes = { ...dims, top: 3, excluded: excluded.length };
    cases.push(await networkCase(`inference: ${name}`, inferenceProgram(config, encoding).program, sizes, asked));

    const flushDecay = flushDecayProgram(config, ITEMS);
    if (!flushDecay) continue;
    const rows = Int32Array.from({ length: ITEMS }, (_, i) => i);
    const left = { ...scalars(3, 1), rows, count: Int32Array.of(ITEMS) };
    cases.push(await networkCase(`flush decay: ${name}`, flushDecay, {}, left));
  }
  return cases;
}

/** A Program with these numbers. Stored tensors without numbers are filled. */
async function networkCase(
  name: string,
  program: Program,
  dims: DimSizes,
  numbers: Readonly<Record<string, TensorData>>,
): Promise<CorpusCase> {
  const given: Record<string, CaseTensor> = {};
  program.tensors.forEach((spec, i) => {
    if (spec.role !== "input" && !STORED_ROLES.has(spec.role)) return;
    const { dtype, shape } = spec;
    const values = numbers[spec.name];
    given[spec.name] = values ? { dtype, shape: [countElements(shape, dims)], values } : start(spec, i);
  });
  const used = Object.fromEntries(program.dims.map((dim) => [dim, dims[dim]!]));
  const valuesOf = (isWanted: (spec: TensorSpec) => boolean) =>
    Object.fromEntries(program.tensors.filter(isWanted).map((spec) => [spec.name, given[spec.name]!.values]));
  const built = {
    program,
    inputs: valuesOf(({ role }) => role === "input"),
    stored: valuesOf(({ role }) => STORED_ROLES.has(role)),
  };
  const run = await runCase(engine, built, used);
  const bounds = Object.fromEntries(
    Object.entries({ ...run.outputs, ...run.stored }).map(([tensor, values]) => [
      tensor,
      values instanceof Float32Array ? TOLERANCE * FLOAT32_EPSILON * magnitudeOf(values) : 0,
    ]),
  );
  return {
    name,
    program,
    dims: used,
    given: givenNumbers(program, given),
    expected: expectations(program, used, run, bounds),
    refused: [],
  };
}

/** Fills of stored tensors: parameters are normally distributed, optimizer state is positive, integers are zero. */
function start({ dtype, shape, role }: TensorSpec, tensor: number): CaseTensor {
  const sizes = shape as number[];
  if (dtype !== "float32") return { dtype, shape: sizes, values: new Uint32Array(countElements(shape, {})) };
  const random = { seed: 51, tensor };
  if (role === "parameter") return filled(dtype, sizes, { kind: "normal", scale: 0.3, ...random });
  return filled(dtype, sizes, { kind: "uniform", scale: 0.4, centre: 0.5, ...random });
}
