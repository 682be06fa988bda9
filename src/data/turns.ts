import { setImmediate as nextTurn } from "node:timers/promises";

/** Milliseconds for which work may block the event loop. */
const MAX_BLOCKING_MS = 5;

/**
 * When the work of the current turn of the event loop began. Undefined if there was none yet. All calls in progress
 * share it, because together they block the event loop.
 */
let turnStart: number | undefined;

/** Milliseconds since work began in the current turn of the event loop. */
function millisecondsInTurn(): number {
  const now = performance.now();
  if (turnStart === undefined) {
    turnStart = now;
    setImmediate(() => {
      turnStart = undefined;
    });
  }
  return now - turnStart;
}

/** Lets the event loop run now and then during long synchronous work: `if (turns.isDue) await turns.take();`. */
export class Turns {
  readonly #signal: AbortSignal | undefined;

  /** If the signal is aborted, `take` throws its reason. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
    millisecondsInTurn();
  }

  get isDue(): boolean {
    return millisecondsInTurn() >= MAX_BLOCKING_MS;
  }

  /** Waits for a turn of the event loop that other calls have not used up already. */
  async take(): Promise<void> {
    this.#signal?.throwIfAborted();
    do await nextTurn();
    while (this.isDue);
    this.#signal?.throwIfAborted();
  }
}
