import type { Turns } from "../data/turns.js";
import type { ItemSearch } from "../executors/item_search.js";
import type { Model } from "../model/model.js";
import { joinLists } from "../model/requests/indexed_search.js";
import type { HnswGraph } from "./hnsw.js";
import { type IndexSpace, usersIn } from "./index_space.js";
import type { SpaceFigures } from "./item_index.js";
import { userVectors } from "./simple_lsh.js";

/** Search widths are tried from `top` on, each 2^¼ times the one before, up to this many times `top`. */
const WIDEST = 64;
const STEP = 2 ** 0.25;

/** Users with the best items of each, by which searches are measured. */
export interface Truth {
  /** [users, width] */
  readonly vectors: Float32Array;
  readonly width: number;
  readonly top: number;
  /** [users] The score of the last of the `top` items with the highest scores. */
  readonly lowest: Float32Array;
}

/** Finds the best items of each user by an exact scan. */
export async function findTruth(exact: ItemSearch, vectors: Float32Array, width: number, top: number): Promise<Truth> {
  const { scores } = await exact.search(vectors, top);
  const lowest = Float32Array.from({ length: vectors.length / width }, (_, user) => scores[(user + 1) * top - 1]!);
  return { vectors, width, top, lowest };
}

/**
 * Finds the smallest search width that has the minimum recall, by users in two halves. Each half must reach the
 * minimum, and the recall returned is the lower one, so that a width that suits few users by chance is not taken.
 */
export async function chooseSearchWidth(
  graph: HnswGraph,
  space: IndexSpace,
  exact: ItemSearch,
  truth: Truth,
  minimumRecall: number,
  turns: Turns,
): Promise<SpaceFigures> {
  const widest = Math.min(graph.size, truth.top * WIDEST);
  for (let factor = 1; ; factor *= STEP) {
    const searchWidth = Math.min(widest, Math.ceil(truth.top * factor));
    const recall = Math.min(...(await recallOf(graph, space, exact, truth, searchWidth, turns)));
    if (recall >= minimumRecall || searchWidth === widest) return { space, searchWidth, recall };
  }
}

/** The mean recall of the users with even and with odd numbers. */
async function recallOf(
  graph: HnswGraph,
  space: IndexSpace,
  exact: ItemSearch,
  { vectors, width, top, lowest }: Truth,
  searchWidth: number,
  turns: Turns,
): Promise<[even: number, odd: number]> {
  const queries = usersIn(space, userVectors(vectors, width), width + 1);
  const users = lowest.length;
  const found: Int32Array[] = [];
  for (let user = 0; user < users; user++) {
    const query = queries.subarray(user * graph.width, (user + 1) * graph.width);
    found.push(graph.search(query, searchWidth));
    if (turns.isDue) await turns.take();
  }
  const { scores } = await exact.search(vectors, top, { allow: joinLists(found) });
  const hits = [0, 0];
  for (let i = 0; i < scores.length; i++) {
    const user = Math.floor(i / top);
    // An item with the same score as the last of the best ones is as good.
    if (scores[i]! >= lowest[user]!) hits[user % 2]!++;
  }
  const share = (odd: number) => hits[odd]! / Math.max(1, top * Math.floor((users + 1 - odd) / 2));
  return [share(0), users === 1 ? share(0) : share(1)];
}

/** Number of users that are searched for one after the other to measure a speed. */
const TIMED_USERS = 200;

/** Searches of one user after the other in a second. The first ones, which bring memory into caches, do not count. */
export async function speedOf(
  model: Model,
  { vectors }: Truth,
  search: (vector: Float32Array) => Promise<unknown>,
  signal: AbortSignal | undefined,
): Promise<number> {
  const width = model.description.config.userVectorWidth;
  const users = Math.min(TIMED_USERS, vectors.length / width);
  const run = async () => {
    for (let user = 0; user < users; user++) {
      signal?.throwIfAborted();
      await search(vectors.subarray(user * width, (user + 1) * width));
    }
  };
  await run();
  const start = performance.now();
  await run();
  return users / ((performance.now() - start) / 1000);
}
