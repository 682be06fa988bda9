/**
 * Milliseconds for which work may block the event loop. On a busy machine other threads make each turn several times as
 * long; with 2 ms, the delays of the event loop were up to twice as long as with 0.5, and no work was faster
 * (`npm run bench:requests`).
 */
const MAX_BLOCKING_MS = 0.5;

/**
 * When the work of the current turn of the event loop began. Undefined if there was none yet. All calls in progress
 * share it, because together they block the event loop.
 */
let turnStart: number | undefined;
/** Resumes the calls that wait for a turn, the one that has waited longest first. */
const waiting: (() => void)[] = [];
let isResuming = false;

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

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (isResuming) return;
    isResuming = true;
    setImmediate(resumeNext);
  });
}

/** Resumes one call. When it pauses or ends, the next one follows, in this turn of the event loop if there is time. */
function resumeNext(): void {
  const resume = waiting.shift();
  if (!resume) {
    isResuming = false;
    return;
  }
  resume();
  // A tick that a microtask asks for comes after all microtasks, so after what the call does until it waits again.
  queueMicrotask(() => process.nextTick(continueTurn));
}

function continueTurn(): void {
  if (millisecondsInTurn() < MAX_BLOCKING_MS) resumeNext();
  else setImmediate(resumeNext);
}

/** Lets the event loop run now and then during long synchronous work: `if (turns.isDue) await turns.take();`. */
export class Turns {
  readonly #signal: AbortSignal | undefined;
  /** When work in the background began to block the event loop. Undefined for work that somebody waits for. */
  #since: number | undefined;

  /** If the signal is aborted, `take` throws its reason. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
    millisecondsInTurn();
  }

  /**
   * Turns of long work that others should not notice, such as opening a model beside one that serves: it takes a small
   * part of each turn of the event loop, beside what others take.
   */
  static inBackground(signal?: AbortSignal): Turns {
    const turns = new Turns(signal);
    turns.#since = performance.now();
    return turns;
  }

  get isDue(): boolean {
    if (this.#since === undefined) return millisecondsInTurn() >= MAX_BLOCKING_MS;
    return performance.now() - this.#since >= MAX_BLOCKING_MS;
  }

  /** Waits for a turn of the event loop. Calls that wait are resumed in the order in which they began to wait. */
  async take(): Promise<void> {
    this.#signal?.throwIfAborted();
    if (this.#since === undefined) await nextTurn();
    else {
      await new Promise((resolve) => setImmediate(resolve));
      this.#since = performance.now();
    }
    this.#signal?.throwIfAborted();
  }
}

/** Finishes work that yields when it has done some of it, without a pause. */
export function finish<Result>(work: Iterator<void, Result>): Result {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/** Finishes work that yields when it has done some of it, and lets the event loop run now and then. */
export async function finishInTurns<Result>(work: Iterator<void, Result>, turns: Turns): Promise<Result> {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    if (turns.isDue) await turns.take();
  }
}
