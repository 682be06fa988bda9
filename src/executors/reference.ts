import { createTrainingBatches, NextClickBatches, type TrainingBatches, type UserBatches } from "../data/batches.js";
import { readFully } from "../data/files.js";
import { checkChoice, checkOptions, ShortlistError } from "../errors.js";
import { checkProgram } from "../graph/check_program.js";
import { countElements, type DimSizes, evaluateDim } from "../graph/dims.js";
import {
  type Instruction,
  namesIn,
  operandNames,
  type Program,
  STORED_ROLES,
  storedTensors,
  type TensorSpec,
} from "../graph/program.js";
import type { KernelCall, Op, TensorData, Value } from "../ops/op.js";
import { type RandomValues, randomValues } from "../random/initial_values.js";
import {
  type Engine,
  EXECUTOR_OPTIONS,
  type Executor,
  type ExecutorOptions,
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
  checkItemSearch,
  checkSearch,
  type FoundForUsers,
  type FoundItems,
  type ItemFilters,
  type ItemSearch,
  type ItemSearchOptions,
  searchForUsers,
  searchReference,
  type UserQueries,
} from "./item_search.js";
import { runBatchOfUsers, runStepByStep } from "./steps.js";

/** Options of the reference engine. */
export interface ReferenceOptions {
  /** The ops that Programs may use, by name. */
  readonly ops: ReadonlyMap<string, Op>;
  /**
   * Type in which float32 tensors are held. "float32" (default) rounds like the native engine; "float64" is for
   * gradient checks.
   */
  readonly precision?: "float32" | "float64";
}

/**
 * Creates the engine that defines what Programs mean. It runs the reference kernels of the ops in TypeScript, one
 * instruction after the other.
 */
export function createReferenceEngine(options: ReferenceOptions): Engine {
  checkOptions("createReferenceEngine", options, { ops: true, precision: true });
  const { ops, precision = "float32" } = options;
  checkChoice("precision", precision, ["float32", "float64"]);
  let closed = false;
  const checkOpen = () => {
    if (closed) throw new ShortlistError("ERR_EXECUTOR", "The engine is closed");
  };
  const close = () => {
    closed = true;
  };
  return {
    close,
    [Symbol.dispose]: close,
    kind: "reference",
    threads: 1,
    isa: "typescript",
    createStore: () => {
      checkOpen();
      return new ReferenceStore(precision);
    },
    createTrainingBatches: (batchOptions) => {
      checkOpen();
      return createTrainingBatches(batchOptions);
    },
    createUserBatches: (batchOptions) => {
      checkOpen();
      return new NextClickBatches(batchOptions);
    },
    createExecutor: (program, store, executorOptions = {}) => {
      checkOpen();
      checkOptions("createExecutor", executorOptions, EXECUTOR_OPTIONS);
      if (!(store instanceof ReferenceStore)) {
        throw new ShortlistError("ERR_EXECUTOR", "Expected a tensor store of the reference engine");
      }
      return new ReferenceExecutor(program, store, ops, checkOpen, executorOptions);
    },
    createItemSearch: (store, searchOptions) => {
      checkOpen();
      if (!(store instanceof ReferenceStore)) {
        throw new ShortlistError("ERR_EXECUTOR", "Expected a tensor store of the reference engine");
      }
      return new ReferenceItemSearch(store, checkOpen, searchOptions);
    },
  };
}

type Precision = "float32" | "float64";

function allocate(dtype: TensorSpec["dtype"], elements: number, precision: Precision): TensorData {
  switch (dtype) {
    case "float32":
      return precision === "float64" ? new Float64Array(elements) : new Float32Array(elements);
    case "int32":
      return new Int32Array(elements);
    case "uint32":
      return new Uint32Array(elements);
  }
}

/** Whether an array from the caller can be a tensor of this dtype. */
function holds(values: TensorData, dtype: TensorSpec["dtype"]): boolean {
  switch (dtype) {
    case "float32":
      return values instanceof Float32Array || values instanceof Float64Array;
    case "int32":
      return values instanceof Int32Array;
    case "uint32":
      return values instanceof Uint32Array;
  }
}

class ReferenceStore implements TensorStore {
  readonly precision: Precision;
  /** Undefined once the store is closed. */
  #tensors: Map<string, { tensor: StoredTensor; data: TensorData }> | undefined = new Map();

  constructor(precision: Precision) {
    this.precision = precision;
  }

  get tensors(): readonly StoredTensor[] {
    return [...this.#opened().values()].map(({ tensor }) => tensor);
  }

  define(tensor: StoredTensor): void {
    if (this.#opened().has(tensor.name))
      throw new ShortlistError("ERR_EXECUTOR", `Tensor "${tensor.name}" is already in the store`);
    this.#opened().set(tensor.name, {
      tensor,
      data: allocate(tensor.dtype, countElements(tensor.shape, {}), this.precision),
    });
  }

  write(name: string, values: TensorData, offset = 0): void {
    const data = this.data(name);
    if (offset < 0 || offset + values.length > data.length) {
      throw new ShortlistError(
        "ERR_INPUT",
        `Expected at most ${data.length - offset} values for "${name}" but received ${values.length}`,
      );
    }
    data.set(values, offset);
  }

  async load(name: string, { file, path, position }: FilePosition, offset: number, count: number): Promise<number> {
    const values = allocate(this.#of(name).tensor.dtype, count, "float32");
    const bytes = new Uint8Array(values.buffer);
    if ((await readFully(file, bytes, position)) < bytes.length) {
      throw new ShortlistError("ERR_FILE", `${path}: The file was cut short while it was read`);
    }
    this.write(name, values, offset);
    return this.firstNotFinite(name, offset, count);
  }

  read(name: string, offset = 0, count = this.data(name).length - offset): TensorData {
    return this.data(name).slice(offset, offset + count);
  }

  readInto(name: string, values: TensorData, offset = 0): void {
    const data = this.data(name);
    if (offset < 0 || offset + values.length > data.length) {
      throw new ShortlistError(
        "ERR_INPUT",
        `Expected at most ${data.length - offset} values of "${name}" but received ${values.length}`,
      );
    }
    values.set(data.subarray(offset, offset + values.length));
  }

  readRows(name: string, rows: Int32Array): TensorData {
    const data = this.data(name);
    const [held = 1, width = 1] = this.shape(name)!;
    const missing = rows.find((row) => row < 0 || row >= held);
    if (missing !== undefined) {
      throw new ShortlistError("ERR_INPUT", `Expected rows below ${held} of "${name}" but received ${missing}`);
    }
    const values = data.slice(0, 0).constructor as Float32ArrayConstructor;
    const copy = new values(rows.length * width) as TensorData;
    for (const [i, row] of rows.entries()) copy.set(data.subarray(row * width, (row + 1) * width), i * width);
    return copy;
  }

  fill(name: string, random: RandomValues): void {
    const data = this.data(name);
    const chunk = new Float32Array(Math.min(1 << 16, data.length));
    for (let offset = 0; offset < data.length; offset += chunk.length) {
      const values = chunk.subarray(0, data.length - offset);
      randomValues(random, values, offset);
      data.set(values, offset);
    }
  }

  firstNotFinite(name: string, offset = 0, count?: number): number {
    const data = this.data(name);
    const values = data.subarray(offset, offset + (count ?? data.length));
    const found = values.findIndex((value) => !Number.isFinite(value));
    return found < 0 ? -1 : offset + found;
  }

  data(name: string): TensorData {
    return this.#of(name).data;
  }

  shape(name: string): readonly number[] | undefined {
    return this.#opened().get(name)?.tensor.shape;
  }

  close(): void {
    this.#tensors = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #of(name: string) {
    const entry = this.#opened().get(name);
    if (!entry) throw new ShortlistError("ERR_EXECUTOR", `The store has no tensor "${name}"`);
    return entry;
  }

  #opened() {
    if (!this.#tensors) throw new ShortlistError("ERR_EXECUTOR", "The store is closed");
    return this.#tensors;
  }
}

class ReferenceExecutor implements Executor {
  readonly program: Program;
  readonly #store: ReferenceStore;
  readonly #ops: Op[];
  readonly #checkEngine: () => void;
  readonly #seconds: number[] | undefined;
  #closed = false;

  /** `checkEngine` throws if the engine is closed. */
  constructor(
    program: Program,
    store: ReferenceStore,
    ops: ReadonlyMap<string, Op>,
    checkEngine: () => void,
    options: ExecutorOptions,
  ) {
    this.program = program;
    this.#store = store;
    this.#checkEngine = checkEngine;
    checkProgram(program, ops);
    this.#ops = program.instructions.map(({ op }) => ops.get(op)!);
    for (const spec of storedTensors(program)) {
      const shape = store.shape(spec.name);
      if (!shape) throw new ShortlistError("ERR_EXECUTOR", `The store has no ${spec.role} "${spec.name}"`);
      if (shape.join() !== spec.shape.join()) {
        throw new ShortlistError("ERR_PROGRAM", `Expected "${spec.name}" [${spec.shape}] but the store has [${shape}]`);
      }
    }
    if (options.profile) this.#seconds = program.instructions.map(() => 0);
  }

  get profile(): readonly number[] | undefined {
    return this.#seconds;
  }

  async run(inputs: RunInputs, dims: DimSizes): Promise<RunOutputs> {
    if (this.#closed) throw new ShortlistError("ERR_EXECUTOR", "The executor is closed");
    this.#checkEngine();
    const values = new Map<string, Value>();
    for (const spec of this.program.tensors) values.set(spec.name, this.#value(spec, inputs, dims));
    const calls = this.program.instructions.map((instruction) => kernelCall(instruction, values));
    calls.forEach((call, i) => {
      for (const name of namesIn(this.program.instructions[i]!.outputs)) values.get(name)!.maker = call;
    });
    calls.forEach((call, i) => {
      inInstruction(i, () => this.#ops[i]!.check?.(call));
    });
    calls.forEach((call, i) => {
      const before = performance.now();
      this.#ops[i]!.reference(call);
      if (this.#seconds) this.#seconds[i]! += (performance.now() - before) / 1000;
    });
    const outputs: RunOutputs = {};
    for (const spec of this.program.tensors)
      if (spec.role === "output") outputs[spec.name] = values.get(spec.name)!.data;
    return outputs;
  }

  async runUsers(
    batches: UserBatches,
    index: number,
    inputs: RunInputs,
    dims: DimSizes,
    options: RunUsersOptions = {},
  ): Promise<RunOutputs> {
    checkOptions("runUsers", options, RUN_USERS_OPTIONS);
    return runBatchOfUsers(this, batches, index, inputs, dims);
  }

  runSteps(batches: TrainingBatches, options: StepsOptions): Promise<StepsResult> {
    return runStepByStep(this, batches, options);
  }

  close(): void {
    this.#closed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #value(spec: TensorSpec, inputs: RunInputs, dims: DimSizes): Value {
    const shape = spec.shape.map((dim) => evaluateDim(dim, dims));
    const [rows = 1, columns = 1] = shape;
    const given = spec.role === "input" || spec.role === "constant";
    let data: TensorData;
    if (STORED_ROLES.has(spec.role)) {
      data = this.#store.data(spec.name);
    } else if (spec.role === "input") {
      const received = inputs[spec.name];
      if (!received) throw new ShortlistError("ERR_INPUT", `Missing input "${spec.name}"`);
      if (received.length !== rows * columns) {
        throw new ShortlistError(
          "ERR_INPUT",
          `Expected ${rows * columns} values for input "${spec.name}" [${shape.join(", ")}] but received ${received.length}`,
        );
      }
      if (!holds(received, spec.dtype)) {
        throw new ShortlistError(
          "ERR_INPUT",
          `Expected ${spec.dtype} values for input "${spec.name}" but received ${received.constructor.name}`,
        );
      }
      data = received;
    } else {
      data = allocate(spec.dtype, rows * columns, this.#store.precision);
    }
    return { name: spec.name, dtype: spec.dtype, shape, rows, columns, data, given };
  }
}

/** Adds the number of the instruction to the error of its check. */
function inInstruction(index: number, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof ShortlistError)) throw error;
    throw new ShortlistError(error.code, `${error.message} (instruction ${index})`, { cause: error });
  }
}

function kernelCall(instruction: Instruction, values: ReadonlyMap<string, Value>): KernelCall {
  const list = (operands: Instruction["inputs"], slot: string) =>
    operandNames(operands[slot]).map((name) => values.get(name)!);
  const one = (operands: Instruction["inputs"], slot: string): Value => {
    const value = list(operands, slot)[0];
    if (!value) throw new ShortlistError("ERR_PROGRAM", `[${instruction.op}] Missing operand "${slot}"`);
    return value;
  };
  return {
    op: instruction.op,
    has: (slot) => instruction.inputs[slot] !== undefined || instruction.outputs[slot] !== undefined,
    input: (slot) => one(instruction.inputs, slot),
    list: (slot) => list(instruction.inputs, slot),
    output: (slot) => one(instruction.outputs, slot),
    outputList: (slot) => list(instruction.outputs, slot),
    attribute: (name) => {
      const value = instruction.attributes[name];
      if (value === undefined)
        throw new ShortlistError("ERR_PROGRAM", `[${instruction.op}] Missing attribute "${name}"`);
      return value as never;
    },
  };
}

class ReferenceItemSearch implements ItemSearch {
  readonly #store: ReferenceStore;
  readonly #checkEngine: () => void;
  readonly #options: ReturnType<typeof checkItemSearch>;
  #closed = false;

  /** `checkEngine` throws if the engine is closed. */
  constructor(store: ReferenceStore, checkEngine: () => void, options: ItemSearchOptions) {
    this.#options = checkItemSearch(store, options);
    this.#store = store;
    this.#checkEngine = checkEngine;
  }

  async search(queries: Float32Array, top: number, filters: ItemFilters = {}): Promise<FoundItems> {
    if (this.#closed) throw new ShortlistError("ERR_EXECUTOR", "The search is closed");
    this.#checkEngine();
    const { weight, bias, items, width, skipRows } = this.#options;
    checkSearch(queries, width, top, filters);
    const read = (name: string) => Float32Array.from(this.#store.data(name));
    const vectors = { weight: read(weight), bias: bias === undefined ? undefined : read(bias), items, width, skipRows };
    return searchReference(vectors, queries, top, filters);
  }

  searchUsers(users: UserQueries, top: number, filters: ItemFilters = {}): Promise<FoundForUsers> {
    return searchForUsers(this, users, top, filters);
  }

  close(): void {
    this.#closed = true;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
