import { createHash } from "node:crypto";

/** Number of digits of the hash that are used: 48 bits, which a number holds exactly. */
const DIGITS = 12;

/**
 * Assigns users to models by a hash of their ids: the same user gets the same model on every machine and after every
 * restart. Models have shares of the users, in percent; the first one has the rest. If the share of the second model
 * grows, no user leaves it.
 */
export class Assignment {
  readonly #names: readonly string[];
  /** Where the range of each model ends that is not the first, in percent. */
  readonly #ends: readonly number[];

  constructor(names: readonly string[], shares: Readonly<Record<string, number>>) {
    this.#names = names;
    let end = 0;
    this.#ends = names.slice(1).map((name) => {
      end += shares[name] ?? 0;
      return end;
    });
  }

  /** The model of a user. Users without an id have the first one. */
  modelOf(userId: unknown): string {
    const first = this.#names[0]!;
    if (typeof userId !== "string" || this.#ends.length === 0) return first;
    const digits = createHash("sha256").update(userId).digest("hex").slice(0, DIGITS);
    const percent = (Number.parseInt(digits, 16) / 16 ** DIGITS) * 100;
    const place = this.#ends.findIndex((end) => percent < end);
    return place < 0 ? first : this.#names[place + 1]!;
  }

  /** The percentage of users that a model has. */
  shareOf(name: string): number {
    const place = this.#names.indexOf(name);
    if (place === 0) return 100 - (this.#ends.at(-1) ?? 0);
    return this.#ends[place - 1]! - (this.#ends[place - 2] ?? 0);
  }
}
