import { ShortlistError } from "../errors.js";
import { inSession } from "./divergence.js";
import { type EpochRecord, epochRecordOf } from "./history.js";
import { TrainingJournal } from "./journal.js";
import { ResumableTraining } from "./resumable_training.js";
import { type SessionOptions, sessionOptionsOf } from "./session.js";
import type { PlannedOptions } from "./trainer.js";
import type { UnfinishedTraining } from "./unfinished.js";

/** Most epochs of a pilot whose configuration does not say how many. */
const MOST_EPOCHS = 100;

/** The record of a pilot: a training at the full learning rate that measured how many epochs are best. */
export interface PilotRecord {
  /** Its epochs, each with its evaluation. */
  readonly epochs: readonly EpochRecord[];
  /** Number of the best epoch, from 1: how many epochs the training has. */
  readonly bestEpoch: number;
  /** Seconds of its steps and evaluations. */
  readonly seconds: number;
}

/** Throws ERR_OPTION unless a pilot can measure the number of epochs. */
export function checkPilot({ validation, steps }: Pick<PlannedOptions, "validation" | "steps">): void {
  if (validation === undefined) {
    throw new ShortlistError(
      "ERR_OPTION",
      'Expected validation beside targetEpochs "auto": without it no epoch is better than another',
    );
  }
  if (steps === undefined) return;
  throw new ShortlistError(
    "ERR_OPTION",
    'Expected no steps beside targetEpochs "auto", with which validation decides how many there are',
  );
}

/**
 * Trains at the full learning rate until patience ends, and finds the best epoch. Its checkpoints are in the subfolder
 * `pilot` of the unfinished training. Its models are not kept.
 */
export async function runPilot(unfinished: UnfinishedTraining, options: PlannedOptions): Promise<PilotRecord> {
  const { config, set = [], onPilotEpoch, onWarning, onProgress } = options;
  const pilot = await unfinished.openPilot();
  const journal = new TrainingJournal({ onProgress, onWarning });
  const sessionOptions: SessionOptions = {
    ...sessionOptionsOf({ ...options, testLog: undefined, profile: false }),
    config: { epochs: MOST_EPOCHS, ...config },
    set: [...set, "finalLearningRate=1"],
    onProgress: journal.addStep,
  };
  return inSession(sessionOptions, options.checkpointEvery === "never" ? undefined : pilot, async (session) => {
    const training = new ResumableTraining(session, pilot, journal, {
      ...options,
      ...{ onEpoch: onPilotEpoch, savesEpochs: false },
    });
    await training.begin();
    const epochs = await training.run();
    const evaluation = epochs.reduce((sum, { evaluationSeconds = 0 }) => sum + evaluationSeconds, 0);
    const { epoch: bestEpoch } = epochs.findLast(({ best }) => best)!;
    if (bestEpoch === epochs.length) {
      onWarning?.(
        `The last of the ${bestEpoch} epochs of the pilot was the best, so that more may be better: raise epochs, which limits them`,
      );
    }
    return { epochs: epochs.map(epochRecordOf), bestEpoch, seconds: epochs.at(-1)!.seconds + evaluation };
  });
}
