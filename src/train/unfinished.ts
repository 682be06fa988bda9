import { copyFile, link, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { exists, hasCode, replaceFile, syncFolder } from "../data/files.js";
import { ShortlistError } from "../errors.js";
import { DESCRIPTION, epochFolder, isEpochFolder, METRICS, UNFINISHED } from "../model/model.js";
import { type OpenCheckpoint, openCheckpoint } from "./checkpoint.js";

const CHECKPOINT = /^checkpoint-(\d+)\.safetensors$/;
/** Number of checkpoints that are kept: if the newest one is damaged, the one before remains. */
const KEPT = 2;
/** Subfolder of the training that measures the number of epochs. */
const PILOT = "pilot";

/** What to do with an unfinished training in the output folder. */
export interface UnfinishedOptions {
  readonly resume?: boolean | undefined;
  readonly restart?: boolean | undefined;
  readonly targetEpochs?: number | "auto" | undefined;
  readonly onWarning?: ((message: string) => void) | undefined;
}

/**
 * The subfolder `unfinished` of a model folder: the checkpoints, epochs and metrics of a training that is not finished.
 * An older model in the folder stays as it is meanwhile.
 */
export class UnfinishedTraining {
  readonly folder: string;
  readonly #name: string;
  readonly #options: UnfinishedOptions;
  /** Steps of the checkpoints, newest first. */
  #steps: readonly number[];
  /** The folder of the whole training: of a pilot, the folder that it is in. */
  #whole: string;
  #hasPilot = false;

  private constructor(folder: string, name: string, names: readonly string[], options: UnfinishedOptions) {
    this.folder = folder;
    this.#whole = folder;
    this.#name = name;
    this.#steps = options.resume ? stepsOf(names) : [];
    this.#options = options;
  }

  /**
   * Looks into the model folder `output`, which messages call `name`. Throws ERR_CHECKPOINT if it holds an unfinished
   * training that is neither resumed nor given up, and if there is nothing to resume but a finished model.
   */
  static async open(output: string, name: string, options: UnfinishedOptions): Promise<UnfinishedTraining> {
    const { resume = false, restart = false, targetEpochs } = options;
    const folder = join(output, UNFINISHED);
    const names = await namesIn(folder);
    const [step] = stepsOf(names);
    const epochs = names.filter(isEpochFolder).length;
    const hasPilot = names.includes(PILOT);
    const isAuto = targetEpochs === "auto";
    const problem = await problemOf({ output, name, step, epochs, hasPilot, isAuto, resume, restart });
    if (problem !== undefined) throw new ShortlistError("ERR_CHECKPOINT", problem);
    return new UnfinishedTraining(folder, name, names, options);
  }

  /** The training that measures how many epochs this one should have. */
  async openPilot(): Promise<UnfinishedTraining> {
    const folder = join(this.folder, PILOT);
    const pilot = new UnfinishedTraining(folder, this.#name, await namesIn(folder), this.#options);
    pilot.#whole = this.folder;
    this.#hasPilot = true;
    return pilot;
  }

  /** The newest checkpoint that can be read. Undefined if there is none and the training begins. */
  async newest(): Promise<OpenCheckpoint | undefined> {
    for (const [i, step] of this.#steps.entries()) {
      try {
        const checkpoint = await openCheckpoint(this.pathOf(step));
        this.#steps = this.#steps.slice(i);
        return checkpoint;
      } catch (error) {
        if (!(error instanceof ShortlistError)) throw error;
        const before = this.#steps[i + 1];
        if (before === undefined) {
          const way = "Start anew with --restart (library: restart), which gives up what was trained";
          throw new ShortlistError("ERR_CHECKPOINT", `Cannot resume ${this.#name}: ${error.message}. ${way}`);
        }
        this.#options.onWarning?.(
          `${error.message}. The training goes on from the checkpoint before, of step ${before}`,
        );
      }
    }
    return undefined;
  }

  /** Step of the newest checkpoint that this training wrote or began with. Undefined if there is none. */
  get newestStep(): number | undefined {
    return this.#steps[0];
  }

  /** The newest checkpoint that this training wrote or began with. Undefined if there is none that can be read. */
  async newestWritten(): Promise<OpenCheckpoint | undefined> {
    const step = this.#steps[0];
    return step === undefined ? undefined : openCheckpoint(this.pathOf(step)).catch(() => undefined);
  }

  /**
   * Removes what is there of a training that was given up, but not the pilot of this one. A training begins with its
   * pilot, which therefore removes everything.
   */
  async clear(): Promise<void> {
    for (const name of await namesIn(this.#whole)) {
      if (name === PILOT && this.#hasPilot) continue;
      await rm(join(this.#whole, name), { recursive: true, force: true });
    }
  }

  pathOf(step: number): string {
    return join(this.folder, `checkpoint-${step}.safetensors`);
  }

  /** Removes all checkpoints but the one that was just written and the one before. */
  async keepNewest(step: number): Promise<void> {
    this.#steps = [step, ...this.#steps.filter((other) => other !== step)].slice(0, KEPT);
    const kept = this.#steps;
    for (const other of stepsOf(await readdir(this.folder))) {
      if (!kept.includes(other)) await rm(this.pathOf(other), { force: true });
    }
  }

  /**
   * Adds the metrics and the models of the epochs to the finished model in `folder`. The files get second names, so that
   * the unfinished training stays complete until the finished model is in its place.
   */
  async addTo(folder: string, metrics: readonly unknown[], epochs: readonly number[]): Promise<void> {
    const lines = metrics.map((value) => `${JSON.stringify(value)}\n`).join("");
    await replaceFile(join(folder, METRICS), (file) => file.writeFile(lines));
    for (const epoch of epochs)
      await linkFolder(join(this.folder, epochFolder(epoch)), join(folder, epochFolder(epoch)));
  }
}

interface Found {
  readonly output: string;
  readonly name: string;
  /** Step of the newest checkpoint. */
  readonly step: number | undefined;
  /** Number of finished epochs. */
  readonly epochs: number;
  /** Whether there is a pilot, and whether one is wanted. */
  readonly hasPilot: boolean;
  readonly isAuto: boolean;
  readonly resume: boolean;
  readonly restart: boolean;
}

/** Why a training cannot begin or go on in a model folder. */
async function problemOf(found: Found): Promise<string | undefined> {
  const { output, name, step, epochs, hasPilot, isAuto, resume, restart } = found;
  if (restart) return undefined;
  const isThere = step !== undefined || epochs > 0 || hasPilot;
  if (!resume) {
    if (!isThere) return undefined;
    const canGoOn = step !== undefined || hasPilot;
    const beforeFirst = hasPilot ? "which measures how many epochs are best" : `${epochs} epochs but no checkpoint`;
    const place = step === undefined ? beforeFirst : `up to step ${step}`;
    const goOn = canGoOn ? "continue it with --resume (library: resume), or " : "";
    return `${name} holds an unfinished training (${place}): ${goOn}give it up with --restart (library: restart)`;
  }
  if (step !== undefined) return undefined;
  if (hasPilot) {
    if (isAuto) return undefined;
    return `Cannot resume ${name}: its unfinished training measures how many epochs are best (--target-epochs auto; library: targetEpochs). Give the same option, or start anew with --restart (library: restart)`;
  }
  if (isThere) {
    return `Cannot resume ${name}: its unfinished training has ${epochs} epochs but no checkpoint. Start anew with --restart (library: restart)`;
  }
  if (!(await exists(join(output, DESCRIPTION)))) return undefined;
  return `Cannot resume ${name}: it holds a finished model and no unfinished training. Train without --resume (library: resume) to replace it`;
}

/** The names in a folder; none if it does not exist. */
async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error) => {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  });
}

/** Steps of the checkpoints among file names, newest first. */
function stepsOf(names: readonly string[]): number[] {
  return names
    .flatMap((name) => CHECKPOINT.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a);
}

/** Gives the files of a folder second names in a new folder; copies them where the file system has no such names. */
async function linkFolder(from: string, to: string): Promise<void> {
  await mkdir(to);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await linkFolder(source, target);
    else await link(source, target).catch(() => copyFile(source, target));
  }
  await syncFolder(to);
}
