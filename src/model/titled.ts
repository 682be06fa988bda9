import type { Model } from "./model.js";

/** The title of an item as a member of an answer; none if the model knows no title of it. */
export function titleOf({ description }: Model, id: number): { readonly title?: string } {
  const title = description.titles?.titleOf(id);
  return title === undefined ? {} : { title };
}
