import { describeValue, ShortlistError } from "../errors.js";

/** When `train` writes checkpoints: at the end of each epoch, after so many steps or seconds, or never. */
export type CheckpointEvery = "epoch" | "never" | { readonly steps: number } | { readonly seconds: number };

/** Throws ERR_OPTION unless `value` is a `CheckpointEvery`. */
export function checkCheckpointEvery(value: unknown): void {
  if (value === "epoch" || value === "never") return;
  const { steps, seconds, ...others } = (typeof value === "object" && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  const isSteps = seconds === undefined && Number.isSafeInteger(steps) && (steps as number) > 0;
  const isSeconds = steps === undefined && typeof seconds === "number" && seconds > 0;
  if (Object.keys(others).length === 0 && (isSteps || isSeconds)) return;
  const received = typeof value === "object" && value !== null ? JSON.stringify(value) : describeValue(value);
  throw new ShortlistError(
    "ERR_OPTION",
    `Expected checkpointEvery to be "epoch", "never", { steps: … } or { seconds: … } but received ${received}`,
  );
}

/** Decides when the next checkpoint is due. */
export class CheckpointSchedule {
  readonly #every: CheckpointEvery;
  #written = performance.now();

  constructor(every: CheckpointEvery) {
    this.#every = every;
  }

  /** Whether there are checkpoints at all. */
  get isOn(): boolean {
    return this.#every !== "never";
  }

  /** Number of steps from `step` to the one after which a checkpoint is due. Undefined if steps do not decide it. */
  stepsLeft(step: number): number | undefined {
    if (typeof this.#every === "string" || !("steps" in this.#every)) return undefined;
    const { steps } = this.#every;
    return steps - (step % steps);
  }

  /** Whether a checkpoint is due after so many steps. */
  isDue(step: number, isEndOfEpoch: boolean): boolean {
    if (typeof this.#every === "string") return this.#every === "epoch" && isEndOfEpoch;
    if ("steps" in this.#every) return step % this.#every.steps === 0;
    return performance.now() - this.#written >= 1000 * this.#every.seconds;
  }

  /** Starts the time to the next checkpoint. */
  restart(): void {
    this.#written = performance.now();
  }
}
