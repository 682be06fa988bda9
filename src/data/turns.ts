import { setImmediate } from "node:timers/promises";

/** Milliseconds for which work may hold the event loop. */
const LONGEST = 5;

/**
 * Lets the event loop turn now and then during work that has nothing to wait for: `if (turns.isDue) await
 * turns.take();`.
 */
export class Turns {
  readonly #signal: AbortSignal | undefined;
  #started = performance.now();

  /** The signal ends the work at the next turn, with its reason. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  get isDue(): boolean {
    return performance.now() - this.#started >= LONGEST;
  }

  async take(): Promise<void> {
    this.#signal?.throwIfAborted();
    await setImmediate();
    this.#signal?.throwIfAborted();
    this.#started = performance.now();
  }
}
