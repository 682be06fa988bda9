import { Turns } from "../../data/turns.js";
import type { TensorStore } from "../../executors/executor.js";
import type { ItemSearch } from "../../executors/item_search.js";
import type { Model } from "../model.js";
import type { ScanResult } from "./item_scan.js";

/** Name of the constant with the unit vectors of the items, in a store of its own. */
const UNIT_ROWS = "unit.rows";
const ITEMS_AT_ONCE = 256;

/**
 * Finds the items whose output weights are most similar by cosine: those that the same users would click next. It keeps
 * a copy of the output weights, each of norm 1, and one in 8 bits for a first pass.
 */
export class SimilarityIndex {
  readonly #store: TensorStore;
  readonly #search: ItemSearch;
  /** Number of items, without `<unk>`. */
  readonly #items: number;

  private constructor(store: TensorStore, search: ItemSearch, items: number) {
    this.#store = store;
    this.#search = search;
    this.#items = items;
  }

  /** Copies and normalises the output weights of a model. */
  static async open(
    { engine, store, items, description }: Model,
    turns = Turns.inBackground(),
  ): Promise<SimilarityIndex> {
    const [rows, width] = [items.size, description.config.userVectorWidth];
    const own = engine.createStore();
    own.define({ name: UNIT_ROWS, dtype: "float32", shape: [rows, width] });
    for (let first = 1; first < rows; first += ITEMS_AT_ONCE) {
      const count = Math.min(ITEMS_AT_ONCE, rows - first);
      const weights = store.read("output.weight", first * width, count * width) as Float32Array;
      own.write(UNIT_ROWS, normalizeRows(weights, width), first * width);
      if (turns.isDue) await turns.take();
    }
    const search = engine.createItemSearch(own, { weight: UNIT_ROWS, skipRows: 1, firstPass: "int8" });
    return new SimilarityIndex(own, search, rows - 1);
  }

  /**
   * Finds the items that are most similar to each of these, without the item itself and without `exclude`; with
   * `allow`, only among those. All are ids; the lists are in rising order. Scores are cosines.
   */
  async search(
    ids: Int32Array,
    top: number,
    exclude: Int32Array,
    allow?: Int32Array,
  ): Promise<Pick<ScanResult, "items" | "score">> {
    const length = Math.min(top, allow?.length ?? this.#items);
    if (length === 0) return { items: new Int32Array(0), score: new Float32Array(0) };
    const each = exclude.length + 1;
    const excluded = new Int32Array(ids.length * each);
    ids.forEach((id, i) => {
      excluded[i * each] = id;
      excluded.set(exclude, i * each + 1);
    });
    const offsets = Int32Array.from({ length: ids.length + 1 }, (_, i) => i * each);
    const vectors = this.#store.readRows(UNIT_ROWS, ids) as Float32Array;
    const filters = { exclude: { ids: excluded, offsets }, allow };
    const { items, scores } = await this.#search.search(vectors, length, filters);
    return { items, score: scores };
  }

  close(): void {
    this.#search.close();
    this.#store.close();
  }
}

/** Divides each row of a matrix by its norm, in place. Zero rows stay zero. */
function normalizeRows(matrix: Float32Array, width: number): Float32Array {
  for (let row = 0; row < matrix.length; row += width) {
    const values = matrix.subarray(row, row + width);
    const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)) || 1;
    for (let c = 0; c < width; c++) values[c]! /= norm;
  }
  return matrix;
}
