/**
 * Lets a number of calls in at once; the others wait in the order in which they came. What a call makes of its request
 * is many times as large as what it keeps while it waits, and V8 copies it all while the event loop waits.
 */
export class Gate {
  readonly #most: number;
  #inside = 0;
  #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  /** Resolves when the caller may go in. Rejects with the signal's reason if it is aborted before. */
  async enter(signal: AbortSignal | undefined): Promise<void> {
    if (this.#inside < this.#most) {
      this.#inside++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const goIn = () => {
        signal?.removeEventListener("abort", stop);
        resolve();
      };
      const stop = () => {
        this.#waiting = this.#waiting.filter((other) => other !== goIn);
        reject(signal!.reason);
      };
      signal?.addEventListener("abort", stop, { once: true });
      this.#waiting.push(goIn);
    });
  }

  /** Says that a caller that went in has finished. */
  leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#inside--;
  }
}
