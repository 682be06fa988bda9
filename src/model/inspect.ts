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

/** What is in a dataset folder. */
export interface DatasetInspection {
  /** Tells a dataset from a model. */
  readonly kind: "dataset";
  /** The folder that was looked at. */
  readonly folder: string;
  /** The users of the dataset. */
  readonly users: number;
  /** The clicks of all users. */
  readonly clicks: number;
  /** The size of each vocabulary, `<unk>` included. */
  readonly vocabularySizes: Readonly<Record<string, number>>;
}

/** What is in a model folder, and what its Program costs. */
export interface ModelInspection {
  /** Tells a model from a dataset. */
  readonly kind: "model";
  /** The folder that was looked at. */
  readonly folder: string;
  /** The configuration that it was trained with. */
  readonly config: ModelDescription["config"];
  /** How it came to be. */
  readonly training: ModelDescription["training"];
  /** The sizes that the work is counted for. */
  readonly dims: Readonly<Record<string, number>>;
  /** The trained tensors. */
  readonly parameters: readonly { readonly name: string; readonly shape: readonly Dim[]; readonly elements: number }[];
  /** The Program's instructions, in order. */
  readonly instructions: readonly InspectedInstruction[];
}

/** An instruction of a Program with the work that it cannot avoid. */
export interface InspectedInstruction {
  /** The op's name. */
  readonly op: string;
  /** The op's attributes. */
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** The operands, each as `name [shape]`. */
  readonly inputs: readonly string[];
  /** What is computed, each as `name [shape]`. */
  readonly outputs: readonly string[];
  /** Floating-point operations; a multiply-add counts as two. */
  readonly flops: number;
  /** Bytes that are read or written, each once. */
  readonly bytes: number;
}

/** What `inspect` found: a dataset or a model. */
export type Inspection = DatasetInspection | ModelInspection;

/** What `inspect` takes. */
export interface InspectOptions {
  /** The samples of the batch that work is counted for, each with half a window of history: 256 unless given. */
  readonly samples?: number | undefined;
  /** Whether to show the Program of a training step instead of the inference Program (default false). */
  readonly training?: boolean | undefined;
  /** Stops the reading between files and pieces of them; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const INSPECT_OPTIONS: Readonly<Record<keyof InspectOptions, true>> = { samples: true, training: true, signal: true };

/**
 * Looks at a dataset or model folder; no weights are read. ERR_DATASET or ERR_MODEL where the folder is neither, or is
 * incomplete.
 */
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
