import { checkOptions } from "../errors.js";
import {
  type Clicks,
  ENCODE_OPTIONS,
  type EncodedLog,
  type EncodeOptions,
  type Encoding,
  encodeRows,
  type ItemValues,
  type NumberValues,
  numbersOf,
  vocabularyOf,
} from "./clicks.js";
import { type IngestedLogs, ingestLogs } from "./ingest.js";
import { checkLogs, type Log, sourceOf } from "./sources/log.js";
import { DEFAULT_MAX_LINE_BYTES, logOptionsOf, type ReportedLogOptions } from "./sources/read_log.js";
import { Turns } from "./turns.js";
import type { Vocabulary } from "./vocabulary.js";

/**
 * Reads logs and looks up their tokens in the vocabularies of a dataset or model. Tokens that are not in the vocabulary
 * become `<unk>`, id 0. Click logs are read in C++ on all threads where `ingestLogs` can. Throws the errors of `readLog`.
 */
export async function encodeLog(
  logs: readonly Log[],
  encoding: Encoding,
  options: EncodeOptions = {},
): Promise<EncodedLog> {
  checkOptions("encodeLog", options, ENCODE_OPTIONS);
  const { onRow, expected, copies, maxLineBytes = encoding.maxLineBytes ?? DEFAULT_MAX_LINE_BYTES } = options;
  if (onRow || expected || copies !== undefined) return encodeRows(logs, encoding, options);
  checkLogs("logs", logs);
  options.signal?.throwIfAborted();
  const { schema } = encoding;
  const ingested = await ingestLogs(logs.map(sourceOf), { ...options, schema, maxLineBytes });
  if (!ingested) return encodeRows(logs, encoding, options);
  return encodeIngested(ingested, encoding, new Turns(options.signal));
}

/** Reads a log of users to recommend to. Unlike in training, users may have no clicks. */
export function encodeUsers(log: Log, encoding: Encoding, options: ReportedLogOptions): Promise<EncodedLog> {
  return encodeLog([log], encoding, { ...logOptionsOf(options), withoutClicks: true });
}

/** Replaces the ids of the logs' own tokens by those of the encoding. */
async function encodeIngested(logs: IngestedLogs, encoding: Encoding, turns: Turns): Promise<EncodedLog> {
  for (const vocabulary of encoding.vocabularies.values()) await vocabulary.load(turns);
  const identities = await logs.userIds();
  const { vocabularies, clicks } = await logs.encode(new Map(logs.features.map(({ name }) => [name, 0])));
  const userIds = identities ?? identitiesOf(clicks, logs.identity, vocabularies);
  const renumbered = new Map<string, Int32Array>();
  for (const [name, own] of vocabularies) {
    renumbered.set(name, await idsIn(vocabularyOf(encoding, name), own, turns));
  }
  const renumber = <Values extends Pick<ItemValues, "name" | "ids">>(values: Values): Values => {
    const ids = renumbered.get(values.name)!;
    return { ...values, ids: values.ids.map((id) => ids[id]!) };
  };
  const withStatistics = ({ name, values }: NumberValues) => numbersOf(encoding, name, values);
  const { numbers, clickNumbers } = clicks;
  return {
    clicks: {
      ...clicks,
      userFeatures: clicks.userFeatures.map(renumber),
      itemFeatures: clicks.itemFeatures.map(renumber),
      numbers: numbers.map(withStatistics),
      ...(clickNumbers && { clickNumbers: clickNumbers.map(withStatistics) }),
    },
    userIds,
    report: logs.report,
  };
}

/** [size] The id that `vocabulary` has for each token of `own`. */
async function idsIn(vocabulary: Vocabulary, own: Vocabulary, turns: Turns): Promise<Int32Array> {
  const ids = new Int32Array(own.size);
  for (let id = 1; id < own.size; id++) {
    if (turns.isDue) await turns.take();
    ids[id] = vocabulary.idOf(own.token(id));
  }
  return ids;
}

/** The tokens of the feature `identity`, or line numbers without such a feature. */
function identitiesOf(
  { users, userFeatures }: Clicks,
  identity: string | undefined,
  vocabularies: ReadonlyMap<string, Vocabulary>,
): string[] {
  if (identity === undefined) return Array.from({ length: users }, (_, user) => String(user + 1));
  const vocabulary = vocabularies.get(identity)!;
  const { ids } = userFeatures.find(({ name }) => name === identity)!;
  return Array.from(ids, (id) => (id === 0 ? "NULL" : vocabulary.token(id)));
}
