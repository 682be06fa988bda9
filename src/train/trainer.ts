import { join } from "node:path";
import { JsonLines } from "../data/json_lines.js";
import { checkOptions, checkPath } from "../errors.js";
import { epochFolder, METRICS, withModelFolder } from "../model/model.js";
import type { Evaluation } from "./evaluate.js";
import { TrainingJournal } from "./journal.js";
import type { TrainedEpoch } from "./loop.js";
import { rankingOf } from "./metrics.js";
import type { TrainingProfile } from "./profile.js";
import { type EpochEvaluation, SESSION_OPTIONS, type SessionOptions, TrainingSession } from "./session.js";

/** Options of `train`. The inherited log options apply to the logs of `validation` and `testLog`. */
export interface TrainOptions extends SessionOptions {
  /** Folder to write the model to. */
  readonly output: string;
  /**
   * Folder to which event files for TensorBoard are written while training runs: loss, learning rate, speed, and the
   * metrics of evaluations beside those of the baselines.
   */
  readonly tensorboard?: string | undefined;
  /** Called after every epoch, also after one that `steps` cut short. */
  readonly onEpoch?: ((result: EpochResult) => void) | undefined;
}

export const TRAIN_OPTIONS: Readonly<Record<keyof TrainOptions, true>> = {
  ...SESSION_OPTIONS,
  output: true,
  tensorboard: true,
  onEpoch: true,
};

/** Result of an epoch, compared with those before it. */
export interface EpochResult extends TrainedEpoch, EpochEvaluation {}

/** Result of a training. */
export interface TrainReport {
  /** Samples per second while training. Saving and evaluation do not count. */
  readonly samplesPerSecond: number;
  /** Seconds spent in training steps. Saving and evaluation do not count. */
  readonly seconds: number;
  /** Number of samples over all steps. A sample counts once for each epoch. */
  readonly samples: number;
  /** Number of steps that were run. */
  readonly steps: number;
  /** Number of epochs that were begun. The last one may be incomplete. */
  readonly epochs: number;
  /** Mean loss per sample in the last epoch. */
  readonly loss: number;
  /** Number of threads of the kernels. */
  readonly threads: number;
  /** Instruction set of the kernels. */
  readonly isa: string;
  /** The evaluation of the best epoch, whose model was kept. Undefined without `validation`. */
  readonly validation?: Evaluation & { readonly epoch: number };
  /** The evaluation on `testLog`. Undefined without it. */
  readonly evaluation?: Evaluation;
  /** The time profile of the training. Undefined without `profile`. */
  readonly profile?: TrainingProfile;
}

/**
 * Trains a model on a dataset and writes it to `output`. The model of each finished epoch is also written, to a
 * subfolder of its own. With `validation`, every epoch is evaluated and the final model is that of the epoch with the
 * best NDCG@10.
 *
 * `metrics.jsonl` in the folder has one JSON object for each epoch, with the members of `TrainedEpoch` except `part`
 * and, with `validation`, `hitRate`, `ndcg`, `mrr` and `evaluationSeconds`. `history.json` is the record of the training
 * from which `writeReport` makes a page.
 *
 * Throws the errors of `TrainingSession.open` and `run`, and ERR_BUSY if another process is writing the folder.
 */
export async function train(options: TrainOptions): Promise<TrainReport> {
  checkOptions("train", options, TRAIN_OPTIONS);
  const { output, tensorboard, onEpoch, onProgress, ...sessionOptions } = options;
  checkPath("output", output);
  if (tensorboard !== undefined) checkPath("tensorboard", tensorboard);
  return withModelFolder(output, async (folder) => {
    const journal = new TrainingJournal({ tensorboard, onProgress, onWarning: options.onWarning });
    const session = await TrainingSession.open({ ...sessionOptions, onProgress: journal.addStep });
    try {
      await journal.begin(session);
      const epochs = await runEpochs(session, folder, journal, onEpoch);
      const kept = epochs.findLast(({ best }) => best)!;
      if (kept !== epochs.at(-1)) await session.returnToBest(join(folder, epochFolder(kept.epoch)));
      const keep = [METRICS, ...epochs.filter(isWhole).map(({ epoch }) => epochFolder(epoch))];
      await session.writeComplete(folder, keep);
      const started = performance.now();
      const evaluation = options.testLog === undefined ? undefined : await session.evaluate("test");
      const testSeconds = (performance.now() - started) / 1000;
      await journal.finish(folder, session, { epochs, kept, test: evaluation, testSeconds });
      return reportOf(session, epochs, kept, evaluation);
    } finally {
      session.close();
      await journal.close();
    }
  });
}

/** Trains, saves and evaluates epoch after epoch, until all steps are run or early stopping ends the training. */
async function runEpochs(
  session: TrainingSession,
  folder: string,
  journal: TrainingJournal,
  onEpoch: TrainOptions["onEpoch"],
): Promise<EpochResult[]> {
  const metrics = new JsonLines(join(folder, METRICS));
  const epochs: EpochResult[] = [];
  do {
    const trained = await session.run();
    if (isWhole(trained)) await session.write(join(folder, epochFolder(trained.epoch)));
    const result = { ...trained, ...(await session.evaluateEpoch()) };
    epochs.push(result);
    await metrics.add(metricsOf(result));
    await journal.addEpoch(result);
    onEpoch?.(result);
  } while (!session.done);
  return epochs;
}

function reportOf(
  { engine, profile }: TrainingSession,
  epochs: readonly EpochResult[],
  kept: EpochResult,
  evaluation: Evaluation | undefined,
): TrainReport {
  const { samples, seconds, step, loss } = epochs.at(-1)!;
  return {
    samplesPerSecond: samples / seconds,
    seconds,
    samples,
    steps: step,
    epochs: epochs.length,
    loss,
    threads: engine.threads,
    isa: engine.isa,
    ...(kept.validation && { validation: { epoch: kept.epoch, ...kept.validation } }),
    ...(evaluation && { evaluation }),
    ...(profile && { profile }),
  };
}

function isWhole({ part }: TrainedEpoch): boolean {
  return part === 1;
}

/** Returns the object that metrics.jsonl gets for an epoch. */
function metricsOf({ validation, evaluationSeconds, best: _best, part: _part, ...trained }: EpochResult) {
  return { ...trained, ...(validation && { ...rankingOf(validation), evaluationSeconds }) };
}
