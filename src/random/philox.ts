import { ShortlistError } from "../errors.js";

/**
 * The second key word of each user of random numbers, so that their numbers are independent. The first key word is the
 * seed. The native engine uses the same numbers.
 */
export const STREAMS = {
  negatives: 1,
  initial_values: 2,
  shuffle: 3,
  simulate: 4,
  dropout: 5,
  tune: 6,
  measure: 7,
  bootstrap: 8,
} as const;

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const KEY_STEP_0 = 0x9e3779b9;
const KEY_STEP_1 = 0xbb67ae85;

/** Returns ⌊a · b / 2³²⌋ for a, b in [0, 2³²). The result is exact, since all intermediate values are below 2³². */
export function multiplyHigh(a: number, b: number): number {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  return aHigh * bHigh + (middle >>> 16) + ((aLow * bHigh + (middle & 0xffff)) >>> 16);
}

/**
 * Philox 4×32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Writes the four random words
 * for a counter of four words and a key of two words to `output` [4].
 */
export function philox(
  output: Uint32Array,
  counter0: number,
  counter1: number,
  counter2: number,
  counter3: number,
  key0: number,
  key1: number,
): void {
  let [c0, c1, c2, c3] = [counter0 | 0, counter1 | 0, counter2 | 0, counter3 | 0];
  let [k0, k1] = [key0 | 0, key1 | 0];
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const [low0, low1] = [Math.imul(MULTIPLIER_0, c0), Math.imul(MULTIPLIER_1, c2)];
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + KEY_STEP_0) | 0;
    k1 = (k1 + KEY_STEP_1) | 0;
  }
  output[0] = c0;
  output[1] = c1;
  output[2] = c2;
  output[3] = c3;
}

/** Throws ERR_OPTION unless a seed is a whole number of 32 bits. */
export function checkSeed(seed: number): void {
  if (!Number.isInteger(seed) || seed < 0 || seed > 0xffffffff) {
    throw new ShortlistError(
      "ERR_OPTION",
      `Expected seed to be a whole number from 0 to 4294967295 but received ${seed}`,
    );
  }
}

/**
 * A sequence of random numbers. Word j is word j mod 4 of the Philox block with counter (⌊j/4⌋, ...words) and key
 * (seed, stream). Different `words` (of a user or a tensor) give independent sequences.
 */
export class RandomStream {
  readonly #seed: number;
  readonly #stream: number;
  readonly #words: readonly [number, number, number];
  readonly #block = new Uint32Array(4);
  #blocks = 0;
  #used = 4;
  #spareNormal: number | undefined;

  constructor(seed: number, stream: number, words: readonly [number, number, number] = [0, 0, 0]) {
    checkSeed(seed);
    this.#seed = seed;
    this.#stream = stream;
    this.#words = words;
  }

  /** Uniform in [0, 2³²). */
  word(): number {
    if (this.#used === 4) {
      const [word1, word2, word3] = this.#words;
      philox(this.#block, this.#blocks++, word1, word2, word3, this.#seed, this.#stream);
      this.#used = 0;
    }
    return this.#block[this.#used++]!;
  }

  /** Uniform in [0, 1), in steps of 2⁻³². */
  uniform(): number {
    return this.word() / 2 ** 32;
  }

  /** Uniform in 0 … n − 1 for n ≤ 2³², as ⌊word · n / 2³²⌋. It uses one word; its bias is below n / 2³². */
  below(n: number): number {
    return n === 2 ** 32 ? this.word() : multiplyHigh(this.word(), n);
  }

  /** Standard normal (Box & Muller 1958). Two words give a pair, which is returned one by one. */
  normal(): number {
    const spare = this.#spareNormal;
    this.#spareNormal = undefined;
    if (spare !== undefined) return spare;
    const radius = Math.sqrt(-2 * Math.log((this.word() + 0.5) / 2 ** 32));
    const angle = 2 * Math.PI * this.uniform();
    this.#spareNormal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}
