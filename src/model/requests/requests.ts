import type { UserBatches } from "../../data/batches.js";
import type { Clicks } from "../../data/clicks.js";
import { Turns } from "../../data/turns.js";
import { checkChoice, checkOptions, checkSignal, checkWholeNumber, ShortlistError } from "../../errors.js";
import type { RunOutputs } from "../../executors/executor.js";
import type { ItemSearch } from "../../executors/item_search.js";
import type { Program } from "../../graph/program.js";
import { isKnownUser } from "../known.js";
import type { Model } from "../model.js";
import { checkScores, notFinite } from "../scores.js";
import { type ExcludedItems, watchedItems } from "../watched.js";
import { orAborted } from "./abort.js";
import type { ItemScores, Recommendation, RecommendedByModel, SimilarityList, UserVector } from "./answers.js";
import { type Candidates, candidatesOf, indexOfId, lookUpItems } from "./candidates.js";
import { type EncodedUsers, RequestEncoder } from "./encoder.js";
import { explainItems } from "./explain.js";
import { Gate } from "./gate.js";
import { joinUsers, type UserJob } from "./gathered_jobs.js";
import { GatheredRuns, type UserRows } from "./gathered_runs.js";
import { IndexedSearch, openItemSearch } from "./indexed_search.js";
import { type CandidateIndex, expectIndexOf } from "./item_index.js";
import { ItemScan } from "./item_scan.js";
import { type MakeItems, withLazyItems } from "./lazy_items.js";
import { type Multiplications, multiplicationsOf } from "./multiplications.js";
import {
  type ModelRecommendOptions,
  type ModelSimilarOptions,
  type ModelUserOptions,
  RECOMMEND_OPTIONS,
  SIMILAR_OPTIONS,
  USER_OPTIONS,
} from "./options.js";
import { type PlacedUsers, USER_PLACES } from "./places.js";
import { countRanked, RANKED_OUTPUTS, rankedItems } from "./ranking.js";
import { SimilarityIndex } from "./similar.js";
import { expectArray, expectText, type UnknownValue } from "./values.js";

/** Number of users of a call that are encoded and run together. The next ones are encoded while these are computed. */
const USERS_AT_ONCE = 64;
/** Largest number of excluded items of the users that are run together, unless one user has more. */
const EXCLUDED_AT_ONCE = 1 << 20;
/** Number of such parts of a call that may wait for their results. */
const PARTS_AHEAD = 4;
/** Number of items of an answer that are made between two looks at the clock. */
const ITEMS_AT_ONCE = 256;
/** Length of the longest shortlist whose items are made when they are read. */
const LONG_LIST = 4096;
/** Number of elements of item vectors from which a search by a first pass in 8 bits is faster than a scan. */
const LARGE_CATALOGUE = 1 << 20;
/** The output of the inference Program with the vectors of users. */
const USER_VECTOR = "user_vector";
/** Number of items whose neighbours are searched together. */
const SIMILAR_AT_ONCE = 64;

/** Largest number of calls that are begun: as many as two runs have users. */
const MOST_CALLS = 128;
/** Largest number of runs of users at once: one is computed while JavaScript prepares the other. */
const USER_RUNS = 2;
/**
 * Largest number of searches at once. Each reads the vectors of all items, so two of them would take about twice the
 * time of one for all their users.
 */
const SEARCH_RUNS = 1;

/**
 * Largest number of multiplications of a run that is computed on the JavaScript thread, if nothing else is in flight:
 * about 0.4 ms.
 */
const SMALL_RUN = 1 << 23;

/** What a call gives besides its users. */
interface Call {
  readonly turns: Turns;
  readonly signal: AbortSignal | undefined;
  /** The place of each user in the request. Undefined if they are all users of the request. */
  readonly places?: readonly number[] | undefined;
}

/** Users of a call that are answered together. */
interface Part extends EncodedUsers, Call {
  /** Returns a user's name in messages. */
  readonly nameOf: (user: number) => string;
  /** Whether the model knows a user. */
  readonly isKnown: (user: number) => boolean;
}

/** What is asked for each user of a call. */
interface Ranking extends Pick<Candidates, "allow"> {
  readonly top: number;
  readonly excluded: ExcludedItems;
  readonly probabilities: boolean;
  readonly index: CandidateIndex | undefined;
}

/** Answers the requests of programs; the methods of `Model` document them. */
export class Requests {
  readonly #model: Model;
  readonly #encoder: RequestEncoder;
  readonly #shortlists: GatheredRuns<UserJob>;
  readonly #vectors: GatheredRuns<UserJob>;
  readonly #searches: GatheredRuns<UserJob>;
  readonly #items: ItemScan;
  readonly #gate = new Gate(MOST_CALLS);
  /** The multiplications of each Program that was run. */
  readonly #counts = new Map<Program, Multiplications>();
  /** The search for shortlists without probabilities. */
  #search: ItemSearch | undefined;
  #similar: Promise<SimilarityIndex> | undefined;
  /** Loads the vocabularies, for all calls that wait for them. */
  #preparing: Promise<void> | undefined;
  #isPrepared = false;

  constructor(model: Model) {
    this.#model = model;
    this.#encoder = new RequestEncoder(model.description);
    this.#items = new ItemScan(model);
    this.#shortlists = new GatheredRuns(USER_RUNS, (jobs, alone) => this.#run(RANKED_OUTPUTS, joinUsers(jobs), alone));
    this.#vectors = new GatheredRuns(USER_RUNS, (jobs, alone) => this.#run([USER_VECTOR], joinUsers(jobs), alone));
    this.#searches = new GatheredRuns(SEARCH_RUNS, (jobs) => this.#find(joinUsers(jobs)));
  }

  async recommend(
    users: unknown,
    options: ModelRecommendOptions & PlacedUsers,
  ): Promise<Recommendation | Recommendation[]> {
    checkOptions("Model.recommend", options, RECOMMEND_OPTIONS);
    const { top = 30, keepWatched = false, explain = false, index, signal } = options;
    const { probabilities = index === undefined && !this.#isLarge } = options;
    checkWholeNumber("top", top, 1);
    checkChoice("keepWatched", keepWatched, [true, false]);
    checkChoice("probabilities", probabilities, [true, false]);
    checkChoice("explain", explain, [true, false]);
    if (index !== undefined) expectIndexOf(this.#model, index);
    if (index !== undefined && probabilities) {
      throw new ShortlistError(
        "ERR_OPTION",
        "Expected either an index or probabilities, which take the scores of all items, but received both",
      );
    }
    const call = await this.#begin(signal, options[USER_PLACES]);
    const candidates = await candidatesOf(this.#model.items, options, call.turns);
    const usersAtOnce = Math.max(1, Math.floor(EXCLUDED_AT_ONCE / (candidates.exclude.length + 1)));
    return this.#answer(users, call, Math.min(USERS_AT_ONCE, usersAtOnce), async (part) => {
      const excluded = excludedOf(part.clicks, candidates.exclude, keepWatched);
      const lists = await this.#rank(part, { top, excluded, allow: candidates.allow, probabilities, index });
      const answers: Recommendation[] = [];
      for (const [user, makeItems] of lists.entries()) {
        const unknown = [...part.unknown[user]!, ...candidates.unknown];
        const answer = { known: part.isKnown(user), unknown };
        if (explain) answers.push({ items: await this.#explain(part, user, makeItems()), ...answer });
        else answers.push(withLazyItems(answer, makeItems));
      }
      return answers;
    });
  }

  async userVectors(users: unknown, options: ModelUserOptions & PlacedUsers): Promise<UserVector | UserVector[]> {
    checkOptions("Model.userVectors", options, USER_OPTIONS);
    const call = await this.#begin(options.signal, options[USER_PLACES]);
    return this.#answer(users, call, USERS_AT_ONCE, async (part) => {
      const vectors = await this.#vectorsOf(part);
      const width = this.#width;
      return part.unknown.map((unknown, user) => ({
        vector: vectors.slice(user * width, (user + 1) * width),
        known: part.isKnown(user),
        unknown,
      }));
    });
  }

  async score(
    users: unknown,
    items: unknown,
    options: ModelUserOptions & PlacedUsers,
  ): Promise<ItemScores | ItemScores[]> {
    checkOptions("Model.score", options, USER_OPTIONS);
    const call = await this.#begin(options.signal, options[USER_PLACES]);
    const unknownItems: UnknownValue[] = [];
    const { ids, distinct } = await lookUpItems(this.#model.items, items, "items", call.turns, unknownItems);
    return this.#answer(users, call, USERS_AT_ONCE, async (part) => {
      const scores = await this.#scoresOf(await this.#vectorsOf(part), distinct, part);
      const answers: ItemScores[] = [];
      for (let user = 0; user < part.clicks.users; user++) {
        const scored: ItemScores["items"][number][] = [];
        for (const [i, id] of ids.entries()) {
          if (id === 0) continue;
          const score = scores[user * distinct.length + indexOfId(distinct, id)]!;
          scored.push({ item: this.#model.items.token(id), id, score });
          if (i % ITEMS_AT_ONCE === 0 && call.turns.isDue) await call.turns.take();
        }
        answers.push({
          items: scored,
          known: part.isKnown(user),
          unknown: [...part.unknown[user]!, ...unknownItems],
        });
      }
      return answers;
    });
  }

  async similar(given: unknown, options: ModelSimilarOptions): Promise<SimilarityList | SimilarityList[]> {
    checkOptions("Model.similar", options, SIMILAR_OPTIONS);
    const { top = 30, signal } = options;
    checkWholeNumber("top", top, 1);
    const call = await this.#begin(signal);
    const candidates = await candidatesOf(this.#model.items, options, call.turns);
    if (!Array.isArray(given)) {
      const item = expectText(given, () => "items", "the token of an item or an array of them");
      return (await this.#similarTo([item], () => "items", top, candidates, call))[0]!;
    }
    const lists: SimilarityList[] = [];
    const atOnce = Math.max(1, Math.floor(EXCLUDED_AT_ONCE / (candidates.exclude.length + 1)));
    const items = expectArray(given, "items", "items");
    for (let first = 0; first < items.length; first += Math.min(SIMILAR_AT_ONCE, atOnce)) {
      signal?.throwIfAborted();
      const some = items.slice(first, first + Math.min(SIMILAR_AT_ONCE, atOnce));
      lists.push(...(await this.#similarTo(some, (i) => `items[${first + i}]`, top, candidates, call)));
    }
    return lists;
  }

  /** Frees what the requests needed. */
  close(): void {
    this.#items.close();
    this.#search?.close();
    void this.#similar?.then((similar) => similar.close()).catch(() => {});
  }

  get #width(): number {
    return this.#model.description.config.userVectorWidth;
  }

  /** Whether most of the time of a shortlist is that of reading the item vectors. */
  get #isLarge(): boolean {
    return this.#model.items.size * this.#width >= LARGE_CATALOGUE;
  }

  /** Checks that the model is open, and loads its vocabularies, which takes a while in the first call. */
  async #begin(signal: AbortSignal | undefined, places?: readonly number[]): Promise<Call> {
    checkSignal(signal);
    signal?.throwIfAborted();
    this.#model.checkOpen();
    const turns = new Turns(signal);
    if (turns.isDue) await turns.take();
    if (!this.#isPrepared) {
      this.#preparing ??= this.#prepare();
      await orAborted(this.#preparing, signal);
    }
    return { turns, signal, places };
  }

  async #prepare(): Promise<void> {
    const turns = Turns.inBackground();
    for (const vocabulary of this.#model.description.vocabularies.values()) await vocabulary.load(turns);
    this.#isPrepared = true;
  }

  /**
   * Answers users part by part, where one user gets one answer and an array of users an array of answers. While a part
   * is computed, the next ones are encoded.
   */
  async #answer<Answer>(
    given: unknown,
    call: Call,
    usersAtOnce: number,
    answerPart: (part: Part) => Promise<Answer[]>,
  ): Promise<Answer | Answer[]> {
    await this.#gate.enter(call.signal);
    try {
      return await this.#answerParts(given, call, usersAtOnce, answerPart);
    } finally {
      this.#gate.leave();
    }
  }

  async #answerParts<Answer>(
    given: unknown,
    call: Call,
    usersAtOnce: number,
    answerPart: (part: Part) => Promise<Answer[]>,
  ): Promise<Answer | Answer[]> {
    const many = Array.isArray(given);
    const users: readonly unknown[] = many ? given : [given];
    const placeOf = (user: number) => call.places?.[user] ?? user;
    const where = (user: number) => (many ? `users[${placeOf(user)}].` : "");
    const waiting: Promise<Answer[]>[] = [];
    const answers: Answer[] = [];
    for (let first = 0; first < users.length; first += usersAtOnce) {
      const end = Math.min(users.length, first + usersAtOnce);
      const encoded = await this.#encoder.encode(users, first, end, where, call.turns);
      const answered = answerPart({
        ...encoded,
        ...call,
        nameOf: (user) => (many ? `users[${placeOf(first + user)}]` : "the user"),
        isKnown: isKnownUser(this.#model, encoded.clicks),
      });
      answered.catch(() => {}); // awaited below, unless a user after these cannot be encoded
      waiting.push(answered);
      if (waiting.length === PARTS_AHEAD) answers.push(...(await waiting.shift()!));
    }
    for (const part of waiting) answers.push(...(await part));
    return many ? answers : answers[0]!;
  }

  /** All users of a log as one batch. */
  #batchOf(clicks: Clicks): UserBatches {
    const { engine, description } = this.#model;
    const { window, windows } = description.config;
    return engine.createUserBatches({ clicks, window, windows, batchSize: Math.max(1, clicks.users) });
  }

  /** Runs users through the parts of the inference Program that compute some outputs. */
  async #run(
    outputs: readonly string[],
    { clicks, excluded, top }: Omit<UserJob, "signal">,
    alone: boolean,
  ): Promise<RunOutputs> {
    const batches = this.#batchOf(clicks);
    const inputs = { excluded: excluded.ids, excluded_offsets: excluded.offsets };
    const here = alone && this.#multiplications(outputs, clicks) <= SMALL_RUN;
    return this.#model.runUsers(outputs, batches, 0, inputs, { top, excluded: excluded.ids.length }, { here });
  }

  /** Number of multiplications of a run: an upper bound for users with more clicks than the window. */
  #multiplications(outputs: readonly string[], { users, clicks }: Clicks): number {
    const { program } = this.#model.executorFor(outputs);
    let counts = this.#counts.get(program);
    if (!counts) {
      counts = multiplicationsOf(program);
      this.#counts.set(program, counts);
    }
    return users * counts.perUser + clicks * counts.perClick;
  }

  /** The shortlists of users and their vectors, without their log partition. */
  async #find({ clicks, excluded, top }: Omit<UserJob, "signal">): Promise<RunOutputs> {
    const search = this.#openSearch();
    const executor = this.#model.executorFor([USER_VECTOR]);
    const users = { executor, output: USER_VECTOR, batches: this.#batchOf(clicks), index: 0, users: clicks.users };
    const { items, scores: score, queries } = await search.searchUsers(users, top, { exclude: excluded });
    return { items, score, [USER_VECTOR]: queries };
  }

  #openSearch(): ItemSearch {
    this.#model.checkOpen();
    this.#search ??= openItemSearch(this.#model);
    return this.#search;
  }

  /** The shortlists of the users of a part. */
  async #rank(part: Part, { top, excluded, allow, probabilities, index }: Ranking): Promise<MakeItems[]> {
    const { clicks, signal, turns } = part;
    const length = Math.min(top, allow?.length ?? this.#model.items.size - 1);
    const places = { length, probabilities };
    if (index) {
      const vectors = await this.#vectorsOf(part);
      const search = new IndexedSearch(this.#model, this.#openSearch(), index);
      const found = search.search({ vectors, top: length, excluded, allow, turns });
      const { items, scores: score } = await orAborted(found, signal);
      return this.#listsOf(part, { outputs: { items, score }, first: 0 }, places);
    }
    if (allow) {
      const vectors = await this.#vectorsOf(part);
      const found = this.#items.search({ vectors, top: length, excluded, allow });
      const { items, score, logPartition } = await orAborted(found, signal);
      return this.#listsOf(part, { outputs: { items, score, log_partition: logPartition }, first: 0 }, places);
    }
    if (probabilities || !this.#isLarge) {
      return this.#listsOf(part, await this.#shortlists.run({ clicks, excluded, top: length, signal }), places);
    }
    const found = await this.#searches.run({ clicks, excluded, top: length, signal });
    this.#checkedVectors(found, part);
    return this.#listsOf(part, found, places);
  }

  /** The lists of a part, which have so many places in the outputs. */
  async #listsOf(
    part: Part,
    { outputs, first }: UserRows,
    { length: top, probabilities }: { readonly length: number; readonly probabilities: boolean },
  ): Promise<MakeItems[]> {
    const { clicks, turns, nameOf } = part;
    const { log_partition: logPartition } = outputs;
    if (logPartition && top > 0) checkScores(logPartition.subarray(first, first + clicks.users), nameOf);
    const lists: MakeItems[] = [];
    for (let user = 0; user < clicks.users; user++) {
      const sample = first + user;
      const partition = probabilities ? logPartition![sample]! : undefined;
      const count = countRanked(outputs, sample, top, nameOf(user));
      const place = sample * top;
      if (count <= LONG_LIST) {
        lists.push(() => rankedItems(this.#model, outputs, place, place + count, partition));
      } else {
        const list: RecommendedByModel[] = [];
        for (let i = place; i < place + count; i += ITEMS_AT_ONCE) {
          const end = Math.min(place + count, i + ITEMS_AT_ONCE);
          list.push(...rankedItems(this.#model, outputs, i, end, partition));
          if (turns.isDue) await turns.take();
        }
        lists.push(() => list);
      }
      if (turns.isDue) await turns.take();
    }
    return lists;
  }

  /** [users, width] The vectors of the users of a part. */
  async #vectorsOf(part: Part): Promise<Float32Array> {
    const { clicks, signal } = part;
    const found = await this.#vectors.run({ clicks, excluded: noneOf(clicks.users), top: 0, signal });
    return this.#checkedVectors(found, part);
  }

  /** Returns the vectors of a part's users. Throws ERR_DIVERGED if one is not finite. */
  #checkedVectors({ outputs, first }: UserRows, { clicks, nameOf }: Part): Float32Array {
    const all = outputs[USER_VECTOR] as Float32Array;
    const vectors = all.subarray(first * this.#width, (first + clicks.users) * this.#width);
    const broken = vectors.findIndex((value) => !Number.isFinite(value));
    if (broken >= 0) throw notFinite(`The vector of ${nameOf(Math.floor(broken / this.#width))} is`);
    return vectors;
  }

  /** [vectors, ids] The scores of items, whose ids are rising, for some vectors. */
  async #scoresOf(vectors: Float32Array, ids: Int32Array, { signal, nameOf }: Part): Promise<Float32Array> {
    const count = vectors.length / this.#width;
    const excluded = noneOf(count);
    const search = this.#items.search({ vectors, top: ids.length, excluded, allow: ids });
    const found = await orAborted(search, signal);
    if (ids.length > 0) checkScores(found.logPartition, nameOf);
    const scores = new Float32Array(count * ids.length);
    for (let row = 0; row < count; row++) {
      for (let i = row * ids.length; i < (row + 1) * ids.length; i++) {
        scores[row * ids.length + indexOfId(ids, found.items[i]!)] = found.score[i]!;
      }
    }
    return scores;
  }

  async #explain(part: Part, user: number, items: readonly RecommendedByModel[]): Promise<RecommendedByModel[]> {
    return explainItems(this.#model, part.clicks, user, items, async (clicks, ids) => {
      const unknown = Array.from({ length: clicks.users }, () => []);
      const without = { ...part, clicks, unknown, nameOf: () => part.nameOf(user) };
      return this.#scoresOf(await this.#vectorsOf(without), ids, without);
    });
  }

  async #similarTo(
    given: readonly unknown[],
    where: (i: number) => string,
    top: number,
    candidates: Candidates,
    { turns, signal }: Call,
  ): Promise<SimilarityList[]> {
    const { items } = this.#model;
    const tokens = given.map((item, i) => expectText(item, () => where(i), "the token of an item"));
    const known = tokens.map((item) => items.idOf(item));
    this.#similar ??= SimilarityIndex.open(this.#model).catch((error) => {
      this.#similar = undefined;
      throw error;
    });
    const similar = await orAborted(this.#similar, signal);
    const { exclude, allow } = candidates;
    const ids = Int32Array.from(known.filter((id) => id !== 0));
    const found = await similar.search(ids, top, exclude, allow);
    if (turns.isDue) await turns.take();
    const lists: SimilarityList[] = [];
    const length = found.items.length / Math.max(1, ids.length);
    let row = 0;
    for (const [i, id] of known.entries()) {
      const unknown = id === 0 ? [{ field: where(i), value: tokens[i]! }, ...candidates.unknown] : candidates.unknown;
      const list: SimilarityList["similar"][number][] = [];
      for (let j = 0; id !== 0 && j < length && found.items[row * length + j]! > 0; j++) {
        const [other, similarity] = [found.items[row * length + j]!, found.score[row * length + j]!];
        if (!Number.isFinite(similarity)) throw notFinite(`A similarity of item "${tokens[i]}" is`);
        list.push({ item: items.token(other), id: other, similarity });
        if (j % ITEMS_AT_ONCE === 0 && turns.isDue) await turns.take();
      }
      if (id !== 0) row++;
      lists.push({ item: tokens[i]!, known: id !== 0, similar: list, unknown });
    }
    return lists;
  }
}

/** The lists of users who exclude no items. */
function noneOf(users: number): ExcludedItems {
  return { ids: new Int32Array(0), offsets: new Int32Array(users + 1) };
}

/** The items that the users exclude: those that they have clicked, unless `keepWatched`, and `exclude`. */
function excludedOf(clicks: Clicks, exclude: Int32Array, keepWatched: boolean): ExcludedItems {
  const watched = watchedItems(clicks, 0, clicks.users, { none: keepWatched });
  if (exclude.length === 0) return watched;
  const ids = new Int32Array(watched.ids.length + clicks.users * exclude.length);
  const offsets = new Int32Array(clicks.users + 1);
  for (let user = 0; user < clicks.users; user++) {
    const own = watched.ids.subarray(watched.offsets[user], watched.offsets[user + 1]);
    ids.set(own, offsets[user]);
    ids.set(exclude, offsets[user]! + own.length);
    offsets[user + 1] = offsets[user]! + own.length + exclude.length;
  }
  return { ids, offsets };
}
