import type { FileHandle } from "node:fs/promises";
import type { TrainingBatches, TrainingBatchOptions, UserBatches, UserBatchOptions } from "../data/batches.js";
import type { DimSizes } from "../graph/dims.js";
import type { Dtype, Program } from "../graph/program.js";
import type { TensorData } from "../ops/op.js";
import type { RandomValues } from "../random/initial_values.js";
import type { ItemSearch, ItemSearchOptions } from "./item_search.js";

/** Name, dtype and shape of a tensor in a store. */
export interface StoredTensor {
  /** Name of the tensor. */
  readonly name: string;
  /** Type of its elements. */
  readonly dtype: Dtype;
  /** Sizes of its axes, at most two, rows first. */
  readonly shape: readonly number[];
}

/**
 * Tensors that persist between runs: parameters, constants and optimizer state. Several executors may use one store, so
 * that evaluation reads the same weights that training writes. Methods throw ERR_EXECUTOR if the store has no tensor of
 * that name.
 */
export interface TensorStore extends Disposable {
  /** The tensors in the store. */
  readonly tensors: readonly StoredTensor[];
  /** Creates a tensor, filled with zeros. Throws ERR_EXECUTOR if the name is taken. */
  define(tensor: StoredTensor): void;
  /**
   * Copies `values` into a tensor, from element `offset` on. Throws ERR_INPUT if they do not fit. No run may be in
   * flight; tensors can be read while runs are in flight that change none.
   */
  write(name: string, values: TensorData, offset?: number): void;
  /**
   * Reads `count` elements of a tensor, from element `offset` on, from an open file, where they begin at byte
   * `position`. The native engine reads outside of the JavaScript thread. Returns the index of the first NaN or infinity
   * among them; −1 if there is none. No run may be in flight. Throws ERR_INPUT if the elements do not fit, and ERR_FILE
   * if the file cannot be read or is too short.
   */
  load(name: string, file: FilePosition, offset: number, count: number): Promise<number>;
  /** Returns a copy of `count` elements from element `offset` on (default: all of them). */
  read(name: string, offset?: number, count?: number): TensorData;
  /** Copies as many elements as `values` has, from element `offset` on, into `values`. */
  readInto(name: string, values: TensorData, offset?: number): void;
  /** Returns a copy of the rows of a tensor whose numbers are `rows`, one behind the other. */
  readRows(name: string, rows: Int32Array): TensorData;
  /** Fills a float32 tensor with random values, which are the same bits in the store of every engine. */
  fill(name: string, random: RandomValues): void;
  /**
   * Frees the tensors, after the runs in flight, and once all executors over the store are closed too. Every later call
   * of the store or its executors throws ERR_EXECUTOR.
   */
  close(): void;
  /**
   * Returns the index of the first NaN or infinity of a tensor, or among `count` elements from `offset` on (default: to
   * the end); −1 if there is none.
   */
  firstNotFinite(name: string, offset?: number, count?: number): number;
}

/** Where elements are in a file. They have 4 bytes each, the lowest first. */
export interface FilePosition {
  /** The file, open for reading. */
  readonly file: FileHandle;
  /** Path of the file in messages. */
  readonly path: string;
  /** Index of the first byte. */
  readonly position: number;
}

/** Inputs of a run by name, each row-major. */
export type RunInputs = Readonly<Record<string, TensorData>>;
/** Outputs of a run by name, each row-major. */
export type RunOutputs = Record<string, TensorData>;

/** The batches that `runSteps` runs. */
export interface StepsOptions {
  /** The epoch, from 0. */
  readonly epoch: number;
  /** The first batch, from 0 within the epoch. */
  readonly index: number;
  /** Number of batches, all within one epoch. */
  readonly steps: number;
  /**
   * The inputs of the Program that are not in the batches. They are scalars: one element for all steps, or one per
   * step.
   */
  readonly scalars: Readonly<Record<string, TensorData>>;
}

/** Result of `runSteps`. Each array has one element per step. */
export interface StepsResult {
  /** The scalar outputs of the Program. */
  readonly outputs: Readonly<Record<string, TensorData>>;
  /** The dims of the batches. */
  readonly dims: Readonly<Record<string, ArrayLike<number>>>;
  /** Seconds spent waiting for batches, over all steps. */
  readonly secondsWaited: number;
}

/**
 * Runs one Program over a store. Several runs may be started at once. Runs of Programs that change no stored tensor
 * execute concurrently; a run that changes one has the store to itself, in the order of the calls. A refused run
 * changes nothing. The native engine executes at most one run per processor and store at once, on the threads of
 * libuv's pool: four, unless the environment variable UV_THREADPOOL_SIZE says otherwise.
 */
export interface Executor extends Disposable {
  /** The Program that it runs. */
  readonly program: Program;
  /**
   * Runs every instruction once. `inputs` has a row-major array for each input of the Program, whose length follows
   * from its shape and `dims`; other arrays are ignored. `dims` has the size of each dim. Resolves to the outputs by
   * name. Throws ERR_INPUT if an input is missing, has the wrong length, or has an id or range that is out of bounds.
   */
  run(inputs: RunInputs, dims: DimSizes): Promise<RunOutputs>;
  /**
   * Runs the Program once for each of several consecutive training batches, in one call. If a step is refused, the
   * steps before it were still run. Batches of the same native engine are built ahead while it computes.
   */
  runSteps(batches: TrainingBatches, options: StepsOptions): Promise<StepsResult>;
  /**
   * Runs the Program for batch `index` of users. `inputs` and `dims` are those of the Program that the batch does not
   * have, such as `excluded` and `top`. Batches of the same native engine are built on the thread that computes the run.
   * Throws ERR_INPUT as `run` does.
   */
  runUsers(
    batches: UserBatches,
    index: number,
    inputs: RunInputs,
    dims: DimSizes,
    options?: RunUsersOptions,
  ): Promise<RunOutputs>;
  /** Seconds spent in each instruction, over all runs. Undefined without the option `profile`. */
  readonly profile: readonly number[] | undefined;
  /**
   * Lets runs in flight finish, and makes every later call throw ERR_EXECUTOR. Called at the end of a `using` block.
   */
  close(): void;
}

/** Options of `Executor.runUsers`. */
export interface RunUsersOptions {
  /**
   * Computes the run on the JavaScript thread, before `runUsers` returns, unless other runs of the store are in flight
   * (default false). For small runs: passing one to a thread of the pool and back takes about 0.1 ms.
   */
  readonly here?: boolean | undefined;
}

export const RUN_USERS_OPTIONS: Readonly<Record<keyof RunUsersOptions, true>> = { here: true };

/** Options of `createExecutor`. */
export interface ExecutorOptions {
  /** Measures the time of each instruction (default false). */
  readonly profile?: boolean;
}

export const EXECUTOR_OPTIONS: Readonly<Record<keyof ExecutorOptions, true>> = { profile: true };

/** Runs Programs: the native engine, or the reference engine in TypeScript. */
export interface Engine extends Disposable {
  /** Which of the two engines it is. */
  readonly kind: "native" | "reference";
  /** Number of threads of its kernels. */
  readonly threads: number;
  /** Instruction set of its kernels, such as "avx2"; "typescript" for the reference engine. */
  readonly isa: string;
  /** Creates an empty store for executors of this engine. */
  createStore(): TensorStore;
  /**
   * Creates training batches that this engine's `runSteps` handles fastest. The clicks must not change while the
   * batches are in use.
   */
  createTrainingBatches(options: TrainingBatchOptions): TrainingBatches;
  /**
   * Creates batches of users in order, one sample each, which asks for the click after the user's last one. They are
   * those that this engine's `runUsers` handles fastest. The clicks must not change while the batches are in use.
   */
  createUserBatches(options: UserBatchOptions): UserBatches;
  /**
   * Prepares a Program to run over a store, which must have all stored tensors of the Program. The Program may come
   * from anywhere: throws ERR_PROGRAM if an operand does not fit its op, and ERR_EXECUTOR if the store belongs to
   * another engine or lacks a tensor.
   */
  createExecutor(program: Program, store: TensorStore, options?: ExecutorOptions): Executor;
  /**
   * Creates a search for the items with the highest scores, over item vectors in a store, which it does not copy. As
   * long as it is open, nothing can write to the store. Throws ERR_OPTION if the store has no such tensors.
   */
  createItemSearch(store: TensorStore, options: ItemSearchOptions): ItemSearch;
  /**
   * Ends the threads, after the runs in flight, and once all executors are closed too. Every later call of the engine
   * or its executors throws ERR_EXECUTOR.
   */
  close(): void;
}
