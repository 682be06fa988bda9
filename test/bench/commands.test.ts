import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const root = fileURLToPath(new URL("../../", import.meta.url));

function bench(script: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", `bench/${script}`, ...args], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, PYTHON: "no-such-python" },
  });
  return {
    status,
    stderr,
    rows: stdout
      .trim()
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line)),
  };
}

for (const extra of [[], ["--cold"]]) {
  test(`bench: an op on every engine ${extra.join(" ")}`, () => {
    const args = ["--filter", "l2_decay: typical", "--seconds", "0", "--no-limits", "--json", ...extra];
    const { status, rows, stderr } = bench("run.ts", ...args, ...(extra.length > 0 ? ["--isa", "baseline"] : []));
    assert.is(status, 0, stderr);
    assert.ok(rows.length >= 1);
    for (const row of rows) assert.ok(row.microseconds > 0, JSON.stringify(row));
  });
}

test("bench:train: by instruction, and the whole", () => {
  const sizes = ["--users", "50", "--items", "60", "--tags", "20", "--batch", "8"];
  const { status, rows, stderr } = bench("train.ts", ...sizes, "--steps", "2", "--json", "--threads", "1");
  assert.is(status, 0, stderr);
  const [{ samplesPerSecond, instructions, items }] = rows as [Record<string, unknown>];
  assert.is(items, 60);
  assert.ok((samplesPerSecond as number) > 0);
  assert.ok((instructions as { op: string }[]).some(({ op }) => op === "lstm"));
});

test("bench:peers says what is missing, and fails where nothing ran", () => {
  const { status, stderr } = bench("peers/run.ts", "--filter", "gemm: 50 × 31");
  assert.is(status, 1);
  assert.match(stderr, "cannot run no-such-python");
  assert.match(stderr, "Nothing ran");
});

test.run();
