import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseSchema, prepareDataset, train } from "../../../src/index.js";
import { SMALL } from "../../small_model.js";

/** User features of both kinds; clicks with one value, with several values, with a time, a weight, a number and a field to ignore. */
export const RICH_SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "age", kind: "number" }, { name: "clicks" }, { name: "city" }],
  click: [
    ...[{ name: "item" }, { name: "shown", kind: "ignore" }, { name: "category" }],
    ...[
      { name: "tags", multiple: true },
      { name: "time", kind: "time" },
      { name: "seen", kind: "weight" },
      { name: "price", kind: "number" },
    ],
  ],
});

export const USERS = 300;
const ITEMS = 40;

/** A click with all fields. */
type RichClick = {
  readonly item: string;
  readonly shown: number;
  readonly category: string;
  readonly tags: string[];
  readonly time: number;
  readonly seen: number;
  readonly price: number | null;
};

/** The clicks of a user. The attributes of an item are the same in all clicks. */
export function clicksOf(user: number): RichClick[] {
  return Array.from({ length: 1 + (user % 25) }, (_, i) => {
    const item = (user * 7 + i * i) % ITEMS;
    const tags = Array.from({ length: 1 + (item % 3) }, (_, t) => `t${(item + t) % 6}`);
    const [seen, price] = [(i % 3) / 2, (user + i) % 6 === 0 ? null : ((user * i) % 17) / 4];
    return { item: `v${item}`, shown: i / 2, category: `c${item % 5}`, tags, time: 1000 * user + i, seen, price };
  });
}

export function featuresOf(user: number): { user_id: string; age: number | null; city: string | null } {
  return {
    user_id: `u${user}`,
    age: user % 4 === 0 ? null : 20 + (user % 50) / 2,
    city: user % 5 === 0 ? null : `p${user % 3}`,
  };
}

/** The line of a log with a user's features and clicks. */
export function lineOf(user: number): string {
  const { user_id, age, city } = featuresOf(user);
  const clicks = clicksOf(user).map(({ item, shown, category, tags, time, seen, price }) =>
    [item, shown, category, tags.join("_"), time, seen, price ?? ""].join(":"),
  );
  return [user_id, age ?? "", clicks.join(";"), city ?? "NULL"].join("\t");
}

/** Makes a log `log.tsv`, a `dataset` and a `model` in a folder. */
export async function makeRichModel(folder: string, set: readonly string[] = []): Promise<void> {
  const at = (name: string) => join(folder, name);
  await mkdir(folder, { recursive: true });
  await writeFile(at("log.tsv"), Array.from({ length: USERS }, (_, user) => `${lineOf(user)}\n`).join(""));
  await prepareDataset({ logs: [at("log.tsv")], output: at("dataset"), schema: RICH_SCHEMA, featureAppearLimit: 0 });
  await train({ dataset: at("dataset"), output: at("model"), set: [...SMALL, ...set], steps: 20, threads: 1 });
}
