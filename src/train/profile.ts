import type { StepsResult } from "../executors/executor.js";
import type { DimSizes } from "../graph/dims.js";
import { namesIn, type Program } from "../graph/program.js";
import { instructionCosts } from "../ops/cost.js";

/** Where the time of a training run went. */
export interface TrainingProfile {
  readonly steps: number;
  /** In the training loop. */
  readonly seconds: number;
  /** For which there was no batch to go on with. */
  readonly secondsWaited: number;
  /** In the Program's order. */
  readonly instructions: readonly InstructionProfile[];
}

/** Sums over all steps. `flops` and `bytes` are what the instruction cannot avoid, each byte once. */
export interface InstructionProfile {
  readonly op: string;
  readonly outputs: readonly string[];
  readonly calls: number;
  readonly seconds: number;
  readonly flops: number;
  readonly bytes: number;
}

/** Adds up what the instructions of some steps cost: the sizes differ from batch to batch. */
export class ProfileSums {
  readonly #program: Program;
  readonly #flops: Float64Array;
  readonly #bytes: Float64Array;
  #steps = 0;
  #secondsWaited = 0;

  constructor(program: Program) {
    this.#program = program;
    this.#flops = new Float64Array(program.instructions.length);
    this.#bytes = new Float64Array(program.instructions.length);
  }

  add({ dims, secondsWaited }: StepsResult, steps: number): void {
    for (let step = 0; step < steps; step++) {
      const sizes: DimSizes = Object.fromEntries(Object.entries(dims).map(([name, values]) => [name, values[step]!]));
      instructionCosts(this.#program, sizes).forEach(({ flops, bytes }, i) => {
        this.#flops[i]! += flops;
        this.#bytes[i]! += bytes;
      });
    }
    this.#steps += steps;
    this.#secondsWaited += secondsWaited;
  }

  /** `instructionSeconds` is the executor's profile. */
  take(seconds: number, instructionSeconds: readonly number[]): TrainingProfile {
    const instructions = this.#program.instructions.map(({ op, outputs }, i) => ({
      op,
      outputs: namesIn(outputs),
      calls: this.#steps,
      seconds: instructionSeconds[i]!,
      flops: this.#flops[i]!,
      bytes: this.#bytes[i]!,
    }));
    return { steps: this.#steps, seconds, secondsWaited: this.#secondsWaited, instructions };
  }
}
