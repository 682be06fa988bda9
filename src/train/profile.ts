import type { StepsResult } from "../executors/executor.js";
import type { DimSizes } from "../graph/dims.js";
import { namesIn, type Program } from "../graph/program.js";
import { instructionCosts } from "../ops/cost.js";

/** Time spent in each part of a training. */
export interface TrainingProfile {
  /** Number of steps that were run. */
  readonly steps: number;
  /** Seconds spent in training steps. */
  readonly seconds: number;
  /** Seconds spent waiting for batches. */
  readonly secondsWaited: number;
  /** The instructions, in the order of the Program. */
  readonly instructions: readonly InstructionProfile[];
}

/** Cost of one instruction, summed over all steps. */
export interface InstructionProfile {
  /** Name of the op. */
  readonly op: string;
  /** Names of the tensors that the instruction computes. */
  readonly outputs: readonly string[];
  /** Number of times that it was run: once per step. */
  readonly calls: number;
  /** Seconds that it took. */
  readonly seconds: number;
  /** Floating-point operations that the computation needs at least; a multiply-add counts as two. */
  readonly flops: number;
  /** Bytes that must be read or written at least, each once per step. */
  readonly bytes: number;
}

/** Adds up the costs of the instructions over steps. The sizes differ from batch to batch. */
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

  /** Returns the profile. `instructionSeconds` is the profile of the executor. */
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
