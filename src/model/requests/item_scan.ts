import type { Engine, Executor, TensorStore } from "../../executors/executor.js";
import { type ScannedTable, scanProgram } from "../programs.js";
import type { ExcludedItems } from "../watched.js";
import { indexOfId } from "./candidates.js";

/** What a scan looks for. */
export interface ScanQuery {
  /** [samples, width] The vectors, row-major. */
  readonly vectors: Float32Array;
  /** Number of items for each vector, at most the number of candidates. */
  readonly top: number;
  /** The items that each vector excludes. */
  readonly excluded: ExcludedItems;
  /** The only candidates, as ids in rising order (default: all items). */
  readonly allow?: Int32Array | undefined;
}

/** The best items of each vector. */
export interface ScanResult {
  /** [samples, top] Ids, best first, and ties by rising id; −1 where there are no more. */
  readonly items: Int32Array;
  /** [samples, top] Scores; −∞ where there is no item. */
  readonly score: Float32Array;
  /** [samples] Logarithm of the sum of exp(score) over the candidates, excluded ones too. */
  readonly logPartition: Float32Array;
}

/**
 * Finds the items with the highest scores for vectors, exactly, in a stored table. The vectors of allowed items alone
 * are read, so a short list takes a short time.
 */
export class ItemScan {
  readonly #engine: Engine;
  readonly #store: TensorStore;
  readonly #table: ScannedTable & { readonly bias?: string };
  readonly #executors = new Map<"all" | "chosen", Executor>();

  /** `table` is a tensor of the store; `bias` is the tensor [rows] of the items' biases. */
  constructor(engine: Engine, store: TensorStore, table: Omit<ScannedTable, "biased"> & { readonly bias?: string }) {
    this.#engine = engine;
    this.#store = store;
    this.#table = { ...table, biased: table.bias !== undefined };
  }

  async search({ vectors, top, excluded, allow }: ScanQuery): Promise<ScanResult> {
    const { width, bias } = this.#table;
    const samples = vectors.length / width;
    const { ids, offsets } = allow ? amongAllowed(excluded, allow) : excluded;
    const biases = bias !== undefined && (allow ? this.#store.readRows(bias, allow) : this.#store.read(bias));
    const found = await this.#executorFor(allow ? "chosen" : "all").run(
      {
        vectors,
        ...(allow && { chosen: allow }),
        ...(biases && { bias: biases }),
        excluded: ids,
        excluded_offsets: offsets,
      },
      { samples, top, excluded: ids.length, ...(allow && { chosen: allow.length }) },
    );
    const items = found["items"] as Int32Array;
    if (allow) for (let i = 0; i < items.length; i++) if (items[i]! >= 0) items[i] = allow[items[i]!]!;
    return { items, score: found["score"] as Float32Array, logPartition: found["log_partition"] as Float32Array };
  }

  close(): void {
    for (const executor of this.#executors.values()) executor.close();
    this.#executors.clear();
  }

  #executorFor(candidates: "all" | "chosen"): Executor {
    let executor = this.#executors.get(candidates);
    if (!executor) {
      const { program } = scanProgram(this.#table, candidates === "chosen");
      executor = this.#engine.createExecutor(program, this.#store);
      this.#executors.set(candidates, executor);
    }
    return executor;
  }
}

/** The excluded items that are allowed at all, as indices into the allowed ones. */
function amongAllowed({ ids, offsets }: ExcludedItems, allow: Int32Array): ExcludedItems {
  const kept: number[] = [];
  const keptOffsets = new Int32Array(offsets.length);
  for (let s = 0; s + 1 < offsets.length; s++) {
    for (let i = offsets[s]!; i < offsets[s + 1]!; i++) {
      const index = indexOfId(allow, ids[i]!);
      if (index >= 0) kept.push(index);
    }
    keptOffsets[s + 1] = kept.length;
  }
  return { ids: Int32Array.from(kept), offsets: keptOffsets };
}
