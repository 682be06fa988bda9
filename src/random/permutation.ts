import { ShortlistError } from "../errors.js";
import { checkSeed, philox, STREAMS } from "./philox.js";

/**
 * With 8 rounds, a chi-square test over 60,000 seeds shows that permutations of lengths 5 and 8 are not uniform; with
 * 16 rounds it does not.
 */
const ROUNDS = 16;
const MAX_LENGTH = 2 ** 52;

/**
 * A pseudorandom permutation of 0 … n − 1 without a table. It is a Feistel network on the ⌈log₂ n⌉ bits of an index,
 * applied again while the result is ≥ n, which happens at most half of the time (cycle walking; Black & Rogaway 2002).
 * In turns, each half is XORed with a hash of the other half. Round keys are Philox words with counter (block,
 * ...words, 0) and key (seed, shuffle stream).
 */
export class KeyedPermutation {
  readonly length: number;
  readonly #keys = new Uint32Array(ROUNDS);
  readonly #lowSize: number;
  readonly #lowMask: number;
  readonly #highMask: number;

  /** `length` is at most 2⁵². `words` distinguish what is shuffled, such as [epoch, 0]. */
  constructor(length: number, seed: number, words: readonly [number, number] = [0, 0]) {
    checkSeed(seed);
    if (!Number.isInteger(length) || length < 0 || length > MAX_LENGTH) {
      throw new ShortlistError("ERR_OPTION", `Expected a length from 0 to 2^52 but received ${length}`);
    }
    this.length = length;
    let bits = 0;
    while (2 ** bits < length) bits++;
    const lowBits = Math.ceil(bits / 2);
    this.#lowSize = 2 ** lowBits;
    this.#lowMask = this.#lowSize - 1;
    this.#highMask = 2 ** (bits - lowBits) - 1;
    const block = new Uint32Array(4);
    for (let round = 0; round < ROUNDS; round++) {
      if (round % 4 === 0) philox(block, round / 4, words[0], words[1], 0, seed, STREAMS.shuffle);
      this.#keys[round] = block[round % 4]!;
    }
  }

  /** Returns the place of index `i`. */
  at(i: number): number {
    if (!(i >= 0 && i < this.length)) throw new RangeError(`Expected an index below ${this.length} but received ${i}`);
    let value = i;
    do {
      let high = Math.floor(value / this.#lowSize);
      let low = value - high * this.#lowSize;
      for (let round = 0; round < ROUNDS; round += 2) {
        low ^= hash(high ^ this.#keys[round]!) & this.#lowMask;
        high ^= hash(low ^ this.#keys[round + 1]!) & this.#highMask;
      }
      value = high * this.#lowSize + low;
    } while (value >= this.length);
    return value;
  }
}

/** The finaliser of 32-bit MurmurHash3: every input bit affects every output bit. */
function hash(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
