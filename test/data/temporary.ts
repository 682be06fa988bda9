import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { clickLog } from "../../src/data/sources/click_log.js";
import type { LogRow, LogSource } from "../../src/data/sources/source.js";
import { type ErrorCode, ShortlistError } from "../../src/errors.js";

/** Runs `work` with a new folder, and removes the folder afterwards. */
export async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "shortlist-"));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Returns the path of a name in a folder of a test. */
export type At = (name: string) => string;

/** Runs `work` with the paths of names in a new folder, and removes the folder afterwards. */
export async function withFiles(work: (at: At, folder: string) => Promise<void>): Promise<void> {
  await withFolder((folder) => work((name) => join(folder, name), folder));
}

/** A click log that the reader in TypeScript parses, row by row. */
export function asRows(path: string): LogSource {
  const source = clickLog(path);
  return { ...source, read: (...given) => source.read(...given) };
}

/** A click log whose reader leaves out a member of each row. */
export function clickLogWithout(member: "weights" | "clickNumbers", path: string): LogSource {
  const log = clickLog(path);
  const without = ({ [member]: _, ...row }: LogRow): LogRow => row;
  return {
    ...log,
    read: (binding, sink, options) =>
      log.read(binding, { ...sink, row: (row, number) => sink.row(without(row), number) }, options),
  };
}

/**
 * Removes the ids from config.json or dataset.json. Older versions wrote such folders; without ids, tests can change
 * single files.
 */
export async function withoutIds(description: string): Promise<void> {
  const { id: _, members: __, ...rest } = JSON.parse(await readFile(description, "utf8"));
  await writeFile(description, JSON.stringify(rest));
}

/** Returns the error with which `work` rejects. */
export async function failureOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error("Expected an error but nothing was thrown");
}

/** Expects a ShortlistError with this code, whose message contains (or matches) `message`. Returns the message. */
export async function expectError(work: Promise<unknown>, code: ErrorCode, message: string | RegExp): Promise<string> {
  const error = await failureOf(work);
  if (!(error instanceof ShortlistError)) throw error;
  assert.is(error.code, code, error.message);
  assert.match(error.message, message);
  return error.message;
}
