import { type ErrorCode, nearestName, ShortlistError } from "../errors.js";
import { parseJson, readText } from "./files.js";

/** A tab-separated column of a click log. Exactly one column is of kind "clicks". */
export interface Column {
  /** Name of the feature; "clicks" for the column of clicks. */
  readonly name: string;
  /**
   * How the column is used: as a feature with an embedding, as a standardised number, as past searches, which are
   * divided into tokens, as the user's clicks, or not at all.
   */
  readonly kind: "categorical" | "number" | "tokens" | "clicks" | "ignore";
  /** Whether a user may have several values, separated by `_`. Only for categorical columns. */
  readonly multiple?: true | undefined;
}

/** A column that describes the user. */
export interface UserFeature {
  readonly name: string;
  readonly kind: "categorical" | "number" | "tokens";
  /** Whether a user may have several values. */
  readonly multiple: boolean;
  /** Index of the column. */
  readonly column: number;
}

/** A field of a click that describes the item. The first field is the item itself, which has a single value. */
export interface ItemFeature {
  /** Name of the feature. */
  readonly name: string;
  /** Whether a click may have several values, separated by `_`. */
  readonly multiple: boolean;
}

/** A field that describes the click itself, not its item. */
export interface ClickProperty {
  /** Name of the field. */
  readonly name: string;
  /**
   * How the field is used: as the time of the click, which is seconds or any other number that grows with time; as the
   * weight of the click, by which its loss is multiplied where it is the target; as a standardised number that the
   * network reads of the clicks of a history; or not at all.
   */
  readonly kind: "time" | "weight" | "number" | "ignore";
}

/** A field of a click: a feature of the item, or what the click itself is. */
export type ClickField = ItemFeature | ClickProperty;

/** The structure of a click log: its columns, and the fields of each click in the clicks column. */
export interface Schema {
  /** The columns, in the order of the log. */
  readonly columns: readonly Column[];
  /** The fields of a click, in order. The first is the item; at most one is a time, and at most one a weight. */
  readonly click: readonly ClickField[];
  /**
   * Words for a missing value, in addition to an empty field and `<unk>`. If undefined, `parseSchema` sets it to
   * `DEFAULT_MISSING`; in stored datasets and models it means only `NULL`.
   */
  readonly missing?: readonly string[] | undefined;
  /**
   * Whether `\\`, `\:`, `\;`, `\_` and `\t` in a log stand for the character after the backslash and for a tab. If
   * undefined, `parseSchema` sets it to true; in stored datasets and models it means false.
   */
  readonly escapes?: boolean | undefined;
}

/** Fields of one or two blanks, or of a no-break space or byte order mark alone: empty fields that were padded or joined. */
const BLANKS = [" ", "  ", "\u00a0", "\ufeff"];

/**
 * What common programs write for a missing value: SQL, Hive, MySQL and PostgreSQL, Python, pandas, R, JSON, JavaScript,
 * C, Go and spreadsheets.
 */
export const DEFAULT_MISSING: readonly string[] = [
  ...["NULL", "null", "(null)", "\\N", "None", "nil", "<nil>", "undefined"],
  ...["nan", "NaN", "NAN", "-nan", "NaT", "NA", "<NA>", "N/A", "n/a", "#N/A"],
  ...BLANKS,
];

/** Lines of the form `user_id ⇥ province ⇥ city ⇥ item:category:tag_tag;… ⇥ phone`. */
export const DEFAULT_SCHEMA: Schema = {
  columns: [
    { name: "user_id", kind: "categorical" },
    { name: "province", kind: "categorical" },
    { name: "city", kind: "categorical" },
    { name: "clicks", kind: "clicks" },
    { name: "phone", kind: "categorical" },
  ],
  click: [
    { name: "item", multiple: false },
    { name: "category", multiple: false },
    { name: "tags", multiple: true },
  ],
  missing: DEFAULT_MISSING,
  escapes: true,
};

/** Name of the feature that identifies users. */
export const USER_ID = "user_id";
const CLICKS = "clicks";
const KINDS = ["categorical", "number", "tokens", "ignore"];
const CLICK_KINDS = ["categorical", "time", "weight", "number", "ignore"];
const NAME = /^[a-z][a-z0-9_]*$/;
/** Characters that no field of a log can contain. */
const WORD_ENDS = /[\t\n\r\0]/;

/** Names that batches and Programs use for their own tensors and dims. */
const RESERVED: ReadonlySet<string> = new Set([
  ...[
    "target",
    "seed",
    "step",
    "learning_rate",
    "samples",
    "positions",
    "sequences",
    "timesteps",
    "users",
    "numbers",
    "user_vector",
  ],
  "example_age",
  ...["sample_start", "sample_end", "timestep_start", "timestep_end", "timestep_position", "sequence_offsets"],
  ...["distinct", "distinct_item", "timestep_item"],
  ...["excluded", "excluded_offsets", "top", "items", "score", "log_partition", "rank", "loss"],
]);

/**
 * Names that are reserved for multi-valued features, because their offsets, such as sequence_offsets, would be a
 * reserved tensor.
 */
const RESERVED_MULTIPLE: ReadonlySet<string> = new Set(["click", "sequence", "user", "excluded"]);

/**
 * Endings of the names of the tensors and dims that belong to a user feature with several values, such as
 * `languages_start`. No other feature can have such a name, and no feature of several values one of `TAKEN_WITH_ENDING`,
 * because `sample_start` is a tensor of every batch.
 */
const ENDINGS = ["_start", "_end", "_queries", "_before"];
const TAKEN_WITH_ENDING: ReadonlySet<string> = new Set([...RESERVED_MULTIPLE, "sample", "timestep"]);

/** Whether a user feature of this name cannot have several values, although one with a single value can have it. */
export function isTakenForSeveral(name: string): boolean {
  return TAKEN_WITH_ENDING.has(name);
}

/** The names that no other feature can have beside a user feature of this name with several values. */
export function namesBeside(name: string): string[] {
  return ENDINGS.map((ending) => name + ending);
}

/** Whether no feature can have this name. */
export function isReservedName(name: string): boolean {
  return name === CLICKS || RESERVED.has(name) || RESERVED_MULTIPLE.has(name) || name.endsWith("_offsets");
}

/** The columns that describe the user, in order. */
export function userFeatures(schema: Schema): UserFeature[] {
  return schema.columns.flatMap(({ name, kind, multiple = false }, column) =>
    kind === "categorical" || kind === "number" || kind === "tokens" ? [{ name, kind, multiple, column }] : [],
  );
}

/** The user features of a kind, in order. */
export function userFeaturesOf(schema: Schema, kind: UserFeature["kind"]): UserFeature[] {
  return userFeatures(schema).filter((feature) => feature.kind === kind);
}

/** The fields of a click that describe the item, in order. The first is the item itself. */
export function itemFeatures({ click }: Schema): ItemFeature[] {
  return click.filter((field): field is ItemFeature => !("kind" in field));
}

/** Index of the field with the time of a click; −1 if there is none. */
export function timeField({ click }: Schema): number {
  return click.findIndex((field) => kindOf(field) === "time");
}

/** Index of the field with the weight of a click; −1 if there is none. */
export function weightField({ click }: Schema): number {
  return click.findIndex((field) => kindOf(field) === "weight");
}

/** Names of the fields with numbers of a click, in order. */
export function clickNumbers({ click }: Schema): string[] {
  return click.flatMap((field) => (kindOf(field) === "number" ? [field.name] : []));
}

/** Names of all number features, which have statistics: those of users, then those of clicks. */
export function numberNames(schema: Schema): string[] {
  return [...userFeaturesOf(schema, "number").map(({ name }) => name), ...clickNumbers(schema)];
}

/** How a field of a click is used. */
export function kindOf(field: ClickField): "categorical" | ClickProperty["kind"] {
  return "kind" in field ? field.kind : "categorical";
}

/** Names of the features that have a vocabulary: the user features but numbers, then the item features. */
export function vocabularyNames(schema: Schema): string[] {
  const users = userFeatures(schema).filter(({ kind }) => kind !== "number");
  return [...users, ...itemFeatures(schema)].map(({ name }) => name);
}

/** All words that mean a missing value. */
export function missingWords({ missing = ["NULL"] }: Schema): ReadonlySet<string> {
  return new Set(["", "<unk>", ...missing]);
}

/** Reads a schema from a JSON file; see `parseSchema`. Throws ERR_CONFIG or ERR_FILE. */
export async function readSchema(path: string): Promise<Schema> {
  return parseSchema(parseJson(await readText(path), path, "ERR_CONFIG"), path);
}

/**
 * Checks a schema given as plain data and sets its defaults:
 *
 *     {
 *       "columns": [{ "name": "user_id" }, { "name": "age", "kind": "number" }, { "name": "clicks" }],
 *       "click": [{ "name": "item" }, { "name": "tags", "multiple": true }, { "name": "time", "kind": "time" }],
 *       "missing": ["NULL", "unknown"],
 *       "escapes": false
 *     }
 *
 * The kind of a column is "categorical" (the default), "number", "tokens" or "ignore"; the column named `clicks` holds
 * the clicks. The kind of a click field is "categorical" (the default), "time", "weight", "number" or "ignore". The
 * default of `missing` is `DEFAULT_MISSING`, that of `escapes` is true. Throws ERR_CONFIG with a message that starts with
 * `source`.
 */
export function parseSchema(value: unknown, source = "schema"): Schema {
  const schema = parseStoredSchema(value, source, "ERR_CONFIG");
  const taken = itemFeatures(schema).find(({ name, multiple }) => multiple && RESERVED_MULTIPLE.has(name));
  if (taken) {
    throw new ShortlistError(
      "ERR_CONFIG",
      `${source}: The name "${taken.name}" in "click" is reserved where "multiple" is true: choose another one`,
    );
  }
  return { missing: DEFAULT_MISSING, escapes: true, ...schema };
}

/**
 * Checks the schema of a stored dataset or model. `missing` and `escapes` may be absent: older versions knew
 * only `NULL`, and no escapes. Throws an error of `code` with a message that starts with `source`.
 */
export function parseStoredSchema(value: unknown, source: string, code: ErrorCode): Schema {
  return new SchemaParser(source, code).parse(value);
}

/** Checks a schema; its errors start with `source` and have `code`. */
class SchemaParser {
  readonly #source: string;
  readonly #code: ErrorCode;
  readonly #names = new Set<string>();

  constructor(source: string, code: ErrorCode) {
    this.#source = source;
    this.#code = code;
  }

  parse(value: unknown): Schema {
    const root = this.#object(value, "", ["columns", "click", "missing", "escapes"]);
    const columns = this.#list(root["columns"], ` for "columns"`).map((column, i) => this.#column(column, i));
    if (!columns.some(({ kind }) => kind === CLICKS)) {
      this.#fail("", `a column named "${CLICKS}"`, columns.map(({ name }) => name).join(", "));
    }
    const click = this.#list(root["click"], ` for "click"`).map((field, i) => this.#clickField(field, i));
    this.#checkEndings(columns);
    for (const kind of ["time", "weight"]) {
      const names = click.filter((field) => kindOf(field) === kind).map(({ name }) => name);
      if (names.length > 1) this.#fail(' in "click"', `at most one field of kind ${kind}`, names.join(", "));
    }
    const missing = root["missing"];
    const isWord = (word: unknown) => typeof word === "string" && !WORD_ENDS.test(word);
    if (missing !== undefined && !(Array.isArray(missing) && missing.every(isWord))) {
      this.#fail(' for "missing"', "a list of words without tab, newline or NUL", missing);
    }
    const escapes = root["escapes"];
    if (escapes !== undefined && typeof escapes !== "boolean") this.#fail(' for "escapes"', "true or false", escapes);
    return {
      columns,
      click,
      ...(missing !== undefined && { missing: missing as string[] }),
      ...(escapes !== undefined && { escapes: escapes as boolean }),
    };
  }

  #column(candidate: unknown, index: number): Column {
    const where = ` in columns[${index}]`;
    const column = this.#object(candidate, where, ["name", "kind", "multiple"]);
    const name = this.#name(column["name"], where);
    const { kind = name === CLICKS ? CLICKS : "categorical", multiple = false } = column;
    if (name === CLICKS && kind !== CLICKS) this.#fail(where, `no kind for the column "${CLICKS}"`, kind);
    if (name !== CLICKS && !KINDS.includes(kind as string)) this.#fail(where, `kind ${KINDS.join(", ")}`, kind);
    if (typeof multiple !== "boolean") this.#fail(where, "true or false for multiple", multiple);
    if (multiple && kind !== "categorical") this.#fail(where, "a categorical column", "multiple: true");
    if (name === USER_ID && (multiple || kind === "tokens")) {
      this.#fail(where, `one value in the column "${USER_ID}"`, multiple ? "multiple: true" : kind);
    }
    return { name, kind: kind as Column["kind"], ...(multiple && { multiple }) };
  }

  /** Refuses names that are those of tensors which belong to a user feature of several values. */
  #checkEndings(columns: readonly Column[]): void {
    for (const { name, kind, multiple } of columns) {
      if (!multiple && kind !== "tokens") continue;
      const taken = TAKEN_WITH_ENDING.has(name) ? name : namesBeside(name).find((n) => this.#names.has(n));
      if (taken === undefined) continue;
      const problem = `The name "${taken}" is reserved beside a column "${name}" of several values`;
      throw new ShortlistError(this.#code, `${this.#source}: ${problem}: ${this.#wayOutOfReserved()}`);
    }
  }

  #clickField(candidate: unknown, index: number): ClickField {
    const where = ` in click[${index}]`;
    const fail = (expected: string, received: unknown) => this.#fail(where, expected, received);
    const field = this.#object(candidate, where, ["name", "kind", "multiple"]);
    const name = this.#name(field["name"], where);
    const kind = (field["kind"] === undefined ? "categorical" : field["kind"]) as ReturnType<typeof kindOf>;
    if (!CLICK_KINDS.includes(kind)) fail(`kind ${CLICK_KINDS.join(", ")}`, kind);
    const multiple = field["multiple"] === undefined ? false : field["multiple"];
    if (typeof multiple !== "boolean") fail("true or false for multiple", multiple);
    const isItem = index === 0;
    if (isItem && multiple) fail("one value for the first click field, which is the item,", "multiple: true");
    if (kind === "categorical") return { name, multiple: multiple as boolean };
    if (isItem) fail("a categorical first click field, which is the item,", `kind "${kind}"`);
    if (multiple) fail(`one value of kind ${kind}`, "multiple: true");
    return { name, kind };
  }

  #name(candidate: unknown, where: string): string {
    const name = typeof candidate === "string" ? candidate : this.#fail(where, "a name", candidate);
    const refuse = (problem: string) => {
      throw new ShortlistError(this.#code, `${this.#source}: The name "${name}"${where} ${problem}`);
    };
    if (!NAME.test(name)) {
      this.#fail(where, "a name of lower-case letters, digits and _ that begins with a letter", name);
    }
    if (RESERVED.has(name) || name.endsWith("_offsets")) refuse(`is reserved: ${this.#wayOutOfReserved()}`);
    if (this.#names.has(name)) refuse("is there twice");
    this.#names.add(name);
    return name;
  }

  #wayOutOfReserved(): string {
    if (this.#code === "ERR_CONFIG") return "choose another one";
    return `rename the feature in the schema, and prepare${this.#code === "ERR_MODEL" ? " and train" : ""} again`;
  }

  #object(candidate: unknown, where: string, keys: readonly string[]): Record<string, unknown> {
    if (typeof candidate !== "object" || candidate === null || Array.isArray(candidate)) {
      return this.#fail(where, `an object with ${keys.map((key) => `"${key}"`).join(", ")}`, candidate);
    }
    for (const key of Object.keys(candidate)) {
      if (keys.includes(key)) continue;
      const near = nearestName(key, keys);
      const hint = near ? `Did you mean "${near}"?` : `Known keys: ${keys.join(", ")}`;
      throw new ShortlistError(this.#code, `${this.#source}: Unknown key "${key}"${where}. ${hint}`);
    }
    return candidate as Record<string, unknown>;
  }

  #list(candidate: unknown, where: string): readonly unknown[] {
    if (Array.isArray(candidate) && candidate.length > 0) return candidate;
    return this.#fail(where, "a list that is not empty", candidate);
  }

  #fail(where: string, expected: string, received: unknown): never {
    throw new ShortlistError(
      this.#code,
      `${this.#source}: Expected ${expected}${where} but received ${format(received)}`,
    );
  }
}

function format(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}
