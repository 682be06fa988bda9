import { escapeTabs } from "../data/escapes.js";
import type { PopularItem, SimilarItems } from "./mine.js";
import type { Shortlist } from "./recommend.js";

/** What the functions that mine yield. */
export type MinedList = Shortlist | SimilarItems | PopularItem;

/**
 * The line of a list in a file, without its end. "jsonl" is the list as JSON. "text" is a user or item, a tab, and
 * item:number,item:number,… with the probability (the score, if it was found by an index) or the similarity; for a
 * popular item, its clicks, a tab and its share. A tab of the user or item at the start is written as \t.
 */
export function minedLine(list: MinedList, format: "jsonl" | "text"): string {
  if (format === "jsonl") return JSON.stringify(list);
  if ("clicks" in list) return `${escapeTabs(list.item)}\t${list.clicks}\t${list.share.toFixed(6)}`;
  if ("similar" in list) {
    return `${escapeTabs(list.item)}\t${list.similar.map(({ item, similarity }) => `${item}:${similarity.toFixed(6)}`).join(",")}`;
  }
  const items = list.items.map(({ item, score, probability }) => `${item}:${(probability ?? score).toFixed(6)}`);
  return `${escapeTabs(list.user)}\t${items.join(",")}`;
}
