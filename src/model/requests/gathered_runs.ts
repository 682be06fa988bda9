import { mapAll } from "../../data/join.js";
import type { RunOutputs } from "../../executors/executor.js";
import type { ExcludedItems } from "../watched.js";

/** What is computed for some users. */
export interface Job {
  /** The items that each user excludes. */
  readonly excluded: ExcludedItems;
  /** Length of the shortlists. */
  readonly top: number;
  /** Rejects the job with the signal's reason. A job that waits is then not computed at all. */
  readonly signal: AbortSignal | undefined;
}

/** The results of a job: rows `first`, `first + 1`, … of the outputs are those of its users. */
export interface UserRows {
  readonly outputs: RunOutputs;
  readonly first: number;
}

/** Largest number of users of jobs that are computed together. */
const MOST_USERS = 64;

/** Jobs that are computed together: at least one. */
type Jobs<J> = readonly [J, ...J[]];

/**
 * Computes outputs with a row, or `top` elements, for each user of some jobs, one job after the other. `alone` says that
 * nothing else is in flight or waits.
 */
export type ComputeJobs<J> = (jobs: Jobs<J>, alone: boolean) => Promise<RunOutputs>;

interface WaitingJob<J> {
  readonly job: J;
  readonly users: number;
  readonly resolve: (rows: UserRows) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Computes jobs, many of them together. A job starts at the end of the turn of the event loop in which it arrives, if
 * few runs are in flight. Otherwise it waits. The jobs that have gathered meanwhile become one batch, which takes less
 * time than a run for each. The bits of a user's results must not depend on the other users of the batch.
 */
export class GatheredRuns<J extends Job> {
  readonly #compute: ComputeJobs<J>;
  readonly #mostRuns: number;
  #waiting: WaitingJob<J>[] = [];
  #runs = 0;
  #isStarting = false;

  /** Further jobs wait while `mostRuns` runs are in flight. */
  constructor(mostRuns: number, compute: ComputeJobs<J>) {
    this.#mostRuns = mostRuns;
    this.#compute = compute;
  }

  /** Runs a job. Throws ERR_EXECUTOR if the model is closed. */
  async run(job: J): Promise<UserRows> {
    const { signal } = job;
    signal?.throwIfAborted();
    return new Promise<UserRows>((resolve, reject) => {
      const stop = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        reject(signal!.reason);
      };
      const settle =
        <T>(end: (value: T) => void) =>
        (value: T) => {
          signal?.removeEventListener("abort", stop);
          end(value);
        };
      const users = job.excluded.offsets.length - 1;
      const waiting: WaitingJob<J> = { job, users, resolve: settle(resolve), reject: settle(reject) };
      signal?.addEventListener("abort", stop, { once: true });
      this.#waiting.push(waiting);
      this.#startSoon();
    });
  }

  #startSoon(): void {
    if (this.#isStarting) return;
    this.#isStarting = true;
    setImmediate(() => {
      this.#isStarting = false;
      this.#start();
    });
  }

  #start(): void {
    while (this.#runs < this.#mostRuns && this.#waiting.length > 0) void this.#runJobs(this.#takeJobs());
  }

  /** Takes the first job out of the queue, and the ones after it that ask for lists of the same length. */
  #takeJobs(): Jobs<WaitingJob<J>> {
    const [head] = this.#waiting as [WaitingJob<J>];
    const taken: WaitingJob<J>[] = [];
    let users = 0;
    const left: WaitingJob<J>[] = [];
    for (const waiting of this.#waiting) {
      const fits = waiting === head || (waiting.job.top === head.job.top && users + waiting.users <= MOST_USERS);
      if (fits) users += waiting.users;
      (fits ? taken : left).push(waiting);
    }
    this.#waiting = left;
    return taken as unknown as Jobs<WaitingJob<J>>;
  }

  async #runJobs(taken: Jobs<WaitingJob<J>>): Promise<void> {
    const alone = this.#runs === 0 && this.#waiting.length === 0;
    this.#runs++;
    try {
      const outputs = await this.#compute(
        mapAll(taken, ({ job }) => job),
        alone,
      );
      let first = 0;
      for (const { users, resolve } of taken) {
        resolve({ outputs, first });
        first += users;
      }
    } catch (error) {
      for (const { reject } of taken) reject(error);
    } finally {
      this.#runs--;
      this.#start();
    }
  }
}
