import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseSchema, prepareDataset, train } from "../src/index.js";
import { withFolder } from "./data/temporary.js";

export const SMALL = ["lstmWidth=8", "userVectorWidth=8", "hiddenWidths=[8]", "batchSize=64"];
export const ITEMS_ONLY = parseSchema({
  columns: [{ name: "user_id" }, { name: "clicks" }],
  click: [{ name: "item" }],
});

/** Makes a folder with `log.tsv` (700 users, nine items), and a `dataset` and a `model` of it. */
export async function withSmallModel(work: (at: (name: string) => string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    const lines = Array.from({ length: 700 }, (_, u) => `u${u}\tv${u % 9};v${(u + 1) % 9};v${(u * 5 + 2) % 9}\n`);
    await writeFile(at("log.tsv"), lines.join(""));
    await prepareDataset({ logs: [at("log.tsv")], output: at("dataset"), schema: ITEMS_ONLY, featureAppearLimit: 0 });
    await train({ dataset: at("dataset"), output: at("model"), set: SMALL, steps: 2, threads: 1 });
    await work(at);
  });
}

export async function all<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const value of values) list.push(value);
  return list;
}
