import { ShortlistError } from "../../errors.js";
import { type ItemFeature, isReservedName, isTakenForSeveral, namesBeside } from "../schema.js";
import { columnsNamed, plainName, saysList } from "./column_names.js";
import { type FoundColumn, find } from "./event_columns.js";
import type { FeatureKind, FeatureSource } from "./table_source.js";

/** A column of an item or user table that becomes a feature. */
export interface FeatureColumn {
  readonly column: string;
  /** The name of the feature in the schema. */
  readonly name: string;
  readonly kind: FeatureKind;
  /** What divides the values of a list that is text. */
  readonly separator?: string | undefined;
}

/** What a table describes. */
export type Described = "item" | "user";

/** A column is a category if its values occur this often on average: ids and titles occur once. */
const REPEATED = 2;
/** Whole numbers are categories up to this many distinct values; beyond it, they measure something. */
const FEW = 200;
const LIST_SEPARATORS = ["|", ";", ", ", ","];
const TEXTS = /(^|_)(title|name|headline|description|text|summary|plot|overview|url|link|image|poster|path)$/;

/** The column with the ids: the given one, else the one called like the column of the events, else by its name. */
export function recogniseKey(
  table: string,
  described: Described,
  columns: readonly FoundColumn[],
  given: string | undefined,
  eventColumn: string,
): string {
  if (given !== undefined) return find(table, described, columns, given);
  const names = columns.map((column) => column.name);
  // Without a header, names say nothing: the first column is the id, as in MovieLens' movies.dat.
  if (names.every((column) => /^\d+$/.test(column))) return names[0]!;
  const same = names.filter((column) => plainName(column).toLowerCase() === plainName(eventColumn).toLowerCase());
  const found = same.length === 1 ? same : columnsNamed(described, names);
  if (found.length === 1) return found[0]!;
  throw new ShortlistError(
    "ERR_TABLE",
    `${table}: Expected one column of the ${described}, such as "${eventColumn}", but ${found.length === 0 ? "none" : found.join(" and ")} is known among ${names.join(", ")}. Name it as "${described}s": {"${described}": …} in --source`,
  );
}

/** Names of columns with titles, the likeliest first. */
const TITLE_NAMES = [
  /^title$/,
  /_title$/,
  /^(name|headline)$/,
  /^(item|product|movie|video|article|track|song|book|business|game|app|show|recipe|place|hotel|course|job)_name$/,
];

/**
 * The column with the titles of items: the given one (null for none), else the first one with such a name. Without a
 * header, it is the first column of texts that hardly ever repeat.
 */
export function recogniseTitle(
  table: string,
  columns: readonly FoundColumn[],
  used: ReadonlySet<string>,
  given: string | null | undefined,
): string | undefined {
  if (given !== undefined) return given === null ? undefined : find(table, "title", columns, given);
  const free = columns.filter((column) => !used.has(column.name) && !isListType(column));
  if (columns.every((column) => /^\d+$/.test(column.name))) return free.find(isProse)?.name;
  for (const pattern of TITLE_NAMES) {
    const found = free.find((column) => pattern.test(snakeName(column.name)));
    if (found) return found.name;
  }
  return undefined;
}

/** Whether nearly all values differ and most have a letter and more than one word. */
function isProse({ values }: FoundColumn): boolean {
  const texts = values.filter((value): value is string => value !== null && value !== "");
  const words = texts.filter((value) => /\p{L}/u.test(value) && /\S\s\S/.test(value)).length;
  return texts.length > 0 && new Set(texts).size >= 0.9 * texts.length && words >= texts.length / 2;
}

/**
 * The columns that become features: the given ones, else those whose values repeat. ERR_TABLE for a kind that cannot
 * be.
 */
export function recogniseFeatures(
  table: string,
  described: Described,
  columns: readonly FoundColumn[],
  key: string,
  given: readonly FeatureSource[] | undefined,
  taken: ReadonlySet<string>,
): FeatureColumn[] {
  const names = new Set(taken);
  const named = (column: FoundColumn, source: FeatureSource | undefined, kind: FeatureKind): FeatureColumn => {
    const hasNamesBeside = described === "user" && kind === "list";
    const name = source?.name ?? freeName(described, column.name, names, hasNamesBeside);
    for (const other of [name, ...(hasNamesBeside ? namesBeside(name) : [])]) names.add(other);
    const separator =
      kind !== "list" || isListType(column) ? undefined : (source?.separator ?? separatorOf(column) ?? " ");
    return { column: column.name, name, kind, ...(separator !== undefined && { separator }) };
  };
  if (!given) {
    return columns.flatMap((column) => {
      const kind = column.name === key ? undefined : kindOf(described, column);
      return kind === undefined ? [] : [named(column, undefined, kind)];
    });
  }
  return given.map((source) => {
    const column = columns.find(({ name }) => name === find(table, "feature", columns, source.column))!;
    const kind = source.kind ?? kindOf(described, column) ?? "category";
    if (described === "user" || kind !== "number") return named(column, source, kind);
    throw new ShortlistError(
      "ERR_TABLE",
      `${table}: Expected "${source.column}" of items to be a category or a list but received "number"`,
    );
  });
}

/**
 * The columns of a table of items that have these attributes of a model: those that are given for them, else those that
 * `recogniseFeatures` would call by their names. An attribute without such a column is left out. `isKnown` tells the
 * values of an attribute, by which the separator of a list is found.
 */
export function featureColumnsOf(
  table: string,
  columns: readonly FoundColumn[],
  key: string,
  attributes: readonly ItemFeature[],
  given: readonly FeatureSource[] = [],
  isKnown: (attribute: string, value: string) => boolean,
): FeatureColumn[] {
  const nameOf = (column: string) => freeName("item", column, new Set());
  return attributes.flatMap(({ name, multiple }) => {
    const source = given.find((feature) => (feature.name ?? nameOf(feature.column)) === name);
    const column = source
      ? columns.find((one) => one.name === find(table, "feature", columns, source.column))
      : columns.find((one) => one.name !== key && nameOf(one.name) === name);
    if (!column) return [];
    const separator =
      multiple && !isListType(column) ? (source?.separator ?? knownSeparator(column, name, isKnown)) : undefined;
    return [
      {
        column: column.name,
        name,
        kind: multiple ? "list" : "category",
        ...(separator !== undefined && { separator }),
      },
    ];
  });
}

/** What divides the values of a column into the most known parts. */
function knownSeparator(
  { values }: FoundColumn,
  attribute: string,
  isKnown: (attribute: string, value: string) => boolean,
): string {
  const knownParts = (separator: string) =>
    values.reduce((sum, value) => {
      const parts = value === null || value === "" ? [] : value.split(separator);
      return sum + parts.filter((part) => isKnown(attribute, part.trim())).length;
    }, 0);
  let [best, most] = [" ", -1];
  for (const separator of [...LIST_SEPARATORS, " "]) {
    const known = knownParts(separator);
    if (known > most) [best, most] = [separator, known];
  }
  return best;
}

/** What a column is, by its name, its type and its first values; undefined if it tells nothing that repeats. */
function kindOf(described: Described, column: FoundColumn): FeatureKind | undefined {
  const texts = column.values.filter((value): value is string => value !== null && value !== "");
  const distinct = new Set(texts).size;
  if (texts.length === 0 || TEXTS.test(snakeName(column.name))) return undefined;
  if (isListType(column)) return "list";
  if (described === "item" && (saysList(column.name) || separatorOf(column) !== undefined)) return "list";
  const isNumber = texts.every((value) => Number.isFinite(Number(value)));
  const isWhole = isNumber && texts.every((value) => Number.isInteger(Number(value)));
  const isCategory = distinct * REPEATED <= texts.length;
  if (/:float$/.test(column.name) || (isNumber && (!isWhole || distinct > FEW))) {
    if (described === "user") return "number";
    // Ids of other things, such as authors, are whole numbers that repeat.
    return isWhole && isCategory && /id$/i.test(plainName(column.name)) ? "category" : undefined;
  }
  return isCategory ? "category" : undefined;
}

const isListType = ({ type }: FoundColumn) => /(\[\d*\]|^LIST)/.test(type);

/** What divides the values of a column whose parts repeat more than its values do. */
function separatorOf({ name, values }: FoundColumn): string | undefined {
  const texts = values.filter((value): value is string => value !== null && value !== "");
  const candidates = /:token_seq$/.test(name) ? [" "] : LIST_SEPARATORS;
  return candidates.find((separator) => {
    const divided = texts.filter((value) => value.includes(separator));
    const parts = texts.flatMap((value) => value.split(separator));
    return divided.length >= texts.length / 10 && new Set(parts).size * REPEATED <= parts.length;
  });
}

/** A column's name in lower case, with underscores between its words. */
function snakeName(column: string): string {
  return plainName(column)
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "_")
    .replace(/^_+|_+$/g, "");
}

/** A name that a schema can have, of a column's name. */
export function freeName(
  described: Described | "click",
  column: string,
  taken: ReadonlySet<string>,
  hasNamesBeside = false,
): string {
  const plain = snakeName(column);
  const base = /^[a-z]/.test(plain) ? plain : `${described}_${plain}`;
  let name = base;
  const isTaken = () =>
    taken.has(name) ||
    isReservedName(name) ||
    (hasNamesBeside && (isTakenForSeveral(name) || namesBeside(name).some((other) => taken.has(other))));
  for (let again = 2; isTaken(); again++) name = `${base}_${again}`;
  return name;
}
