import { itemVocabulary } from "../data/clicks.js";
import { type Dataset, openDataset } from "../data/dataset.js";
import { noiseDistribution } from "../data/vocabulary.js";
import { ShortlistError } from "../errors.js";
import { createEngine, type EngineOptions, type Executor, type TensorStore } from "../executors/index.js";
import type { Program } from "../graph/program.js";
import { type ModelConfig, resolveConfig } from "../model/config.js";
import { initializeStore } from "../model/initialize.js";
import { checkModelFolder, Model, saveModel } from "../model/model.js";
import {
  type InitializedProgram,
  inferenceProgram,
  type Noise,
  settlingProgram,
  trainingProgram,
} from "../model/programs.js";
import { aliasTable } from "../random/alias_table.js";
import { type Evaluation, encodeTestLog, evaluateClicks } from "./evaluate.js";
import { ProfileSums, type TrainingProfile } from "./profile.js";

export interface TrainOptions extends EngineOptions {
  /** Dataset folder. */
  readonly dataset: string;
  /** Model folder to write. */
  readonly output: string;
  /** "default" unless given. */
  readonly preset?: string | undefined;
  /** Configuration keys that differ from the preset's. */
  readonly config?: unknown;
  /** The same as `key=value` texts; they win. */
  readonly set?: readonly string[] | undefined;
  /** Stop after this many steps. */
  readonly steps?: number | undefined;
  /** 1 unless given. The same seed gives the same model, bit for bit, on any number of threads. */
  readonly seed?: number | undefined;
  /** Click log to evaluate on afterwards: the last click of each line is the target. */
  readonly testLog?: string | undefined;
  /** Time every instruction (default false). */
  readonly profile?: boolean | undefined;
  /** Called for every step, some steps at a time. */
  readonly onProgress?: ((state: TrainingState) => void) | undefined;
}

/** Where training stands. */
export interface TrainingState {
  /** From 1. */
  readonly pass: number;
  readonly passes: number;
  readonly step: number;
  readonly steps: number;
  /** Of a sample, averaged over this pass so far. */
  readonly loss: number;
  readonly samplesPerSecond: number;
  readonly secondsLeft: number;
}

export interface TrainReport {
  readonly samplesPerSecond: number;
  /** In the training loop. */
  readonly seconds: number;
  readonly samples: number;
  readonly steps: number;
  /** Of a sample, averaged over the last pass. */
  readonly loss: number;
  readonly threads: number;
  readonly isa: string;
  readonly evaluation?: Evaluation;
  readonly profile?: TrainingProfile;
}

/** A call of the engine runs as many steps as last so long: its own cost is nothing then, and progress is still smooth. */
const SECONDS_A_CALL = 0.03;

/** Trains a model on a dataset and writes it, also after every pass (`pass-<n>` in its folder). */
export async function train(options: TrainOptions): Promise<TrainReport> {
  const { seed = 1, output } = options;
  const config = resolveConfig(options.preset ?? "default", options.config, options.set);
  const dataset = await openDataset(options.dataset);
  await checkModelFolder(output);
  const test = options.testLog === undefined ? undefined : await encodeTestLog(options.testLog, dataset);

  const engine = createEngine(options);
  const store = engine.createStore();
  const training = initialize(store, trainingProgram(config, dataset, noiseOf(dataset, config)), seed);
  const inference = initialize(store, inferenceProgram(config, dataset), seed);
  const executor = engine.createExecutor(training, store, { profile: options.profile ?? false });
  const profile = options.profile ? new ProfileSums(training) : undefined;
  const modelAfter = (done: Readonly<Record<string, unknown>>) => {
    const { schema, vocabularies, numbers } = dataset;
    const history = { preset: options.preset ?? "default", seed, ...done };
    return new Model({ schema, vocabularies, numbers, config, training: history }, inference, engine, store);
  };

  const settling = settlingProgram(config, itemVocabulary(dataset).size);
  const settle =
    settling && createSettling(engine.createExecutor(settling, store), itemVocabulary(dataset).size, config);

  const { window, windows, batchSize, batching } = config;
  const batches = engine.createTrainingBatches({ clicks: dataset.clicks, window, windows, batchSize, batching, seed });
  const { batchesPerPass } = batches;
  if (batches.samplesPerPass === 0) {
    throw new ShortlistError("ERR_DATASET", `${options.dataset}: There is nothing to learn from: every click is <unk>`);
  }
  const steps = Math.min(options.steps ?? Number.POSITIVE_INFINITY, config.passes * batchesPerPass);
  const scalarsOf = (first: number, count: number) => ({
    seed: Uint32Array.of(seed),
    step: Uint32Array.from({ length: count }, (_, i) => first + i),
    learning_rate: Float32Array.from({ length: count }, (_, i) => learningRateAt(config, first + i, steps)),
  });
  const savedPasses: number[] = [];
  let [samples, seconds, loss] = [0, 0, 0];
  let passLoss = new MeanLoss();
  let [count, elapsed] = [1, 0];
  let started = performance.now();
  for (let first = 0; first < steps; ) {
    const [pass, index] = [Math.floor(first / batchesPerPass), first % batchesPerPass];
    count = Math.min(count, steps - first, batchesPerPass - index);
    const result = await executor.runSteps(batches, { pass, index, steps: count, scalars: scalarsOf(first, count) });
    profile?.add(result, count);
    const secondsAStep = (seconds + (performance.now() - started) / 1000 - elapsed) / count;
    for (let i = 0; i < count; i++) {
      const step = first + i;
      const batchSamples = result.dims["samples"]![i]!;
      const batchLoss = result.outputs["loss"]![i]!;
      if (!Number.isFinite(batchLoss)) {
        throw new ShortlistError(
          "ERR_DIVERGED",
          `The loss of step ${step + 1} is ${batchLoss}. Lower learningRate (now ${config.learningRate}) or change the optimizer`,
        );
      }
      samples += batchSamples;
      passLoss.add(batchLoss * (config.reduction === "mean" ? batchSamples : 1), batchSamples);
      loss = passLoss.value;
      elapsed += secondsAStep;
      options.onProgress?.({
        pass: pass + 1,
        passes: config.passes,
        step: step + 1,
        steps,
        loss,
        samplesPerSecond: samples / elapsed,
        secondsLeft: (elapsed / (step + 1)) * (steps - step - 1),
      });
    }
    first += count;
    count = Math.max(1, Math.round(SECONDS_A_CALL / secondsAStep));
    if (first % batchesPerPass === 0) {
      seconds += (performance.now() - started) / 1000;
      await settle?.(first);
      await saveModel(modelAfter({ passes: pass + 1, steps: first, samples, loss }), `${output}/pass-${pass + 1}`);
      savedPasses.push(pass + 1);
      passLoss = new MeanLoss();
      started = performance.now();
    }
  }
  seconds += (performance.now() - started) / 1000;

  const profiled = profile?.take(seconds, executor.profile!);
  executor.close();

  await settle?.(steps);
  const model = modelAfter({ passes: steps / batches.batchesPerPass, steps, samples, loss });
  await saveModel(model, output, savedPasses);
  const evaluation = test && (await evaluateClicks(model, test, { baselines: dataset }));
  const { threads, isa } = engine;
  const report = { samplesPerSecond: samples / seconds, seconds, samples, steps, loss, threads, isa };
  return { ...report, ...(evaluation && { evaluation }), ...(profiled && { profile: profiled }) };
}

/** The learning rate of step `step` of `steps`: a linear rise, then half a cosine. */
function learningRateAt({ learningRate, warmupSteps, finalLearningRate }: ModelConfig, step: number, steps: number) {
  if (step < warmupSteps) return (learningRate * (step + 1)) / warmupSteps;
  const progress = (step - warmupSteps) / Math.max(1, steps - warmupSteps);
  return learningRate * (finalLearningRate + (1 - finalLearningRate) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}

/** Runs the settling Program over all rows. */
function createSettling(executor: Executor, items: number, config: ModelConfig): (step: number) => Promise<unknown> {
  const rows = Int32Array.from({ length: items }, (_, row) => row);
  const fixed = { rows, count: Int32Array.of(items), learning_rate: Float32Array.of(config.learningRate) };
  return (step) => executor.run({ ...fixed, step: Uint32Array.of(step) }, {});
}

/** Mean of the samples' losses. */
class MeanLoss {
  #sum = 0;
  #samples = 0;

  add(sum: number, samples: number): void {
    this.#sum += sum;
    this.#samples += samples;
  }

  get value(): number {
    return this.#sum / this.#samples;
  }
}

/** Fills the store; what it was filled from is not kept. */
function initialize(store: TensorStore, { program, initializers }: InitializedProgram, seed: number): Program {
  initializeStore(store, program, initializers, seed);
  return program;
}

/** Items are drawn by how often they were clicked. */
function noiseOf(dataset: Dataset, config: ModelConfig): Noise {
  const distribution = noiseDistribution(itemVocabulary(dataset).counts, config.noisePower);
  return { distribution, aliasTable: aliasTable(distribution) };
}
