import { spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Measured } from "../../bench/prepare_side.js";
import { HAS_DUCKDB } from "../data/table_files.js";
import { withFolder } from "../data/temporary.js";
import { withSmallModel } from "../small_model.js";

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

test("bench:requests: latencies of each kind of request, and delays of the event loop", async () => {
  await withSmallModel(async (at) => {
    const files = ["--model", at("model"), "--log", at("log.tsv")];
    const sizes = ["--users", "50", "--rounds", "1", "--seconds", "0.02", "--threads", "1", "--top", "3"];
    const { status, rows, stderr } = bench("requests.ts", ...files, ...sizes, "--json");
    assert.is(status, 0, stderr);
    const [{ items, rows: kinds, delays }] = rows as [Record<string, unknown>];
    assert.is(items, 9);
    assert.is((kinds as object[]).length, 9);
    for (const { p50, p99 } of kinds as { p50: number; p99: number }[]) assert.ok(p50 > 0 && p99 >= p50);
    assert.equal(Object.keys(delays as object), ["one call", "a call each"]);
  });
});

test("bench:train: by instruction, and the whole", () => {
  const sizes = ["--users", "50", "--items", "60", "--tags", "20", "--batch", "8"];
  const { status, rows, stderr } = bench("train.ts", ...sizes, "--steps", "2", "--json", "--threads", "1");
  assert.is(status, 0, stderr);
  const [{ samplesPerSecond, instructions, items }] = rows as [Record<string, unknown>];
  assert.is(items, 60);
  assert.ok((samplesPerSecond as number) > 0);
  assert.ok((instructions as { op: string }[]).some(({ op }) => op === "lstm"));
});

test("bench:update: a model that is updated, beside the first one, extension alone and training again", async () => {
  await withFolder(async (folder) => {
    // Every user goes through the items in a circle, so that the next click can be learned. Columns as in MovieLens.
    const lines = Array.from({ length: 60 }, (_, user) => {
      const clicks = Array.from({ length: 20 }, (_, i) => {
        const item = (7 * user + i) % 30;
        return `m${item}:genre${item % 3}:tag${item % 5}_tag${item % 4}`;
      });
      return `u${user}\t${user % 7}\t${user % 4}\t${clicks.join(";")}\tF\n`;
    });
    await mkdir(join(folder, "logs"));
    await writeFile(join(folder, "logs/ml-1m.train.tsv"), lines.join(""));
    const small = ["lstmWidth=8", "userVectorWidth=8", "hiddenWidths=[8]", "batchSize=64", "epochs=1"];
    const sizes = ["--slices", "4", "--every", "2", "--hold-back", "5", "--threads", "1", "--retrain", "2"];
    const { status, rows, stderr } = bench(
      ...["update.ts", "--data", folder, "--log", "ml-1m", "--json", ...sizes],
      ...small.flatMap((key) => ["--train", key]),
    );
    assert.is(status, 0, stderr);
    type Row = Record<"slice" | "users" | "hit10" | "hit100" | "seconds", number> & { method: string };
    const measured = rows as Row[];
    const methods = measured.map(({ method, slice }) => `${slice} ${method.trim()}`);
    const days = [1, 2].flatMap((day) => [`${day} update`, `${day} extend alone`, `${day} first model`]);
    assert.equal(methods, ["0 trained", ...days, "2 retrain"]);
    for (const { users, hit10, hit100, seconds, method } of measured) {
      assert.is(users, 30);
      assert.ok(hit10 >= 0 && hit10 <= hit100 && hit100 <= 1);
      assert.ok(/update|train/.test(method) === seconds > 0, method);
    }
  });
});

const tables = HAS_DUCKDB ? test : test.skip;

tables("bench:prepare: a made-up table is prepared and trained on, beside DuckDB's ORDER BY", () => {
  const sizes = ["--events", "3000", "--users", "200", "--items", "100", "--steps", "2"];
  for (const ids of ["integer", "text"]) {
    const { status, rows, stderr } = bench("prepare.ts", ...sizes, "--ids", ids, "--json");
    assert.is(status, 0, stderr);
    const [{ order, prepare, ratio, train }] = rows as [
      Record<"order" | "prepare" | "train", Measured> & { ratio: number },
    ];
    assert.ok(Math.abs(ratio - prepare.seconds / order.seconds) < 1e-6);
    for (const { seconds, peak } of [order, prepare, train]) assert.ok(seconds > 0 && peak > 1e7);
    assert.ok(train.trained! > 200 * 4);
  }
});

test("bench:peers says what is missing, and fails where nothing ran", () => {
  const { status, stderr } = bench("peers/run.ts", "--filter", "gemm: 50 × 31");
  assert.is(status, 1);
  assert.match(stderr, "cannot run no-such-python");
  assert.match(stderr, "Nothing ran");
});

test.run();
