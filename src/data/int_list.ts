import { ShortlistError } from "../errors.js";

const MAX_LENGTH = 2 ** 31 - 1;

/** An Int32Array that grows; its elements are counted by int32 offsets, so it ends at 2³¹ − 1. */
export class IntList {
  #values: Int32Array;
  #length = 0;

  constructor(capacity = 1024) {
    this.#values = new Int32Array(Math.max(1, capacity));
  }

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) this.#grow();
    this.#values[this.#length++] = value;
  }

  setLast(value: number): void {
    this.#values[this.#length - 1] = value;
  }

  clear(): void {
    this.#length = 0;
  }

  /** The elements in an array of their own. */
  toArray(): Int32Array {
    return this.#values.slice(0, this.#length);
  }

  /** The elements without a copy where the capacity was right; the list must not be used after it. */
  take(): Int32Array {
    return this.#length === this.#values.length ? this.#values : this.toArray();
  }

  #grow(): void {
    if (this.#length === MAX_LENGTH) {
      throw new ShortlistError("ERR_DATASET", `Expected at most ${MAX_LENGTH} values of a feature: split the log`);
    }
    const grown = new Int32Array(Math.min(MAX_LENGTH, this.#values.length * 2));
    grown.set(this.#values);
    this.#values = grown;
  }
}
