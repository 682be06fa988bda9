import type { Engine, Executor, RunInputs, TensorStore } from "../src/executors/executor.js";
import type { Initializer } from "../src/graph/graph.js";
import type { Program } from "../src/graph/program.js";
import { repeatProgram } from "./repeat.js";
import { benchStore } from "./store.js";

/** One side of a comparison: work that can be measured repeatedly. */
export interface Contender {
  readonly name: string;
  /**
   * Measures for about `seconds`, and returns the seconds that one unit of work takes: the median over blocks of work.
   */
  measure(seconds: number): Promise<number>;
  close(): void | Promise<void>;
}

export function median(values: Iterable<number>): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Runs `block` until about `seconds` have passed, at least once. Returns the median of its durations in seconds. */
export async function medianOfBlocks(seconds: number, block: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  const end = performance.now() + 1000 * seconds;
  while (times.length < 1 || performance.now() < end) {
    const start = performance.now();
    await block();
    times.push((performance.now() - start) / 1000);
  }
  return median(times);
}

/** Target duration of a block: long enough that the call of the engine (tens of microseconds) is negligible. */
const BLOCK_SECONDS = 0.02;
const MAX_INSTRUCTIONS = 2000;

export interface KernelProgram {
  readonly program: Program;
  readonly initializers: ReadonlyMap<string, Initializer>;
  readonly inputs?: RunInputs;
  /** Number of units of work that one run of the Program does (default 1). */
  readonly units?: number;
}

/**
 * Times a Program without dims. A second Program repeats its instructions, so that a block is one call of the engine.
 */
export async function kernelContender(name: string, engine: Engine, kernel: KernelProgram): Promise<Contender> {
  const { program, initializers, inputs = {}, units = 1 } = kernel;
  const store: TensorStore = benchStore(engine, program, initializers);
  const create = (copies: number): Executor => engine.createExecutor(repeatProgram(program, copies), store);
  const most = Math.max(1, Math.floor(MAX_INSTRUCTIONS / program.instructions.length));
  let copies = 1;
  let executor = create(copies);
  for (;;) {
    await executor.run(inputs, {});
    const seconds = await medianOfBlocks(0, () => executor.run(inputs, {}));
    const wanted = Math.min(most, Math.max(1, Math.round((copies * BLOCK_SECONDS) / seconds)));
    if (wanted < copies * 2) break;
    copies = wanted;
    executor.close();
    executor = create(copies);
  }
  return {
    name,
    measure: async (seconds) => {
      await executor.run(inputs, {});
      return (await medianOfBlocks(seconds, () => executor.run(inputs, {}))) / (copies * units);
    },
    close: () => executor.close(),
  };
}

export interface SearchSizes {
  readonly items: number;
  readonly width: number;
  readonly queries: number;
  readonly top: number;
  readonly firstPass: "int8" | "none";
}

/** Exact search for the `top` items with the largest inner products. A unit of work is a query. */
export async function searchContender(
  name: string,
  engine: Engine,
  { items, width, queries, top, firstPass }: SearchSizes,
): Promise<Contender> {
  const store = engine.createStore();
  for (const [tensor, [table, rows]] of [["items", items] as const, ["queries", queries] as const].entries()) {
    store.define({ name: table, dtype: "float32", shape: [rows, width] });
    store.fill(table, { kind: "normal", scale: 1, seed: 1, tensor });
  }
  const wanted = store.read("queries") as Float32Array;
  const search = engine.createItemSearch(store, { weight: "items", firstPass });
  await search.search(wanted, top);
  return {
    name,
    measure: async (seconds) => (await medianOfBlocks(seconds, () => search.search(wanted, top))) / queries,
    close: () => {
      search.close();
      store.close();
    },
  };
}
