import type { Clicks, Encoding } from "../src/data/clicks.js";
import { DEFAULT_SCHEMA } from "../src/data/schema.js";
import { noiseDistribution, UNKNOWN, Vocabulary } from "../src/data/vocabulary.js";
import type { Noise } from "../src/model/programs.js";
import { type AliasTable, aliasTable } from "../src/random/alias_table.js";
import { RandomStream } from "../src/random/philox.js";

export interface SyntheticOptions {
  /** Number of users (default 100,000). */
  readonly users?: number | undefined;
  /** Number of items (default 100,000). */
  readonly items?: number | undefined;
  /** Number of tags (default 20,000). */
  readonly tags?: number | undefined;
  /** Mean number of clicks of a user (default 14, with which a history has 10 clicks on average for a window of 20). */
  readonly meanClicks?: number | undefined;
  /** Number of users with clicks (default all). With fewer, the table is larger than the log needs. */
  readonly activeUsers?: number | undefined;
}

/** A click log in memory, with the noise distribution for negatives. */
export interface BenchLog {
  readonly clicks: Clicks;
  readonly encoding: Encoding;
  readonly noise: Noise;
}

const CATEGORIES = 50;
const PROVINCES = 34;
const CITIES = 400;
const PHONES = 2000;
const TAGS_OF_ITEM = 3;
const MAX_CLICKS = 200;
/** The key word of the log's random numbers; `src/random` uses the small ones. */
const STREAM = 1100;

/**
 * Random clicks with the sizes of the original. Numbers of clicks of users are geometrically distributed, items follow
 * Zipf's law (p ~ 1 / (rank + 10)), each item has three tags and a category, and features are uniform. They are for
 * timing only; there is nothing to learn in them.
 */
export function syntheticLog(options: SyntheticOptions = {}): BenchLog {
  const { users = 100_000, items = 100_000, tags = 20_000, meanClicks = 14 } = options;
  const active = Math.min(users, options.activeUsers ?? users);
  const random = new RandomStream(1, STREAM);
  const uniformIds = (count: number, size: number) => Int32Array.from({ length: count }, () => 1 + random.below(size));

  const clickOffsets = new Int32Array(active + 1);
  const goOn = Math.log(1 - 1 / meanClicks);
  for (let user = 0; user < active; user++) {
    const length = meanClicks <= 1 ? 1 : 1 + Math.floor(Math.log(1 - random.uniform()) / goOn);
    clickOffsets[user + 1] = clickOffsets[user]! + Math.min(length, MAX_CLICKS);
  }
  const count = clickOffsets[active]!;

  const popularity = Float64Array.from({ length: items + 1 }, (_, id) => (id === 0 ? 0 : 1 / (id + 9)));
  const table = aliasTable(popularity);
  const item = Int32Array.from({ length: count }, () => draw(table, random));
  const categoryOfItem = uniformIds(items + 1, CATEGORIES - 1);
  const tagsOfItem = uniformIds((items + 1) * TAGS_OF_ITEM, tags);
  const tagIds = new Int32Array(count * TAGS_OF_ITEM);
  for (let i = 0; i < tagIds.length; i++) {
    tagIds[i] = tagsOfItem[item[Math.floor(i / TAGS_OF_ITEM)]! * TAGS_OF_ITEM + (i % TAGS_OF_ITEM)]!;
  }
  const order = Int32Array.from({ length: active }, () => 1 + random.below(users));

  const clicks: Clicks = {
    users: active,
    clicks: count,
    clickOffsets,
    userFeatures: [
      { name: "user_id", ids: order },
      { name: "province", ids: uniformIds(active, PROVINCES) },
      { name: "city", ids: uniformIds(active, CITIES) },
      { name: "phone", ids: uniformIds(active, PHONES) },
    ],
    numbers: [],
    itemFeatures: [
      { name: "item", ids: item, offsets: undefined },
      { name: "category", ids: item.map((id) => categoryOfItem[id]!), offsets: undefined },
      { name: "tags", ids: tagIds, offsets: Int32Array.from({ length: count + 1 }, (_, i) => i * TAGS_OF_ITEM) },
    ],
  };
  const sizes = { user_id: users, province: PROVINCES, city: CITIES, phone: PHONES, category: CATEGORIES, tags };
  const vocabularies = new Map(Object.entries(sizes).map(([name, size]) => [name, vocabularyOf(size)]));
  vocabularies.set("item", vocabularyOf(items, popularity));
  const distribution = noiseDistribution(popularity, 1);
  return {
    clicks,
    encoding: { schema: DEFAULT_SCHEMA, vocabularies, numbers: new Map() },
    noise: { distribution, aliasTable: table },
  };
}

function draw({ threshold, alias }: AliasTable, random: RandomStream): number {
  const column = random.below(threshold.length);
  return random.word() < threshold[column]! ? column : alias[column]!;
}

/** A vocabulary of `size` values without names, and `<unk>`. */
function vocabularyOf(size: number, counts = new Float64Array(size + 1).fill(1)): Vocabulary {
  const tokens: string[] = new Array(size + 1).fill("");
  tokens[0] = UNKNOWN;
  return new Vocabulary(tokens, counts);
}
