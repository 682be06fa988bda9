import type { Turns } from "../../data/turns.js";
import type { FoundItems, ItemLists, ItemSearch } from "../../executors/item_search.js";
import type { Model } from "../model.js";
import type { ExcludedItems } from "../watched.js";
import { hasId } from "./candidates.js";
import type { CandidateIndex } from "./item_index.js";

/** What an indexed search looks for. */
export interface IndexedQuery {
  /** [users, width] The vectors u, row-major. */
  readonly vectors: Float32Array;
  /** Number of items for each vector, at most the number of candidates. */
  readonly top: number;
  /** The items that each vector excludes. */
  readonly excluded: ExcludedItems;
  /** If given, only these items are found; ids in rising order. */
  readonly allow?: Int32Array | undefined;
  readonly turns: Turns;
}

/**
 * Number of items whose exact scan, with a first pass in 8 bits, takes about as long as the search for one candidate:
 * 400 candidates of 60,000 items of width 32 took 0.92 ms, and the scan 0.27 ms (`npm run bench:index`).
 */
const SCANNED_PER_CANDIDATE = 500;

/**
 * Finds items with the highest scores by an index. The index gives candidates; their scores are then computed exactly,
 * with the bits of an exact search. Where filters leave so few items that an exact scan of them is faster, or where
 * they leave too few candidates, the result is that of an exact scan.
 */
export class IndexedSearch {
  readonly #model: Model;
  readonly #exact: ItemSearch;
  readonly #index: CandidateIndex;

  /** `exact` is a search that `openItemSearch` opened. */
  constructor(model: Model, exact: ItemSearch, index: CandidateIndex) {
    this.#model = model;
    this.#exact = exact;
    this.#index = index;
  }

  async search(query: IndexedQuery): Promise<FoundItems> {
    const { vectors, top, turns } = query;
    const width = this.#model.description.config.userVectorWidth;
    const users = vectors.length / width;
    const found = {
      items: new Int32Array(users * top).fill(-1),
      scores: new Float32Array(users * top).fill(-Infinity),
    };
    if (top === 0) return found;
    const scanned: number[] = [];
    const indexed: number[] = [];
    const candidates: Int32Array[] = [];
    for (let user = 0; user < users; user++) {
      const searchWidth = this.#searchWidth(query, user);
      if (searchWidth === undefined) {
        scanned.push(user);
        continue;
      }
      const ids = this.#index.candidates(vectors.subarray(user * width, (user + 1) * width), searchWidth);
      indexed.push(user);
      candidates.push(query.allow ? ids.filter((id) => hasId(query.allow!, id)) : ids);
      if (turns.isDue) await turns.take();
    }
    await this.#find(query, indexed, joinLists(candidates), found);
    const short = indexed.filter((user) => found.items[(user + 1) * top - 1] === -1);
    await this.#find(query, [...scanned, ...short], query.allow, found);
    return found;
  }

  /**
   * How wide to search for a user, so that `top` items remain after the filters, with the recall for which the index
   * was built. Undefined if an exact scan of the items that are left is faster.
   */
  #searchWidth({ top, excluded, allow }: IndexedQuery, user: number): number | undefined {
    const items = this.#model.items.size - 1;
    const left = allow?.length ?? items;
    const wanted = top + excluded.offsets[user + 1]! - excluded.offsets[user]!;
    const width = Math.ceil(
      this.#index.searchWidth * Math.max(1, wanted / this.#index.top) * (items / Math.max(1, left)),
    );
    return width * SCANNED_PER_CANDIDATE < left ? width : undefined;
  }

  /** Finds the best of the candidates for some users, exactly, and writes them to the rows of these users. */
  async #find(
    { vectors, top, excluded }: IndexedQuery,
    users: readonly number[],
    allow: Int32Array | ItemLists | undefined,
    found: FoundItems,
  ): Promise<void> {
    if (users.length === 0) return;
    const width = this.#model.description.config.userVectorWidth;
    const chosen = new Float32Array(users.length * width);
    users.forEach((user, i) => {
      chosen.set(vectors.subarray(user * width, (user + 1) * width), i * width);
    });
    const exclude = joinLists(
      users.map((user) => excluded.ids.subarray(excluded.offsets[user], excluded.offsets[user + 1])),
    );
    const { items, scores } = await this.#exact.search(chosen, top, { exclude, allow });
    users.forEach((user, i) => {
      found.items.set(items.subarray(i * top, (i + 1) * top), user * top);
      found.scores.set(scores.subarray(i * top, (i + 1) * top), user * top);
    });
  }
}

/** Opens an exact search over the items of a model, with a first pass in 8 bits. */
export function openItemSearch({ engine, store }: Model): ItemSearch {
  const options = { weight: "output.weight", bias: "output.bias", skipRows: 1, firstPass: "int8" } as const;
  return engine.createItemSearch(store, options);
}

/** Puts lists of ids one after the other. */
export function joinLists(lists: readonly Int32Array[]): ItemLists {
  const offsets = new Int32Array(lists.length + 1);
  for (const [i, { length }] of lists.entries()) offsets[i + 1] = offsets[i]! + length;
  const ids = new Int32Array(offsets[lists.length]!);
  for (const [i, list] of lists.entries()) ids.set(list, offsets[i]);
  return { ids, offsets };
}
