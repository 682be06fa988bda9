import { parseJson, readText } from "../data/files.js";
import { ShortlistError } from "../errors.js";
import { checkSetting } from "../model/config.js";
import { RandomStream, STREAMS } from "../random/philox.js";

/**
 * The distribution of a configuration key: one of `values`, or a number from `min` to `max`, of which either the value
 * or its logarithm is uniform.
 */
export type Choice =
  | { readonly values: readonly unknown[] }
  | { readonly min: number; readonly max: number; readonly scale: "linear" | "log"; readonly integer: boolean };

/** What to draw for each configuration key. Entries of a map have a dot: `embeddingWidths.item`. */
export type SearchSpace = Readonly<Record<string, Choice>>;

/** The configuration keys that were drawn for a trial, with their values. */
export type Settings = Readonly<Record<string, unknown>>;

/** Number of significant digits of drawn numbers. */
const DIGITS = 4;
/** Number of repeated draws after which all settings of the space count as drawn. */
const TRIES = 1000;

/** Throws ERR_OPTION unless `space` has the form that `parseSpace` returns. */
export function checkSpace(space: unknown): void {
  const isChoice = (choice: unknown) =>
    isObject(choice) && (Array.isArray(choice["values"]) || (Number.isFinite(choice["min"]) && "scale" in choice));
  if (isObject(space) && Object.keys(space).length > 0 && Object.values(space).every(isChoice)) return;
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected space to be a search space, as parseSpace or readSpace gives it, but received ${JSON.stringify(space)}`,
  );
}

/** Reads a search space from a JSON file; see `parseSpace`. Throws ERR_CONFIG or ERR_FILE. */
export async function readSpace(path: string): Promise<SearchSpace> {
  return parseSpace(parseJson(await readText(path), path, "ERR_CONFIG"), path);
}

/**
 * Checks a search space given as plain data:
 *
 *     {
 *       "loss": ["nce", "sampled_softmax"],
 *       "embeddingWidths.item": [32, 64],
 *       "learningRate": { "min": 0.0005, "max": 0.02, "scale": "log" },
 *       "draws": { "min": 32, "max": 1024, "integer": true }
 *     }
 *
 * The default scale is "linear". The number of epochs cannot be searched, since the rungs of the search determine it.
 * Throws ERR_CONFIG with a message that starts with `source`.
 */
export function parseSpace(value: unknown, source = "space"): SearchSpace {
  const fail = (problem: string): never => {
    throw new ShortlistError("ERR_CONFIG", `${source}: ${problem}`);
  };
  if (!isObject(value) || Object.keys(value).length === 0) {
    return fail(
      `Expected an object from configuration keys to what may be drawn but received ${JSON.stringify(value)}`,
    );
  }
  const space: Record<string, Choice> = {};
  for (const [key, candidate] of Object.entries(value)) {
    if (key === "epochs") fail(`"epochs" cannot be searched: the rungs of the search have epochs of their own`);
    const choice = parseChoice(candidate, (expected) =>
      fail(`Expected "${key}" to be ${expected} but received ${JSON.stringify(candidate)}`),
    );
    for (const end of "values" in choice ? choice.values : [choice.min, choice.max]) {
      try {
        checkSetting(key, end);
      } catch (error) {
        fail((error as Error).message);
      }
    }
    space[key] = choice;
  }
  return space;
}

function parseChoice(candidate: unknown, fail: (expected: string) => never): Choice {
  if (Array.isArray(candidate)) return candidate.length > 0 ? { values: candidate } : fail("a list that is not empty");
  const keys = ["min", "max", "scale", "integer"];
  if (!isObject(candidate) || Object.keys(candidate).some((key) => !keys.includes(key))) {
    return fail('a list of values, or {"min": …, "max": …} with "scale" and "integer" where wanted');
  }
  const { min, max, scale = "linear", integer = false } = candidate;
  const isNumber = integer ? Number.isSafeInteger : Number.isFinite;
  if (typeof integer !== "boolean") fail('a range whose "integer" is true or false');
  if (!isNumber(min) || !isNumber(max) || !((min as number) < (max as number))) {
    fail(`a range whose "min" is below its "max", both ${integer ? "whole " : ""}numbers`);
  }
  if (scale !== "linear" && scale !== "log") fail('a range whose "scale" is "linear" or "log"');
  if (scale === "log" && (min as number) <= 0) fail('a range whose "min" is above 0 where its "scale" is "log"');
  return { min, max, scale, integer } as Choice;
}

/**
 * Draws `trials` distinct settings; fewer if the space has no more. The same seed gives the same settings, and more
 * trials extend the list of fewer.
 */
export function drawTrials(space: SearchSpace, trials: number, seed: number): Settings[] {
  const drawn = new Map<string, Settings>();
  for (let trial = 0; trial < trials; trial++) {
    const random = new RandomStream(seed, STREAMS.tune, [trial, 0, 0]);
    for (let tries = 0; tries < TRIES && drawn.size === trial; tries++) {
      const settings = Object.fromEntries(Object.entries(space).map(([key, choice]) => [key, draw(choice, random)]));
      drawn.set(JSON.stringify(settings), settings);
    }
    if (drawn.size === trial) break;
  }
  return [...drawn.values()];
}

function draw(choice: Choice, random: RandomStream): unknown {
  if ("values" in choice) return choice.values[random.below(choice.values.length)];
  const { min, max, scale, integer } = choice;
  const [from, to] = [min, integer ? max + 1 : max];
  const share = random.uniform();
  const value = scale === "log" ? from * (to / from) ** share : from + (to - from) * share;
  return Math.min(max, Math.max(min, integer ? Math.floor(value) : Number(value.toPrecision(DIGITS))));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
