// Measures daily updates against training from nothing: `npm run bench:update -- --data FOLDER --log kuairand`. FOLDER
// has the click logs and tables of the data sets, which are not part of this project. README.md explains the numbers.

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import "./plain_errors.js";
import { evaluate, extendModelFolder, openModel, parseSchema, prepareDataset, train, update } from "../src/index.js";

const { values: flags } = parseArgs({
  options: {
    data: { type: "string" },
    log: { type: "string", default: "kuairand" },
    work: { type: "string" },
    slices: { type: "string" },
    every: { type: "string", default: "1" },
    "hold-back": { type: "string" },
    train: { type: "string", multiple: true, default: [] },
    update: { type: "string", multiple: true, default: [""] },
    retrain: { type: "string" },
    threads: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
if (flags.data === undefined) throw new Error("Expected --data with the folder of the data sets");
const threads = flags.threads === undefined ? undefined : Number(flags.threads);

/** A user: the columns of the log, with the clicks of each slice in place of those of all. */
interface User {
  readonly columns: readonly string[];
  readonly slices: readonly string[][];
}

/** A log that is cut into slices: the first is trained on, each of the others is the clicks of a day. */
interface SlicedLog {
  readonly schema: ReturnType<typeof parseSchema>;
  /** Index of the column of clicks. */
  readonly column: number;
  readonly users: readonly User[];
  readonly slices: number;
}

const tags = (name: string) => [{ name: "item" }, { name }, { name: "tags", multiple: true }];

/** KuaiRand-Pure: long views until 24 April 2022, and then those of each day until 30 April. */
async function kuairand(): Promise<SlicedLog> {
  const table = async (name: string) => {
    const [head, ...rows] = (await readFile(join(flags.data!, "kuairand-pure", name), "utf8")).trimEnd().split("\n");
    const names = head!.split("\t");
    return rows.map((row) => Object.fromEntries(row.split("\t").map((value, i) => [names[i]!, value])));
  };
  const items = new Map(
    (await table("items.tsv")).map(({ video_id, upload_type, tags: of }) => {
      const own = (of ?? "").split(",").flatMap((tag) => (tag === "" || tag === '""' ? [] : [`tag${tag}`]));
      return [video_id!, `${video_id}:${upload_type}:${own.join("_")}`];
    }),
  );
  const features = new Map(
    (await table("users.tsv")).map((user) => [
      user["user_id"]!,
      [user["user_active_degree"]!.replace("_", "-"), user["follow_user_num_range"]!, user["register_days_range"]!],
    ]),
  );
  const users = new Map<string, User>();
  for (const line of (await readFile(join(flags.data!, "logs/kuairand.train.tsv"), "utf8")).trimEnd().split("\n")) {
    const columns = line.split("\t");
    users.set(columns[0]!, { columns, slices: [columns[3]!.split(";"), ...Array.from({ length: 6 }, () => [])] });
  }
  const views = (await table("val.tsv")).filter(({ long_view }) => long_view === "1");
  views.sort((a, b) => Number(a["time_ms"]) - Number(b["time_ms"]));
  for (const { user_id, video_id, date } of views) {
    const [activity, following, registered] = features.get(user_id!) ?? ["", "", ""];
    const columns = [user_id!, activity!, following!, "", registered!];
    const user = users.get(user_id!) ?? { columns, slices: Array.from({ length: 7 }, () => []) };
    users.set(user_id!, user);
    user.slices[Number(date) - 20220424]!.push(items.get(video_id!) ?? video_id!);
  }
  const columns = ["user_id", "activity", "following", "clicks", "registered"].map((name) => ({ name }));
  return {
    schema: parseSchema({ columns, click: tags("upload_type") }),
    column: 3,
    users: [...users.values()],
    slices: 7,
  };
}

/** MovieLens-1M: the first half of each user's ratings, and then a tenth of them at a time. */
async function movielens(): Promise<SlicedLog> {
  const lines = (await readFile(join(flags.data!, "logs/ml-1m.train.tsv"), "utf8")).trimEnd().split("\n");
  const column = lines[0]!.split("\t").findIndex((text) => text.includes(";"));
  const users = lines.map((line): User => {
    const columns = line.split("\t");
    const clicks = columns[column]!.split(";");
    const cut = (tenth: number) => Math.floor((clicks.length * tenth) / 10);
    const starts = [0, 5, 6, 7, 8, 9, 10].map(cut);
    return { columns, slices: starts.slice(1).map((end, i) => clicks.slice(starts[i], end)) };
  });
  const columns = lines[0]!
    .split("\t")
    .map((_, i) => ({ name: ["user_id", "age", "occupation", "clicks", "gender"][i]! }));
  return { schema: parseSchema({ columns, click: tags("genre") }), column, users, slices: 6 };
}

const whole = flags.log === "kuairand" ? await kuairand() : await movielens();
const itemOf = (click: string) => click.split(":")[0]!;
/** Whether an item is held back from the first slice, so that it is new on a later day: one of `--hold-back`. */
function isHeldBack(click: string): boolean {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(itemOf(click))) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return flags["hold-back"] !== undefined && hash % Number(flags["hold-back"]) === 0;
}
const log = {
  ...whole,
  users: whole.users
    .filter((_, user) => user % Number(flags.every) === 0)
    .map(({ columns, slices: [first, ...days] }) => ({
      ...{ columns, slices: [first!.filter((click) => !isHeldBack(click)), ...days] },
    })),
};
const slices = Math.min(log.slices, Number(flags.slices ?? log.slices));
const work = flags.work ?? (await mkdtemp(join(tmpdir(), "shortlist-update-")));
const at = (name: string) => join(work, name);
await mkdir(work, { recursive: true });

function lineOf({ columns }: User, clicks: readonly string[]): string {
  return `${columns.with(log.column, clicks.join(";")).join("\t")}\n`;
}

const HISTORY = 200;
for (let slice = 0; slice < slices; slice++) {
  const own = log.users.flatMap((user) => (user.slices[slice]!.length > 0 ? [lineOf(user, user.slices[slice]!)] : []));
  await writeFile(at(`day-${slice}.tsv`), own.join(""));
  const next = log.users.flatMap((user) => {
    const history = user.slices.slice(0, slice + 1).flat();
    const target = user.slices[slice + 1]?.[0];
    return target === undefined || history.length === 0 ? [] : [lineOf(user, [...history.slice(-HISTORY), target])];
  });
  await writeFile(at(`next-${slice}.tsv`), next.join(""));
}

const firstItems = new Set(log.users.flatMap(({ slices: [first] }) => first!.map(itemOf)));
/** The log of the users whose next click is on an item that the first slice does not have. */
async function logOfNewItems(slice: number): Promise<string | undefined> {
  const known = new Set(
    log.users.flatMap((user) =>
      user.slices
        .slice(0, slice + 1)
        .flat()
        .map(itemOf),
    ),
  );
  const lines = (await readFile(at(`next-${slice}.tsv`), "utf8")).split("\n").filter((line) => {
    const target = itemOf(line.split("\t")[log.column]?.split(";").at(-1) ?? "");
    return !firstItems.has(target) && known.has(target);
  });
  if (lines.length === 0) return undefined;
  await writeFile(at(`new-${slice}.tsv`), lines.map((line) => `${line}\n`).join(""));
  return at(`new-${slice}.tsv`);
}

async function measure(method: string, slice: number, folder: string, seconds: number): Promise<void> {
  const model = await openModel(folder, { threads });
  try {
    const found = await evaluate(model, at(`next-${slice}.tsv`), { tops: [10, 100] });
    const newItems = await logOfNewItems(slice);
    const ofNew = newItems && (await evaluate(model, newItems, { tops: [10, 100] }).catch(() => undefined));
    const row = {
      ...{ method, slice, users: found.users, hit10: found.hitRate["10"], hit100: found.hitRate["100"], seconds },
      ...(ofNew && { newUsers: ofNew.users, newHit10: ofNew.hitRate["10"], newHit100: ofNew.hitRate["100"] }),
    };
    if (flags.json) console.log(JSON.stringify(row));
    else {
      const share = (value: number | undefined) => (value === undefined ? "" : value.toFixed(4));
      console.log(
        [
          method,
          slice,
          row.users,
          share(row.hit10),
          share(row.hit100),
          seconds.toFixed(1),
          row.newUsers ?? "",
          share(row.newHit10),
          share(row.newHit100),
        ].join("\t"),
      );
    }
  } finally {
    model.close();
  }
}

async function timed<T>(work: () => Promise<T>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

const SET = [...flags.train];
if (!flags.json) console.log("method\tslice\tusers\thit@10\thit@100\tseconds\tnew-item users\thit@10\thit@100");
let seconds = 0;
if (!existsSync(at("model-0"))) {
  await prepareDataset({ logs: [at("day-0.tsv")], output: at("data-0"), schema: log.schema, threads });
  seconds = await timed(() =>
    train({ dataset: at("data-0"), output: at("model-0"), set: SET, keepState: true, threads }),
  );
}
await measure("trained", 0, at("model-0"), seconds);
const retrained = new Set((flags.retrain ?? Array.from({ length: slices }, (_, slice) => slice).join()).split(","));
for (const [v, variant] of flags.update.entries()) {
  for (let slice = 1; slice < slices - 1; slice++) {
    const name = (of: number) => (of === 0 ? "0" : `${v}-${of}`);
    const [data, model] = [at(`data-${name(slice)}`), at(`model-${name(slice)}`)];
    const changes = variant.split(" ").filter((text) => text.includes("="));
    const replay = changes.find((text) => text.startsWith("replay="))?.slice("replay=".length);
    const options = { set: changes.filter((text) => !/^(keepState|replay)=/.test(text)), threads };
    const taken = await timed(() =>
      update({
        ...{ ...options, model: at(`model-${name(slice - 1)}`), dataset: at(`data-${name(slice - 1)}`) },
        ...{ logs: [at(`day-${slice}.tsv`)], output: model, outputDataset: data },
        ...(changes.includes("keepState=false") && { keepState: false }),
        ...(replay !== undefined && { replay: Number(replay) }),
      }),
    );
    await measure(`update ${variant}`, slice, model, taken);
    if (v > 0) continue;
    if (slice === 1) await extendModelFolder(at("model-0"), { logs: [at("day-1.tsv")], output: at("extended-1") });
    else
      await extendModelFolder(at(`extended-${slice - 1}`), {
        logs: [at(`day-${slice}.tsv`)],
        output: at(`extended-${slice}`),
      });
    await measure("extend alone", slice, at(`extended-${slice}`), 0);
    await measure("first model", slice, at("model-0"), 0);
    if (!retrained.has(String(slice))) continue;
    const again = at(`retrained-${slice}`);
    const whole = await timed(() => train({ dataset: data, output: again, set: SET, threads }));
    await measure("retrain", slice, again, whole);
  }
}
if (flags.work === undefined) await rm(work, { recursive: true });
