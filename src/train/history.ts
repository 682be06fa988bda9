import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Preparation } from "../data/dataset.js";
import { hasCode, parseJson, replaceFile } from "../data/files.js";
import type { LogReport } from "../data/sources/read_log.js";
import { type JsonObject, migrate, type StoredFormat } from "../data/stored_format.js";
import { ShortlistError } from "../errors.js";
import { HISTORY } from "../model/model.js";
import type { RankingMetrics } from "../model/training_record.js";
import type { Evaluation } from "./evaluate.js";
import type { TrainedEpoch } from "./loop.js";
import { rankingOf } from "./metrics.js";
import type { PilotRecord } from "./pilot.js";
import type { TrainingProfile } from "./profile.js";
import type { EpochEvaluation } from "./session.js";

/** A point of the record of steps. It stands for the steps since the point before it. */
export interface StepRecord {
  /** Number of steps that were run. */
  readonly step: number;
  /** Mean loss per sample of the steps of this point. */
  readonly loss: number;
  /** Learning rate of the last of them. */
  readonly learningRate: number;
  /** Number of samples over all steps so far. */
  readonly samples: number;
  /** Seconds spent in training steps so far. */
  readonly seconds: number;
  /** Seconds of the steps of this point that were spent waiting for batches. */
  readonly secondsWaited: number;
}

/** The record of an epoch. */
export interface EpochRecord extends TrainedEpoch {
  /** The evaluation on the validation clicks. Undefined without validation. */
  readonly validation?:
    | (RankingMetrics & Pick<Evaluation, "coverage"> & { readonly popularity: RankingMetrics })
    | undefined;
  /** Seconds that this evaluation took. */
  readonly evaluationSeconds?: number | undefined;
}

export function epochRecordOf({ validation, best: _, ...trained }: TrainedEpoch & EpochEvaluation): EpochRecord {
  if (!validation) return trained;
  const { coverage, popularity } = validation;
  return { ...trained, validation: { ...rankingOf(validation), coverage, popularity } };
}

/** What a model was trained on. */
export interface DatasetRecord {
  /** Number of users. */
  readonly users: number;
  /** Number of clicks, held-out ones included. */
  readonly clicks: number;
  /** Size of each vocabulary, including `<unk>`. */
  readonly vocabularySizes: Readonly<Record<string, number>>;
  /** Number of items without a click. */
  readonly newItems: number;
  /** Base name and number of lines of each log that the dataset was prepared from. */
  readonly logs: LogReport["files"];
  /** What was left out while the dataset was prepared. Undefined if an older version prepared it. */
  readonly preparation?: Preparation | undefined;
}

/** The model from which a training went on. */
export interface StartRecord {
  /** Base name of its folder. */
  readonly name: string;
  /** Its id. Undefined in folders of older versions. */
  readonly id?: string | undefined;
  /** How often training had gone on from an earlier model before. */
  readonly updates: number;
  /** Whether it had the state of the optimizer. */
  readonly hasState: boolean;
  /** Number of earlier clicks of a user that were trained on for each new one. Undefined, as 0, in older records. */
  readonly replay?: number | undefined;
}

/** Seconds of a training by what they were spent on. */
export interface TrainingSeconds {
  /** Opening the dataset and creating the network; the last time, if the training was interrupted. */
  readonly opening: number;
  /** Training steps, without waiting for batches. */
  readonly steps: number;
  /** Waiting for batches. */
  readonly waiting: number;
  /** Evaluating epochs and the finished model. */
  readonly evaluation: number;
  /** Everything else: saving models, and bringing them up to date; since the last interruption. */
  readonly saving: number;
}

/** The record of a training, of which reports are made: `history.json` in a model folder. */
export interface TrainingHistory {
  /** The steps, as at most about 1,000 points. */
  readonly steps: readonly StepRecord[];
  /** The epochs. The last one may be incomplete. */
  readonly epochs: readonly EpochRecord[];
  /** Number of the epoch whose weights were kept, from 1. */
  readonly keptEpoch: number;
  /** Why training ended: all its steps were run, or `patience` epochs in a row were not better. */
  readonly ended: "all-steps" | "patience";
  /** Number of epochs of the configuration. */
  readonly configuredEpochs: number;
  /** The training that measured this number. Undefined unless `targetEpochs` is "auto". */
  readonly pilot?: PilotRecord | undefined;
  /** The evaluation of the kept epoch on the validation clicks. Undefined without validation. */
  readonly validation?: Evaluation | undefined;
  /** The evaluation of the finished model on the test log. Undefined without one. */
  readonly test?: Evaluation | undefined;
  readonly dataset: DatasetRecord;
  /** The model from which training went on. Undefined if it began from nothing. */
  readonly from?: StartRecord | undefined;
  readonly seconds: TrainingSeconds;
  /** Number of threads of the kernels. */
  readonly threads: number;
  /** Instruction set of the kernels. */
  readonly isa: string;
  /** The time of each instruction. Undefined without the option `profile`. */
  readonly profile?: TrainingProfile | undefined;
}

const HISTORY_FORMAT: StoredFormat = {
  name: "shortlist-history",
  version: 1,
  code: "ERR_MODEL",
  remake: "train the model again",
  migrations: [],
};

/** Writes the record of a training into its model folder. */
export async function writeHistory(folder: string, history: TrainingHistory): Promise<void> {
  const { name: format, version } = HISTORY_FORMAT;
  const { steps, ...rest } = history;
  const columns = Object.fromEntries(COLUMNS.map((name) => [name, steps.map((point) => rounded(point[name]))]));
  const members = Object.entries({ format, version, ...rest, columns }).filter(([, value]) => value !== undefined);
  // Each member in one line: with a line for each number, the file would be three times as large.
  const lines = members.map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  await replaceFile(join(folder, HISTORY), (file) => file.writeFile(`{\n${lines.join(",\n")}\n}\n`));
}

const COLUMNS = [
  "step",
  "loss",
  "learningRate",
  "samples",
  "seconds",
  "secondsWaited",
] as const satisfies readonly (keyof StepRecord)[];

/** Seven digits, as a float32 has. */
function rounded(value: number): number {
  return Number.isSafeInteger(value) ? value : Number(value.toPrecision(7));
}

/**
 * Reads the record of the training of a model folder. Returns undefined if the folder has none, because an older version
 * of Shortlist wrote it or it is the result of `extend`. Throws ERR_MODEL if the record cannot be read.
 */
export async function readHistory(folder: string): Promise<TrainingHistory | undefined> {
  const path = join(folder, HISTORY);
  const text = await readFile(path, "utf8").catch((error) => {
    if (hasCode(error, "ENOENT")) return undefined;
    throw new ShortlistError("ERR_MODEL", `Cannot read ${path}: ${(error as Error).message}`, { cause: error });
  });
  if (text === undefined) return undefined;
  const stored = parseJson(text, path, "ERR_MODEL");
  if (typeof stored !== "object" || stored === null) {
    throw new ShortlistError("ERR_MODEL", `${path}: Expected a JSON object`);
  }
  const { columns, ...rest } = migrate(stored as JsonObject, HISTORY_FORMAT, path) as unknown as StoredHistory;
  const steps = columns.step.map((_, i) => Object.fromEntries(COLUMNS.map((name) => [name, columns[name][i]!])));
  return { ...rest, steps: steps as unknown as StepRecord[] };
}

type StoredHistory = Omit<TrainingHistory, "steps"> & {
  readonly columns: Readonly<Record<(typeof COLUMNS)[number], readonly number[]>>;
};
