import { join } from "node:path";
import { itemAttributes } from "../data/catalogue.js";
import { LOG_OPTIONS, type ReportedLogOptions } from "../data/click_log.js";
import {
  type Clicks,
  countsWithoutLastClicks,
  type Encoding,
  hasFollowingClick,
  itemVocabulary,
} from "../data/clicks.js";
import { type Dataset, openDataset } from "../data/dataset.js";
import { doubtOfSingleClicks } from "../data/doubts.js";
import { JsonLines } from "../data/json_lines.js";
import { noiseDistribution } from "../data/vocabulary.js";
import { checkOptions, checkPath, checkWholeNumber, ShortlistError } from "../errors.js";
import {
  createEngine,
  ENGINE_OPTIONS,
  type Engine,
  type EngineOptions,
  type Executor,
  engineOptionsOf,
  type TensorStore,
} from "../executors/index.js";
import type { Program } from "../graph/program.js";
import { type CatalogueConfig, forCatalogue, type ModelConfig, resolveConfig } from "../model/config.js";
import { describeNotFinite } from "../model/finite.js";
import { initializeStore } from "../model/initialize.js";
import { checkMemory } from "../model/memory.js";
import { METRICS, Model, passFolder, restoreWeights, withModelFolder, writeModel } from "../model/model.js";
import { trainingBatchOptions } from "../model/network.js";
import {
  type InitializedProgram,
  inferenceProgram,
  itemVectorsProgram,
  type Noise,
  settlingProgram,
  trainingProgram,
} from "../model/programs.js";
import { aliasTable } from "../random/alias_table.js";
import {
  type EvaluateClicksOptions,
  type Evaluation,
  type EvaluationSet,
  encodeTestLog,
  evaluateClicks,
  LAST_CLICKS,
} from "./evaluate.js";
import type { RankingMetrics } from "./metrics.js";
import type { TrainingProfile } from "./profile.js";
import { countTrainedTargets } from "./trained_targets.js";
import { diverged, type TrainedPass, TrainingLoop, type TrainingState } from "./training_loop.js";
import { criterionOf, DEFAULT_PATIENCE, openValidation, type Validation } from "./validation.js";

/** The options of a log are those of `validation` and `testLog`. */
export interface TrainOptions extends EngineOptions, ReportedLogOptions {
  /** Dataset folder. */
  readonly dataset: string;
  /** Model folder to write. */
  readonly output: string;
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
   * Evaluate after every pass, and keep the model of the pass with the best NDCG@10: on "last", each user's last click,
   * which is held out from training, or on the last clicks of this click log.
   */
  readonly validation?: string | undefined;
  /**
   * Stop after so many passes without a better NDCG@10 (default 2; 0: never). Needs `validation`. The learning rate falls
   * over all passes of the configuration, whether or not they are run.
   */
  readonly patience?: number | undefined;
  /** Click log to evaluate on afterwards: the last click of each line is the target. */
  readonly testLog?: string | undefined;
  /** Time every instruction (default false). */
  readonly profile?: boolean | undefined;
  /** Called for every step, some steps at a time. */
  readonly onProgress?: ((state: TrainingState) => void) | undefined;
  /** Called after every pass, one that `steps` cuts short included. */
  readonly onPass?: ((result: PassResult) => void) | undefined;
}

const TRAIN_OPTIONS: Readonly<Record<keyof TrainOptions, true>> = {
  dataset: true,
  output: true,
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
  onPass: true,
  ...ENGINE_OPTIONS,
  ...LOG_OPTIONS,
};

export interface PassResult extends TrainedPass {
  /** With `validation`. */
  readonly validation?: Evaluation;
  readonly evaluationSeconds?: number;
  /** Whether no pass before was as good; without `validation` the last one is. */
  readonly best: boolean;
}

export interface TrainReport {
  readonly samplesPerSecond: number;
  /** In the training loop. */
  readonly seconds: number;
  readonly samples: number;
  readonly steps: number;
  /** Passes that were run, the last one perhaps in part. */
  readonly passes: number;
  /** Of a sample, averaged over the last pass. */
  readonly loss: number;
  readonly threads: number;
  readonly isa: string;
  /** Of the best pass, whose model was kept. */
  readonly validation?: Evaluation & { readonly pass: number };
  /** On `testLog`. */
  readonly evaluation?: Evaluation;
  readonly profile?: TrainingProfile;
}

/**
 * Trains a model on a dataset and writes it, also after every pass (`pass-<n>` in its folder). `metrics.jsonl` there holds
 * a JSON object a pass: `pass`, `step`, `samples`, `seconds`, `learningRate`, `loss`, `samplesPerSecond` (`TrainedPass`), and
 * with `validation` `hitRate`, `ndcg`, `mrr`, `evaluationSeconds`.
 */
export async function train(options: TrainOptions): Promise<TrainReport> {
  checkOptions("train", options, TRAIN_OPTIONS);
  checkPath("dataset", options.dataset);
  checkPath("output", options.output);
  if (options.testLog !== undefined) checkPath("testLog", options.testLog);
  if (options.validation !== undefined) checkPath("validation", options.validation);
  options.signal?.throwIfAborted();
  const patience = patienceOf(options);
  if (options.steps !== undefined) checkWholeNumber("steps", options.steps, 1);
  const chosen = resolveConfig(options.preset ?? "default", options.config, options.set);
  const dataset = await openDataset(options.dataset);
  const config = forCatalogue(chosen, itemVocabulary(dataset).size);
  checkTimes(config, dataset);
  return withModelFolder(options.output, (output) => trainInto(output, { ...options, patience }, dataset, config));
}

async function trainInto(
  output: string,
  options: TrainOptions & { readonly patience: number },
  dataset: Dataset,
  config: CatalogueConfig,
): Promise<TrainReport> {
  const { seed = 1, signal } = options;
  const validation =
    options.validation === undefined ? undefined : await openValidation(options.validation, dataset, options);
  const test = options.testLog === undefined ? undefined : await encodeTestLog(options.testLog, dataset, options);

  const engine = createEngine(engineOptionsOf(options));
  const { trainingClicks: clicks, heldOut } = validation ?? { trainingClicks: dataset.clicks, heldOut: false };
  checkFollowing(dataset, clicks, heldOut, options.onWarning);
  const { testLog, validation: source, onWarning } = options;
  if (test) warnOfTrainedTargets(testLog!, test.clicks, clicks, onWarning);
  if (validation && !heldOut) {
    warnOfTrainedTargets(source!, validation.evaluationSet.clicks, clicks, onWarning);
  }
  let network: LearningNetwork | undefined;
  try {
    network = new LearningNetwork(engine, dataset, { trainingClicks: clicks, heldOut }, config, options);
    const batches = engine.createTrainingBatches({ clicks, seed, ...trainingBatchOptions(config) });
    const steps = Math.min(options.steps ?? Number.POSITIVE_INFINITY, config.passes * batches.batchesPerPass);
    const { profile, onProgress } = options;
    const loop = new TrainingLoop(network.executor, batches, { config, seed, steps, profile, signal, onProgress });
    const passes = await runPasses(loop, network, { ...options, output }, validation?.evaluationSet);

    const last = passes.at(-1)!;
    const kept = passes.findLast(({ best }) => best)!;
    const model = network.modelAfter(kept);
    if (kept !== last) await restoreWeights(model, join(output, passFolder(kept.pass)));
    await writeModel(model, output, [METRICS, ...passes.filter(isWhole).map(({ pass }) => passFolder(pass))]);
    const evaluation = test && (await network.evaluate(test, { trainingClicks: clicks, signal }));
    return {
      samplesPerSecond: last.samples / last.seconds,
      seconds: last.seconds,
      samples: last.samples,
      steps: last.step,
      passes: passes.length,
      loss: last.loss,
      threads: engine.threads,
      isa: engine.isa,
      ...(kept.validation && { validation: { pass: kept.pass, ...kept.validation } }),
      ...(evaluation && { evaluation }),
      ...(loop.profile && { profile: loop.profile }),
    };
  } finally {
    network?.close();
    engine.close();
  }
}

/** Runs, saves and judges passes until all steps are run or patience is over. */
async function runPasses(
  loop: TrainingLoop,
  network: LearningNetwork,
  {
    output,
    patience,
    signal,
    onPass,
  }: Pick<TrainOptions, "output" | "signal" | "onPass"> & { readonly patience: number },
  evaluationSet: EvaluationSet | undefined,
): Promise<PassResult[]> {
  const metrics = new JsonLines(join(output, METRICS));
  const passes: PassResult[] = [];
  let best = { pass: 0, criterion: Number.NEGATIVE_INFINITY };
  do {
    const trained = await loop.runPass();
    const { pass } = trained;
    await network.settle(trained.step);
    await network.composeItems();
    network.checkFinite(trained.step);
    if (isWhole(trained)) await writeModel(network.modelAfter(trained), join(output, passFolder(pass)));
    const started = performance.now();
    const validation = evaluationSet && (await network.evaluate(evaluationSet, { signal }));
    const evaluationSeconds = (performance.now() - started) / 1000;
    const criterion = validation ? criterionOf(validation) : pass;
    const isBest = criterion > best.criterion;
    if (isBest) best = { pass, criterion };
    const result = { ...trained, ...(validation && { validation, evaluationSeconds }), best: isBest };
    passes.push(result);
    await metrics.add(metricsOf(result));
    onPass?.(result);
  } while (!loop.done && passes.length - best.pass < patience);
  return passes;
}

/** The network learns what follows a history: a user with a single click tells it next to nothing. */
function checkFollowing({ folder }: Dataset, clicks: Clicks, heldOut: boolean, warn: TrainOptions["onWarning"]): void {
  if (!hasFollowingClick(clicks)) {
    throw new ShortlistError(
      "ERR_DATASET",
      `${folder}: There is nothing to learn from: no click on a known item follows another click of its user${heldOut ? ", those held out aside" : ""}. A line holds all clicks of a user, oldest first; where items are rare, lower --feature-appear-limit`,
    );
  }
  for (const doubt of doubtOfSingleClicks(clicks)) warn?.(`${folder}: ${doubt}`);
}

function warnOfTrainedTargets(log: string, test: Clicks, training: Clicks, warn: TrainOptions["onWarning"]): void {
  const trained = countTrainedTargets(test, training);
  if (trained === 0) return;
  warn?.(
    `${log}: ${trained} of ${test.users} targets are trained on, as the same user's clicks after the same clicks: what it measures is no test of the model. Prepare the dataset without them, or hold them out with validation "${LAST_CLICKS}"`,
  );
}

/** What learns from the age of examples needs clicks with times that differ. */
function checkTimes({ exampleAge }: ModelConfig, { folder, clicks: { times } }: Dataset): void {
  if (!exampleAge || (times && times.earliest < times.latest)) return;
  const problem = !times
    ? "its schema has none"
    : Number.isNaN(times.latest)
      ? "no click has a time"
      : "all clicks have the same time";
  throw new ShortlistError(
    "ERR_CONFIG",
    `"exampleAge" needs times of clicks that differ but ${folder} has none (${problem}). Give the clicks a field of kind "time", or set exampleAge=false`,
  );
}

function isWhole({ part }: TrainedPass): boolean {
  return part === 1;
}

/** A line of metrics.jsonl. */
function metricsOf({ validation, evaluationSeconds, best: _best, part: _part, ...trained }: PassResult) {
  return { ...trained, ...(validation && { ...rankingOf(validation), evaluationSeconds }) };
}

function rankingOf({ hitRate, ndcg, mrr }: RankingMetrics): RankingMetrics {
  return { hitRate, ndcg, mrr };
}

/** Passes without a better one after which training stops. */
function patienceOf({ validation, patience }: TrainOptions): number {
  if (patience !== undefined && validation === undefined) {
    throw new ShortlistError(
      "ERR_OPTION",
      "Expected validation beside patience: without it no pass is better than another",
    );
  }
  if (patience === undefined) return DEFAULT_PATIENCE;
  checkWholeNumber("patience", patience, 0);
  return patience === 0 ? Number.POSITIVE_INFINITY : patience;
}

/** The network while it learns: the weights, the Programs that change them, and the one that they are read by. */
class LearningNetwork {
  /** Of the training Program. */
  readonly executor: Executor;
  readonly #settling: Executor | undefined;
  readonly #composer: Executor | undefined;
  readonly #learningRate: number;
  readonly #preset: string;
  readonly #seed: number;
  readonly #model: Model;

  constructor(
    engine: Engine,
    { schema, vocabularies, numbers, maxLineBytes, clicks }: Dataset,
    { trainingClicks, heldOut }: Pick<Validation, "trainingClicks" | "heldOut">,
    config: CatalogueConfig,
    { preset = "default", seed = 1, profile = false }: Pick<TrainOptions, "preset" | "seed" | "profile">,
  ) {
    const encoding = { schema, vocabularies, numbers, maxLineBytes };
    const items = itemVocabulary(encoding).size;
    const store = engine.createStore();
    const catalogue = config.itemAttributes ? itemAttributes(trainingClicks, items) : [];
    const noise = noiseOf(encoding, config);
    const training = initialize(store, trainingProgram(config, encoding, noise, catalogue), seed);
    const inference = initialize(store, inferenceProgram(config, encoding), seed);
    const settling = settlingProgram(config, items);
    const composing = itemVectorsProgram(config, encoding, catalogue);
    this.executor = engine.createExecutor(training, store, { profile });
    this.#settling = settling && engine.createExecutor(settling, store);
    this.#composer = composing && engine.createExecutor(initialize(store, composing, seed), store);
    this.#learningRate = config.learningRate;
    this.#preset = preset;
    this.#seed = seed;
    const description = heldOut
      ? { ...withoutLastClicks(encoding, clicks), config, training: { heldOut: LAST_CLICKS } }
      : { ...encoding, config, training: {} };
    this.#model = new Model(description, inference, engine, store);
  }

  /** Brings all rows up to step `step` where their decay is made up for late. */
  async settle(step: number): Promise<void> {
    if (!this.#settling) return;
    const { size } = this.#model.items;
    const rows = Int32Array.from({ length: size }, (_, row) => row);
    const learningRate = Float32Array.of(this.#learningRate);
    await this.#settling.run(
      { rows, count: Int32Array.of(size), learning_rate: learningRate, step: Uint32Array.of(step) },
      {},
    );
  }

  /** Puts the item vectors together where training has them in parts. */
  async composeItems(): Promise<void> {
    const composed = await this.#composer?.run({}, {});
    if (composed) this.#model.store.write("output.weight", composed["weight"]!);
  }

  /** Throws ERR_DIVERGED where a weight, or what the optimizer knows of it, is not finite after step `step`. */
  checkFinite(step: number): void {
    const { store, description } = this.#model;
    const problem = describeNotFinite(store, store.tensors);
    if (problem) throw diverged(`${problem} after step ${step}`, description.config);
  }

  evaluate(set: EvaluationSet, options: EvaluateClicksOptions = {}): Promise<Evaluation> {
    return evaluateClicks(this.#model, set, options);
  }

  /** The model as it is now, to be saved with how it came to be. */
  modelAfter({ pass, part, step, samples, loss, validation }: TrainedPass & Pick<PassResult, "validation">): Model {
    const { description, program, engine, store } = this.#model;
    const done = { passes: pass - 1 + part, steps: step, samples, loss };
    const training = {
      ...description.training,
      preset: this.#preset,
      seed: this.#seed,
      ...done,
      ...(validation && { validation: rankingOf(validation) }),
    };
    return new Model({ ...description, training }, program, engine, store);
  }

  close(): void {
    this.executor.close();
    this.#settling?.close();
    this.#composer?.close();
    this.#model.close();
  }
}

/** Fills the store; what it was filled from is not kept. */
function initialize(store: TensorStore, { program, initializers }: InitializedProgram, seed: number): Program {
  checkMemory(program);
  initializeStore(store, program, initializers, seed);
  return program;
}

/** The item vocabulary counts what is left once the last clicks of the dataset are held out. */
function withoutLastClicks(encoding: Encoding, clicks: Clicks): Encoding {
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
