import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { withSmallModel } from "../small_model.js";
import { main, run, succeed } from "./run.js";

test("a killed run is resumed, and its file has the bytes of a whole run and of standard output", async () => {
  await withSmallModel(async (at) => {
    const mine = ["mine", "users", at("model"), "--log", at("log.tsv"), "--top", "5"];
    const whole = succeed(...mine);
    for (const delay of [0, 20, 60]) {
      const output = at("output.jsonl");
      const child = spawn(process.execPath, [main, ...mine, "--output", output], { stdio: "ignore" });
      const ended = new Promise((resolve) => child.on("close", resolve));
      const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
      while (!hasEnded() && !existsSync(at(".output.jsonl.unfinished/state.json"))) await pause(5);
      await pause(delay);
      const isWhole = existsSync(output);
      child.kill("SIGKILL");
      await ended;
      if (!isWhole) assert.ok(!existsSync(output) || readFileSync(output, "utf8") === whole);
      const { status, stderr } = run([...mine, "--output", output, "--resume"]);
      assert.is(status, 0, stderr);
      assert.match(stderr, /output\.jsonl: 700 lists(, \d+ of them by an interrupted run)?\n/);
      assert.is(readFileSync(output, "utf8"), whole);
      assert.equal(
        readdirSync(at(".")).filter((name) => name.includes("unfinished")),
        [],
      );
      spawnSync("rm", [output]);
    }
  });
});

test("impossible flags, a full disk and a closed output are said", async () => {
  await withSmallModel(async (at) => {
    for (const flags of [["--format", "parquet"], ["--resume"]]) {
      const { status, stderr } = run(["mine", "popular", at("model"), ...flags]);
      assert.equal([status, /Expected a file for .*: add --output/.test(stderr)], [1, true], stderr);
    }
    const command = `"${process.execPath}" "${main}" mine similar "${at("model")}" --format text`;
    const full = spawnSync("sh", ["-c", `${command} > /dev/full`], { encoding: "utf8" });
    assert.equal([full.status, full.stderr], [1, "error: Cannot write to standard output: the disk is full\n"]);
    assert.is(run(["mine", "similar", at("model"), "--output", "/dev/full"]).status, 1);
    const users = `"${process.execPath}" "${main}" mine users "${at("model")}" --log "${at("log.tsv")}"`;
    const closed = spawnSync("sh", ["-c", `${users} | true`], { encoding: "utf8" });
    assert.equal([closed.status, closed.stdout], [0, ""]);
    assert.match(
      closed.stderr,
      /^stopped: the reader closed standard output before all lists were written \(\d+ made\)\n$/,
    );
    const text = succeed("mine", "similar", at("model"), "--format", "text");
    assert.match(text, /^v\d\tv\d:-?\d\.\d{6},/);
  });
});

test.run();
