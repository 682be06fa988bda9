// The process that at_exit.test.ts starts. It starts runs and then ends in the way that its argument says.

import { createEngine } from "../../src/executors/index.js";
import { prepare, SLOW_ROWS, slowInputs, slowProgram } from "./programs.js";
import { scalars, trainingCase } from "./training_case.js";

const { executor } = prepare(createEngine({ threads: 2 }), slowProgram());
let done = 0;
for (let i = 0; i < 3; i++) {
  void executor.run(slowInputs(), { rows: SLOW_ROWS }).then(() => {
    done++;
  });
}

const [, , how] = process.argv;
if (how === "exit_in_steps") {
  const training = trainingCase(createEngine({ threads: 2 }), { batchSize: 1 });
  const { batchesPerEpoch: steps } = training.batches;
  void training.executor.runSteps(training.batches, { epoch: 0, index: 0, steps, scalars: scalars(0, steps) });
}

switch (how) {
  case "exit":
    process.exit(3);
    break;
  case "exit_later":
  case "exit_in_steps":
    setTimeout(() => process.exit(4), 20);
    break;
  case "throw":
    throw new Error("thrown on purpose");
  case "finish":
    process.on("exit", () => console.log(`${done} done`));
}
