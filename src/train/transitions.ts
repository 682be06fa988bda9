import type { Clicks } from "../data/clicks.js";
import { IntList } from "../data/int_list.js";
import { Turns } from "../data/turns.js";
import { checkOptions } from "../errors.js";

/** A step from a click to the one `gap` places after it counts 1 / gap. */
const LONGEST_GAP = 3;
/** What 1 / gap is counted in, so that counts are whole numbers and equal ones tie: sixths. */
const COUNTED_IN = 6;
/** Clicks of a history that are read, the most recent ones; each weighs `DECAY` times the one after it. */
const HISTORY = 10;
const DECAY = 0.8;
/** How strongly the popularity of an item is divided out. */
const POPULARITY_POWER = 0.3;

/**
 * Ranks a target by item-to-item transitions counted in a training log, the way `target_rank` ranks it by score: a
 * baseline that knows the order of clicks but learns nothing.
 *
 *     count(a → b) = Σ 1 / gap over the training clicks b that follow a click a of the same user by 1, 2 or 3 places
 *     score(j) = Σ_{d < 10} .8^d · count(h_d → j) / popularity(j)^.3
 *
 * where h_d is the history's click d places before the most recent one. `<unk>` keeps its place among the clicks but is
 * neither source nor target of a step.
 */
export class TransitionRanking {
  readonly #items: number;
  /** [items + 1] where the pairs of each source begin. */
  readonly #offsets: Float64Array;
  /** [pairs] each source's distinct targets, and what is counted to them. */
  readonly #targets: Int32Array;
  readonly #counts: Int32Array;
  /** [items] popularity^−.3 */
  readonly #scale: Float64Array;
  /** [items] zeros between calls of `rank`. */
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
   * Counts the clicks of a training dataset; `items` is the size of its item vocabulary, `<unk>` included. The signal
   * stops the counting, which rejects with its reason.
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
   * Mid-rank of `target` after `history` (item ids, oldest first) without the `excluded` items (distinct ids); +∞ for
   * `<unk>`. All items without a transition from the history tie.
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

  /** Sets the scores; gives the items whose score is not 0, each once. */
  #score(history: Int32Array): number[] {
    const scores = this.#scores;
    const reached: number[] = [];
    const last = history.length - 1;
    for (let distance = 0; distance < Math.min(HISTORY, history.length); distance++) {
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
  /** [items + 1] where the pairs of each source begin. */
  readonly offsets: Float64Array;
  /** [pairs] each source's distinct targets. */
  readonly targets: Int32Array;
  /** [pairs] what is counted, in sixths. */
  readonly counts: Int32Array;
}

/** Counts one source at a time, so that memory goes to distinct pairs only. */
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
        sums[target]! += COUNTED_IN / gap;
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

/** [clicks] how many of the next `LONGEST_GAP` clicks are the same user's. */
function countFollowers(clickOffsets: Int32Array, clicks: number): Uint8Array {
  const followers = new Uint8Array(clicks).fill(LONGEST_GAP);
  for (let user = 1; user < clickOffsets.length; user++) {
    const [start, end] = [clickOffsets[user - 1]!, clickOffsets[user]!];
    for (let left = 0; left < Math.min(LONGEST_GAP, end - start); left++) followers[end - 1 - left] = left;
  }
  return followers;
}

/** The clicks of item i are clicksOf[starts[i]] … clicksOf[starts[i + 1] − 1], in order. */
function clicksBySource(ids: Int32Array, items: number) {
  const starts = new Int32Array(items + 1);
  for (const id of ids) starts[id + 1]!++;
  for (let item = 0; item < items; item++) starts[item + 1]! += starts[item]!;
  const next = starts.slice(0, items);
  const clicksOf = new Int32Array(ids.length);
  for (let click = 0; click < ids.length; click++) clicksOf[next[ids[click]!]!++] = click;
  return { starts, clicksOf };
}
