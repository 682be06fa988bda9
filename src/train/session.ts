import { itemVocabulary } from "../data/clicks.js";
import { type Dataset, openDataset, withoutNewItems } from "../data/dataset.js";
import { checkLog, type Log } from "../data/sources/log.js";
import { LOG_OPTIONS, logOptionsOf, type ReportedLogOptions } from "../data/sources/read_log.js";
import { checkChoice, checkOptions, checkPath, checkWholeNumber, describeValue, ShortlistError } from "../errors.js";
import { createEngine, ENGINE_OPTIONS, type Engine, type EngineOptions, engineOptionsOf } from "../executors/index.js";
import { type CatalogueConfig, forCatalogue, type ModelConfig, resolveConfig } from "../model/config.js";
import { extendByNewItems } from "../model/extend.js";
import { describeNotFinite } from "../model/finite.js";
import {
  type KeptState,
  Model,
  readTrainedModel,
  restoreWeights,
  withModelFolder,
  writeModel,
} from "../model/model.js";
import { trainingBatchOptions } from "../model/network.js";
import { LAST_CLICKS, type TrainingRecord } from "../model/training_record.js";
import type { TensorData } from "../ops/op.js";
import { CheckpointWriter, openCheckpoint, type TakenCheckpoint, type TrainedBy } from "./checkpoint.js";
import { DEFAULT_PATIENCE, EarlyStopping, type EarlyStoppingState } from "./early_stopping.js";
import { type Evaluation, evaluateClicks } from "./evaluate.js";
import type { StartRecord } from "./history.js";
import { type TrainedEpoch, TrainingLoop, type TrainingPosition, type TrainingState } from "./loop.js";
import { rankingOf } from "./metrics.js";
import type { TrainingProfile } from "./profile.js";
import { StartingModel } from "./starting_model.js";
import { describeFirstNotFinite } from "./trace_step.js";
import { openTrainingData, type TrainingData } from "./training_data.js";
import { TrainingNetwork, type TrainingTensor } from "./training_network.js";
import { checkValidation, criterionOf, LAST_CLICKS_ID, NO_VALIDATION, type Validation } from "./validation.js";

/** Options of `TrainingSession.open`. The inherited log options apply to the logs of `validation` and `testLog`. */
export interface SessionOptions extends EngineOptions, ReportedLogOptions {
  /** Folder of the dataset to train on. */
  readonly dataset: string;
  /**
   * Folder of a model from which training goes on. The vocabularies of the dataset must extend those of the model, as
   * those of a dataset that grew (`PrepareOptions.from`) do; then the clicks that were added last are trained on, and some
   * before them (`replay`). Values that the model does not know get new rows. The configuration is that of the model, but
   * with half of its learning rate and two epochs unless an update made the model; `config` and `set` can change what
   * does not change the network. Not together with `preset`.
   */
  readonly from?: string | undefined;
  /**
   * With `from`: number of earlier clicks that are trained on for each new click, the last ones of the same user (default
   * 1.5). They keep what the model knew from being forgotten. 0: only the new clicks are trained on.
   */
  readonly replay?: number | undefined;
  /**
   * Writes the state of the optimizer to the model folder (`state.safetensors`), so that a later training can go on
   * with it (default: whether the model `from` has one). It takes up to twice the space of the weights.
   */
  readonly keepState?: boolean | undefined;
  /** Name of the preset to start from (default "default"). */
  readonly preset?: string | undefined;
  /** Configuration keys that replace those of the preset. */
  readonly config?: Partial<ModelConfig> | undefined;
  /** Configuration keys as `key=value` strings, as on the command line. They replace those of `config`. */
  readonly set?: readonly string[] | undefined;
  /** Number of steps after which training ends (default: all steps of `config.epochs` epochs). */
  readonly steps?: number | undefined;
  /**
   * Seed of all random numbers (default 1). The same seed gives the same model, bit for bit, on any number of threads.
   */
  readonly seed?: number | undefined;
  /**
   * The clicks on which each epoch is evaluated, by NDCG@10: the last click of each user, held out from training, or
   * the last clicks in a log. Without validation, the last epoch counts as the best.
   */
  readonly validation?: Validation | undefined;
  /**
   * Number of epochs in a row without a better NDCG@10 after which training stops (default 2; 0 disables early
   * stopping). Needs `validation`. Early stopping does not change the learning-rate schedule.
   */
  readonly patience?: number | undefined;
  /**
   * Number of epochs over which the learning rate falls to its final value, which it keeps then (default: all of the
   * training).
   */
  readonly targetEpochs?: number | undefined;
  /**
   * A log, or the path of a click log, to evaluate the finished model on. The target is the last click of each user.
   */
  readonly testLog?: Log | undefined;
  /** Measures the time of every instruction (default false). */
  readonly profile?: boolean | undefined;
  /** Called once for each step. Steps run several at a time, so calls come in bursts. */
  readonly onProgress?: ((state: TrainingState) => void) | undefined;
}

export const SESSION_OPTIONS: Readonly<Record<keyof SessionOptions, true>> = {
  dataset: true,
  from: true,
  replay: true,
  keepState: true,
  preset: true,
  config: true,
  set: true,
  steps: true,
  seed: true,
  validation: true,
  patience: true,
  targetEpochs: true,
  testLog: true,
  profile: true,
  onProgress: true,
  ...ENGINE_OPTIONS,
  ...LOG_OPTIONS,
};

/** Result of comparing an epoch with those before it. */
export interface EpochEvaluation {
  /** The evaluation on the validation clicks. Undefined without `validation`. */
  readonly validation?: Evaluation;
  /** Seconds that this evaluation took. */
  readonly evaluationSeconds?: number;
  /** Whether this epoch is better than all before it. Without `validation`, always true. */
  readonly best: boolean;
}

/**
 * Everything that a session of the same dataset, configuration and seed needs to continue where this one is. It is
 * plain data, except that each tensor is read from this session's store when its `read` is called.
 */
export interface SessionState {
  /** Id of the dataset, or its sizes if it has none. */
  readonly dataset: string;
  /** What the epochs are evaluated on: "none", "last-clicks", or a hash of the clicks of a log. */
  readonly validation: string;
  /** Number of epochs in a row without a better result after which training stops. */
  readonly patience: number;
  /** Id of the model from which the whole training goes on; empty if it began with random weights. */
  readonly from: string;
  /** The option `replay`; 0 if the training did not go on from a model. */
  readonly replay: number;
  /** Whether models are saved with the state of the optimizer. */
  readonly keepState: boolean;
  /** The configuration, with every key set and "auto" resolved. */
  readonly config: CatalogueConfig;
  /** Seed of all random numbers. */
  readonly seed: number;
  /** Number of steps of the whole training, on which the learning-rate schedule depends. */
  readonly steps: number;
  /** The option `targetEpochs`. */
  readonly targetEpochs?: number | undefined;
  /** How far training has come. */
  readonly position: TrainingPosition;
  /** What early stopping remembers of the epochs so far. */
  readonly earlyStopping: EarlyStoppingState;
  /** The training record that a model saved now would contain. */
  readonly record: TrainingRecord;
  /** The training record of the model of the best epoch. */
  readonly bestRecord: TrainingRecord;
  /** All tensors that the training Program keeps between steps. */
  readonly tensors: readonly TrainingTensor[];
}

/**
 * A training that can be run in parts. The session owns the weights, the optimizer state, the position, the
 * configuration, and a model over the same weights. `train` runs a session epoch by epoch. Wait for each call's promise
 * before the next call. After `run` or `restore` has failed, the session can only be closed.
 */
export class TrainingSession {
  /** The configuration, with every key set and "auto" resolved. */
  readonly config: CatalogueConfig;
  /** Seed of all random numbers. */
  readonly seed: number;
  /** Number of steps of the whole training. */
  readonly steps: number;
  /** The engine that runs the training and the model. */
  readonly engine: Engine;
  readonly #data: TrainingData;
  readonly #signal: AbortSignal | undefined;
  readonly #network: TrainingNetwork;
  readonly #loop: TrainingLoop;
  readonly #earlyStopping: EarlyStopping;
  readonly #patience: number;
  readonly #targetEpochs: number | undefined;
  readonly #from: string;
  readonly #replay: number;
  /**
   * The model from which the training goes on, as reports show it.
   *
   * @internal
   */
  readonly startRecord: StartRecord | undefined;
  readonly #checkpoints: CheckpointWriter;
  #record: TrainingRecord;
  #bestRecord: TrainingRecord = {};
  readonly #keepsState: boolean;
  /** Numbers of steps and epochs of the trainings from which this one goes on. */
  readonly #before: Pick<KeptState, "step" | "epoch">;
  /** Where the state of the optimizer is that of an earlier epoch than the last one. */
  #returnedTo: Pick<KeptState, "step" | "epoch"> | undefined;
  /** Number of the step after which the model was last brought up to date with the weights; −1 for none. */
  #modelStep = -1;
  /**
   * Completes "The session …" in the error of a call: why the session cannot be used at all (`#unusable`), or cannot be
   * trained further (`#ended`). Undefined if it can.
   */
  #unusable: string | undefined;
  #ended: string | undefined;

  private constructor(
    engine: Engine,
    data: TrainingData,
    config: CatalogueConfig,
    options: SessionOptions,
    start: StartingModel | undefined,
  ) {
    const { preset = "default", seed = 1, profile = false, signal, onProgress } = options;
    this.#before = { step: start?.step ?? 0, epoch: start?.epoch ?? 0 };
    this.#keepsState = options.keepState ?? start?.hasState ?? false;
    this.config = config;
    this.seed = seed;
    this.engine = engine;
    this.#data = data;
    this.#signal = signal;
    this.#from = start?.id ?? "";
    this.#replay = start ? (options.replay ?? REPLAY) : 0;
    this.startRecord = start && { ...start.describe(), replay: this.#replay };
    this.#patience = options.patience ?? DEFAULT_PATIENCE;
    this.#targetEpochs = options.targetEpochs;
    this.#earlyStopping = new EarlyStopping(this.#patience);
    const { id } = data.dataset;
    this.#record = {
      ...(data.heldOut && { heldOut: LAST_CLICKS }),
      ...(start?.record ?? { preset }),
      ...(id !== undefined && { dataset: id }),
      seed,
    };
    this.#network = new TrainingNetwork(engine, data, config, { seed, profile });
    const batchOptions = trainingBatchOptions(config, data.dataset.schema);
    const batches = engine.createTrainingBatches({ clicks: data.clicks, seed, ...batchOptions });
    const { batchesPerEpoch } = batches;
    const steps = Math.min(options.steps ?? Number.POSITIVE_INFINITY, config.epochs * batchesPerEpoch);
    this.steps = steps;
    const fallSteps = options.targetEpochs === undefined ? steps : options.targetEpochs * batchesPerEpoch;
    const loopOptions = { config, seed, steps, fallSteps, before: this.#before, profile, signal, onProgress };
    this.#loop = new TrainingLoop(this.#network.executor, batches, loopOptions);
    this.#checkpoints = new CheckpointWriter(engine, this.#network.tensors);
  }

  /**
   * Opens the dataset and creates a network with its initial weights. Throws ERR_OPTION, ERR_CONFIG or ERR_DATASET if
   * an option, the configuration or the dataset does not fit, and ERR_FILE or ERR_LOG if a log to evaluate on cannot be
   * used.
   */
  static async open(options: SessionOptions): Promise<TrainingSession> {
    checkSessionOptions(options);
    const { from, validation, testLog, signal } = options;
    signal?.throwIfAborted();
    const chosen = resolveConfig(options.preset ?? "default", options.config, options.set);
    const dataset = await openDataset(options.dataset, { signal });
    const start = from === undefined ? undefined : await StartingModel.open(from, dataset, options);
    const config = start?.config ?? forCatalogue(chosen, itemVocabulary(withoutNewItems(dataset)).size);
    const replay = start && (options.replay ?? REPLAY);
    const data = await openTrainingData(dataset, config, { ...logOptionsOf(options), validation, testLog, replay });
    const engine = createEngine(engineOptionsOf(options));
    let session: TrainingSession | undefined;
    try {
      session = new TrainingSession(engine, data, config, options, start);
      if (start) await session.#network.start(start, signal);
      return session;
    } catch (error) {
      if (session) session.close();
      else engine.close();
      throw error;
    }
  }

  /**
   * A model over the session's weights. It shows the state at the end of the last finished epoch, and is closed
   * together with the session.
   */
  get model(): Model {
    return this.#network.model;
  }

  /** @internal The dataset with all its clicks and items. */
  get dataset(): Dataset {
    return this.#data.dataset;
  }

  /** How far training has come. */
  get position(): TrainingPosition {
    return this.#loop.position;
  }

  /** Whether training is finished: all steps are run, or early stopping ended it. */
  get done(): boolean {
    return this.#loop.done || this.#earlyStopping.isOver;
  }

  /**
   * Whether training failed because the loss of the step after the position is not finite.
   *
   * @internal
   */
  get hasDiverged(): boolean {
    return this.#loop.hasDiverged;
  }

  /** The time profile of the steps so far. Undefined without the option `profile`. */
  get profile(): TrainingProfile | undefined {
    return this.#loop.profile;
  }

  /**
   * Trains to the end of the current epoch, or for `steps` steps if the epoch has more left. The result describes the
   * current epoch from its first step. Throws ERR_DIVERGED if a loss, or at the end of the epoch a weight, is not
   * finite, and ERR_OPTION if no step is left.
   */
  async run(options: { readonly steps?: number | undefined } = {}): Promise<TrainedEpoch> {
    checkOptions("TrainingSession.run", options, { steps: true });
    const { steps } = options;
    if (steps !== undefined) checkWholeNumber("steps", steps, 1);
    return this.runUntil(undefined, steps);
  }

  /**
   * `run` that ends after the first call of the engine after which `isDue` returns true. The signal does not stop it then.
   *
   * @internal
   */
  async runUntil(isDue: (() => boolean) | undefined, steps?: number): Promise<TrainedEpoch> {
    this.#checkTrainable();
    if (this.#loop.done) {
      throw new ShortlistError("ERR_OPTION", `Expected steps to be left but all ${this.steps} were run`);
    }
    return this.#exclusively("failed in run", async () => {
      const trained = await this.#loop.run(steps, isDue);
      const { epoch, part, step, samples, loss } = trained;
      const { validation: _, ...record } = this.#record;
      this.#record = { ...record, epochs: epoch - 1 + part, steps: step, samples, loss };
      if (this.isBetweenEpochs) {
        await this.#network.bringUpToDate(this.#before.step + step);
        this.#modelStep = step;
      }
      return trained;
    });
  }

  /**
   * Whether all weights and numbers of the optimizer are finite.
   *
   * @internal
   */
  get isFinite(): boolean {
    const { tensors, model } = this.#network;
    return describeNotFinite(model.store, tensors) === undefined;
  }

  /**
   * Runs the next step, and describes the first number in it that is not finite; see `describeFirstNotFinite`. The session
   * can only be closed afterwards.
   *
   * @internal
   */
  async traceStep(): Promise<string | undefined> {
    this.#checkTrainable();
    this.#unusable = "has run a step to trace it";
    const { executor, model } = this.#network;
    const { engine } = this;
    const { step } = this.position;
    return describeFirstNotFinite({
      step: step + 1,
      engine,
      program: executor.program,
      store: model.store,
      ...this.#loop.nextStep,
    });
  }

  /**
   * Compares the epoch that has just ended with those before it: by NDCG@10 on the validation clicks or, without
   * validation, as better than all before. Call it once for each epoch, since early stopping counts the calls. Throws
   * ERR_OPTION in the middle of an epoch.
   */
  async evaluateEpoch(): Promise<EpochEvaluation> {
    if (!this.isBetweenEpochs) throw new ShortlistError("ERR_OPTION", "Expected an epoch to have ended but it has not");
    const started = performance.now();
    const validation = this.#data.validation && (await this.evaluate("validation"));
    const evaluationSeconds = (performance.now() - started) / 1000;
    const best = this.#earlyStopping.addEpoch(validation ? criterionOf(validation) : this.position.step);
    if (validation) this.#record = { ...this.#record, validation: rankingOf(validation) };
    if (best) this.#bestRecord = this.#record;
    return { ...(validation && { validation, evaluationSeconds }), best };
  }

  /**
   * Evaluates the current model on the clicks of the option `validation` or `testLog`. The evaluation on the test log
   * includes the baseline of item-to-item transitions, and the new items of the dataset, which `train` adds to the
   * finished model. Does not affect later steps. Throws ERR_OPTION if the session was opened without that option.
   */
  async evaluate(on: "validation" | "test"): Promise<Evaluation> {
    checkChoice("on", on, ["validation", "test"]);
    const set = this.#data[on];
    if (!set) {
      const option = on === "test" ? "testLog" : on;
      throw new ShortlistError("ERR_OPTION", `Expected a session that was opened with ${option} but it was not`);
    }
    const signal = this.#signal;
    if (on === "validation") return this.#withModel(() => evaluateClicks(this.model, set, { signal }));
    const trainingClicks = this.#data.clicks;
    return this.#withCompleteModel((model) => evaluateClicks(model, set, { trainingClicks, signal }), signal);
  }

  /**
   * Writes the current model to a folder, as `saveModel` does. Does not affect later steps. Throws ERR_DIVERGED if a
   * weight is not finite, and ERR_BUSY if another process is writing that folder.
   */
  async save(folder: string): Promise<void> {
    checkPath("folder", folder);
    await withModelFolder(folder, (target) => this.write(target));
  }

  /**
   * `save` for callers inside `withModelFolder`, which have already locked the folder.
   *
   * @internal
   */
  async write(folder: string): Promise<void> {
    const [state, signal] = [this.#keptState, this.#signal];
    await this.#withModel(() => writeModel(this.#recordedModel, folder, { state, signal }));
  }

  /**
   * Writes a model that also has the new items of the dataset, as `extendModel` adds them, in place of everything in
   * the folder. Nothing stops it, since a training that is complete cannot be continued any more.
   *
   * @internal
   */
  async writeComplete(folder: string, addMembers: (folder: string) => Promise<void>): Promise<void> {
    const options = { keep: [], state: this.#keptState, addMembers };
    await this.#withCompleteModel((model) => writeModel(model, folder, options), undefined);
  }

  /**
   * Returns everything that another session of the same dataset, configuration and seed needs to continue from here.
   */
  state(): SessionState {
    this.#checkTrainable();
    return {
      dataset: this.#data.datasetId,
      validation: this.#data.validationId,
      patience: this.#patience,
      from: this.#from,
      replay: this.#replay,
      keepState: this.#keepsState,
      config: this.config,
      seed: this.seed,
      steps: this.steps,
      targetEpochs: this.#targetEpochs,
      position: this.position,
      earlyStopping: this.#earlyStopping.state,
      record: this.#record,
      bestRecord: this.#bestRecord,
      tensors: this.#network.tensors,
    };
  }

  /**
   * Writes `state()` to a file, a checkpoint, from which a session of another process can continue bit for bit. The file
   * appears only when it is complete. Does not affect later steps.
   */
  async saveCheckpoint(path: string): Promise<void> {
    checkPath("path", path);
    const { write } = this.takeCheckpoint();
    await this.#exclusively(undefined, () => write(path));
  }

  /**
   * What trains this session, as checkpoints record it.
   *
   * @internal
   */
  get trainedBy(): TrainedBy {
    return this.#checkpoints.trainedBy;
  }

  /**
   * Copies the state for a checkpoint, in which `progress` is kept beside it. The checkpoint before has to be written.
   *
   * @internal
   */
  takeCheckpoint(progress?: unknown): TakenCheckpoint {
    return this.#checkpoints.take(this.state(), progress);
  }

  /**
   * Continues from a file that `saveCheckpoint` wrote, or `train` on the way. Throws ERR_CHECKPOINT if it is damaged, and
   * the errors of `restore`.
   */
  async restoreCheckpoint(path: string): Promise<void> {
    checkPath("path", path);
    const checkpoint = await openCheckpoint(path);
    try {
      await this.restore(checkpoint.state);
    } finally {
      checkpoint.close();
    }
  }

  /**
   * Continues where another session is, by copying its tensors and its position. Throws ERR_OPTION, with the
   * differences, if that session has another dataset, configuration, seed, number of steps or way of validation.
   */
  async restore(state: SessionState): Promise<void> {
    checkSame(this.state(), state);
    await this.#exclusively("failed in restore", async () => {
      this.#loop.restore(state.position);
      this.#network.write(state.tensors);
      this.#earlyStopping.restore(state.earlyStopping);
      this.#record = state.record;
      this.#bestRecord = state.bestRecord;
      this.#modelStep = -1;
    });
  }

  /**
   * Restores the weights of the best epoch from `folder`, where `save` wrote its model, so that they can be saved or
   * evaluated. Training cannot continue afterwards, since the optimizer state is that of the last epoch.
   */
  async returnToBest(folder: string): Promise<void> {
    await this.readBest(folder, this.#signal);
  }

  /**
   * `returnToBest` that is stopped by another signal, or by none.
   *
   * @internal
   */
  async readBest(folder: string, signal?: AbortSignal): Promise<void> {
    this.#ended = "has the weights of an earlier epoch, from which training cannot go on";
    await this.#exclusively("failed in returnToBest", async () => {
      await restoreWeights(this.model, folder, signal);
      if (!this.#keepsState) return;
      const { state } = await readTrainedModel(folder, signal);
      for (const { name } of this.#network.stateTensors)
        this.model.store.write(name, state!.tensors.get(name)!.data as Float32Array);
      this.#returnedTo = state;
    });
    this.#record = this.#bestRecord;
    this.#modelStep = this.position.step;
  }

  /** Frees the weights, the executors and the engine. Every later call throws ERR_EXECUTOR. */
  close(): void {
    this.#unusable = "is closed";
    this.#network.close();
    this.engine.close();
  }

  /** The state of the optimizer, if it is kept. */
  get #keptState(): KeptState | undefined {
    if (!this.#keepsState) return undefined;
    const { step, epoch, batch } = this.position;
    const now = { step: this.#before.step + step, epoch: this.#before.epoch + epoch - (batch === 0 ? 1 : 0) };
    const { step: reached, epoch: begun } = this.#returnedTo ?? now;
    return { step: reached, epoch: begun, tensors: this.#network.stateTensors };
  }

  /**
   * Whether the last step that was run ended an epoch or the training.
   *
   * @internal
   */
  get isBetweenEpochs(): boolean {
    const { step, batch } = this.position;
    return step > 0 && (batch === 0 || this.#loop.done);
  }

  #checkUsable(): void {
    if (this.#unusable) throw new ShortlistError("ERR_EXECUTOR", `The session ${this.#unusable}`);
  }

  #checkTrainable(): void {
    this.#checkUsable();
    if (this.#ended) throw new ShortlistError("ERR_EXECUTOR", `The session ${this.#ended}`);
  }

  /** The model with the training record of the current weights. */
  get #recordedModel(): Model {
    const { description, program, engine, store } = this.model;
    return new Model({ ...description, training: this.#record }, program, engine, store);
  }

  /** `#withModel` with a model that has all items of the dataset, those without clicks too. */
  #withCompleteModel<T>(work: (model: Model) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const { dataset } = this.#data;
    return this.#withModel(async () => {
      if (dataset.newItems === 0) return work(this.#recordedModel);
      const complete = await extendByNewItems(this.#recordedModel, dataset, signal);
      try {
        return await work(complete);
      } finally {
        complete.close();
      }
    });
  }

  /** Runs `work` with the model brought up to date with the last step. */
  #withModel<T>(work: () => Promise<T>): Promise<T> {
    const { step } = this.position;
    return this.#exclusively(undefined, () =>
      this.#modelStep === step ? work() : this.#network.whileUpToDate(this.#before.step + step, work),
    );
  }

  /**
   * Runs `work` and refuses every other call meanwhile. If `work` fails and `failure` is given, the session cannot be
   * used afterwards, and `failure` completes "The session …" in the error of later calls.
   */
  async #exclusively<T>(failure: string | undefined, work: () => Promise<T>): Promise<T> {
    this.#checkUsable();
    this.#unusable = "is busy: wait for the promise of the earlier call";
    let after = failure;
    try {
      const result = await work();
      after = undefined;
      return result;
    } finally {
      if (this.#unusable !== "is closed") this.#unusable = after;
    }
  }
}

/** Those of these options that are options of a session. */
export function sessionOptionsOf(options: SessionOptions): SessionOptions {
  const own = Object.entries(options).filter(([name]) => Object.hasOwn(SESSION_OPTIONS, name));
  return Object.fromEntries(own) as unknown as SessionOptions;
}

/** Number of earlier clicks that an update trains on for each new one (docs/updating.md). */
const REPLAY = 1.5;

function checkSessionOptions(options: SessionOptions): void {
  checkOptions("TrainingSession.open", options, SESSION_OPTIONS);
  const { dataset, from, replay, keepState, preset, testLog, validation, patience, targetEpochs, steps } = options;
  checkPath("dataset", dataset);
  if (from !== undefined) checkPath("from", from);
  if (from !== undefined && preset !== undefined) {
    throw new ShortlistError("ERR_OPTION", "Expected no preset beside from, whose model has the configuration");
  }
  if (replay !== undefined) checkReplay(options);
  if (keepState !== undefined && typeof keepState !== "boolean") {
    throw new ShortlistError("ERR_OPTION", `Expected keepState to be true or false but received ${keepState}`);
  }
  if (testLog !== undefined) checkLog("testLog", testLog);
  if (validation !== undefined) checkValidation(validation);
  if (steps !== undefined) checkWholeNumber("steps", steps, 1);
  if (targetEpochs !== undefined) checkWholeNumber("targetEpochs", targetEpochs, 1);
  if (patience === undefined) return;
  if (validation === undefined) {
    throw new ShortlistError(
      "ERR_OPTION",
      "Expected validation beside patience: without it no epoch is better than another",
    );
  }
  checkWholeNumber("patience", patience, 0);
}

function checkReplay({ from, replay }: SessionOptions): void {
  if (from === undefined) {
    throw new ShortlistError("ERR_OPTION", "Expected from, the model that goes on, beside replay");
  }
  if (typeof replay === "number" && replay >= 0 && replay < Number.POSITIVE_INFINITY) return;
  throw new ShortlistError("ERR_OPTION", `Expected replay to be a number from 0 but received ${describeValue(replay)}`);
}

/** Throws ERR_OPTION unless a session with the state `own` can continue from the state `other`. */
function checkSame(own: SessionState, other: SessionState): void {
  const different = differences(own, other);
  if (different.length === 0) return;
  throw new ShortlistError("ERR_OPTION", `Expected the training that was begun but ${different.join(", ")}`);
}

/** In what the settings of two sessions differ, in words. */
function differences(own: SessionState, other: SessionState): string[] {
  const differ = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b);
  const described = (name: string, a: unknown, b: unknown) =>
    differ(a, b) ? [`${name} is ${JSON.stringify(a)} instead of ${JSON.stringify(b)}`] : [];
  const [config, before] = [own.config, other.config] as unknown as readonly Readonly<Record<string, unknown>>[];
  const keys = new Set([...Object.keys(config!), ...Object.keys(before!)]);
  const found = [
    ...(own.from === other.from ? [] : ["the model from which it goes on is another one"]),
    ...(own.dataset === other.dataset ? [] : ["the dataset is another one"]),
    ...(own.validation === other.validation ? [] : [validationDifference(own.validation, other.validation)]),
    ...[...keys].flatMap((key) => described(key, config![key], before![key])),
    ...described("seed", own.seed, other.seed),
    ...described("patience", own.patience, other.patience),
    ...described("replay", own.replay, other.replay),
    ...described("keepState", own.keepState, other.keepState),
    ...described("targetEpochs", own.targetEpochs, other.targetEpochs),
  ];
  if (found.length > 0) return found;
  // The others determine these, unless they are given.
  const steps = described("the number of steps", own.steps, other.steps);
  return steps.length > 0 ? steps : tensorDifferences(own.tensors, other.tensors);
}

function validationDifference(own: string, other: string): string {
  const isHash = (id: string) => id !== NO_VALIDATION && id !== LAST_CLICKS_ID;
  if (isHash(own) && isHash(other)) return "the clicks of the validation log are others";
  const name = (id: string) => (isHash(id) ? "a log" : id);
  return `validation is ${name(own)} instead of ${name(other)}`;
}

/**
 * Constants are computed from the dataset and the configuration. A checkpoint lacks them; in the state of a session, a
 * difference shows that the datasets differ.
 */
function tensorDifferences(own: readonly TrainingTensor[], other: readonly TrainingTensor[]): string[] {
  const others = new Map(other.map((tensor) => [tensor.name, tensor]));
  const differs = own.find((tensor) => {
    const found = others.get(tensor.name);
    if (!found) return tensor.role !== "constant";
    if (found.dtype !== tensor.dtype || found.shape.join() !== tensor.shape.join()) return true;
    return tensor.role === "constant" && !sameValues(tensor.read(), found.read());
  });
  return differs ? [`"${differs.name}" differs`] : [];
}

function sameValues(a: TensorData, b: TensorData): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}
