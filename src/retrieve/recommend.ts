import { type Clicks, encodeUsers } from "../data/clicks.js";
import type { Log } from "../data/sources/log.js";
import { LOG_OPTIONS, type ReportedLogOptions } from "../data/sources/read_log.js";
import { Turns } from "../data/turns.js";
import { checkChoice, checkOptions, checkWholeNumber } from "../errors.js";
import { isKnownUser, warnOfUnknown } from "../model/known.js";
import { expectModel, type Model } from "../model/model.js";
import { probabilityOf, RANKED_OUTPUTS, rankedItems } from "../model/requests/ranking.js";
import { checkScores } from "../model/scores.js";
import { watchedItems } from "../model/watched.js";

/** Options of `recommend`. The inherited log options apply to its log. */
export interface RecommendOptions extends ReportedLogOptions, ShortlistOptions {}

const SHORTLIST_OPTIONS: Readonly<Record<keyof ShortlistOptions, true>> = {
  top: true,
  keepWatched: true,
  signal: true,
};
const RECOMMEND_OPTIONS: Readonly<Record<keyof RecommendOptions, true>> = { ...LOG_OPTIONS, ...SHORTLIST_OPTIONS };

/** Options for making shortlists. */
export interface ShortlistOptions {
  /** Length of each shortlist (default 30). */
  readonly top?: number | undefined;
  /** Keeps items on the shortlist that the user has already watched (default false). */
  readonly keepWatched?: boolean | undefined;
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
  /** exp(score) / Σ exp(score), with the sum over all items. */
  readonly probability: number;
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

/** `recommend` for clicks that are already encoded. `userIds` has a token for each user. */
export async function* recommendClicks(
  model: Model,
  clicks: Clicks,
  userIds: readonly string[],
  { top = 30, keepWatched = false, signal }: ShortlistOptions = {},
): AsyncGenerator<Shortlist> {
  checkWholeNumber("top", top, 1);
  checkChoice("keepWatched", keepWatched, [true, false]);
  const length = Math.min(top, model.items.size - 1);
  const { window, windows } = model.description.config;
  const batches = model.engine.createUserBatches({ clicks, window, windows });
  const turns = new Turns(signal);
  const isKnown = isKnownUser(model, clicks);
  for (let b = 0; b < batches.batches; b++) {
    signal?.throwIfAborted();
    const first = batches.firstUser(b);
    const users = Math.min(clicks.users, batches.firstUser(b + 1)) - first;
    const { ids: excluded, offsets } = watchedItems(clicks, first, users, { none: keepWatched });
    const best = await model.runUsers(
      RANKED_OUTPUTS,
      batches,
      b,
      { excluded, excluded_offsets: offsets },
      { top: length, excluded: excluded.length },
    );
    checkScores(best["log_partition"]!, (sample) => `user "${userIds[first + sample]}"`);
    for (let s = 0; s < users; s++) {
      const places = { sample: s, top: length, begin: 0, end: length };
      const ranked = rankedItems(model, best, places, () => `user "${userIds[first + s]}"`);
      const items = ranked.map(({ id: _, ...item }): RecommendedItem => {
        return { ...item, probability: probabilityOf(item.score, best["log_partition"]![s]!) };
      });
      signal?.throwIfAborted();
      if (turns.isDue) await turns.take();
      model.checkOpen();
      yield { user: userIds[first + s]!, ...(!isKnown(first + s) && { known: false }), items };
    }
  }
}
