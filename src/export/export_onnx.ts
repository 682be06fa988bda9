import type { FileHandle } from "node:fs/promises";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { formatJson, replaceFile } from "../data/files.js";
import { VOCABULARY, vocabularyFile } from "../data/members.js";
import { type FolderKind, replaceFolder, withOutputFolder } from "../data/output_folder.js";
import { Turns } from "../data/turns.js";
import { checkOptions, checkWholeNumber, type OptionNames } from "../errors.js";
import { countElements } from "../graph/dims.js";
import { selectOutputs, storedTensors } from "../graph/program.js";
import { expectModel, type Model, storedChunks } from "../model/model.js";
import { PADDING } from "./history.js";
import { OnnxGraph, type OnnxWeight } from "./onnx.js";
import { type ExportedInput, type RearrangedWeight, UserTower } from "./user_tower.js";

const DESCRIPTION = "export.json";
const USER_VECTOR = "user_vector.onnx";
const SHORTLIST = "shortlist.onnx";
const WEIGHTS = "weights.bin";

const EXPORT: FolderKind = {
  name: "model export",
  code: "ERR_FILE",
  owns: (name) => [DESCRIPTION, USER_VECTOR, SHORTLIST, WEIGHTS, VOCABULARY].includes(name),
  description: DESCRIPTION,
};

/** Options of `exportOnnx`. */
export interface ExportOnnxOptions {
  /** Path of the folder to write. */
  readonly output: string;
  /** Number of items in each shortlist (default 100, at most all items). */
  readonly top?: number | undefined;
  /** Stops the work, which rejects with the signal's reason. Nothing is written then. */
  readonly signal?: AbortSignal | undefined;
}

const EXPORT_ONNX_OPTIONS: OptionNames = {
  output: true,
  top: true,
  signal: true,
} satisfies Record<keyof ExportOnnxOptions, true>;

/** Result of `exportOnnx`. */
export interface ExportReport {
  /** The inputs of `user_vector.onnx`; `shortlist.onnx` also has `excluded`. */
  readonly inputs: readonly ExportedInput[];
  /** Number of elements of a user vector. */
  readonly width: number;
  /** Number of items in each shortlist. */
  readonly top: number;
}

/**
 * Writes a folder from which other runtimes serve a model (docs/onnx.md): `user_vector.onnx` computes user vectors,
 * `shortlist.onnx` also scores all items and returns the best ones. Their weights are in `weights.bin`, the vocabularies
 * that turn tokens into ids in `vocabulary`, and `export.json` describes the inputs. All products are computed in
 * float32. Throws ERR_EXPORT if the network has a part that has no translation, and ERR_BUSY if another process is
 * writing the folder.
 */
export async function exportOnnx(model: Model, options: ExportOnnxOptions): Promise<ExportReport> {
  checkOptions("exportOnnx", options, EXPORT_ONNX_OPTIONS);
  expectModel(model);
  const { output, top: asked = 100, signal } = options;
  checkWholeNumber("top", asked, 1);
  signal?.throwIfAborted();
  const top = Math.min(asked, model.items.size - 1);
  return withOutputFolder(output, EXPORT, async (folder) => {
    const { inputs } = await replaceFolder(folder, EXPORT, (staging) => writeExport(model, staging, top, signal));
    return { inputs, width: model.description.config.userVectorWidth, top };
  });
}

function towerOf({ description, program }: Model, graph: OnnxGraph): UserTower {
  return new UserTower(graph, selectOutputs(program, ["user_vector"]), description.config, description);
}

async function writeExport(
  model: Model,
  folder: string,
  top: number,
  signal: AbortSignal | undefined,
): Promise<UserTower> {
  const { userVectorWidth: width } = model.description.config;
  const vectors = new OnnxGraph();
  const tower = towerOf(model, vectors);
  vectors.output("user_vector", "float32", ["batch", width], tower.output);
  const shortlists = new OnnxGraph();
  addShortlist(shortlists, towerOf(model, shortlists).output, top);

  const weights = await writeWeights(model, join(folder, WEIGHTS), [vectors, shortlists], tower.rearranged, signal);
  const metadata: Record<string, string> = model.id === undefined ? {} : { "shortlist.model": model.id };
  for (const [name, graph] of [
    [USER_VECTOR, vectors],
    [SHORTLIST, shortlists],
  ] as const) {
    const bytes = graph.toModel(name.replace(".onnx", ""), weights, WEIGHTS, metadata);
    await replaceFile(join(folder, name), (file) => file.writeFile(bytes));
  }
  await mkdir(join(folder, VOCABULARY));
  for (const { vocabulary } of tower.inputs) {
    if (vocabulary === undefined) continue;
    const tokens = model.description.vocabularies.get(vocabulary)!;
    await tokens.write(join(folder, vocabularyFile(vocabulary)), { signal });
  }
  const description = { format: "shortlist-onnx", version: 1, model: model.id ?? null, ...describe(tower, width, top) };
  await replaceFile(join(folder, DESCRIPTION), (file) => file.writeFile(formatJson(description)));
  signal?.throwIfAborted();
  return tower;
}

/** What `export.json` says of the inputs and outputs. */
function describe({ inputs }: UserTower, width: number, top: number) {
  const written = inputs.map(({ vocabulary, ...input }) => ({
    ...input,
    ...(vocabulary !== undefined && { vocabulary: vocabularyFile(vocabulary) }),
  }));
  const { vocabulary } = written[0]!;
  return {
    [USER_VECTOR]: { inputs: written, outputs: [{ name: "user_vector", dtype: "float32", shape: ["batch", width] }] },
    [SHORTLIST]: {
      inputs: [
        ...written,
        { name: "excluded", dtype: "int64", shape: ["batch", "excluded"], padding: PADDING, vocabulary },
      ],
      outputs: [
        { name: "items", dtype: "int64", shape: ["batch", top], padding: PADDING, vocabulary },
        { name: "score", dtype: "float32", shape: ["batch", top] },
      ],
    },
  };
}

/**
 * Scores all items and takes the best ones, with equal scores by increasing id, without `<unk>` and the ids of the input
 * `excluded`. Where too few are left, the item is −1 and its score −∞.
 */
function addShortlist(graph: OnnxGraph, user: string, top: number): void {
  const excluded = graph.input("excluded", "int64", ["batch", "excluded"]);
  const never = graph.floats([Number.NEGATIVE_INFINITY], []);
  const operands = [user, graph.weight("output.weight"), graph.weight("output.bias")];
  const scores = graph.apply("Gemm", operands, { transB: 1 });
  // `<unk>` is excluded for everybody, and stands for padding here, since −1 would be the last item.
  const room = graph.integers([0, 1, 0, 0]);
  const ids = graph.apply("Pad", [graph.apply("Max", [excluded, graph.integers(0)]), room, graph.integers(0)]);
  const updates = graph.apply("Expand", [never, graph.apply("Shape", [ids])]);
  const allowed = graph.apply("ScatterElements", [scores, ids, updates], { axis: 1 });
  const [score, items] = graph.applyTo("TopK", [allowed, graph.integers([top])], 2, { axis: 1 }) as [string, string];
  const isNone = graph.apply("Equal", [score, never]);
  const found = graph.apply("Where", [isNone, graph.integers(PADDING), items]);
  graph.output("items", "int64", ["batch", top], found);
  graph.output("score", "float32", ["batch", top], score);
}

/** Where a weight may start, so that runtimes can map the file into memory. */
const ALIGNMENT = 4096;

/** Writes the weights that these graphs read, one after another, and returns where they are. */
async function writeWeights(
  model: Model,
  path: string,
  graphs: readonly OnnxGraph[],
  rearranged: readonly RearrangedWeight[],
  signal: AbortSignal | undefined,
): Promise<OnnxWeight[]> {
  const shapes = new Map(storedTensors(model.program).map(({ name, shape }) => [name, shape]));
  const read = (name: string) => model.store.read(name) as Float32Array;
  const written: OnnxWeight[] = [];
  const turns = new Turns(signal);
  await replaceFile(path, async (file) => {
    for (const name of new Set(graphs.flatMap(({ weights }) => [...weights]))) {
      const own = rearranged.find((weight) => weight.name === name);
      const shape = own?.shape ?? shapes.get(name)!;
      const elements = countElements(shape, {});
      const offset = await pad(file, written.at(-1));
      for (const chunk of own ? [own.make(read)] : storedChunks(model.store, name, elements)) {
        await file.writeFile(bytesOf(chunk));
        if (turns.isDue) await turns.take();
      }
      written.push({ name, shape, offset, bytes: 4 * elements });
    }
  });
  return written;
}

/** Fills the file up to where the next weight may start, and returns that position. */
async function pad(file: FileHandle, last: OnnxWeight | undefined): Promise<number> {
  const end = last === undefined ? 0 : last.offset + last.bytes;
  const start = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
  await file.writeFile(new Uint8Array(start - end));
  return start;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
