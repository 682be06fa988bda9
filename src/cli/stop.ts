import { constants } from "node:os";
import { removeUnfinished } from "../index.js";
import { say } from "./output.js";

let whatStays = () => "Nothing was changed.";

/** Says what a command that is stopped leaves behind, as a sentence. */
export function whenStopped(describe: () => string): void {
  whatStays = describe;
}

/**
 * Ends the process on Ctrl-C and its like: what is written in part is removed, one line says what stays, and the exit
 * code is the shell's own (130, 143). Handlers are there for one signal, so a second one ends the process at once.
 */
export function stopOnSignals(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      removeUnfinished();
      say(`\nstopped by ${signal}. ${whatStays()}`);
      process.exit(128 + constants.signals[signal]);
    });
  }
}
