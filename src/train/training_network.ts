import { itemAttributes } from "../data/catalogue.js";
import { countsWithoutLastClicks, type Encoding, itemVocabulary } from "../data/clicks.js";
import { noiseDistribution } from "../data/vocabulary.js";
import type { Engine, Executor, StoredTensor, TensorStore } from "../executors/index.js";
import { countElements } from "../graph/dims.js";
import { namesIn, type Program, type Role, storedTensors } from "../graph/program.js";
import type { CatalogueConfig, ModelConfig } from "../model/config.js";
import { describeNotFinite } from "../model/finite.js";
import { initializeStore } from "../model/initialize.js";
import { checkMemory } from "../model/memory.js";
import { Model } from "../model/model.js";
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
import type { TrainingData } from "./training_data.js";

/** A tensor that training keeps between steps. */
export interface TrainingTensor extends StoredTensor {
  /**
   * `parameter` and `optimizer_state` change with every step; a `constant` follows from the dataset and the
   * configuration.
   */
  readonly role: Role;
  /** Copies `count` elements out, from element `offset` on: all of them unless given. */
  read(offset?: number, count?: number): TensorData;
}

/**
 * Training state: the weights and what the optimizer knows of them, the executors that change them, and the inference
 * model over the same store. The model sees what training writes once `bringUpToDate` has run.
 */
export class TrainingNetwork {
  /** Runs training steps. */
  readonly executor: Executor;
  readonly model: Model;
  /** Applies the L2 decay that `l2Output` leaves until a row is next updated; undefined without such decay. */
  readonly #flushDecay: Executor | undefined;
  /** Computes the item vectors from the tables that training keeps instead of them; undefined where it keeps none. */
  readonly #composeItems: Executor | undefined;

  /** Makes the tensors, with their start values. ERR_CONFIG where they need more memory than there is. */
  constructor(
    engine: Engine,
    { dataset, clicks, heldOut }: TrainingData,
    config: CatalogueConfig,
    { seed, profile }: { readonly seed: number; readonly profile: boolean },
  ) {
    const { schema, vocabularies, numbers, maxLineBytes } = dataset;
    const encoding = { schema, vocabularies, numbers, maxLineBytes };
    const items = itemVocabulary(encoding).size;
    const store = engine.createStore();
    try {
      const catalogue = config.itemAttributes ? itemAttributes(clicks, items) : [];
      const noise = noiseOf(encoding, config);
      const training = initialize(store, trainingProgram(config, encoding, noise, catalogue), seed);
      const inference = initialize(store, inferenceProgram(config, encoding), seed);
      const flushDecay = flushDecayProgram(config, items);
      const composeItems = itemVectorsProgram(config, encoding, catalogue);
      this.executor = engine.createExecutor(training, store, { profile });
      this.#flushDecay = flushDecay && engine.createExecutor(flushDecay, store);
      this.#composeItems = composeItems && engine.createExecutor(initialize(store, composeItems, seed), store);
      const known = heldOut ? withoutLastClicks(encoding, dataset) : encoding;
      this.model = new Model({ ...known, config, training: {} }, inference, engine, store);
    } catch (error) {
      store.close();
      throw error;
    }
  }

  /**
   * Every tensor that the training Program keeps between steps: together with the position, all that later steps depend
   * on.
   */
  get tensors(): readonly TrainingTensor[] {
    const { store } = this.model;
    return storedTensors(this.executor.program).map(({ name, dtype, shape, role }) => ({
      name,
      dtype,
      shape,
      role,
      read: (offset, count) => store.read(name, offset, count),
    }));
  }

  /** Copies in what other sessions of the same Program have in these tensors; constants stay as they are. */
  write(tensors: readonly TrainingTensor[]): void {
    for (const { name, role, shape, read } of tensors) {
      if (role === "constant") continue;
      const elements = countElements(shape, {});
      for (let offset = 0; offset < elements; offset += ELEMENTS_AT_ONCE) {
        this.model.store.write(name, read(offset, Math.min(ELEMENTS_AT_ONCE, elements - offset)), offset);
      }
    }
  }

  /**
   * Makes the model what training has reached after `step` steps: applies decay that is still outstanding, and computes
   * item vectors that training keeps in parts. ERR_DIVERGED where a weight, or what the optimizer knows of it, is not
   * finite.
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
    if (composed) store.write("output.weight", composed["weight"]!);
    const problem = describeNotFinite(store, store.tensors);
    if (problem) throw diverged(`${problem} after step ${step}`, description.config);
  }

  /**
   * `work` with the model as after `step` steps, for a step inside a pass: outstanding decay is applied for it and
   * taken back afterwards, so that later steps are bit for bit what they would have been without it.
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

const ELEMENTS_AT_ONCE = 1 << 20;

/** Makes room in the store for the tensors of a Program and fills those that are new. */
function initialize(store: TensorStore, { program, initializers }: InitializedProgram, seed: number): Program {
  checkMemory(program);
  initializeStore(store, program, initializers, seed);
  return program;
}

/** The item vocabulary counts what is left once the last clicks of the dataset are held out. */
function withoutLastClicks(encoding: Encoding, { clicks }: TrainingData["dataset"]): Encoding {
  const items = itemVocabulary(encoding);
  const counted = items.withCounts(countsWithoutLastClicks(clicks, items.counts));
  return { ...encoding, vocabularies: new Map([...encoding.vocabularies, [encoding.schema.click[0]!.name, counted]]) };
}

/** Items are drawn by how often they were clicked. */
function noiseOf(encoding: Encoding, config: ModelConfig): Noise {
  const power = config.negatives === "batch" ? 1 : config.noisePower;
  const distribution = noiseDistribution(itemVocabulary(encoding).counts, power);
  return { distribution, aliasTable: aliasTable(distribution) };
}
