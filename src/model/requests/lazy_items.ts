import { inspect } from "node:util";
import type { Recommendation, RecommendedByModel, UserAnswer } from "./answers.js";

/** Makes the items of an answer. */
export type MakeItems = () => readonly RecommendedByModel[];

/** The items of an answer, or how to make them. */
const ITEMS = Symbol("items");

interface LazyAnswer {
  [ITEMS]: readonly RecommendedByModel[] | MakeItems;
}

// All answers share these properties, so that V8 gives them one shape.
const GETTER: PropertyDescriptor & ThisType<LazyAnswer> = {
  enumerable: true,
  configurable: true,
  get() {
    const items = this[ITEMS];
    if (typeof items !== "function") return items;
    const made = items();
    this[ITEMS] = made;
    return made;
  },
};

/** What is printed has the items instead of the getter. */
const SHOWN: PropertyDescriptor & ThisType<Recommendation> = {
  value() {
    return { ...this };
  },
};

/**
 * An answer whose items are made when they are first read. The answers to hundreds of users would otherwise be a
 * hundred thousand objects, which V8 copies while the event loop waits, for 5 to 15 ms at a time. Copies of the answer,
 * its JSON and comparisons have the items as any other member.
 */
export function withLazyItems({ known, unknown }: UserAnswer, makeItems: MakeItems): Recommendation {
  const answer = Object.defineProperty({}, "items", GETTER) as { known?: boolean; unknown?: UserAnswer["unknown"] };
  answer.known = known;
  answer.unknown = unknown;
  Object.defineProperty(answer, ITEMS, { value: makeItems, writable: true });
  return Object.defineProperty(answer, inspect.custom, SHOWN) as Recommendation;
}
