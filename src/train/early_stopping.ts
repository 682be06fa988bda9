import { checkWholeNumber } from "../errors.js";

/** Passes without a better result after which training stops, unless given. */
export const DEFAULT_PATIENCE = 2;

/** What early stopping remembers of the passes so far: plain data. */
export interface EarlyStoppingState {
  /** Passes that were judged. */
  readonly passes: number;
  /** The best of them, from 1; 0 before the first. */
  readonly bestPass: number;
  /** The criterion of the best pass: larger is better. Undefined before the first. */
  readonly bestCriterion?: number | undefined;
}

/** Remembers which pass is the best, and says when too many passes in a row were no better. */
export class EarlyStopping {
  readonly #patience: number;
  #state: EarlyStoppingState = { passes: 0, bestPass: 0 };

  /**
   * Training stops after `patience` passes without a better one; 0 never stops it. ERR_OPTION unless it is a whole
   * number.
   */
  constructor(patience = DEFAULT_PATIENCE) {
    checkWholeNumber("patience", patience, 0);
    this.#patience = patience === 0 ? Number.POSITIVE_INFINITY : patience;
  }

  get state(): EarlyStoppingState {
    return this.#state;
  }

  /** Goes on from what another one remembered. */
  restore(state: EarlyStoppingState): void {
    this.#state = { ...state };
  }

  /**
   * Takes the criterion of the next pass, larger is better; says whether it is better than that of every pass before.
   */
  judge(criterion: number): boolean {
    const { passes, bestPass, bestCriterion = Number.NEGATIVE_INFINITY } = this.#state;
    const isBest = criterion > bestCriterion;
    const pass = passes + 1;
    this.#state = isBest
      ? { passes: pass, bestPass: pass, bestCriterion: criterion }
      : { ...this.#state, passes: pass, bestPass };
    return isBest;
  }

  /** Whether patience is over. */
  get isOver(): boolean {
    return this.#state.passes - this.#state.bestPass >= this.#patience;
  }
}
