// Writes the Programs that test/fuzz/mutate_programs.cc starts from beside the cases of test/cases, one a line: whole
// inference and training Programs of small networks. Integers have the values of a valid run; floats are left to the
// reader. Run it after a change of the Program format or of an op's operands:
//
//   node --import tsx test/fuzz/export_networks.ts

import { writeFileSync } from "node:fs";
import { createReferenceEngine } from "../../src/executors/reference.js";
import { type Program, STORED_ROLES } from "../../src/graph/program.js";
import type { ModelConfig } from "../../src/model/config.js";
import { flushDecayProgram, inferenceProgram } from "../../src/model/programs.js";
import { OPS } from "../../src/ops/index.js";
import type { TensorData } from "../../src/ops/op.js";
import { scalars, trainingCase } from "../executors/training_case.js";

interface Exported {
  readonly name: string;
  readonly program: Program;
  readonly dims: Readonly<Record<string, number>>;
  readonly given: Readonly<Record<string, readonly number[]>>;
}

function exported(
  name: string,
  program: Program,
  dims: Readonly<Record<string, number>>,
  data: (name: string) => TensorData | undefined,
): Exported {
  const given: Record<string, number[]> = {};
  for (const tensor of program.tensors) {
    if (tensor.dtype !== "float32" && (tensor.role === "input" || STORED_ROLES.has(tensor.role)))
      given[tensor.name] = [...data(tensor.name)!];
  }
  const used = Object.fromEntries(program.dims.map((dim) => [dim, dims[dim]!]));
  return { name, program, dims: used, given };
}

/** Networks that differ in what makes their Programs differ. */
const NETWORKS: Readonly<Record<string, Partial<ModelConfig>>> = {
  "softmax, adagrad": { loss: "softmax", optimizer: "adagrad", pooling: "last", lstmLayers: 2 },
  "nce, own draws, decay": { loss: "nce", sharedDraws: false, optimizer: "adagrad", l2: 0.1, l2Output: true },
  "sampled softmax, rowwise": {
    optimizer: "rowwise_adagrad",
    peepholes: true,
    attributes: "sequence",
    lastClick: true,
  },
  "paddle nce, mean, dropout": {
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

function networkExports(): Exported[] {
  const engine = createReferenceEngine({ ops: OPS });
  return Object.entries(NETWORKS).flatMap(([name, changes]) => {
    const { program, store, batches, config, encoding } = trainingCase(engine, { batchSize: 6 }, 9, changes);
    const { inputs, dims } = batches.batch(0, 0);
    const given: Record<string, TensorData> = { ...inputs, ...scalars(0, 1) };
    const stored = (tensor: string) =>
      program.tensors.some((of) => of.name === tensor) ? store.read(tensor) : undefined;
    const training = exported(`training: ${name}`, program, dims, (tensor) => given[tensor] ?? stored(tensor));

    const samples = dims["samples"]!;
    const inference = inferenceProgram(config, encoding).program;
    const excluded = { excluded: Int32Array.of(1, 2), excluded_offsets: new Int32Array(samples + 1).fill(2, 1) };
    const all: Record<string, TensorData> = { ...given, ...excluded };
    const sizes = { ...dims, top: 3, excluded: 2 };
    const programs = [training, exported(`inference: ${name}`, inference, sizes, (tensor) => all[tensor])];
    const flushDecay = flushDecayProgram(config, 9);
    if (!flushDecay) return programs;
    const rows: Record<string, TensorData> = {
      rows: Int32Array.from({ length: 9 }, (_, i) => i),
      count: Int32Array.of(9),
      step: Uint32Array.of(3),
    };
    return [...programs, exported(`settling: ${name}`, flushDecay, {}, (tensor) => rows[tensor] ?? new Uint32Array(9))];
  });
}

const lines = networkExports().map((program) => JSON.stringify(program));
writeFileSync(new URL("./corpus/networks.jsonl", import.meta.url), `${lines.join("\n")}\n`);
console.log(`${lines.length} programs`);
