import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const script = fileURLToPath(new URL("./ending.ts", import.meta.url));

/** Runs a process and returns how it ended and what it printed. */
function end(how: string): { ended: string; stdout: string; stderr: string } {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", script, how], {
    encoding: "utf8",
  });
  return { ended: signal ?? `exit code ${status}`, stdout, stderr };
}

test("a process may exit while a run is in flight and others wait", () => {
  for (const [how, code] of [
    ["exit", 3],
    ["exit_later", 4],
    ["exit_in_steps", 4],
  ] as const) {
    const { ended, stderr } = end(how);
    assert.is(ended, `exit code ${code}`, stderr);
    assert.is(stderr, "");
  }
});

test("an error that nobody catches is reported while a run is in flight", () => {
  const { ended, stderr } = end("throw");
  assert.is(ended, "exit code 1", stderr);
  assert.match(stderr, "thrown on purpose");
});

test("a process that has nothing else to do waits for its runs", () => {
  const { ended, stdout, stderr } = end("finish");
  assert.is(ended, "exit code 0", stderr);
  assert.is(stdout, "3 done\n");
});

test.run();
