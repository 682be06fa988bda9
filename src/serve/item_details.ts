import { valuesOf } from "../data/catalogue.js";
import { Turns } from "../data/turns.js";
import type { Model } from "../model/model.js";
import { lookUpItems } from "../model/requests/candidates.js";
import type { UnknownValue } from "../model/requests/values.js";
import { titleOf } from "../model/titled.js";

/** What a model knows about an item. */
export interface ItemDetails {
  readonly item: string;
  readonly id: number;
  readonly title?: string;
  /** Attributes as of the last click in the training log, by name: a string, or an array of strings; null if missing. */
  readonly attributes: Readonly<Record<string, string | readonly string[] | null>>;
}

/** Returns what a model knows about items, in the given order, and the items that it does not know. */
export async function detailsOf(
  model: Model,
  given: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly items: ItemDetails[]; readonly unknown: UnknownValue[] }> {
  const turns = new Turns(signal);
  const unknown: UnknownValue[] = [];
  const { ids } = await lookUpItems(model.items, given, "items", turns, unknown);
  const items: ItemDetails[] = [];
  for (const id of ids) {
    if (id === 0) continue;
    items.push({ item: model.items.token(id), id, ...titleOf(model, id), attributes: attributesOf(model, id) });
    if (turns.isDue) await turns.take();
  }
  return { items, unknown };
}

function attributesOf({ description: { catalogue = [], vocabularies } }: Model, id: number): ItemDetails["attributes"] {
  return Object.fromEntries(
    catalogue.map((values) => {
      const vocabulary = vocabularies.get(values.name)!;
      const known = Array.from(valuesOf(values, id)).filter((value) => value > 0);
      const tokens = known.map((value) => vocabulary.token(value));
      return [values.name, values.offsets ? tokens : (tokens[0] ?? null)];
    }),
  );
}
