import { type ErrorCode, ShortlistError } from "../errors.js";

/**
 * The format of a stored folder. A folder may be opened by a later version of Shortlist than the one that wrote it. The
 * JSON that describes the folder contains the version of its format, and `migrate` brings it up to date in memory when
 * it is read, so that all other code deals with the current version only.
 */
export interface StoredFormat {
  /** Value of `"format"` in the JSON. */
  readonly name: string;
  /** The current version, which is written. */
  readonly version: number;
  readonly code: ErrorCode;
  /** How to recreate a folder of a newer version, such as "train the model again". */
  readonly remake: string;
  /** All changes since version 1, by rising version. */
  readonly migrations: readonly Migration[];
}

/** One change of a format: a member of an object of the JSON was added or renamed. */
export interface Migration {
  /** The first version with this change. */
  readonly version: number;
  /** Name of the object, such as "config"; the JSON itself if absent. */
  readonly object?: string;
  /** Name of the member; its old name if it was renamed. */
  readonly member: string;
  readonly change: { readonly added: unknown } | { readonly renamed: string };
}

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Brings the description of a folder up to date. A member that was added since the folder was written gets the value of
 * the migration. Throws an error of the format's code if the format is another one, the version is not known, or an
 * object has a member of a later version than its own.
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
  const before = object === undefined ? head : head[object];
  // The code that reads the object reports what is wrong with it.
  if (typeof before !== "object" || before === null || Array.isArray(before)) return head;
  const { [member]: value, ...others } = before as JsonObject;
  const name = "renamed" in change ? change.renamed : member;
  if (Object.hasOwn(before, name)) {
    const where = object === undefined ? "" : ` in "${object}"`;
    throw new ShortlistError(code, `${path}: Expected no "${name}"${where} before version ${version}`);
  }
  const placed = (changed: JsonObject) => (object === undefined ? changed : { ...head, [object]: changed });
  if ("added" in change) return placed({ ...before, [member]: change.added });
  return Object.hasOwn(before, member) ? placed({ ...others, [name]: value }) : head;
}
