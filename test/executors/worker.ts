// A worker thread of worker_thread.test.ts: runs the bag program, then starts slow runs that nobody waits for.

import { parentPort, workerData } from "node:worker_threads";
import { createEngine } from "../../src/executors/index.js";
import { bagInputs, bagProgram, prepare, SLOW_ROWS, slowInputs, slowProgram } from "./programs.js";

const { samples, slowRuns } = workerData as { samples: number; slowRuns: number };
const engine = createEngine({ threads: 2 });
const { inputs, dims } = bagInputs(samples);
const outputs = await prepare(engine, bagProgram()).executor.run(inputs, dims);
const slow = prepare(engine, slowProgram()).executor;
for (let i = 0; i < slowRuns; i++) void slow.run(slowInputs(), { rows: SLOW_ROWS });
parentPort!.postMessage(outputs);
