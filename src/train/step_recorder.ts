import type { StepRecord } from "./history.js";
import type { TrainingState } from "./loop.js";

/** Largest number of points of a whole training: about as many as a chart has pixels. */
const MAX_POINTS = 1000;

/**
 * Records the steps of a training as at most `MAX_POINTS` points, each of which stands for the same number of steps.
 * The number follows from the number of steps of the whole training, so points do not depend on where it was interrupted.
 */
export class StepRecorder {
  readonly #points: StepRecord[];
  #sums = NO_SUMS;
  #last: TrainingState | undefined;

  /** `points` are those of the steps before the first that is added, if that is not step 1. */
  constructor(points: readonly StepRecord[] = []) {
    this.#points = [...points];
  }

  /** The points of all steps so far. The last one may stand for fewer steps than the others. */
  get points(): readonly StepRecord[] {
    return this.#sums === NO_SUMS ? this.#points : [...this.#points, this.#point()];
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

const NO_SUMS = { loss: 0, samples: 0, secondsWaited: 0 };
