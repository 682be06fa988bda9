import { constants } from "node:os";
import { removeUnfinished } from "../index.js";
import { say } from "./output.js";

let whatStays = () => "Nothing was changed.";

/** Sets the sentence that tells what a stopped command leaves behind. */
export function whenStopped(describe: () => string): void {
  whatStays = describe;
}

/**
 * Ends the process on Ctrl-C and similar signals. It removes what is partly written, prints one line that tells what
 * stays, and exits with the shell's usual code (130, 143). Handlers run once, so a second signal ends the process at
 * once.
 */
export function stopOnSignals(): void {
  for (const signal of SIGNALS) process.once(signal, stop);
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
type Signal = (typeof SIGNALS)[number];

function stop(signal: NodeJS.Signals): void {
  removeUnfinished();
  say(`\nstopped by ${signal}. ${whatStays()}`);
  process.exit(128 + constants.signals[signal]);
}

/**
 * Handles signals in another way from now on. After the first SIGINT or SIGTERM, a second one ends the process at once;
 * SIGHUP can be sent any number of times.
 */
export function takeSignals(handlers: Readonly<Record<Signal, () => void>>): void {
  for (const signal of SIGNALS) {
    process.off(signal, stop);
    if (signal === "SIGHUP") process.on(signal, handlers[signal]);
    else process.once(signal, handlers[signal]);
  }
}
