import { createWriteStream, rmSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { asFileError, makeParents } from "../files.js";
import { hiddenNameFor, isPartialOf } from "../hidden_names.js";
import { whileUnfinished } from "../unfinished.js";

/**
 * Calls `work` with a file that has the content of standard input, which can be read only once. The file is beside
 * `output` under a hidden name, or in the folder for temporary files without an output, and is removed afterwards.
 */
export async function withStandardInput<T>(
  output: string | undefined,
  signal: AbortSignal | undefined,
  work: (path: string) => Promise<T>,
): Promise<T> {
  // Not the name of the output, since everything hidden under that name is removed when the output is written.
  const target = output === undefined ? join(tmpdir(), "shortlist-input") : `${resolve(output)}-input`;
  const undoParents = await makeParents(target);
  await removeLeftovers(target);
  const copy = hiddenNameFor(target);
  const finish = whileUnfinished(() => rmSync(copy, { force: true }));
  try {
    await copyStandardInput(copy, signal);
    return await work(copy);
  } finally {
    finish();
    undoParents();
  }
}

async function copyStandardInput(copy: string, signal: AbortSignal | undefined): Promise<void> {
  try {
    await pipeline(process.stdin, createWriteStream(copy, { flags: "wx" }), { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw asFileError("copy standard input to", copy, error);
  }
}

/** Removes the copies of processes that were killed. */
async function removeLeftovers(target: string): Promise<void> {
  for (const name of await readdir(dirname(target))) {
    const owner = Number(/\.partial-(\d+)-/.exec(name)?.[1]);
    if (isPartialOf(name, basename(target)) && !isRunning(owner))
      await rm(join(dirname(target), name), { force: true });
  }
}

function isRunning(processId: number): boolean {
  try {
    return process.kill(processId, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
