import { type ErrorCode, ShortlistError } from "../errors.js";

/**
 * Folders outlive the versions that wrote them. The JSON that describes one says the version of its format; whatever opens it
 * brings it up to date in memory, so that all other code knows the current version alone.
 */
export interface StoredFormat {
  /** `"format"` of the JSON. */
  readonly name: string;
  /** The version that is written. */
  readonly version: number;
  readonly code: ErrorCode;
  /** How a folder of a newer version is made anew: "train the model again". */
  readonly remake: string;
  /** What has changed since version 1, by rising version. */
  readonly migrations: readonly Migration[];
}

/** One change of a format: a member that a version adds to an object of the JSON, or calls by another name. */
export interface Migration {
  /** The version that has it; those before it do not. */
  readonly version: number;
  /** The name of the object, such as "config". */
  readonly object: string;
  /** The member, as it is called before this version where it is renamed. */
  readonly member: string;
  readonly change: { readonly added: unknown } | { readonly renamed: string };
}

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * The description of a folder as the format's current version has it. What a version adds has, in older folders, the value of
 * its migration. An error of the format's code says where the format or version is another one, or where an object has a
 * member of a later version than its own.
 */
export function migrate(head: JsonObject, format: StoredFormat, path: string): JsonObject {
  const version = versionOf(head, format, path);
  let migrated: JsonObject = { ...head, version: format.version };
  for (const migration of format.migrations) {
    if (migration.version > version) migrated = apply(migrated, migration, format, path);
  }
  return migrated;
}

function versionOf({ format: name, version }: JsonObject, format: StoredFormat, path: string): number {
  const fail = (problem: string): never => {
    throw new ShortlistError(format.code, `${path}: ${problem}`);
  };
  if (name !== format.name) fail(`Expected format "${format.name}" but received ${JSON.stringify(name)}`);
  const newest = format.version;
  const expected = newest === 1 ? "version 1" : `a version from 1 to ${newest}`;
  if (!Number.isSafeInteger(version) || (version as number) < 1) {
    fail(`Expected ${expected} but received ${JSON.stringify(version)}`);
  }
  if ((version as number) > newest) {
    fail(
      `Expected ${expected} but received ${version}: a newer Shortlist wrote it. Update Shortlist, or ${format.remake} with this one`,
    );
  }
  return version as number;
}

function apply(
  head: JsonObject,
  { version, object, member, change }: Migration,
  { code }: StoredFormat,
  path: string,
): JsonObject {
  const before = head[object];
  // Whoever reads the object says what is wrong with it.
  if (typeof before !== "object" || before === null || Array.isArray(before)) return head;
  const { [member]: value, ...others } = before as JsonObject;
  const name = "renamed" in change ? change.renamed : member;
  if (Object.hasOwn(before, name)) {
    throw new ShortlistError(code, `${path}: Expected no "${name}" in "${object}" before version ${version}`);
  }
  if ("added" in change) return { ...head, [object]: { ...before, [member]: change.added } };
  return Object.hasOwn(before, member) ? { ...head, [object]: { ...others, [name]: value } } : head;
}
