import { ShortlistError } from "../errors.js";

/** How well targets are ranked; each metric is from 0 to 1 (docs/math.md#evaluation). */
export interface RankingMetrics {
  /** For each K, the fraction of users whose target has a rank of at most K. */
  readonly hitRate: Readonly<Record<string, number>>;
  /** For each K, the mean of 1 / log₂(1 + rank) over all users, where ranks above K contribute 0. */
  readonly ndcg: Readonly<Record<string, number>>;
  /** Mean of 1 / rank over all users, where a miss contributes 0. */
  readonly mrr: number;
}

/**
 * The member "training" of `config.json` in a model folder: how the model was trained. Unknown members are undefined.
 */
export interface TrainingRecord {
  /** Name of the preset. */
  readonly preset?: string | undefined;
  /** Seed of all random numbers. */
  readonly seed?: number | undefined;
  /** Number of epochs that were run; not an integer if the last one is incomplete. */
  readonly epochs?: number | undefined;
  /** Number of steps that were run. */
  readonly steps?: number | undefined;
  /** Number of samples over all steps. */
  readonly samples?: number | undefined;
  /** Mean loss per sample in the last epoch. */
  readonly loss?: number | undefined;
  /** "last" if the last click of each user with at least two clicks was held out from training. */
  readonly heldOut?: typeof LAST_CLICKS | undefined;
  /** The evaluation of the epoch whose weights the model has. Undefined if that epoch was not evaluated. */
  readonly validation?: RankingMetrics | undefined;
  /** Number of items that the model was extended with. They were never trained on. */
  readonly extendedItems?: number | undefined;
  /** The id of the dataset that the model was trained on last. */
  readonly dataset?: string | undefined;
  /** How often training went on from an earlier model. Undefined if the model was trained from nothing. */
  readonly updates?: number | undefined;
}

/** Value of `heldOut` if each user's last click was held out. */
export const LAST_CLICKS = "last";

type Kind = "text" | "number" | "count" | "last" | "metrics";

const FIELDS: Readonly<Record<keyof TrainingRecord, Kind>> = {
  preset: "text",
  seed: "count",
  epochs: "number",
  steps: "count",
  samples: "count",
  loss: "number",
  heldOut: "last",
  validation: "metrics",
  extendedItems: "count",
  dataset: "text",
  updates: "count",
};

const EXPECTATIONS: Readonly<Record<Kind, string>> = {
  text: "a text",
  number: "a number",
  count: "a whole number",
  last: `"${LAST_CLICKS}"`,
  metrics: "an object with hitRate and ndcg by list length, and mrr",
};

/**
 * Parses the member "training" of a `config.json`. The member may be missing, and its unknown members are ignored.
 * Throws ERR_MODEL that says what is wrong.
 */
export function parseTrainingRecord(value: unknown, path: string): TrainingRecord {
  if (value === undefined) return {};
  const fail = (name: string, expected: string, received: unknown): never => {
    throw new ShortlistError(
      "ERR_MODEL",
      `${path}: Expected ${name} to be ${expected} but received ${JSON.stringify(received)}`,
    );
  };
  if (!isObject(value)) return fail('"training"', "an object", value);
  const record: Record<string, unknown> = {};
  for (const [name, kind] of Object.entries(FIELDS)) {
    if (!Object.hasOwn(value, name)) continue;
    if (!fits(kind, value[name])) fail(`"training.${name}"`, EXPECTATIONS[kind], value[name]);
    record[name] = value[name];
  }
  return record;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fits(kind: Kind, value: unknown): boolean {
  switch (kind) {
    case "text":
      return typeof value === "string";
    case "number":
      return typeof value === "number";
    case "count":
      return Number.isSafeInteger(value) && (value as number) >= 0;
    case "last":
      return value === LAST_CLICKS;
    case "metrics":
      return (
        isObject(value) && areNumbers(value["hitRate"]) && areNumbers(value["ndcg"]) && typeof value["mrr"] === "number"
      );
  }
}

function areNumbers(value: unknown): boolean {
  return isObject(value) && Object.values(value).every((number) => typeof number === "number");
}
