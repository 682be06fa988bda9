import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { type ErrorCode, ShortlistError } from "../../src/errors.js";

/** Runs `work` with a folder of its own, which is removed after it. */
export async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "shortlist-"));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Takes the ids out of config.json or dataset.json: a folder as older versions wrote it, whose files can be changed singly. */
export async function withoutIds(description: string): Promise<void> {
  const { id: _, members: __, ...rest } = JSON.parse(await readFile(description, "utf8"));
  await writeFile(description, JSON.stringify(rest));
}

/** The error that `work` rejects with. */
export async function failureOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error("Expected an error but nothing was thrown");
}

/** Expects a ShortlistError of this code whose message holds (or matches) `message`; gives the message. */
export async function expectError(work: Promise<unknown>, code: ErrorCode, message: string | RegExp): Promise<string> {
  const error = await failureOf(work);
  if (!(error instanceof ShortlistError)) throw error;
  assert.is(error.code, code, error.message);
  assert.match(error.message, message);
  return error.message;
}
