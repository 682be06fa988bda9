import type { Batch, BatchOptions, TrainingBatches, TrainingBatchOptions } from "../data/batches.js";
import type { Clicks } from "../data/clicks.js";
import { ShortlistError } from "../errors.js";
import type { Dtype } from "../graph/program.js";
import { requireAddon } from "../platform/addon.js";
import type { StepsOptions, StepsResult, StoredTensor } from "./executor.js";
import type { FoundForUsers, FoundItems } from "./item_search.js";

type NativeArray = Float32Array | Int32Array | Uint32Array;

/** The class `NativeEngine` of the addon: threads and kernels. */
export interface NativeEngineHandle {
  readonly threads: number;
  readonly isa: string;
  close(): void;
}

/** The class `NativeStore` of the addon: a tensor store. */
export interface NativeStoreHandle {
  define(name: string, dtype: string, shape: readonly number[]): void;
  write(name: string, values: NativeArray, offset: number): void;
  load(
    name: string,
    descriptor: number,
    path: string,
    position: number,
    offset: number,
    count: number,
  ): Promise<number>;
  read(name: string, offset: number, count: number | undefined): NativeArray;
  readInto(name: string, values: NativeArray, offset: number): void;
  readRows(name: string, rows: Int32Array): NativeArray;
  fill(name: string, kind: string, scale: number, seed: number, tensor: number): void;
  firstNotFinite(name: string, offset: number, count: number | undefined): number;
  tensors(): StoredTensor[];
  close(): void;
}

/** The class `NativeExecutor` of the addon: a Program over a store. */
export interface NativeExecutorHandle {
  run(
    inputs: Readonly<Record<string, unknown>>,
    dims: Readonly<Record<string, number>>,
  ): Promise<Record<string, NativeArray>>;
  runUsers(
    batches: NativeUserBatchesHandle,
    index: number,
    inputs: Readonly<Record<string, unknown>>,
    dims: Readonly<Record<string, number>>,
    here: boolean,
  ): Promise<Record<string, NativeArray>>;
  runSteps(
    batches: NativeBatchesHandle,
    epoch: number,
    index: number,
    steps: number,
    scalars: StepsOptions["scalars"],
  ): Promise<StepsResult>;
  profile(): Float64Array;
  close(): void;
}

/** The class `NativeBatches` of the addon: batches that a background thread builds ahead. */
export type NativeBatchesHandle = TrainingBatches;

export interface NativeUserBatchesHandle {
  readonly batches: number;
  batch(index: number): Batch;
}

type NativeLists = Int32Array | { readonly ids: Int32Array; readonly offsets: Int32Array } | undefined;

/** The class `NativeItemSearch` of the addon: exact search over a store. */
export interface NativeItemSearchHandle {
  search(queries: Float32Array, top: number, exclude: NativeLists, allow: NativeLists): Promise<FoundItems>;
  searchUsers(
    executor: NativeExecutorHandle,
    output: string,
    batches: NativeUserBatchesHandle,
    index: number,
    users: number,
    top: number,
    exclude: NativeLists,
    allow: NativeLists,
  ): Promise<FoundForUsers>;
  close(): void;
}

/** The operands that a slot of a native op takes. */
export interface NativeSlot {
  readonly name: string;
  readonly dtype: Dtype;
  readonly rank?: number;
  readonly optional: boolean;
  readonly list: boolean;
}

/** An op that has native kernels, with its slots. */
export interface NativeOp {
  readonly name: string;
  readonly inputs: readonly NativeSlot[];
  readonly outputs: readonly NativeSlot[];
}

/** The exports of native/node. */
export interface Addon {
  version(): string;
  availableIsas(): string[];
  ops(): NativeOp[];
  readonly NativeEngine: new (threads: number, isa: string) => NativeEngineHandle;
  readonly NativeStore: new () => NativeStoreHandle;
  readonly NativeBatches: new (clicks: Clicks, options: TrainingBatchOptions) => NativeBatchesHandle;
  readonly NativeUserBatches: new (clicks: Clicks, options: BatchOptions) => NativeUserBatchesHandle;
  readonly NativeItemSearch: new (
    engine: NativeEngineHandle,
    store: NativeStoreHandle,
    options: {
      readonly weight: string;
      readonly bias: string | undefined;
      readonly skipRows: number;
      readonly int8: boolean;
    },
  ) => NativeItemSearchHandle;
  readonly NativeExecutor: new (
    engine: NativeEngineHandle,
    store: NativeStoreHandle,
    program: string,
    profile: boolean,
  ) => NativeExecutorHandle;
}

/** Loads the addon of the native engine. Throws ERR_EXECUTOR with possible solutions if it cannot be loaded. */
export function loadAddon(path?: string): Addon {
  try {
    return requireAddon(path) as Addon;
  } catch (cause) {
    throw new ShortlistError(
      "ERR_EXECUTOR",
      `Cannot load the native engine for ${process.platform}-${process.arch}, Node ${process.version}: ${(cause as Error).message}
Possible solutions:
- build it: npm run setup, or npm rebuild shortlist where it is a dependency (needs a C++17 compiler, make and Python 3)
- run without it, slowly: --executor reference`,
      { cause },
    );
  }
}
