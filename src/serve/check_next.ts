import { itemFeatures, type Schema, type UserFeature, userFeatures } from "../data/schema.js";
import { ShortlistError } from "../errors.js";
import type { Model } from "../model/model.js";
import type { CandidateIndex } from "../model/requests/item_index.js";

/** Number of the most popular items that are looked for in the next model. */
const POPULAR = 100;
const [TOP, CLICKS] = [10, 10];

/**
 * Asks a model, perhaps through an index, a few requests that every model can answer: for a stranger, and for a user
 * who clicked the most popular items. Throws ERR_MODEL if an answer is impossible; a score that is not finite is an
 * error of the requests already.
 */
export async function checkRequests(
  model: Model,
  folder: string,
  { index, signal }: { readonly index?: CandidateIndex | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const history = popularItems(model, CLICKS);
  try {
    const answers = await model.recommend([{}, { history }], { top: TOP, keepWatched: true, index, signal });
    const shortest = Math.min(...answers.map(({ items }) => items.length));
    const expected = Math.min(TOP, model.items.size - 1);
    if (shortest === expected && answers[1]!.unknown.length === 0) return;
    throw new ShortlistError("ERR_MODEL", `Expected shortlists of ${expected} known items but received ${shortest}`);
  } catch (cause) {
    signal?.throwIfAborted();
    if (!(cause instanceof ShortlistError)) throw cause;
    throw new ShortlistError("ERR_MODEL", `${folder}: A request that tests the model failed: ${cause.message}`, {
      cause,
    });
  }
}

/**
 * Throws ERR_MODEL if the next model cannot take the place of the one that serves: it lacks a feature or field that
 * requests may have, or it knows none of the most popular items.
 */
export function checkNext(old: Model, next: Model, folder: string): void {
  const fields = fieldsOf(next.description.schema);
  for (const [field, kind] of fieldsOf(old.description.schema)) {
    if (fields.get(field) === kind) continue;
    throw new ShortlistError(
      "ERR_MODEL",
      `${folder}: Expected ${field} to be ${kind}, as requests give it, but the next model has ${fields.get(field) ?? "no such field"}. Start the service anew to change the schema`,
    );
  }
  const popular = popularItems(old, POPULAR);
  if (popular.some((item) => next.items.idOf(item) > 0)) return;
  throw new ShortlistError(
    "ERR_MODEL",
    `${folder}: Expected a model of the same items, but it knows none of the ${popular.length} most popular ones. Start the service anew to serve other items`,
  );
}

/** The items with the smallest ids, which are those with the most clicks in the training log. */
function popularItems({ items }: Model, count: number): string[] {
  return Array.from({ length: Math.min(count, items.size - 1) }, (_, i) => items.token(i + 1));
}

/** What each feature of a user and each field of a click takes. */
function fieldsOf(schema: Schema): Map<string, string> {
  const kindOf = ({ kind, multiple }: Pick<UserFeature, "kind" | "multiple">) => {
    if (kind === "number") return "a number";
    return kind === "tokens" || multiple ? "an array of strings" : "a string";
  };
  return new Map([
    ...userFeatures(schema).map((feature) => [`features.${feature.name}`, kindOf(feature)] as const),
    ...itemFeatures(schema).map(
      ({ name, multiple }) => [`${name} of a click`, multiple ? "an array of strings" : "a string"] as const,
    ),
  ]);
}
