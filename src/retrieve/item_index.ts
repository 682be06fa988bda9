import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { formatJson, replaceFile } from "../data/files.js";
import { digestsOf, readFolder } from "../data/members.js";
import type { FolderKind } from "../data/output_folder.js";
import { parseStrictJson } from "../data/strict_json.js";
import { checkOptions, checkPath, ShortlistError } from "../errors.js";
import { expectModel, type Model } from "../model/model.js";
import { type CandidateIndex, expectIndexOf } from "../model/requests/item_index.js";
import { type GraphParameters, HnswGraph } from "./hnsw.js";
import { INDEX_SPACES, type IndexSpace, usersIn, widthIn } from "./index_space.js";
import { userVectors } from "./simple_lsh.js";

const DESCRIPTION = "index.json";
const GRAPH = "items.usearch";
const FORMAT = "shortlist-index";
const VERSION = 1;

/** The kind of folder that `buildIndex` writes. */
export const INDEX: FolderKind = {
  name: "index",
  code: "ERR_INDEX",
  owns: (name) => name === DESCRIPTION || name === GRAPH,
  description: DESCRIPTION,
};

/** What was measured of the search in one space. */
export interface SpaceFigures {
  readonly space: IndexSpace;
  /** The smallest search width that was tried and has the minimum recall; the largest that was tried if none has it. */
  readonly searchWidth: number;
  /** The recall with this width, of the half of the users for which it is lower. */
  readonly recall: number;
}

/** What an index is, and what was measured when it was built. */
export interface IndexDescription {
  /** The id of the model that made it. */
  readonly model: string;
  /** Number of items. */
  readonly items: number;
  /** Width of the model's user vectors. */
  readonly width: number;
  /** The space in which it searches. */
  readonly space: IndexSpace;
  readonly connectivity: number;
  readonly expansion: number;
  /** Number of candidates that a search for `top` items visits. */
  readonly searchWidth: number;
  /** Length of the shortlists whose recall was measured. */
  readonly top: number;
  readonly minimumRecall: number;
  /**
   * Share of the `top` items with the highest scores that a search finds. The mean over each half of the users was
   * computed, and this is the lower one.
   */
  readonly recall: number;
  /** Searches of one user after the other in a second, with the computation of exact scores. */
  readonly queriesPerSecond: number;
  /** The same of the exact scan with a first pass in 8 bits. */
  readonly exactQueriesPerSecond: number;
  /** Number of users that were searched for. */
  readonly users: number;
  /** Whether these were the users of a log, or histories that were drawn at random. */
  readonly usersFrom: "log" | "random histories";
  /** The figures of all spaces that were tried. */
  readonly spaces: readonly SpaceFigures[];
}

/** Writes the folder of an index whose graph `save` writes. */
export async function writeIndex(
  folder: string,
  description: IndexDescription,
  save: (path: string) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  save(join(folder, GRAPH));
  const members = await digestsOf(folder, [GRAPH], signal);
  const { queriesPerSecond: _, exactQueriesPerSecond: __, ...reproducible } = description;
  const id = createHash("sha256")
    .update(JSON.stringify({ ...reproducible, members }))
    .digest("hex");
  const text = formatJson({ format: FORMAT, version: VERSION, id, members, ...description });
  await replaceFile(join(folder, DESCRIPTION), (file) => file.writeFile(text));
}

/**
 * An open index, which finds candidates for shortlists in a part of the time of an exact scan. Give it to
 * `Model.recommend`, `recommend` or `mineUsers` as `index`.
 */
export interface ItemIndex extends CandidateIndex, Disposable {
  /** What the index is, and what was measured when it was built: the contents of `index.json`. */
  readonly description: IndexDescription;
  /**
   * Returns up to `searchWidth` ids of items that probably have the highest scores for a user vector u
   * [userVectorWidth], the best first as far as the index knows. Throws ERR_INDEX if the index is closed.
   */
  candidates(vector: Float32Array, searchWidth?: number): Int32Array;
  /** Gives the memory of the index back as soon as the garbage collector runs. Later calls throw ERR_INDEX. */
  close(): void;
}

/** An index over a graph. */
export class GraphIndex implements ItemIndex {
  readonly description: IndexDescription;
  #graph: HnswGraph | undefined;

  constructor(description: IndexDescription, graph: HnswGraph) {
    this.description = description;
    this.#graph = graph;
  }

  get model(): string {
    return this.description.model;
  }

  get top(): number {
    return this.description.top;
  }

  get searchWidth(): number {
    return this.description.searchWidth;
  }

  candidates(vector: Float32Array, searchWidth = this.searchWidth): Int32Array {
    if (!this.#graph) throw new ShortlistError("ERR_INDEX", "The index is closed: open it again");
    const { space, width } = this.description;
    return this.#graph.search(usersIn(space, userVectors(vector, width), width + 1), searchWidth);
  }

  close(): void {
    this.#graph = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Options of `openIndex`. */
export interface OpenIndexOptions {
  /** Stops the reading, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Opens an index that `buildIndex` wrote for this model. Its file is mapped into memory, so that several processes
 * share it. Throws ERR_INDEX if the folder is not an index, is damaged, or is one of another model; and ERR_DEPENDENCY
 * without the package `usearch`.
 */
export async function openIndex(folder: string, model: Model, options: OpenIndexOptions = {}): Promise<ItemIndex> {
  checkOptions("openIndex", options, { signal: true } satisfies Record<keyof OpenIndexOptions, true>);
  checkPath("folder", folder);
  expectModel(model);
  const { signal } = options;
  return readFolder(
    folder,
    DESCRIPTION,
    async (members) => {
      const path = members.path(DESCRIPTION);
      const bytes = await readFile(members.source(DESCRIPTION)).catch((cause) => {
        const problem = `Cannot read ${path} (${(cause as NodeJS.ErrnoException).code})`;
        throw new ShortlistError("ERR_INDEX", `${problem}. Build an index with "shortlist index build"`, { cause });
      });
      const head = parseStrictJson(bytes, path, "ERR_INDEX");
      const description = parseIndex(head, path);
      members.expect(head as object, "ERR_INDEX");
      if (!members.checksIds) throw new ShortlistError("ERR_INDEX", `${path}: Expected "id" and "members"`);
      await members.verify(GRAPH, signal);
      const index = new GraphIndex(description, viewGraph(members.source(GRAPH), members.path(GRAPH), description));
      expectIndexOf(model, index);
      return index;
    },
    signal,
  );
}

function viewGraph(source: string, path: string, description: IndexDescription): HnswGraph {
  const { space, width, items } = description;
  const parameters: GraphParameters = { ...description, width: widthIn(space, width + 1) };
  const graph = openGraph(source, path, parameters);
  if (graph.width === parameters.width && graph.size === items) return graph;
  throw new ShortlistError(
    "ERR_INDEX",
    `${path}: Expected ${items} vectors of width ${parameters.width} but received ${graph.size} of width ${graph.width}`,
  );
}

function openGraph(source: string, path: string, parameters: GraphParameters): HnswGraph {
  try {
    return HnswGraph.view(source, parameters);
  } catch (cause) {
    if (cause instanceof ShortlistError) throw cause;
    throw new ShortlistError("ERR_INDEX", `${path}: ${(cause as Error).message}. Build the index anew`, { cause });
  }
}

/** What each member that is read of an `index.json` must be. */
const MEMBERS: Readonly<Partial<Record<keyof IndexDescription, (value: unknown) => boolean>>> = {
  model: (value) => typeof value === "string",
  items: isCount,
  width: isCount,
  space: (value) => INDEX_SPACES.includes(value as IndexSpace),
  connectivity: isCount,
  expansion: isCount,
  searchWidth: isCount,
  top: isCount,
};

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) > 0 && (value as number) < 2 ** 31;
}

function parseIndex(value: unknown, path: string): IndexDescription {
  const fail = (problem: string): never => {
    throw new ShortlistError("ERR_INDEX", `${path}: ${problem}`);
  };
  if (typeof value !== "object" || value === null || Array.isArray(value)) return fail("Expected a JSON object");
  const head = value as Record<string, unknown>;
  if (head["format"] !== FORMAT) fail(`Expected "format" to be "${FORMAT}" but received ${describe(head["format"])}`);
  if (head["version"] !== VERSION) {
    fail(
      `Expected version ${VERSION} but received ${describe(head["version"])}. Update Shortlist, or build the index anew`,
    );
  }
  for (const [name, isValid] of Object.entries(MEMBERS)) {
    if (!isValid(head[name])) fail(`Expected a valid "${name}" but received ${describe(head[name])}`);
  }
  const { format: _, version: __, id: ___, members: ____, ...description } = head;
  return description as unknown as IndexDescription;
}

function describe(value: unknown): string {
  return value === undefined ? "nothing" : JSON.stringify(value);
}
