import type { UserBatches } from "../data/batches.js";
import { checkChoice, checkOptions, checkWholeNumber, ShortlistError } from "../errors.js";
import type { Executor, StoredTensor, TensorStore } from "./executor.js";

/** Options of `createItemSearch`. */
export interface ItemSearchOptions {
  /** Name of the stored item vectors, float32 [items, width]. */
  readonly weight: string;
  /** Name of the stored item biases, float32 [items] (default: no biases). */
  readonly bias?: string | undefined;
  /** Number of items at the start that are never found, such as 1 for `<unk>` (default 0). */
  readonly skipRows?: number | undefined;
  /**
   * "int8": the search also holds the vectors in 8 bits, a quarter of their memory, and computes in float32 only those
   * scores that may be among the best. This makes searches for up to 16 queries faster, with VNNI those for any number;
   * results are the same (docs/math.md#exact-search-by-a-first-pass-in-8-bits). "none" (default): it computes all
   * scores in float32.
   */
  readonly firstPass?: "int8" | "none" | undefined;
}

const ITEM_SEARCH_OPTIONS: Readonly<Record<keyof ItemSearchOptions, true>> = {
  weight: true,
  bias: true,
  skipRows: true,
  firstPass: true,
};

/** A list of items for each query: list q is ids[offsets[q]] … ids[offsets[q + 1] − 1]. */
export interface ItemLists {
  /** The items of all lists, one list after the other, each in any order. */
  readonly ids: Int32Array;
  /** Index of the first item of each list, and the number of ids [queries + 1]. */
  readonly offsets: Int32Array;
}

/** Options of `ItemSearch.search`. */
export interface ItemFilters {
  /** Items that are left out: one list for all queries, or a list for each. */
  readonly exclude?: Int32Array | ItemLists | undefined;
  /** If given, only these items are found: one list for all queries, or a list for each. */
  readonly allow?: Int32Array | ItemLists | undefined;
}

const ITEM_FILTERS: Readonly<Record<keyof ItemFilters, true>> = { exclude: true, allow: true };

/** Result of `ItemSearch.search`. */
export interface FoundItems {
  /** The items of each query, best first, [queries, top]; −1 after the last one if there are fewer than `top`. */
  readonly items: Int32Array;
  /** Their scores w·u + b, [queries, top]; −∞ where there is no item. */
  readonly scores: Float32Array;
}

/** Queries that an executor computes. */
export interface UserQueries {
  /** Computes the queries. Its Program needs no inputs but the batch, and changes no stored tensor. */
  readonly executor: Executor;
  /** Name of the output with the queries, float32 [users, width]. */
  readonly output: string;
  /** The batches, which the engine of the search created. */
  readonly batches: UserBatches;
  /** Number of the batch, from 0. */
  readonly index: number;
  /** Number of users of the batch. */
  readonly users: number;
}

/** Result of `ItemSearch.searchUsers`. */
export interface FoundForUsers extends FoundItems {
  /** The queries that were computed, [users, width]. */
  readonly queries: Float32Array;
}

/** Exact search for the items with the highest scores w·u + b. Any number of calls may run at once. */
export interface ItemSearch extends Disposable {
  /**
   * Returns the `top` items with the highest scores for each of the queries [queries, width]; equal scores are ordered
   * by rising id, and items whose score is NaN are left out. The scores have the same bits as those of the op `top_n`.
   * The time is that of reading all item vectors once for up to about ten queries; with `allow` only that of the
   * vectors of these items. Throws ERR_INPUT if an item of a list does not exist.
   */
  search(queries: Float32Array, top: number, filters?: ItemFilters): Promise<FoundItems>;
  /**
   * `search` for vectors that an executor computes from a batch of users, in one call, so that the event loop need not
   * pass them on. Throws what the two calls throw.
   */
  searchUsers(queries: UserQueries, top: number, filters?: ItemFilters): Promise<FoundForUsers>;
  /** Lets calls in flight finish, and makes every later call throw ERR_EXECUTOR. */
  close(): void;
}

/** Checks the options of `createItemSearch` against the tensors of a store. Returns them with their defaults. */
export function checkItemSearch(store: TensorStore, options: ItemSearchOptions) {
  checkOptions("createItemSearch", options, ITEM_SEARCH_OPTIONS);
  const { weight, bias, skipRows = 0, firstPass = "none" } = options;
  checkWholeNumber("skipRows", skipRows, 0);
  checkChoice("firstPass", firstPass, ["int8", "none"]);
  const [items, width] = floatTensor(store, "weight", weight, 2).shape as [number, number];
  if (bias !== undefined) {
    const [biases] = floatTensor(store, "bias", bias, 1).shape;
    if (biases !== items)
      throw new ShortlistError("ERR_OPTION", `Expected "${bias}" [${items}] but the store has [${biases}]`);
  }
  return { weight, bias, skipRows, firstPass, items, width };
}

function floatTensor(store: TensorStore, option: string, name: string, axes: number): StoredTensor {
  const found = store.tensors.find((tensor) => tensor.name === name);
  if (found?.dtype === "float32" && found.shape.length === axes) return found;
  const received = found ? `${found.dtype} [${found.shape.join(", ")}]` : "no such tensor";
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected ${option} to name a float32 tensor with ${axes} ${axes === 1 ? "axis" : "axes"} but the store has for "${name}": ${received}`,
  );
}

/** Checks what the searches of `ItemSearch` are given besides their queries. */
export function checkFilters(top: number, filters: ItemFilters): void {
  checkOptions("search", filters, ITEM_FILTERS);
  checkWholeNumber("top", top, 1);
}

/** Checks the arguments of `ItemSearch.search`. Returns the number of queries. */
export function checkSearch(queries: Float32Array, width: number, top: number, filters: ItemFilters): number {
  checkFilters(top, filters);
  if (!(queries instanceof Float32Array) || (width === 0 ? queries.length > 0 : queries.length % width !== 0)) {
    const received = queries instanceof Float32Array ? `${queries.length} elements` : String(queries);
    throw new ShortlistError(
      "ERR_INPUT",
      `Expected queries to be a Float32Array with ${width} elements for each query but received ${received}`,
    );
  }
  return width === 0 ? 0 : queries.length / width;
}

/** What `searchReference` searches. */
export interface ReferenceItems {
  readonly weight: Float32Array;
  readonly bias: Float32Array | undefined;
  readonly items: number;
  readonly width: number;
  readonly skipRows: number;
}

/**
 * The search that defines what the native one returns, bit for bit. `fused` says whether products are added without
 * rounding them first, as all instruction sets but "baseline" do.
 */
export function searchReference(
  vectors: ReferenceItems,
  queries: Float32Array,
  top: number,
  filters: ItemFilters = {},
  fused = true,
): FoundItems {
  const { items, width, skipRows, weight, bias } = vectors;
  const count = width === 0 ? 0 : queries.length / width;
  const exclude = listsOf("excluded", filters.exclude, count, items);
  const allow = listsOf("allowed", filters.allow, count, items);
  const found: FoundItems = {
    items: new Int32Array(count * top).fill(-1),
    scores: new Float32Array(count * top).fill(-Infinity),
  };
  for (let q = 0; q < count; q++) {
    const [excluded, allowed] = [exclude?.(q), allow?.(q)];
    const query = queries.subarray(q * width, (q + 1) * width);
    const candidates: { item: number; score: number }[] = [];
    for (let item = skipRows; item < items; item++) {
      if (excluded?.has(item) || allowed?.has(item) === false) continue;
      const score = scoreOf(weight.subarray(item * width, (item + 1) * width), query, bias?.[item], fused);
      if (!Number.isNaN(score)) candidates.push({ item, score });
    }
    candidates.sort((a, b) => (a.score === b.score ? a.item - b.item : a.score < b.score ? 1 : -1));
    for (const [n, { item, score }] of candidates.slice(0, top).entries()) {
      found.items[q * top + n] = item;
      found.scores[q * top + n] = score;
    }
  }
  return found;
}

/** Returns the list of each query as a set. Throws ERR_INPUT as the native search does. */
function listsOf(
  name: string,
  lists: Int32Array | ItemLists | undefined,
  queries: number,
  items: number,
): ((query: number) => Set<number>) | undefined {
  if (lists === undefined) return undefined;
  const [ids, offsets] = lists instanceof Int32Array ? [lists, undefined] : [lists.ids, lists.offsets];
  if (offsets) {
    const rising = offsets.length === queries + 1 && offsets.every((offset, i) => i === 0 || offset >= offsets[i - 1]!);
    if (!rising || offsets[0] !== 0 || offsets[queries] !== ids.length)
      throw new ShortlistError("ERR_INPUT", `[search] Expected ${name}_offsets to rise from 0 to ${ids.length}`);
  }
  const wrong = ids.findIndex((id) => id < 0 || id >= items);
  if (wrong >= 0) {
    throw new ShortlistError(
      "ERR_INPUT",
      `[search] Expected ${name}[${wrong}] from 0 to ${items - 1} but received ${ids[wrong]}`,
    );
  }
  if (!offsets) {
    const shared = new Set(ids);
    return () => shared;
  }
  return (query) => new Set(ids.subarray(offsets[query]!, offsets[query + 1]!));
}

/** The largest block of a sum; kDepth in native/ops/gemm.h. */
const MOST_TERMS = 256;

/** w·u + b in float32. The sum is cut into blocks of equal, even length, which are summed in order. */
function scoreOf(row: Float32Array, query: Float32Array, bias: number | undefined, fused: boolean): number {
  const blocks = Math.ceil(row.length / MOST_TERMS);
  const length = 2 * Math.ceil(Math.ceil(row.length / Math.max(1, blocks)) / 2);
  let score = 0;
  for (let first = 0; first < row.length; first += length) {
    let sum = 0;
    for (let p = first; p < Math.min(row.length, first + length); p++) {
      const product = row[p]! * query[p]!; // exact: the product of two float32 numbers fits a float64
      sum = fused ? roundedSum(product, sum) : Math.fround(Math.fround(product) + sum);
    }
    score = first === 0 ? sum : Math.fround(score + sum);
  }
  return bias === undefined ? score : Math.fround(score + bias);
}

const double = new Float64Array(1);
const bits = new BigInt64Array(double.buffer);

/**
 * a + b, rounded to float32 once. The float64 sum is first rounded to odd (Boldo & Melquiond 2008): if it is inexact
 * and its last bit is 0, the neighbour towards the exact sum is taken. Rounding that to float32 equals rounding the
 * exact sum.
 */
function roundedSum(a: number, b: number): number {
  const sum = a + b;
  const rest = sum - a;
  const error = a - (sum - rest) + (b - rest);
  if (!(Math.abs(error) > 0) || !Number.isFinite(sum)) return Math.fround(sum);
  double[0] = sum;
  if ((bits[0]! & 1n) === 0n) bits[0]! += error > 0 === sum > 0 ? 1n : -1n;
  return Math.fround(double[0]);
}

/** `ItemSearch.searchUsers` in two calls. */
export async function searchForUsers(
  search: Pick<ItemSearch, "search">,
  { executor, output, batches, index }: UserQueries,
  top: number,
  filters: ItemFilters,
): Promise<FoundForUsers> {
  const queries = (await executor.runUsers(batches, index, {}, {}))[output] as Float32Array;
  return { ...(await search.search(queries, top, filters)), queries };
}
