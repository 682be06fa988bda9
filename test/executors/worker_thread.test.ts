import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createEngine } from "../../src/executors/index.js";
import { bagInputs, bagProgram, prepare } from "./programs.js";

function start(samples: number, slowRuns: number) {
  const worker = new Worker(new URL("./worker.mjs", import.meta.url), { workerData: { samples, slowRuns } });
  const first = async (event: string) => (await once(worker, event))[0] as unknown;
  return { worker, message: first("message"), exit: first("exit") };
}

test("the addon works in several threads at once, each with its own state", async () => {
  const main = prepare(createEngine({ threads: 1 }), bagProgram()).executor;
  const sizes = [5, 60, 7];
  const workers = sizes.map((samples) => start(samples, 0));
  for (const [i, samples] of sizes.entries()) {
    const { inputs, dims } = bagInputs(samples);
    assert.equal(await workers[i]!.message, await main.run(inputs, dims));
    assert.is(await workers[i]!.exit, 0);
  }
});

test("ending a thread with runs in flight does not affect the process", async () => {
  for (let i = 0; i < 3; i++) {
    const { worker, message } = start(3, 4);
    await message;
    assert.is(await worker.terminate(), 1);
  }
  const { inputs, dims } = bagInputs(3);
  assert.is((await prepare(createEngine({ threads: 1 }), bagProgram()).executor.run(inputs, dims))["score"]!.length, 9);
});

test.run();
