import type { TrainingBatches, TrainingBatchOptions } from "../data/batches.js";
import type { DimSizes } from "../graph/dims.js";
import type { Dtype, Program } from "../graph/program.js";
import type { TensorData } from "../ops/op.js";
import type { RandomValues } from "../random/initial_values.js";

/** What a tensor store needs to know to make room for a tensor. */
export interface StoredTensor {
  /** Its name. */
  readonly name: string;
  /** What its elements are. */
  readonly dtype: Dtype;
  /** Its axes, at most two, rows first. */
  readonly shape: readonly number[];
}

/**
 * The tensors that live between runs: parameters, constants and optimizer state. Several executors may share a store,
 * so that evaluation reads the very weights that training writes.
 */
export interface TensorStore extends Disposable {
  /** The tensors that it has room for. */
  readonly tensors: readonly StoredTensor[];
  /** Makes room for a tensor, filled with zeros. Throws where the name is taken. */
  define(tensor: StoredTensor): void;
  /** Copies `values` in, from element `offset` on. */
  write(name: string, values: TensorData, offset?: number): void;
  /** Copies `count` elements out (all from `offset` on by default). */
  read(name: string, offset?: number, count?: number): TensorData;
  /** Fills a float32 tensor with random values: the same bits in every engine's store. */
  fill(name: string, random: RandomValues): void;
  /**
   * Frees the tensors: after the runs that are in flight, and once the executors over the store are closed as well.
   * What is asked of it or of them afterwards is ERR_EXECUTOR.
   */
  close(): void;
  /** The first element that is NaN or infinite; −1 where there is none. */
  firstNotFinite(name: string): number;
}

/** The inputs of a run by name, each row-major. */
export type RunInputs = Readonly<Record<string, TensorData>>;
/** The outputs of a run by name, each row-major. */
export type RunOutputs = Record<string, TensorData>;

/** Which batches `runSteps` runs. */
export interface StepsOptions {
  /** The pass of the batches, from 0. */
  readonly pass: number;
  /** The first batch. */
  readonly index: number;
  /** Batches to run: all of one pass. */
  readonly steps: number;
  /** The Program's inputs that no batch has, which are scalars: one element for all steps, or one for each. */
  readonly scalars: Readonly<Record<string, TensorData>>;
}

/** Arrays of one element a step. */
export interface StepsResult {
  /** The outputs that are scalars. */
  readonly outputs: Readonly<Record<string, TensorData>>;
  /** The batches' dims. */
  readonly dims: Readonly<Record<string, ArrayLike<number>>>;
  /** Seconds, over all steps, for which there was no batch to go on with. */
  readonly secondsWaited: number;
}

/**
 * Runs one Program over a store. Runs may be asked for while others are in flight: those of Programs that change no
 * stored tensor go on side by side; one that does has its store to itself and is executed in the order of the calls. A
 * refused run has changed nothing. The native engine computes at most one run per processor and store at once, on the
 * threads of libuv's pool: four, unless the environment variable UV_THREADPOOL_SIZE says otherwise.
 */
export interface Executor extends Disposable {
  /** What it runs. */
  readonly program: Program;
  /**
   * Runs every instruction once. `inputs` holds an array for each input of the Program (row-major, of the length that its
   * shape has for `dims`; others are ignored), `dims` a size for each of its dims. Resolves to the outputs by name.
   * Rejects with ERR_INPUT where an input is missing, has the wrong length or holds an id or range out of bounds.
   */
  run(inputs: RunInputs, dims: DimSizes): Promise<RunOutputs>;
  /**
   * `run` for consecutive training batches, in one call. Where it rejects, the steps before the refused one were run.
   * Batches of the native engine's own are built ahead, while it computes.
   */
  runSteps(batches: TrainingBatches, options: StepsOptions): Promise<StepsResult>;
  /** Seconds spent in each instruction, in order, over all runs since profiling was switched on. */
  readonly profile: readonly number[] | undefined;
  /** What runs is finished; whatever is asked for afterwards is ERR_EXECUTOR. `using` calls it at its block's end. */
  close(): void;
}

/** What `createExecutor` takes. */
export interface ExecutorOptions {
  /** Time each instruction (default false). */
  readonly profile?: boolean;
}

export const EXECUTOR_OPTIONS: Readonly<Record<keyof ExecutorOptions, true>> = { profile: true };

/** Where Programs run: the native engine or the TypeScript reference. */
export interface Engine extends Disposable {
  /** Which of the two it is. */
  readonly kind: "native" | "reference";
  /** The threads of its kernels. */
  readonly threads: number;
  /** The instruction set of the kernels, e.g. "avx2"; "typescript" for the reference. */
  readonly isa: string;
  /** A store without tensors, for the executors of this engine. */
  createStore(): TensorStore;
  /** Training batches that `runSteps` of this engine's executors takes best. The clicks must not change as long as they are used. */
  createTrainingBatches(options: TrainingBatchOptions): TrainingBatches;
  /**
   * Gets a Program ready to run over a store, which has every tensor that the Program keeps. The Program may come from
   * anywhere: ERR_PROGRAM where an operand does not fit its op, ERR_EXECUTOR where the store is another engine's or lacks a
   * tensor.
   */
  createExecutor(program: Program, store: TensorStore, options?: ExecutorOptions): Executor;
  /**
   * Ends the threads: after the runs that are in flight, and once its executors are closed as well. What is asked of it
   * or of them afterwards is ERR_EXECUTOR.
   */
  close(): void;
}
