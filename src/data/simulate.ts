import { join } from "node:path";
import { checkOptions, checkPath, checkWholeNumber, ShortlistError } from "../errors.js";
import { type AliasTable, aliasTable } from "../random/alias_table.js";
import { KeyedPermutation } from "../random/permutation.js";
import { RandomStream, STREAMS } from "../random/philox.js";
import { replaceFile } from "./files.js";
import { type FolderKind, replaceFolder, withOutputFolder } from "./output_folder.js";
import { DEFAULT_SCHEMA } from "./schema.js";
import { Turns } from "./turns.js";

/** Options of `simulate`. */
export interface SimulateOptions {
  /** Folder to write train.tsv, test.tsv and infer.tsv to. */
  readonly output: string;
  /** Number of users (default 10000). */
  readonly users?: number | undefined;
  /** Number of items, at least 50 (default 5000). */
  readonly items?: number | undefined;
  /** Mean number of clicks per user (default 30). The numbers of clicks have a log-normal distribution. */
  readonly meanClicks?: number | undefined;
  /**
   * Mean number of past searches per user, which announce what the user clicks (default 0: the logs have no searches).
   * The logs then have a column `searches`, and the folder their schema, log_schema.json.
   */
  readonly meanSearches?: number | undefined;
  /** Random seed (default 1). The same seed and sizes give the same logs. */
  readonly seed?: number | undefined;
  /** Stops the work, which rejects with the signal's reason. Nothing is written then. */
  readonly signal?: AbortSignal | undefined;
}

const SIMULATE_OPTIONS: Readonly<Record<keyof SimulateOptions, true>> = {
  output: true,
  users: true,
  items: true,
  meanClicks: true,
  meanSearches: true,
  seed: true,
  signal: true,
};

/** Result of `simulate`. */
export interface SimulatedLogs {
  /** Path of the log to train on. */
  readonly train: string;
  /** Path of the log to evaluate on. It has one more click of each user. */
  readonly test: string;
  /** Path of the log to recommend for. */
  readonly infer: string;
  /** Number of clicks in train.tsv. */
  readonly clicks: number;
}

const GENRES = 8;
const CATEGORIES = 40;
const PROVINCES = 30;
const CITIES = 5;
const PHONES = 12;
const SUCCESSORS = 3;
const MIN_CLICKS = 3;
/** Limit of the number of clicks, since the logs are built in memory. */
const MAX_CLICKS = 30_000_000;
/** Popularity is proportional to 1 / (rank + shift)^exponent. */
const POPULARITY = { shift: 5, exponent: 1.1 };
/** Standard deviation of the logarithm of the number of clicks of a user. */
const ACTIVITY_SPREAD = 0.9;
const NULL_SHARE = 0.03;
/**
 * `share`: probability that the next click follows habit instead of taste. `last`: probability that habit follows the
 * last click instead of the one before it.
 */
const HABIT = { share: 0.5, last: 0.75 };
const TRIES = 20;
/** Largest `meanSearches`. */
const MAX_SEARCHES = 1000;
/**
 * `share`: probability that a user who has searched looks next for an item that a search was for. `named`: probability
 * that a search names its item. `stray`: probability that a search is for an item that the user does not look for later.
 */
const SEARCHED = { share: 0.5, named: 0.5, stray: 0.2 };

/** Streams of random numbers, as the last counter word. More draws in one stream do not change the other. */
const DRAWS = { items: 1, user: 2, searches: 3 };

/**
 * Writes click logs with a known structure that a model can learn, in the default schema: train.tsv; test.tsv with the
 * same users and clicks plus one held-out click each; and infer.tsv, which is test.tsv without the held-out clicks.
 *
 * Each user likes one to three of eight genres, which the categories and tags of items reveal, and of which the user's
 * province and phone are hints. Popularity within a genre is heavy-tailed. About half of all clicks are one of three
 * fixed successors of the last item or the one before it, which only a model that knows the order of clicks can learn.
 * Nobody clicks an item twice. With searches, users search for items of their genres, by name and category or by
 * category and tag, and half of the clicks are on such an item, as long as there is one that was not clicked before.
 *
 * Throws ERR_OPTION if a size is impossible, and ERR_FILE or ERR_BUSY if the folder cannot be written.
 */
export async function simulate(options: SimulateOptions): Promise<SimulatedLogs> {
  checkOptions("simulate", options, SIMULATE_OPTIONS);
  checkPath("output", options.output);
  const { output, users = 10000, items = 5000, meanClicks = 30, meanSearches = 0, seed = 1, signal } = options;
  signal?.throwIfAborted();
  checkWholeNumber("users", users, 1, MAX_CLICKS);
  checkWholeNumber("items", items, 50, MAX_CLICKS);
  checkWholeNumber("meanClicks", meanClicks, MIN_CLICKS);
  checkWholeNumber("meanSearches", meanSearches, 0, MAX_SEARCHES);
  const clicks = users * Math.min(meanClicks, items / 2);
  if (clicks > MAX_CLICKS) {
    throw new ShortlistError(
      "ERR_OPTION",
      `Expected at most ${MAX_CLICKS} clicks but users and meanClicks make about ${Math.round(clicks)}`,
    );
  }
  const sizes = { output, users, items, meanClicks, meanSearches, seed };
  return withOutputFolder(output, KIND, (folder) => simulateInto(folder, sizes, signal));
}

async function simulateInto(
  folder: string,
  { output, users, items, meanClicks, meanSearches, seed }: Required<Omit<SimulateOptions, "signal">>,
  signal: AbortSignal | undefined,
): Promise<SimulatedLogs> {
  const turns = new Turns(signal);
  const catalogue = await makeCatalogue(items, seed, turns);
  let clicks = 0;
  const history: string[] = [];
  const whole: string[] = [];
  for (let user = 0; user < users; user++) {
    if (turns.isDue) await turns.take();
    const { before, after, watched } = simulateUser(catalogue, user, { meanClicks, meanSearches, seed });
    const texts = Array.from(watched, (item) => catalogue.texts[item]!);
    whole.push(`${before}\t${texts.join(";")}\t${after}\n`);
    texts.pop();
    history.push(`${before}\t${texts.join(";")}\t${after}\n`);
    clicks += texts.length;
  }
  const [train, test, infer] = [LOGS.train, LOGS.test, LOGS.infer].map((name) => join(output, name));
  const paths = { train: train!, test: test!, infer: infer! };
  const write = async (staging: string) => {
    await writeLines(join(staging, LOGS.train), history, signal);
    await writeLines(join(staging, LOGS.test), whole, signal);
    await writeLines(join(staging, LOGS.infer), history, signal);
    if (meanSearches > 0) await writeLines(join(staging, SCHEMA), [`${JSON.stringify(SEARCH_SCHEMA)}\n`], signal);
  };
  await replaceFolder(folder, KIND, write, (name) => !isLog(name));
  return { ...paths, clicks };
}

const LOGS = { train: "train.tsv", test: "test.tsv", infer: "infer.tsv" };

const SCHEMA = "log_schema.json";
const SEARCH_SCHEMA = {
  columns: [...DEFAULT_SCHEMA.columns, { name: "searches", kind: "tokens" }],
  click: DEFAULT_SCHEMA.click,
};

function isLog(name: string): boolean {
  return name === SCHEMA || Object.values(LOGS).includes(name);
}

const KIND: FolderKind = { name: "folder of simulated logs", code: "ERR_FILE", owns: isLog, allowsOthers: true };

async function writeLines(path: string, lines: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  const linesAtOnce = 1 << 12;
  await replaceFile(path, async (file) => {
    for (let start = 0; start < lines.length; start += linesAtOnce) {
      signal?.throwIfAborted();
      await file.writeFile(lines.slice(start, start + linesAtOnce).join(""));
    }
  });
}

/** The simulated items. Item 0 is the most popular one. */
interface Catalogue {
  readonly items: number;
  /** [items] Each item as the text `item:category:tag_tag`. */
  readonly texts: readonly string[];
  readonly genres: readonly Genre[];
  /** [items × SUCCESSORS] The successors of each item, most likely first. */
  readonly successors: Int32Array;
}

/** The items of a genre, and an alias table that draws them by popularity. */
interface Genre {
  readonly items: Int32Array;
  readonly popularity: AliasTable;
}

async function makeCatalogue(items: number, seed: number, turns: Turns): Promise<Catalogue> {
  const random = new RandomStream(seed, STREAMS.simulate, [0, 0, DRAWS.items]);
  const { texts, genreOf } = await drawItems(items, seed, random, turns);
  const popularity = Float64Array.from({ length: items }, (_, i) => (i + POPULARITY.shift) ** -POPULARITY.exponent);
  const genres = Array.from({ length: GENRES }, (_, genre) => {
    const members = Int32Array.from({ length: items }, (_, i) => i).filter((item) => genreOf[item] === genre);
    return { items: members, popularity: aliasTable(Float64Array.from(members, (item) => popularity[item]!)) };
  });
  const successors = new Int32Array(items * SUCCESSORS);
  for (let item = 0; item < items; item++) {
    for (let s = 0; s < SUCCESSORS; s++) {
      let next = item;
      for (let tries = 0; next === item && tries < TRIES; tries++) {
        // Successors are mostly of the same genre, regardless of popularity, so that habit leads to rare items too.
        const pool = random.uniform() < 0.8 ? genres[genreOf[item]!]!.items : undefined;
        next = pool ? pool[random.below(pool.length)]! : random.below(items);
      }
      successors[item * SUCCESSORS + s] = next === item ? (item + 1) % items : next;
    }
    if (turns.isDue) await turns.take();
  }
  return { items, texts, genres, successors };
}

/** Draws the texts and genres of all items. */
async function drawItems(items: number, seed: number, random: RandomStream, turns: Turns) {
  const names = new KeyedPermutation(items, seed);
  const tags = Math.min(2000, Math.max(4 * GENRES, Math.round(items / 5)));
  const genreOf = new Int32Array(items);
  const texts: string[] = [];
  for (let item = 0; item < items; item++) {
    // The first items get one genre each, so that no genre is empty.
    const genre = item < GENRES ? item : random.below(GENRES);
    const second = random.uniform() < 0.3 ? random.below(GENRES) : genre;
    genreOf[item] = genre;
    const category = genre + GENRES * random.below(CATEGORIES / GENRES);
    const itemTags = new Set<number>();
    for (let left = 1 + random.below(4); left > 0; left--) {
      const tagGenre = random.uniform() < 0.7 ? genre : second;
      // The square makes the first tags of a genre more common.
      const rank = Math.floor(random.uniform() ** 2 * Math.floor(tags / GENRES));
      itemTags.add(tagGenre + GENRES * rank);
    }
    texts.push(`v${names.at(item) + 1}:c${category}:${[...itemTags].map((tag) => `t${tag}`).join("_")}`);
    if (turns.isDue) await turns.take();
  }
  return { texts, genreOf };
}

function drawByPopularity({ items, popularity }: Genre, random: RandomStream): number {
  const column = random.below(items.length);
  return items[random.word() < popularity.threshold[column]! ? column : popularity.alias[column]!]!;
}

/** What the users of a log have in common. */
interface UserOptions {
  readonly meanClicks: number;
  readonly meanSearches: number;
  readonly seed: number;
}

/** Returns the user's fields before and after the clicks, and the clicked items. */
function simulateUser(catalogue: Catalogue, user: number, options: UserOptions) {
  const { meanClicks, meanSearches, seed } = options;
  const random = new RandomStream(seed, STREAMS.simulate, [user, 0, DRAWS.user]);
  const tastes = Array.from({ length: 1 + random.below(3) }, () => random.below(GENRES));
  const orNull = (token: string) => (random.uniform() < NULL_SHARE ? "NULL" : token);
  /** Draws one of `count` values; half of the time, one whose number reveals the user's main taste. */
  const hint = (count: number) => {
    const candidate = random.below(count);
    if (random.uniform() < 0.5) return candidate;
    const shifted = candidate - (candidate % GENRES) + tastes[0]!;
    return shifted < count ? shifted : tastes[0]!;
  };
  const province = hint(PROVINCES);
  const fields = [`u${user + 1}`, orNull(`p${province}`), orNull(`p${province}c${random.below(CITIES)}`)];
  const before = fields.join("\t");
  const phone = orNull(`m${hint(PHONES)}`);
  const searched = meanSearches > 0 ? simulateSearches(catalogue, user, tastes, options) : undefined;
  const after = searched ? `${phone}\t${searched.text}` : phone;

  // The mean of exp(normal) is exp(spread² / 2). Users click at most half of the catalogue, so that new items remain.
  const activity = (meanClicks / Math.exp(ACTIVITY_SPREAD ** 2 / 2)) * Math.exp(ACTIVITY_SPREAD * random.normal());
  const length = Math.min(Math.max(MIN_CLICKS, Math.round(activity)), catalogue.items >> 1);
  const watched = new Set<number>();
  let [last, beforeLast] = [-1, -1];
  while (watched.size < length) {
    let next = -1;
    if (searched && searched.items.length > 0 && random.uniform() < SEARCHED.share) {
      next = searched.items[random.below(searched.items.length)]!;
    } else if (last >= 0 && random.uniform() < HABIT.share) {
      const from = beforeLast < 0 || random.uniform() < HABIT.last ? last : beforeLast;
      const u = random.uniform();
      next = catalogue.successors[from * SUCCESSORS + (u < 0.6 ? 0 : u < 0.9 ? 1 : 2)]!;
    }
    for (let tries = 0; (next < 0 || watched.has(next)) && tries < TRIES; tries++) {
      next = drawByPopularity(catalogue.genres[tastes[random.below(tastes.length)]!]!, random);
    }
    while (watched.has(next)) next = random.below(catalogue.items);
    watched.add(next);
    beforeLast = last;
    last = next;
  }
  return { before, after, watched };
}

/**
 * Returns the past searches of a user as a column has them, and the items that the user will look for. Their number is
 * geometric.
 */
function simulateSearches(
  catalogue: Catalogue,
  user: number,
  tastes: readonly number[],
  { meanSearches, seed }: UserOptions,
) {
  const random = new RandomStream(seed, STREAMS.simulate, [user, 0, DRAWS.searches]);
  const count = Math.floor(Math.log(1 - random.uniform()) / Math.log(meanSearches / (meanSearches + 1)));
  const items: number[] = [];
  const queries = Array.from({ length: Math.min(count, MAX_SEARCHES) }, () => {
    const item = drawByPopularity(catalogue.genres[tastes[random.below(tastes.length)]!]!, random);
    if (random.uniform() >= SEARCHED.stray) items.push(item);
    const [name, category, tags] = catalogue.texts[item]!.split(":");
    return random.uniform() < SEARCHED.named ? `${name} ${category}` : `${category} ${tags!.split("_")[0]}`;
  });
  return { text: queries.join(";"), items };
}
