import { ShortlistError } from "../errors.js";

/** Weight of the past in the measured time of a user, for each answered request. */
const MEMORY = 0.98;
/**
 * A time that is longer than so many means is a pause, such as that of another program, and counts as so many. If the
 * machine has really become slower, the mean follows within some tens of requests.
 */
const LONGEST = 4;
/** Number of requests from which the mean is good enough to tell a pause. */
const ENOUGH_REQUESTS = 20;

/**
 * Refuses requests that would wait too long. It counts the users that wait for their answers, and measures how long the
 * machine takes for each while it is busy. A request is refused if too many users wait, or if those before it are
 * expected to take too long: with requests that arrive faster than they can be answered, the ones that are accepted are
 * still answered in time.
 */
export class AdmissionQueue {
  readonly #limits: { readonly waitingUsers: number; readonly waitMs: number };
  readonly #now: () => number;
  #waiting = 0;
  /** When the latest request was answered or, if later, the machine became busy. */
  #since = 0;
  /** Sums with falling weights of the busy time and of the users answered in it. */
  #busyMs = 0;
  #answered = 0;
  #requests = 0;
  #refused = 0;

  constructor(limits: { readonly waitingUsers: number; readonly waitMs: number }, now = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Number of users that wait for their answers. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Number of requests that were refused. */
  get refused(): number {
    return this.#refused;
  }

  /** Milliseconds after which the users that wait now are expected to be answered. */
  get expectedMs(): number {
    return this.#answered === 0 ? 0 : (this.#waiting * this.#busyMs) / this.#answered;
  }

  /** Throws ERR_OVERLOAD if `users` more would wait too long. The first of all is never refused. */
  check(users: number): void {
    const { waitingUsers, waitMs } = this.#limits;
    if (this.#waiting === 0) return;
    const expected = this.expectedMs;
    if (this.#waiting + users <= waitingUsers && expected <= waitMs) return;
    this.#refused++;
    throw new OverloadError(this.#waiting, Math.max(1, Math.ceil(expected / 1000)));
  }

  /** Adds users, or throws ERR_OVERLOAD. Returns a function that removes them when they are answered. */
  admit(users: number): () => void {
    this.check(users);
    if (this.#waiting === 0) this.#since = this.#now();
    this.#waiting += users;
    return () => {
      const now = this.#now();
      this.#waiting -= users;
      const longest = LONGEST * users * (this.#busyMs / this.#answered);
      const elapsed = now - this.#since;
      this.#busyMs =
        this.#busyMs * MEMORY + (this.#requests++ < ENOUGH_REQUESTS ? elapsed : Math.min(elapsed, longest));
      this.#answered = this.#answered * MEMORY + users;
      this.#since = now;
    };
  }
}

/** The error of a request that is refused because there is too much to do. */
export class OverloadError extends ShortlistError {
  /** Seconds after which the client may try again. */
  readonly retryAfter: number;

  constructor(waiting: number, retryAfter: number) {
    super(
      "ERR_OVERLOAD",
      `Expected room for another request but ${waiting} users are waiting. Try again after ${retryAfter} s`,
    );
    this.retryAfter = retryAfter;
  }
}
