import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ShortlistError } from "../errors.js";
import type { Engine } from "../executors/index.js";
import { type Model, openModel } from "../model/model.js";
import { checkNext, checkRequests } from "./check_next.js";
import { ItemFinder } from "./find_items.js";

/** What became of an attempt to open a model again. */
export interface ReloadResult {
  /** Name of the model. */
  readonly name: string;
  /** Id of the model that serves now; null for folders of older versions, which have none. */
  readonly id: string | null;
  /** "swapped" if another model serves now, "unchanged" if the folder holds the same one. */
  readonly result: "swapped" | "unchanged";
}

/** An opened model. It is closed when it has been replaced and its last request is done. */
export class ModelVersion {
  readonly model: Model;
  #requests = 0;
  #isReplaced = false;
  #finder: Promise<ItemFinder> | undefined;
  /** Whether similar items were asked for, for which the model keeps a copy of its weights. */
  hasSimilar = false;
  /** Whether lists without probabilities were asked for, for which the model may keep another copy. */
  hasQuickSearch = false;

  constructor(model: Model) {
    this.model = model;
  }

  /** The id of the model; null if its folder has none. */
  get id(): string | null {
    return this.model.id ?? null;
  }

  /** Whether items were searched by text. */
  get hasFinder(): boolean {
    return this.#finder !== undefined;
  }

  /** Runs a request, during which the model stays open. */
  async use<T>(work: (version: ModelVersion) => Promise<T>): Promise<T> {
    this.#requests++;
    try {
      return await work(this);
    } finally {
      this.#requests--;
      this.#closeIfDone();
    }
  }

  /** The search of items by text, which is prepared at the first use. */
  finder(): Promise<ItemFinder> {
    this.#finder ??= ItemFinder.open(this.model);
    return this.#finder;
  }

  /** Closes the model after its last request. */
  replace(): void {
    this.#isReplaced = true;
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (this.#isReplaced && this.#requests === 0) this.model.close();
  }
}

/** A model that is served under a name: the folder that it comes from, and the version of it that serves now. */
export class ServedModel {
  readonly name: string;
  readonly folder: string;
  readonly #engine: Engine;
  #current: ModelVersion;
  /** The attempts to open the model again, one after the other. */
  #reloads: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  private constructor(name: string, folder: string, engine: Engine, current: ModelVersion) {
    this.name = name;
    this.folder = folder;
    this.#engine = engine;
    this.#current = current;
  }

  /** Opens a model and checks it by a few requests, after which its first request is as fast as any other. */
  static async open(name: string, folder: string, engine: Engine, signal?: AbortSignal): Promise<ServedModel> {
    const model = await openModel(folder, { engine, signal });
    try {
      await checkRequests(model, folder, signal);
    } catch (error) {
      model.close();
      throw error;
    }
    return new ServedModel(name, folder, engine, new ModelVersion(model));
  }

  /** The version that serves now. */
  get current(): ModelVersion {
    return this.#current;
  }

  /** The id of the model that serves now; null if its folder has none. */
  get id(): string | null {
    return this.#current.id;
  }

  /**
   * Opens the folder again beside the model that serves, checks the new model, and lets it serve from the next request
   * on. Throws ERR_MODEL, or what else opening throws, if the new model cannot serve; the old one then goes on.
   */
  reload(): Promise<ReloadResult> {
    const result = this.#reloads.then(() => this.#reload());
    this.#reloads = result.catch(() => {});
    return result;
  }

  async #reload(): Promise<ReloadResult> {
    const old = this.#current;
    if (this.#isClosed) throw new ShortlistError("ERR_EXECUTOR", "The service is stopping");
    if (old.model.id !== undefined && (await idOf(this.folder)) === old.model.id) {
      return { name: this.name, id: this.id, result: "unchanged" };
    }
    const model = await openModel(this.folder, { engine: this.#engine });
    const next = new ModelVersion(model);
    try {
      checkNext(old.model, model, this.folder);
      await checkRequests(model, this.folder);
      // What clients have used is ready before the first of them asks for it.
      if (old.hasSimilar) await model.similar(model.items.token(1), { top: 1 });
      if (old.hasQuickSearch) await model.recommend({}, { top: 1, probabilities: false });
      [next.hasSimilar, next.hasQuickSearch] = [old.hasSimilar, old.hasQuickSearch];
      if (old.hasFinder) await next.finder();
      if (this.#isClosed) throw new ShortlistError("ERR_EXECUTOR", "The service is stopping");
    } catch (error) {
      model.close();
      throw error;
    }
    this.#current = next;
    old.replace();
    return { name: this.name, id: this.id, result: "swapped" };
  }

  /** Closes the model after its last request, and an attempt to open it again at its end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#reloads;
    this.#current.replace();
  }
}

/** The id in a model folder. Undefined if there is none or the folder cannot be read; opening it then says why. */
async function idOf(folder: string): Promise<unknown> {
  try {
    return (JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as { readonly id?: unknown }).id;
  } catch {
    return undefined;
  }
}
