import {
  type Batch,
  checkTrainingBatchOptions,
  checkUserBatchOptions,
  type TrainingBatches,
  USERS_AT_ONCE,
  type UserBatches,
} from "../data/batches.js";
import { checkOptions, ERROR_CODES, type ErrorCode, ShortlistError } from "../errors.js";
import { checkProgram } from "../graph/check_program.js";
import type { DimSizes } from "../graph/dims.js";
import { formatProgram, type Program } from "../graph/program.js";
import { OPS } from "../ops/index.js";
import type { TensorData } from "../ops/op.js";
import { threadCount } from "../platform/threads.js";
import type { RandomValues } from "../random/initial_values.js";
import {
  type Engine,
  EXECUTOR_OPTIONS,
  type Executor,
  type FilePosition,
  RUN_USERS_OPTIONS,
  type RunInputs,
  type RunOutputs,
  type RunUsersOptions,
  type StepsOptions,
  type StepsResult,
  type StoredTensor,
  type TensorStore,
} from "./executor.js";
import {
  checkFilters,
  checkItemSearch,
  checkSearch,
  type FoundForUsers,
  type FoundItems,
  type ItemFilters,
  type ItemSearch,
  searchForUsers,
  type UserQueries,
} from "./item_search.js";
import {
  loadAddon,
  type NativeBatchesHandle,
  type NativeExecutorHandle,
  type NativeItemSearchHandle,
  type NativeStoreHandle,
  type NativeUserBatchesHandle,
} from "./load.js";
import { checkSteps, runBatchOfUsers, runStepByStep } from "./steps.js";

/** Options of the native engine. */
export interface NativeEngineOptions {
  /** Number of threads of the kernels (default: SHORTLIST_THREADS, or else the number of processors). */
  readonly threads?: number | undefined;
  /** Instruction set of the kernels (default: SHORTLIST_ISA, or else the best one of this processor). */
  readonly isa?: string | undefined;
}

/**
 * The instruction sets that this processor has and that there are kernels for, best first. Throws ERR_EXECUTOR if the
 * addon cannot be loaded.
 */
export function availableIsas(): string[] {
  return loadAddon().availableIsas();
}

/**
 * Creates the engine with C++ kernels. Each run is one Node-API call and computes outside of the JavaScript thread.
 * Throws ERR_EXECUTOR if the addon cannot be loaded, and ERR_OPTION if an option is impossible or the processor lacks
 * the instruction set.
 */
export function createNativeEngine(options: NativeEngineOptions = {}): Engine {
  checkOptions("createNativeEngine", options, { threads: true, isa: true });
  const threads = threadCount(options.threads);
  const isa = options.isa ?? process.env["SHORTLIST_ISA"] ?? "";
  const addon = loadAddon();
  const engine = rethrow(() => new addon.NativeEngine(threads, isa));
  let closed = false;
  const checkOpen = () => {
    if (closed) throw new ShortlistError("ERR_EXECUTOR", "The engine is closed");
  };
  const close = () => {
    closed = true;
    engine.close();
  };
  return {
    close,
    [Symbol.dispose]: close,
    kind: "native",
    threads: engine.threads,
    isa: engine.isa,
    createStore: () => {
      checkOpen();
      return new NativeStore(new addon.NativeStore());
    },
    createTrainingBatches: (batchOptions) => {
      checkOpen();
      checkTrainingBatchOptions(batchOptions);
      return new NativeBatches(rethrow(() => new addon.NativeBatches(batchOptions.clicks, batchOptions)));
    },
    createUserBatches: (batchOptions) => {
      checkOpen();
      checkUserBatchOptions(batchOptions);
      const { clicks, batchSize = USERS_AT_ONCE } = batchOptions;
      const options = { ...batchOptions, batchSize };
      return new NativeUserBatches(
        rethrow(() => new addon.NativeUserBatches(clicks, options)),
        batchSize,
      );
    },
    createExecutor: (program, store, executorOptions = {}) => {
      checkOpen();
      checkOptions("createExecutor", executorOptions, EXECUTOR_OPTIONS);
      const { profile = false } = executorOptions;
      if (!(store instanceof NativeStore))
        throw new ShortlistError("ERR_EXECUTOR", "Expected a tensor store of the native engine");
      checkProgram(program, OPS);
      const handle = rethrow(() => new addon.NativeExecutor(engine, store.handle, formatProgram(program), profile));
      return new NativeExecutor(program, handle, profile);
    },
    createItemSearch: (store, searchOptions) => {
      checkOpen();
      if (!(store instanceof NativeStore))
        throw new ShortlistError("ERR_EXECUTOR", "Expected a tensor store of the native engine");
      const { width, firstPass, ...checked } = checkItemSearch(store, searchOptions);
      const int8 = firstPass === "int8";
      const handle = rethrow(() => new addon.NativeItemSearch(engine, store.handle, { ...checked, int8 }));
      return new NativeItemSearch(handle, width);
    },
  };
}

class NativeStore implements TensorStore {
  readonly handle: NativeStoreHandle;

  constructor(handle: NativeStoreHandle) {
    this.handle = handle;
  }

  get tensors(): readonly StoredTensor[] {
    return rethrow(() => this.handle.tensors());
  }

  define({ name, dtype, shape }: StoredTensor): void {
    rethrow(() => this.handle.define(name, dtype, shape));
  }

  write(name: string, values: TensorData, offset = 0): void {
    rethrow(() => this.handle.write(name, values as Float32Array, offset));
  }

  async load(name: string, { file, path, position }: FilePosition, offset: number, count: number): Promise<number> {
    try {
      return await this.handle.load(name, file.fd, path, position, offset, count);
    } catch (error) {
      throw toShortlistError(error);
    }
  }

  read(name: string, offset = 0, count?: number): TensorData {
    return rethrow(() => this.handle.read(name, offset, count));
  }

  readInto(name: string, values: TensorData, offset = 0): void {
    rethrow(() => this.handle.readInto(name, values as Float32Array, offset));
  }

  readRows(name: string, rows: Int32Array): TensorData {
    return rethrow(() => this.handle.readRows(name, rows));
  }

  close(): void {
    this.handle.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  fill(name: string, { kind, scale, seed, tensor }: RandomValues): void {
    rethrow(() => this.handle.fill(name, kind, scale, seed, tensor));
  }

  firstNotFinite(name: string, offset = 0, count?: number): number {
    return rethrow(() => this.handle.firstNotFinite(name, offset, count));
  }
}

/** Batches for `runSteps`, which a background thread builds ahead. */
class NativeBatches implements TrainingBatches {
  readonly handle: NativeBatchesHandle;
  readonly samplesPerEpoch: number;
  readonly batchesPerEpoch: number;

  constructor(handle: NativeBatchesHandle) {
    this.handle = handle;
    this.samplesPerEpoch = handle.samplesPerEpoch;
    this.batchesPerEpoch = handle.batchesPerEpoch;
  }

  batch(epoch: number, index: number): Batch {
    return rethrow(() => this.handle.batch(epoch, index));
  }
}

/** Batches of users that `runUsers` builds on the thread of the run. */
class NativeUserBatches implements UserBatches {
  readonly handle: NativeUserBatchesHandle;
  readonly batches: number;
  readonly #batchSize: number;

  constructor(handle: NativeUserBatchesHandle, batchSize: number) {
    this.handle = handle;
    this.batches = handle.batches;
    this.#batchSize = batchSize;
  }

  firstUser(index: number): number {
    return index * this.#batchSize;
  }

  batch(index: number): Batch {
    return rethrow(() => this.handle.batch(index));
  }
}

class NativeExecutor implements Executor {
  readonly program: Program;
  readonly #profile: boolean;
  #handle: NativeExecutorHandle | undefined;

  constructor(program: Program, handle: NativeExecutorHandle, profile: boolean) {
    this.program = program;
    this.#handle = handle;
    this.#profile = profile;
  }

  get profile(): readonly number[] | undefined {
    return this.#profile ? [...this.handle.profile()] : undefined;
  }

  async run(inputs: RunInputs, dims: DimSizes): Promise<RunOutputs> {
    try {
      return await this.handle.run(inputs, dims);
    } catch (error) {
      throw toShortlistError(error);
    }
  }

  async runUsers(
    batches: UserBatches,
    index: number,
    inputs: RunInputs,
    dims: DimSizes,
    options: RunUsersOptions = {},
  ): Promise<RunOutputs> {
    checkOptions("runUsers", options, RUN_USERS_OPTIONS);
    const { here = false } = options;
    if (!(batches instanceof NativeUserBatches)) return runBatchOfUsers(this, batches, index, inputs, dims);
    try {
      return await this.handle.runUsers(batches.handle, index, inputs, dims, here);
    } catch (error) {
      throw toShortlistError(error);
    }
  }

  async runSteps(batches: TrainingBatches, options: StepsOptions): Promise<StepsResult> {
    if (!(batches instanceof NativeBatches)) return runStepByStep(this, batches, options);
    checkSteps(batches, options);
    const { epoch, index, steps, scalars } = options;
    try {
      return await this.handle.runSteps(batches.handle, epoch, index, steps, scalars);
    } catch (error) {
      throw toShortlistError(error);
    }
  }

  close(): void {
    this.#handle?.close();
    this.#handle = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Throws ERR_EXECUTOR if the executor is closed. */
  get handle(): NativeExecutorHandle {
    if (!this.#handle) throw new ShortlistError("ERR_EXECUTOR", "The executor is closed");
    return this.#handle;
  }
}

class NativeItemSearch implements ItemSearch {
  readonly #width: number;
  #handle: NativeItemSearchHandle | undefined;

  constructor(handle: NativeItemSearchHandle, width: number) {
    this.#handle = handle;
    this.#width = width;
  }

  async search(queries: Float32Array, top: number, filters: ItemFilters = {}): Promise<FoundItems> {
    const search = this.#open();
    checkSearch(queries, this.#width, top, filters);
    try {
      return await search.search(queries, top, filters.exclude, filters.allow);
    } catch (error) {
      throw toShortlistError(error);
    }
  }

  async searchUsers(users: UserQueries, top: number, filters: ItemFilters = {}): Promise<FoundForUsers> {
    const { executor, output, batches, index } = users;
    if (!(executor instanceof NativeExecutor) || !(batches instanceof NativeUserBatches)) {
      return searchForUsers(this, users, top, filters);
    }
    const search = this.#open();
    checkFilters(top, filters);
    const { exclude, allow } = filters;
    try {
      return await search.searchUsers(executor.handle, output, batches.handle, index, users.users, top, exclude, allow);
    } catch (error) {
      throw toShortlistError(error);
    }
  }

  close(): void {
    this.#handle?.close();
    this.#handle = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): NativeItemSearchHandle {
    if (!this.#handle) throw new ShortlistError("ERR_EXECUTOR", "The search is closed");
    return this.#handle;
  }
}

function rethrow<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw toShortlistError(error);
  }
}

function toShortlistError(error: unknown): unknown {
  const { code, message } = error as { code?: string; message?: string };
  if (error instanceof ShortlistError || !code || !Object.hasOwn(ERROR_CODES, code)) return error;
  return new ShortlistError(code as ErrorCode, message ?? code, { cause: error });
}
