import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileError } from "../data/files.js";
import { ShortlistError } from "../errors.js";

/**
 * The part of the package `usearch` that is used, an optional dependency. It is declared here to compile without it.
 */
interface Package {
  readonly Index: new (options: GraphOptions) => CompiledIndex;
}

interface GraphOptions {
  readonly dimensions: number;
  readonly metric: "ip";
  readonly quantization: "f32";
  readonly connectivity: number;
  readonly expansion_add: number;
}

interface CompiledIndex {
  add(keys: BigUint64Array, vectors: Float32Array, threads: number): void;
  search(query: Float32Array, count: number, threads: number): { readonly keys: BigUint64Array };
  save(path: string): void;
  view(path: string): void;
  dimensions(): number;
  size(): number;
}

const PACKAGE = "usearch";

/**
 * Loads the package. Throws ERR_DEPENDENCY, with the command that installs it and what to do without it, if it cannot
 * be loaded.
 */
function load(): Package {
  try {
    // Its CommonJS form, because the module form of usearch 2.25 does not find its native part.
    return createRequire(import.meta.url)(PACKAGE) as Package;
  } catch (cause) {
    const [reason] = String((cause as Error | undefined)?.message ?? cause).split("\n");
    throw new ShortlistError(
      "ERR_DEPENDENCY",
      `Indexes are built and searched by the package ${PACKAGE}, which cannot be loaded (${reason}). Install it with "npm install ${PACKAGE}", or search exactly, which needs no index`,
      { cause },
    );
  }
}

/** How a graph is built. */
export interface GraphParameters {
  /** Number of elements of each vector. */
  readonly width: number;
  /** Number of neighbours of each item in the graph; twice as many in its lowest layer. */
  readonly connectivity: number;
  /** Number of candidates among which the neighbours of a new item are chosen. */
  readonly expansion: number;
}

/**
 * A graph of vectors in which those with a large inner product with a query are found quickly but approximately: HNSW
 * (Malkov & Yashunin, "Efficient and robust approximate nearest neighbor search using hierarchical navigable small
 * world graphs", 2016). Its calls are synchronous.
 */
export class HnswGraph {
  readonly #index: CompiledIndex;

  private constructor(index: CompiledIndex) {
    this.#index = index;
  }

  /** Creates an empty graph. */
  static create({ width, connectivity, expansion }: GraphParameters): HnswGraph {
    const { Index } = load();
    return new HnswGraph(
      new Index({ dimensions: width, metric: "ip", quantization: "f32", connectivity, expansion_add: expansion }),
    );
  }

  /** Opens a saved graph, whose file is mapped into memory rather than read. */
  static view(path: string, parameters: GraphParameters): HnswGraph {
    const graph = HnswGraph.create(parameters);
    graph.#index.view(path);
    return graph;
  }

  get width(): number {
    return this.#index.dimensions();
  }

  get size(): number {
    return this.#index.size();
  }

  /**
   * Adds the vectors [n, width] of items `first`, `first + 1`, … in this order, so that the graph is always the same.
   */
  add(first: number, vectors: Float32Array): void {
    const keys = BigUint64Array.from({ length: vectors.length / this.width }, (_, i) => BigInt(first + i));
    this.#index.add(keys, vectors, 1);
  }

  /**
   * Returns up to `searchWidth` items with large inner products, the largest first. A larger width finds more of the
   * best items, and takes proportionally longer.
   */
  search(query: Float32Array, searchWidth: number): Int32Array {
    return Int32Array.from(this.#index.search(query, searchWidth, 1).keys, Number);
  }

  /** Writes the graph to a file. Throws ERR_FILE if that fails. */
  save(path: string): void {
    try {
      this.#index.save(path);
    } catch (cause) {
      throw saveError(path, cause);
    }
  }
}

const PROBE_BYTES = 1 << 20;

/** The package does not say why it cannot write a file, so another write asks the system. */
function saveError(path: string, cause: unknown): ShortlistError {
  try {
    appendFileSync(path, new Uint8Array(PROBE_BYTES));
  } catch (error) {
    return fileError("write", path, error);
  }
  return new ShortlistError("ERR_FILE", `Cannot write ${path}: ${(cause as Error).message}`, { cause });
}
