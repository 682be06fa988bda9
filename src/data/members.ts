import { createHash } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { type ErrorCode, ShortlistError } from "../errors.js";
import { exists, fileError, readBytes } from "./files.js";
import { isPartial, isPartialOf } from "./hidden_names.js";
import { ID_KEY } from "./safetensors.js";
import { TITLES, Titles } from "./titles.js";
import type { Turns } from "./turns.js";
import { Vocabulary } from "./vocabulary.js";

/**
 * Consistency of model and dataset folders, whose files belong together. The description (config.json or dataset.json)
 * has an `id` of the whole, which the metadata of the safetensors file repeat, and the sha256 of each other file in
 * `members`. Readers check both, so they never mix files of two versions while the folder is being replaced.
 */

/** sha256 in hexadecimal by path inside the folder, such as "vocabulary/item.tsv". */
export type Digests = Readonly<Record<string, string>>;

/** The members of a description that identify the other files. Folders of older versions have neither. */
export interface MemberIds {
  readonly id?: unknown;
  readonly members?: unknown;
}

/** Subfolder of the vocabularies in a model or dataset folder. */
export const VOCABULARY = "vocabulary";

/** Path of a feature's vocabulary inside a model or dataset folder. */
export function vocabularyFile(feature: string): string {
  return `${VOCABULARY}/${feature}.tsv`;
}

/** Returns the digests of these files of a folder. */
export async function digestsOf(folder: string, names: readonly string[], signal?: AbortSignal): Promise<Digests> {
  const digests: Record<string, string> = {};
  for (const name of names) {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(join(folder, name))) {
      signal?.throwIfAborted();
      hash.update(chunk);
    }
    digests[name] = hash.digest("hex");
  }
  return digests;
}

/** Limit of readings that start again because the folder was replaced meanwhile. */
const MAX_READS = 100;
/** Limit of waits for a process that seems to be replacing the folder. */
const MAX_WAITS = 10;
const WAIT_MS = 20;

/**
 * Calls `read` with a reader of one version of the folder, and calls it again if it failed and the folder was replaced
 * meanwhile. `description` is the name of the file with the id of the whole. The signal ends the waiting; `read` must
 * check it itself.
 */
export async function readFolder<T>(
  folder: string,
  description: string,
  read: (members: FolderReader) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  let waits = 0;
  for (let reads = 1; ; reads++) {
    signal?.throwIfAborted();
    const reader = await FolderReader.open(folder, description);
    try {
      const result = await read(reader);
      if (reader.checksIds || reads === MAX_READS || !(await reader.hasChanged())) return result;
    } catch (error) {
      signal?.throwIfAborted();
      if (reads === MAX_READS) throw error;
      const busy = await isBeingReplaced(folder); // asked first: a writer that is done by now has changed the folder
      if (!(await reader.hasChanged())) {
        if (waits === MAX_WAITS || !busy) throw error;
        await pause(WAIT_MS * ++waits);
      }
    } finally {
      await reader.close();
    }
  }
}

/** Reads the members of one version of a folder. */
export class FolderReader {
  readonly #folder: string;
  readonly #description: string;
  readonly #handle: FileHandle | undefined;
  /**
   * The path of the folder through its handle, if the system has such paths. It leads to the same folder even after the
   * folder is replaced.
   */
  readonly #source: string;
  readonly #before: string;
  #ids: { readonly id: string; readonly members: Digests; readonly code: ErrorCode } | undefined;

  private constructor(
    folder: string,
    description: string,
    handle: FileHandle | undefined,
    source: string,
    before: string,
  ) {
    this.#folder = folder;
    this.#description = description;
    this.#handle = handle;
    this.#source = source;
    this.#before = before;
  }

  static async open(folder: string, description: string): Promise<FolderReader> {
    // Taken before the folder is opened, so that a replacement between the two counts as a change.
    const before = await versionOf(folder, description);
    const handle = await open(folder, constants.O_RDONLY | (constants.O_DIRECTORY ?? 0)).catch(() => undefined);
    const byHandle = `/proc/self/fd/${handle?.fd}`;
    const source = handle && (await exists(join(byHandle, "."))) ? byHandle : folder;
    return new FolderReader(folder, description, handle, source, before);
  }

  /** Path of a member for messages. */
  path(name: string): string {
    return join(this.#folder, name);
  }

  /** Path from which to read a member. */
  source(name: string): string {
    return join(this.#source, name);
  }

  /**
   * Makes the reader check members against the `id` and `members` of the description. Throws an error of `code` if
   * these are malformed.
   */
  expect({ id, members }: MemberIds, code: ErrorCode): void {
    if (id === undefined && members === undefined) return;
    const isDigest = (value: unknown) => typeof value === "string" && /^[0-9a-f]{64}$/.test(value);
    const digests = typeof members === "object" && members !== null && !Array.isArray(members) ? members : { "": 0 };
    if (!isDigest(id) || !Object.values(digests).every(isDigest)) {
      throw new ShortlistError(
        code,
        `${this.path(this.#description)}: Expected "id" to be a sha256 and "members" an object of them but received ${JSON.stringify({ id, members })}`,
      );
    }
    this.#ids = { id: id as string, members: digests as Digests, code };
  }

  /** Whether members are checked against the description. */
  get checksIds(): boolean {
    return this.#ids !== undefined;
  }

  /** Code of errors about members that do not fit the description. */
  get code(): ErrorCode {
    return this.#ids?.code ?? "ERR_FILE";
  }

  /** The members of which the description has a digest. */
  get names(): string[] {
    return Object.keys(this.#ids?.members ?? {});
  }

  /** Whether the description has a digest of this member. */
  has(name: string): boolean {
    return this.#ids !== undefined && Object.hasOwn(this.#ids.members, name);
  }

  /** Reads a member and checks its digest. */
  async read(name: string): Promise<Buffer> {
    if (!this.#ids) return readBytes(this.source(name));
    const hash = createHash("sha256");
    const bytes = await readBytes(this.source(name), (piece) => hash.update(piece));
    const { members } = this.#ids;
    this.#check(name, "sha256", Object.hasOwn(members, name) ? members[name] : undefined, hash.digest("hex"));
    return bytes;
  }

  /** Checks the digest of a member that is too large to be held in memory, or that others read. */
  async verify(name: string, signal?: AbortSignal): Promise<void> {
    if (!this.#ids) return;
    const { members } = this.#ids;
    const digests = await digestsOf(this.#source, [name], signal).catch((error) => {
      signal?.throwIfAborted();
      throw fileError("read", this.path(name), error);
    });
    this.#check(name, "sha256", Object.hasOwn(members, name) ? members[name] : undefined, digests[name]);
  }

  /** Checks the id in the metadata of a safetensors file. */
  checkId(name: string, metadata: Readonly<Record<string, string>>): void {
    if (this.#ids) this.#check(name, ID_KEY, this.#ids.id, metadata[ID_KEY]);
  }

  #check(name: string, what: string, expected: string | undefined, received: string | undefined): void {
    if (received === expected) return;
    throw new ShortlistError(
      this.#ids!.code,
      `${this.path(name)}: Expected ${what} ${expected}, as ${this.#description} says, but received ${received}. The file was changed, or belongs to another version of the folder: copy the folder whole, or write it anew`,
    );
  }

  /** Whether the path of the folder now leads to another version. */
  async hasChanged(): Promise<boolean> {
    return (await versionOf(this.#folder, this.#description)) !== this.#before;
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }
}

/** Reads a vocabulary of a folder, such as "vocabulary/item.tsv". See `Vocabulary.parseInTurns`. */
export async function readVocabulary(
  members: FolderReader,
  name: string,
  turns: Turns,
  index: "index" | "no-index",
): Promise<Vocabulary> {
  const bytes = await members.read(name).catch((error) => {
    if (error instanceof ShortlistError) throw error;
    const { message } = fileError("read the vocabulary", members.path(name), error);
    throw new ShortlistError("ERR_VOCABULARY", message, { cause: error });
  });
  return Vocabulary.parseInTurns(bytes, members.path(name), turns, index);
}

/** Reads the titles of the items of a folder; undefined if it has none. */
export async function readTitles(members: FolderReader, items: number, turns: Turns): Promise<Titles | undefined> {
  if (!members.has(TITLES)) return undefined;
  const path = members.path(TITLES);
  const bytes = await members.read(TITLES).catch((error) => {
    throw fileError("read the titles", path, error);
  });
  return Titles.parse(bytes, items, path, members.code, turns);
}

/** Identifies a version of a folder by the folder and its description, which is written last. */
async function versionOf(folder: string, description: string): Promise<string> {
  const [at, file] = await Promise.all(
    [folder, join(folder, description)].map((path) => stat(path, { bigint: true }).catch(() => undefined)),
  );
  return [at?.dev, at?.ino, file?.ino, file?.mtimeNs, file?.size].join();
}

async function isBeingReplaced(folder: string): Promise<boolean> {
  const path = resolve(folder);
  const beside = await readdir(dirname(path)).catch(() => []);
  const inside = await readdir(path).catch(() => []);
  return beside.some((name) => isPartialOf(name, basename(path))) || inside.some(isPartial);
}
