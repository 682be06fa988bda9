import { join } from "node:path";
import { JsonLines } from "../data/json_lines.js";
import { ShortlistError } from "../errors.js";
import { epochFolder, METRICS } from "../model/model.js";
import type { OpenCheckpoint, TakenCheckpoint, TrainedBy } from "./checkpoint.js";
import { CheckpointSchedule } from "./checkpoint_schedule.js";
import type { JournalState, TrainingJournal } from "./journal.js";
import type { TrainedEpoch, TrainingPosition } from "./loop.js";
import { rankingOf } from "./metrics.js";
import type { TrainingSession } from "./session.js";
import type { EpochResult, PlannedOptions } from "./trainer.js";
import type { UnfinishedTraining } from "./unfinished.js";

/** What a checkpoint remembers beside the session: the epochs, and the last one if it is not compared yet, and the journal. */
interface Progress {
  readonly epochs: readonly EpochResult[];
  readonly trained?: TrainedEpoch | undefined;
  readonly journal: JournalState;
}

/** Options of `ResumableTraining`. */
export interface ResumableOptions extends PlannedOptions {
  /** Whether the model of each epoch is saved (default true). */
  readonly savesEpochs?: boolean | undefined;
}

/** Runs a session epoch by epoch, and writes checkpoints from which another call goes on. */
export class ResumableTraining {
  readonly #session: TrainingSession;
  readonly #unfinished: UnfinishedTraining;
  readonly #journal: TrainingJournal;
  readonly #options: ResumableOptions;
  readonly #schedule: CheckpointSchedule;
  #epochs: EpochResult[] = [];
  /** The epoch that was trained but is not yet among the epochs. */
  #trained: TrainedEpoch | undefined;
  /** The checkpoint that is being written. */
  #writing: Promise<void> | undefined;

  constructor(
    session: TrainingSession,
    unfinished: UnfinishedTraining,
    journal: TrainingJournal,
    options: ResumableOptions,
  ) {
    this.#session = session;
    this.#unfinished = unfinished;
    this.#journal = journal;
    this.#options = options;
    this.#schedule = new CheckpointSchedule(options.checkpointEvery ?? "epoch");
  }

  get #isStopped(): boolean {
    return this.#options.signal?.aborted ?? false;
  }

  /** Goes back to the newest checkpoint, if there is one to resume from, and begins the journal. */
  async begin(): Promise<void> {
    const checkpoint = await this.#unfinished.newest();
    if (checkpoint) await this.#goOnFrom(checkpoint);
    else await this.#unfinished.clear();
    await this.#journal.begin(this.#session);
  }

  async #goOnFrom(checkpoint: OpenCheckpoint): Promise<void> {
    try {
      const { output, onWarning, onResume } = this.#options;
      await this.#session.restore(checkpoint.state).catch((error) => {
        throw cannotResume(output, error);
      });
      const { epochs, trained, journal } = checkpoint.progress as Progress;
      this.#journal.restore(journal);
      this.#epochs = [...epochs];
      this.#trained = trained;
      const doubt = doubtOf(checkpoint.trainedBy, this.#session.trainedBy);
      if (doubt !== undefined) onWarning?.(doubt);
      onResume?.(this.#session.position);
    } finally {
      checkpoint.close();
    }
  }

  /** Trains, saves and evaluates epoch after epoch, until all steps are run or early stopping ends the training. */
  async run(): Promise<readonly EpochResult[]> {
    const metrics = new JsonLines(join(this.#unfinished.folder, METRICS), this.#epochs.map(metricsOf));
    try {
      while (this.#trained || !this.#session.done) {
        this.#trained ??= await this.#trainEpoch();
        await this.#finishEpoch(this.#trained, metrics);
      }
    } catch (error) {
      if (this.#isStopped && error === this.#options.signal?.reason && this.#schedule.isOn)
        await this.#writeLastCheckpoint();
      throw error;
    } finally {
      await this.#writing;
    }
    return this.#epochs;
  }

  async #trainEpoch(): Promise<TrainedEpoch> {
    for (;;) {
      this.#options.signal?.throwIfAborted();
      const isDue = () => this.#isStopped || this.#schedule.isDue(this.#session.position.step, false);
      const trained = await this.#session.runUntil(isDue, this.#schedule.stepsLeft(this.#session.position.step));
      if (this.#session.isBetweenEpochs) return trained;
      await this.#writeDueCheckpoint(false);
    }
  }

  async #finishEpoch(trained: TrainedEpoch, metrics: JsonLines): Promise<void> {
    await this.#writeFirstCheckpoint();
    const { savesEpochs = true } = this.#options;
    if (isWhole(trained) && savesEpochs)
      await this.#session.write(join(this.#unfinished.folder, epochFolder(trained.epoch)));
    const result = { ...trained, ...(await this.#session.evaluateEpoch()) };
    this.#epochs.push(result);
    this.#trained = undefined;
    await metrics.add(metricsOf(result));
    await this.#journal.addEpoch(result);
    this.#options.onEpoch?.(result);
    if (!this.#session.done) await this.#writeDueCheckpoint(true);
  }

  async #writeDueCheckpoint(isEndOfEpoch: boolean): Promise<void> {
    const { step } = this.#session.position;
    if (this.#isStopped || !this.#schedule.isDue(step, isEndOfEpoch) || step === this.#unfinished.newestStep) return;
    await this.#beginCheckpoint();
  }

  /** Makes sure that there is a checkpoint before the first epoch is saved, which could not be resumed without one. */
  async #writeFirstCheckpoint(): Promise<void> {
    if (this.#isStopped || !this.#schedule.isOn || this.#unfinished.newestStep !== undefined) return;
    await this.#writing;
    if (this.#unfinished.newestStep === undefined) await this.#beginCheckpoint();
    await this.#writing;
  }

  /**
   * Copies the state and begins to write it. Training goes on meanwhile. If writing fails, for example because the disk
   * is full, training is worth more than the checkpoint.
   */
  async #beginCheckpoint(): Promise<void> {
    await this.#writing;
    const taken = this.#session.takeCheckpoint(this.#progress);
    const { position } = this.#session;
    this.#schedule.restart();
    this.#writing = this.#write(taken, position).catch((error) => {
      this.#options.onWarning?.(`The checkpoint of step ${position.step} was not written: ${error.message}`);
    });
    if (!taken.isCopy) await this.#writing;
  }

  async #writeLastCheckpoint(): Promise<void> {
    await this.#writing;
    if (this.#session.position.step === 0) return;
    await this.#write(this.#session.takeCheckpoint(this.#progress), this.#session.position);
  }

  async #write(taken: TakenCheckpoint, { step, epoch }: TrainingPosition): Promise<void> {
    const started = performance.now();
    const path = this.#unfinished.pathOf(step);
    await taken.write(path);
    await this.#unfinished.keepNewest(step);
    this.#options.onCheckpoint?.({ step, epoch, path, seconds: (performance.now() - started) / 1000 });
  }

  get #progress(): Progress {
    return { epochs: this.#epochs, trained: this.#trained, journal: this.#journal.state };
  }
}

function cannotResume(output: string, error: unknown): unknown {
  if (!(error instanceof ShortlistError)) return error;
  const way = "Give the options of that training, or start anew with --restart (library: restart)";
  return new ShortlistError(error.code, `Cannot resume ${output}: ${error.message}. ${way}`, { cause: error });
}

/** Why the rest of a training may not have the bits of an uninterrupted one. */
function doubtOf(before: TrainedBy, now: TrainedBy): string | undefined {
  const describe = ({ version, executor, isa }: TrainedBy) => `version ${version}, ${executor} ${isa}`;
  if (describe(before) === describe(now)) return undefined;
  return `The training was begun with ${describe(before)} and goes on with ${describe(now)}: its weights may differ in their last digits from those of a training without a break`;
}

/** Whether an epoch was trained to its end. */
export function isWhole({ part }: TrainedEpoch): boolean {
  return part === 1;
}

/** Returns the object that metrics.jsonl gets for an epoch. */
export function metricsOf({ validation, evaluationSeconds, best: _best, part: _part, ...trained }: EpochResult) {
  return { ...trained, ...(validation && { ...rankingOf(validation), evaluationSeconds }) };
}
