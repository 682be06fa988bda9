// Compares exported models with their originals in ONNX Runtime, by examples/onnx_server.py. Any model and log can be
// compared: `node --import tsx test/export/onnx_runtime.ts MODEL LOG`. PYTHON names the Python to use.
import { spawnSync } from "node:child_process";
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { encodeLog } from "../../src/data/encode_log.js";
import { clickNumbers, itemFeatures, userFeatures } from "../../src/data/schema.js";
import type { Log } from "../../src/data/sources/log.js";
import type { LogRow } from "../../src/data/sources/source.js";
import { exportOnnx, type Model, openModel, recommend } from "../../src/index.js";
import { all } from "../small_model.js";

const PYTHON = process.env["PYTHON"] ?? "python3";
const SERVER = fileURLToPath(new URL("../../examples/onnx_server.py", import.meta.url));

/** Why ONNX Runtime cannot be used here; undefined if it can. */
export function missingRuntime(): string | undefined {
  const { status, error } = spawnSync(PYTHON, ["-c", "import numpy, onnx, onnxruntime"], { encoding: "utf8" });
  if (status === 0) return undefined;
  return error ? `there is no ${PYTHON}` : `${PYTHON} lacks onnxruntime, onnx or numpy (set PYTHON)`;
}

/** How far the answers of ONNX Runtime are from those of the engine. */
export interface Comparison {
  readonly users: number;
  /** Largest difference of an element of a user vector, as a share of the largest element of that vector. */
  readonly vectors: number;
  /** Largest difference of a score, as a share of the largest score of that shortlist. */
  readonly scores: number;
  /** Places of shortlists whose item has a score in the engine that differs by more than rounding explains. */
  readonly misplaced: number;
}

/** Exports a model to a folder beside it, and answers every user of a log with both. */
export async function compareWithOnnxRuntime(model: Model, log: Log, folder: string, top: number): Promise<Comparison> {
  await exportOnnx(model, { output: folder, top });
  checkOnnx(folder);
  const rows: LogRow[] = [];
  const { clicks } = await encodeLog([log], model.description, { onRow: (row) => rows.push(row), withoutClicks: true });
  const requests = rows.map((row) => `${JSON.stringify(requestOf(model, row))}\n`).join("");
  const answers = answersOf(folder, requests);
  const shortlists = await all(recommend(model, log, { top }));
  const { window, windows, userVectorWidth: width } = model.description.config;
  const batches = model.engine.createUserBatches({ clicks, window, windows });
  let [vectors, scores, misplaced] = [0, 0, 0];
  for (let b = 0; b < batches.batches; b++) {
    const outputs = await model.runUsers(["user_vector"], batches, b);
    const own = outputs["user_vector"] as Float32Array;
    for (let i = 0; i < own.length / width; i++) {
      const user = batches.firstUser(b) + i;
      const { vector, items } = answers[user]!;
      vectors = Math.max(vectors, distance([...own.subarray(i * width, (i + 1) * width)], vector));
      const expected = shortlists[user]!.items;
      if (items.length !== expected.length)
        throw new Error(`user ${user}: ${items.length} of ${expected.length} items`);
      const scored = expected.map(({ score }) => score);
      scores = Math.max(
        scores,
        distance(
          scored,
          items.map(({ score }) => score),
        ),
      );
      // An item that the engine does not list has at most the last score.
      const scoreOf = new Map(expected.map(({ item, score }) => [item, score]));
      const ownScores = items.map(({ item }) => scoreOf.get(item) ?? scored.at(-1)!);
      misplaced += scored.filter((score, n) => Math.abs(ownScores[n]! - score) > TOLERANCE * sizeOf(scored)).length;
    }
  }
  return { users: rows.length, vectors, scores, misplaced };
}

/** Largest difference that float32 explains when sums are in another order. */
export const TOLERANCE = 1e-5;

/** The largest difference of two vectors, as a share of the first one's largest element. */
function distance(expected: readonly number[], received: readonly number[]): number {
  if (expected.length !== received.length) return Number.POSITIVE_INFINITY;
  const largest = sizeOf(expected);
  return expected.reduce((most, value, i) => Math.max(most, Math.abs(value - received[i]!) / largest), 0);
}

/** The largest magnitude of an element. */
function sizeOf(vector: readonly number[]): number {
  return vector.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-30);
}

/** The user of a row as examples/onnx_server.py reads it. */
function requestOf({ description: { schema } }: Model, row: LogRow): object {
  const { tokens, numbers, clicks, clickNumbers: ofClicks } = row;
  const request: Record<string, unknown> = {};
  let [token, number] = [0, 0];
  for (const { name, kind } of userFeatures(schema)) {
    if (kind === "number") request[name] = Number.isNaN(numbers[number]) ? null : numbers[number];
    else request[name] = tokens[token];
    if (kind === "number") number++;
    else token++;
  }
  for (const [f, { name }] of itemFeatures(schema).entries()) request[name] = clicks.map((click) => click[f]);
  for (const [f, name] of clickNumbers(schema).entries()) {
    request[name] = ofClicks![f]!.map((value) => (Number.isNaN(value) ? null : value));
  }
  return request;
}

function checkOnnx(folder: string): void {
  const files = ["user_vector.onnx", "shortlist.onnx"].map((name) => `${folder}/${name}`);
  const check = "import onnx, sys\nfor path in sys.argv[1:]: onnx.checker.check_model(path, full_check=True)";
  const { status, stderr } = spawnSync(PYTHON, ["-c", check, ...files], { encoding: "utf8" });
  if (status !== 0) throw new Error(`onnx.checker: ${stderr}`);
}

interface Answer {
  readonly vector: readonly number[];
  readonly items: readonly { readonly item: string; readonly score: number }[];
}

function answersOf(folder: string, requests: string): Answer[] {
  const { status, stdout, stderr } = spawnSync(PYTHON, [SERVER, folder], {
    input: requests,
    encoding: "utf8",
    maxBuffer: 2 ** 30,
  });
  if (status !== 0) throw new Error(`onnx_server.py: ${stderr}`);
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder, log] = process.argv.slice(2) as [string, string];
  const reason = missingRuntime();
  if (reason) throw new Error(reason);
  const model = await openModel(folder, { threads: 1 });
  const output = `${folder}.onnx`;
  console.log(await compareWithOnnxRuntime(model, log, output, 100));
  await rm(output, { recursive: true });
  model.close();
}
