// A process of at_exit.test.ts: starts runs, then ends in the way that its argument says.

import { createEngine } from "../../src/executors/index.js";
import { prepare, SLOW_ROWS, slowInputs, slowProgram } from "./programs.js";

const { executor } = prepare(createEngine({ threads: 2 }), slowProgram());
let done = 0;
for (let i = 0; i < 3; i++) {
  void executor.run(slowInputs(), { rows: SLOW_ROWS }).then(() => {
    done++;
  });
}

switch (process.argv[2]) {
  case "exit":
    process.exit(3);
    break;
  case "exit_later":
    setTimeout(() => process.exit(4), 20);
    break;
  case "throw":
    throw new Error("thrown on purpose");
  case "finish":
    process.on("exit", () => console.log(`${done} done`));
}
