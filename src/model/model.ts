import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { UserBatches } from "../data/batches.js";
import { catalogueTensors, isCatalogueTensor, parseCatalogue } from "../data/catalogue.js";
import { type Encoding, type ItemValues, itemVocabulary, type NumberStatistics } from "../data/clicks.js";
import { exists, formatJson, hasCode, replaceFile } from "../data/files.js";
import {
  digestsOf,
  type FolderReader,
  readFolder,
  readTitles,
  readVocabulary,
  VOCABULARY,
  vocabularyFile,
} from "../data/members.js";
import { type FolderKind, replaceFolder, withOutputFolder } from "../data/output_folder.js";
import {
  ID_KEY,
  readSafetensors,
  readSafetensorsHeader,
  SafetensorsFile,
  type SafetensorsTensor,
  type TensorToWrite,
  writeSafetensors,
} from "../data/safetensors.js";
import { numberNames, parseStoredSchema, vocabularyNames } from "../data/schema.js";
import { isMaxLineBytes } from "../data/sources/read_log.js";
import { type JsonObject, migrate } from "../data/stored_format.js";
import { parseStrictJson } from "../data/strict_json.js";
import { TITLES, type Titles } from "../data/titles.js";
import { Turns } from "../data/turns.js";
import type { Vocabulary } from "../data/vocabulary.js";
import { checkOptions, checkPath, ShortlistError } from "../errors.js";
import {
  type Engine,
  type Executor,
  RUN_USERS_OPTIONS,
  type RunInputs,
  type RunOutputs,
  type RunUsersOptions,
  type StoredTensor,
  type TensorStore,
} from "../executors/executor.js";
import { createEngine, ENGINE_OPTIONS, type EngineOptions } from "../executors/index.js";
import { countElements, type DimSizes } from "../graph/dims.js";
import { formatProgram, type Program, selectOutputs, storedTensors, toProgram } from "../graph/program.js";
import { checkModel } from "./check_model.js";
import { type ModelConfig, parseConfig } from "./config.js";
import { describeNotFinite, loadFinite } from "./finite.js";
import { mergeScans } from "./merge_scans.js";
import { MODEL_FORMAT, migrateProgram } from "./migrate.js";
import type { ItemScores, Recommendation, SimilarityList, UserVector } from "./requests/answers.js";
import type { ModelRecommendOptions, ModelSimilarOptions, ModelUserOptions } from "./requests/options.js";
import { Requests } from "./requests/requests.js";
import type { UserRequest } from "./requests/values.js";
import { parseTrainingRecord, type TrainingRecord } from "./training_record.js";

/** The member that describes a model. */
export const DESCRIPTION = "config.json";
const PROGRAM = "program.json";
const WEIGHTS = "model.safetensors";
/** The training state, an optional member. Its metadata has the id of the model. */
const STATE = "state.safetensors";
/**
 * Subfolder with what a training has finished so far: its checkpoints, metrics and epochs. It becomes a part of the
 * model, or is removed, in the same step in which the finished model appears.
 */
export const UNFINISHED = "unfinished";

/**
 * Files that training writes into a model folder besides the model: metrics, the record and report of the training, and
 * the models of single epochs.
 */
export const METRICS = "metrics.jsonl";
export const HISTORY = "history.json";
export const REPORT = "report.html";
const TRAINING_FILES: readonly string[] = [METRICS, HISTORY, REPORT, UNFINISHED];
/** Before version 2 of the format the names were `pass-<n>`. */
const EPOCH_FOLDER = /^(?:epoch|pass)-\d+$/;

/** Name of the subfolder with the model of one epoch (from 1). */
export function epochFolder(epoch: number): string {
  return `epoch-${epoch}`;
}

/** Whether a member of a model folder is the model of one epoch. */
export function isEpochFolder(name: string): boolean {
  return EPOCH_FOLDER.test(name);
}

/** A model without its Program and weights. */
export interface ModelDescription extends Encoding {
  /** The configuration that the model was trained with. */
  readonly config: ModelConfig;
  /** How the model was trained. */
  readonly training: TrainingRecord;
  /**
   * The attributes of every item, as of the last click on it in the training log: the fields of a click but the item,
   * in schema order, each with `ids` [items], or `ids` [values] and `offsets` [items + 1]. They are the attributes of
   * clicks of which a request names the item alone. Undefined if the model was saved by a version without them.
   */
  readonly catalogue?: readonly ItemValues[] | undefined;
  /** Titles of the items, for people to read. Undefined if there are none. */
  readonly titles?: Titles | undefined;
}

/**
 * A trained network, ready to run: its inference Program and its weights. It owns its store and, unless it was given
 * one, its engine. Any number of runs may be in flight at the same time.
 */
export class Model implements Disposable {
  /** The configuration, schema, vocabularies and statistics. */
  readonly description: ModelDescription;
  /** The inference Program with all its outputs. `run` computes only those that it is asked for. */
  readonly program: Program;
  /** The engine that runs the model. */
  readonly engine: Engine;
  /** The store that holds the weights. */
  readonly store: TensorStore;
  /** The id of the folder that the model was opened from. Undefined for a model that was not, or in an older format. */
  readonly id: string | undefined;
  readonly #executors = new Map<string, Executor>();
  readonly #ownsEngine: boolean;
  readonly #requests: Requests;
  #closed = false;

  /** `close` also closes an engine that is "owned", and leaves a "given" one open. */
  constructor(
    description: ModelDescription,
    program: Program,
    engine: Engine,
    store: TensorStore,
    engineIs: "owned" | "given" = "owned",
    id?: string,
  ) {
    this.id = id;
    this.#ownsEngine = engineIs === "owned";
    this.description = description;
    this.program = program;
    this.engine = engine;
    this.store = store;
    this.#requests = new Requests(this);
  }

  /**
   * Recommends items to a user, or to each user of an array: the items that the user may click next, without those of
   * the history. Any number of calls may be in flight at once; those that arrive while the engine is busy are computed
   * together, with the same results (docs/requests.md).
   *
   * Values that the model does not know count as `<unk>`, and the answer lists them. Throws ERR_REQUEST, with the name
   * of the field, for a field that the schema does not have and for a value of another type; ERR_OPTION for an
   * impossible option; ERR_DIVERGED if a score is not finite; and ERR_EXECUTOR if the model is closed.
   */
  async recommend(user: UserRequest, options?: ModelRecommendOptions): Promise<Recommendation>;
  async recommend(users: readonly UserRequest[], options?: ModelRecommendOptions): Promise<Recommendation[]>;
  async recommend(
    users: UserRequest | readonly UserRequest[],
    options: ModelRecommendOptions = {},
  ): Promise<Recommendation | Recommendation[]> {
    return this.#requests.recommend(users, options);
  }

  /**
   * Computes the vector u [userVectorWidth] of a user, or of each user of an array. The score of an item is w·u + b
   * (docs/math.md#retrieval). Throws the errors of `recommend`.
   */
  async userVectors(user: UserRequest, options?: ModelUserOptions): Promise<UserVector>;
  async userVectors(users: readonly UserRequest[], options?: ModelUserOptions): Promise<UserVector[]>;
  async userVectors(
    users: UserRequest | readonly UserRequest[],
    options: ModelUserOptions = {},
  ): Promise<UserVector | UserVector[]> {
    return this.#requests.userVectors(users, options);
  }

  /**
   * Computes the scores of these items for a user, or for each user of an array. The scores have the same bits as on a
   * shortlist. Throws the errors of `recommend`.
   */
  async score(user: UserRequest, items: readonly string[], options?: ModelUserOptions): Promise<ItemScores>;
  async score(
    users: readonly UserRequest[],
    items: readonly string[],
    options?: ModelUserOptions,
  ): Promise<ItemScores[]>;
  async score(
    users: UserRequest | readonly UserRequest[],
    items: readonly string[],
    options: ModelUserOptions = {},
  ): Promise<ItemScores | ItemScores[]> {
    return this.#requests.score(users, items, options);
  }

  /**
   * Finds the items that are most similar to an item, or to each item of an array: those with the most similar output
   * weights by cosine, which the same users would click next. The first call copies the output weights. Throws the
   * errors of `recommend`.
   */
  async similar(item: string, options?: ModelSimilarOptions): Promise<SimilarityList>;
  async similar(items: readonly string[], options?: ModelSimilarOptions): Promise<SimilarityList[]>;
  async similar(
    items: string | readonly string[],
    options: ModelSimilarOptions = {},
  ): Promise<SimilarityList | SimilarityList[]> {
    return this.#requests.similar(items, options);
  }

  /**
   * Runs the part of the inference Program that computes the given outputs: `user_vector` [samples, width], `items` and
   * `score` [samples, top], `log_partition` [samples], `rank` [samples]. Throws ERR_INPUT if an input is missing or
   * does not fit.
   */
  async run(outputs: readonly string[], inputs: RunInputs, dims: DimSizes): Promise<RunOutputs> {
    return this.executorFor(outputs).run(inputs, dims);
  }

  /**
   * `run` for batch `index` of users, such as `engine.createUserBatches` creates. `inputs` and `dims` are those that
   * the batch does not have.
   */
  async runUsers(
    outputs: readonly string[],
    batches: UserBatches,
    index: number,
    inputs: RunInputs = {},
    dims: DimSizes = {},
    options: RunUsersOptions = {},
  ): Promise<RunOutputs> {
    checkOptions("Model.runUsers", options, RUN_USERS_OPTIONS);
    return this.executorFor(outputs).runUsers(batches, index, inputs, dims, options);
  }

  /**
   * The executor of the part of the inference Program that computes these outputs. The model closes it.
   *
   * @internal
   */
  executorFor(outputs: readonly string[]): Executor {
    return this.#executor(JSON.stringify(outputs), () => selectOutputs(this.program, outputs));
  }

  /**
   * The executor of evaluations. Its outputs are `items` and `rank`, and `HIGHEST_SCORE`, with one scan of the items; or
   * `log_partition` instead, with two, if the Program has no scans that can be merged. The model closes it.
   *
   * @internal
   */
  rankingExecutor(): Executor {
    return this.#executor("ranking", () => {
      const merged = mergeScans(selectOutputs(this.program, ["items", "rank"]));
      return merged ?? selectOutputs(this.program, ["items", "log_partition", "rank"]);
    });
  }

  /** The executor with this key, which is created of a Program the first time. */
  #executor(key: string, programOf: () => Program): Executor {
    this.checkOpen();
    let executor = this.#executors.get(key);
    if (!executor) {
      executor = this.engine.createExecutor(programOf(), this.store);
      this.#executors.set(key, executor);
    }
    return executor;
  }

  /** The vocabulary of the items that the model recommends. */
  get items(): Vocabulary {
    return itemVocabulary(this.description);
  }

  /** Throws ERR_EXECUTOR if the model is closed. */
  checkOpen(): void {
    if (this.#closed) throw new ShortlistError("ERR_EXECUTOR", "The model is closed: open it again");
  }

  /**
   * Frees the weights and, if the model owns its engine, the engine's threads. Runs in flight finish first. Every later
   * call throws ERR_EXECUTOR.
   */
  close(): void {
    this.#closed = true;
    this.#requests.close();
    for (const executor of this.#executors.values()) executor.close();
    this.#executors.clear();
    this.store.close();
    if (this.#ownsEngine) this.engine.close();
  }

  /** Calls `close` at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Throws ERR_OPTION unless `model` is a `Model`, and ERR_EXECUTOR if it is closed. */
export function expectModel(model: unknown): void {
  if (model instanceof Model) {
    model.checkOpen();
    return;
  }
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected a model but received ${typeof model === "string" ? `"${model}": open it with openModel` : String(model)}`,
  );
}

/** The kind of folder that `saveModel` writes. */
export const MODEL: FolderKind = {
  name: "model",
  code: "ERR_MODEL",
  owns: (name) =>
    [DESCRIPTION, PROGRAM, WEIGHTS, STATE, VOCABULARY, TITLES, ...TRAINING_FILES].includes(name) || isEpochFolder(name),
  description: DESCRIPTION,
  inner: UNFINISHED,
};

/** Checks that a model can be written to `path`, locks the folder, and runs `work` with it; see `withOutputFolder`. */
export function withModelFolder<T>(path: string, work: (folder: string) => Promise<T>): Promise<T> {
  return withOutputFolder(path, MODEL, work);
}

/** Options of `saveModel`. */
export interface SaveModelOptions {
  /** Stops the writing, which rejects with the signal's reason. The folder stays as it was. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a model folder: `config.json`, `program.json`, `model.safetensors`, `vocabulary/<feature>.tsv` and, if there
 * are titles, `titles.txt`. The folder appears only when it is complete, and then replaces an older model. Throws
 * ERR_DIVERGED if a weight is not finite, and ERR_BUSY if another process is writing the folder.
 */
export async function saveModel(model: Model, folder: string, options: SaveModelOptions = {}): Promise<void> {
  checkOptions("saveModel", options, { signal: true } satisfies Record<keyof SaveModelOptions, true>);
  expectModel(model);
  checkPath("folder", folder);
  const { signal } = options;
  signal?.throwIfAborted();
  await withModelFolder(folder, (target) => writeModel(model, target, { signal }));
}

/** Options of `writeModel`. */
export interface WriteModelOptions {
  /** Members of the folder that stay in it (default: an unfinished training). */
  readonly keep?: readonly string[] | undefined;
  /** What training keeps beside the weights; the folder gets `state.safetensors`. */
  readonly state?: KeptState | undefined;
  /** Writes more members, which appear together with the model. */
  readonly addMembers?: ((folder: string) => Promise<void>) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** `saveModel` for callers inside `withModelFolder`, which have already locked the folder. */
export async function writeModel(
  model: Model,
  folder: string,
  { keep = [UNFINISHED], state, addMembers, signal }: WriteModelOptions = {},
): Promise<void> {
  const { config, schema, vocabularies, numbers, maxLineBytes, training, catalogue, titles } = model.description;
  const problem = describeNotFinite(model.store, storedTensors(model.program));
  if (problem) throw new ShortlistError("ERR_DIVERGED", `Refused to save the model to ${folder}: ${problem}`);
  const encoding = { config, schema, numbers: Object.fromEntries(numbers), max_line_bytes: maxLineBytes };
  await replaceFolder(
    folder,
    MODEL,
    async (temporary) => {
      await replaceFile(join(temporary, PROGRAM), (file) => file.writeFile(formatProgram(model.program)));
      await mkdir(join(temporary, VOCABULARY));
      for (const [name, vocabulary] of vocabularies) {
        await vocabulary.write(join(temporary, vocabularyFile(name)), { signal });
      }
      await titles?.write(join(temporary, TITLES));
      const texts = [...vocabularies.keys()].map(vocabularyFile);
      const members = await digestsOf(temporary, [PROGRAM, ...texts, ...(titles ? [TITLES] : [])], signal);
      const weights: TensorToWrite[] = storedTensors(model.program).map(({ name, dtype, shape }) => ({
        name,
        dtype,
        shape: shape as number[],
        data: () => storedChunks(model.store, name, countElements(shape, {})),
      }));
      // The id does not depend on the training record: equal weights give equal files, however they were trained.
      const contents = createHash("sha256").update(JSON.stringify({ ...encoding, members }));
      const id = await writeSafetensors(
        join(temporary, WEIGHTS),
        [...weights, ...catalogueTensors(catalogue ?? [])],
        {},
        contents,
        signal,
      );
      if (state) {
        const metadata = { [ID_KEY]: id, step: String(state.step), epoch: String(state.epoch) };
        await writeSafetensors(join(temporary, STATE), state.tensors, metadata, undefined, signal);
      }
      const { name, version } = MODEL_FORMAT;
      const description = { format: name, version, id, members, ...encoding, training };
      await replaceFile(join(temporary, DESCRIPTION), (file) => file.writeFile(formatJson(description)));
      await addMembers?.(temporary);
      signal?.throwIfAborted();
    },
    (name) => keep.includes(name),
  );
}

/** Returns the names of the files and subfolders that training wrote into a model folder besides the model. */
export async function trainingMembers(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => TRAINING_FILES.includes(name) || isEpochFolder(name));
}

/** Options of `openModel`. Without `engine` the model gets an engine of its own, which the other options configure. */
export interface OpenModelOptions extends EngineOptions {
  /** An engine to run on, which other models may use too. It stays open when the model is closed. */
  readonly engine?: Engine | undefined;
  /** Stops the reading, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const OPEN_MODEL_OPTIONS: Readonly<Record<keyof OpenModelOptions, true>> = {
  ...ENGINE_OPTIONS,
  engine: true,
  signal: true,
};

/**
 * Opens a model folder and checks that its parts fit each other. Throws ERR_MODEL, with the name of the file, if they
 * do not; ERR_OPTION if `engine` is not an engine or is given together with options of an engine; and ERR_EXECUTOR if
 * `engine` is closed.
 */
export async function openModel(folder: string, options: OpenModelOptions = {}): Promise<Model> {
  checkOptions("openModel", options, OPEN_MODEL_OPTIONS);
  checkPath("folder", folder);
  const { signal, engine: given, ...own } = options;
  if (given !== undefined) checkEngine(given, own);
  const engine = given ?? createEngine(own);
  const stores: TensorStore[] = [];
  const readAll = async (members: FolderReader) => {
    for (const store of stores.splice(0)) store.close(); // of a version that was replaced while it was read
    const store = engine.createStore();
    stores.push(store);
    const { id, description, program } = await readParts(folder, members, signal);
    checkTables(folder, description, program);
    const { catalogue } = await readTensors(members, { description, program }, signal, async (tensor, file) => {
      store.define(tensor);
      await loadWeights(store, tensor.name, file, signal);
    });
    return new Model({ ...description, catalogue }, program, engine, store, given ? "given" : "owned", id);
  };
  try {
    const model = await readFolder(folder, DESCRIPTION, readAll, signal);
    await checkModel(model, join(folder, PROGRAM));
    signal?.throwIfAborted();
    return model;
  } catch (error) {
    for (const store of stores) store.close();
    if (!given) engine.close();
    throw error;
  }
}

/** Fills a stored tensor from a file. Throws ERR_MODEL if it cannot be read or a number in it is not finite. */
async function loadWeights(
  store: TensorStore,
  name: string,
  file: SafetensorsFile,
  signal: AbortSignal | undefined,
): Promise<void> {
  const problem = await loadFinite(store, name, file, signal).catch((error) => {
    if (!(error instanceof ShortlistError) || error.code !== "ERR_FILE") throw error;
    throw new ShortlistError("ERR_MODEL", `Cannot read ${error.message}`, { cause: error });
  });
  if (problem) throw new ShortlistError("ERR_MODEL", `${file.path}: ${problem}`);
}

function checkEngine(engine: unknown, own: EngineOptions): void {
  if (typeof (engine as Partial<Engine> | null)?.createExecutor !== "function") {
    throw new ShortlistError("ERR_OPTION", `Expected engine to be one of createEngine but received ${String(engine)}`);
  }
  const described = Object.entries(own).find(([, value]) => value !== undefined);
  if (described) {
    throw new ShortlistError("ERR_OPTION", `Expected either an engine or "${described[0]}" but received both`);
  }
}

/** Reads a model folder without its weights. */
export function readModel(folder: string, signal?: AbortSignal): Promise<ModelParts> {
  return readFolder(folder, DESCRIPTION, (members) => readParts(folder, members, signal), signal);
}

/** What training keeps between steps beside the weights of the model, so that a later training can go on from it. */
export interface KeptState {
  /** Number of steps that were run, over all trainings that went on from one another. */
  readonly step: number;
  /** Number of epochs that were begun. */
  readonly epoch: number;
  /** The state of the optimizer, and the tables of which item vectors are composed if the model does not have them. */
  readonly tensors: readonly TensorToWrite[];
}

/** Everything in a model folder, in memory. */
export interface TrainedModel extends ModelParts {
  /** The tensors of the Program, by name. */
  readonly weights: ReadonlyMap<string, SafetensorsTensor>;
  /** The training state. Undefined if the folder has none. */
  readonly state:
    | { readonly step: number; readonly epoch: number; readonly tensors: TrainedModel["weights"] }
    | undefined;
}

/** Reads a model folder for a training that goes on from it. */
export async function readTrainedModel(folder: string, signal?: AbortSignal): Promise<TrainedModel> {
  const readAll = async (members: FolderReader) => {
    const parts = await readParts(folder, members, signal);
    const { weights, catalogue } = await readTensors(members, parts, signal, ({ name }, file) =>
      file.read(name, signal).then((tensor) => [name, tensor] as const),
    );
    const state = (await exists(members.source(STATE))) ? await readState(members, signal) : undefined;
    return { parts, weights, catalogue, state };
  };
  const { parts, weights, catalogue, state } = await readFolder(folder, DESCRIPTION, readAll, signal);
  checkTables(folder, parts.description, parts.program);
  return {
    ...parts,
    description: { ...parts.description, catalogue },
    weights: new Map(weights),
    state,
  };
}

async function readState(members: FolderReader, signal: AbortSignal | undefined): Promise<TrainedModel["state"]> {
  const path = members.path(STATE);
  const { tensors, metadata } = await readSafetensors(path, "ERR_MODEL", members.source(STATE), signal);
  members.checkId(STATE, metadata);
  const [step, epoch] = [metadata["step"], metadata["epoch"]].map(Number) as [number, number];
  if ([step, epoch].every((count) => Number.isSafeInteger(count) && count >= 0)) return { step, epoch, tensors };
  throw new ShortlistError("ERR_MODEL", `${path}: Expected whole numbers "step" and "epoch" in its metadata`);
}

/**
 * Checks that the files of a model folder belong together and are whole, without reading the weights themselves. Throws
 * what `openModel` throws otherwise.
 */
export function checkModelFiles(folder: string): Promise<void> {
  return readFolder(folder, DESCRIPTION, async (members) => {
    const path = members.path(DESCRIPTION);
    const bytes = await readFile(members.source(DESCRIPTION)).catch((error) => failToRead(folder, DESCRIPTION, error));
    const head = parseHead(bytes, path);
    members.expect(head, "ERR_MODEL");
    for (const name of members.names) await members.verify(name);
    const { metadata } = await readSafetensorsHeader(members.path(WEIGHTS), "ERR_MODEL", members.source(WEIGHTS));
    members.checkId(WEIGHTS, metadata);
  });
}

/** A model folder without its weights. */
export interface ModelParts {
  /** Undefined in folders of older versions. */
  readonly id: string | undefined;
  readonly description: ModelDescription;
  readonly program: Program;
}

async function readParts(folder: string, members: FolderReader, signal: AbortSignal | undefined): Promise<ModelParts> {
  const path = members.path(DESCRIPTION);
  const bytes = await readFile(members.source(DESCRIPTION)).catch((error) => failToRead(folder, DESCRIPTION, error));
  const head = parseHead(bytes, path);
  members.expect(head, "ERR_MODEL");
  const turns = Turns.inBackground(signal);
  const known = await withVocabularies(parseDescription(head, path), members, turns, signal);
  const description = { ...known, titles: await readTitles(members, itemVocabulary(known).size, turns) };
  const id = head["id"] as string | undefined;
  return { id, description, program: await readProgram(folder, members, head) };
}

/** Replaces the weights of a model by those saved in a folder. */
export async function restoreWeights(
  { program, store, description }: Model,
  folder: string,
  signal?: AbortSignal,
): Promise<void> {
  const load = ({ name }: StoredTensor, file: SafetensorsFile) => loadWeights(store, name, file, signal);
  const readAll = (members: FolderReader) => readTensors(members, { program, description }, signal, load);
  await readFolder(folder, DESCRIPTION, readAll, signal);
}

/**
 * Checks `model.safetensors` against the Program, reads the attributes of the items from it, and reads each stored
 * tensor of the Program by `readTensor`.
 */
async function readTensors<Tensor>(
  members: FolderReader,
  { program, description }: Omit<ModelParts, "id">,
  signal: AbortSignal | undefined,
  readTensor: (tensor: StoredTensor, file: SafetensorsFile) => Promise<Tensor>,
): Promise<{ readonly weights: Tensor[]; readonly catalogue: ItemValues[] | undefined }> {
  const path = members.path(WEIGHTS);
  const file = await SafetensorsFile.open(path, "ERR_MODEL", members.source(WEIGHTS));
  try {
    members.checkId(WEIGHTS, file.metadata);
    const attributes = new Map<string, SafetensorsTensor>();
    for (const { name, dtype } of file.entries) {
      if (dtype && isCatalogueTensor(name)) attributes.set(name, await file.read(name, signal));
    }
    const catalogue = parseCatalogue(description, attributes, (problem) => {
      throw new ShortlistError("ERR_MODEL", `${path}: ${problem}`);
    });
    const stored = storedTensors(program).map(({ name, dtype, shape }) => {
      const found = file.find(name);
      if (!found) throw new ShortlistError("ERR_MODEL", `${path}: There is no tensor "${name}"`);
      if (found.dtype !== dtype || found.shape.join() !== shape.join()) {
        throw new ShortlistError(
          "ERR_MODEL",
          `${path}: Expected "${name}" of ${dtype} [${shape.join(", ")}] but received ${found.dtype} [${found.shape.join(", ")}]`,
        );
      }
      return { name, dtype, shape: found.shape };
    });
    const weights: Tensor[] = [];
    for (const tensor of stored) {
      signal?.throwIfAborted();
      weights.push(await readTensor(tensor, file));
    }
    return { weights, catalogue };
  } finally {
    await file.close();
  }
}

/** Throws ERR_MODEL unless each table has one row for each token of its vocabulary. */
function checkTables(folder: string, description: ModelDescription, program: Program): void {
  const rows = new Map(storedTensors(program).map(({ name, shape }) => [name, shape[0]]));
  const expected = new Map([...description.vocabularies].map(([name, { size }]) => [`embedding.${name}`, size]));
  expected.set("output.weight", itemVocabulary(description).size);
  for (const [tensor, size] of expected) {
    const found = rows.get(tensor);
    if (found !== undefined && found !== size) {
      throw new ShortlistError(
        "ERR_MODEL",
        `${folder}: "${tensor}" has ${found} rows but its vocabulary ${size} tokens`,
      );
    }
  }
}

/** Adds the vocabularies of a model folder to the description in its `config.json`. */
async function withVocabularies(
  description: Omit<ModelDescription, "vocabularies">,
  members: FolderReader,
  turns: Turns,
  signal: AbortSignal | undefined,
): Promise<ModelDescription> {
  const vocabularies = new Map<string, Vocabulary>();
  for (const name of vocabularyNames(description.schema)) {
    signal?.throwIfAborted();
    vocabularies.set(name, await readVocabulary(members, vocabularyFile(name), turns, "index"));
  }
  return { ...description, vocabularies };
}

/** Parses the JSON object in a `config.json`. */
export function parseHead(bytes: Uint8Array, path: string): JsonObject {
  const head = parseStrictJson(bytes, path, "ERR_MODEL") as JsonObject | null;
  if (typeof head === "object" && head !== null && !Array.isArray(head)) return head;
  throw new ShortlistError("ERR_MODEL", `${path}: Expected a JSON object`);
}

/** Parses and checks a `config.json` of any version of the format. */
export function parseDescription(
  stored: JsonObject,
  path: string,
  format = MODEL_FORMAT,
): Omit<ModelDescription, "vocabularies"> {
  const head = migrate(stored, format, path);
  const schema = parseStoredSchema(head["schema"], path, "ERR_MODEL");
  const statistics = (head["numbers"] ?? {}) as Record<string, NumberStatistics>;
  const numbers = new Map<string, NumberStatistics>();
  for (const name of numberNames(schema)) {
    const { mean, standardDeviation } = statistics[name] ?? {};
    if (!Number.isFinite(mean) || !Number.isFinite(standardDeviation)) {
      throw new ShortlistError("ERR_MODEL", `${path}: There are no mean and standardDeviation of "${name}"`);
    }
    numbers.set(name, { mean: mean!, standardDeviation: standardDeviation! });
  }
  const training = parseTrainingRecord(head["training"], path);
  const maxLineBytes = head["max_line_bytes"];
  if (!isMaxLineBytes(maxLineBytes))
    throw new ShortlistError("ERR_MODEL", `${path}: The max_line_bytes are impossible`);
  return { config: parseConfig(head["config"], path), schema, numbers, maxLineBytes, training };
}

/** Reads `program.json` of a model folder whose `config.json` is `head`. */
async function readProgram(folder: string, members: FolderReader, head: JsonObject): Promise<Program> {
  const bytes = await members.read(PROGRAM).catch((error) => failToRead(folder, PROGRAM, error));
  const value = parseStrictJson(bytes, members.path(PROGRAM), "ERR_MODEL");
  try {
    return migrateProgram(toProgram(value), head);
  } catch (error) {
    throw new ShortlistError("ERR_MODEL", `${members.path(PROGRAM)}: ${(error as Error).message}`, { cause: error });
  }
}

async function failToRead(folder: string, name: string, error: unknown): Promise<never> {
  if (error instanceof ShortlistError) throw error;
  const problem = await stat(folder).then(
    (found) => {
      if (!found.isDirectory()) return "It is a file, not a model folder";
      if (name === DESCRIPTION && hasCode(error, "ENOENT") && existsSync(join(folder, UNFINISHED))) {
        return `Its training is not finished (train --resume). The epochs so far are models in ${join(folder, UNFINISHED)}`;
      }
      if (hasCode(error, "ENOENT")) return `The folder is not a model: it has no ${name}`;
      return `Cannot read ${name}: ${(error as Error).message}`;
    },
    () => "There is no such folder",
  );
  throw new ShortlistError("ERR_MODEL", `${folder}: ${problem}. Train a model first`, { cause: error });
}

const CHUNK_ELEMENTS = 1 << 20;

/** Yields the elements of a tensor, some at a time. */
export function* storedChunks(store: TensorStore, name: string, elements: number) {
  for (let offset = 0; offset < elements; offset += CHUNK_ELEMENTS) {
    yield store.read(name, offset, Math.min(CHUNK_ELEMENTS, elements - offset)) as Float32Array;
  }
}
