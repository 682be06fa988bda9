import type { ReportedLogOptions } from "../data/click_log.js";
import { type Clicks, clickTimes, encodeUsers } from "../data/clicks.js";
import { readText } from "../data/files.js";
import { itemFeatures, timeField } from "../data/schema.js";
import { tableOf } from "../data/token_table.js";
import { ShortlistError } from "../errors.js";
import { initializeStore } from "../model/initialize.js";
import type { Model } from "../model/model.js";
import { similarityProgram } from "../model/programs.js";
import { recommendClicks, type Shortlist } from "./recommend.js";
import { notFinite } from "./scores.js";
import { outputTable } from "./vectors.js";

export interface MineOptions {
  /** Length of the lists: 30 unless given. */
  readonly top?: number | undefined;
}

/** The options of a log are those of `log`. */
export interface MineUsersOptions extends MineOptions, ReportedLogOptions {
  /** File of user ids, one a line; all users of the training log unless given. */
  readonly users?: string | undefined;
  /** Click log with the users' histories and features; without it every feature but the user id is `<unk>`. */
  readonly log?: string | undefined;
}

/** Shortlists of users: from the user id alone (the original's infer_user), or from the histories of a log. */
export async function* mineUsers(model: Model, options: MineUsersOptions = {}): AsyncGenerator<Shortlist> {
  const { top, users, log } = options;
  const wanted = users === undefined ? undefined : await readTokens(users);
  if (log !== undefined) {
    const { clicks, userIds } = await encodeUsers(log, model.description, options);
    const only = wanted && tableOf(wanted);
    for await (const shortlist of recommendClicks(model, clicks, userIds, { top })) {
      if (!only || only.find(shortlist.user) >= 0) yield shortlist;
    }
    return;
  }
  const vocabulary = model.description.vocabularies.get("user_id");
  if (!vocabulary) {
    throw new ShortlistError(
      "ERR_OPTION",
      'The model has no feature "user_id" to mine by. Give a log with the users\' histories (--log)',
    );
  }
  const ids = wanted ?? vocabulary.tokens.slice(1);
  yield* recommendClicks(model, usersWithoutClicks(model, ids), ids, { top });
}

/** Users of whom only the id is known: no clicks, every other feature missing. */
function usersWithoutClicks(model: Model, ids: readonly string[]): Clicks {
  const { schema, vocabularies, numbers } = model.description;
  const userColumns = schema.columns.filter(({ kind }) => kind === "categorical");
  return {
    users: ids.length,
    clicks: 0,
    clickOffsets: new Int32Array(ids.length + 1),
    userFeatures: userColumns.map(({ name }) => ({
      name,
      ids: Int32Array.from(ids, (id) => (name === "user_id" ? vocabularies.get(name)!.idOf(id) : 0)),
    })),
    numbers: [...numbers].map(([name, statistics]) => ({
      name,
      values: new Float32Array(ids.length).fill(Number.NaN),
      ...statistics,
    })),
    itemFeatures: itemFeatures(schema).map(({ name, multiple }) => ({
      name,
      ids: new Int32Array(0),
      offsets: multiple ? new Int32Array(1) : undefined,
    })),
    ...(timeField(schema) >= 0 && { times: clickTimes(new Float64Array(0)) }),
  };
}

export interface PopularItem {
  readonly item: string;
  readonly clicks: number;
  /** Of all clicks of known items. */
  readonly share: number;
}

/** The most clicked items of what the model was trained on, falling; equals by rising id. */
export async function* minePopular(model: Model, { top = 30 }: MineOptions = {}): AsyncGenerator<PopularItem> {
  const { tokens, counts } = model.items;
  const all = counts.subarray(1).reduce((sum, count) => sum + count, 0);
  const ids = Array.from({ length: tokens.length - 1 }, (_, i) => i + 1).sort(
    (a, b) => counts[b]! - counts[a]! || a - b,
  );
  for (const id of ids.slice(0, top)) {
    yield { item: tokens[id]!, clicks: counts[id]!, share: counts[id]! / Math.max(1, all) };
  }
}

export interface SimilarItems {
  readonly item: string;
  readonly similar: readonly { readonly item: string; readonly similarity: number }[];
}

export interface MineSimilarOptions extends MineOptions {
  /** File of items, one a line; all items unless given. */
  readonly items?: string | undefined;
}

/** The nearest items of each item, by the cosine of their output weights: items that the same users would watch next. */
export async function* mineSimilar(
  model: Model,
  { top = 30, items }: MineSimilarOptions = {},
): AsyncGenerator<SimilarItems> {
  const { tokens } = model.items;
  const wanted = items === undefined ? tokens.slice(1) : await readTokens(items);
  const rows = Int32Array.from(wanted, (item) => {
    const id = model.items.idOf(item);
    if (id === 0) throw new ShortlistError("ERR_OPTION", `The model does not know the item "${item}"`);
    return id - 1;
  });
  const width = model.description.config.userVectorWidth;
  const { program, initializers } = similarityProgram(unitRows(outputTable(model).weight, width), width);
  const store = model.engine.createStore();
  initializeStore(store, program, initializers, 0);
  const executor = model.engine.createExecutor(program, store);
  const length = Math.min(top, tokens.length - 2);
  for (let first = 0; first < rows.length; first += ITEMS_AT_ONCE) {
    const batch = rows.subarray(first, first + ITEMS_AT_ONCE);
    const offsets = Int32Array.from({ length: batch.length + 1 }, (_, i) => i);
    const dims = { samples: batch.length, top: length };
    const nearest = await executor.run({ rows: batch, offsets }, dims);
    for (let s = 0; s < batch.length; s++) {
      const similar = Array.from({ length }, (_, j) => {
        const similarity = nearest["similarity"]![s * length + j]!;
        if (!Number.isFinite(similarity)) throw notFinite(`A similarity of item "${wanted[first + s]}" is`);
        return { item: tokens[nearest["items"]![s * length + j]! + 1]!, similarity };
      });
      yield { item: wanted[first + s]!, similar };
    }
  }
  executor.close();
}

const ITEMS_AT_ONCE = 256;

/** The rows of a matrix divided by their norms; zero rows stay zero. */
function unitRows(matrix: Float32Array, width: number): Float32Array {
  const unit = Float32Array.from(matrix);
  for (let row = 0; row < unit.length; row += width) {
    const values = unit.subarray(row, row + width);
    const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0)) || 1;
    for (let c = 0; c < width; c++) values[c]! /= norm;
  }
  return unit;
}

/** The lines of a file that are not empty. */
async function readTokens(path: string): Promise<string[]> {
  const text = await readText(path);
  if (text.includes("\0")) throw new ShortlistError("ERR_FILE", `${path}: Expected text without NUL bytes`);
  const tokens = text.split(/\r?\n/).filter((line) => line !== "");
  if (tokens.length === 0)
    throw new ShortlistError("ERR_FILE", `${path}: Expected one token a line but the file is empty`);
  return tokens;
}
