import { join } from "node:path";
import { itemVocabulary } from "../data/clicks.js";
import { openDataset } from "../data/dataset.js";
import { exists } from "../data/files.js";
import { itemFeatures } from "../data/schema.js";
import { checkOptions, checkPath, checkWholeNumber, ShortlistError } from "../errors.js";
import { checkProgram } from "../graph/check_program.js";
import { countElements, type Dim } from "../graph/dims.js";
import { type Attribute, namesIn, type Program, tensorsByName } from "../graph/program.js";
import { instructionCosts } from "../ops/cost.js";
import { OPS } from "../ops/index.js";
import { aliasTable } from "../random/alias_table.js";
import { forCatalogue } from "./config.js";
import { type ModelDescription, readModel } from "./model.js";
import { trainingProgram } from "./programs.js";

export interface DatasetInspection {
  readonly kind: "dataset";
  readonly folder: string;
  readonly users: number;
  readonly clicks: number;
  readonly vocabularySizes: Readonly<Record<string, number>>;
}

export interface ModelInspection {
  readonly kind: "model";
  readonly folder: string;
  readonly config: ModelDescription["config"];
  readonly training: ModelDescription["training"];
  /** The sizes for which the work is counted. */
  readonly dims: Readonly<Record<string, number>>;
  readonly parameters: readonly { readonly name: string; readonly shape: readonly Dim[]; readonly elements: number }[];
  readonly instructions: readonly InspectedInstruction[];
}

export interface InspectedInstruction {
  readonly op: string;
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** name [shape] */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly flops: number;
  /** Read and written, each byte once. */
  readonly bytes: number;
}

export type Inspection = DatasetInspection | ModelInspection;

export interface InspectOptions {
  /** Batch for which work is counted: 256 samples unless given, each with half a window of history. */
  readonly samples?: number | undefined;
  /** The Program of a training step instead of the inference Program. */
  readonly training?: boolean | undefined;
  /** Stops the reading between files and pieces of them; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const INSPECT_OPTIONS: Readonly<Record<keyof InspectOptions, true>> = { samples: true, training: true, signal: true };

/** What is in a dataset or model folder. */
export async function inspect(folder: string, options: InspectOptions = {}): Promise<Inspection> {
  checkOptions("inspect", options, INSPECT_OPTIONS);
  checkPath("folder", folder);
  const { samples = 256, signal } = options;
  checkWholeNumber("samples", samples, 1);
  signal?.throwIfAborted();
  if (await exists(join(folder, "dataset.json"))) {
    const { clicks, vocabularies } = await openDataset(folder, { signal });
    const vocabularySizes = Object.fromEntries([...vocabularies].map(([name, { size }]) => [name, size]));
    return { kind: "dataset", folder, users: clicks.users, clicks: clicks.clicks, vocabularySizes };
  }
  const { description, program: inference } = await readModel(folder, signal);
  const program = options.training ? trainingProgramOf(description) : checked(inference, folder);
  const dims = typicalDims(program, description, samples);
  return {
    kind: "model",
    folder,
    config: description.config,
    training: description.training,
    dims,
    parameters: program.tensors
      .filter(({ role }) => role === "parameter")
      .map(({ name, shape }) => ({ name, shape, elements: countElements(shape, {}) })),
    instructions: inspectInstructions(program, dims),
  };
}

/** The Program of a model folder, which may be from anywhere: only what fits its ops can be counted. */
function checked(program: Program, folder: string): Program {
  try {
    checkProgram(program, OPS);
    return program;
  } catch (error) {
    if (!(error instanceof ShortlistError)) throw error;
    throw new ShortlistError("ERR_MODEL", `${join(folder, "program.json")}: ${error.message}`, { cause: error });
  }
}

function trainingProgramOf(description: ModelDescription): Program {
  const items = itemVocabulary(description);
  const distribution = items.counts.map((_, id) => (id === 0 ? 0 : 1 / (items.size - 1)));
  const noise = { distribution, aliasTable: aliasTable(distribution) };
  const catalogue = itemFeatures(description.schema)
    .slice(1)
    .map(({ name, multiple }) => ({
      name,
      ids: new Int32Array(multiple ? VALUES * items.size : items.size),
      offsets: multiple ? Int32Array.from({ length: items.size + 1 }, (_, i) => VALUES * i) : undefined,
    }));
  return trainingProgram(forCatalogue(description.config, items.size), description, noise, catalogue).program;
}

/** Of a multi-valued feature, taken for each click and item. */
const VALUES = 3;

/** Isolated windows that are half full on average, `VALUES` of each multi-valued feature, a shortlist of 100. */
function typicalDims(program: Program, { config, schema }: ModelDescription, samples: number): Record<string, number> {
  const positions = samples * Math.ceil(config.window / 2);
  const sizes: Record<string, number> = {
    samples,
    positions,
    runs: samples,
    steps: positions,
    top: 100,
    excluded: positions,
  };
  for (const { name, multiple } of itemFeatures(schema)) if (multiple) sizes[name] = VALUES * positions;
  return Object.fromEntries(program.dims.map((dim) => [dim, sizes[dim] ?? 0]));
}

function inspectInstructions(program: Program, dims: Record<string, number>): InspectedInstruction[] {
  const specs = tensorsByName(program);
  const label = (name: string) => `${name} [${specs.get(name)!.shape.join(", ")}]`;
  const costs = instructionCosts(program, dims);
  return program.instructions.map(({ op, inputs, outputs, attributes }, i) => ({
    op,
    attributes,
    inputs: namesIn(inputs).map(label),
    outputs: namesIn(outputs).map(label),
    ...costs[i]!,
  }));
}
