import { itemVocabulary } from "../data/clicks.js";
import { openDataset } from "../data/dataset.js";
import { checkLog, type Log } from "../data/sources/log.js";
import { LOG_OPTIONS, logOptionsOf, type ReportedLogOptions } from "../data/sources/read_log.js";
import { checkChoice, checkOptions, checkPath, checkWholeNumber, ShortlistError } from "../errors.js";
import { createEngine, ENGINE_OPTIONS, type Engine, type EngineOptions, engineOptionsOf } from "../executors/index.js";
import { type CatalogueConfig, forCatalogue, type ModelConfig, resolveConfig } from "../model/config.js";
import { Model, restoreWeights, withModelFolder, writeModel } from "../model/model.js";
import { trainingBatchOptions } from "../model/network.js";
import { LAST_CLICKS, type TrainingRecord } from "../model/training_record.js";
import type { TensorData } from "../ops/op.js";
import { EarlyStopping, type EarlyStoppingState } from "./early_stopping.js";
import { type Evaluation, evaluateClicks } from "./evaluate.js";
import { type TrainedPass, TrainingLoop, type TrainingPosition, type TrainingState } from "./loop.js";
import { rankingOf } from "./metrics.js";
import type { TrainingProfile } from "./profile.js";
import { openTrainingData, type TrainingData } from "./training_data.js";
import { TrainingNetwork, type TrainingTensor } from "./training_network.js";
import { checkValidation, criterionOf, type Validation } from "./validation.js";

/** The options of a log are those of `validation` and `testLog`. */
export interface SessionOptions extends EngineOptions, ReportedLogOptions {
  /** Dataset folder. */
  readonly dataset: string;
  /** "default" unless given. */
  readonly preset?: string | undefined;
  /** Configuration keys that differ from the preset's. */
  readonly config?: Partial<ModelConfig> | undefined;
  /** The same as `key=value` texts; they win. */
  readonly set?: readonly string[] | undefined;
  /** Stop after this many steps. */
  readonly steps?: number | undefined;
  /** 1 unless given. The same seed gives the same model, bit for bit, on any number of threads. */
  readonly seed?: number | undefined;
  /**
   * What passes are compared by, with NDCG@10: each user's last click, which is held out from training, or the last
   * clicks of a log. Without it, the last pass counts as the best.
   */
  readonly validation?: Validation | undefined;
  /**
   * Stop after so many passes without a better NDCG@10 (default 2; 0: never). Needs `validation`. Early stopping does
   * not change the learning-rate schedule, which covers all passes of the configuration.
   */
  readonly patience?: number | undefined;
  /** Log, or path of a click log, to evaluate the finished model on: the last click of each user is the target. */
  readonly testLog?: Log | undefined;
  /** Time every instruction (default false). */
  readonly profile?: boolean | undefined;
  /** Called for every step, some steps at a time. */
  readonly onProgress?: ((state: TrainingState) => void) | undefined;
}

export const SESSION_OPTIONS: Readonly<Record<keyof SessionOptions, true>> = {
  dataset: true,
  preset: true,
  config: true,
  set: true,
  steps: true,
  seed: true,
  validation: true,
  patience: true,
  testLog: true,
  profile: true,
  onProgress: true,
  ...ENGINE_OPTIONS,
  ...LOG_OPTIONS,
};

/** How a pass compares with those before it. */
export interface PassJudgement {
  /** The evaluation on the validation clicks, where `validation` is given. */
  readonly validation?: Evaluation;
  /** The seconds that this evaluation took. */
  readonly evaluationSeconds?: number;
  /** Whether no pass before was as good; without `validation` the last one is. */
  readonly best: boolean;
}

/**
 * All that a session of the same dataset, configuration and seed needs to go on where another one is: plain data, and
 * the tensors, which are read from the session's store when they are asked for.
 */
export interface SessionState {
  /** The whole configuration. */
  readonly config: CatalogueConfig;
  /** The seed of everything random. */
  readonly seed: number;
  /** Steps of the whole training: the learning rate depends on them. */
  readonly steps: number;
  /** How far training is. */
  readonly position: TrainingPosition;
  /** What early stopping knows of the passes so far. */
  readonly earlyStopping: EarlyStoppingState;
  /** What a model that is saved now says of its training. */
  readonly record: TrainingRecord;
  /** What the model of the best pass says of its training. */
  readonly bestRecord: TrainingRecord;
  /** Every tensor that the training Program keeps between steps. */
  readonly tensors: readonly TrainingTensor[];
}

/**
 * Training, one part after another: it owns the weights, the optimizer's state, the position, the configuration and the
 * model over the same weights. `train` is a session that is run pass by pass. One call at a time; once `run` or
 * `restore` has failed, the session can only be closed.
 */
export class TrainingSession {
  /** The whole configuration. */
  readonly config: CatalogueConfig;
  /** The seed of everything random. */
  readonly seed: number;
  /** Steps of the whole training. */
  readonly steps: number;
  /** Where it trains. */
  readonly engine: Engine;
  readonly #data: TrainingData;
  readonly #signal: AbortSignal | undefined;
  readonly #network: TrainingNetwork;
  readonly #loop: TrainingLoop;
  readonly #earlyStopping: EarlyStopping;
  #record: TrainingRecord;
  #bestRecord: TrainingRecord = {};
  /** The step whose weights the model shows. */
  #modelStep = -1;
  /** Why the session cannot be used, or cannot be trained any further, if that is so. */
  #unusable: string | undefined;
  #ended: string | undefined;

  private constructor(engine: Engine, data: TrainingData, config: CatalogueConfig, options: SessionOptions) {
    const { preset = "default", seed = 1, profile = false, signal, onProgress } = options;
    this.config = config;
    this.seed = seed;
    this.engine = engine;
    this.#data = data;
    this.#signal = signal;
    this.#earlyStopping = new EarlyStopping(options.patience);
    this.#record = { ...(data.heldOut && { heldOut: LAST_CLICKS }), preset, seed };
    this.#network = new TrainingNetwork(engine, data, config, { seed, profile });
    const batches = engine.createTrainingBatches({ clicks: data.clicks, seed, ...trainingBatchOptions(config) });
    this.steps = Math.min(options.steps ?? Number.POSITIVE_INFINITY, config.passes * batches.batchesPerPass);
    const loopOptions = { config, seed, steps: this.steps, profile, signal, onProgress };
    this.#loop = new TrainingLoop(this.#network.executor, batches, loopOptions);
  }

  /**
   * Opens the dataset and makes a network with its start values. ERR_OPTION, ERR_CONFIG and ERR_DATASET say what does
   * not fit; ERR_FILE and ERR_LOG what is wrong with the logs to evaluate on.
   */
  static async open(options: SessionOptions): Promise<TrainingSession> {
    checkSessionOptions(options);
    options.signal?.throwIfAborted();
    const chosen = resolveConfig(options.preset ?? "default", options.config, options.set);
    const dataset = await openDataset(options.dataset, { signal: options.signal });
    const config = forCatalogue(chosen, itemVocabulary(dataset).size);
    const { validation, testLog } = options;
    const data = await openTrainingData(dataset, config, { ...logOptionsOf(options), validation, testLog });
    const engine = createEngine(engineOptionsOf(options));
    try {
      return new TrainingSession(engine, data, config, options);
    } catch (error) {
      engine.close();
      throw error;
    }
  }

  /** The model over the session's weights. It shows the last pass that has ended, and is closed with the session. */
  get model(): Model {
    return this.#network.model;
  }

  /** How far training is. */
  get position(): TrainingPosition {
    return this.#loop.position;
  }

  /** Whether all steps were run, or patience is over. */
  get done(): boolean {
    return this.#loop.done || this.#earlyStopping.isOver;
  }

  /** Where the time of the steps so far went; undefined unless `profile` was asked for. */
  get profile(): TrainingProfile | undefined {
    return this.#loop.profile;
  }

  /**
   * Trains to the end of the pass, or for `steps` steps where these end earlier. Resolves to what the pass did so far.
   * ERR_DIVERGED where a loss or, after the pass, a weight is not finite; ERR_OPTION where no step is left.
   */
  async run(options: { readonly steps?: number | undefined } = {}): Promise<TrainedPass> {
    checkOptions("TrainingSession.run", options, { steps: true });
    const { steps } = options;
    if (steps !== undefined) checkWholeNumber("steps", steps, 1);
    this.#checkTrainable();
    if (this.#loop.done) {
      throw new ShortlistError("ERR_OPTION", `Expected steps to be left but all ${this.steps} were run`);
    }
    return this.#exclusively("failed in run", async () => {
      const trained = await this.#loop.run(steps);
      const { pass, part, step, samples, loss } = trained;
      const { validation: _, ...record } = this.#record;
      this.#record = { ...record, passes: pass - 1 + part, steps: step, samples, loss };
      if (this.#isBetweenPasses) {
        await this.#network.bringUpToDate(step);
        this.#modelStep = step;
      }
      return trained;
    });
  }

  /**
   * Compares the pass that has just ended with those before it: by NDCG@10 on the validation clicks, or, without
   * validation, as better than all before. Early stopping counts it. ERR_OPTION inside a pass.
   */
  async judge(): Promise<PassJudgement> {
    if (!this.#isBetweenPasses) throw new ShortlistError("ERR_OPTION", "Expected a pass to have ended but it has not");
    const started = performance.now();
    const validation = this.#data.validation && (await this.evaluate("validation"));
    const evaluationSeconds = (performance.now() - started) / 1000;
    const best = this.#earlyStopping.judge(validation ? criterionOf(validation) : this.position.step);
    if (validation) this.#record = { ...this.#record, validation: rankingOf(validation) };
    if (best) this.#bestRecord = this.#record;
    return { ...(validation && { validation, evaluationSeconds }), best };
  }

  /**
   * Evaluates the model as it is now on the clicks that `validation` or `testLog` named; the latter beside the baseline
   * of counted transitions. ERR_OPTION where the session was opened without them. Later steps are what they are without
   * it.
   */
  async evaluate(on: "validation" | "test"): Promise<Evaluation> {
    checkChoice("on", on, ["validation", "test"]);
    const set = this.#data[on];
    if (!set) {
      const option = on === "test" ? "testLog" : on;
      throw new ShortlistError("ERR_OPTION", `Expected a session that was opened with ${option} but it was not`);
    }
    const trainingClicks = on === "test" ? this.#data.clicks : undefined;
    return this.#withModel(() => evaluateClicks(this.model, set, { trainingClicks, signal: this.#signal }));
  }

  /**
   * Writes the model as it is now, as `saveModel` does. Later steps are what they are without it. ERR_DIVERGED where a
   * weight is not finite, ERR_BUSY where somebody else is writing that folder.
   */
  async save(folder: string): Promise<void> {
    checkPath("folder", folder);
    await withModelFolder(folder, (target) => this.write(target));
  }

  /**
   * `save` for who is in `withModelFolder`. The members of the folder that `keep` names stay in it.
   *
   * @internal
   */
  async write(folder: string, keep: readonly string[] = []): Promise<void> {
    const { description, program, engine, store } = this.model;
    const model = new Model({ ...description, training: this.#record }, program, engine, store);
    await this.#withModel(() => writeModel(model, folder, keep, this.#signal));
  }

  /** All that another session of the same dataset, configuration and seed needs to go on from here. */
  state(): SessionState {
    this.#checkTrainable();
    return {
      config: this.config,
      seed: this.seed,
      steps: this.steps,
      position: this.position,
      earlyStopping: this.#earlyStopping.state,
      record: this.#record,
      bestRecord: this.#bestRecord,
      tensors: this.#network.tensors,
    };
  }

  /**
   * Goes on where another session is: copies its tensors and its position. ERR_OPTION where that one has another
   * configuration, seed or number of steps, or another dataset, as far as its tensors show that.
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
   * Brings the model back to the best pass, whose model `save` wrote to `folder`, to be saved or evaluated. Training
   * cannot go on from there: the optimizer's state is that of the last pass.
   */
  async returnToBest(folder: string): Promise<void> {
    this.#ended = "has the weights of an earlier pass, from which training cannot go on";
    await this.#exclusively("failed in returnToBest", () => restoreWeights(this.model, folder, this.#signal));
    this.#record = this.#bestRecord;
    this.#modelStep = this.position.step;
  }

  /** Frees the weights, the executors and the engine. Whatever is asked of the session afterwards is ERR_EXECUTOR. */
  close(): void {
    this.#unusable = "is closed";
    this.#network.close();
    this.engine.close();
  }

  /** Whether the last step that was run is the last one of its pass, or of all. */
  get #isBetweenPasses(): boolean {
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

  /** `work` with the model as it is after the last step. */
  #withModel<T>(work: () => Promise<T>): Promise<T> {
    const { step } = this.position;
    return this.#exclusively(undefined, () =>
      this.#modelStep === step ? work() : this.#network.whileUpToDate(step, work),
    );
  }

  /**
   * `work` while nothing else is asked of the session, which cannot be used afterwards where `work` fails and `failure`
   * is given.
   */
  async #exclusively<T>(failure: string | undefined, work: () => Promise<T>): Promise<T> {
    this.#checkUsable();
    this.#unusable = "is at work: wait for its promise";
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

function checkSessionOptions(options: SessionOptions): void {
  checkOptions("TrainingSession.open", options, SESSION_OPTIONS);
  const { dataset, testLog, validation, patience, steps } = options;
  checkPath("dataset", dataset);
  if (testLog !== undefined) checkLog("testLog", testLog);
  if (validation !== undefined) checkValidation(validation);
  if (steps !== undefined) checkWholeNumber("steps", steps, 1);
  if (patience === undefined) return;
  if (validation === undefined) {
    throw new ShortlistError(
      "ERR_OPTION",
      "Expected validation beside patience: without it no pass is better than another",
    );
  }
  checkWholeNumber("patience", patience, 0);
}

/** Throws ERR_OPTION unless a session can go on where another one is. */
function checkSame(own: SessionState, other: SessionState): void {
  const settings = ({ config, seed, steps, tensors }: SessionState) =>
    JSON.stringify({ config, seed, steps, tensors: tensors.map(({ read: _, ...tensor }) => tensor) });
  const changed = settings(own) === settings(other) ? tensorThatDiffers(own.tensors, other.tensors) : "a setting";
  if (changed === undefined) return;
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected the state of a session of the same dataset, configuration, seed and steps but ${changed} differs`,
  );
}

/** The name of a constant that differs: constants follow from the dataset and the configuration. */
function tensorThatDiffers(own: readonly TrainingTensor[], other: readonly TrainingTensor[]): string | undefined {
  const differs = own.find(({ role, read }, i) => role === "constant" && !sameValues(read(), other[i]!.read()));
  return differs && `"${differs.name}"`;
}

function sameValues(a: TensorData, b: TensorData): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}
