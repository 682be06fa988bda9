import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { exists, fileError, parseJson, readText, replaceFile } from "../data/files.js";
import { JsonLines, readJsonLines } from "../data/json_lines.js";
import { LOCK_INSIDE } from "../data/lock.js";
import { type FolderKind, withOutputFolder } from "../data/output_folder.js";
import { ShortlistError } from "../errors.js";
import type { ModelConfig } from "../model/config.js";
import type { RankingMetrics } from "../model/training_record.js";
import type { Settings } from "./space.js";

/** A trial, trained with the passes of a rung: a line of trials.jsonl. */
export interface Trial {
  /** The number of the trial, from 1. */
  readonly trial: number;
  /** The number of the rung, from 1. */
  readonly rung: number;
  /** The passes that it was to be trained with. */
  readonly passes: number;
  /** What was drawn for it. */
  readonly settings: Settings;
  /** The seconds that it took, evaluation included. */
  readonly seconds: number;
  /** The metrics of its best pass on the held-out clicks; undefined where it failed. */
  readonly validation?: RankingMetrics & { readonly pass: number };
  /** Why it failed. */
  readonly failed?: string;
}

const SEARCH = "search.json";
const TRIALS = "trials.jsonl";
const TABLE = "table.md";
const BEST = "best.json";
/** Holds the model of the trial that runs. */
const WORK = "work";

const KIND: FolderKind = {
  name: "search",
  code: "ERR_OPTION",
  owns: (name) => [SEARCH, TRIALS, TABLE, BEST, WORK].includes(name),
  // Whether it holds a search, and which, is looked at when it is opened.
  isShared: true,
};

/** The folder of a search: what is searched (search.json), its trials as they end, and what they say so far. */
export class SearchFolder {
  readonly trials: Trial[];
  readonly #folder: string;
  readonly #lines: JsonLines;

  private constructor(folder: string, trials: Trial[]) {
    this.#folder = folder;
    this.trials = trials;
    this.#lines = new JsonLines(join(folder, TRIALS), trials);
  }

  /** `work` in the folder of the search at `path`, which nobody else can write meanwhile. */
  static locked<T>(path: string, work: (folder: string) => Promise<T>): Promise<T> {
    return withOutputFolder(path, KIND, work);
  }

  /** Opens a new folder, or that of the same search; ERR_OPTION where it holds another search or something else. */
  static async open(folder: string, search: Readonly<Record<string, unknown>>): Promise<SearchFolder> {
    const path = join(folder, SEARCH);
    if (await exists(path)) checkSame(folder, parseJson(await readText(path), path, "ERR_OPTION"), search);
    else await checkEmpty(folder);
    await rm(join(folder, WORK), { recursive: true, force: true });
    await replaceFile(path, (file) => file.writeFile(`${JSON.stringify(search, null, 2)}\n`));
    return new SearchFolder(folder, (await readJsonLines(join(folder, TRIALS), "ERR_OPTION")) as Trial[]);
  }

  /** Where the model of a trial is written while it runs. */
  get work(): string {
    return join(this.#folder, WORK);
  }

  find(trial: number, rung: number): Trial | undefined {
    return this.trials.find((found) => found.trial === trial && found.rung === rung);
  }

  async add(trial: Trial): Promise<void> {
    this.trials.push(trial);
    await this.#lines.add(trial);
  }

  /** Writes table.md, and best.json where there is a best trial. */
  async summarize(best: ModelConfig | undefined): Promise<void> {
    await replaceFile(join(this.#folder, TABLE), (file) => file.writeFile(formatTrials(this.trials)));
    if (!best) return;
    await replaceFile(join(this.#folder, BEST), (file) => file.writeFile(`${JSON.stringify(best, null, 2)}\n`));
  }
}

function checkSame(folder: string, found: unknown, search: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(search)) {
    const before = JSON.stringify((found as Record<string, unknown>)?.[key]);
    if (before === JSON.stringify(value)) continue;
    throw new ShortlistError(
      "ERR_OPTION",
      `${folder} holds another search: its ${key} was ${before} and is ${JSON.stringify(value)}. Choose another output folder`,
    );
  }
}

async function checkEmpty(folder: string): Promise<void> {
  if (!(await exists(folder))) return;
  const found = await readdir(folder).catch((error) => {
    throw fileError("read", folder, error);
  });
  const members = found.filter((name) => name !== LOCK_INSIDE);
  if (members.length === 0) return;
  throw new ShortlistError(
    "ERR_OPTION",
    `${folder} is not the folder of a search: it holds ${members[0]}. Choose another`,
  );
}

/** The best first, by NDCG@10 on validation, then fewer passes, then the earlier one; failed trials last. */
export function rankTrials(trials: readonly Trial[]): Trial[] {
  const gain = ({ validation }: Trial) => validation?.ndcg["10"] ?? Number.NEGATIVE_INFINITY;
  return [...trials].sort((a, b) => {
    const [x, y] = [gain(a), gain(b)];
    return x === y ? a.passes - b.passes || a.trial - b.trial : y - x;
  });
}

/** table.md */
function formatTrials(trials: readonly Trial[]): string {
  const cell = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value)).replaceAll("|", "\\|");
  const rows = rankTrials(trials).map(({ trial, rung, passes, settings, seconds, validation, failed }) => [
    String(trial),
    String(rung),
    validation ? `${validation.pass} of ${passes}` : String(passes),
    seconds.toFixed(1),
    ...(validation
      ? [validation.hitRate["10"]!.toFixed(4), validation.ndcg["10"]!.toFixed(4)]
      : [`failed: ${cell(failed)}`, ""]),
    ...Object.values(settings).map(cell),
  ]);
  const keys = Object.keys(trials[0]?.settings ?? {});
  const head = ["trial", "rung", "best pass", "seconds", "HitRate@10", "NDCG@10", ...keys];
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return `# Trials

Sorted by NDCG@10 on validation, each user's last click, held out from training. The best was chosen by these numbers, so
its own are flattering, the more so the more trials there are: measure it on clicks that the search has not seen.

${lines.join("\n")}
`;
}
