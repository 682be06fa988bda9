import { type Clicks, unknownUsers } from "../data/clicks.js";
import { encodeUsers } from "../data/encode_log.js";
import { readText } from "../data/files.js";
import { clickNumbers, itemFeatures, timeField, userFeaturesOf } from "../data/schema.js";
import { type Log, sourceOf } from "../data/sources/log.js";
import { LOG_OPTIONS, type ReportedLogOptions } from "../data/sources/read_log.js";
import { clickTimes } from "../data/times.js";
import { tableOf } from "../data/token_table.js";
import { Turns } from "../data/turns.js";
import { checkOptions, checkPath, checkWholeNumber, ShortlistError } from "../errors.js";
import { isKnownUser, readsUserIds, warnOfUnknown } from "../model/known.js";
import { expectModel, type Model } from "../model/model.js";
import { SimilarityIndex } from "../model/requests/similar.js";
import { notFinite } from "../model/scores.js";
import { titleOf } from "../model/titled.js";
import { recommendClicks, type Shortlist, type ShortlistOptions } from "./recommend.js";

/** Options of all functions that mine lists. */
export interface MineOptions {
  /** Length of each list (default 30). */
  readonly top?: number | undefined;
  /** Number of lists to leave out at the start, such as those that were mined before (default 0). */
  readonly skip?: number | undefined;
  /** Stops the iteration between two lists; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export const MINE_OPTIONS: Readonly<Record<keyof MineOptions, true>> = { top: true, skip: true, signal: true };

/** Options of `mineUsers`. The inherited log options apply to `log`. */
export interface MineUsersOptions extends MineOptions, Pick<ShortlistOptions, "index">, ReportedLogOptions {
  /** A file of user ids, one per line (default: all users of the training log). */
  readonly users?: string | undefined;
  /**
   * A log, or the path of a click log, with the histories and features of the users. Without it, users have no history,
   * and every feature but the user id is `<unk>`.
   */
  readonly log?: Log | undefined;
}

export const MINE_USERS_OPTIONS: Readonly<Record<keyof MineUsersOptions, true>> = {
  ...MINE_OPTIONS,
  ...LOG_OPTIONS,
  users: true,
  log: true,
  index: true,
};

/**
 * Yields shortlists of users: from the histories in a log or, without a log, from the user ids alone (like infer_user
 * of the original example). Throws ERR_OPTION if the model reads no user ids or none of the requested users is found,
 * and the errors of `readLog`.
 */
export async function* mineUsers(model: Model, options: MineUsersOptions = {}): AsyncGenerator<Shortlist> {
  checkOptions("mineUsers", options, MINE_USERS_OPTIONS);
  expectModel(model);
  const { top, users, log, index, skip = 0, signal } = options;
  checkWholeNumber("skip", skip, 0);
  if (users !== undefined) checkPath("users", users);
  const wanted = users === undefined ? undefined : await readTokens(users);
  if (log !== undefined) {
    const { clicks, userIds } = await encodeUsers(log, model.description, options);
    const only = wanted && tableOf(wanted);
    const found = new Uint8Array(only?.size ?? 0);
    const wantedUsers = Uint8Array.from(userIds, (user) => {
      const index = only?.find(user);
      if (index !== undefined && index >= 0) found[index] = 1;
      return index === undefined || index >= 0 ? 1 : 0;
    });
    if (wanted) checkFound(wanted, (user) => found[only!.find(user)] === 1, `${sourceOf(log).name} holds`, options);
    await warnOfUnknown(log, clicks, isKnownUser(model, clicks), options, (user) => wantedUsers[user] === 1);
    let user = 0;
    for (let left = skip; user < clicks.users && (left > 0 || wantedUsers[user] === 0); user++)
      left -= wantedUsers[user]!;
    for await (const shortlist of recommendClicks(model, clicks, userIds, { top, index, signal }, user)) {
      if (wantedUsers[user++] === 1) yield shortlist;
    }
    return;
  }
  checkReadsUserIds(model);
  const vocabulary = model.description.vocabularies.get("user_id")!;
  const turns = new Turns(signal);
  for (const used of [vocabulary, model.items]) await used.load(turns);
  if (wanted) checkFound(wanted, (user) => vocabulary.idOf(user) !== 0, "The model knows", options);
  const ids = wanted ?? vocabulary.tokens.slice(1);
  yield* recommendClicks(model, await usersWithoutClicks(model, ids, turns), ids, { top, index, signal }, skip);
}

/** Throws ERR_OPTION if none of the requested users is found, and warns if some are not. */
function checkFound(
  wanted: readonly string[],
  isFound: (user: string) => boolean,
  holder: string,
  { users, onWarning }: MineUsersOptions,
): void {
  const missing = wanted.filter((user) => !isFound(user));
  if (missing.length === 0) return;
  const such = `of the ${wanted.length} users of ${users}`;
  if (missing.length === wanted.length) {
    throw new ShortlistError("ERR_OPTION", `${holder} none ${such}, such as "${missing[0]}"`);
  }
  onWarning?.(`${holder} ${wanted.length - missing.length} ${such}, not "${missing[0]}"`);
}

/** Throws ERR_OPTION unless the model can make shortlists from user ids alone. */
function checkReadsUserIds(model: Model): void {
  if (readsUserIds(model)) return;
  const { vocabularies, config } = model.description;
  const problem = !vocabularies.has("user_id")
    ? 'The model has no feature "user_id"'
    : config.exclude.includes("user_id")
      ? 'The model does not read "user_id" ("exclude" names it)'
      : 'The model knows no user by id: preparing its dataset left every value of "user_id" out, as none appears more often than --feature-appear-limit';
  throw new ShortlistError("ERR_OPTION", `${problem}. Give a log with the users' histories (--log)`);
}

/** Users of whom only the id is known. They have no clicks, and all other features are missing. */
async function usersWithoutClicks(model: Model, ids: readonly string[], turns: Turns): Promise<Clicks> {
  const { schema, vocabularies, numbers } = model.description;
  const users = new Int32Array(ids.length);
  for (const [i, id] of ids.entries()) {
    users[i] = vocabularies.get("user_id")!.idOf(id);
    if (turns.isDue) await turns.take();
  }
  const { userFeatures, ...unknown } = unknownUsers(schema, ids.length);
  return {
    ...unknown,
    users: ids.length,
    clicks: 0,
    clickOffsets: new Int32Array(ids.length + 1),
    userFeatures: userFeatures.map((feature) => (feature.name === "user_id" ? { ...feature, ids: users } : feature)),
    numbers: userFeaturesOf(schema, "number").map(({ name }) => ({
      ...{ name, values: new Float32Array(ids.length).fill(Number.NaN), ...numbers.get(name)! },
    })),
    clickNumbers: clickNumbers(schema).map((name) => ({ name, values: new Float32Array(0), ...numbers.get(name)! })),
    itemFeatures: itemFeatures(schema).map(({ name, multiple }) => ({
      name,
      ids: new Int32Array(0),
      offsets: multiple ? new Int32Array(1) : undefined,
    })),
    ...(timeField(schema) >= 0 && { times: clickTimes(new Float64Array(0)) }),
  };
}

/** An item and its popularity. */
export interface PopularItem {
  /** Token of the item. */
  readonly item: string;
  /** Title of the item, if the model knows one. */
  readonly title?: string;
  /** Number of training clicks on the item. */
  readonly clicks: number;
  /** Fraction of all training clicks on known items that are on this one. */
  readonly share: number;
}

/** Yields the `top` items with the most training clicks, most clicks first. Ties are ordered by id. */
export async function* minePopular(model: Model, options: MineOptions = {}): AsyncGenerator<PopularItem> {
  checkOptions("minePopular", options, MINE_OPTIONS);
  expectModel(model);
  const { top = 30, skip = 0, signal } = options;
  checkWholeNumber("top", top, 1);
  checkWholeNumber("skip", skip, 0);
  signal?.throwIfAborted();
  await model.items.load(new Turns(signal));
  const { tokens, counts } = model.items;
  const all = counts.subarray(1).reduce((sum, count) => sum + count, 0);
  const ids = Array.from({ length: tokens.length - 1 }, (_, i) => i + 1).sort(
    (a, b) => counts[b]! - counts[a]! || a - b,
  );
  for (const id of ids.slice(skip, top)) {
    signal?.throwIfAborted();
    model.checkOpen();
    yield { item: tokens[id]!, ...titleOf(model, id), clicks: counts[id]!, share: counts[id]! / Math.max(1, all) };
  }
}

/** An item and the items most similar to it. */
export interface SimilarItems {
  /** Token of the item. */
  readonly item: string;
  /** Title of the item, if the model knows one. */
  readonly title?: string;
  /** The most similar items, most similar first, without the item itself. The similarity is the cosine. */
  readonly similar: readonly { readonly item: string; readonly title?: string; readonly similarity: number }[];
}

/** Options of `mineSimilar`. */
export interface MineSimilarOptions extends MineOptions {
  /** A file of items, one per line (default: all items). */
  readonly items?: string | undefined;
}

export const MINE_SIMILAR_OPTIONS: Readonly<Record<keyof MineSimilarOptions, true>> = { ...MINE_OPTIONS, items: true };

/**
 * Yields, for each item, the items with the most similar output weights by cosine: those that the same users would
 * watch next. Throws ERR_OPTION if the model does not know an item, and ERR_DIVERGED if a similarity is not finite.
 */
export async function* mineSimilar(model: Model, options: MineSimilarOptions = {}): AsyncGenerator<SimilarItems> {
  checkOptions("mineSimilar", options, MINE_SIMILAR_OPTIONS);
  expectModel(model);
  const { top = 30, skip = 0, items, signal } = options;
  checkWholeNumber("top", top, 1);
  checkWholeNumber("skip", skip, 0);
  if (items !== undefined) checkPath("items", items);
  const turns = new Turns(signal);
  await model.items.load(turns);
  const { tokens } = model.items;
  const wanted = items === undefined ? tokens.slice(1) : await readTokens(items);
  const ids = Int32Array.from(wanted, (item) => {
    const id = model.items.idOf(item);
    if (id === 0) throw new ShortlistError("ERR_OPTION", `The model does not know the item "${item}"`);
    return id;
  });
  const index = await SimilarityIndex.open(model, turns);
  try {
    for (let first = skip; first < ids.length; first += ITEMS_AT_ONCE) {
      signal?.throwIfAborted();
      const batch = ids.subarray(first, first + ITEMS_AT_ONCE);
      const length = Math.min(top, tokens.length - 2);
      const nearest = await index.search(batch, length, new Int32Array(0));
      for (let s = 0; s < batch.length; s++) {
        const similar = Array.from({ length }, (_, j) => {
          const similarity = nearest.score[s * length + j]!;
          if (!Number.isFinite(similarity)) throw notFinite(`A similarity of item "${wanted[first + s]}" is`);
          const id = nearest.items[s * length + j]!;
          return { item: tokens[id]!, ...titleOf(model, id), similarity };
        });
        if (turns.isDue) await turns.take();
        model.checkOpen();
        yield { item: wanted[first + s]!, ...titleOf(model, batch[s]!), similar };
      }
    }
  } finally {
    index.close();
  }
}

const ITEMS_AT_ONCE = 256;

/** The non-empty lines of a file. */
async function readTokens(path: string): Promise<string[]> {
  const text = await readText(path);
  if (text.includes("\0")) throw new ShortlistError("ERR_FILE", `${path}: Expected text without NUL bytes`);
  const tokens = text.split(/\r?\n/).filter((line) => line !== "");
  if (tokens.length === 0)
    throw new ShortlistError("ERR_FILE", `${path}: Expected one token a line but the file is empty`);
  return tokens;
}
