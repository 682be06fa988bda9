import { nearestName, ShortlistError } from "../../errors.js";
import { parseJson, readText } from "../files.js";
import type { Compression } from "../sources/decompress.js";
import type { CsvForm, Encoding, JsonForm, ParquetForm } from "./file_form.js";

/** Unit of the numbers or texts in a column of times. */
export type TimeUnit = "s" | "ms" | "us" | "ns" | "date" | "number";

/** The form of files in a source. What is not given is found out. */
export type GivenForm = Partial<Omit<CsvForm, "format">> & {
  readonly format?: (CsvForm | JsonForm | ParquetForm)["format"] | undefined;
};

/** A table of events, and its columns. What is not given is found out. */
export interface EventSource extends GivenForm {
  /** Paths or patterns such as `events/*.parquet`, relative to the working directory. All files form one table. */
  readonly files?: readonly string[] | undefined;
  /**
   * SQL query that computes the events from the table `events`, such as
   * `SELECT user_id, unnest(items) AS item_id FROM events`.
   */
  readonly query?: string | undefined;
  /** SQL condition that events must meet, such as `rating >= 4`. */
  readonly where?: string | undefined;
  /** Name of the column of users. */
  readonly user?: string | undefined;
  /** Name of the column of items. */
  readonly item?: string | undefined;
  /**
   * Name of the column of times; null if events have no times, so that the events of a user are in the order of the
   * table.
   */
  readonly time?: string | null | undefined;
  /**
   * Unit of the times: seconds, milli-, micro- or nanoseconds since 1970; dates; or any numbers that grow with time.
   */
  readonly unit?: TimeUnit | undefined;
  /**
   * Name of the column with the weight of each event, by which its loss is multiplied in training (default: none). An
   * event without a weight has the weight 1.
   */
  readonly weight?: string | undefined;
  /**
   * Names of the columns with numbers of an event, such as a price, which the network reads of the clicks of a history
   * (default: none).
   */
  readonly numbers?: readonly string[] | undefined;
}

/** What becomes of a column: one category, a list of categories, or a number (of users). */
export type FeatureKind = "category" | "list" | "number";

/** A column of an item or user table that becomes a feature. */
export interface FeatureSource {
  readonly column: string;
  /** Name of the feature (default: that of the column, in lower case with underscores). */
  readonly name?: string | undefined;
  /** Default: found out from the values. */
  readonly kind?: FeatureKind | undefined;
  /** Text between the values of a list. */
  readonly separator?: string | undefined;
}

/** A table with a row for each item or user. */
export interface FeatureTableSource extends GivenForm {
  /** Paths, or patterns; one table in several files. */
  readonly files?: readonly string[] | undefined;
  /** SQL that makes the rows from the table `items` or `users`. */
  readonly query?: string | undefined;
  /** SQL condition that a row must meet. */
  readonly where?: string | undefined;
  /** Column with the ids of the items or users. */
  readonly id?: string | undefined;
  /** The columns that become features, in order (default: those whose values repeat). */
  readonly features?: readonly FeatureSource[] | undefined;
}

/** A table with a row for each item. */
export interface ItemTableSource extends FeatureTableSource {
  /** Column with the titles, for people to read; null for none (default: found out from the names). */
  readonly title?: string | null | undefined;
}

/** A table with a row for each search of a user. */
export interface SearchSource extends GivenForm {
  /** Paths, or patterns; one table in several files. */
  readonly files?: readonly string[] | undefined;
  /** SQL that makes the rows from the table `searches`. */
  readonly query?: string | undefined;
  /** SQL condition that a row must meet. */
  readonly where?: string | undefined;
  /** Column of the user. */
  readonly user?: string | undefined;
  /** Column of the text that was searched for. */
  readonly text?: string | undefined;
  /** Column of the time; null if it is not known, so that all searches count as made before all events. */
  readonly time?: string | null | undefined;
  /** Unit of the times. */
  readonly unit?: TimeUnit | undefined;
}

/** The tables of a dataset, as plain data: the content of a source.json. What is not given is found out. */
export interface TableSource {
  /** Version of this form: 1. */
  readonly version?: 1 | undefined;
  readonly events?: EventSource | undefined;
  /** Attributes and titles of items. */
  readonly items?: ItemTableSource | undefined;
  /** Features of users. */
  readonly users?: FeatureTableSource | undefined;
  /** Past searches of users. */
  readonly searches?: SearchSource | undefined;
  /** Words for a missing value (default `DEFAULT_MISSING`). */
  readonly missing?: readonly string[] | undefined;
}

const UNITS: readonly TimeUnit[] = ["s", "ms", "us", "ns", "date", "number"];
const COMPRESSIONS: readonly Compression[] = ["none", "gzip", "zstd"];
const ENCODINGS: readonly Encoding[] = ["utf-8", "utf-16", "latin-1"];

type Check = readonly [expected: string, test: (value: unknown) => boolean];
type Checks = Readonly<Record<string, Check>>;

const isText = (value: unknown): value is string => typeof value === "string" && value !== "" && !value.includes("\0");
const TEXT: Check = ["a text that is not empty", isText];
const TEXTS: Check = [
  "a list of texts that are not empty",
  (value) => Array.isArray(value) && value.length > 0 && value.every(isText),
];
const FLAG: Check = ["true or false", (value) => typeof value === "boolean"];
const oneOf = (values: readonly string[]): Check => [values.join(" or "), (value) => values.includes(value as string)];

const FORM: Checks = {
  files: TEXTS,
  format: oneOf(["csv", "json", "parquet"]),
  compression: oneOf(COMPRESSIONS),
  separator: TEXT,
  header: FLAG,
  quotes: FLAG,
  encoding: oneOf(ENCODINGS),
};
const EVENTS: Checks = {
  ...FORM,
  query: TEXT,
  where: TEXT,
  user: TEXT,
  item: TEXT,
  time: ["the name of a column, or null", (value) => value === null || isText(value)],
  unit: oneOf(UNITS),
  weight: TEXT,
  numbers: TEXTS,
};
const { item: _, weight: __, numbers: ___, ...SEARCH_COLUMNS } = EVENTS;
const SEARCHES: Checks = { ...SEARCH_COLUMNS, text: TEXT };
const FEATURE_TABLE: Checks = {
  ...FORM,
  query: TEXT,
  where: TEXT,
  id: TEXT,
  features: ["a list of objects", (value) => Array.isArray(value) && value.every(isObject)],
};
const ITEM_TABLE: Checks = {
  ...FEATURE_TABLE,
  title: ["the name of a column, or null", (value) => value === null || isText(value)],
};
const FEATURE: Checks = {
  column: TEXT,
  name: ["a name of lower-case letters, digits and _", (value) => isText(value) && /^[a-z][a-z0-9_]*$/.test(value)],
  kind: oneOf(["category", "list", "number"]),
  separator: TEXT,
};
const isWord = (word: unknown) => typeof word === "string" && !/[\t\n\r\0]/.test(word);
const ROOT: Checks = {
  version: ["1, the version of this form (a newer Shortlist writes others)", (value) => value === 1],
  events: ["an object", isObject],
  items: ["an object", isObject],
  users: ["an object", isObject],
  searches: ["an object", isObject],
  missing: ["a list of words without tab, newline or NUL", (value) => Array.isArray(value) && value.every(isWord)],
};

/** Reads a source from a JSON file; see `parseTableSource`. Throws ERR_CONFIG or ERR_FILE. */
export async function readTableSource(path: string): Promise<TableSource> {
  return parseTableSource(parseJson(await readText(path), path, "ERR_CONFIG"), path);
}

/**
 * Checks a source given as plain data. Throws ERR_CONFIG with a message that starts with `where`; for an unknown key,
 * it suggests the closest valid one.
 */
export function parseTableSource(value: unknown, where = "source"): TableSource {
  const root = checkObject(value, where, ROOT);
  if (root["events"] !== undefined) checkObject(root["events"], `${where}: events`, EVENTS);
  if (root["searches"] !== undefined) checkObject(root["searches"], `${where}: searches`, SEARCHES);
  for (const [table, checks] of [["items", ITEM_TABLE] as const, ["users", FEATURE_TABLE] as const]) {
    if (root[table] === undefined) continue;
    const { features = [] } = checkObject(root[table], `${where}: ${table}`, checks);
    for (const [i, feature] of (features as readonly unknown[]).entries()) {
      const place = `${where}: ${table}: features[${i}]`;
      const { column } = checkObject(feature, place, FEATURE);
      if (column === undefined)
        throw new ShortlistError("ERR_CONFIG", `${place}: Expected a "column" but received none`);
    }
  }
  return root as TableSource;
}

function checkObject(value: unknown, where: string, checks: Checks): Readonly<Record<string, unknown>> {
  const fail = (problem: string): never => {
    throw new ShortlistError("ERR_CONFIG", `${where}: ${problem}`);
  };
  if (!isObject(value)) return fail(`Expected an object but received ${JSON.stringify(value)}`);
  for (const [key, member] of Object.entries(value)) {
    const check = Object.hasOwn(checks, key) ? checks[key] : undefined;
    if (!check) {
      const near = nearestName(key, Object.keys(checks));
      fail(
        `Unknown key "${key}". ${near ? `Did you mean "${near}"?` : `Known keys: ${Object.keys(checks).join(", ")}`}`,
      );
    } else if (member !== undefined && !check[1](member)) {
      fail(`Expected ${check[0]} for "${key}" but received ${JSON.stringify(member)}`);
    }
  }
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
