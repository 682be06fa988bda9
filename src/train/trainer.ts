import { SharedBatches, ShuffledBatches, type TrainingBatches } from "../data/batches.js";
import { itemVocabulary } from "../data/clicks.js";
import { type Dataset, openDataset } from "../data/dataset.js";
import { noiseDistribution } from "../data/vocabulary.js";
import { ShortlistError } from "../errors.js";
import { createEngine, type EngineOptions, type Executor } from "../executors/index.js";
import { type ModelConfig, resolveConfig } from "../model/config.js";
import { initializeStore } from "../model/initialize.js";
import { checkModelFolder, Model, saveModel } from "../model/model.js";
import { inferenceProgram, type Noise, settlingProgram, trainingProgram } from "../model/programs.js";
import { aliasTable } from "../random/alias_table.js";
import { type Evaluation, encodeTestLog, evaluateClicks } from "./evaluate.js";

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
  /** Called after every step. */
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
}

/** Trains a model on a dataset and writes it, also after every pass (`pass-<n>` in its folder). */
export async function train(options: TrainOptions): Promise<TrainReport> {
  const { seed = 1, output } = options;
  const config = resolveConfig(options.preset ?? "default", options.config, options.set);
  const dataset = await openDataset(options.dataset);
  await checkModelFolder(output);
  const test = options.testLog === undefined ? undefined : await encodeTestLog(options.testLog, dataset);

  const engine = createEngine(options);
  const store = engine.createStore();
  const training = trainingProgram(config, dataset, noiseOf(dataset, config));
  const inference = inferenceProgram(config, dataset);
  for (const { program, initializers } of [training, inference]) initializeStore(store, program, initializers, seed);
  const executor = engine.createExecutor(training.program, store);
  const modelAfter = (done: Readonly<Record<string, unknown>>) => {
    const { schema, vocabularies, numbers } = dataset;
    const history = { preset: options.preset ?? "default", seed, ...done };
    return new Model({ schema, vocabularies, numbers, config, training: history }, inference.program, engine, store);
  };

  const settling = settlingProgram(config, itemVocabulary(dataset).size);
  const settle =
    settling && createSettling(engine.createExecutor(settling, store), itemVocabulary(dataset).size, config);

  const batches = batchesOf(dataset, config, seed);
  if (batches.samplesPerPass === 0) {
    throw new ShortlistError("ERR_DATASET", `${options.dataset}: There is nothing to learn from: every click is <unk>`);
  }
  const steps = Math.min(options.steps ?? Number.POSITIVE_INFINITY, config.passes * batches.batchesPerPass);
  const learningRate = Float32Array.of(config.learningRate);
  const savedPasses: number[] = [];
  let [samples, seconds, loss] = [0, 0, 0];
  let passLoss = new MeanLoss();
  let started = performance.now();
  for (let step = 0; step < steps; step++) {
    const pass = Math.floor(step / batches.batchesPerPass);
    const { inputs, dims } = batches.batch(pass, step % batches.batchesPerPass);
    const scalars = { seed: Uint32Array.of(seed), step: Uint32Array.of(step), learning_rate: learningRate };
    const outputs = await executor.run({ ...inputs, ...scalars }, dims);
    const batchSamples = dims["samples"]!;
    const batchLoss = outputs["loss"]![0]!;
    if (!Number.isFinite(batchLoss)) {
      throw new ShortlistError(
        "ERR_DIVERGED",
        `The loss of step ${step + 1} is ${batchLoss}. Lower learningRate (now ${config.learningRate}) or change the optimizer`,
      );
    }
    samples += batchSamples;
    passLoss.add(batchLoss * (config.reduction === "mean" ? batchSamples : 1), batchSamples);
    loss = passLoss.value;
    const elapsed = seconds + (performance.now() - started) / 1000;
    options.onProgress?.({
      pass: pass + 1,
      passes: config.passes,
      step: step + 1,
      steps,
      loss,
      samplesPerSecond: samples / elapsed,
      secondsLeft: (elapsed / (step + 1)) * (steps - step - 1),
    });
    if ((step + 1) % batches.batchesPerPass === 0) {
      seconds += (performance.now() - started) / 1000;
      await settle?.(step + 1);
      await saveModel(modelAfter({ passes: pass + 1, steps: step + 1, samples, loss }), `${output}/pass-${pass + 1}`);
      savedPasses.push(pass + 1);
      passLoss = new MeanLoss();
      started = performance.now();
    }
  }
  seconds += (performance.now() - started) / 1000;

  await settle?.(steps);
  const model = modelAfter({ passes: steps / batches.batchesPerPass, steps, samples, loss });
  await saveModel(model, output, savedPasses);
  const evaluation = test && (await evaluateClicks(model, test));
  const { threads, isa } = engine;
  const report = { samplesPerSecond: samples / seconds, seconds, samples, steps, loss, threads, isa };
  return { ...report, ...(evaluation && { evaluation }) };
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

function batchesOf(dataset: Dataset, config: ModelConfig, seed: number): TrainingBatches {
  const options = { clicks: dataset.clicks, window: config.window, batchSize: config.batchSize, seed };
  return config.batching === "shared" ? new SharedBatches(options) : new ShuffledBatches(options);
}

/** Items are drawn by how often they were clicked. */
function noiseOf(dataset: Dataset, config: ModelConfig): Noise {
  const distribution = noiseDistribution(itemVocabulary(dataset).counts, config.noisePower);
  return { distribution, aliasTable: aliasTable(distribution) };
}
