import type { StepsResult } from "../executors/executor.js";
import type { DimSizes } from "../graph/dims.js";
import { namesIn, type Program } from "../graph/program.js";
import { instructionCosts } from "../ops/cost.js";

/** Where the time of a training run went. */
export interface TrainingProfile {
  /** The steps that were run. */
  readonly steps: number;
  /** Seconds in the training loop. */
  readonly seconds: number;
  /** Seconds spent waiting for batches. */
  readonly secondsWaited: number;
  /** The instructions in the Program's order. */
  readonly instructions: readonly InstructionProfile[];
}

/** What an instruction took, summed over all steps. */
export interface InstructionProfile {
  /** The op's name. */
  readonly op: string;
  /** The names of the tensors that it computes. */
  readonly outputs: readonly string[];
  /** How often it was run: once a step. */
  readonly calls: number;
  /** The seconds that it took. */
  readonly seconds: number;
  /** The floating-point operations that it cannot avoid; a multiply-add counts as two. */
  readonly flops: number;
  /** The bytes that it cannot avoid to read or write, each once a step. */
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
