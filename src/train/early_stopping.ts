import { checkWholeNumber } from "../errors.js";

/** Default number of epochs in a row without a better result after which training stops. */
export const DEFAULT_PATIENCE = 2;

/** What early stopping remembers of the epochs so far. Plain data. */
export interface EarlyStoppingState {
  /** Number of epochs that were evaluated. */
  readonly epochs: number;
  /** Number of the best epoch, from 1; 0 before the first. */
  readonly bestEpoch: number;
  /** Criterion of the best epoch; larger is better. Undefined before the first epoch. */
  readonly bestCriterion?: number | undefined;
}

/**
 * Remembers which epoch is the best, and decides when training should stop because too many epochs in a row were no
 * better.
 */
export class EarlyStopping {
  readonly #patience: number;
  #state: EarlyStoppingState = { epochs: 0, bestEpoch: 0 };

  /**
   * Training stops after `patience` epochs in a row that are not better than the best; 0 never stops it. Throws
   * ERR_OPTION unless `patience` is a non-negative integer.
   */
  constructor(patience = DEFAULT_PATIENCE) {
    checkWholeNumber("patience", patience, 0);
    this.#patience = patience === 0 ? Number.POSITIVE_INFINITY : patience;
  }

  get state(): EarlyStoppingState {
    return this.#state;
  }

  /** Continues from the state of another instance. */
  restore(state: EarlyStoppingState): void {
    this.#state = { ...state };
  }

  /**
   * Takes the criterion of the next epoch (larger is better), and returns whether it is better than that of every
   * earlier epoch.
   */
  addEpoch(criterion: number): boolean {
    const { epochs, bestEpoch, bestCriterion = Number.NEGATIVE_INFINITY } = this.#state;
    const isBest = criterion > bestCriterion;
    const epoch = epochs + 1;
    this.#state = isBest
      ? { epochs: epoch, bestEpoch: epoch, bestCriterion: criterion }
      : { ...this.#state, epochs: epoch, bestEpoch };
    return isBest;
  }

  /** Whether training should stop. */
  get isOver(): boolean {
    return this.#state.epochs - this.#state.bestEpoch >= this.#patience;
  }
}
