import { copyFile, link, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { exists, hasCode, replaceFile, syncFolder } from "../data/files.js";
import { ShortlistError } from "../errors.js";
import { DESCRIPTION, epochFolder, isEpochFolder, METRICS, UNFINISHED } from "../model/model.js";
import { type OpenCheckpoint, openCheckpoint } from "./checkpoint.js";

const CHECKPOINT = /^checkpoint-(\d+)\.safetensors$/;
/** Number of checkpoints that are kept: if the newest one is damaged, the one before remains. */
const KEPT = 2;

/** What to do with an unfinished training in the output folder. */
export interface UnfinishedOptions {
  readonly resume?: boolean | undefined;
  readonly restart?: boolean | undefined;
  readonly onWarning?: ((message: string) => void) | undefined;
}

/**
 * The subfolder `unfinished` of a model folder: the checkpoints, epochs and metrics of a training that is not finished.
 * An older model in the folder stays as it is meanwhile.
 */
export class UnfinishedTraining {
  readonly folder: string;
  readonly #name: string;
  readonly #onWarning: UnfinishedOptions["onWarning"];
  /** Steps of the checkpoints, newest first. */
  #steps: readonly number[];

  private constructor(
    folder: string,
    name: string,
    steps: readonly number[],
    onWarning: UnfinishedOptions["onWarning"],
  ) {
    this.folder = folder;
    this.#name = name;
    this.#steps = steps;
    this.#onWarning = onWarning;
  }

  /**
   * Looks into the model folder `output`, which messages call `name`. Throws ERR_CHECKPOINT if it holds an unfinished
   * training that is neither resumed nor given up, and if there is nothing to resume but a finished model.
   */
  static async open(output: string, name: string, options: UnfinishedOptions): Promise<UnfinishedTraining> {
    const { resume = false, restart = false, onWarning } = options;
    const folder = join(output, UNFINISHED);
    const names = await readdir(folder).catch((error) => {
      if (hasCode(error, "ENOENT")) return [];
      throw error;
    });
    const steps = stepsOf(names);
    const epochs = names.filter(isEpochFolder).length;
    const problem = await problemOf({ output, name, step: steps[0], epochs, resume, restart });
    if (problem !== undefined) throw new ShortlistError("ERR_CHECKPOINT", problem);
    return new UnfinishedTraining(folder, name, resume ? steps : [], onWarning);
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
        this.#onWarning?.(`${error.message}. The training goes on from the checkpoint before, of step ${before}`);
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

  /** Removes what is there of a training that was given up. */
  async clear(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  pathOf(step: number): string {
    return join(this.folder, `checkpoint-${step}.safetensors`);
  }

  /** Removes all checkpoints but the one that was just written, the one before, and that of step `needed`. */
  async keepNewest(step: number, needed?: number): Promise<void> {
    const others = this.#steps.filter((other) => other !== step);
    await this.#keep([step, ...others.filter((other, i) => i < KEPT - 1 || other === needed)]);
  }

  /** Removes all checkpoints but that of step `step`, from which the training takes another way. */
  async keepOnly(step: number): Promise<void> {
    await this.#keep([step]);
  }

  async #keep(steps: readonly number[]): Promise<void> {
    this.#steps = steps;
    for (const other of stepsOf(await readdir(this.folder))) {
      if (!steps.includes(other)) await rm(this.pathOf(other), { force: true });
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
  readonly resume: boolean;
  readonly restart: boolean;
}

/** Why a training cannot begin or go on in a model folder. */
async function problemOf({ output, name, step, epochs, resume, restart }: Found): Promise<string | undefined> {
  if (restart) return undefined;
  const isThere = step !== undefined || epochs > 0;
  if (!resume) {
    if (!isThere) return undefined;
    const place = step === undefined ? `${epochs} epochs but no checkpoint` : `up to step ${step}`;
    const goOn = step === undefined ? "" : "continue it with --resume (library: resume), or ";
    return `${name} holds an unfinished training (${place}): ${goOn}give it up with --restart (library: restart)`;
  }
  if (step !== undefined) return undefined;
  if (isThere) {
    return `Cannot resume ${name}: its unfinished training has ${epochs} epochs but no checkpoint. Start anew with --restart (library: restart)`;
  }
  if (!(await exists(join(output, DESCRIPTION)))) return undefined;
  return `Cannot resume ${name}: it holds a finished model and no unfinished training. Train without --resume (library: resume) to replace it`;
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
