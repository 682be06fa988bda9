import { mkdtemp, rm } from "node:fs/promises";
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

/** Expects a ShortlistError of this code whose message holds (or matches) `message`; gives the message. */
export async function expectError(work: Promise<unknown>, code: ErrorCode, message: string | RegExp): Promise<string> {
  let error: unknown;
  try {
    await work;
  } catch (caught) {
    error = caught;
  }
  if (!(error instanceof ShortlistError)) throw error ?? new Error(`Expected ${code} but nothing was thrown`);
  assert.is(error.code, code, error.message);
  assert.match(error.message, message);
  return error.message;
}
