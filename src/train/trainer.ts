import { join } from "node:path";
import { checkChoice, checkOptions, checkPath, ShortlistError } from "../errors.js";
import { epochFolder, withModelFolder } from "../model/model.js";
import { type CheckpointEvery, checkCheckpointEvery } from "./checkpoint_schedule.js";
import { inSession } from "./divergence.js";
import type { Evaluation } from "./evaluate.js";
import { TrainingJournal } from "./journal.js";
import type { TrainedEpoch, TrainingPosition } from "./loop.js";
import { checkPilot, type PilotRecord, runPilot } from "./pilot.js";
import type { TrainingProfile } from "./profile.js";
import { isWhole, metricsOf, ResumableTraining } from "./resumable_training.js";
import {
  type EpochEvaluation,
  SESSION_OPTIONS,
  type SessionOptions,
  sessionOptionsOf,
  type TrainingSession,
} from "./session.js";
import { UnfinishedTraining } from "./unfinished.js";

/** Options of `train`. The inherited log options apply to the logs of `validation` and `testLog`. */
export interface TrainOptions extends Omit<SessionOptions, "targetEpochs"> {
  /** Folder to write the model to. */
  readonly output: string;
  /**
   * Folder to which event files for TensorBoard are written while training runs: loss, learning rate, speed, and the
   * metrics of evaluations beside those of the baselines.
   */
  readonly tensorboard?: string | undefined;
  /**
   * Number of epochs over which the learning rate falls to its final value, which it keeps then (default: all of the
   * training). "auto", which needs `validation`, measures how many epochs the training should have: a pilot at the full
   * learning rate runs until `patience` ends, at most for `config.epochs` epochs (default 100). Then the training begins,
   * with as many epochs as the best one of the pilot has, over which the rate falls. Not together with `steps`.
   */
  readonly targetEpochs?: number | "auto" | undefined;
  /** Called after every epoch, also after one that `steps` cut short. */
  readonly onEpoch?: ((result: EpochResult) => void) | undefined;
  /** With `targetEpochs` "auto": called after every epoch of the pilot. */
  readonly onPilotEpoch?: ((result: EpochResult) => void) | undefined;
  /** With `targetEpochs` "auto": called when the training begins, with what the pilot found. */
  readonly onPilot?: ((pilot: PilotRecord) => void) | undefined;
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
  /** Called after each checkpoint is written. */
  readonly onCheckpoint?: ((checkpoint: WrittenCheckpoint) => void) | undefined;
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
  onPilotEpoch: true,
  onPilot: true,
  checkpointEvery: true,
  resume: true,
  restart: true,
  onResume: true,
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
  const unfinished = await UnfinishedTraining.open(folder, options.output, options);
  const { targetEpochs, ...others } = options;
  if (targetEpochs !== "auto") return trainEpochs(folder, unfinished, { ...others, targetEpochs });
  const started = await unfinished.newest();
  started?.close();
  const pilot = started ? undefined : await runPilot(unfinished, others);
  if (pilot) options.onPilot?.(pilot);
  const epochs = started?.state.config.epochs ?? pilot!.bestEpoch;
  const { set = [] } = options;
  return trainEpochs(folder, unfinished, { ...others, targetEpochs: epochs, set: [...set, `epochs=${epochs}`] }, pilot);
}

/** Options of `train` whose number of epochs is known. */
export interface PlannedOptions extends Omit<TrainOptions, "targetEpochs"> {
  readonly targetEpochs?: number | undefined;
}

/** Trains for the epochs of the configuration. `pilot` is what measured their number in this call. */
async function trainEpochs(
  folder: string,
  unfinished: UnfinishedTraining,
  options: PlannedOptions,
  pilot?: PilotRecord,
): Promise<TrainReport> {
  const { tensorboard, onProgress, onWarning, checkpointEvery } = options;
  const journal = new TrainingJournal({ tensorboard, onProgress, onWarning });
  journal.pilot = pilot;
  const sessionOptions = { ...sessionOptionsOf(options), onProgress: journal.addStep };
  const checkpoints = checkpointEvery === "never" ? undefined : unfinished;
  const work = async (session: TrainingSession): Promise<TrainReport> => {
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
  };
  return inSession(sessionOptions, checkpoints, work).finally(() => journal.close());
}

/** Throws ERR_OPTION unless the options of checkpoints are possible. */
export function checkTrainOptions({
  checkpointEvery,
  resume,
  restart,
  targetEpochs,
  validation,
  steps,
}: Pick<TrainOptions, "checkpointEvery" | "resume" | "restart" | "targetEpochs" | "validation" | "steps">): void {
  if (checkpointEvery !== undefined) checkCheckpointEvery(checkpointEvery);
  for (const [name, value] of Object.entries({ resume, restart })) checkChoice(name, value ?? false, [true, false]);
  if (resume && restart) {
    throw new ShortlistError("ERR_OPTION", "Expected either resume or restart but received both");
  }
  if (targetEpochs === "auto") checkPilot({ validation, steps });
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
