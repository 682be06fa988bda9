import type { Clicks } from "../data/clicks.js";
import { IntList } from "../data/int_list.js";
import { Turns } from "../data/turns.js";
import { checkOptions } from "../errors.js";

/** Longest distance between two clicks that counts as a transition. A transition over `gap` clicks counts 1 / gap. */
const LONGEST_GAP = 3;
/** Counts are stored in units of 1/6, so that 1, 1/2 and 1/3 are whole numbers and equal counts tie exactly. */
const UNITS_PER_COUNT = 6;
/**
 * Number of most recent clicks of a history that the score reads. Each weighs `DECAY` times as much as the next newer
 * one.
 */
const MAX_HISTORY = 10;
const DECAY = 0.8;
/** Exponent of the popularity by which scores are divided. */
const POPULARITY_POWER = 0.3;

/**
 * Ranks a target by item-to-item transitions counted in a training log, in the way in which `target_rank` ranks it by
 * score. It is a baseline that uses the order of clicks but learns nothing.
 *
 *     count(a → b) = Σ 1 / gap over the training clicks b that follow a click a of the same user by 1, 2 or 3 places
 *     score(j) = Σ_{d < 10} .8^d · count(h_d → j) / popularity(j)^.3
 *
 * h_d is the click of the history d places before the most recent one. A click on `<unk>` counts as a place, but there
 * are no transitions from or to it.
 */
export class TransitionRanking {
  readonly #items: number;
  /** [items + 1] Index of the first transition from each item, in `#targets` and `#counts`. */
  readonly #offsets: Float64Array;
  /** [transitions] The distinct targets of each source item, and the count of each transition in units of 1/6. */
  readonly #targets: Int32Array;
  readonly #counts: Int32Array;
  /** [items] popularity^−.3 */
  readonly #scale: Float64Array;
  /** [items] Scores of the current call of `rank`; all zeros between calls. */
  readonly #scores: Float64Array;

  private constructor(clicks: Clicks, items: number, { offsets, targets, counts }: Transitions) {
    this.#items = items;
    this.#offsets = offsets;
    this.#targets = targets;
    this.#counts = counts;
    const popularity = new Float64Array(items);
    for (const item of clicks.itemFeatures[0]!.ids) popularity[item]!++;
    this.#scale = popularity.map((count) => (count > 0 ? count ** -POPULARITY_POWER : 0));
    this.#scores = new Float64Array(items);
  }

  /**
   * Counts the transitions in the clicks of a training dataset. `items` is the size of its item vocabulary, including
   * `<unk>`. If the signal stops the counting, it rejects with the signal's reason.
   */
  static async count(
    clicks: Clicks,
    items: number,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<TransitionRanking> {
    checkOptions("TransitionRanking.count", options, { signal: true });
    options.signal?.throwIfAborted();
    return new TransitionRanking(clicks, items, await countTransitions(clicks, items, new Turns(options.signal)));
  }

  /**
   * Returns the rank of `target`, with ties averaged, after `history` (item ids, oldest first), among all items but the
   * `excluded` ones (distinct ids); +∞ for `<unk>`. Items without a transition from the history all tie with score 0.
   */
  rank(target: number, history: Int32Array, excluded: Iterable<number>): number {
    if (target === 0) return Number.POSITIVE_INFINITY;
    const reached = this.#score(history);
    const scores = this.#scores;
    const own = scores[target]!;
    let [higher, equal] = [0, -1];
    for (const item of reached) {
      if (scores[item]! > own) higher++;
      else if (scores[item] === own) equal++;
    }
    if (own === 0) equal = this.#items - 1 - reached.length - 1;
    for (const item of excluded) {
      if (item === 0 || item === target) continue;
      if (scores[item]! > own) higher--;
      else if (scores[item] === own) equal--;
    }
    for (const item of reached) scores[item] = 0;
    return 1 + higher + equal / 2;
  }

  /** Computes the scores, and returns the items whose score is not 0, each once. */
  #score(history: Int32Array): number[] {
    const scores = this.#scores;
    const reached: number[] = [];
    const last = history.length - 1;
    for (let distance = 0; distance < Math.min(MAX_HISTORY, history.length); distance++) {
      const source = history[last - distance]!;
      const weight = DECAY ** distance;
      for (let pair = this.#offsets[source]!; pair < this.#offsets[source + 1]!; pair++) {
        const item = this.#targets[pair]!;
        if (scores[item] === 0) reached.push(item);
        scores[item]! += weight * this.#counts[pair]!;
      }
    }
    for (const item of reached) scores[item]! *= this.#scale[item]!;
    return reached;
  }
}

interface Transitions {
  /** [items + 1] Index of the first transition from each source item. */
  readonly offsets: Float64Array;
  /** [transitions] The distinct targets of each source item. */
  readonly targets: Int32Array;
  /** [transitions] The counts, in units of 1/6. */
  readonly counts: Int32Array;
}

/** Counts the transitions of one source item at a time, so that memory is needed for distinct transitions only. */
async function countTransitions(
  { clicks, itemFeatures, clickOffsets }: Clicks,
  items: number,
  turns: Turns,
): Promise<Transitions> {
  const { ids } = itemFeatures[0]!;
  const followers = countFollowers(clickOffsets, clicks);
  const { starts, clicksOf } = clicksBySource(ids, items);
  const offsets = new Float64Array(items + 1);
  const [targets, counts, reached] = [new IntList(), new IntList(), new IntList()];
  const sums = new Int32Array(items);
  for (let source = 1; source < items; source++) {
    if (turns.isDue) await turns.take();
    for (let i = starts[source]!; i < starts[source + 1]!; i++) {
      const click = clicksOf[i]!;
      for (let gap = 1; gap <= followers[click]!; gap++) {
        const target = ids[click + gap]!;
        if (target === 0) continue;
        if (sums[target] === 0) reached.push(target);
        sums[target]! += UNITS_PER_COUNT / gap;
      }
    }
    for (const target of reached.toArray()) {
      targets.push(target);
      counts.push(sums[target]!);
      sums[target] = 0;
    }
    reached.clear();
    offsets[source + 1] = targets.length;
  }
  return { offsets, targets: targets.take(), counts: counts.take() };
}

/** [clicks] The number of clicks among the next `LONGEST_GAP` that are of the same user. */
function countFollowers(clickOffsets: Int32Array, clicks: number): Uint8Array {
  const followers = new Uint8Array(clicks).fill(LONGEST_GAP);
  for (let user = 1; user < clickOffsets.length; user++) {
    const [start, end] = [clickOffsets[user - 1]!, clickOffsets[user]!];
    for (let left = 0; left < Math.min(LONGEST_GAP, end - start); left++) followers[end - 1 - left] = left;
  }
  return followers;
}

/** Groups the clicks by item: those on item i are clicksOf[starts[i]] … clicksOf[starts[i + 1] − 1], in order. */
function clicksBySource(ids: Int32Array, items: number) {
  const starts = new Int32Array(items + 1);
  for (const id of ids) starts[id + 1]!++;
  for (let item = 0; item < items; item++) starts[item + 1]! += starts[item]!;
  const next = starts.slice(0, items);
  const clicksOf = new Int32Array(ids.length);
  for (let click = 0; click < ids.length; click++) clicksOf[next[ids[click]!]!++] = click;
  return { starts, clicksOf };
}
