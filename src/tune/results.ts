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

/** The result of training one trial in one rung: a line of trials.jsonl. */
export interface Trial {
  /** Number of the trial, from 1. */
  readonly trial: number;
  /** Number of the rung, from 1. */
  readonly rung: number;
  /** Number of epochs of this rung. */
  readonly epochs: number;
  /** The settings that were drawn for the trial. */
  readonly settings: Settings;
  /** Seconds that it took, including evaluation. */
  readonly seconds: number;
  /** Metrics of its best epoch on the held-out clicks. Undefined if the trial failed. */
  readonly validation?: RankingMetrics & { readonly epoch: number };
  /** Error message if the trial failed. */
  readonly failed?: string;
}

const SEARCH = "search.json";
const TRIALS = "trials.jsonl";
const TABLE = "table.md";
const BEST = "best.json";
/** Subfolder for the model of the running trial. */
const WORK = "work";

const KIND: FolderKind = {
  name: "search",
  code: "ERR_OPTION",
  owns: (name) => [SEARCH, TRIALS, TABLE, BEST, WORK].includes(name),
  // Whether the folder holds a search, and which one, is checked when it is opened.
  allowsOthers: true,
};

/** The folder of a search. It has the search (search.json), the finished trials, and their summary. */
export class SearchFolder {
  readonly trials: Trial[];
  readonly #folder: string;
  readonly #lines: JsonLines;

  private constructor(folder: string, trials: Trial[]) {
    this.#folder = folder;
    this.trials = trials;
    this.#lines = new JsonLines(join(folder, TRIALS), trials);
  }

  /** Calls `work` with the folder of the search at `path`, locked against other processes. */
  static locked<T>(path: string, work: (folder: string) => Promise<T>): Promise<T> {
    return withOutputFolder(path, KIND, work);
  }

  /**
   * Opens a new folder or continues the same search. Throws ERR_OPTION if the folder holds another search or anything
   * else.
   */
  static async open(folder: string, search: Readonly<Record<string, unknown>>): Promise<SearchFolder> {
    const path = join(folder, SEARCH);
    if (await exists(path))
      checkSame(folder, currentSearch(parseJson(await readText(path), path, "ERR_OPTION")), search);
    else await checkEmpty(folder);
    await rm(join(folder, WORK), { recursive: true, force: true });
    await replaceFile(path, (file) => file.writeFile(`${JSON.stringify(search, null, 2)}\n`));
    const trials = await readJsonLines(join(folder, TRIALS), "ERR_OPTION");
    return new SearchFolder(folder, trials.map(currentTrial));
  }

  /** Folder for the model of the running trial. */
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

  /** Writes table.md, and best.json if a trial has succeeded. */
  async summarize(best: ModelConfig | undefined): Promise<void> {
    await replaceFile(join(this.#folder, TABLE), (file) => file.writeFile(formatTrials(this.trials)));
    if (!best) return;
    await replaceFile(join(this.#folder, BEST), (file) => file.writeFile(`${JSON.stringify(best, null, 2)}\n`));
  }
}

/** Returns an object with the current name of a member, in the same order. (Epochs were called passes.) */
function renamed(value: unknown, before: string, now: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key === before ? now : key, part]));
}

/** Brings the content of search.json up to date. */
function currentSearch(stored: unknown): Record<string, unknown> {
  const { set, config, ...search } = (stored ?? {}) as Record<string, unknown>;
  return {
    ...search,
    set: Array.isArray(set) ? set.map((assignment) => String(assignment).replace(/^passes=/, "epochs=")) : set,
    config: renamed(config, "passes", "epochs"),
  };
}

/** Brings a line of trials.jsonl up to date. */
function currentTrial(stored: unknown): Trial {
  const { validation, ...trial } = renamed(stored, "passes", "epochs");
  return { ...trial, ...(validation !== undefined && { validation: renamed(validation, "pass", "epoch") }) } as never;
}

function checkSame(
  folder: string,
  found: Readonly<Record<string, unknown>>,
  search: Readonly<Record<string, unknown>>,
): void {
  for (const [key, value] of Object.entries(search)) {
    const before = JSON.stringify(found[key]);
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

/** Sorts trials, best first: by NDCG@10 on validation, then by fewer epochs, then by number. Failed trials are last. */
export function rankTrials(trials: readonly Trial[]): Trial[] {
  const gain = ({ validation }: Trial) => validation?.ndcg["10"] ?? Number.NEGATIVE_INFINITY;
  return [...trials].sort((a, b) => {
    const [x, y] = [gain(a), gain(b)];
    return x === y ? a.epochs - b.epochs || a.trial - b.trial : y - x;
  });
}

/** Returns the text of table.md. */
function formatTrials(trials: readonly Trial[]): string {
  const cell = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value)).replaceAll("|", "\\|");
  const rows = rankTrials(trials).map(({ trial, rung, epochs, settings, seconds, validation, failed }) => [
    String(trial),
    String(rung),
    validation ? `${validation.epoch} of ${epochs}` : String(epochs),
    seconds.toFixed(1),
    ...(validation
      ? [validation.hitRate["10"]!.toFixed(4), validation.ndcg["10"]!.toFixed(4)]
      : [`failed: ${cell(failed)}`, ""]),
    ...Object.values(settings).map(cell),
  ]);
  const keys = Object.keys(trials[0]?.settings ?? {});
  const head = ["trial", "rung", "best epoch", "seconds", "HitRate@10", "NDCG@10", ...keys];
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return `# Trials

Sorted by NDCG@10 on validation, each user's last click, held out from training. The best was chosen by these numbers, so
its own are flattering, the more so the more trials there are: measure it on clicks that the search has not seen.

${lines.join("\n")}
`;
}
