import { realpath } from "node:fs/promises";
import { catalogueOfValues, joinItems, sliceItems, valuesOf } from "../data/catalogue.js";
import { type Encoding, type ItemValues, itemVocabulary } from "../data/clicks.js";
import { catalogueOf, type Dataset, openDataset, withoutNewItems } from "../data/dataset.js";
import { IntList } from "../data/int_list.js";
import { itemFeatures } from "../data/schema.js";
import { checkLogs, type Log } from "../data/sources/log.js";
import { LOG_OPTIONS, logOptionsOf, type ReportedLogOptions, readLog } from "../data/sources/read_log.js";
import type { Click, Token } from "../data/sources/source.js";
import { type ItemRows, readItemRows } from "../data/tables/item_rows.js";
import type { ItemTableSource } from "../data/tables/table_source.js";
import { Titles } from "../data/titles.js";
import { TokenTable } from "../data/token_table.js";
import { Turns } from "../data/turns.js";
import type { Vocabulary } from "../data/vocabulary.js";
import { checkOptions, checkPath, ShortlistError } from "../errors.js";
import type { TensorStore } from "../executors/executor.js";
import { createEngine, engineLike } from "../executors/index.js";
import { countElements } from "../graph/dims.js";
import { storedTensors } from "../graph/program.js";
import {
  expectModel,
  Model,
  type ModelDescription,
  openModel,
  trainingMembers,
  withModelFolder,
  writeModel,
} from "./model.js";
import { inferenceProgram } from "./programs.js";
import { predictRow, ridgeRegression, type SparseRows } from "./ridge.js";

/** Options of `extendModel`. */
export interface ExtendOptions extends ReportedLogOptions {
  /**
   * The dataset that the model was trained on, with the attributes of the known items. Only models of earlier versions
   * need it; others have these attributes themselves.
   */
  readonly dataset?: Dataset | undefined;
  /**
   * Logs, or paths of click logs, with the new items. The attributes of a new item are those of the last click on it.
   * Either logs or a table is required.
   */
  readonly logs?: readonly Log[] | undefined;
  /** A table with a row for each new item, in columns that are called like the attributes of the model's items. */
  readonly itemTable?: ItemTableSource | undefined;
  /**
   * Number that is added to the biases of new items (default 1). Under a softmax, 1 makes them e times as likely.
   * Without it new items would hardly ever be on a shortlist, because their estimated biases are averages.
   */
  readonly boost?: number | undefined;
}

const EXTEND_OPTIONS: Readonly<Record<keyof ExtendOptions, true>> = {
  dataset: true,
  logs: true,
  itemTable: true,
  boost: true,
  ...LOG_OPTIONS,
};

/** Result of `extendModel`. */
export interface Extension {
  /** The extended model. It has an engine of its own, of the same kind as the original's. Close both models. */
  readonly model: Model;
  /** Number of new items. */
  readonly added: number;
  /** Number of new items without any known attribute. Their vectors are the part that all items have in common. */
  readonly withoutAttributes: number;
}

/**
 * Number of clicks at which a known item has weight 1/2 in the regression: the weight is clicks / (clicks + this),
 * since vectors of rarely clicked items are badly trained.
 */
const HALF_WEIGHT_CLICKS = 10;
const PENALTY = 1;
const DEFAULT_BOOST = 1;
const BIAS = "output.bias";

/**
 * Extends a model by the items of some logs that it was not trained on (cold start, docs/cold_start.md). New items
 * follow the known ones in the vocabulary, with count 0. A ridge regression from the attributes of the known items to
 * their rows in each table (input embedding, output weights, output bias) predicts the rows of the new items; `boost`
 * is then added to their biases. Rows of known items do not change. Throws ERR_DATASET if the dataset's vocabularies
 * are not the model's, ERR_OPTION if `boost` is not a float32, ERR_TABLE if the table of items cannot be read, and the
 * errors of `readLog`.
 */
export async function extendModel(model: Model, options: ExtendOptions): Promise<Extension> {
  checkOptions("extendModel", options, EXTEND_OPTIONS);
  expectModel(model);
  const { dataset, logs, itemTable, boost = DEFAULT_BOOST, signal } = options;
  if ((logs === undefined) === (itemTable === undefined)) {
    throw new ShortlistError("ERR_OPTION", "Expected either logs or an itemTable with the new items");
  }
  if (!Number.isFinite(Math.fround(boost))) {
    throw new ShortlistError("ERR_OPTION", `Expected boost to be a number that float32 can hold but received ${boost}`);
  }
  const known = knownItems(model.description, dataset);
  const found = itemTable
    ? await readItemRows(itemTable, model.description, options)
    : await newItems(model.description, logs!, options);
  return addItems(model, known, found, boost, signal);
}

/**
 * Extends a model that was trained on the items with clicks of a dataset by the dataset's new items. Returns a model
 * with an engine of its own.
 */
export async function extendByNewItems(model: Model, dataset: Dataset, signal?: AbortSignal): Promise<Model> {
  const { newItems, titles } = dataset;
  const { tokens, size } = itemVocabulary(dataset);
  const first = size - newItems;
  const catalogue = catalogueOf(dataset);
  const added = {
    tokens: tokens.slice(first),
    attributes: sliceItems(catalogue, first, size),
    titles: titles && Array.from({ length: newItems }, (_, i) => titles.titleOf(first + i)),
  };
  const known = { items: first, attributes: sliceItems(catalogue, 0, first) };
  return (await addItems(model, known, added, DEFAULT_BOOST, signal)).model;
}

/** The attributes of the first items of a model, from which those of new items are learned. */
interface KnownItems {
  readonly items: number;
  readonly attributes: readonly ItemValues[];
}

/** Extends a model by new items. */
async function addItems(
  model: Model,
  known: KnownItems,
  added: ItemRows,
  boost: number,
  signal: AbortSignal | undefined,
): Promise<Extension> {
  const { description } = model;
  const encoding = { ...description, vocabularies: withItems(description, added.tokens) };
  const { program } = inferenceProgram(description.config, encoding);
  const extendedItems = (description.training.extendedItems ?? 0) + added.tokens.length;
  const training = { ...description.training, extendedItems };
  const catalogue = extendedCatalogue(description, known, added);
  const titles = extendedTitles(description, added);
  const engine = createEngine(engineLike(model.engine));
  const extended = new Model({ ...encoding, training, catalogue, titles }, program, engine, engine.createStore());
  try {
    const withoutAttributes = await fillRows(model, extended, known, added, boost, new Turns(signal));
    return { model: extended, added: added.tokens.length, withoutAttributes };
  } catch (error) {
    extended.close();
    throw error;
  }
}

/** The catalogue of a model with the new items at its end. */
function extendedCatalogue(
  description: ModelDescription,
  { items, attributes }: KnownItems,
  added: ItemRows,
): ItemValues[] {
  if (description.catalogue) return joinItems(description.catalogue, added.attributes);
  // Nothing is known of items by which an earlier version extended the model.
  const between = Array.from({ length: itemVocabulary(description).size - items }, () => []);
  const nothing = catalogueOfValues(
    description.schema,
    attributes.map(() => between),
  );
  return joinItems(joinItems(attributes, nothing), added.attributes);
}

function extendedTitles(description: ModelDescription, { tokens, titles }: ItemRows): Titles | undefined {
  const before = description.titles ?? (titles && Titles.of(new Array(itemVocabulary(description).size).fill(null)));
  return before?.append(titles ?? new Array(tokens.length).fill(null));
}

/**
 * Fills the tensors of the extended model: copies the rows of known items and predicts those of new ones. Returns the
 * number of new items without known attributes.
 */
async function fillRows(
  model: Model,
  { store, program, description }: Model,
  known: KnownItems,
  added: ItemRows,
  boost: number,
  turns: Turns,
): Promise<number> {
  const before = model.items.size;
  const tables = copyTensors(model, storedTensors(program), store, before);
  const width = tables.reduce((sum, table) => sum + table.width, 0);
  const problem = {
    features: await rowsOfItems(description, known.attributes, known.items, turns),
    weights: model.items.counts.subarray(0, known.items).map(weightOf),
    width,
    targets: (first: number, count: number) => rowsOf(model.store, tables, first, count),
    penalty: PENALTY,
  };
  const coefficients = await ridgeRegression(problem, turns);
  const rows = await rowsOfItems(description, added.attributes, added.tokens.length, turns);
  let withoutAttributes = 0;
  for (let i = 0; i < added.tokens.length; i++) {
    if (turns.isDue) await turns.take();
    if (rows.offsets[i + 1]! - rows.offsets[i]! === 1) withoutAttributes++;
    writeRow(store, tables, before + i, predictRow(rows, i, coefficients, width), boost);
  }
  return withoutAttributes;
}

/** Items whose rows are predicted, and those from which the prediction is learned. */
export interface PredictedItems {
  readonly encoding: Encoding;
  /** The attributes of all items. */
  readonly catalogue: readonly ItemValues[];
  /** The first items of the catalogue are known; `counts` are their numbers of clicks. */
  readonly known: { readonly items: number; readonly counts: Float64Array };
  /** The ids of the items whose rows are predicted. */
  readonly added: readonly number[];
}

/** Predicts the rows of new items in tables that have a row for each item, and writes them. */
export async function predictItemRows(
  store: TensorStore,
  tables: readonly ItemTable[],
  { encoding, catalogue, known, added }: PredictedItems,
  turns: Turns,
): Promise<void> {
  const width = tables.reduce((sum, table) => sum + table.width, 0);
  const features = await rowsOfItems(encoding, catalogue, known.items, turns);
  const weights = known.counts.subarray(0, known.items).map(weightOf);
  const targets = (first: number, count: number) => rowsOf(store, tables, first, count);
  const coefficients = await ridgeRegression({ features, weights, width, targets, penalty: PENALTY }, turns);
  const rows = new AttributeRows(encoding);
  for (const id of added) rows.add(catalogue.map((values) => valuesOf(values, id)));
  const found = rows.take();
  for (const [i, id] of added.entries()) {
    if (turns.isDue) await turns.take();
    writeRow(store, tables, id, predictRow(found, i, coefficients, width), 0);
  }
}

/** Options of `extendModelFolder`, which takes folders instead of an opened dataset and model. */
export interface ExtendFolderOptions extends Omit<ExtendOptions, "dataset"> {
  /** Folder of the dataset that the model was trained on. Only models of earlier versions need it. */
  readonly dataset?: string | undefined;
  /**
   * Folder to write the extended model to. It may be the folder of the model itself, whose metrics and models of single
   * epochs then stay.
   */
  readonly output: string;
}

const EXTEND_FOLDER_OPTIONS: Readonly<Record<keyof ExtendFolderOptions, true>> = { ...EXTEND_OPTIONS, output: true };

/** Number of items that the model was extended by. */
export type ExtensionReport = Omit<Extension, "model">;

/**
 * Extends the model in one folder and writes the result to another. The output folder is checked and locked before the
 * model is opened. Throws ERR_BUSY if another process is writing it. If the logs have no new item, the model is written
 * unchanged and `onWarning` is called.
 */
export async function extendModelFolder(folder: string, options: ExtendFolderOptions): Promise<ExtensionReport> {
  checkOptions("extendModelFolder", options, EXTEND_FOLDER_OPTIONS);
  const { dataset, output, ...rest } = options;
  checkPath("folder", folder);
  if (dataset !== undefined) checkPath("dataset", dataset);
  checkPath("output", output);
  if (rest.logs !== undefined) checkLogs("logs", rest.logs);
  const { signal } = rest;
  signal?.throwIfAborted();
  return withModelFolder(output, async (target) => {
    const model = await openModel(folder, { signal });
    let extended: Model | undefined;
    try {
      const opened = dataset === undefined ? undefined : await openDataset(dataset, { signal });
      const { model: result, ...report } = await extendModel(model, { ...rest, dataset: opened });
      extended = result;
      if (report.added === 0) {
        rest.onWarning?.("there is no item that is new to the model, which is written unchanged");
      }
      const isInPlace = (await realpath(folder)) === target;
      await writeModel(extended, target, { ...(isInPlace && { keep: await trainingMembers(target) }), signal });
      return report;
    } finally {
      extended?.close();
      model.close();
    }
  });
}

function weightOf(count: number, id: number): number {
  return id === 0 ? 0 : count / (count + HALF_WEIGHT_CLICKS);
}

/** The attributes of the items of the dataset or, without one, of the model. */
function knownItems(description: ModelDescription, dataset: Dataset | undefined): KnownItems {
  if (dataset) {
    const trained = withoutNewItems(dataset);
    checkDataset(description, trained);
    return { items: itemVocabulary(trained).size, attributes: catalogueOf(trained) };
  }
  const items = itemVocabulary(description).size;
  const { schema, catalogue = itemFeatures(schema).length === 1 ? [] : undefined } = description;
  if (catalogue) return { items, attributes: catalogue };
  throw new ShortlistError(
    "ERR_DATASET",
    "Expected the dataset that the model was trained on, as an earlier version wrote the model without the attributes of its items: give it with --dataset",
  );
}

function checkDataset(model: Encoding, dataset: Dataset): void {
  const fail = (problem: string): never => {
    throw new ShortlistError(
      "ERR_DATASET",
      `${dataset.folder}: ${problem}. Give the dataset that the model was trained on`,
    );
  };
  const names = (encoding: Encoding) =>
    itemFeatures(encoding.schema)
      .map(({ name }) => name)
      .join(":");
  if (names(model) !== names(dataset)) {
    fail(`Expected clicks ${names(model)}, as the model has, but received ${names(dataset)}`);
  }
  for (const { name } of itemFeatures(model.schema)) {
    const [known, given] = [model.vocabularies.get(name)!, dataset.vocabularies.get(name)!];
    if (known.extends(given)) continue;
    fail(`Expected the model's vocabulary of "${name}" (${known.size - 1} values) but received another one`);
  }
}

/**
 * The items of logs that a model does not know, in the order in which they first appear, as of the last click on each.
 */
async function newItems(encoding: Encoding, logs: readonly Log[], options: ReportedLogOptions): Promise<ItemRows> {
  const { schema, vocabularies, maxLineBytes } = encoding;
  const items = itemVocabulary(encoding);
  const tokens = new TokenTable();
  const lastClicks: Click[] = [];
  const given = logOptionsOf(options);
  const logOptions = { ...given, schema, maxLineBytes: given.maxLineBytes ?? maxLineBytes, withoutClicks: true };
  await readLog(logs, logOptions, ({ clicks }) => {
    for (const click of clicks) {
      const token = click[0] as Token;
      if (token !== null && items.idOf(token) === 0) lastClicks[tokens.add(token)] = click;
    }
  });
  const values = itemFeatures(schema)
    .slice(1)
    .map(({ name }, f) => {
      const vocabulary = vocabularies.get(name)!;
      return lastClicks.map((click) => {
        const value = click[f + 1] as Token | readonly Token[];
        const own = Array.isArray(value) ? (value as readonly Token[]) : [value as Token];
        return own.map((token) => vocabulary.idOf(token));
      });
    });
  return { tokens: lastClicks.map((_, i) => tokens.token(i)), attributes: catalogueOfValues(schema, values) };
}

function withItems(encoding: Encoding, tokens: readonly string[]): Map<string, Vocabulary> {
  const vocabularies = new Map(encoding.vocabularies);
  return vocabularies.set(encoding.schema.click[0]!.name, itemVocabulary(encoding).append(tokens));
}

/** A tensor with one row for each item. */
export interface ItemTable {
  readonly name: string;
  readonly width: number;
}

/**
 * Creates the tensors in `store` and copies the model's values into them. Returns the tensors that have rows for more
 * items than the model's.
 */
function copyTensors(model: Model, tensors: ReturnType<typeof storedTensors>, store: TensorStore, known: number) {
  const old = new Map(storedTensors(model.program).map((tensor) => [tensor.name, tensor]));
  const tables: ItemTable[] = [];
  for (const { name, dtype, shape } of tensors) {
    const before = old.get(name);
    const grown = before?.shape[0] === known && [known, ...shape.slice(1)].join() === before.shape.join();
    if (!before || before.dtype !== dtype || (!grown && before.shape.join() !== shape.join())) {
      throw new ShortlistError(
        "ERR_MODEL",
        `The model has no tensor "${name}" that can be extended to ${dtype} [${shape.join(", ")}]: it was made by another version`,
      );
    }
    store.define({ name, dtype, shape });
    store.write(name, model.store.read(name));
    if (shape.join() !== before.shape.join()) {
      tables.push({ name, width: countElements(shape, {}) / shape[0]! });
    }
  }
  return tables;
}

/** The rows of all tables side by side: [count, sum of widths]. */
function rowsOf(store: TensorStore, tables: readonly ItemTable[], first: number, count: number): Float32Array {
  const all = tables.reduce((sum, { width }) => sum + width, 0);
  const rows = new Float32Array(count * all);
  let column = 0;
  for (const { name, width } of tables) {
    const values = store.read(name, first * width, count * width) as Float32Array;
    for (let r = 0; r < count; r++) rows.set(values.subarray(r * width, (r + 1) * width), r * all + column);
    column += width;
  }
  return rows;
}

function writeRow(
  store: TensorStore,
  tables: readonly ItemTable[],
  row: number,
  values: Float64Array,
  boost: number,
): void {
  let column = 0;
  for (const { name, width } of tables) {
    const plus = name === BIAS ? boost : 0;
    const part = Float32Array.from(values.subarray(column, column + width), (value) => value + plus);
    store.write(name, part, row * width);
    column += width;
  }
}

/**
 * Attributes as regression features. Column 0 is 1 for the intercept; after it, there is a column for each value of
 * each attribute. If an item has n known values of an attribute, each has 1 / √n, so that every attribute has norm 1.
 * Unknown values are left out.
 */
class AttributeRows {
  readonly #columns: number;
  readonly #firstColumns: readonly number[];
  readonly #offsets = new IntList();
  readonly #indices = new IntList();
  readonly #values: number[] = [];

  constructor(encoding: Encoding) {
    let columns = 1;
    this.#firstColumns = itemFeatures(encoding.schema)
      .slice(1)
      .map(({ name }) => {
        const first = columns - 1;
        columns += encoding.vocabularies.get(name)!.size - 1;
        return first;
      });
    this.#columns = columns;
    this.#offsets.push(0);
  }

  /** Adds the row of an item. `attributes[f]` are the ids of its values of attribute f. */
  add(attributes: readonly Int32Array[]): void {
    this.#push(0, 1);
    attributes.forEach((ids, f) => {
      const known = new Set(ids);
      known.delete(0);
      for (const id of known) this.#push(this.#firstColumns[f]! + id, 1 / Math.sqrt(known.size));
    });
    this.#offsets.push(this.#indices.length);
  }

  take(): SparseRows {
    return {
      columns: this.#columns,
      offsets: this.#offsets.take(),
      indices: this.#indices.take(),
      values: Float32Array.from(this.#values),
    };
  }

  #push(column: number, value: number): void {
    this.#indices.push(column);
    this.#values.push(value);
  }
}

/** One row for each of the first `items` items. */
async function rowsOfItems(
  encoding: Encoding,
  attributes: readonly ItemValues[],
  items: number,
  turns: Turns,
): Promise<SparseRows> {
  const rows = new AttributeRows(encoding);
  for (let item = 0; item < items; item++) {
    if (turns.isDue) await turns.take();
    rows.add(attributes.map((values) => valuesOf(values, item)));
  }
  return rows.take();
}
