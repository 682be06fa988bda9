import { ShortlistError } from "../errors.js";
import { checkSeed, philox, STREAMS } from "./philox.js";

/**
 * With 8, chi-square over 60,000 seeds shows that pairs of indices of 5 or 8 do not go everywhere alike; with 16 they
 * do.
 */
const ROUNDS = 16;
const MAX_LENGTH = 2 ** 52;

/**
 * A pseudorandom permutation of 0 … n − 1 that holds no table: a Feistel network on the ⌈log₂ n⌉ bits of an index,
 * walked again while it lands outside (at most half of the time; Black & Rogaway 2002). Both halves take turns to be
 * XORed with a hash of the other; the round keys are Philox words with counter (block, ...words, 0) and key (seed,
 * shuffle stream).
 */
export class KeyedPermutation {
  readonly length: number;
  readonly #keys = new Uint32Array(ROUNDS);
  readonly #lowSize: number;
  readonly #lowMask: number;
  readonly #highMask: number;

  /** `length` at most 2⁵²; `words` tell apart what is shuffled, e.g. [pass, 0]. */
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

  /** Where index `i` of 0 … n − 1 goes. */
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

/** MurmurHash3's 32-bit finaliser: every input bit moves every output bit. */
function hash(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
