// The worker thread that worker_thread.test.ts starts. It runs the bag program, then starts slow runs and training
// steps without waiting for them.

import { parentPort, workerData } from "node:worker_threads";
import { createEngine } from "../../src/executors/index.js";
import { bagInputs, bagProgram, prepare, SLOW_ROWS, slowInputs, slowProgram } from "./programs.js";
import { scalars, trainingCase } from "./training_case.js";

const { samples, slowRuns } = workerData as { samples: number; slowRuns: number };
const engine = createEngine({ threads: 2 });
const { inputs, dims } = bagInputs(samples);
const outputs = await prepare(engine, bagProgram()).executor.run(inputs, dims);
const slow = prepare(engine, slowProgram()).executor;
for (let i = 0; i < slowRuns; i++) void slow.run(slowInputs(), { rows: SLOW_ROWS });
const training = trainingCase(createEngine({ threads: 2 }), { batchSize: 1 });
const { batchesPerEpoch: steps } = training.batches;
for (let epoch = 0; epoch < slowRuns; epoch++) {
  void training.executor.runSteps(training.batches, { epoch, index: 0, steps, scalars: scalars(0, steps) });
}
parentPort!.postMessage(outputs);
