import { ShortlistError } from "../../errors.js";
import { catalogueOfValues } from "../catalogue.js";
import { type Encoding, type ItemValues, itemVocabulary } from "../clicks.js";
import { itemFeatures, missingWords } from "../schema.js";
import type { LogOptions } from "../sources/read_log.js";
import { TableSession } from "./duckdb.js";
import { createRows, locate } from "./event_table.js";
import { type FeatureColumn, featureColumnsOf, recogniseKey, recogniseTitle } from "./feature_columns.js";
import { type FeatureTable, partsOf, type ReadFeatures, readFeatures, warnOfRepeats } from "./feature_table.js";
import { checkUnchanged } from "./table_files.js";
import { type ItemTableSource, parseTableSource } from "./table_source.js";
import { checkWhole } from "./whole_files.js";

/** The items of a table that an encoding does not know, in the order of the bytes of their ids. */
export interface ItemRows {
  readonly tokens: readonly string[];
  /** The attributes of each, as ids of the encoding, in schema order. */
  readonly attributes: readonly ItemValues[];
  /** The title of each. Undefined if the table has none. */
  readonly titles?: readonly (string | undefined)[] | undefined;
}

/**
 * Reads a table with a row for each item: CSV, JSON lines or Parquet. A column is an attribute of the items if
 * `prepare` would call it by the name of that attribute. Throws ERR_TABLE if the columns are ambiguous or none is an
 * attribute, and ERR_DEPENDENCY if DuckDB's package is not installed.
 */
export async function readItemRows(
  source: ItemTableSource,
  encoding: Encoding,
  options: Pick<LogOptions, "onBadLine" | "onWarning" | "signal">,
): Promise<ItemRows> {
  const { items: given } = parseTableSource({ items: source });
  if (!given?.files) throw new ShortlistError("ERR_OPTION", "Expected the files of a table of items but received none");
  return TableSession.temporary(options.signal, async (session) => {
    const table = await openTable(session, given, encoding, options);
    // All items of the table are unseen, as there are no events.
    await session.run("CREATE TABLE no_items (token VARCHAR, number INTEGER)");
    const missing = encoding.schema.missing ?? [...missingWords(encoding.schema)];
    const read = await readFeatures(session, table, { table: "no_items", size: 0 }, missing);
    checkUnchanged(table.files);
    await checkWhole(table.files, table.form, options.signal);
    warnOfRepeats(table, read.rows, options.onWarning);
    return newItemsIn(read, encoding);
  });
}

/** Makes the table readable in the session and finds the columns of the ids, the attributes and the titles. */
async function openTable(
  session: TableSession,
  given: ItemTableSource,
  encoding: Encoding,
  { onBadLine, onWarning }: Pick<LogOptions, "onBadLine" | "onWarning">,
): Promise<FeatureTable> {
  const located = await locate(session, given, undefined);
  await session.lock(located.files.paths);
  const found = await createRows(session, "items", located, { ...given, item: given.id }, onBadLine === "skip");
  const { name } = located.files;
  const [item, ...attributes] = itemFeatures(encoding.schema);
  const key = recogniseKey(name, "item", found, given.id, item!.name);
  const isKnown = (feature: string, value: string) => encoding.vocabularies.get(feature)!.idOf(value) !== 0;
  const features = featureColumnsOf(name, found, key, attributes, given.features, isKnown);
  checkAttributes(name, attributes, features, onWarning);
  const used = new Set([key, ...features.map(({ column }) => column)]);
  const title = recogniseTitle(name, found, used, given.title);
  return { ...located, described: "item", where: given.where, key, features, title, found };
}

function checkAttributes(
  table: string,
  attributes: readonly { readonly name: string }[],
  features: readonly FeatureColumn[],
  onWarning: LogOptions["onWarning"],
): void {
  const missing = attributes.filter(({ name }) => !features.some((feature) => feature.name === name));
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => `"${name}"`).join(" and ");
  if (features.length > 0) {
    onWarning?.(`${table}: there is no column for ${names}, which count as unknown`);
    return;
  }
  throw new ShortlistError(
    "ERR_TABLE",
    `${table}: Expected a column for an attribute of the model's items, ${names}, but no column has such a name. Name it as "items": {"features": [{"column": …, "name": …}]} in --source`,
  );
}

function newItemsIn({ values, unseen, titles }: ReadFeatures, encoding: Encoding): ItemRows {
  const { schema, vocabularies } = encoding;
  const known = itemVocabulary(encoding);
  const words = missingWords(schema);
  const added = Array.from(unseen.keys()).filter((item) => known.idOf(unseen[item]!) === 0);
  const ids = itemFeatures(schema)
    .slice(1)
    .map(({ name }) => {
      const feature = values.find((own) => own.name === name);
      const vocabulary = vocabularies.get(name)!;
      return added.map((item) => {
        const text = feature?.texts[feature.indices[item]!] ?? "";
        return feature ? partsOf(feature, text, (part) => words.has(part)).map((part) => vocabulary.idOf(part)) : [0];
      });
    });
  return {
    tokens: added.map((item) => unseen[item]!),
    attributes: catalogueOfValues(schema, ids),
    titles: titles && added.map((item) => titles[item]),
  };
}
