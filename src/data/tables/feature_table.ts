import { missingWords } from "../schema.js";
import type { LogOptions } from "../sources/read_log.js";
import { name, type TableSession, text } from "./duckdb.js";
import type { FoundColumn } from "./event_columns.js";
import { createRows, keyOf, type LocatedTable } from "./event_table.js";
import {
  type Described,
  type FeatureColumn,
  recogniseFeatures,
  recogniseKey,
  recogniseTitle,
} from "./feature_columns.js";
import type { Numbering } from "./read_events.js";
import type { ItemTableSource } from "./table_source.js";

/** A table of items or users whose form and columns are known, but which is not read yet. */
export interface FeatureTable extends LocatedTable {
  readonly described: Described;
  readonly where: string | undefined;
  /** The column with the ids. */
  readonly key: string;
  readonly features: readonly FeatureColumn[];
  /** The column with the titles of items. */
  readonly title: string | undefined;
  readonly found: readonly FoundColumn[];
}

/** The values of a feature, for each item or user of a numbering, and then for each unseen one. */
export interface FeatureValues extends FeatureColumn {
  /** The distinct texts of the column. */
  readonly texts: readonly string[];
  /** [size + unseen] Index of each one's text; −1 where it is missing. */
  readonly indices: Int32Array;
}

/** What a table says of the items or users of a numbering. */
export interface ReadFeatures {
  readonly values: readonly FeatureValues[];
  /** [size] Whether each one has a row. */
  readonly hasRow: Uint8Array;
  /** Ids of the rows of items that are not in the numbering, in the order of their bytes. */
  readonly unseen: readonly string[];
  /** [size + unseen] Titles. Undefined if the table has none. */
  readonly titles: readonly (string | undefined)[] | undefined;
  readonly rows: FeatureRows;
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
  given: ItemTableSource,
  eventColumn: string,
  taken: ReadonlySet<string>,
  skipBad: boolean,
): Promise<FeatureTable> {
  const found = await createRows(session, `${described}s`, located, { ...given, [described]: given.id }, skipBad);
  const key = recogniseKey(located.files.name, described, found, given.id, eventColumn);
  const features = recogniseFeatures(located.files.name, described, found, key, given.features, taken);
  const used = new Set([key, ...features.map(({ column }) => column)]);
  const title = described === "item" ? recogniseTitle(located.files.name, found, used, given.title) : undefined;
  return { ...located, described, where: given.where, key, features, title, found };
}

/**
 * Reads what a table says of the items or users of a numbering. A value that is there wins over one that is missing.
 */
export async function readFeatures(
  session: TableSession,
  { described, key, features, title, found }: FeatureTable,
  numbering: Pick<Numbering, "table" | "size">,
  missing: readonly string[],
): Promise<ReadFeatures> {
  const column = (wanted: string) => found.find((one) => one.name === wanted)!;
  const read = `${described}s_read`;
  const columns = [...features.map((feature) => feature.column), ...(title === undefined ? [] : [title])];
  const values = columns.map((name, c) => `, ${textOf(column(name), missing)} AS f${c}`);
  await session.run(
    `CREATE TABLE ${read} AS SELECT CAST(${keyOf(column(key), missing)} AS VARCHAR) AS id${values.join("")}
     FROM ${described}s_rows`,
  );
  // The first value of each id that is there, in the order of the rows.
  const firsts = columns.map((_, c) => `, min_by(f${c}, rowid) AS f${c}, count(DISTINCT f${c}) > 1 AS many${c}`);
  const known = `${described}s_known`;
  await session.run(
    `CREATE TABLE ${known} AS SELECT id, count(*) AS times${firsts.join("")} FROM (SELECT *, rowid FROM ${read})
     WHERE id IS NOT NULL GROUP BY id`,
  );
  const rows = await countRows(session, known, numbering, features);
  const unseen = described === "item" ? rows.withoutEvents : 0;
  const texts = columns.map(() => new ColumnTexts(numbering.size + unseen));
  const hasRow = new Uint8Array(numbering.size);
  const selected = columns.map((_, c) => `, f${c}`).join("");
  const joined = `SELECT number${selected} FROM ${numbering.table} JOIN ${known} ON token = id ORDER BY number`;
  for await (const part of session.stream(joined)) {
    const numbers = part.int32(0);
    for (let row = 0; row < part.count; row++) hasRow[numbers[row]!] = 1;
    texts.forEach((own, c) => {
      own.add(part.values(c + 1), (row) => numbers[row]!);
    });
  }
  const ids: string[] = [];
  const others = `SELECT id${selected} FROM ${known} ANTI JOIN ${numbering.table} ON token = id ORDER BY id`;
  for await (const part of unseen > 0 ? session.stream(others) : []) {
    const first = numbering.size + ids.length;
    for (const id of part.values(0)) ids.push(id as string);
    texts.forEach((own, c) => {
      own.add(part.values(c + 1), (row) => first + row);
    });
  }
  return {
    values: features.map((feature, f) => ({
      ...feature,
      ...(feature.kind === "list" && { separator: feature.separator ?? UNIT_SEPARATOR }),
      texts: texts[f]!.texts,
      indices: texts[f]!.indices,
    })),
    hasRow,
    unseen: ids,
    titles: title === undefined ? undefined : texts.at(-1)!.all(),
    rows,
  };
}

/** The values of a list; a list without any has one that is missing, as in a click log. */
export function partsOf({ kind, separator }: FeatureColumn, text: string, isMissing: (part: string) => boolean) {
  const parts = kind === "list" ? text.split(separator!).map((part) => part.trim()) : [text];
  const values = parts.filter((part) => !isMissing(part));
  return values.length > 0 ? values : [null];
}

/** Warns of rows that repeat the id of an earlier one, and of ids with several values. */
export function warnOfRepeats(
  { files, described }: FeatureTable,
  { repeated, contradictions }: FeatureRows,
  onWarning: LogOptions["onWarning"],
): void {
  const warn = (message: string) => onWarning?.(`${files.name}: ${message}`);
  if (repeated > 0) warn(`${repeated} rows repeat the ${described} of an earlier row, whose values count`);
  for (const [column, count] of Object.entries(contradictions)) {
    warn(`${count} ${described}s have several values of "${column}": the first one counts`);
  }
}

/** Collects the texts of a column, equal ones once. */
class ColumnTexts {
  readonly texts: string[] = [];
  readonly indices: Int32Array;
  readonly #seen = new Map<string, number>();

  constructor(size: number) {
    this.indices = new Int32Array(size).fill(-1);
  }

  add(values: readonly unknown[], placeOf: (row: number) => number): void {
    values.forEach((value, row) => {
      if (value === null) return;
      let index = this.#seen.get(value as string);
      if (index === undefined) {
        index = this.texts.push(value as string) - 1;
        this.#seen.set(value as string, index);
      }
      this.indices[placeOf(row)] = index;
    });
  }

  /** The text at each place; undefined where there is none. */
  all(): (string | undefined)[] {
    return Array.from(this.indices, (index) => this.texts[index]);
  }
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
  numbering: Pick<Numbering, "table" | "size">,
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
