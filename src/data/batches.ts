import { checkChoice, checkOptions, ShortlistError } from "../errors.js";
import { KeyedPermutation } from "../random/permutation.js";
import { checkSeed } from "../random/philox.js";
import type { Clicks, NumberValues, Searches, UserValues } from "./clicks.js";
import { gatherGroups } from "./groups.js";
import { IntList } from "./int_list.js";
import { SEARCH_WINDOW } from "./searches.js";
import type { ClickTimes } from "./times.js";

/**
 * A batch of samples. Its arrays are ragged: values and ranges, without padding.
 *
 * A sample is a user and one of the user's clicks, number i from 0. That click is the target, and the clicks before it
 * are the history that predicts it (docs/math.md#windows). Which clicks are the history, counted within the user:
 * - sliding windows: max(0, i − window) … i − 1.
 * - growing windows: k·window … i − 1 with k = max(0, ⌈i / window⌉ − 2). All targets of one k form a segment of the
 *   user. Their histories are prefixes of one sequence, of at least `window` clicks (if the user has that many) and at
 *   most 2·window clicks.
 *
 * A history without clicks is a single position whose item features are all `<unk>`.
 *
 * Inputs are int32 unless stated otherwise, and ranges are half-open:
 * - `<user feature>` [samples], and `numbers` float32 [samples × number features], row-major in schema order,
 *   standardised by the mean and deviation of the training log, 0 if missing. `numbers` is absent if the schema has
 *   none. With `groupUsers` these have one row for each of `users` instead (consecutive samples of one user), and
 *   `user_offsets` [users + 1] has the range of samples of each.
 * - A multi-valued user feature has `<user feature>` [values] instead, the values of one row after the other, and
 *   `<user feature>_start` and `_end`, the range of the values of each row.
 * - Searches have `<searches>` [tokens] and `<searches>_offsets` [queries + 1], the range of the tokens of each query.
 *   `<searches>_start` and `_end` [samples] have the range of queries that each sample reads: of the queries before its
 *   target, the last `SEARCH_WINDOW`. Consecutive samples of a user share queries where their ranges touch.
 * - `example_age` float32 [samples × 3]: x, x² and √x of the target's age x. The latest click of the log has age 0. The
 *   earliest click has age 1, and so have clicks without a time or with an outlier (`clickTimes`). In batches
 *   for inference all ages are 0, since they predict the clicks of now. Absent if the clicks have no times.
 * - `<weight>` float32 [samples], by the name of its field: the weight of the target divided by the mean weight of all
 *   clicks. Only in training batches, if the clicks have weights.
 * - `<number>` float32 [positions × 1], by the name of its click field: the number of the click at each position,
 *   standardised like `numbers`, and 0 where there is no click.
 * - `<item feature>` [positions]. A multi-valued feature has `<item feature>` [values] and `<item feature>_offsets`
 *   [positions + 1] instead.
 * - `sample_start` and `sample_end` [samples] delimit the positions of each sample's history.
 * - `timestep_position` [timesteps] has the position that each timestep of a sequence reads. `sequence_offsets`
 *   [sequences + 1] has the range of timesteps of each sequence, whose initial state is zero. `timestep_start` and
 *   `timestep_end` [samples] delimit the timesteps of each sample, which are a prefix of a sequence.
 * - With `distinctItems`, `distinct_item` [distinct] has the distinct items of the positions in the order in which they
 *   first occur, and `timestep_item` [timesteps] the index in it of the item that each timestep reads.
 * - `target` [samples] has item ids. `NextClickBatches` have no targets.
 */
export interface Batch {
  /**
   * Numbers of samples, positions, sequences and timesteps; with `groupUsers` that of users; with `distinctItems` that
   * of distinct items; the number of values of each multi-valued feature and of tokens of searches, by its name; and
   * `<searches>_queries`, the number of queries.
   */
  readonly dims: Readonly<Record<string, number>>;
  readonly inputs: Readonly<Record<string, Int32Array | Float32Array>>;
}

/** Options for making batches of clicks. */
export interface BatchOptions {
  /** The users and clicks. They must not change while batches are made of them. */
  readonly clicks: Clicks;
  /** Largest number of clicks in a history; with growing windows, half of it. */
  readonly window: number;
  /** How histories are cut (default "sliding"); see `Batch`. */
  readonly windows?: "sliding" | "growing" | undefined;
  /** Number of samples in a batch. The last batch of an epoch may have fewer. */
  readonly batchSize: number;
}

/** Options of `UserBatches`: `batchSize` is optional (default 256). */
export type UserBatchOptions = Omit<BatchOptions, "batchSize"> & Partial<Pick<BatchOptions, "batchSize">>;

/** Options for making training batches. */
export interface TrainingBatchOptions extends BatchOptions {
  /** Seed of the order of samples. */
  readonly seed: number;
  /** "shuffled" (default): see `ShuffledBatches`. "shared": see `SharedBatches`. */
  readonly batching?: "shuffled" | "shared" | undefined;
  /**
   * For shared batches: the size at which the samples of a long user are cut into parts, which are shuffled separately
   * so that a batch mixes more users. With sliding windows, parts have at most this many samples (default: users are
   * not cut). With growing windows, a part ends with the first segment that gives it at least this many samples
   * (default batchSize / 32).
   */
  readonly maxPart?: number | undefined;
  /** Groups consecutive samples of one user, whose features are stored once (default false). */
  readonly groupUsers?: boolean | undefined;
  /** Stores the distinct items of a batch once (default false). */
  readonly distinctItems?: boolean | undefined;
  /**
   * Number of ranks, which are processes or devices that train one model together, at most 65,536 (default 1). For
   * every world, an epoch is the same sequence of batches of `batchSize` samples, and each rank builds its share of
   * each batch: of a batch of n samples, rank r has the samples ⌊r·n / world⌋ to ⌊(r+1)·n / world⌋ − 1. So the shares
   * of all ranks in order are the samples of the batch, and their sizes differ by at most one. A share is empty if the
   * batch has fewer samples than there are ranks. In shared batches, if a boundary between shares cuts a part of a
   * user, both ranks store the history that they need, like two batches between which a part is divided.
   */
  readonly world?: number | undefined;
  /** The rank whose share is built, from 0 to `world` − 1 (default 0). */
  readonly rank?: number | undefined;
}

/**
 * Batches to train on. An epoch has every sample exactly once. Batches can be requested in any order, so training can
 * resume anywhere.
 */
export interface TrainingBatches {
  /** Number of samples in an epoch, over all ranks. */
  readonly samplesPerEpoch: number;
  /** Number of batches in an epoch, which is the same for every rank. */
  readonly batchesPerEpoch: number;
  /** Builds this rank's share of a batch. `epoch` and `index`, the number of the batch in the epoch, are from 0. */
  batch(epoch: number, index: number): Batch;
}

/** Batches of users in order, with one sample per user. Batch b starts with user b · batchSize. */
export interface UserBatches {
  /** Number of batches. */
  readonly batches: number;
  /** First user of batch `index`. */
  firstUser(index: number): number;
  /** Builds batch `index`, from 0. */
  batch(index: number): Batch;
}

const TRAINING_BATCH_OPTIONS: Readonly<Record<keyof TrainingBatchOptions, true>> = {
  clicks: true,
  window: true,
  windows: true,
  batchSize: true,
  seed: true,
  batching: true,
  maxPart: true,
  groupUsers: true,
  distinctItems: true,
  world: true,
  rank: true,
};

/** Largest `world`. It keeps products of samples and ranks exact. */
const MAX_WORLD = 65_536;

/** Throws ERR_OPTION unless training batches can be made with these options. */
export function checkTrainingBatchOptions(options: TrainingBatchOptions): void {
  checkOptions("createTrainingBatches", options, TRAINING_BATCH_OPTIONS);
  const { window, windows = "sliding", batchSize, batching = "shuffled", maxPart, seed, world = 1, rank = 0 } = options;
  checkChoice("windows", windows, ["sliding", "growing"]);
  checkChoice("batching", batching, ["shuffled", "shared"]);
  checkSize("window", window);
  checkSize("batchSize", batchSize);
  if (maxPart !== undefined) checkSize("maxPart", maxPart);
  checkSeed(seed);
  if (!Number.isSafeInteger(world) || world < 1 || world > MAX_WORLD) {
    throw new ShortlistError("ERR_OPTION", `Expected world from 1 to ${MAX_WORLD} but received ${world}`);
  }
  checkIndex("rank", rank, world);
}

const USER_BATCH_OPTIONS: Readonly<Record<keyof UserBatchOptions, true>> = {
  clicks: true,
  window: true,
  windows: true,
  batchSize: true,
};

export function checkUserBatchOptions(options: UserBatchOptions): void {
  checkOptions("createUserBatches", options, USER_BATCH_OPTIONS);
  const { window, windows = "sliding", batchSize = USERS_AT_ONCE } = options;
  checkChoice("windows", windows, ["sliding", "growing"]);
  checkSize("window", window);
  checkSize("batchSize", batchSize);
}

/** Creates training batches of the kind that `batching` names, in TypeScript. */
export function createTrainingBatches(options: TrainingBatchOptions): TrainingBatches {
  return options.batching === "shared" ? new SharedBatches(options) : new ShuffledBatches(options);
}

/** Samples in random order. Each has positions and a sequence of its own. */
export class ShuffledBatches implements TrainingBatches {
  readonly samplesPerEpoch: number;
  readonly batchesPerEpoch: number;
  readonly #options: TrainingBatchOptions;
  readonly #builder: BatchBuilder;
  /** Click index of each sample's target. */
  readonly #targets: Int32Array;
  #order: { readonly epoch: number; readonly permutation: KeyedPermutation } | undefined;

  constructor(options: TrainingBatchOptions) {
    checkTrainingBatchOptions(options);
    this.#options = options;
    this.#builder = new BatchBuilder(options);
    this.#targets = trainingTargets(options.clicks);
    this.samplesPerEpoch = this.#targets.length;
    this.batchesPerEpoch = Math.ceil(this.samplesPerEpoch / options.batchSize);
  }

  batch(epoch: number, index: number): Batch {
    checkIndex("epoch", epoch, 2 ** 32);
    checkIndex("batch", index, this.batchesPerEpoch);
    if (this.#order?.epoch !== epoch) {
      this.#order = { epoch, permutation: new KeyedPermutation(this.samplesPerEpoch, this.#options.seed, [epoch, 0]) };
    }
    const { first, end } = shareOf(this.#options, this.samplesPerEpoch, index);
    for (let i = first; i < end; i++) {
      const click = this.#targets[this.#order.permutation.at(i)]!;
      this.#builder.addIsolated(userOf(this.#options.clicks, click), click);
    }
    return this.#builder.build({ target: true, training: true });
  }
}

/**
 * Parts of users in random order. A part consists of consecutive samples of one user (`maxPart`); if it does not fit
 * into a batch, the next batch continues it. Overlapping histories are stored once, and consecutive histories that
 * begin at the same click are prefixes of one sequence.
 */
export class SharedBatches implements TrainingBatches {
  readonly samplesPerEpoch: number;
  readonly batchesPerEpoch: number;
  readonly #options: TrainingBatchOptions;
  readonly #builder: BatchBuilder;
  readonly #targets: Int32Array;
  /** [parts + 1] Index of the first target of each part. */
  readonly #parts: Int32Array;
  /** For the current epoch: the parts in order, and the number of samples before each part [parts + 1]. */
  #order: { readonly epoch: number; readonly parts: Int32Array; readonly before: Int32Array } | undefined;

  constructor(options: TrainingBatchOptions) {
    const { clicks, batchSize } = options;
    checkTrainingBatchOptions(options);
    this.#options = options;
    this.#builder = new BatchBuilder(options);
    this.#targets = trainingTargets(clicks);
    this.#parts = cutParts(options, this.#targets);
    this.samplesPerEpoch = this.#targets.length;
    this.batchesPerEpoch = Math.ceil(this.samplesPerEpoch / batchSize);
  }

  batch(epoch: number, index: number): Batch {
    checkIndex("epoch", epoch, 2 ** 32);
    checkIndex("batch", index, this.batchesPerEpoch);
    const { parts, before } = this.#orderOf(epoch);
    const { first, end } = shareOf(this.#options, this.samplesPerEpoch, index);
    let sample = first;
    for (let k = lastAtMost(before, sample); sample < end; k++) {
      const shift = this.#parts[parts[k]!]! - before[k]!;
      const partEnd = Math.min(end, before[k + 1]!);
      const user = userOf(this.#options.clicks, this.#targets[shift + sample]!);
      this.#builder.addShared(user, this.#targets.subarray(shift + sample, shift + partEnd));
      sample = partEnd;
    }
    return this.#builder.build({ target: true, training: true });
  }

  #orderOf(epoch: number) {
    if (this.#order?.epoch === epoch) return this.#order;
    const count = this.#parts.length - 1;
    const permutation = new KeyedPermutation(count, this.#options.seed, [epoch, 1]);
    const parts = new Int32Array(count);
    const before = new Int32Array(count + 1);
    for (let k = 0; k < count; k++) {
      const part = permutation.at(k);
      parts[k] = part;
      before[k + 1] = before[k]! + this.#parts[part + 1]! - this.#parts[part]!;
    }
    this.#order = { epoch, parts, before };
    return this.#order;
  }
}

/** The rank's share of batch `index`: samples `first` to `end` − 1 in the order of the epoch. */
function shareOf({ batchSize, world = 1, rank = 0 }: TrainingBatchOptions, samplesPerEpoch: number, index: number) {
  const start = index * batchSize;
  const samples = Math.min(samplesPerEpoch - start, batchSize);
  const boundary = (r: number) => start + Math.floor((r * samples) / world);
  return { first: boundary(rank), end: boundary(rank + 1) };
}

/** Number of columns of `example_age` (Covington et al. 2016, sections 3.3 and 3.4). */
export const AGE_INPUTS = 3;

/** Default number of users in an inference batch. */
export const USERS_AT_ONCE = 256;

/** Batches of users in order, with one sample per user. */
class OrderedBatches implements UserBatches {
  readonly batches: number;
  readonly #options: BatchOptions;
  readonly #builder: BatchBuilder;
  readonly #lastIsTarget: boolean;

  constructor(options: UserBatchOptions, lastIsTarget: boolean) {
    this.#options = { ...options, batchSize: options.batchSize ?? USERS_AT_ONCE };
    checkUserBatchOptions(options);
    this.#builder = new BatchBuilder(this.#options);
    this.#lastIsTarget = lastIsTarget;
    this.batches = Math.ceil(options.clicks.users / this.#options.batchSize);
  }

  firstUser(index: number): number {
    return index * this.#options.batchSize;
  }

  batch(index: number): Batch {
    checkIndex("batch", index, this.batches);
    const { clicks } = this.#options;
    const end = Math.min(clicks.users, this.firstUser(index + 1));
    for (let user = this.firstUser(index); user < end; user++) {
      this.#builder.addIsolated(user, clicks.clickOffsets[user + 1]! - (this.#lastIsTarget ? 1 : 0));
    }
    return this.#builder.build({ target: this.#lastIsTarget });
  }
}

/** Batches for evaluation. The target is each user's last click (0 if it is `<unk>`), and the history is before it. */
export class LastClickBatches extends OrderedBatches {
  constructor(options: UserBatchOptions) {
    super(options, true);
  }
}

/** Batches for recommending. The history ends with each user's last click, and there is no target. */
export class NextClickBatches extends OrderedBatches {
  constructor(options: UserBatchOptions) {
    super(options, false);
  }
}

/** Indices of the clicks that may be targets and whose item is not `<unk>`. */
function trainingTargets({ itemFeatures, clicks, targets: items = itemFeatures[0]!.ids }: Clicks): Int32Array {
  const targets = new Int32Array(clicks);
  let count = 0;
  for (let click = 0; click < clicks; click++) if (items[click] !== 0) targets[count++] = click;
  return targets.subarray(0, count);
}

/** [parts + 1] Index of the first target of each part of `SharedBatches`. */
function cutParts(
  { clicks, window, windows, batchSize, maxPart }: TrainingBatchOptions,
  targets: Int32Array,
): Int32Array {
  const { clickOffsets } = clicks;
  const growing = windows === "growing";
  const size = maxPart ?? (growing ? Math.ceil(batchSize / PARTS_PER_BATCH) : Number.POSITIVE_INFINITY);
  const starts = new IntList();
  let user = 0;
  let start = 0;
  for (let t = 0; t < targets.length; t++) {
    const otherUser = t === 0 || targets[t]! >= clickOffsets[user + 1]!;
    while (targets[t]! >= clickOffsets[user + 1]!) user++;
    const from = (target: number) => historyStart(clickOffsets[user]!, targets[target]!, window, windows);
    if (!otherUser && (t - start < size || (growing && from(t) === from(t - 1)))) continue;
    starts.push(t);
    start = t;
  }
  starts.push(targets.length);
  return starts.toArray();
}

/** Growing windows: the default of `maxPart` makes a batch hold at least about this many parts of users. */
const PARTS_PER_BATCH = 32;

/** First click of the history of the sample whose target is, or would be, click `click`. */
export function historyStart(
  userStart: number,
  click: number,
  window: number,
  windows: BatchOptions["windows"],
): number {
  if (windows !== "growing") return Math.max(userStart, click - window);
  return userStart + window * Math.max(0, Math.ceil((click - userStart) / window) - 2);
}

/** The user of a click. */
function userOf({ clickOffsets }: Clicks, click: number): number {
  return lastAtMost(clickOffsets, click);
}

/** Returns the largest index with sorted[index] ≤ value, ignoring the last element. */
function lastAtMost(sorted: Int32Array, value: number): number {
  let [low, high] = [0, sorted.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= value) low = middle;
    else high = middle;
  }
  return low;
}

/**
 * Collects samples as positions, sequences and timesteps, and then gathers the features. It reuses its lists for the
 * next batch.
 */
class BatchBuilder {
  readonly #clicks: Clicks;
  readonly #window: number;
  readonly #windows: BatchOptions["windows"];
  readonly #groupUsers: boolean;
  readonly #distinctItems: boolean;
  /** The user of each row of the user features. */
  readonly #users = new IntList();
  /** With `groupUsers`, the range of samples of each user. Starts with 0. */
  readonly #userOffsets = new IntList();
  readonly #targets = new IntList();
  /** The user of each target. */
  readonly #targetUsers = new IntList();
  /** The click at each position; −1 for the `<unk>` of an empty history. */
  readonly #positions = new IntList();
  readonly #timesteps = new IntList();
  /** The range of timesteps of each sequence. Starts with 0. */
  readonly #sequenceOffsets = new IntList();
  readonly #sampleStart = new IntList();
  readonly #sampleEnd = new IntList();
  readonly #timestepStart = new IntList();
  readonly #timestepEnd = new IntList();

  constructor({
    clicks,
    window,
    windows,
    groupUsers = false,
    distinctItems = false,
  }: BatchOptions & Pick<TrainingBatchOptions, "groupUsers" | "distinctItems">) {
    this.#clicks = clicks;
    this.#window = window;
    this.#windows = windows;
    this.#groupUsers = groupUsers;
    this.#distinctItems = distinctItems;
    this.#clear();
  }

  /** Adds the sample of `user` whose target is, or would be, click `click`. It shares nothing with other samples. */
  addIsolated(user: number, click: number): void {
    const from = historyStart(this.#clicks.clickOffsets[user]!, click, this.#window, this.#windows);
    const [position, timestep] = [this.#positions.length, this.#timesteps.length];
    if (from === click) this.#positions.push(-1);
    for (let c = from; c < click; c++) this.#positions.push(c);
    this.#addSequence(position);
    this.#addSample(click, position, timestep);
    this.#addUser(user, 1);
  }

  /** Adds samples of one user with the given targets (rising click indices). They share positions and sequences. */
  addShared(user: number, targets: Int32Array): void {
    const userStart = this.#clicks.clickOffsets[user]!;
    /** Index after the last click that was stored. */
    let stored = -1;
    /** First click and first timestep of the last sequence. */
    let [sequenceFrom, sequenceStart] = [-1, -1];
    for (const click of targets) {
      const from = historyStart(userStart, click, this.#window, this.#windows);
      if (from === click) this.#positions.push(-1);
      // Skips clicks that are in no history, since the targets after them were `<unk>`. Later samples do not need them.
      for (let c = Math.max(stored, from); c < click; c++) this.#positions.push(c);
      stored = click;
      const position = this.#positions.length - Math.max(1, click - from);
      if (from !== sequenceFrom) {
        sequenceFrom = from === click ? -1 : from;
        sequenceStart = this.#timesteps.length;
        this.#addSequence(position);
      } else {
        while (this.#timesteps.length < sequenceStart + click - from)
          this.#timesteps.push(position + this.#timesteps.length - sequenceStart);
        this.#sequenceOffsets.setLast(this.#timesteps.length);
      }
      this.#addSample(click, position, sequenceStart);
    }
    this.#addUser(user, targets.length);
  }

  /** Returns the batch of all samples added since the last call. Only training reads the targets' ages and weights. */
  build({ target, training = false }: { readonly target: boolean; readonly training?: boolean }): Batch {
    const { userFeatures, numbers, itemFeatures, times, weights, searches = [], clickNumbers = [] } = this.#clicks;
    const targets = this.#targets.toArray();
    const users = this.#users.toArray();
    const positions = this.#positions.toArray();
    const dims: Record<string, number> = {
      samples: targets.length,
      positions: positions.length,
      sequences: this.#sequenceOffsets.length - 1,
      timesteps: this.#timesteps.length,
      ...(this.#groupUsers && { users: users.length }),
    };
    const inputs: Record<string, Int32Array | Float32Array> = {};
    for (const feature of userFeatures) {
      if (feature.offsets) gatherValues(feature, users, dims, inputs);
      else inputs[feature.name] = gather(feature.ids, users);
    }
    if (numbers.length > 0) inputs["numbers"] = this.#gatherNumbers(users);
    if (this.#groupUsers) inputs["user_offsets"] = this.#userOffsets.toArray();
    if (times) {
      inputs["example_age"] = training ? gatherAges(times, targets) : new Float32Array(AGE_INPUTS * targets.length);
    }
    if (weights && training) {
      inputs[weights.name] = Float32Array.from(targets, (click) => weights.values[click]! / weights.mean);
    }
    for (const feature of searches) {
      gatherSearches(feature, this.#clicks.clickOffsets, this.#targetUsers.toArray(), targets, dims, inputs);
    }
    for (const number of clickNumbers) {
      inputs[number.name] = new Float32Array(positions.length);
      gatherStandardised(number, positions, inputs[number.name] as Float32Array, 0, 1);
    }
    for (const { name, ids, offsets } of itemFeatures) {
      if (offsets === undefined) {
        inputs[name] = gather(ids, positions);
        continue;
      }
      const values = gatherGroups(ids, offsets, positions);
      inputs[name] = values.ids;
      inputs[`${name}_offsets`] = values.offsets;
      dims[name] = values.ids.length;
    }
    inputs["sample_start"] = this.#sampleStart.toArray();
    inputs["sample_end"] = this.#sampleEnd.toArray();
    inputs["timestep_position"] = this.#timesteps.toArray();
    inputs["sequence_offsets"] = this.#sequenceOffsets.toArray();
    inputs["timestep_start"] = this.#timestepStart.toArray();
    inputs["timestep_end"] = this.#timestepEnd.toArray();
    if (this.#distinctItems) {
      const { distinct, places } = distinctValues(inputs[itemFeatures[0]!.name]!);
      dims["distinct"] = distinct.length;
      inputs["distinct_item"] = distinct;
      inputs["timestep_item"] = gather(places, inputs["timestep_position"] as Int32Array);
    }
    if (target) inputs["target"] = gather(this.#clicks.targets ?? itemFeatures[0]!.ids, targets);
    this.#clear();
    return { dims, inputs };
  }

  /** Adds a sequence over the positions from `position` to the last one. */
  #addSequence(position: number): void {
    for (let p = position; p < this.#positions.length; p++) this.#timesteps.push(p);
    this.#sequenceOffsets.push(this.#timesteps.length);
  }

  /** Adds a sample whose history is all positions from `position` on and all timesteps from `timestep` on. */
  #addSample(click: number, position: number, timestep: number): void {
    this.#targets.push(click);
    this.#sampleStart.push(position);
    this.#sampleEnd.push(this.#positions.length);
    this.#timestepStart.push(timestep);
    this.#timestepEnd.push(this.#timesteps.length);
  }

  /** Records the user of the last `samples` samples. */
  #addUser(user: number, samples: number): void {
    for (let i = 0; i < (this.#groupUsers ? 1 : samples); i++) this.#users.push(user);
    for (let i = 0; i < samples; i++) this.#targetUsers.push(user);
    this.#userOffsets.push(this.#targets.length);
  }

  #clear(): void {
    for (const list of [
      this.#users,
      this.#userOffsets,
      this.#targets,
      this.#targetUsers,
      this.#positions,
      this.#timesteps,
      this.#sequenceOffsets,
    ])
      list.clear();
    for (const list of [this.#sampleStart, this.#sampleEnd, this.#timestepStart, this.#timestepEnd]) list.clear();
    this.#sequenceOffsets.push(0);
    this.#userOffsets.push(0);
  }

  #gatherNumbers(users: Int32Array): Float32Array {
    const { numbers } = this.#clicks;
    const gathered = new Float32Array(users.length * numbers.length);
    numbers.forEach((number, column) => {
      gatherStandardised(number, users, gathered, column, numbers.length);
    });
    return gathered;
  }
}

/**
 * Writes the standardised numbers of users or positions to `to`, from `first` on, with `stride` between them: 0 where a
 * number is missing, and for row −1.
 */
function gatherStandardised(
  { values, mean, standardDeviation }: NumberValues,
  rows: Int32Array,
  to: Float32Array,
  first: number,
  stride: number,
): void {
  const scale = standardDeviation > 0 ? 1 / standardDeviation : 1;
  for (let i = 0; i < rows.length; i++) {
    const value = rows[i]! < 0 ? Number.NaN : values[rows[i]!]!;
    to[first + i * stride] = Number.isNaN(value) ? 0 : (value - mean) * scale;
  }
}

type BatchParts = [dims: Record<string, number>, inputs: Record<string, Int32Array | Float32Array>];

/** Adds the values of a multi-valued feature of these users to the dims and inputs of a batch. */
function gatherValues({ name, ids, offsets }: UserValues, users: Int32Array, ...[dims, inputs]: BatchParts): void {
  const values = gatherGroups(ids, offsets!, users);
  inputs[name] = values.ids;
  inputs[`${name}_start`] = values.offsets.slice(0, -1);
  inputs[`${name}_end`] = values.offsets.slice(1);
  dims[name] = values.ids.length;
}

/** Adds the searches of samples with these users and targets to the dims and inputs of a batch. */
function gatherSearches(
  { name, queryOffsets, offsets, ids, before }: Searches,
  clickOffsets: Int32Array,
  users: Int32Array,
  targets: Int32Array,
  ...[dims, inputs]: BatchParts
): void {
  const queries = new IntList();
  const [starts, ends] = [new Int32Array(users.length), new Int32Array(users.length)];
  /** The queries that were stored last without a gap, and where the first of them stands in the batch. */
  let [from, to, place] = [0, 0, 0];
  users.forEach((user, s) => {
    const target = targets[s]!;
    // A target after the user's last click is after all searches.
    const isNext = target === clickOffsets[user + 1];
    const end = before && !isNext ? queryOffsets[user]! + before[target]! : queryOffsets[user + 1]!;
    const start = Math.max(queryOffsets[user]!, end - SEARCH_WINDOW);
    const continues = s > 0 && users[s - 1] === user && start >= from && start <= to;
    if (!continues) [from, to, place] = [start, start, queries.length];
    while (to < end) queries.push(to++);
    starts[s] = place + start - from;
    ends[s] = place + end - from;
  });
  const tokens = gatherGroups(ids, offsets, queries.toArray());
  inputs[name] = tokens.ids;
  inputs[`${name}_offsets`] = tokens.offsets;
  inputs[`${name}_start`] = starts;
  inputs[`${name}_end`] = ends;
  dims[name] = tokens.ids.length;
  dims[`${name}_queries`] = queries.length;
}

/** The ages x of these clicks, as x, x² and √x. */
function gatherAges({ values, earliest, latest }: ClickTimes, clicks: Int32Array): Float32Array {
  const span = latest - earliest;
  const ages = new Float32Array(AGE_INPUTS * clicks.length);
  for (let i = 0; i < clicks.length; i++) {
    const time = values[clicks[i]!]!;
    const isKnown = time >= earliest && time <= latest;
    const age = !isKnown ? 1 : span > 0 && span < Number.POSITIVE_INFINITY ? (latest - time) / span : 0;
    ages[AGE_INPUTS * i] = age;
    ages[AGE_INPUTS * i + 1] = age * age;
    ages[AGE_INPUTS * i + 2] = Math.sqrt(age);
  }
  return ages;
}

/**
 * The distinct values in the order in which they first occur, and for each element the index of its value among them.
 */
function distinctValues(values: ArrayLike<number>): { distinct: Int32Array; places: Int32Array } {
  const placeOf = new Map<number, number>();
  const places = Int32Array.from(values, (value) => {
    if (!placeOf.has(value)) placeOf.set(value, placeOf.size);
    return placeOf.get(value)!;
  });
  return { distinct: Int32Array.from(placeOf.keys()), places };
}

/** Returns values[rows[i]] for each i, and 0 (`<unk>`) for row −1. */
function gather(values: Int32Array, rows: Int32Array): Int32Array {
  const gathered = new Int32Array(rows.length);
  for (let i = 0; i < rows.length; i++) if (rows[i]! >= 0) gathered[i] = values[rows[i]!]!;
  return gathered;
}

function checkSize(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new ShortlistError("ERR_OPTION", `Expected ${name} to be a whole number above 0 but received ${value}`);
  }
}

function checkIndex(name: string, value: number, end: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || value >= end) {
    throw new ShortlistError("ERR_OPTION", `Expected ${name} from 0 to ${end - 1} but received ${value}`);
  }
}
