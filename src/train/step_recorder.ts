import type { StepRecord } from "./history.js";
import type { TrainingState } from "./loop.js";

/** Largest number of points of a whole training: about as many as a chart has pixels. */
const MAX_POINTS = 1000;

/** What a recorder remembers. */
export interface RecorderState {
  readonly points: readonly StepRecord[];
  /** Sums over the steps since the last point. */
  readonly sums: { readonly loss: number; readonly samples: number; readonly secondsWaited: number };
  readonly last?: TrainingState | undefined;
}

/**
 * Records the steps of a training as at most `MAX_POINTS` points, each of which stands for the same number of steps.
 * The number follows from the number of steps of the whole training, so points do not depend on where it was interrupted.
 */
export class StepRecorder {
  #points: StepRecord[];
  #sums = NO_SUMS;
  #last: TrainingState | undefined;

  /** `points` are those of the steps before the first that is added, if that is not step 1. */
  constructor(points: readonly StepRecord[] = []) {
    this.#points = [...points];
  }

  /** The points of all steps so far. The last one may stand for fewer steps than the others. */
  get points(): readonly StepRecord[] {
    return this.#sums.samples === 0 ? this.#points : [...this.#points, this.#point()];
  }

  /** What another recorder needs to go on. Plain data. */
  get state(): RecorderState {
    return { points: [...this.#points], sums: this.#sums, last: this.#last };
  }

  /** Goes on from the state of another recorder. */
  restore({ points, sums, last }: RecorderState): void {
    this.#points = [...points];
    this.#sums = sums;
    this.#last = last;
  }

  /** Adds a step. Returns the point that it completes. */
  add(state: TrainingState): StepRecord | undefined {
    const { step, steps, stepSamples, stepLoss, secondsWaited } = state;
    this.#last = state;
    this.#sums = {
      loss: this.#sums.loss + stepLoss * stepSamples,
      samples: this.#sums.samples + stepSamples,
      secondsWaited: this.#sums.secondsWaited + secondsWaited,
    };
    if (step % Math.ceil(steps / MAX_POINTS) !== 0 && step !== steps) return undefined;
    const point = this.#point();
    this.#points.push(point);
    this.#sums = NO_SUMS;
    return point;
  }

  #point(): StepRecord {
    const { step, learningRate, samples, seconds } = this.#last!;
    const { loss, samples: ofPoint, secondsWaited } = this.#sums;
    return { step, loss: loss / ofPoint, learningRate, samples, seconds, secondsWaited };
  }
}

const NO_SUMS: RecorderState["sums"] = { loss: 0, samples: 0, secondsWaited: 0 };
