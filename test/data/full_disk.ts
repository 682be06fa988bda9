// Fills the disk under commands while they write: on a small file system in memory, of which more and more is free. It
// needs a mount namespace of its own: unshare -m node --import tsx test/data/full_disk.ts. Arguments are a folder for the
// inputs, the factor from one size to the next, and names of commands. outputs.test.ts runs a sample.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { run, succeed, temporaryFolder } from "../cli/run.js";
import { hiddenIn, makeInputs, versionOf, type Writer, writers } from "./kills.js";

const DISK_BYTES = 64 << 20;
const BLOCK_BYTES = 4096;

/** Leaves so many bytes of the disk free. */
function fill(disk: string, free: number): void {
  const filler = join(disk, "filler");
  rmSync(filler, { force: true });
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(filler, Buffer.alloc(bavail * bsize - free));
}

/**
 * Runs a command on a disk with little space, from none on. Checks that it writes all of its output, or says that the
 * disk is full and leaves the old output whole, and that the next run with enough space leaves nothing else. Returns how
 * often the disk was full.
 */
async function checkFullDisk({ name, args, outputs, check }: Writer, disk: string, factor: number): Promise<number> {
  const out = join(disk, "out");
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out);
  const versions = [0, 1].map((version) => {
    succeed(...args(version, out));
    return versionOf(out, outputs);
  });
  let refusals = 0;
  let now = 1;
  for (let free = 0, enough = false; !enough; free = Math.max(BLOCK_BYTES, Math.ceil(free * factor))) {
    fill(disk, free);
    const { status, stderr } = run(args(1 - now, out));
    const found = versions.indexOf(versionOf(out, outputs));
    enough = status === 0;
    if (enough) {
      assert.is(found, 1 - now, `${name} with ${free} bytes free`);
    } else {
      refusals++;
      assert.is(status, 1, `${name} with ${free} bytes free: ${stderr}`);
      const message = /^error: Cannot .*: the disk is full.*/m.exec(stderr)?.[0] ?? "";
      assert.ok(
        message.includes(`${out}/`) && !message.includes(".partial-"),
        `${name}, ${free} bytes free: ${stderr}`,
      );
      assert.is(found, now, `${name} with ${free} bytes free: the old output is not whole`);
      await check?.(out);
    }
    now = found;
  }
  rmSync(join(disk, "filler"));
  for (const version of [0, 1]) {
    succeed(...args(version, out));
    assert.is(versionOf(out, outputs), versions[version], name);
    assert.equal(hiddenIn(out), [], name);
  }
  assert.ok(refusals > 0, `${name}: the disk was never full`);
  return refusals;
}

const [given, factor = "1.5", ...names] = process.argv.slice(2);
const folder = given ?? temporaryFolder();
const disk = join(folder, "disk");
mkdirSync(disk);
const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "none", disk], { encoding: "utf8" });
assert.is(mounted.status, 0, mounted.stderr);
if (!existsSync(join(folder, "ds0"))) makeInputs(folder);
for (const writer of writers(folder)) {
  // tune has no output that is replaced as a whole.
  if (writer.name === "tune" || (names.length > 0 && !names.includes(writer.name))) continue;
  console.log(`${writer.name}: the disk was full ${await checkFullDisk(writer, disk, Number(factor))} times`);
}
