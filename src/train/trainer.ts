import { join } from "node:path";
import { checkChoice, checkOptions, checkPath, ShortlistError } from "../errors.js";
import { epochFolder, withModelFolder } from "../model/model.js";
import { type CheckpointEvery, checkCheckpointEvery } from "./checkpoint_schedule.js";
import { withOrigin } from "./divergence.js";
import type { Evaluation } from "./evaluate.js";
import { TrainingJournal } from "./journal.js";
import type { TrainedEpoch, TrainingPosition } from "./loop.js";
import type { TrainingProfile } from "./profile.js";
import { isWhole, metricsOf, ResumableTraining } from "./resumable_training.js";
import { type EpochEvaluation, SESSION_OPTIONS, type SessionOptions, TrainingSession } from "./session.js";
import { UnfinishedTraining } from "./unfinished.js";

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
  /**
   * When a checkpoint is written, from which `resume` goes on (default "epoch"): at the end of each epoch, after so many
   * steps or seconds, or never. Training goes on while it is written.
   */
  readonly checkpointEvery?: CheckpointEvery | undefined;
  /**
   * Continues the unfinished training in `output` from its newest checkpoint, with the bits of a training without a break
   * (default false). If there is none, and no finished model, the training begins.
   */
  readonly resume?: boolean | undefined;
  /** Gives an unfinished training in `output` up and begins anew (default false). */
  readonly restart?: boolean | undefined;
  /** Called with the position from which an unfinished training goes on. */
  readonly onResume?: ((position: TrainingPosition) => void) | undefined;
  /**
   * Called when, with `targetEpochs` "auto", no epoch after the best one was better: training goes back to it, and the
   * learning rate falls.
   */
  readonly onAnnealing?: ((annealing: Annealing) => void) | undefined;
  /** Called after each checkpoint is written. */
  readonly onCheckpoint?: ((checkpoint: WrittenCheckpoint) => void) | undefined;
}

/** The part of a training in which the learning rate falls, with `targetEpochs` "auto". */
export interface Annealing {
  /** The best epoch at the full rate, after which the rate falls. */
  readonly epoch: number;
  /** The epoch at whose end the training is finished. */
  readonly epochs: number;
  /** Number of epochs after the best one that are given up. */
  readonly givenUp: number;
}

/** A checkpoint that was written. */
export interface WrittenCheckpoint {
  /** Number of steps that were run. */
  readonly step: number;
  /** Epoch of the next step, from 1. */
  readonly epoch: number;
  /** The file. */
  readonly path: string;
  /** Seconds that writing it took, during which training went on. */
  readonly seconds: number;
}

export const TRAIN_OPTIONS: Readonly<Record<keyof TrainOptions, true>> = {
  ...SESSION_OPTIONS,
  output: true,
  tensorboard: true,
  onEpoch: true,
  checkpointEvery: true,
  resume: true,
  restart: true,
  onResume: true,
  onAnnealing: true,
  onCheckpoint: true,
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
 * Trains a model on a dataset and writes it to `output`, with the model of each finished epoch in a subfolder of its own.
 * With `validation`, every epoch is evaluated and the final model is that of the epoch with the best NDCG@10.
 *
 * `metrics.jsonl` in the folder has one JSON object for each epoch, with the members of `TrainedEpoch` except `part`
 * and, with `validation`, `hitRate`, `ndcg`, `mrr` and `evaluationSeconds`. `history.json` is the record of the training
 * from which `writeReport` makes a page.
 *
 * Until the training is finished, everything is in the subfolder `unfinished`, with the last two checkpoints, and an
 * older model in `output` stays as it is. If the signal aborts, a last checkpoint is written before the call rejects with
 * the signal's reason.
 *
 * Throws the errors of `TrainingSession.open` and `run`; ERR_BUSY if another process is writing the folder; and
 * ERR_CHECKPOINT if the folder holds an unfinished training but neither `resume` nor `restart` is given, or if it cannot
 * be resumed.
 */
export async function train(options: TrainOptions): Promise<TrainReport> {
  checkOptions("train", options, TRAIN_OPTIONS);
  checkPath("output", options.output);
  if (options.tensorboard !== undefined) checkPath("tensorboard", options.tensorboard);
  checkTrainOptions(options);
  return withModelFolder(options.output, (folder) => trainIn(folder, options));
}

async function trainIn(folder: string, options: TrainOptions): Promise<TrainReport> {
  const { output, onWarning, checkpointEvery } = options;
  const sessionOptions = sessionOptionsOf(options);
  const unfinished = await UnfinishedTraining.open(folder, output, options);
  const journal = new TrainingJournal({ tensorboard: options.tensorboard, onProgress: options.onProgress, onWarning });
  const session = await TrainingSession.open({ ...sessionOptions, onProgress: journal.addStep });
  try {
    const training = new ResumableTraining(session, unfinished, journal, options);
    await training.begin();
    const epochs = await training.run();
    // The signal does not stop a training that is complete before its model is in place, because training cannot go on
    // with the weights of an earlier epoch.
    const kept = epochs.findLast(({ best }) => best)!;
    if (kept !== epochs.at(-1)) await session.readBest(join(unfinished.folder, epochFolder(kept.epoch)));
    const whole = epochs.filter(isWhole).map(({ epoch }) => epoch);
    await session.writeComplete(folder, (staging) => unfinished.addTo(staging, epochs.map(metricsOf), whole));
    await journal.finish(folder, session, { epochs, kept, test: undefined, testSeconds: 0 });
    if (options.testLog === undefined) return reportOf(session, epochs, kept, undefined);
    const started = performance.now();
    const test = await session.evaluate("test");
    const testSeconds = (performance.now() - started) / 1000;
    await journal.finish(folder, session, { epochs, kept, test, testSeconds });
    return reportOf(session, epochs, kept, test);
  } catch (error) {
    if ((error as ShortlistError).code !== "ERR_DIVERGED" || checkpointEvery === "never") throw error;
    session.close();
    throw await withOrigin(error as ShortlistError, session, unfinished, sessionOptions);
  } finally {
    session.close();
    await journal.close();
  }
}

/** The options of `train` that are those of its session. */
function sessionOptionsOf(options: TrainOptions): SessionOptions {
  const own = Object.entries(options).filter(([name]) => Object.hasOwn(SESSION_OPTIONS, name));
  return Object.fromEntries(own) as unknown as SessionOptions;
}

/** Throws ERR_OPTION unless the options of checkpoints are possible. */
export function checkTrainOptions({
  checkpointEvery,
  resume,
  restart,
  targetEpochs,
}: Pick<TrainOptions, "checkpointEvery" | "resume" | "restart" | "targetEpochs">): void {
  if (checkpointEvery !== undefined) checkCheckpointEvery(checkpointEvery);
  for (const [name, value] of Object.entries({ resume, restart })) checkChoice(name, value ?? false, [true, false]);
  if (resume && restart) {
    throw new ShortlistError("ERR_OPTION", "Expected either resume or restart but received both");
  }
  if (targetEpochs === "auto" && checkpointEvery === "never") {
    throw new ShortlistError(
      "ERR_OPTION",
      'Expected checkpoints (checkpointEvery) with targetEpochs "auto", which goes back to that of the best epoch',
    );
  }
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
