import type { Dataset } from "../data/dataset.js";
import type { RankingMetrics } from "../model/training_record.js";
import type { Evaluation } from "./evaluate.js";
import { type DatasetRecord, epochRecordOf, type StepRecord, type TrainingHistory, writeHistory } from "./history.js";
import type { TrainedEpoch, TrainingState } from "./loop.js";
import type { PilotRecord } from "./pilot.js";
import type { EpochEvaluation, TrainingSession } from "./session.js";
import { type RecorderState, StepRecorder } from "./step_recorder.js";
import { EventFile } from "./tensorboard.js";

/** Options of `TrainingJournal`. */
export interface JournalOptions {
  /** Folder for event files of TensorBoard. Undefined for none. */
  readonly tensorboard?: string | undefined;
  /** Called for each step, after the journal has recorded it. */
  readonly onProgress?: ((state: TrainingState) => void) | undefined;
  /** Called if the event file cannot be written. Training goes on. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/** What a journal remembers. */
export interface JournalState extends RecorderState {
  readonly pilot?: PilotRecord | undefined;
}

/** An epoch that was trained and compared with those before it. */
type Epoch = TrainedEpoch & EpochEvaluation;

/** What a training has come to. */
export interface TrainingOutcome {
  readonly epochs: readonly Epoch[];
  /** The epoch whose weights were kept. */
  readonly kept: Epoch;
  /** The evaluation on the test log. */
  readonly test: Evaluation | undefined;
  /** Seconds that it took. */
  readonly testSeconds: number;
}

/**
 * Records a training while it runs: its steps, the seconds of its parts, and event files for TensorBoard. Create it
 * before the session is opened, since that counts as well.
 */
export class TrainingJournal {
  /** The pilot that measured the number of epochs. */
  pilot: PilotRecord | undefined;
  readonly #options: JournalOptions;
  readonly #recorder = new StepRecorder();
  readonly #created = performance.now();
  #opening = 0;
  /** Seconds of the steps that ran before this journal began. */
  #earlierSeconds = 0;
  /** The point before the next one. */
  #before: Pick<StepRecord, "samples" | "seconds"> = { samples: 0, seconds: 0 };
  /** Seconds that this process has spent on evaluating epochs. */
  #evaluation = 0;
  #events: EventFile | undefined;

  constructor(options: JournalOptions) {
    this.#options = options;
  }

  /** Starts to record the steps of a session that was just opened. Throws ERR_FILE if no event file can be created. */
  async begin({ config, position }: TrainingSession): Promise<void> {
    this.#opening = this.#elapsed;
    this.#earlierSeconds = position.seconds;
    this.#before = position;
    const { tensorboard } = this.#options;
    if (tensorboard === undefined) return;
    this.#events = await EventFile.open(tensorboard, position.step);
    const rows = Object.entries(config).map(([key, value]) => `| ${key} | ${JSON.stringify(value)} |`);
    this.#events.addText(position.step, "configuration", ["| key | value |", "|---|---|", ...rows].join("\n"));
  }

  /** What the journal of a training that goes on needs to know. Plain data. */
  get state(): JournalState {
    return { ...this.#recorder.state, ...(this.pilot && { pilot: this.pilot }) };
  }

  /** Goes on from the journal of the same training. Call it before `begin`. */
  restore(state: JournalState): void {
    this.#recorder.restore(state);
    this.pilot = state.pilot;
  }

  /** Records a step. */
  readonly addStep = (state: TrainingState): void => {
    const point = this.#recorder.add(state);
    if (point) this.#addPoint(point);
    this.#options.onProgress?.(state);
  };

  #addPoint(point: StepRecord): void {
    const { step, loss, learningRate, samples, seconds } = point;
    const speed = (samples - this.#before.samples) / (seconds - this.#before.seconds);
    this.#before = point;
    this.#events?.addScalars(step, { loss, learning_rate: learningRate, samples_per_second: speed });
  }

  /** Records an epoch. */
  async addEpoch({ step, loss, validation, evaluationSeconds = 0 }: Epoch): Promise<void> {
    this.#evaluation += evaluationSeconds;
    if (!this.#events) return;
    this.#events.addScalars(step, { "epoch/loss": loss, ...(validation && scalarsOf("validation", validation)) });
    await this.#flush();
  }

  /** Writes `history.json` into the model folder. The training may be finished once more, with its test. */
  async finish(folder: string, session: TrainingSession, outcome: TrainingOutcome): Promise<void> {
    const { position, config, steps, engine, profile, dataset, startRecord } = session;
    const { epochs, kept, test, testSeconds } = outcome;
    if (test && this.#events) this.#events.addScalars(position.step, scalarsOf("test", test));
    const points = this.#recorder.points;
    const waiting = points.reduce((sum, { secondsWaited }) => sum + secondsWaited, 0);
    const ofEpochs = epochs.reduce((sum, { evaluationSeconds = 0 }) => sum + evaluationSeconds, 0);
    const running = position.seconds - this.#earlierSeconds;
    const seconds = {
      opening: this.#opening,
      steps: position.seconds - waiting,
      waiting,
      evaluation: ofEpochs + testSeconds,
      saving: Math.max(0, this.#elapsed - this.#opening - running - this.#evaluation - testSeconds),
    };
    const history: TrainingHistory = {
      epochs: epochs.map(epochRecordOf),
      keptEpoch: kept.epoch,
      ended: position.step < steps ? "patience" : "all-steps",
      configuredEpochs: config.epochs,
      ...(this.pilot && { pilot: this.pilot }),
      validation: kept.validation,
      test,
      dataset: datasetRecordOf(dataset),
      from: startRecord,
      seconds,
      threads: engine.threads,
      isa: engine.isa,
      profile,
      steps: points,
    };
    await writeHistory(folder, history);
  }

  /** Closes the event file. */
  async close(): Promise<void> {
    const events = this.#events;
    if (!events) return;
    await this.#flush();
    this.#events = undefined;
    await events.close().catch(() => undefined);
  }

  get #elapsed(): number {
    return (performance.now() - this.#created) / 1000;
  }

  /** Writes the event file. If that fails, it warns and writes no further events. */
  async #flush(): Promise<void> {
    await this.#events?.flush().catch(async (error: Error) => {
      this.#options.onWarning?.(`${error.message}. Training goes on without event files`);
      await this.#events?.close().catch(() => undefined);
      this.#events = undefined;
    });
  }
}

/** The numbers of an evaluation for TensorBoard. The baselines stand beside the model, under names of their own. */
function scalarsOf(name: string, evaluation: Evaluation): Record<string, number> {
  const { popularity, transitions, coverage } = evaluation;
  const metrics = (prefix: string, { hitRate, ndcg, mrr }: RankingMetrics) => ({
    ...byLength(`${prefix}/hit_rate_at_`, hitRate),
    ...byLength(`${prefix}/ndcg_at_`, ndcg),
    [`${prefix}/mrr`]: mrr,
  });
  return {
    ...metrics(name, evaluation),
    ...byLength(`${name}/coverage_at_`, coverage),
    ...metrics(`${name}_popularity`, popularity),
    ...(transitions && metrics(`${name}_transitions`, transitions)),
  };
}

function byLength(prefix: string, values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([length, value]) => [prefix + length, value]));
}

function datasetRecordOf({ clicks, vocabularies, newItems, logs, preparation }: Dataset): DatasetRecord {
  const vocabularySizes = Object.fromEntries([...vocabularies].map(([name, { size }]) => [name, size]));
  return { users: clicks.users, clicks: clicks.clicks, vocabularySizes, newItems, logs, preparation };
}
