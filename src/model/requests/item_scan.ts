import type { Executor } from "../../executors/executor.js";
import type { Model } from "../model.js";
import { scanProgram } from "../programs.js";
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
  /** The candidates, as ids in rising order. */
  readonly allow: Int32Array;
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
 * Finds, among some items of a model, those with the highest scores for vectors, exactly. Only the output weights of
 * these items are read, so a short list takes a short time.
 */
export class ItemScan {
  readonly #model: Model;
  #executor: Executor | undefined;

  constructor(model: Model) {
    this.#model = model;
  }

  async search({ vectors, top, excluded, allow }: ScanQuery): Promise<ScanResult> {
    const { engine, store, items: vocabulary, description } = this.#model;
    const width = description.config.userVectorWidth;
    this.#executor ??= engine.createExecutor(scanProgram(vocabulary.size, width).program, store);
    const { ids, offsets } = amongAllowed(excluded, allow);
    const bias = store.readRows("output.bias", allow);
    const found = await this.#executor.run(
      { vectors, chosen: allow, bias, excluded: ids, excluded_offsets: offsets },
      { samples: vectors.length / width, top, excluded: ids.length, chosen: allow.length },
    );
    const items = found["items"] as Int32Array;
    for (let i = 0; i < items.length; i++) if (items[i]! >= 0) items[i] = allow[items[i]!]!;
    return { items, score: found["score"] as Float32Array, logPartition: found["log_partition"] as Float32Array };
  }

  close(): void {
    this.#executor?.close();
    this.#executor = undefined;
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
