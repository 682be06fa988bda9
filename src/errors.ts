/**
 * The codes of all errors that Shortlist throws on purpose. A code is stable; the message may change. `docs/errors.md`
 * explains each code, and a test checks that it lists all of them.
 */
export const ERROR_CODES = {
  ERR_ACCESS: "A request to a service lacks its token.",
  ERR_BUSY: "Another run is writing the same output.",
  ERR_CHECKPOINT:
    "A checkpoint of a training is damaged, or an output folder holds an unfinished training that must not be lost.",
  ERR_CONFIG: "A model or schema configuration has an unknown key, a wrong type or an impossible value.",
  ERR_DATASET: "A dataset folder is missing, incomplete or does not fit what is asked of it.",
  ERR_DEPENDENCY: "An optional package that this needs is not installed.",
  ERR_DIVERGED: "A number is not finite where training, or a trained model, is to go on with it.",
  ERR_EXECUTOR: "An executor could not be loaded or created, or was used after it was closed.",
  ERR_EXPORT: "A model has a part that the format to export cannot express.",
  ERR_FILE: "A file or folder cannot be read or written.",
  ERR_GRAPH: "A graph was built wrongly: an operand is missing or its dtype, rank or shape does not fit the op.",
  ERR_INDEX: "An index is missing, damaged, of another model, or misses too many of the best items to be published.",
  ERR_INPUT: "A run was given a tensor that is missing, has the wrong length, or holds an id or range out of bounds.",
  ERR_INTERNAL: "A service failed to answer a request through a fault of its own.",
  ERR_LOG: "A click log holds a line that cannot be read, or nothing that can be used.",
  ERR_MODEL: "A model folder is missing, incomplete, cut short or does not fit its own Program.",
  ERR_OPTION: "A command-line or library option has an impossible value.",
  ERR_OVERLOAD: "A service has too many requests to answer another one in time.",
  ERR_PROGRAM:
    "A Program is malformed: an unknown op, an undefined tensor, a missing operand, an operand that does not fit its op, or an index that nothing proves.",
  ERR_REQUEST: "A request has a field that the model does not have, or a value of another type than the field's.",
  ERR_TABLE: "A table cannot be read, or what its columns mean cannot be told.",
  ERR_TIMEOUT: "A service could not answer a request in the time that it allows.",
  ERR_VOCABULARY: "A vocabulary is empty or malformed.",
} as const;

/** The code of a `ShortlistError`. */
export type ErrorCode = keyof typeof ERROR_CODES;

/**
 * An error that Shortlist throws on purpose. The message says what was expected, what was received, where, and how to
 * fix it if there is a fix. The code is one of `ERROR_CODES`.
 */
export class ShortlistError extends Error {
  /** Always "ShortlistError". */
  override readonly name = "ShortlistError";
  /** The kind of error. Unlike the message, it is stable. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Returns the member of `names` that is closest to `name` by edit distance, for "did you mean" hints, or undefined if
 * none is close.
 */
export function nearestName(name: string, names: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 2)) + 1;
  for (const candidate of names) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substitution, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}

/** Throws ERR_OPTION unless `value` is an integer from `min` to `max`. */
export function checkWholeNumber(name: string, value: number, min: number, max = Number.MAX_SAFE_INTEGER): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  const limits = max < Number.MAX_SAFE_INTEGER ? `from ${min} to ${max}` : `of at least ${min}`;
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected ${name} to be a whole number ${limits} but received ${describeValue(value)}`,
  );
}

/**
 * The names of a function's options. Declare it as `Record<keyof Options, true>`, so that the compiler reports a name
 * that is missing here or in the interface.
 */
export type OptionNames = Readonly<Record<string, true>>;

/**
 * Throws ERR_OPTION if `options` is not an object, or has a key that is not in `names`; the message suggests the
 * closest valid one. `what` is the function's name, for the message.
 */
export function checkOptions(what: string, options: object, names: OptionNames): void {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new ShortlistError(
      "ERR_OPTION",
      `${what}: Expected an object of options but received ${Array.isArray(options) ? "a list" : String(options)}`,
    );
  }
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(names, name));
  if (unknown === undefined) return;
  const nearest = nearestName(unknown, Object.keys(names));
  const hint = nearest ? `Did you mean "${nearest}"?` : `Its options are ${Object.keys(names).join(", ")}`;
  throw new ShortlistError("ERR_OPTION", `${what}: Unknown option "${unknown}". ${hint}`);
}

/** Throws ERR_OPTION unless `value` is a string that can be a path. */
export function checkPath(name: string, value: unknown): void {
  if (typeof value === "string" && value !== "" && !value.includes("\0")) return;
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected ${name} to be a path but received ${typeof value === "string" ? JSON.stringify(value) : String(value)}`,
  );
}

/** Throws ERR_OPTION unless `values` is a list of strings that can be paths. */
export function checkPaths(name: string, values: unknown): void {
  if (!Array.isArray(values)) {
    throw new ShortlistError("ERR_OPTION", `Expected ${name} to be a list of paths but received ${String(values)}`);
  }
  for (const value of values) checkPath(`each of ${name}`, value);
}

/** Throws ERR_OPTION unless `signal` is an AbortSignal or undefined. */
export function checkSignal(signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return;
  throw new ShortlistError("ERR_OPTION", `Expected signal to be an AbortSignal but received ${kindOf(signal)}`);
}

/** The kind of a value, for messages about values that may be of any type. */
function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

const LONGEST_QUOTE = 60;

/** A value of any type as text for messages. */
export function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") {
    const quoted = JSON.stringify(value.slice(0, LONGEST_QUOTE));
    return value.length > LONGEST_QUOTE ? `${quoted}… (${value.length} characters)` : quoted;
  }
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  return typeof value === "bigint" ? `${value}n` : kindOf(value);
}

/** Throws ERR_OPTION unless `value` is one of `choices`. */
export function checkChoice(name: string, value: unknown, choices: readonly (string | boolean)[]): void {
  if (choices.includes(value as string | boolean)) return;
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected ${name} to be ${choices.join(" or ")} but received ${describeValue(value)}`,
  );
}
