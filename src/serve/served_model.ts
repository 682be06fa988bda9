import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type ErrorCode, ShortlistError } from "../errors.js";
import type { Engine } from "../executors/index.js";
import { checkModelFiles, type Model, openModel } from "../model/model.js";
import { type ItemIndex, openIndex } from "../retrieve/item_index.js";
import { checkNext, checkRequests } from "./check_next.js";
import { ItemFinder } from "./find_items.js";

/** The descriptions of model and index folders, which have the ids. */
const [MODEL_HEAD, INDEX_HEAD] = ["config.json", "index.json"];

/** What became of an attempt to open a model again. */
export interface ReloadResult {
  /** Name of the model. */
  readonly name: string;
  /** Id of the model that serves now; null for folders of older versions, which have none. */
  readonly id: string | null;
  /**
   * "swapped" if another model serves now; "indexed" if the same one serves with another index, or with an index
   * again; "unchanged" if the folders hold what serves already.
   */
  readonly result: "swapped" | "indexed" | "unchanged";
  /** Whether an index of this model is used. Undefined if the service has none for the name. */
  readonly indexed?: boolean;
  /**
   * What needs care although the model serves: its index cannot be used, or the files in its folder are damaged, so
   * that it could not be opened again.
   */
  readonly problem?: { readonly code: ErrorCode; readonly message: string };
}

/** An open index and its id. */
interface OpenIndex {
  readonly index: ItemIndex;
  readonly id: unknown;
}

/** An index that was opened, or why it was not. Neither if there is nothing to open. */
interface OpenedIndex {
  readonly opened?: OpenIndex;
  readonly error?: ShortlistError;
}

/** An opened model. It is closed when it has been replaced and its last request is done. */
export class ModelVersion {
  readonly model: Model;
  /** An index of the model. Undefined if there is none, so that all searches are exact. */
  opened: OpenIndex | undefined;
  #requests = 0;
  #isReplaced = false;
  #finder: Promise<ItemFinder> | undefined;
  /** Whether similar items were asked for, for which the model keeps a copy of its weights. */
  hasSimilar = false;

  constructor(model: Model, opened?: OpenIndex) {
    this.model = model;
    this.opened = opened;
  }

  get index(): ItemIndex | undefined {
    return this.opened?.index;
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
    if (this.#isReplaced && this.#requests === 0) this.#close();
  }

  #close(): void {
    this.opened?.index.close();
    this.model.close();
  }
}

/** Where a served model comes from. */
export interface ModelSource {
  readonly name: string;
  readonly folder: string;
  /** The folder of its index. Undefined if its searches are exact. */
  readonly indexFolder: string | undefined;
}

/** A model that is served under a name: the folders that it comes from, and the version of it that serves now. */
export class ServedModel {
  readonly source: ModelSource;
  readonly #engine: Engine;
  #current: ModelVersion;
  /** The attempts to open the model again, one after the other. */
  #reloads: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  private constructor(source: ModelSource, engine: Engine, current: ModelVersion) {
    this.source = source;
    this.#engine = engine;
    this.#current = current;
  }

  /**
   * Opens a model and its index, and checks them by a few requests, after which the first request is as fast as any
   * other. Throws ERR_INDEX if the index is not one of the model.
   */
  static async open(source: ModelSource, engine: Engine, signal?: AbortSignal): Promise<ServedModel> {
    const { folder, indexFolder } = source;
    const model = await openModel(folder, { engine, signal });
    const version = new ModelVersion(model);
    try {
      await checkRequests(model, folder, { signal });
      if (indexFolder !== undefined) version.opened = await openChecked(indexFolder, model, folder, signal);
    } catch (error) {
      version.replace();
      throw error;
    }
    return new ServedModel(source, engine, version);
  }

  get name(): string {
    return this.source.name;
  }

  get folder(): string {
    return this.source.folder;
  }

  /** The version that serves now. */
  get current(): ModelVersion {
    return this.#current;
  }

  /** The id of the model that serves now; null if its folder has none. */
  get id(): string | null {
    return this.#current.id;
  }

  /** Whether shortlists have no probabilities unless a request asks for them: whether there should be an index. */
  get hasIndexFolder(): boolean {
    return this.source.indexFolder !== undefined;
  }

  /**
   * Opens the folder again beside the model that serves, checks the new model, and lets it serve from the next request
   * on. Throws ERR_MODEL, or what else opening throws, if the new model cannot serve; the old one then goes on. If the
   * index is not one of the new model, the new model serves with exact searches until a reload finds its index.
   */
  reload(): Promise<ReloadResult> {
    const result = this.#reloads.then(() => this.#reload());
    this.#reloads = result.catch(() => {});
    return result;
  }

  async #reload(): Promise<ReloadResult> {
    const old = this.#current;
    this.#checkOpen();
    if (old.model.id !== undefined && (await idOf(join(this.folder, MODEL_HEAD))) === old.model.id) {
      const damage = await failureOf(checkModelFiles(this.folder));
      const { opened, error } = await this.#reopenIndex(old);
      this.#checkOpen();
      // Searches in progress end on the index that they began with.
      if (opened) old.opened = opened;
      return this.#resultOf(opened ? "indexed" : "unchanged", damage ?? error);
    }
    const model = await openModel(this.folder, { engine: this.#engine });
    const next = new ModelVersion(model);
    let problem: ShortlistError | undefined;
    try {
      checkNext(old.model, model, this.folder);
      await checkRequests(model, this.folder);
      const { opened, error } = await this.#openIndex(model);
      [next.opened, problem] = [opened, error];
      // What clients have used is ready before the first of them asks for it.
      if (old.hasSimilar) await model.similar(model.items.token(1), { top: 1 });
      next.hasSimilar = old.hasSimilar;
      if (old.hasFinder) await next.finder();
      this.#checkOpen();
    } catch (error) {
      next.replace();
      throw error;
    }
    this.#current = next;
    old.replace();
    return this.#resultOf("swapped", problem);
  }

  /** Opens the index of the model that serves if its folder holds another one than that which is open. */
  async #reopenIndex({ model, opened }: ModelVersion): Promise<OpenedIndex> {
    const { indexFolder } = this.source;
    if (indexFolder === undefined) return {};
    if (opened !== undefined && (await idOf(join(indexFolder, INDEX_HEAD))) === opened.id) return {};
    return this.#openIndex(model);
  }

  /** Opens the index for a model, or says why it cannot be used. */
  async #openIndex(model: Model): Promise<OpenedIndex> {
    const { indexFolder, folder } = this.source;
    if (indexFolder === undefined) return {};
    try {
      return { opened: await openChecked(indexFolder, model, folder) };
    } catch (error) {
      if (error instanceof ShortlistError) return { error };
      throw error;
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new ShortlistError("ERR_EXECUTOR", "The service is stopping");
  }

  #resultOf(result: ReloadResult["result"], error: ShortlistError | undefined): ReloadResult {
    const { name, id } = this;
    return {
      ...{ name, id, result },
      ...(this.hasIndexFolder && { indexed: this.#current.index !== undefined }),
      ...(error && { problem: { code: error.code, message: error.message } }),
    };
  }

  /** Closes the model after its last request, and an attempt to open it again at its end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#reloads;
    this.#current.replace();
  }
}

/** Opens an index and asks the model for shortlists through it. */
async function openChecked(
  indexFolder: string,
  model: Model,
  folder: string,
  signal?: AbortSignal,
): Promise<OpenIndex> {
  const id = await idOf(join(indexFolder, INDEX_HEAD));
  const index = await openIndex(indexFolder, model, { signal });
  try {
    await checkRequests(model, folder, { index, signal });
  } catch (error) {
    index.close();
    throw error;
  }
  return { index, id };
}

/** The id in the description of a folder. Undefined if there is none or it cannot be read; opening it then says why. */
async function idOf(path: string): Promise<unknown> {
  try {
    return (JSON.parse(await readFile(path, "utf8")) as { readonly id?: unknown }).id;
  } catch {
    return undefined;
  }
}

/** The error with which something failed; undefined if it did not. */
async function failureOf(work: Promise<void>): Promise<ShortlistError | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof ShortlistError) return error;
    throw error;
  }
}
