import { checkChoice, checkOptions, ShortlistError } from "../errors.js";
import { KeyedPermutation } from "../random/permutation.js";
import { checkSeed } from "../random/philox.js";
import type { Clicks } from "./clicks.js";
import { IntList } from "./int_list.js";
import type { ClickTimes } from "./times.js";

/**
 * Ragged samples, values and ranges. A sample is (user, click i): clicks before it, its history, predict click i, its
 * target; a history without clicks is one position whose item features are all `<unk>`. Which clicks are its history,
 * counted within the user:
 * - sliding windows: max(0, i − window) … i − 1
 * - growing windows: k·window … i − 1 with k = max(0, ⌈i / window⌉ − 2). All targets of one k, a stretch of the user, read
 *   prefixes of one run, at least the last `window` clicks before them and at most 2·window.
 *
 * Inputs, int32 unless said, ranges half-open:
 * - `<user feature>` [samples]; `numbers` float32 [samples × number features], row-major in schema order, standardised
 *   by the training log's mean and deviation, 0 where missing (left out where the schema has none). With `shareUsers` a row
 *   for each of `users` instead, neighbouring samples of one user, and `user_offsets` [users + 1], the samples of each
 * - `example_age` float32 [samples × 3]: x, x² and √x of the target's age x, which is 0 for the log's latest click and 1
 *   for its earliest and for one without a time or with one that is far off (`clickTimes`); in batches of users in order it
 *   is 0: they ask for the clicks of now (left out where the clicks have no times)
 * - `<item feature>` [positions], or, for a multi-valued one, `<item feature>` [values] and `<item feature>_offsets`
 *   [positions + 1]
 * - `sample_start` and `sample_end` [samples] delimit the positions that are the sample's history
 * - `step_position` [steps] has the position that each step of a sequence reads, `run_offsets` [runs + 1] the steps of each
 *   run, which starts from zero state, `step_start` and `step_end` [samples] the steps of the sample, a prefix of a run
 * - with `shareItems`, `distinct_item` [distinct] holds the items of the positions, each once, in the order of their first
 *   positions, and `step_item` [steps] says which of them each step reads
 * - `target` [samples] holds item ids; `NextClickBatches` leave it out
 */
export interface Batch {
  /**
   * samples, positions, runs, steps, with `shareUsers` users, with `shareItems` distinct, and the number of values of
   * each multi-valued item feature by its name.
   */
  readonly dims: Readonly<Record<string, number>>;
  readonly inputs: Readonly<Record<string, Int32Array | Float32Array>>;
}

/** How clicks become batches. */
export interface BatchOptions {
  /** The users and clicks; they must not change as long as batches are made of them. */
  readonly clicks: Clicks;
  /** Longest history; half of it where windows grow. */
  readonly window: number;
  /** "sliding" unless given. */
  readonly windows?: "sliding" | "growing" | undefined;
  /** Samples of a batch; the last one of a pass may have fewer. */
  readonly batchSize: number;
}

/** `batchSize` is 256 unless given. */
export type UserBatchOptions = Omit<BatchOptions, "batchSize"> & Partial<Pick<BatchOptions, "batchSize">>;

/** How clicks become batches to train on. */
export interface TrainingBatchOptions extends BatchOptions {
  /** The seed of the order of the samples. */
  readonly seed: number;
  /** "shuffled" (default): `ShuffledBatches`; "shared": `SharedBatches`. */
  readonly batching?: "shuffled" | "shared" | undefined;
  /**
   * For shared batches: cuts long users into parts that are shuffled on their own, so that a batch mixes more users.
   * Sliding windows: into parts of at most so many samples; whole users unless given. Growing windows: where a stretch
   * ends after at least so many samples; batchSize / 32 unless given.
   */
  readonly maxPart?: number | undefined;
  /** Features of users once for the neighbouring samples of a user (default false). */
  readonly shareUsers?: boolean | undefined;
  /** The items of a batch once (default false). */
  readonly shareItems?: boolean | undefined;
  /**
   * The number of ranks, processes or devices that train one model together, at most 65,536 (default 1). Passes are the
   * same sequence of batches of `batchSize` samples for every world; each rank builds its share of each batch. Of the n
   * samples of a batch, in the order of the pass, rank r has those from ⌊r·n / world⌋ to ⌊(r+1)·n / world⌋ − 1. So the
   * shares of all ranks in rank order are the samples of the batch, shares differ by at most one sample, and a share is
   * empty where a batch has fewer samples than there are ranks. Where a boundary between shares cuts a part of a user
   * in shared batches, the next rank stores the part's history again, as the next batch does where a batch ends.
   */
  readonly world?: number | undefined;
  /** Whose share is built, from 0 to `world` − 1 (default 0). */
  readonly rank?: number | undefined;
}

/**
 * Batches to train on: every sample exactly once a pass. Any batch can be asked for at any time, so a run can resume.
 */
export interface TrainingBatches {
  /** Samples of a pass, those of all ranks. */
  readonly samplesPerPass: number;
  /** Batches of a pass, the same number for every rank. */
  readonly batchesPerPass: number;
  /** This rank's share of batch `index` of pass `pass`, both from 0. */
  batch(pass: number, index: number): Batch;
}

/** Batches that go through the users in order: batch b holds users b · batchSize and on, one sample each. */
export interface UserBatches {
  readonly batches: number;
  /** The first user of batch `index`. */
  firstUser(index: number): number;
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
  shareUsers: true,
  shareItems: true,
  world: true,
  rank: true,
};

/** The largest world: bounds the products of samples and ranks. */
const MAX_WORLD = 65_536;

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

export function createTrainingBatches(options: TrainingBatchOptions): TrainingBatches {
  return options.batching === "shared" ? new SharedBatches(options) : new ShuffledBatches(options);
}

/** Samples in random order, each with positions and a run of its own. */
export class ShuffledBatches implements TrainingBatches {
  readonly samplesPerPass: number;
  readonly batchesPerPass: number;
  readonly #options: TrainingBatchOptions;
  readonly #builder: BatchBuilder;
  /** Click indices of the targets. */
  readonly #targets: Int32Array;
  #order: { readonly pass: number; readonly permutation: KeyedPermutation } | undefined;

  constructor(options: TrainingBatchOptions) {
    checkTrainingBatchOptions(options);
    this.#options = options;
    this.#builder = new BatchBuilder(options);
    this.#targets = trainingTargets(options.clicks);
    this.samplesPerPass = this.#targets.length;
    this.batchesPerPass = Math.ceil(this.samplesPerPass / options.batchSize);
  }

  batch(pass: number, index: number): Batch {
    checkIndex("pass", pass, 2 ** 32);
    checkIndex("batch", index, this.batchesPerPass);
    if (this.#order?.pass !== pass) {
      this.#order = { pass, permutation: new KeyedPermutation(this.samplesPerPass, this.#options.seed, [pass, 0]) };
    }
    const { first, end } = shareOf(this.#options, this.samplesPerPass, index);
    for (let i = first; i < end; i++) {
      const click = this.#targets[this.#order.permutation.at(i)]!;
      this.#builder.addIsolated(userOf(this.#options.clicks, click), click);
    }
    return this.#builder.build({ target: true, age: true });
  }
}

/**
 * Samples by parts of consecutive samples of one user (`maxPart`), the parts in random order; a part that does not fit
 * is continued in the next batch. Overlapping histories are stored once, and consecutive histories that begin at the
 * same click are prefixes of one run.
 */
export class SharedBatches implements TrainingBatches {
  readonly samplesPerPass: number;
  readonly batchesPerPass: number;
  readonly #options: TrainingBatchOptions;
  readonly #builder: BatchBuilder;
  readonly #targets: Int32Array;
  /** [parts + 1] where each part begins in the targets. */
  readonly #parts: Int32Array;
  /** For one pass: the parts in order, and the samples before each [parts + 1]. */
  #order: { readonly pass: number; readonly parts: Int32Array; readonly before: Int32Array } | undefined;

  constructor(options: TrainingBatchOptions) {
    const { clicks, batchSize } = options;
    checkTrainingBatchOptions(options);
    this.#options = options;
    this.#builder = new BatchBuilder(options);
    this.#targets = trainingTargets(clicks);
    this.#parts = cutParts(options, this.#targets);
    this.samplesPerPass = this.#targets.length;
    this.batchesPerPass = Math.ceil(this.samplesPerPass / batchSize);
  }

  batch(pass: number, index: number): Batch {
    checkIndex("pass", pass, 2 ** 32);
    checkIndex("batch", index, this.batchesPerPass);
    const { parts, before } = this.#orderOf(pass);
    const { first, end } = shareOf(this.#options, this.samplesPerPass, index);
    let sample = first;
    for (let k = lastAtMost(before, sample); sample < end; k++) {
      const shift = this.#parts[parts[k]!]! - before[k]!;
      const partEnd = Math.min(end, before[k + 1]!);
      const user = userOf(this.#options.clicks, this.#targets[shift + sample]!);
      this.#builder.addShared(user, this.#targets.subarray(shift + sample, shift + partEnd));
      sample = partEnd;
    }
    return this.#builder.build({ target: true, age: true });
  }

  #orderOf(pass: number) {
    if (this.#order?.pass === pass) return this.#order;
    const count = this.#parts.length - 1;
    const permutation = new KeyedPermutation(count, this.#options.seed, [pass, 1]);
    const parts = new Int32Array(count);
    const before = new Int32Array(count + 1);
    for (let k = 0; k < count; k++) {
      const part = permutation.at(k);
      parts[k] = part;
      before[k + 1] = before[k]! + this.#parts[part + 1]! - this.#parts[part]!;
    }
    this.#order = { pass, parts, before };
    return this.#order;
  }
}

/** The rank's share of batch `index`: samples `first` to `end` − 1 of the order of a pass. */
function shareOf({ batchSize, world = 1, rank = 0 }: TrainingBatchOptions, samplesPerPass: number, index: number) {
  const start = index * batchSize;
  const samples = Math.min(samplesPerPass - start, batchSize);
  const boundary = (r: number) => start + Math.floor((r * samples) / world);
  return { first: boundary(rank), end: boundary(rank + 1) };
}

/** Columns of `example_age` (Covington et al. 2016, sections 3.3 and 3.4). */
export const AGE_INPUTS = 3;

/** Users that inference takes at once. */
const USERS_AT_ONCE = 256;

/** Batches of users in order, one sample each. */
class OrderedBatches implements UserBatches {
  readonly batches: number;
  readonly #options: BatchOptions;
  readonly #builder: BatchBuilder;
  readonly #lastIsTarget: boolean;

  constructor(options: UserBatchOptions, lastIsTarget: boolean) {
    this.#options = { batchSize: USERS_AT_ONCE, ...options };
    checkSize("window", this.#options.window);
    checkSize("batchSize", this.#options.batchSize);
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

/** For evaluation: each user's last click is the target (0 where it is `<unk>`), the clicks before it the history. */
export class LastClickBatches extends OrderedBatches {
  constructor(options: UserBatchOptions) {
    super(options, true);
  }
}

/** For recommending: the history is what predicts the click after each user's last one, and there is no target. */
export class NextClickBatches extends OrderedBatches {
  constructor(options: UserBatchOptions) {
    super(options, false);
  }
}

/** The clicks whose item is not `<unk>`. */
function trainingTargets({ itemFeatures, clicks }: Clicks): Int32Array {
  const items = itemFeatures[0]!.ids;
  const targets = new Int32Array(clicks);
  let count = 0;
  for (let click = 0; click < clicks; click++) if (items[click] !== 0) targets[count++] = click;
  return targets.subarray(0, count);
}

/** [parts + 1] where the parts of `SharedBatches` begin in the targets. */
function cutParts(
  { clicks, window, windows, batchSize, maxPart }: TrainingBatchOptions,
  targets: Int32Array,
): Int32Array {
  const { clickOffsets } = clicks;
  const growing = windows === "growing";
  const size = maxPart ?? (growing ? Math.ceil(batchSize / PARTS_A_BATCH) : Number.POSITIVE_INFINITY);
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

/** Growing windows: a batch holds at least about so many parts of users. */
const PARTS_A_BATCH = 32;

/** The first click of the history of the sample whose target is (or would be) click `click`. */
function historyStart(userStart: number, click: number, window: number, windows: BatchOptions["windows"]): number {
  if (windows !== "growing") return Math.max(userStart, click - window);
  return userStart + window * Math.max(0, Math.ceil((click - userStart) / window) - 2);
}

/** The user whose click this is. */
function userOf({ clickOffsets }: Clicks, click: number): number {
  return lastAtMost(clickOffsets, click);
}

/** The last index with sorted[index] ≤ value, of those before the end. */
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
 * Lays samples out as positions, runs and steps, then gathers the features; its lists are used again for each batch.
 */
class BatchBuilder {
  readonly #clicks: Clicks;
  readonly #window: number;
  readonly #windows: BatchOptions["windows"];
  readonly #shareUsers: boolean;
  readonly #shareItems: boolean;
  /** The user of each row of user features. */
  readonly #users = new IntList();
  /** Where users are shared, the samples of each; begins with 0. */
  readonly #userOffsets = new IntList();
  readonly #targets = new IntList();
  /** The click at each position, or −1 for `<unk>`. */
  readonly #positions = new IntList();
  readonly #steps = new IntList();
  /** Begins with 0. */
  readonly #runOffsets = new IntList();
  readonly #sampleStart = new IntList();
  readonly #sampleEnd = new IntList();
  readonly #stepStart = new IntList();
  readonly #stepEnd = new IntList();

  constructor({
    clicks,
    window,
    windows,
    shareUsers = false,
    shareItems = false,
  }: BatchOptions & Pick<TrainingBatchOptions, "shareUsers" | "shareItems">) {
    this.#clicks = clicks;
    this.#window = window;
    this.#windows = windows;
    this.#shareUsers = shareUsers;
    this.#shareItems = shareItems;
    this.#clear();
  }

  /** The sample of `user` whose target is (or would be) at index `click`, sharing nothing. */
  addIsolated(user: number, click: number): void {
    const from = historyStart(this.#clicks.clickOffsets[user]!, click, this.#window, this.#windows);
    const [position, step] = [this.#positions.length, this.#steps.length];
    if (from === click) this.#positions.push(-1);
    for (let c = from; c < click; c++) this.#positions.push(c);
    this.#addRun(position);
    this.#addSample(click, position, step);
    this.#addUser(user, 1);
  }

  /** The samples of one user with these targets (rising click indices), sharing positions and runs of prefixes. */
  addShared(user: number, targets: Int32Array): void {
    const userStart = this.#clicks.clickOffsets[user]!;
    /** One past the click that was stored last. */
    let stored = -1;
    /** The click and the step that the last run begins with. */
    let [runFrom, runStart] = [-1, -1];
    for (const click of targets) {
      const from = historyStart(userStart, click, this.#window, this.#windows);
      if (from === click) this.#positions.push(-1);
      // Clicks that no history holds (targets before them were `<unk>`) are passed over: earlier ones are not asked for again.
      for (let c = Math.max(stored, from); c < click; c++) this.#positions.push(c);
      stored = click;
      const position = this.#positions.length - Math.max(1, click - from);
      if (from !== runFrom) {
        runFrom = from === click ? -1 : from;
        runStart = this.#steps.length;
        this.#addRun(position);
      } else {
        while (this.#steps.length < runStart + click - from) this.#steps.push(position + this.#steps.length - runStart);
        this.#runOffsets.setLast(this.#steps.length);
      }
      this.#addSample(click, position, runStart);
    }
    this.#addUser(user, targets.length);
  }

  /** Takes all that was added; ages are 0 unless asked for. */
  build({ target, age = false }: { readonly target: boolean; readonly age?: boolean }): Batch {
    const { userFeatures, numbers, itemFeatures, times } = this.#clicks;
    const targets = this.#targets.toArray();
    const users = this.#users.toArray();
    const positions = this.#positions.toArray();
    const dims: Record<string, number> = {
      samples: targets.length,
      positions: positions.length,
      runs: this.#runOffsets.length - 1,
      steps: this.#steps.length,
      ...(this.#shareUsers && { users: users.length }),
    };
    const inputs: Record<string, Int32Array | Float32Array> = {};
    for (const { name, ids } of userFeatures) inputs[name] = gather(ids, users);
    if (numbers.length > 0) inputs["numbers"] = this.#gatherNumbers(users);
    if (this.#shareUsers) inputs["user_offsets"] = this.#userOffsets.toArray();
    if (times) {
      inputs["example_age"] = age ? gatherAges(times, targets) : new Float32Array(AGE_INPUTS * targets.length);
    }
    for (const { name, ids, offsets } of itemFeatures) {
      if (offsets === undefined) {
        inputs[name] = gather(ids, positions);
        continue;
      }
      const batchOffsets = gatherOffsets(offsets, positions);
      inputs[name] = gatherGroups(ids, offsets, positions, batchOffsets);
      inputs[`${name}_offsets`] = batchOffsets;
      dims[name] = batchOffsets[positions.length]!;
    }
    inputs["sample_start"] = this.#sampleStart.toArray();
    inputs["sample_end"] = this.#sampleEnd.toArray();
    inputs["step_position"] = this.#steps.toArray();
    inputs["run_offsets"] = this.#runOffsets.toArray();
    inputs["step_start"] = this.#stepStart.toArray();
    inputs["step_end"] = this.#stepEnd.toArray();
    if (this.#shareItems) {
      const { distinct, places } = distinctValues(inputs[itemFeatures[0]!.name]!);
      dims["distinct"] = distinct.length;
      inputs["distinct_item"] = distinct;
      inputs["step_item"] = gather(places, inputs["step_position"] as Int32Array);
    }
    if (target) inputs["target"] = gather(itemFeatures[0]!.ids, targets);
    this.#clear();
    return { dims, inputs };
  }

  /** A run over the positions from `position` to the last one. */
  #addRun(position: number): void {
    for (let p = position; p < this.#positions.length; p++) this.#steps.push(p);
    this.#runOffsets.push(this.#steps.length);
  }

  /** A sample whose history is the positions from `position` on and the steps from `step` on, to the last ones. */
  #addSample(click: number, position: number, step: number): void {
    this.#targets.push(click);
    this.#sampleStart.push(position);
    this.#sampleEnd.push(this.#positions.length);
    this.#stepStart.push(step);
    this.#stepEnd.push(this.#steps.length);
  }

  /** The user of the last `samples` samples. */
  #addUser(user: number, samples: number): void {
    for (let i = 0; i < (this.#shareUsers ? 1 : samples); i++) this.#users.push(user);
    this.#userOffsets.push(this.#targets.length);
  }

  #clear(): void {
    for (const list of [this.#users, this.#userOffsets, this.#targets, this.#positions, this.#steps, this.#runOffsets])
      list.clear();
    for (const list of [this.#sampleStart, this.#sampleEnd, this.#stepStart, this.#stepEnd]) list.clear();
    this.#runOffsets.push(0);
    this.#userOffsets.push(0);
  }

  #gatherNumbers(users: Int32Array): Float32Array {
    const { numbers } = this.#clicks;
    const gathered = new Float32Array(users.length * numbers.length);
    numbers.forEach(({ values, mean, standardDeviation }, column) => {
      const scale = standardDeviation > 0 ? 1 / standardDeviation : 1;
      for (let s = 0; s < users.length; s++) {
        const value = values[users[s]!]!;
        gathered[s * numbers.length + column] = Number.isNaN(value) ? 0 : (value - mean) * scale;
      }
    });
    return gathered;
  }
}

/** The age x of each of these clicks as x, x², √x. */
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

/** The values, each once, in the order in which they first appear; and the place of each among them. */
function distinctValues(values: ArrayLike<number>): { distinct: Int32Array; places: Int32Array } {
  const placeOf = new Map<number, number>();
  const places = Int32Array.from(values, (value) => {
    if (!placeOf.has(value)) placeOf.set(value, placeOf.size);
    return placeOf.get(value)!;
  });
  return { distinct: Int32Array.from(placeOf.keys()), places };
}

/** values[rows[i]], 0 (`<unk>`) for row −1. */
function gather(values: Int32Array, rows: Int32Array): Int32Array {
  const gathered = new Int32Array(rows.length);
  for (let i = 0; i < rows.length; i++) if (rows[i]! >= 0) gathered[i] = values[rows[i]!]!;
  return gathered;
}

/** Where the values of each row begin once gathered; row −1 has one value. */
function gatherOffsets(offsets: Int32Array, rows: Int32Array): Int32Array {
  const gathered = new Int32Array(rows.length + 1);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    gathered[i + 1] = gathered[i]! + (row < 0 ? 1 : offsets[row + 1]! - offsets[row]!);
  }
  return gathered;
}

function gatherGroups(values: Int32Array, offsets: Int32Array, rows: Int32Array, target: Int32Array): Int32Array {
  const gathered = new Int32Array(target[rows.length]!);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!;
    if (row < 0) continue;
    let to = target[i]!;
    for (let from = offsets[row]!; from < offsets[row + 1]!; from++) gathered[to++] = values[from]!;
  }
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
