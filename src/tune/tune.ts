import { rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { itemVocabulary } from "../data/clicks.js";
import { openDataset } from "../data/dataset.js";
import { whileUnfinished } from "../data/unfinished.js";
import { checkOptions, checkPath, checkWholeNumber, ShortlistError } from "../errors.js";
import { type ModelConfig, resolveConfig } from "../model/config.js";
import { type TrainOptions, train } from "../train/trainer.js";
import { rankTrials, SearchFolder, type Trial } from "./results.js";
import { checkSpace, drawTrials, type SearchSpace, type Settings } from "./space.js";

type TrainingOptions =
  | "dataset"
  | "preset"
  | "config"
  | "set"
  | "seed"
  | "executor"
  | "threads"
  | "isa"
  | "signal"
  | "onProgress";

/** Options of `tune`. */
export interface TuneOptions extends Pick<TrainOptions, TrainingOptions> {
  /** The search space, from `parseSpace` or `readSpace`. */
  readonly space: SearchSpace;
  /** Folder to write. If it holds the same search, that search continues. */
  readonly output: string;
  /** Number of settings in the first rung (default 16). */
  readonly trials?: number | undefined;
  /** Number of rungs after the first (default 2). The last rung trains with the configuration's number of epochs. */
  readonly halvings?: number | undefined;
  /** Each rung keeps the best 1/eta of the trials before and trains them with eta times as many epochs (default 2). */
  readonly eta?: number | undefined;
  /** Limit of the seconds for all trials, including those of earlier calls with this folder (default: no limit). */
  readonly budgetSeconds?: number | undefined;
  /** Called after every trial that was run. */
  readonly onTrial?: ((trial: Trial, progress: TuneProgress) => void) | undefined;
}

const TUNE_OPTIONS: Readonly<Record<keyof TuneOptions, true>> = {
  dataset: true,
  preset: true,
  config: true,
  set: true,
  seed: true,
  signal: true,
  onProgress: true,
  space: true,
  output: true,
  trials: true,
  halvings: true,
  eta: true,
  budgetSeconds: true,
  onTrial: true,
  executor: true,
  threads: true,
  isa: true,
};

/** Progress of a search. */
export interface TuneProgress {
  /** Number of rungs. */
  readonly rungs: number;
  /** Number of trials of this rung, including those that are already done. */
  readonly trials: number;
  /** Seconds of all trials so far, including those of earlier calls with this folder. */
  readonly secondsSpent: number;
}

/** Result of a search. */
export interface TuneReport {
  /** The best trial by NDCG@10 on validation. Since it was chosen by this number, measure it again on other clicks. */
  readonly best: Trial;
  /** The configuration of the best trial. */
  readonly config: ModelConfig;
  /** All trials, best first. */
  readonly trials: readonly Trial[];
  /** Seconds of all trials. */
  readonly seconds: number;
  /** Whether trials were left out because they would have exceeded the budget. */
  readonly outOfBudget: boolean;
}

/**
 * Searches for the best configuration by random search with successive halving (Jamieson & Talwalkar 2016). The first
 * rung trains `trials` drawn settings with few epochs. Each further rung trains the best 1/eta again from the start,
 * with eta times as many epochs. The criterion is NDCG@10 on each user's last click, which is held out from training.
 *
 * `output` holds `search.json`, a line for each trial in `trials.jsonl` and, updated after every trial, `table.md` and
 * the configuration `best.json`. The same search in the same folder continues where it was interrupted.
 *
 * Each rung may use an equal share of the budget, plus what earlier rungs left of theirs. A trial starts only if it is
 * expected to stay within that. In the first rung, the expected time is the mean of the successful trials so far (the
 * first trial always starts); in later rungs, it is proportional to the trial's own time in the rung before. A trial
 * that has started is finished.
 *
 * Throws ERR_CONFIG if every trial fails, ERR_OPTION if `output` has another search, and ERR_BUSY if another process is
 * writing it.
 */
export async function tune(options: TuneOptions): Promise<TuneReport> {
  checkOptions("tune", options, TUNE_OPTIONS);
  checkPath("dataset", options.dataset);
  checkPath("output", options.output);
  options.signal?.throwIfAborted();
  return SearchFolder.locked(options.output, async (output) => {
    const search = await Search.open({ ...options, output });
    await search.run();
    return search.report();
  });
}

class Search {
  readonly #options: TuneOptions;
  readonly #drawn: readonly Settings[];
  readonly #epochs: readonly number[];
  readonly #eta: number;
  readonly #budget: number;
  readonly #folder: SearchFolder;
  #outOfBudget = false;

  private constructor(options: TuneOptions, plan: Plan, drawn: readonly Settings[], folder: SearchFolder) {
    this.#options = options;
    this.#drawn = drawn;
    this.#epochs = plan.epochs;
    this.#eta = plan.eta;
    this.#budget = options.budgetSeconds ?? Number.POSITIVE_INFINITY;
    this.#folder = folder;
  }

  static async open(options: TuneOptions): Promise<Search> {
    const { space, preset = "default", config = {}, set = [], seed = 1 } = options;
    const plan = planOf(options);
    checkSpace(space);
    checkNotSet(set, Object.keys(space));
    const dataset = await sizesOf(options.dataset, options.signal);
    const { trials, halvings, eta } = plan;
    const search = { dataset, space, preset, config, set, seed, trials, halvings, eta };
    const folder = await SearchFolder.open(options.output, search);
    return new Search(options, plan, drawTrials(space, trials, seed), folder);
  }

  async run(): Promise<void> {
    let trials = this.#drawn.map((_, i) => i + 1);
    for (let rung = 1; rung <= this.#epochs.length && trials.length > 0; rung++) {
      const finished = await this.#runRung(rung, trials);
      const kept = Math.max(1, Math.floor(finished.length / this.#eta));
      trials = rankTrials(finished.filter(({ failed }) => failed === undefined))
        .slice(0, kept)
        .map(({ trial }) => trial);
    }
    await this.#folder.summarize(this.#best && this.#configOf(this.#best));
  }

  report(): TuneReport {
    const trials = rankTrials(this.#folder.trials);
    const best = this.#best;
    if (!best) {
      throw new ShortlistError("ERR_CONFIG", `Every trial failed, the first of them: ${trials[0]?.failed}`);
    }
    const [config, seconds, outOfBudget] = [this.#configOf(best), this.#secondsSpent, this.#outOfBudget];
    return { best, config, trials, seconds, outOfBudget };
  }

  /** Returns the finished trials of a rung, which were run now or by an earlier call. */
  async #runRung(rung: number, trials: readonly number[]): Promise<Trial[]> {
    const limit = (this.#budget * rung) / this.#epochs.length;
    const finished: Trial[] = [];
    for (const trial of trials) {
      let result = this.#folder.find(trial, rung);
      if (!result) {
        if (this.#secondsSpent + this.#expectedSeconds(trial, rung, finished) > limit) {
          this.#outOfBudget = true;
          break;
        }
        result = await this.#runTrial(trial, rung);
        const progress = { rungs: this.#epochs.length, trials: trials.length, secondsSpent: this.#secondsSpent };
        this.#options.onTrial?.(result, progress);
      }
      finished.push(result);
    }
    return finished;
  }

  #expectedSeconds(trial: number, rung: number, finished: readonly Trial[]): number {
    const before = this.#folder.find(trial, rung - 1);
    if (before) return (before.seconds * this.#epochs[rung - 1]!) / before.epochs;
    const whole = finished.filter(({ failed }) => failed === undefined);
    return whole.reduce((sum, { seconds }) => sum + seconds, 0) / Math.max(1, whole.length);
  }

  async #runTrial(trial: number, rung: number): Promise<Trial> {
    const settings = this.#drawn[trial - 1]!;
    const epochs = this.#epochs[rung - 1]!;
    const started = performance.now();
    const outcome = await this.#train(settings, epochs);
    const result = { trial, rung, epochs, settings, seconds: (performance.now() - started) / 1000, ...outcome };
    await this.#folder.add(result);
    await this.#folder.summarize(this.#best && this.#configOf(this.#best));
    return result;
  }

  async #train(settings: Settings, epochs: number): Promise<Pick<Trial, "validation" | "failed">> {
    const { dataset, preset, config, seed, executor, threads, isa, signal, onProgress } = this.#options;
    const output = this.#folder.work;
    const set = this.#assignments(settings, epochs);
    const common = { dataset, preset, config, seed, executor, threads, isa, signal, onProgress };
    const checkpointEvery = "never";
    await rm(output, { recursive: true, force: true });
    const finish = whileUnfinished(() => rmSync(output, { recursive: true, force: true }));
    try {
      const { validation } = await train({
        ...common,
        output,
        set,
        checkpointEvery,
        validation: { heldOut: "last-clicks" },
      });
      const { epoch, hitRate, ndcg, mrr } = validation!;
      return { validation: { epoch, hitRate, ndcg, mrr } };
    } catch (error) {
      const { code, message } = error as ShortlistError;
      if (code !== "ERR_DIVERGED" && code !== "ERR_CONFIG") throw error;
      return { failed: message };
    } finally {
      finish();
    }
  }

  #assignments(settings: Settings, epochs: number): string[] {
    const drawn = Object.entries({ ...settings, epochs }).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
    return [...(this.#options.set ?? []), ...drawn];
  }

  get #best(): Trial | undefined {
    return rankTrials(this.#folder.trials).find(({ validation }) => validation !== undefined);
  }

  #configOf({ settings, epochs }: Trial): ModelConfig {
    const { preset = "default", config } = this.#options;
    return resolveConfig(preset, config, this.#assignments(settings, epochs));
  }

  get #secondsSpent(): number {
    return this.#folder.trials.reduce((sum, { seconds }) => sum + seconds, 0);
  }
}

interface Plan {
  readonly trials: number;
  readonly halvings: number;
  readonly eta: number;
  /** Number of epochs of each rung. */
  readonly epochs: readonly number[];
}

function planOf(options: TuneOptions): Plan {
  const { trials = 16, halvings = 2, eta = 2, budgetSeconds } = options;
  checkWholeNumber("trials", trials, 1, 100_000);
  checkWholeNumber("halvings", halvings, 0, 30);
  checkWholeNumber("eta", eta, 2);
  if (budgetSeconds !== undefined && !(Number.isFinite(budgetSeconds) && budgetSeconds >= 0)) {
    throw new ShortlistError(
      "ERR_OPTION",
      `Expected budgetSeconds to be a number of at least 0 but received ${budgetSeconds}`,
    );
  }
  const { epochs: most } = resolveConfig(options.preset ?? "default", options.config, options.set);
  const epochs = Array.from({ length: halvings + 1 }, (_, rung) =>
    Math.max(1, Math.round(most / eta ** (halvings - rung))),
  );
  if (epochs.some((count, rung) => rung > 0 && count <= epochs[rung - 1]!)) {
    throw new ShortlistError(
      "ERR_OPTION",
      `Expected more epochs in each rung but ${halvings} halvings of ${most} epochs by ${eta} give ${epochs.join(", ")}. Raise epochs or lower halvings`,
    );
  }
  return { trials, halvings, eta, epochs };
}

/** Throws ERR_OPTION if a key of the space is also set to a fixed value. */
function checkNotSet(set: readonly string[], searched: readonly string[]): void {
  const both = set.find((assignment) => searched.includes(assignment.slice(0, assignment.indexOf("="))));
  if (both)
    throw new ShortlistError("ERR_OPTION", `Expected what the space searches not to be set but received ${both}`);
}

/** Identifies the dataset of a search, to check that a continued search has the same one. */
async function sizesOf(folder: string, signal: AbortSignal | undefined) {
  const dataset = await openDataset(folder, { signal });
  const { users, clicks } = dataset.clicks;
  return { users, clicks, items: itemVocabulary(dataset).size };
}
