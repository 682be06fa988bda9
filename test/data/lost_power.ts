// Simulates lost power: a command is killed at a step of its writing, and what it had not synced is taken back. Here at
// every step of every command: node --import tsx test/data/lost_power.ts. A name and a number after it choose a command
// and the most steps. outputs.test.ts has a sample of it.

import { spawnSync } from "node:child_process";
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as assert from "uvu/assert";
import { main, succeed, temporaryFolder } from "../cli/run.js";
import { hiddenIn, makeInputs, type Resumable, trainings, updates, versionOf, type Writer, writers } from "./kills.js";

const source = fileURLToPath(new URL("lost_power.c", import.meta.url));

/** Builds the library that records a process's writes. Returns undefined where that is impossible. */
export function buildRecorder(folder: string): string | undefined {
  const library = join(folder, "lost_power.so");
  const flags = ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"];
  if (process.platform !== "linux" || spawnSync("cc", flags).status !== 0) return undefined;
  // The names of functions that it takes over are those of glibc.
  return spawnSync("true", { env: { LD_PRELOAD: library } }).status === 0 ? library : undefined;
}

/** What a process has changed in a folder, and whether it was synced. */
class Changes {
  /** Sizes up to which files are synced, by inode. */
  readonly #synced: Map<number, number>;
  /** Files that were written since their last sync. */
  readonly #written = new Set<number>();
  readonly #newFolders = new Set<number>();
  /** Names that were created or renamed in a folder since its last sync, and links that were replaced there. */
  readonly #names = new Map<number, Map<string, "created" | "renamed">>();
  readonly #links = new Map<number, Map<string, string>>();

  /** `synced` are the sizes of the files before the process, by inode; `record` is what the library has written. */
  constructor(synced: ReadonlyMap<number, number>, record: string) {
    this.#synced = new Map(synced);
    for (const line of record.split("\n")) if (line !== "") this.#add(line);
  }

  #add(line: string): void {
    const [event, inode, ...rest] = line.split(" ") as [string, string, ...string[]];
    const [at, [name = "", text = ""]] = [Number(inode), rest];
    const named = this.#names.get(at) ?? new Map<string, "created" | "renamed">();
    if (event === "c") this.#synced.set(at, 0);
    if (event === "c" || event === "w") this.#written.add(at);
    if (event === "s") {
      this.#written.delete(at);
      this.#synced.set(at, Number(name));
    }
    if (event === "d") {
      this.#newFolders.add(at);
      this.#names.delete(at);
      this.#links.delete(at);
    }
    // A file system keeps the order of changes in a folder, so a name that was renamed had been created for good.
    if (event === "n") this.#names.set(at, named.set(name, "created"));
    if (event === "m") this.#names.set(at, named.set(name, "renamed"));
    if (event === "l" && !this.#links.get(at)?.has(name)) {
      this.#links.set(at, (this.#links.get(at) ?? new Map<string, string>()).set(name, text));
    }
    if (event === "f") {
      this.#names.delete(at);
      this.#links.delete(at);
    }
  }

  /** Takes back what was not synced: bytes of files, names in new folders, and replaced links. */
  takeBack(folder: string): void {
    const { ino } = lstatSync(folder);
    for (const [name, text] of this.#links.get(ino) ?? []) {
      if (!lstatSync(join(folder, name), { throwIfNoEntry: false })?.isSymbolicLink()) continue;
      unlinkSync(join(folder, name));
      symlinkSync(text, join(folder, name));
    }
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      const status = lstatSync(path);
      if (this.#newFolders.has(ino) && this.#names.get(ino)?.get(name) === "created") {
        rmSync(path, { recursive: true });
      } else if (status.isDirectory()) {
        this.takeBack(path);
      } else if (this.#written.has(status.ino)) {
        truncateSync(path, Math.min(status.size, this.#synced.get(status.ino) ?? 0));
      }
    }
  }

  /** The paths of files and folders, other than hidden ones, of which something is not synced. */
  unsynced(folder: string): string[] {
    const { ino } = lstatSync(folder);
    const isVisible = (name: string) => !name.startsWith(".");
    const names = [...(this.#names.get(ino)?.keys() ?? [])].filter(isVisible);
    const members = readdirSync(folder).filter(isVisible);
    return [
      ...(names.length > 0 ? [`${folder} (${names})`] : []),
      ...members.flatMap((name) => {
        const path = join(folder, name);
        const status = lstatSync(path);
        if (status.isDirectory()) return this.unsynced(path);
        return this.#written.has(status.ino) ? [path] : [];
      }),
    ];
  }
}

function sizesIn(folder: string): Map<number, number> {
  const paths = (readdirSync(folder, { recursive: true }) as string[]).map((name) => lstatSync(join(folder, name)));
  return new Map(paths.map(({ ino, size }) => [ino, size]));
}

/** Runs commands whose power is lost. */
export class PowerLoss {
  readonly #library: string;
  readonly #record: string;

  /** `library` is that of `buildRecorder`. The record is written to `folder`. */
  constructor(library: string, folder: string) {
    this.#library = library;
    this.#record = join(folder, "record.txt");
  }

  /**
   * Runs a command that writes into the folder `out`, and kills it before step `at`, if it has so many. Then takes back
   * what was not synced. Returns whether it was killed, and what it wrote to standard error. If it was not killed, fails
   * unless everything is synced.
   */
  run(args: readonly string[], out: string, at: number): { readonly killed: boolean; readonly said: string } {
    writeFileSync(this.#record, "");
    const before = sizesIn(out);
    const { signal, stderr } = spawnSync(process.execPath, [main, ...args], {
      encoding: "utf8",
      env: {
        ...process.env,
        ...{ LD_PRELOAD: this.#library, LOST_POWER_ROOT: out, LOST_POWER_LOG: this.#record, LOST_POWER_AT: `${at}` },
      },
    });
    const changes = new Changes(before, readFileSync(this.#record, "utf8"));
    const killed = signal === "SIGKILL";
    if (!killed) assert.equal(changes.unsynced(out), [], `${args.join(" ")}: not synced at its end`);
    changes.takeBack(out);
    return { killed, said: stderr };
  }

  /** Runs a command to its end, and returns the number of its steps. */
  stepsOf(args: readonly string[], out: string): number {
    assert.not.ok(this.run(args, out, 0).killed);
    return readFileSync(this.#record, "utf8").match(/^p /gm)?.length ?? 0;
  }
}

/** At most `most` of the steps up to `all`, at equal distances, and the last one. */
export function someSteps(all: number, most: number): number[] {
  const count = Math.min(all, most);
  return Array.from({ length: count }, (_, i) => Math.ceil(((i + 1) * all) / count));
}

/** Loses the power at some steps of a command, and checks that its outputs are whole each time. */
export async function losePowerIn(
  power: PowerLoss,
  { name, args, outputs, check }: Writer,
  out: string,
  stepsOf: (all: number) => Iterable<number>,
): Promise<number> {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out);
  const deep = join(out, "new/folder");
  assert.not.ok(power.run(args(0, deep), out, 0).killed, "what is in new folders is synced at the end, too");
  rmSync(join(out, "new"), { recursive: true });
  const versions = [0, 1].map((version) => {
    succeed(...args(version, out));
    return versionOf(out, outputs);
  });
  const all = power.stepsOf(args(0, out), out);
  let losses = 0;
  for (const at of stepsOf(all)) {
    const { killed } = power.run(args(losses++ % 2, out), out, at);
    const found = versions.indexOf(versionOf(out, outputs));
    assert.ok(found >= 0, `${name}, power lost ${killed ? `at step ${at}` : "at its end"}: a mixture or nothing`);
    await check?.(out);
  }
  // Version 1 first, since an interrupted run of it is not resumed by one of version 0.
  for (const version of [1, 0]) {
    succeed(...args(version, out));
    assert.is(versionOf(out, outputs), versions[version]);
    assert.equal(hiddenIn(out), [], name);
  }
  return losses;
}

/** Loses the power of a training again and again, resumes it each time, and checks that it ends with the same model. */
export function losePowerAndResume(power: PowerLoss, { name, args }: Resumable, out: string, most: number): number {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out);
  const [whole, output] = [`${out}-whole`, join(out, "model")];
  succeed(...args(whole), "--threads", "1");
  let losses = 0;
  for (let finished = false; !finished; ) {
    const at = losses < most ? 1 + Math.floor(150 * Math.random()) : 0;
    const { killed, said } = power.run([...args(output), "--resume", "--threads", "1"], out, at);
    if (killed) losses++;
    finished = said.includes("it holds a finished model") || (!killed && said.includes("samples/s ("));
    assert.ok(finished || killed, `${name}, after power was lost: ${said}`);
  }
  for (const member of ["model.safetensors", "vocabulary"]) {
    assert.is(versionOf(output, [member]), versionOf(whole, [member]), name);
  }
  assert.equal(hiddenIn(out), []);
  return losses;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = temporaryFolder();
  const library = buildRecorder(folder);
  if (!library) throw new Error("Expected Linux with glibc and a C compiler");
  const power = new PowerLoss(library, folder);
  const [only, most = "1000"] = process.argv.slice(2);
  makeInputs(folder);
  for (const writer of writers(folder)) {
    // tune has no output that is replaced as a whole.
    if (writer.name === "tune" || (only !== undefined && writer.name !== only)) continue;
    const losses = await losePowerIn(power, writer, join(folder, "out"), (all) => someSteps(all + 1, Number(most)));
    console.log(`${writer.name}: power lost at ${losses} steps, whole each time`);
  }
  for (const training of [...trainings(folder), ...updates(folder)]) {
    if (only !== undefined && only !== "resume") continue;
    const losses = losePowerAndResume(power, training, join(folder, "resumed"), 20);
    console.log(`${training.name}: power lost ${losses} times, the same model`);
  }
}
