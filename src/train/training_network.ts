import { itemAttributes } from "../data/catalogue.js";
import { countsWithoutLastClicks, type Encoding, itemVocabulary } from "../data/clicks.js";
import { catalogueOf, type Dataset } from "../data/dataset.js";
import type { TensorToWrite } from "../data/safetensors.js";
import { noiseDistribution } from "../data/vocabulary.js";
import type { Engine, Executor, StoredTensor, TensorStore } from "../executors/index.js";
import { countElements } from "../graph/dims.js";
import { namesIn, type Program, type Role, storedTensors } from "../graph/program.js";
import type { CatalogueConfig, ModelConfig } from "../model/config.js";
import { describeNotFinite } from "../model/finite.js";
import { initializeStore } from "../model/initialize.js";
import { itemVectorsTable } from "../model/item_vectors.js";
import { checkMemory } from "../model/memory.js";
import { Model, storedChunks } from "../model/model.js";
import {
  flushDecayProgram,
  type InitializedProgram,
  inferenceProgram,
  itemVectorsProgram,
  type Noise,
  trainingProgram,
} from "../model/programs.js";
import type { TensorData } from "../ops/op.js";
import { aliasTable } from "../random/alias_table.js";
import { diverged } from "./loop.js";
import type { StartingModel } from "./starting_model.js";
import type { TrainingData } from "./training_data.js";

/** A tensor that training keeps between steps. */
export interface TrainingTensor extends StoredTensor {
  /**
   * Tensors of the roles `parameter` and `optimizer_state` change with every step. A `constant` is computed from the
   * dataset and the configuration.
   */
  readonly role: Role;
  /** Returns a copy of `count` elements from element `offset` on (default: all elements). */
  read(offset?: number, count?: number): TensorData;
  /** Copies as many elements as `values` has, from element `offset` on, into `values`. */
  readInto(values: TensorData, offset: number): void;
}

/**
 * Training state: the weights and the optimizer state, the executors that change them, and the inference model over the
 * same store. The model shows the trained weights once `bringUpToDate` has run.
 */
export class TrainingNetwork {
  /** Runs training steps. */
  readonly executor: Executor;
  readonly model: Model;
  /**
   * Applies the outstanding lazy L2 decay (`l2Output`) to all rows. Undefined if the configuration has no such decay.
   */
  readonly #flushDecay: Executor | undefined;
  /**
   * Computes the item vectors from the tables that they are composed of. Undefined if they are the rows of one table.
   */
  readonly #composeItems: Executor | undefined;
  /** The table whose rows are the item vectors, unless it is that of the model. */
  readonly #itemTable: string | undefined;

  /**
   * Creates the tensors and fills them with their initial values. Throws ERR_CONFIG if they need more memory than there
   * is.
   */
  constructor(
    engine: Engine,
    { trained: dataset, clicks, heldOut }: TrainingData,
    config: CatalogueConfig,
    { seed, profile }: { readonly seed: number; readonly profile: boolean },
  ) {
    const { schema, vocabularies, numbers, maxLineBytes } = dataset;
    const encoding = { schema, vocabularies, numbers, maxLineBytes };
    const items = itemVocabulary(encoding).size;
    const store = engine.createStore();
    try {
      const catalogue = catalogueOf(dataset);
      const learned = heldOut ? itemAttributes(clicks, items) : catalogue;
      const attributes = config.itemAttributes ? learned : [];
      const noise = noiseOf(encoding, config);
      const training = initialize(store, trainingProgram(config, encoding, noise, attributes), seed);
      const inference = initialize(store, inferenceProgram(config, encoding), seed);
      const flushDecay = flushDecayProgram(config, items);
      this.#itemTable = itemVectorsTable(config, encoding, attributes);
      const composeItems = this.#itemTable ? undefined : itemVectorsProgram(config, encoding, attributes);
      this.executor = engine.createExecutor(training, store, { profile });
      this.#flushDecay = flushDecay && engine.createExecutor(flushDecay, store);
      this.#composeItems = composeItems && engine.createExecutor(initialize(store, composeItems, seed), store);
      const known = heldOut ? withoutLastClicks(encoding, dataset) : encoding;
      const { titles } = dataset;
      const description = { ...known, config, training: {}, catalogue, titles };
      this.model = new Model(description, inference, engine, store);
    } catch (error) {
      store.close();
      throw error;
    }
  }

  /**
   * All tensors that the training Program keeps between steps. Together with the position they determine all later
   * steps.
   */
  get tensors(): readonly TrainingTensor[] {
    const { store } = this.model;
    return storedTensors(this.executor.program).map(({ name, dtype, shape, role }) => ({
      name,
      dtype,
      shape,
      role,
      read: (offset, count) => store.read(name, offset, count),
      readInto: (values, offset) => store.readInto(name, values, offset),
    }));
  }

  /**
   * What training keeps between steps and the model does not have: the state of the optimizer, and the tables of which
   * item vectors are composed.
   */
  get stateTensors(): readonly TensorToWrite[] {
    const { store, program } = this.model;
    const ofModel = new Set(storedTensors(program).map(({ name }) => name));
    return storedTensors(this.executor.program)
      .filter(({ name, role }) => role !== "constant" && !ofModel.has(name))
      .map(({ name, dtype, shape }) => ({
        ...{ name, dtype, shape: shape as number[] },
        data: () => storedChunks(store, name, countElements(shape, {})),
      }));
  }

  /** Replaces the initial values by what a model has. */
  async start(from: StartingModel, signal: AbortSignal | undefined): Promise<void> {
    await from.writeTo(this.model.store, this.executor.program, signal);
  }

  /** Copies the values of these tensors from another session of the same Program. Skips constants. */
  write(tensors: readonly TrainingTensor[]): void {
    for (const { name, role, shape, read } of tensors) {
      if (role === "constant") continue;
      writeInPieces(this.model.store, name, shape, read);
    }
  }

  /**
   * Brings the model up to date with the weights after `step` steps: applies outstanding lazy decay, and computes the
   * item vectors if they are composed of several tables. Throws ERR_DIVERGED if a weight or a number of the optimizer
   * state is not finite.
   */
  async bringUpToDate(step: number): Promise<void> {
    const { store, description } = this.model;
    const { size } = this.model.items;
    await this.#flushDecay?.run(
      {
        rows: Int32Array.from({ length: size }, (_, row) => row),
        count: Int32Array.of(size),
        learning_rate: Float32Array.of(description.config.learningRate),
        step: Uint32Array.of(step),
      },
      {},
    );
    const composed = await this.#composeItems?.run({}, {});
    if (composed) store.write(ITEM_VECTORS, composed["weight"]!);
    // In pieces: a whole copy of the vectors of a large catalogue would need as much memory as they do.
    if (this.#itemTable) {
      const { shape } = store.tensors.find(({ name }) => name === ITEM_VECTORS)!;
      writeInPieces(store, ITEM_VECTORS, shape, (offset, count) => store.read(this.#itemTable!, offset, count));
    }
    const problem = describeNotFinite(store, store.tensors);
    if (problem) throw diverged(`${problem} after step ${step}`, description.config);
  }

  /**
   * Runs `work` with the model brought up to date in the middle of an epoch. Outstanding decay is applied before and
   * undone afterwards, so that later steps give bit for bit what they would have given without this call.
   */
  async whileUpToDate<T>(step: number, work: () => Promise<T>): Promise<T> {
    const { store } = this.model;
    const changed = new Set(this.#flushDecay?.program.instructions.flatMap(({ outputs }) => namesIn(outputs)));
    const before = [...changed].map((name) => [name, store.read(name)] as const);
    try {
      await this.bringUpToDate(step);
      return await work();
    } finally {
      for (const [name, values] of before) store.write(name, values);
    }
  }

  close(): void {
    this.executor.close();
    this.#flushDecay?.close();
    this.#composeItems?.close();
    this.model.close();
  }
}

const ITEM_VECTORS = "output.weight";
const ELEMENTS_AT_ONCE = 1 << 20;

/** Fills a tensor of the store with elements that are read piece by piece. */
function writeInPieces(
  store: TensorStore,
  name: string,
  shape: TrainingTensor["shape"],
  read: (offset: number, count: number) => TensorData,
): void {
  const elements = countElements(shape, {});
  for (let offset = 0; offset < elements; offset += ELEMENTS_AT_ONCE) {
    store.write(name, read(offset, Math.min(ELEMENTS_AT_ONCE, elements - offset)), offset);
  }
}

/** Allocates the tensors of a Program that the store does not have yet, and fills them. Returns the Program. */
function initialize(store: TensorStore, { program, initializers }: InitializedProgram, seed: number): Program {
  checkMemory(program);
  initializeStore(store, program, initializers, seed);
  return program;
}

/** Returns the encoding with an item vocabulary whose counts do not include the held-out last clicks. */
function withoutLastClicks(encoding: Encoding, { clicks }: Dataset): Encoding {
  const items = itemVocabulary(encoding);
  const counted = items.withCounts(countsWithoutLastClicks(clicks, items.counts));
  return { ...encoding, vocabularies: new Map([...encoding.vocabularies, [encoding.schema.click[0]!.name, counted]]) };
}

/** The distribution that negatives are drawn from: item counts to the power of `noisePower`. */
export function noiseOf(encoding: Encoding, config: ModelConfig): Noise {
  const power = config.negatives === "batch" ? 1 : config.noisePower;
  const distribution = noiseDistribution(itemVocabulary(encoding).counts, power);
  return { distribution, aliasTable: aliasTable(distribution) };
}
