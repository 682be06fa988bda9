import { simpleLshItems, simpleLshUsers } from "./simple_lsh.js";

/**
 * The vectors among which an index searches by inner product: [b; w] and [1; u] as they are, or their SIMPLE-LSH
 * transforms, which all have the norm 1.
 */
export type IndexSpace = "inner_product" | "simple_lsh";

export const INDEX_SPACES: readonly IndexSpace[] = ["inner_product", "simple_lsh"];

/** Number of elements of a vector in a space; `width` is that of [b; w]. */
export function widthIn(space: IndexSpace, width: number): number {
  return space === "simple_lsh" ? width + 1 : width;
}

/**
 * The vectors of items in a space: [n, widthIn]. `rows` are [b; w], and `largest` the largest ‖[b; w]‖² of all items.
 */
export function itemsIn(space: IndexSpace, rows: Float64Array, width: number, largest: number): Float32Array {
  if (space === "inner_product") return Float32Array.from(rows);
  const scale = largest > 0 ? 1 / Math.sqrt(largest) : 1;
  return Float32Array.from(simpleLshItems(rows, width, largest), (value) => value * scale);
}

/** The vectors of users in a space: [n, widthIn]. `rows` are [1; u]. */
export function usersIn(space: IndexSpace, rows: Float64Array, width: number): Float32Array {
  return Float32Array.from(space === "inner_product" ? rows : simpleLshUsers(rows, width));
}
