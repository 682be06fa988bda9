import type { Clicks, ItemValues } from "../../data/clicks.js";
import type { RunOutputs } from "../../executors/executor.js";
import type { Model } from "../model.js";
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

interface WaitingJob extends UserJob {
  readonly resolve: (rows: UserRows) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Runs users through the parts of the inference Program that compute some outputs. A job starts at once if few runs are
 * in flight. Otherwise it waits, and the jobs that have gathered meanwhile become one batch, which takes less time than
 * a run for each. The bits of a user's results do not depend on the other users of the batch.
 */
export class UserRuns {
  readonly #model: Model;
  readonly #outputs: readonly string[];
  #waiting: WaitingJob[] = [];
  #runs = 0;

  constructor(model: Model, outputs: readonly string[]) {
    this.#model = model;
    this.#outputs = outputs;
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
  #takeJobs(): WaitingJob[] {
    const [head] = this.#waiting as [WaitingJob];
    const taken: WaitingJob[] = [];
    let users = 0;
    const left: WaitingJob[] = [];
    for (const job of this.#waiting) {
      const fits = job === head || (job.top === head.top && users + job.clicks.users <= MOST_USERS);
      if (fits) users += job.clicks.users;
      (fits ? taken : left).push(job);
    }
    this.#waiting = left;
    return taken;
  }

  async #runJobs(jobs: readonly WaitingJob[]): Promise<void> {
    this.#runs++;
    try {
      const outputs = await this.#compute(jobs);
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

  async #compute(jobs: readonly WaitingJob[]): Promise<RunOutputs> {
    const { window, windows } = this.#model.description.config;
    const clicks = joinClicks(jobs.map((job) => job.clicks));
    const { ids, offsets } = joinExcluded(jobs.map(({ excluded }) => excluded));
    const batches = this.#model.engine.createUserBatches({
      clicks,
      window,
      windows,
      batchSize: Math.max(1, clicks.users),
    });
    const inputs = { excluded: ids, excluded_offsets: offsets };
    return this.#model.runUsers(this.#outputs, batches, 0, inputs, { top: jobs[0]!.top, excluded: ids.length });
  }
}

/** The users of several logs of one schema, one log after the other. */
function joinClicks(logs: readonly Clicks[]): Clicks {
  if (logs.length === 1) return logs[0]!;
  const [head] = logs as [Clicks, ...Clicks[]];
  return {
    users: logs.reduce((sum, { users }) => sum + users, 0),
    clicks: logs.reduce((sum, { clicks }) => sum + clicks, 0),
    clickOffsets: joinOffsets(logs.map(({ clickOffsets }) => clickOffsets)),
    userFeatures: head.userFeatures.map(({ name }, f) => ({
      name,
      ids: joinArrays(logs.map(({ userFeatures }) => userFeatures[f]!.ids)),
    })),
    numbers: head.numbers.map((statistics, f) => ({
      ...statistics,
      values: joinFloats(logs.map(({ numbers }) => numbers[f]!.values)),
    })),
    itemFeatures: head.itemFeatures.map((_, f) => joinValues(logs.map(({ itemFeatures }) => itemFeatures[f]!))),
    ...(head.times && { times: { ...head.times, values: joinTimes(logs) } }),
  };
}

function joinValues(parts: readonly ItemValues[]): ItemValues {
  const [{ name, offsets }] = parts as [ItemValues, ...ItemValues[]];
  return {
    name,
    ids: joinArrays(parts.map(({ ids }) => ids)),
    offsets: offsets && joinOffsets(parts.map((part) => part.offsets!)),
  };
}

function joinArrays(arrays: readonly Int32Array[]): Int32Array {
  const joined = new Int32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    joined.set(array, at);
    at += array.length;
  }
  return joined;
}

function joinFloats(arrays: readonly Float32Array[]): Float32Array {
  return Float32Array.from(arrays.flatMap((array) => [...array]));
}

function joinTimes(logs: readonly Clicks[]): Float64Array {
  return Float64Array.from(logs.flatMap(({ times }) => [...times!.values]));
}

/** Joins arrays of offsets that each begin with 0. */
function joinOffsets(arrays: readonly Int32Array[]): Int32Array {
  const joined = new Int32Array(arrays.reduce((sum, { length }) => sum + length - 1, 1));
  let at = 1;
  for (const array of arrays) {
    const base = joined[at - 1]!;
    for (let i = 1; i < array.length; i++) joined[at++] = base + array[i]!;
  }
  return joined;
}

function joinExcluded(lists: readonly ExcludedItems[]): ExcludedItems {
  if (lists.length === 1) return lists[0]!;
  return { ids: joinArrays(lists.map(({ ids }) => ids)), offsets: joinOffsets(lists.map(({ offsets }) => offsets)) };
}
