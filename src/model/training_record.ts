import { ShortlistError } from "../errors.js";

/** How well targets are ranked, from 0 to 1 (docs/math.md#evaluation). */
export interface RankingMetrics {
  /** The share of users whose target is among the first K, by K. */
  readonly hitRate: Readonly<Record<string, number>>;
  /** The mean of 1 / log₂(1 + rank) of the targets among the first K, and 0 of the others, by K. */
  readonly ndcg: Readonly<Record<string, number>>;
  /** The mean of 1 / rank; 0 of a miss. */
  readonly mrr: number;
}

/**
 * What `config.json` of a model folder keeps under "training": how the weights came to be. Each is there where it is
 * known.
 */
export interface TrainingRecord {
  /** The name of the preset. */
  readonly preset?: string | undefined;
  /** The seed of everything random. */
  readonly seed?: number | undefined;
  /** Passes over the dataset, the last one perhaps in part. */
  readonly passes?: number | undefined;
  /** Steps that were run. */
  readonly steps?: number | undefined;
  /** Samples of all steps. */
  readonly samples?: number | undefined;
  /** Mean loss per sample in the last pass. */
  readonly loss?: number | undefined;
  /** "last": each user's last click was held out from training, where the user has at least two. */
  readonly heldOut?: typeof LAST_CLICKS | undefined;
  /** Of the pass whose model it is, where it was evaluated. */
  readonly validation?: RankingMetrics | undefined;
  /** Items that the model was extended with; they were never trained on. */
  readonly extendedItems?: number | undefined;
}

/** Says in a training record that each user's last click was held out. */
export const LAST_CLICKS = "last";

type Kind = "text" | "number" | "count" | "last" | "metrics";

const FIELDS: Readonly<Record<keyof TrainingRecord, Kind>> = {
  preset: "text",
  seed: "count",
  passes: "number",
  steps: "count",
  samples: "count",
  loss: "number",
  heldOut: "last",
  validation: "metrics",
  extendedItems: "count",
};

const EXPECTATIONS: Readonly<Record<Kind, string>> = {
  text: "a text",
  number: "a number",
  count: "a whole number",
  last: `"${LAST_CLICKS}"`,
  metrics: "an object with hitRate and ndcg by list length, and mrr",
};

/**
 * Reads "training" of a `config.json`, which may be missing: members of other names are left out. ERR_MODEL names what
 * is wrong.
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
