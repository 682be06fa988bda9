import { join } from "node:path";
import { itemVocabulary } from "../data/clicks.js";
import { openDataset } from "../data/dataset.js";
import { exists } from "../data/files.js";
import { itemFeatures, userFeatures } from "../data/schema.js";
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

/** Contents of a dataset folder. */
export interface DatasetInspection {
  /** Distinguishes a dataset from a model. */
  readonly kind: "dataset";
  /** The folder that was inspected. */
  readonly folder: string;
  /** Number of users in the dataset. */
  readonly users: number;
  /** Number of clicks of all users. */
  readonly clicks: number;
  /** Size of each vocabulary, including `<unk>`. */
  readonly vocabularySizes: Readonly<Record<string, number>>;
  /** Number of items without a click, which training adds to the model by their attributes. */
  readonly newItems: number;
  /** Number of items with a title. */
  readonly titles: number;
}

/** Contents of a model folder, and the cost of its Program. */
export interface ModelInspection {
  /** Distinguishes a model from a dataset. */
  readonly kind: "model";
  /** The folder that was inspected. */
  readonly folder: string;
  /** The configuration that the model was trained with. */
  readonly config: ModelDescription["config"];
  /** How the model was trained. */
  readonly training: ModelDescription["training"];
  /** Number of items that the model recommends. */
  readonly items: number;
  /** Number of items with a title. */
  readonly titles: number;
  /** The sizes for which costs are counted. */
  readonly dims: Readonly<Record<string, number>>;
  /** The trained tensors. */
  readonly parameters: readonly { readonly name: string; readonly shape: readonly Dim[]; readonly elements: number }[];
  /** The instructions of the Program, in order. */
  readonly instructions: readonly InspectedInstruction[];
}

/** An instruction of a Program with the least work that it can take. */
export interface InspectedInstruction {
  /** Name of the op. */
  readonly op: string;
  /** Attributes of the op. */
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** The operands, each as `name [shape]`. */
  readonly inputs: readonly string[];
  /** The results, each as `name [shape]`. */
  readonly outputs: readonly string[];
  /** Floating-point operations; a multiply-add counts as two. */
  readonly flops: number;
  /** Bytes that are read or written, each counted once. */
  readonly bytes: number;
}

/** The result of `inspect`: a dataset or a model. */
export type Inspection = DatasetInspection | ModelInspection;

/** Options of `inspect`. */
export interface InspectOptions {
  /** Number of samples in the batch for which costs are counted, each with half a window of history (default 256). */
  readonly samples?: number | undefined;
  /** Shows the Program of a training step instead of the inference Program (default false). */
  readonly training?: boolean | undefined;
  /** Stops the reading, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const INSPECT_OPTIONS: Readonly<Record<keyof InspectOptions, true>> = { samples: true, training: true, signal: true };

/**
 * Describes a dataset or model folder without reading any weights. Throws ERR_DATASET or ERR_MODEL if the folder is
 * neither or is incomplete.
 */
export async function inspect(folder: string, options: InspectOptions = {}): Promise<Inspection> {
  checkOptions("inspect", options, INSPECT_OPTIONS);
  checkPath("folder", folder);
  const { samples = 256, signal } = options;
  checkWholeNumber("samples", samples, 1);
  signal?.throwIfAborted();
  if (await exists(join(folder, "dataset.json"))) {
    const { clicks, vocabularies, newItems, titles } = await openDataset(folder, { signal });
    const vocabularySizes = Object.fromEntries([...vocabularies].map(([name, { size }]) => [name, size]));
    const { users } = clicks;
    const counts = { users, clicks: clicks.clicks, vocabularySizes, newItems, titles: titles?.known ?? 0 };
    return { kind: "dataset", folder, ...counts };
  }
  const { description, program: inference } = await readModel(folder, signal);
  const program = options.training ? trainingProgramOf(description) : checked(inference, folder);
  const dims = typicalDims(program, description, samples);
  return {
    kind: "model",
    folder,
    config: description.config,
    training: description.training,
    items: itemVocabulary(description).size - 1,
    titles: description.titles?.known ?? 0,
    dims,
    parameters: program.tensors
      .filter(({ role }) => role === "parameter")
      .map(({ name, shape }) => ({ name, shape, elements: countElements(shape, {}) })),
    instructions: inspectInstructions(program, dims),
  };
}

/**
 * Checks the Program of a model folder, which may come from anywhere. Costs can be counted only for operands that fit
 * their ops.
 */
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

/** Assumed number of values of a multi-valued feature, for each click and each item. */
const VALUES = 3;

/** Assumed number of queries of a sample, and of tokens of a query: two words and their pair. */
const [QUERIES, TOKENS] = [5, 3];

/**
 * The assumed sizes of a batch: samples with separate windows that are half full, `VALUES` values of each multi-valued
 * feature, `QUERIES` searches, and shortlists of 100.
 */
function typicalDims(program: Program, { config, schema }: ModelDescription, samples: number): Record<string, number> {
  const positions = samples * Math.ceil(config.window / 2);
  const sizes: Record<string, number> = {
    samples,
    positions,
    sequences: samples,
    timesteps: positions,
    top: 100,
    excluded: positions,
  };
  for (const { name, multiple } of itemFeatures(schema)) if (multiple) sizes[name] = VALUES * positions;
  for (const { name, kind, multiple } of userFeatures(schema)) {
    if (multiple) sizes[name] = VALUES * samples;
    if (kind !== "tokens") continue;
    sizes[name] = QUERIES * TOKENS * samples;
    sizes[`${name}_queries`] = QUERIES * samples;
  }
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
