import { encodeUsers } from "../data/encode_log.js";
import type { Log } from "../data/sources/log.js";
import type { ReportedLogOptions } from "../data/sources/read_log.js";
import { Turns } from "../data/turns.js";
import type { Model } from "../model/model.js";
import { aliasTable } from "../random/alias_table.js";
import { RandomStream, STREAMS } from "../random/philox.js";

/** Users whose searches are measured. */
export interface MeasuredUsers {
  readonly from: "log" | "random histories";
  /** [users, userVectorWidth] */
  readonly vectors: Float32Array;
}

const USERS_OF_PART = 32;
const PARTS = 32;
const LONGEST_HISTORY = 20;

/** The vectors of about a thousand users of a log: of parts of it that lie equally far from each other. */
export async function usersOfLog(model: Model, log: Log, options: ReportedLogOptions): Promise<MeasuredUsers> {
  const { clicks } = await encodeUsers(log, model.description, options);
  const { window, windows, userVectorWidth: width } = model.description.config;
  const batches = model.engine.createUserBatches({ clicks, window, windows, batchSize: USERS_OF_PART });
  const parts = Math.min(PARTS, batches.batches);
  const vectors = new Float32Array(parts * USERS_OF_PART * width);
  let length = 0;
  for (let part = 0; part < parts; part++) {
    options.signal?.throwIfAborted();
    const outputs = await model.runUsers(["user_vector"], batches, Math.floor((part * batches.batches) / parts));
    vectors.set(outputs["user_vector"] as Float32Array, length);
    length += outputs["user_vector"]!.length;
  }
  return { from: "log", vectors: vectors.subarray(0, length) };
}

/**
 * The vectors of users who have clicked up to 20 items, drawn in proportion to their training clicks. The histories of
 * real users are less mixed, so a recall of these users is only a stand-in for that of real ones.
 */
export async function randomUsers(model: Model, signal: AbortSignal | undefined): Promise<MeasuredUsers> {
  await model.items.load(new Turns(signal));
  const { tokens, counts } = model.items;
  const weights = Float64Array.from({ length: tokens.length - 1 }, (_, i) => counts[i + 1]!);
  const { threshold, alias } = aliasTable(weights.some((weight) => weight > 0) ? weights : weights.fill(1));
  const random = new RandomStream(1, STREAMS.measure);
  const users = Array.from({ length: PARTS * USERS_OF_PART }, () => ({
    history: Array.from({ length: 1 + random.below(LONGEST_HISTORY) }, () => {
      const column = random.below(weights.length);
      return tokens[1 + (random.word() < threshold[column]! ? column : alias[column]!)]!;
    }),
  }));
  const { userVectorWidth: width } = model.description.config;
  const vectors = new Float32Array(users.length * width);
  for (const [user, { vector }] of (await model.userVectors(users, { signal })).entries()) {
    vectors.set(vector, user * width);
  }
  return { from: "random histories", vectors };
}
