import { describeValue, nearestName, ShortlistError } from "../../errors.js";

/**
 * The value of a user feature. A categorical feature takes a string, one with several values an array of strings, a
 * number feature a finite number, and past searches an array of the queries, oldest first. Null, undefined and the words
 * that the schema lists as missing mean that the value is missing.
 */
export type FeatureValue = string | number | null | undefined | readonly (string | null)[];

/**
 * The value of a field of a click: a string; for a field with several values, an array of strings; for the time, the
 * weight or another number of the click, a number. Null means that the value is missing. If an attribute is left out or
 * undefined, it is the one that the item had in the training log.
 */
export type ClickValue = string | number | null | undefined | readonly (string | null)[];

/**
 * A click of a user's history: the token of the item, or an object with the fields of the schema's clicks, of which
 * only the item is required.
 */
export type ClickRequest = string | Readonly<Record<string, ClickValue>>;

/** A user to make a shortlist for. Users without features or without a history are possible. */
export interface UserRequest {
  /** The user's features by name (default: all are missing). The user's id is the feature `user_id`. */
  readonly features?: Readonly<Record<string, FeatureValue>> | undefined;
  /** The user's clicks, oldest first (default: none). */
  readonly history?: readonly ClickRequest[] | undefined;
}

/** A value of a request that the model does not know. The model reads it as `<unk>`. */
export interface UnknownValue {
  /** Where the value stands in the request, such as `features.city`, `history[3].item` or `allow[0]`. */
  readonly field: string;
  /** The value. */
  readonly value: string;
}

/** Returns ERR_REQUEST for a field, such as `history[3].category`. */
export function requestError(field: string, expected: string, received: unknown): ShortlistError {
  return new ShortlistError(
    "ERR_REQUEST",
    `Expected ${field} to be ${expected} but received ${describeValue(received)}`,
  );
}

/** Returns ERR_REQUEST for a name that is none of `names`, with the closest one. `what` is such as "feature". */
export function unknownFieldError(what: string, name: string, where: string, names: readonly string[]): ShortlistError {
  const nearest = nearestName(name, names);
  const hint = nearest
    ? `Did you mean "${nearest}"?`
    : names.length > 0
      ? `Expected ${names.join(", ")}`
      : `The model has none`;
  return new ShortlistError("ERR_REQUEST", `Unknown ${what} ${describeValue(name)} in ${where}. ${hint}`);
}

/** Whether a value is an object of fields: no array, and no Map, Date or other collection. */
export function hasFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && Object.prototype.toString.call(value) === "[object Object]";
}

/** Throws ERR_REQUEST unless the value is an array. */
export function expectArray(value: unknown, field: string, of: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw requestError(field, `an array of ${of}`, value);
}

/** Throws ERR_REQUEST unless the value is a string that UTF-8 can hold. */
export function expectText(value: unknown, field: () => string, expected = "a string"): string {
  if (typeof value !== "string") throw requestError(field(), expected, value);
  if (!isWellFormed(value)) throw requestError(field(), "text without halves of surrogate pairs", value);
  return value;
}

/** Whether UTF-8 can hold a string: it has no half of a surrogate pair. */
export function isWellFormed(text: string): boolean {
  // Node has had the method since version 20; TypeScript's library has it for later targets only.
  return (text as unknown as { isWellFormed(): boolean }).isWellFormed();
}
