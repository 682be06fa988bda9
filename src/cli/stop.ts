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
 * Runs `work`, whose signal aborts at the first Ctrl-C or similar signal, so that it can end in its own way. Then prints
 * one line that tells what stays, sets the shell's usual exit code, and returns undefined. A second signal ends the
 * process at once.
 */
export async function stoppable<T>(
  describe: () => string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const controller = new AbortController();
  const stop = (signal: Signal) => () => {
    if (controller.signal.aborted) process.exit(128 + constants.signals[signal]);
    say(`\nstopping after this step (${signal}); a second signal ends it at once`);
    controller.abort(new StoppedBy(signal));
  };
  takeSignals({ SIGINT: stop("SIGINT"), SIGTERM: stop("SIGTERM"), SIGHUP: stop("SIGHUP") });
  try {
    return await work(controller.signal);
  } catch (error) {
    if (!(error instanceof StoppedBy)) throw error;
    say(`stopped by ${error.signal}. ${describe()}`);
    process.exitCode = 128 + constants.signals[error.signal];
    return undefined;
  }
}

class StoppedBy extends Error {
  readonly signal: Signal;

  constructor(signal: Signal) {
    super(`stopped by ${signal}`);
    this.signal = signal;
  }
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
