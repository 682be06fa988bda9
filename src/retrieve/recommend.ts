import type { UserBatches } from "../data/batches.js";
import type { Clicks } from "../data/clicks.js";
import { encodeUsers } from "../data/encode_log.js";
import type { Log } from "../data/sources/log.js";
import { LOG_OPTIONS, type ReportedLogOptions } from "../data/sources/read_log.js";
import { Turns } from "../data/turns.js";
import { checkChoice, checkOptions, checkWholeNumber } from "../errors.js";
import type { RunOutputs } from "../executors/executor.js";
import { isKnownUser, warnOfUnknown } from "../model/known.js";
import { expectModel, type Model } from "../model/model.js";
import { type IndexedQuery, IndexedSearch, openItemSearch } from "../model/requests/indexed_search.js";
import { type CandidateIndex, expectIndexOf } from "../model/requests/item_index.js";
import { countRanked, RANKED_OUTPUTS, rankedItems } from "../model/requests/ranking.js";
import { checkScores, notFinite } from "../model/scores.js";
import { type ExcludedItems, watchedItems } from "../model/watched.js";

/** Options of `recommend`. The inherited log options apply to its log. */
export interface RecommendOptions extends ReportedLogOptions, ShortlistOptions {}

const SHORTLIST_OPTIONS: Readonly<Record<keyof ShortlistOptions, true>> = {
  top: true,
  keepWatched: true,
  index: true,
  signal: true,
};
const RECOMMEND_OPTIONS: Readonly<Record<keyof RecommendOptions, true>> = { ...LOG_OPTIONS, ...SHORTLIST_OPTIONS };

/** Options for making shortlists. */
export interface ShortlistOptions {
  /** Length of each shortlist (default 30). */
  readonly top?: number | undefined;
  /** Keeps items on the shortlist that the user has already watched (default false). */
  readonly keepWatched?: boolean | undefined;
  /**
   * An index of this model, which `openIndex` opens: the shortlists are those among its candidates, with exact scores
   * but without probabilities. Users of a log are computed in batches, for which an exact search is about as fast.
   */
  readonly index?: CandidateIndex | undefined;
  /** Stops the iteration between two users; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** An item of a shortlist. */
export interface RecommendedItem {
  /** Token of the item. */
  readonly item: string;
  /** Title of the item, if the model knows one. */
  readonly title?: string;
  /** w·u + b for the item and the user (docs/math.md#the-network). */
  readonly score: number;
  /** exp(score) / Σ exp(score), with the sum over all items. Undefined with an `index`. */
  readonly probability?: number;
}

/** The items that a user may want next. */
export interface Shortlist {
  /** Token of the user; the line number if the log has no column `user_id`. */
  readonly user: string;
  /**
   * `false` if the model knows neither the user's id nor any value of the clicks, so that the list is the same for all
   * unknown users with these features; otherwise undefined.
   */
  readonly known?: false;
  /** The items, best first. There are fewer than requested if the catalogue has no more. */
  readonly items: readonly RecommendedItem[];
}

/**
 * Yields a shortlist for each line of a log, in order: the items that the user may click next. For a user without
 * clicks it depends on the other features alone. Throws ERR_DIVERGED if scores are not finite, and the errors of
 * `readLog`.
 */
export async function* recommend(model: Model, log: Log, options: RecommendOptions = {}): AsyncGenerator<Shortlist> {
  checkOptions("recommend", options, RECOMMEND_OPTIONS);
  expectModel(model);
  const { clicks, userIds } = await encodeUsers(log, model.description, options);
  await warnOfUnknown(log, clicks, isKnownUser(model, clicks), options);
  yield* recommendClicks(model, clicks, userIds, options);
}

/** `recommend` for clicks that are already encoded, from a user on. `userIds` has a token for each user. */
export async function* recommendClicks(
  model: Model,
  clicks: Clicks,
  userIds: readonly string[],
  { top = 30, keepWatched = false, index, signal }: ShortlistOptions = {},
  firstUser = 0,
): AsyncGenerator<Shortlist> {
  checkWholeNumber("top", top, 1);
  checkChoice("keepWatched", keepWatched, [true, false]);
  if (index !== undefined) expectIndexOf(model, index);
  const length = Math.min(top, model.items.size - 1);
  const { window, windows } = model.description.config;
  const batches = model.engine.createUserBatches({ clicks, window, windows });
  const turns = new Turns(signal);
  const isKnown = isKnownUser(model, clicks);
  using exact = index && openItemSearch(model);
  const indexed = exact && new IndexedSearch(model, exact, index);
  for (let b = 0; b < batches.batches; b++) {
    signal?.throwIfAborted();
    const first = batches.firstUser(b);
    const users = Math.min(clicks.users, batches.firstUser(b + 1)) - first;
    if (first + users <= firstUser) continue;
    const excluded = watchedItems(clicks, first, users, { none: keepWatched });
    const batch: Batch = { model, batches, index: b, nameOf: (sample) => `user "${userIds[first + sample]}"` };
    const best = indexed
      ? await searchBatch(batch, indexed, { top: length, excluded, turns })
      : await scanBatch(batch, length, excluded);
    for (let s = Math.max(0, firstUser - first); s < users; s++) {
      const count = countRanked(best, s, length, batch.nameOf(s));
      const place = s * length;
      const ranked = rankedItems(model, best, place, place + count, best["log_partition"]?.[s]);
      const items = ranked.map(({ id: _, ...item }): RecommendedItem => item);
      signal?.throwIfAborted();
      if (turns.isDue) await turns.take();
      model.checkOpen();
      yield { user: userIds[first + s]!, ...(!isKnown(first + s) && { known: false }), items };
    }
  }
}

/** Some users of a log that are computed together. */
interface Batch {
  readonly model: Model;
  readonly batches: UserBatches;
  readonly index: number;
  /** Returns a user's name in messages. */
  readonly nameOf: (sample: number) => string;
}

/** The best items of the users of a batch, and the logarithm of the sum of exp(score) of each. */
async function scanBatch(
  { model, batches, index, nameOf }: Batch,
  top: number,
  { ids, offsets }: ExcludedItems,
): Promise<RunOutputs> {
  const inputs = { excluded: ids, excluded_offsets: offsets };
  const best = await model.runUsers(RANKED_OUTPUTS, batches, index, inputs, { top, excluded: ids.length });
  checkScores(best["log_partition"]!, nameOf);
  return best;
}

/** The best items of the users of a batch among the candidates of an index. */
async function searchBatch(
  { model, batches, index, nameOf }: Batch,
  indexed: IndexedSearch,
  query: Omit<IndexedQuery, "vectors">,
): Promise<RunOutputs> {
  const outputs = await model.runUsers(["user_vector"], batches, index);
  const vectors = outputs["user_vector"] as Float32Array;
  const broken = vectors.findIndex((value) => !Number.isFinite(value));
  const { userVectorWidth: width } = model.description.config;
  if (broken >= 0) throw notFinite(`The vector of ${nameOf(Math.floor(broken / width))} is`);
  const { items, scores: score } = await indexed.search({ ...query, vectors });
  return { items, score };
}
