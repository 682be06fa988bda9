import { setImmediate } from "node:timers/promises";

/** Milliseconds for which work may block the event loop. */
const MAX_BLOCKING_MS = 5;

/** Lets the event loop run now and then during long synchronous work: `if (turns.isDue) await turns.take();`. */
export class Turns {
  readonly #signal: AbortSignal | undefined;
  #started = performance.now();

  /** If the signal is aborted, `take` throws its reason. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  get isDue(): boolean {
    return performance.now() - this.#started >= MAX_BLOCKING_MS;
  }

  async take(): Promise<void> {
    this.#signal?.throwIfAborted();
    await setImmediate();
    this.#signal?.throwIfAborted();
    this.#started = performance.now();
  }
}
