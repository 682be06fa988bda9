import type { Clicks, Encoding } from "../src/data/clicks.js";
import { DEFAULT_SCHEMA } from "../src/data/schema.js";
import { noiseDistribution, UNKNOWN, Vocabulary } from "../src/data/vocabulary.js";
import type { Noise } from "../src/model/programs.js";
import { type AliasTable, aliasTable } from "../src/random/alias_table.js";
import { RandomStream } from "../src/random/philox.js";

export interface SyntheticOptions {
  /** 100,000 unless given. */
  readonly users?: number | undefined;
  /** 100,000 unless given. */
  readonly items?: number | undefined;
  /** 20,000 unless given. */
  readonly tags?: number | undefined;
  /** Clicks of a user on average, 14 unless given: with a window of 20 that makes the mean history 10 clicks long. */
  readonly meanClicks?: number | undefined;
  /** Users that have clicks; all unless given. A table may be larger than the log that trains it. */
  readonly activeUsers?: number | undefined;
}

/** A click log that exists in memory only, in the default schema, with the distribution that negatives are drawn from. */
export interface SyntheticLog {
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
 * Clicks whose numbers are the original's sizes: lengths of users geometric, items by Zipf's law (p ~ 1 / (rank + 10)),
 * three tags and one category an item, all features uniform. There is nothing to learn in them: they are for timing.
 */
export function syntheticLog(options: SyntheticOptions = {}): SyntheticLog {
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

/** `size` nameless values beside `<unk>`. */
function vocabularyOf(size: number, counts = new Float64Array(size + 1).fill(1)): Vocabulary {
  const tokens: string[] = new Array(size + 1).fill("");
  tokens[0] = UNKNOWN;
  return new Vocabulary(tokens, counts);
}
