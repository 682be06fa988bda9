import { ShortlistError } from "../errors.js";

/** Largest number of elements that int32 offsets can count. */
export const MAX_LENGTH = 2 ** 31 - 1;

/** A growing Int32Array. Since int32 offsets count its elements, it holds at most 2³¹ − 1 of them. */
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

  /** Returns a copy of the elements. */
  toArray(): Int32Array {
    return this.#values.slice(0, this.#length);
  }

  /** Returns the elements, without a copy if the capacity was exact. The list must not be used afterwards. */
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
