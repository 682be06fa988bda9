/*
 * SIMPLE-LSH (Neyshabur & Srebro, "On symmetric and asymmetric LSHs for inner product search", ICML 2015): a transform
 * (docs/math.md#retrieval) after which the cosine order of items for a user is the order of their inner products. All
 * matrices are flat, row-major.
 */

type Matrix = Float32Array | Float64Array;

/**
 * The vectors [1; u] of all users: [users, width + 1]. Their inner product with [b; w] is the score. `users` is
 * [users, width].
 */
export function userVectors(users: Matrix, width: number): Float64Array {
  const rows = users.length / width;
  const vectors = new Float64Array(rows * (width + 1));
  for (let r = 0; r < rows; r++) {
    vectors[r * (width + 1)] = 1;
    for (let c = 0; c < width; c++) vectors[r * (width + 1) + 1 + c] = users[r * width + c]!;
  }
  return vectors;
}

/** The vectors [b; w] of all items: [items, width + 1]. `weight` is [items, width], `bias` [items]. */
export function itemVectors(weight: Matrix, bias: Matrix): Float64Array {
  const rows = bias.length;
  const width = weight.length / rows;
  const vectors = new Float64Array(rows * (width + 1));
  for (let r = 0; r < rows; r++) {
    vectors[r * (width + 1)] = bias[r]!;
    for (let c = 0; c < width; c++) vectors[r * (width + 1) + 1 + c] = weight[r * width + c]!;
  }
  return vectors;
}

/**
 * The transformed item vectors ṽ = [v; √(m² − ‖v‖²)]: [items, width + 1]. m² = `largest` is the maximum of ‖v‖² over
 * all items; give it if `items` are only some of them.
 */
export function simpleLshItems(items: Matrix, width: number, largest = largestSquare(items, width)): Float64Array {
  return append(items, width, (r) => Math.sqrt(largest - squaredNorm(items, r, width)));
}

/** The maximum of ‖v‖² over the items. */
export function largestSquare(items: Matrix, width: number): number {
  let largest = 0;
  for (let r = 0; r < items.length / width; r++) largest = Math.max(largest, squaredNorm(items, r, width));
  return largest;
}

/** The transformed user vectors ũ = [u; 0] / ‖u‖: [users, width + 1]. Zero vectors stay zero. */
export function simpleLshUsers(users: Matrix, width: number): Float64Array {
  const vectors = append(users, width, () => 0);
  for (let r = 0; r < users.length / width; r++) {
    const norm = Math.sqrt(squaredNorm(users, r, width)) || 1;
    for (let c = 0; c < width; c++) vectors[r * (width + 1) + c]! /= norm;
  }
  return vectors;
}

function squaredNorm(matrix: Matrix, row: number, width: number): number {
  let sum = 0;
  for (let c = 0; c < width; c++) sum += matrix[row * width + c]! ** 2;
  return sum;
}

function append(matrix: Matrix, width: number, last: (row: number) => number): Float64Array {
  const rows = matrix.length / width;
  const result = new Float64Array(rows * (width + 1));
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < width; c++) result[r * (width + 1) + c] = matrix[r * width + c]!;
    result[r * (width + 1) + width] = last(r);
  }
  return result;
}
