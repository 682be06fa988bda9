import type { Clicks, Searches } from "../../data/clicks.js";
import { joinArrays, joinOffsets, joinValues, mapAll } from "../../data/join.js";
import type { RunOutputs } from "../../executors/executor.js";
import type { ExcludedItems } from "../watched.js";

/** Users to run, and what their run is given besides. */
export interface UserJob {
  readonly clicks: Clicks;
  /** The items that each user excludes. */
  readonly excluded: ExcludedItems;
  /** Length of the shortlists. */
  readonly top: number;
  /** Rejects the job with the signal's reason. A job that waits is then not run at all. */
  readonly signal: AbortSignal | undefined;
}

/** The results of a job: rows `first`, `first + 1`, … of the outputs are those of its users. */
export interface UserRows {
  readonly outputs: RunOutputs;
  readonly first: number;
}

/** Largest number of users of jobs that are run together. */
const MOST_USERS = 64;
/** Largest number of runs at once; further jobs wait and are then run together. */
const MOST_RUNS = 2;

/** What is computed for users that were gathered: outputs with a row, or `top` elements, for each of them. */
export type ComputeUsers = (users: Omit<UserJob, "signal">) => Promise<RunOutputs>;

interface WaitingJob extends UserJob {
  readonly resolve: (rows: UserRows) => void;
  readonly reject: (reason: unknown) => void;
}

/** Jobs that are run together: at least one. */
type WaitingJobs = [WaitingJob, ...WaitingJob[]];

/**
 * Computes users, many of them together. A job starts at once if few runs are in flight. Otherwise it waits, and the
 * jobs that have gathered meanwhile become one batch, which takes less time than a run for each. The bits of a user's
 * results must not depend on the other users of the batch.
 */
export class UserRuns {
  readonly #compute: ComputeUsers;
  #waiting: WaitingJob[] = [];
  #runs = 0;

  constructor(compute: ComputeUsers) {
    this.#compute = compute;
  }

  /** Runs a job. Throws ERR_EXECUTOR if the model is closed. */
  async run(job: UserJob): Promise<UserRows> {
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
      const waiting: WaitingJob = { ...job, resolve: settle(resolve), reject: settle(reject) };
      signal?.addEventListener("abort", stop, { once: true });
      this.#waiting.push(waiting);
      this.#start();
    });
  }

  #start(): void {
    while (this.#runs < MOST_RUNS && this.#waiting.length > 0) void this.#runJobs(this.#takeJobs());
  }

  /** Takes the first job out of the queue, and the ones after it that ask for lists of the same length. */
  #takeJobs(): WaitingJobs {
    const [head] = this.#waiting as WaitingJobs;
    const taken: WaitingJob[] = [];
    let users = 0;
    const left: WaitingJob[] = [];
    for (const job of this.#waiting) {
      const fits = job === head || (job.top === head.top && users + job.clicks.users <= MOST_USERS);
      if (fits) users += job.clicks.users;
      (fits ? taken : left).push(job);
    }
    this.#waiting = left;
    return taken as WaitingJobs;
  }

  async #runJobs(jobs: WaitingJobs): Promise<void> {
    this.#runs++;
    try {
      const outputs = await this.#compute({
        clicks: joinClicks(mapAll(jobs, (job) => job.clicks)),
        excluded: joinExcluded(mapAll(jobs, ({ excluded }) => excluded)),
        top: jobs[0].top,
      });
      let first = 0;
      for (const { clicks, resolve } of jobs) {
        resolve({ outputs, first });
        first += clicks.users;
      }
    } catch (error) {
      for (const { reject } of jobs) reject(error);
    } finally {
      this.#runs--;
      this.#start();
    }
  }
}

/** The users of several logs of one schema, one log after the other. */
function joinClicks(logs: readonly [Clicks, ...Clicks[]]): Clicks {
  const [head] = logs;
  if (logs.length === 1) return head;
  return {
    users: logs.reduce((sum, { users }) => sum + users, 0),
    clicks: logs.reduce((sum, { clicks }) => sum + clicks, 0),
    clickOffsets: joinOffsets(logs.map(({ clickOffsets }) => clickOffsets)),
    userFeatures: head.userFeatures.map((_, f) => joinValues(mapAll(logs, ({ userFeatures }) => userFeatures[f]!))),
    ...(head.searches && {
      searches: head.searches.map((_, f) => joinSearches(mapAll(logs, ({ searches }) => searches![f]!))),
    }),
    numbers: head.numbers.map((statistics, f) => ({
      ...statistics,
      values: joinArrays(mapAll(logs, ({ numbers }) => numbers[f]!.values)),
    })),
    itemFeatures: head.itemFeatures.map((_, f) => joinValues(mapAll(logs, ({ itemFeatures }) => itemFeatures[f]!))),
    ...(head.times && {
      times: { ...head.times, values: joinArrays(mapAll(logs, ({ times }) => times!.values)) },
    }),
  };
}

function joinSearches(parts: readonly [Searches, ...Searches[]]): Searches {
  return {
    name: parts[0].name,
    queryOffsets: joinOffsets(parts.map(({ queryOffsets }) => queryOffsets)),
    offsets: joinOffsets(parts.map(({ offsets }) => offsets)),
    ids: joinArrays(mapAll(parts, ({ ids }) => ids)),
  };
}

function joinExcluded(lists: readonly [ExcludedItems, ...ExcludedItems[]]): ExcludedItems {
  if (lists.length === 1) return lists[0];
  return {
    ids: joinArrays(mapAll(lists, ({ ids }) => ids)),
    offsets: joinOffsets(lists.map(({ offsets }) => offsets)),
  };
}
