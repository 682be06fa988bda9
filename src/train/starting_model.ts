import { basename, resolve } from "node:path";
import { itemVocabulary } from "../data/clicks.js";
import { catalogueOf, type Dataset, withoutNewItems } from "../data/dataset.js";
import type { TensorData } from "../data/safetensors.js";
import { USER_ID, vocabularyNames } from "../data/schema.js";
import type { LogOptions } from "../data/sources/read_log.js";
import { Turns } from "../data/turns.js";
import type { Vocabulary } from "../data/vocabulary.js";
import { ShortlistError } from "../errors.js";
import type { TensorStore } from "../executors/index.js";
import { countElements } from "../graph/dims.js";
import { type Program, storedTensors } from "../graph/program.js";
import { type CatalogueConfig, forCatalogue, type ModelConfig, resolveConfig } from "../model/config.js";
import { predictItemRows } from "../model/extend.js";
import { readTrainedModel, type TrainedModel } from "../model/model.js";
import type { TrainingRecord } from "../model/training_record.js";
import type { StartRecord } from "./history.js";

/** The learning rate of the first update, as a fraction of that of the training before, and its number of epochs. */
const [LEARNING_RATE, EPOCHS] = [0.5, 2];

/** Options of `StartingModel.open`. */
export interface StartingModelOptions extends Pick<LogOptions, "onWarning" | "signal"> {
  readonly config?: Partial<ModelConfig> | undefined;
  readonly set?: readonly string[] | undefined;
}

/** A finished model from which a training goes on, on a dataset whose vocabularies extend the model's. */
export class StartingModel {
  /** The configuration of the training. */
  readonly config: CatalogueConfig;
  /** Number of steps and epochs before this training, if the model has the optimizer's state; 0 without it. */
  readonly step: number;
  readonly epoch: number;
  /** Whether the model has the optimizer's state. */
  readonly hasState: boolean;
  /** Id of the model; its folder if it is of an older version without ids. */
  readonly id: string;
  readonly #folder: string;
  readonly #model: TrainedModel;
  readonly #dataset: Dataset;
  /** For each feature and each of its ids in the dataset, the id that the model has for this value; −1 if it has none. */
  readonly #modelIds: ReadonlyMap<string, Int32Array>;

  private constructor(folder: string, model: TrainedModel, dataset: Dataset, config: CatalogueConfig) {
    this.#folder = folder;
    this.#model = model;
    this.#dataset = dataset;
    this.config = config;
    this.hasState = model.state !== undefined;
    this.id = model.id ?? folder;
    this.step = model.state?.step ?? 0;
    this.epoch = model.state?.epoch ?? 0;
    this.#modelIds = new Map(
      vocabularyNames(dataset.schema).map((name) => {
        const [own, known] = [dataset.vocabularies.get(name)!, model.description.vocabularies.get(name)!];
        return [name, Int32Array.from({ length: own.size }, (_, id) => idIn(known, own, id))];
      }),
    );
  }

  /**
   * Reads a model folder, for a training on a dataset. Throws ERR_MODEL if the folder is no model, ERR_CONFIG if the
   * configuration is impossible, and ERR_DATASET if the vocabularies of the dataset do not extend those of the model.
   */
  static async open(folder: string, whole: Dataset, options: StartingModelOptions): Promise<StartingModel> {
    const { signal, onWarning } = options;
    const dataset = withoutNewItems(whole);
    const model = await readTrainedModel(folder, signal);
    const changes = { ...configOfUpdate(model), ...options.config };
    const config = forCatalogue(resolveConfig("default", changes, options.set), itemVocabulary(dataset).size);
    checkSchema(folder, model, dataset);
    const start = new StartingModel(folder, model, dataset, config);
    start.#checkVocabularies();
    start.#warn(whole, onWarning);
    return start;
  }

  /** What the record of the training says about this model. */
  describe(): StartRecord {
    const { id, description } = this.#model;
    const updates = description.training.updates ?? 0;
    return { name: basename(resolve(this.#folder)), ...(id !== undefined && { id }), updates, hasState: this.hasState };
  }

  /** The training record of a model that was updated once more than this one. */
  get record(): Pick<TrainingRecord, "preset" | "updates"> {
    const { preset, updates = 0 } = this.#model.description.training;
    return { ...(preset !== undefined && { preset }), updates: updates + 1 };
  }

  /**
   * Writes what the model has into the stored tensors of a training, which have their initial values. Rows of values
   * that the model does not know keep them, except those of new items: with item attributes, a regression predicts
   * these as `extendModel` does. Throws ERR_CONFIG if the network is not that of the model.
   */
  async writeTo(store: TensorStore, program: Program, signal: AbortSignal | undefined): Promise<void> {
    const tables: { readonly name: string; readonly width: number }[] = [];
    for (const { name, dtype, shape, role } of storedTensors(program)) {
      if (role === "constant") continue;
      const source = this.#sourceOf(name);
      if (!source) {
        if (role === "optimizer_state") continue;
        if (name.startsWith(COMPOSED_ATTRIBUTE)) store.write(name, new Float32Array(countElements(shape, {})));
        else this.#refuse(name, shape, undefined);
        continue;
      }
      const feature = featureOf(name, this.#dataset.schema.click[0]!.name);
      const fits = source.shape.slice(feature ? 1 : 0).join() === shape.slice(feature ? 1 : 0).join();
      if (!fits || source.dtype !== dtype) {
        if (role === "optimizer_state") continue;
        this.#refuse(name, shape, source.shape);
      }
      if (!feature) {
        store.write(name, source.data as Float32Array);
        continue;
      }
      const width = countElements(shape.slice(1), {});
      copyRows(store, name, width, source, this.#modelIds.get(feature)!);
      if (role === "parameter" && feature === this.#dataset.schema.click[0]!.name) tables.push({ name, width });
    }
    await this.#predictNewItems(store, tables, new Turns(signal));
  }

  /** The values of a tensor in the model or its training state. */
  #sourceOf(name: string) {
    const { weights, state } = this.#model;
    const own = weights.get(name) ?? state?.tensors.get(name);
    // Without a state, the item vectors as a whole count as the items' own rows.
    return own ?? (name === COMPOSED_ROW ? weights.get(ITEM_VECTORS) : undefined);
  }

  #refuse(name: string, expected: readonly unknown[], received: readonly unknown[] | undefined): never {
    const found = received ? `[${received.join(", ")}]` : "none";
    throw new ShortlistError(
      "ERR_CONFIG",
      `Expected the network of ${this.#folder}, from which training is to go on, but a setting changes it: "${name}" would be [${expected.join(", ")}], and the model has ${found}. Leave the setting out, or train without --from`,
    );
  }

  /** Number of items of the model that it was trained on, `<unk>` included. */
  get #trainedItems(): number {
    const { description } = this.#model;
    return itemVocabulary(description).size - (description.training.extendedItems ?? 0);
  }

  /** Whether the dataset grew from another one than that of the model. */
  get #isSeveralGrowthsBehind(): boolean {
    const trainedOn = this.#model.description.training.dataset;
    const { grown } = this.#dataset;
    return grown?.from !== undefined && trainedOn !== undefined && grown.from !== trainedOn;
  }

  /**
   * The values that the model was trained on must come first, in its order; all of them, unless the dataset dropped
   * some.
   */
  #checkVocabularies(): void {
    const item = this.#dataset.schema.click[0]!.name;
    for (const [name, ids] of this.#modelIds) {
      const [own, known] = [this.#dataset.vocabularies.get(name)!, this.#model.description.vocabularies.get(name)!];
      const trained = name === item ? this.#trainedItems : known.size;
      const hasGaps = this.#dataset.grown?.evicted === true && (name === item || name === USER_ID);
      let last = 0;
      for (let id = 1; last < trained - 1; id++) {
        const next = ids[id] ?? -1;
        const isPast = next < 0 || next >= trained;
        if (hasGaps && isPast && !hasAfter(ids, id, trained)) break;
        if (!isPast && (hasGaps ? next > last : next === last + 1)) {
          last = next;
          continue;
        }
        const found = id < own.size ? JSON.stringify(own.token(id)) : "no more values";
        if (hasGaps && !isPast && this.#isSeveralGrowthsBehind) {
          throw new ShortlistError(
            "ERR_DATASET",
            `${this.#dataset.folder}: Expected a dataset that grew once from that of ${this.#folder} but received one in which ${found} of "${name}" has another place: it was dropped and came back since, or the dataset grew from another one. Update the model by each growth in turn, or train without --from`,
          );
        }
        throw new ShortlistError(
          "ERR_DATASET",
          `${this.#dataset.folder}: Expected its vocabulary of "${name}" to begin with the ${trained - 1} values of ${this.#folder}, of which ${JSON.stringify(known.token(last + 1))} follows next, but received ${found} as number ${id}. Grow the dataset that the model was trained on: shortlist prepare NEW_EVENTS --from DATASET --output DATASET2`,
        );
      }
    }
  }

  #warn(whole: Dataset, onWarning: LogOptions["onWarning"]): void {
    const { description } = this.#model;
    const { folder } = whole;
    const items = itemVocabulary(description);
    const own = itemVocabulary(whole);
    let lost = 0;
    for (let id = this.#trainedItems; id < items.size; id++) if (own.idOf(items.token(id)) === 0) lost++;
    if (lost > 0) {
      onWarning?.(
        `${folder}: ${lost} items by which ${this.#folder} was extended are not in this dataset, and so not in the new model: extend it again`,
      );
    }
    if (this.#isSeveralGrowthsBehind) {
      onWarning?.(
        `${folder}: it grew from another dataset than the one that ${this.#folder} was trained on: only the clicks that were added last are trained on`,
      );
    }
  }

  /** Predicts the rows of items that are new to the model from their attributes. */
  async #predictNewItems(
    store: TensorStore,
    tables: readonly { readonly name: string; readonly width: number }[],
    turns: Turns,
  ): Promise<void> {
    const catalogue = catalogueOf(this.#dataset);
    const ids = this.#modelIds.get(this.#dataset.schema.click[0]!.name)!;
    const added = Array.from(ids.keys()).filter((id) => ids[id]! < 0);
    const trained = ids.findIndex((id) => id < 0 || id >= this.#trainedItems);
    // Without any known item, which is number 0 or 1, there is nothing to learn from.
    if (added.length === 0 || catalogue.length === 0 || trained <= 1) return;
    const { counts } = itemVocabulary(this.#model.description);
    const known = { items: trained, counts: Float64Array.from(ids.subarray(0, trained), (id) => counts[id]!) };
    await predictItemRows(store, tables, { encoding: this.#dataset, catalogue, known, added }, turns);
  }
}

const ITEM_VECTORS = "output.weight";
/** The tables of which training composes item vectors if they are not tied. A finished model has only their sum. */
const [COMPOSED_ROW, COMPOSED_ATTRIBUTE] = ["output.row", "output_attribute."];

/** The feature whose values are the rows of a tensor. Undefined if its rows are no values. */
function featureOf(tensor: string, item: string): string | undefined {
  const [layer, part] = tensor.split(".") as [string, string];
  if (layer === "output") return item;
  return ["embedding", "attribute", "output_attribute"].includes(layer) ? part : undefined;
}

/** Whether any value from `id` on is one of the first `trained` values of the model. */
function hasAfter(ids: Int32Array, id: number, trained: number): boolean {
  return ids.subarray(id).some((known) => known >= 0 && known < trained);
}

/** The id that `known` has for a value of `own`; −1 if it has none. */
function idIn(known: Vocabulary, own: Vocabulary, id: number): number {
  if (id === 0) return 0;
  return known.idOf(own.token(id)) || -1;
}

/** Copies the rows that the source has. `sourceRows` has the row of the source for each row of the tensor, or −1. */
function copyRows(
  store: TensorStore,
  name: string,
  width: number,
  source: { readonly shape: readonly number[]; readonly data: TensorData },
  sourceRows: Int32Array,
): void {
  const data = source.data as Float32Array;
  const has = (row: number) => sourceRows[row]! >= 0 && sourceRows[row]! < source.shape[0]!;
  for (let row = 0; row < sourceRows.length; ) {
    let end = row;
    while (end < sourceRows.length && has(end) && sourceRows[end]! - sourceRows[row]! === end - row) end++;
    const first = sourceRows[row]!;
    if (end > row) store.write(name, data.subarray(first * width, (first + end - row) * width), row * width);
    row = Math.max(end, row + 1);
  }
}

/** The configuration of an update, unless settings change it: that of the last update, if there was one. */
function configOfUpdate({ description: { config, training } }: TrainedModel): ModelConfig {
  if ((training.updates ?? 0) > 0) return config;
  return { ...config, learningRate: LEARNING_RATE * config.learningRate, epochs: EPOCHS, warmupSteps: 0 };
}

/** Throws ERR_DATASET unless the dataset has the schema and the statistics of the model. */
function checkSchema(folder: string, { description }: TrainedModel, dataset: Dataset): void {
  const textOf = ({ schema: { columns, click }, numbers }: Pick<Dataset, "schema" | "numbers">) =>
    JSON.stringify({ columns, click, numbers: [...numbers] });
  if (textOf(description) === textOf(dataset)) return;
  throw new ShortlistError(
    "ERR_DATASET",
    `${dataset.folder}: Expected the schema and the statistics of numbers of ${folder} but received others. Grow the dataset that the model was trained on: shortlist prepare NEW_EVENTS --from DATASET --output DATASET2`,
  );
}
