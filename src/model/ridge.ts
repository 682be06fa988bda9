import type { Turns } from "../data/turns.js";
import { ShortlistError } from "../errors.js";

/** A sparse matrix by rows: row i has values[j] in column indices[j], for j from offsets[i] to offsets[i + 1] − 1. */
export interface SparseRows {
  readonly columns: number;
  /** [rows + 1] */
  readonly offsets: Int32Array;
  readonly indices: Int32Array;
  readonly values: Float32Array;
}

/** A weighted ridge regression: see `ridgeRegression`. */
export interface RidgeProblem {
  /** X [rows, columns]. Column 0 is the intercept, which has no penalty. */
  readonly features: SparseRows;
  /** [rows] Non-negative weights of the rows, not all 0. */
  readonly weights: Float64Array;
  /** Number of columns of the targets. */
  readonly width: number;
  /**
   * Returns the targets [count, width] of `count` rows from row `first` on. They are read block by block, so that not
   * all of them need to be in memory.
   */
  readonly targets: (first: number, count: number) => Float32Array;
  /** The ridge penalty λ > 0. */
  readonly penalty: number;
}

const ROWS_AT_ONCE = 1 << 12;
const MAX_ITERATIONS = 500;
const TOLERANCE = 1e-4;

/**
 * Weighted ridge regression of several targets at once (docs/math.md#new-items). Returns B [columns, width] that
 * minimises
 *
 *     Σ_i weights_i · ‖y_i − x_i·B‖² + λ · ‖B without its row 0‖²
 *
 * Conjugate gradients on the normal equations (Xᵀ·W·X + λ·I) · B = Xᵀ·W·Y, preconditioned by their diagonal, run until
 * every column's residual is at most 10⁻⁴ of its right-hand side. Time and memory are proportional to the number of
 * non-zero elements, not to columns². The event loop can run in between.
 */
export async function ridgeRegression(problem: RidgeProblem, turns: Turns): Promise<Float64Array> {
  const { features, weights, width, penalty } = problem;
  if (!(penalty > 0) || !weights.some((weight) => weight > 0)) {
    throw new ShortlistError("ERR_OPTION", "Expected a penalty above 0 and a row of weight above 0");
  }
  const scale = inverseDiagonal(problem);
  const solution = new Float64Array(features.columns * width);
  const residual = await rightHandSide(problem, turns);
  const direction = new Float64Array(solution.length);
  const preconditioned = Float64Array.from(residual, (value, i) => value * scale[Math.floor(i / width)]!);
  const limits = columnProducts(residual, residual, width).map((square) => square * TOLERANCE ** 2);
  let residualNorms = columnProducts(residual, preconditioned, width);
  let beta = new Float64Array(width);
  for (let iteration = 0; iteration < MAX_ITERATIONS; iteration++) {
    addScaled(preconditioned, direction, beta, width);
    direction.set(preconditioned);
    const product = await applyNormal(problem, direction, turns);
    const curvature = columnProducts(direction, product, width);
    const alpha = residualNorms.map((value, c) => (curvature[c]! > 0 ? value / curvature[c]! : 0));
    addScaled(solution, direction, alpha, width);
    addScaled(
      residual,
      product,
      alpha.map((value) => -value),
      width,
    );
    if (columnProducts(residual, residual, width).every((square, c) => square <= limits[c]!)) break;
    for (let i = 0; i < preconditioned.length; i++) preconditioned[i] = residual[i]! * scale[Math.floor(i / width)]!;
    const next = columnProducts(residual, preconditioned, width);
    beta = next.map((value, c) => (residualNorms[c]! > 0 ? value / residualNorms[c]! : 0));
    residualNorms = next;
  }
  return solution;
}

/** Returns x·B for one row of features: [width]. */
export function predictRow(features: SparseRows, row: number, coefficients: Float64Array, width: number): Float64Array {
  const prediction = new Float64Array(width);
  addProduct(prediction, features, row, coefficients);
  return prediction;
}

function addProduct(sum: Float64Array, features: SparseRows, row: number, matrix: Float64Array): void {
  const { offsets, indices, values } = features;
  for (let j = offsets[row]!; j < offsets[row + 1]!; j++) {
    const [value, from] = [values[j]!, indices[j]! * sum.length];
    for (let c = 0; c < sum.length; c++) sum[c]! += value * matrix[from + c]!;
  }
}

/** matrix += scale · x_rowᵀ · vector */
function addOuter(matrix: Float64Array, features: SparseRows, row: number, vector: ArrayLike<number>, scale: number) {
  const { offsets, indices, values } = features;
  for (let j = offsets[row]!; j < offsets[row + 1]!; j++) {
    const [factor, to] = [scale * values[j]!, indices[j]! * vector.length];
    for (let c = 0; c < vector.length; c++) matrix[to + c]! += factor * vector[c]!;
  }
}

/** (Xᵀ·W·X + λ·I) · matrix */
async function applyNormal(
  { features, weights, width, penalty }: RidgeProblem,
  matrix: Float64Array,
  turns: Turns,
): Promise<Float64Array> {
  const result = matrix.map((value, i) => (i < width ? 0 : penalty * value));
  const product = new Float64Array(width);
  for (let row = 0; row < weights.length; row++) {
    if (weights[row] === 0) continue;
    if (turns.isDue) await turns.take();
    product.fill(0);
    addProduct(product, features, row, matrix);
    addOuter(result, features, row, product, weights[row]!);
  }
  return result;
}

/** Xᵀ·W·Y */
async function rightHandSide({ features, weights, width, targets }: RidgeProblem, turns: Turns): Promise<Float64Array> {
  const result = new Float64Array(features.columns * width);
  for (let first = 0; first < weights.length; first += ROWS_AT_ONCE) {
    const count = Math.min(ROWS_AT_ONCE, weights.length - first);
    if (turns.isDue) await turns.take();
    const block = targets(first, count);
    for (let r = 0; r < count; r++) {
      const target = block.subarray(r * width, (r + 1) * width);
      if (weights[first + r]! > 0) addOuter(result, features, first + r, target, weights[first + r]!);
    }
  }
  return result;
}

/** 1 over the diagonal of Xᵀ·W·X + λ·I: [columns] */
function inverseDiagonal({ features, weights, penalty }: RidgeProblem): Float64Array {
  const { columns, offsets, indices, values } = features;
  const diagonal = new Float64Array(columns).fill(penalty);
  diagonal[0] = 0;
  for (let row = 0; row < weights.length; row++) {
    for (let j = offsets[row]!; j < offsets[row + 1]!; j++) {
      diagonal[indices[j]!]! += weights[row]! * values[j]! ** 2;
    }
  }
  return diagonal.map((value) => (value > 0 ? 1 / value : 0));
}

/** The inner product of each pair of columns: [width] */
function columnProducts(a: Float64Array, b: Float64Array, width: number): Float64Array {
  const products = new Float64Array(width);
  for (let i = 0; i < a.length; i += width) {
    for (let c = 0; c < width; c++) products[c]! += a[i + c]! * b[i + c]!;
  }
  return products;
}

/** sum += each column of `matrix` times its scale */
function addScaled(sum: Float64Array, matrix: Float64Array, scale: Float64Array, width: number): void {
  for (let i = 0; i < sum.length; i += width) {
    for (let c = 0; c < width; c++) sum[i + c]! += scale[c]! * matrix[i + c]!;
  }
}
