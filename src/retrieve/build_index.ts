import { replaceFolder, withOutputFolder } from "../data/output_folder.js";
import type { Log } from "../data/sources/log.js";
import { LOG_OPTIONS, type ReportedLogOptions } from "../data/sources/read_log.js";
import { Turns } from "../data/turns.js";
import { checkChoice, checkOptions, checkPath, checkWholeNumber, describeValue, ShortlistError } from "../errors.js";
import type { ItemSearch } from "../executors/item_search.js";
import { expectModel, type Model } from "../model/model.js";
import { IndexedSearch, openItemSearch } from "../model/requests/indexed_search.js";
import { notFinite } from "../model/scores.js";
import { HnswGraph } from "./hnsw.js";
import { INDEX_SPACES, type IndexSpace, itemsIn, widthIn } from "./index_space.js";
import {
  GraphIndex,
  INDEX,
  type IndexDescription,
  type ItemIndex,
  type SpaceFigures,
  writeIndex,
} from "./item_index.js";
import { chooseSearchWidth, findTruth, speedOf, type Truth } from "./measure_index.js";
import { randomUsers, usersOfLog } from "./measured_users.js";
import { largestNorm, plainItems } from "./vectors.js";

/** Options of `buildIndex`. The inherited log options apply to `users`. */
export interface BuildIndexOptions extends ReportedLogOptions {
  /** Path of the folder to write. */
  readonly output: string;
  /** Smallest share of the best items that a search must find, above 0 and up to 1 (default 0.95). */
  readonly minimumRecall?: number | undefined;
  /** Length of the shortlists for which recall is measured (default 100). */
  readonly top?: number | undefined;
  /**
   * A log, or the path of a click log, with users like those to be served: the recall of about a thousand of them is
   * measured. Without it, the users are histories drawn at random, which may have another recall than real ones.
   */
  readonly users?: Log | undefined;
  /** The space of the vectors (default "auto": both are built, and the one with the smaller search width is kept). */
  readonly space?: IndexSpace | "auto" | undefined;
  /** Number of neighbours of each item in the graph (default 16): more take more memory, and give more recall. */
  readonly connectivity?: number | undefined;
  /** Number of candidates for the neighbours of an item (default 128): more take more time, and give more recall. */
  readonly expansion?: number | undefined;
  /** Called a few times a second while items are added. */
  readonly onProgress?: ((progress: IndexProgress) => void) | undefined;
}

/** How far the building of an index is. */
export interface IndexProgress {
  /** The space of the graph that is being built. */
  readonly space: IndexSpace;
  /** Number of items that are in the graph. */
  readonly items: number;
  /** Number of all items. */
  readonly of: number;
}

const BUILD_INDEX_OPTIONS: Readonly<Record<keyof BuildIndexOptions, true>> = {
  ...LOG_OPTIONS,
  output: true,
  minimumRecall: true,
  top: true,
  users: true,
  space: true,
  connectivity: true,
  expansion: true,
  onProgress: true,
};

/** Limit of the numbers that describe a graph. */
const LARGEST_PARAMETER = 4096;

type Checked = Required<Pick<IndexDescription, "minimumRecall" | "connectivity" | "expansion" | "top">> & {
  readonly spaces: readonly IndexSpace[];
};

function checkBuild(model: Model, options: BuildIndexOptions): Checked {
  checkOptions("buildIndex", options, BUILD_INDEX_OPTIONS);
  expectModel(model);
  const { output, minimumRecall = 0.95, top = 100, space = "auto", connectivity = 16, expansion = 128 } = options;
  checkPath("output", output);
  checkWholeNumber("top", top, 1);
  checkWholeNumber("connectivity", connectivity, 2, LARGEST_PARAMETER);
  checkWholeNumber("expansion", expansion, 1, LARGEST_PARAMETER);
  checkChoice("space", space, ["auto", ...INDEX_SPACES]);
  if (!(typeof minimumRecall === "number" && minimumRecall > 0 && minimumRecall <= 1)) {
    const received = describeValue(minimumRecall);
    throw new ShortlistError("ERR_OPTION", `Expected minimumRecall above 0 and up to 1 but received ${received}`);
  }
  const spaces = space === "auto" ? INDEX_SPACES : [space];
  return { minimumRecall, top: Math.min(top, model.items.size - 1), connectivity, expansion, spaces };
}

/**
 * Builds an index over the items of a model and writes it to a folder, whole or not at all (docs/vector_search.md). It
 * is refused with ERR_INDEX if its recall is below the minimum. Also throws ERR_DEPENDENCY without the package
 * `usearch`, ERR_MODEL if the model has no id, ERR_DIVERGED if a vector is not finite, ERR_BUSY if another process is
 * writing the folder, and the errors of `readLog`.
 */
export async function buildIndex(model: Model, options: BuildIndexOptions): Promise<IndexDescription> {
  const checked = checkBuild(model, options);
  const { signal, output } = options;
  if (model.id === undefined) {
    throw new ShortlistError("ERR_MODEL", "Expected a model with an id: save it with saveModel, and open it again");
  }
  const { id } = model;
  return withOutputFolder(output, INDEX, async (folder) => {
    using exact = openItemSearch(model);
    const { from, vectors } = await (options.users === undefined
      ? randomUsers(model, signal)
      : usersOfLog(model, options.users, options));
    const { userVectorWidth: width } = model.description.config;
    const truth = await findTruth(exact, vectors, width, checked.top);
    const { graph, figures, spaces } = await bestGraph(model, exact, truth, checked, options);
    const { spaces: _, ...parameters } = checked;
    const plain: IndexDescription = {
      model: id,
      items: graph.size,
      width,
      ...parameters,
      ...figures,
      queriesPerSecond: 0,
      exactQueriesPerSecond: 0,
      users: truth.lowest.length,
      usersFrom: from,
      spaces,
    };
    const description = {
      ...plain,
      ...(await speedsOf(model, exact, new GraphIndex(plain, graph), truth, signal)),
    };
    await replaceFolder(folder, INDEX, (staging) =>
      writeIndex(staging, description, (path) => graph.save(path), signal),
    );
    return description;
  });
}

/**
 * Builds a graph in each space, and returns the one with the smallest search width. Throws ERR_INDEX if none will do.
 */
async function bestGraph(
  model: Model,
  exact: ItemSearch,
  truth: Truth,
  { minimumRecall, spaces: tried, ...parameters }: Checked,
  { signal, onProgress }: BuildIndexOptions,
): Promise<{ graph: HnswGraph; figures: SpaceFigures; spaces: readonly SpaceFigures[] }> {
  const spaces: SpaceFigures[] = [];
  let best: { readonly graph: HnswGraph; readonly figures: SpaceFigures } | undefined;
  for (const space of tried) {
    const graph = await buildGraph(model, space, parameters, signal, onProgress);
    const figures = await chooseSearchWidth(graph, space, exact, truth, minimumRecall, new Turns(signal));
    spaces.push(figures);
    if (figures.recall < minimumRecall) continue;
    if (!best || figures.searchWidth < best.figures.searchWidth) best = { graph, figures };
  }
  if (best) return { ...best, spaces };
  const measured = spaces.map(
    ({ space, recall, searchWidth }) => `${recall.toFixed(4)} (${space}, search width ${searchWidth})`,
  );
  throw new ShortlistError(
    "ERR_INDEX",
    `Expected a recall@${truth.top} of at least ${minimumRecall} but measured ${measured.join(" and ")}, so no index was written. Build it with a larger expansion or connectivity, accept less, or search exactly`,
  );
}

/** Number of vectors that are added in one call, which blocks the event loop. */
const ADDED_AT_ONCE = 8;
const PROGRESS_MS = 250;

/** Builds the graph of all items, in the order of ids. */
async function buildGraph(
  model: Model,
  space: IndexSpace,
  parameters: Pick<IndexDescription, "connectivity" | "expansion">,
  signal: AbortSignal | undefined,
  onProgress: BuildIndexOptions["onProgress"],
): Promise<HnswGraph> {
  const turns = new Turns(signal);
  await model.items.load(turns);
  const items = plainItems(model);
  const width = widthIn(space, items.width);
  const graph = HnswGraph.create({ ...parameters, width });
  const largest = space === "simple_lsh" ? await largestNorm(items, signal) : 0;
  let [added, reported] = [0, Number.NEGATIVE_INFINITY];
  for await (const rows of items.chunks()) {
    const vectors = itemsIn(space, rows, items.width, largest);
    const broken = vectors.findIndex((value) => !Number.isFinite(value));
    if (broken >= 0) throw notFinite(`The vector of "${items.id(added + Math.floor(broken / width))}" is`);
    for (let first = 0; first < vectors.length; first += ADDED_AT_ONCE * width) {
      const some = vectors.subarray(first, first + ADDED_AT_ONCE * width);
      graph.add(1 + added, some);
      added += some.length / width;
      if (turns.isDue) await turns.take();
    }
    if (performance.now() - reported < PROGRESS_MS && added < items.count) continue;
    reported = performance.now();
    onProgress?.({ space, items: added, of: items.count });
    model.checkOpen();
  }
  return graph;
}

async function speedsOf(
  model: Model,
  exact: ItemSearch,
  index: ItemIndex,
  truth: Truth,
  signal: AbortSignal | undefined,
): Promise<Pick<IndexDescription, "queriesPerSecond" | "exactQueriesPerSecond">> {
  const { top } = truth;
  const excluded = { ids: new Int32Array(0), offsets: new Int32Array(2) };
  const indexed = new IndexedSearch(model, exact, index);
  const turns = new Turns(signal);
  const search = (vectors: Float32Array) => indexed.search({ vectors, top, excluded, turns });
  return {
    queriesPerSecond: await speedOf(model, truth, search, signal),
    exactQueriesPerSecond: await speedOf(model, truth, (vectors) => exact.search(vectors, top), signal),
  };
}
