import { missingWords } from "../schema.js";
import { name, type TableSession, text } from "./duckdb.js";
import type { FoundColumn } from "./event_columns.js";
import { createRows, keyOf, type LocatedTable } from "./event_table.js";
import { type Described, type FeatureColumn, recogniseFeatures, recogniseKey } from "./feature_columns.js";
import type { Numbering } from "./read_events.js";
import type { FeatureTableSource } from "./table_source.js";

/** A table of items or users whose form and columns are known, but which is not read yet. */
export interface FeatureTable extends LocatedTable {
  readonly described: Described;
  readonly where: string | undefined;
  /** The column with the ids. */
  readonly key: string;
  readonly features: readonly FeatureColumn[];
  readonly found: readonly FoundColumn[];
}

/** The values of a feature, for each item or user of a numbering. */
export interface FeatureValues extends FeatureColumn {
  /** The distinct texts of the column. */
  readonly texts: readonly string[];
  /** [size] index of each one's text; −1 where it is missing. */
  readonly indices: Int32Array;
}

/** What is doubtful about the rows of a table. */
export interface FeatureRows {
  /** Items or users of the events without a row. */
  readonly withoutRow: number;
  /** Items or users of the table that no event names. */
  readonly withoutEvents: number;
  /** Rows after the first one with the same id. */
  readonly repeated: number;
  /** Of each column, ids with more than one value; only those that are not 0. */
  readonly contradictions: Readonly<Record<string, number>>;
}

/** Separates the values of a list of Parquet or JSON on their way: no text has it. */
const UNIT_SEPARATOR = "\u001f";

/** Makes a table readable in the session and finds out what its columns are. */
export async function understandFeatures(
  session: TableSession,
  located: LocatedTable,
  described: Described,
  given: FeatureTableSource,
  eventColumn: string,
  taken: ReadonlySet<string>,
  skipBad: boolean,
): Promise<FeatureTable> {
  const found = await createRows(session, `${described}s`, located, { ...given, [described]: given.id }, skipBad);
  const key = recogniseKey(located.files.name, described, found, given.id, eventColumn);
  const features = recogniseFeatures(located.files.name, described, found, key, given.features, taken);
  return { ...located, described, where: given.where, key, features, found };
}

/** Reads the features of the items or users of a numbering. A value that is there wins over one that is missing. */
export async function readFeatures(
  session: TableSession,
  { described, key, features, found }: FeatureTable,
  numbering: Numbering,
  missing: readonly string[],
): Promise<{ readonly values: readonly FeatureValues[]; readonly rows: FeatureRows }> {
  const column = (wanted: string) => found.find((one) => one.name === wanted)!;
  const read = `${described}s_read`;
  const values = features.map((feature, f) => `${textOf(column(feature.column), missing)} AS f${f}`);
  await session.run(
    `CREATE TABLE ${read} AS SELECT CAST(${keyOf(column(key), missing)} AS VARCHAR) AS id${values.map((sql) => `, ${sql}`).join("")}
     FROM ${described}s_rows`,
  );
  // The first value of each id that is there, in the order of the rows.
  const firsts = features.map((_, f) => `, min_by(f${f}, rowid) AS f${f}, count(DISTINCT f${f}) > 1 AS many${f}`);
  const known = `${described}s_known`;
  await session.run(
    `CREATE TABLE ${known} AS SELECT id, count(*) AS times${firsts.join("")} FROM (SELECT *, rowid FROM ${read})
     WHERE id IS NOT NULL GROUP BY id`,
  );
  const found_ = await countRows(session, known, numbering, features);
  const texts = features.map(() => [] as string[]);
  const seen = features.map(() => new Map<string, number>());
  const indices = features.map(() => new Int32Array(numbering.size).fill(-1));
  const columns = features.map((_, f) => `, f${f}`).join("");
  const sql = `SELECT number${columns} FROM ${numbering.table} JOIN ${known} ON token = id ORDER BY number`;
  for await (const rows of session.stream(sql)) {
    const numbers = rows.int32(0);
    for (let f = 0; f < features.length; f++) {
      rows.values(f + 1).forEach((value, row) => {
        if (value === null) return;
        let index = seen[f]!.get(value as string);
        if (index === undefined) {
          index = texts[f]!.push(value as string) - 1;
          seen[f]!.set(value as string, index);
        }
        indices[f]![numbers[row]!] = index;
      });
    }
  }
  return {
    values: features.map((feature, f) => ({
      ...feature,
      ...(feature.kind === "list" && { separator: feature.separator ?? UNIT_SEPARATOR }),
      texts: texts[f]!,
      indices: indices[f]!,
    })),
    rows: found_,
  };
}

/** SQL of a feature's value as text, null where missing; the values of a list are joined. */
function textOf({ name: column, type }: FoundColumn, missing: readonly string[]): string {
  const isList = /(\[\d*\]|^LIST)/.test(type);
  const joined = isList ? `array_to_string(${name(column)}, ${text(UNIT_SEPARATOR)})` : name(column);
  const value = type === "VARCHAR" || isList ? joined : `CAST(${joined} AS VARCHAR)`;
  const words = [...missingWords({ columns: [], click: [], missing })].map(text).join(", ");
  return `CASE WHEN ${value} IN (${words}) THEN NULL ELSE ${value} END`;
}

async function countRows(
  session: TableSession,
  known: string,
  numbering: Numbering,
  features: readonly FeatureColumn[],
): Promise<FeatureRows> {
  const many = features.map((_, f) => `, count(*) FILTER (many${f})`).join("");
  const [[ids, rows, ...contradicting]] = (await session.rows(
    `SELECT count(*), coalesce(sum(times), 0)${many} FROM ${known}`,
  )) as [unknown[]];
  const [[matched]] = (await session.rows(`SELECT count(*) FROM ${numbering.table} JOIN ${known} ON token = id`)) as [
    unknown[],
  ];
  const contradictions = features.map(({ column }, f) => [column, Number(contradicting[f])] as const);
  return {
    withoutRow: numbering.size - Number(matched),
    withoutEvents: Number(ids) - Number(matched),
    repeated: Number(rows) - Number(ids),
    contradictions: Object.fromEntries(contradictions.filter(([, count]) => count > 0)),
  };
}
