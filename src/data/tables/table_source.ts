import { nearestName, ShortlistError } from "../../errors.js";
import { parseJson, readText } from "../files.js";
import type { Compression, CsvForm, Encoding, JsonForm, ParquetForm } from "./file_form.js";

/** What the numbers or texts of a column of times are. */
export type TimeUnit = "s" | "ms" | "us" | "ns" | "date" | "number";

/** The form of files as it stands in a source: what is left out is found out. */
export type GivenForm = Partial<Omit<CsvForm, "format">> & {
  readonly format?: (CsvForm | JsonForm | ParquetForm)["format"] | undefined;
};

/** Which table of events there is, and what its columns are. */
export interface EventSource extends GivenForm {
  /** Paths, or patterns such as `events/*.parquet`, from the working directory on; one table in several files. */
  readonly files?: readonly string[] | undefined;
  /** SQL that makes the events from the table `events`: `SELECT user_id, unnest(items) AS item_id FROM events`. */
  readonly query?: string | undefined;
  /** SQL condition that an event must meet: `rating >= 4`. */
  readonly where?: string | undefined;
  /** The column of the user. */
  readonly user?: string | undefined;
  /** The column of the item. */
  readonly item?: string | undefined;
  /** The column of the time; null where events have none, so that a user's events are in the order of the table. */
  readonly time?: string | null | undefined;
  /** What the times are: seconds, milli-, micro- or nanoseconds since 1970, dates, or numbers that grow with time. */
  readonly unit?: TimeUnit | undefined;
}

/** What a dataset is made from, as plain data: the value of a source.json. Whatever is left out is found out. */
export interface TableSource {
  /** The version of this form: 1. */
  readonly version?: 1 | undefined;
  readonly events?: EventSource | undefined;
  /** Words that stand for a missing value, `DEFAULT_MISSING` unless given. */
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
};
const isWord = (word: unknown) => typeof word === "string" && !/[\t\n\r\0]/.test(word);
const ROOT: Checks = {
  version: ["1, the version of this form (a newer Shortlist writes others)", (value) => value === 1],
  events: ["an object", isObject],
  missing: ["a list of words without tab, newline or NUL", (value) => Array.isArray(value) && value.every(isWord)],
};

/** Reads a source from a JSON file; see `parseTableSource`. */
export async function readTableSource(path: string): Promise<TableSource> {
  return parseTableSource(parseJson(await readText(path), path, "ERR_CONFIG"), path);
}

/**
 * Checks a source that a person wrote as plain data. A key that is not known is ERR_CONFIG with the nearest one;
 * `where` opens the messages.
 */
export function parseTableSource(value: unknown, where = "source"): TableSource {
  const root = checkObject(value, where, ROOT);
  if (root["events"] !== undefined) checkObject(root["events"], `${where}: events`, EVENTS);
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
