import { NextClickBatches } from "../data/batches.js";
import type { ReportedLogOptions } from "../data/click_log.js";
import { encodeUsers } from "../data/clicks.js";
import { replaceFile } from "../data/files.js";
import type { Model } from "../model/model.js";
import { notFinite } from "./scores.js";
import { itemVectors, simpleLshItems, simpleLshUsers, userVectors } from "./simple_lsh.js";

export interface UserVectorOptions extends VectorOptions, ReportedLogOptions {}

export interface VectorOptions {
  readonly output: string;
  /** "text" (default): token, tab, v0,v1,… a line. "npy": float32 [rows, width], tokens in `<output>.tokens.txt`. */
  readonly format?: "text" | "npy" | undefined;
  /**
   * "simple_lsh" (default): the cosine order of items for a user is the order of their scores. "none": [1; u] and [b; w],
   * whose inner product is the score.
   */
  readonly transform?: "simple_lsh" | "none" | undefined;
}

export interface VectorReport {
  readonly count: number;
  readonly width: number;
}

/** Writes the vector of each line's user: what the user may click after the line's last click is near it. */
export async function writeUserVectors(model: Model, log: string, options: UserVectorOptions): Promise<VectorReport> {
  const { clicks, userIds } = await encodeUsers(log, model.description, options);
  const { window, windows } = model.description.config;
  const batches = new NextClickBatches({ clicks, window, windows });
  const width = model.description.config.userVectorWidth;
  const users = new Float32Array(clicks.users * width);
  for (let b = 0; b < batches.batches; b++) {
    const { inputs, dims } = batches.batch(b);
    const outputs = await model.run(["user_vector"], inputs, dims);
    users.set(outputs["user_vector"]!, batches.firstUser(b) * width);
  }
  const plain = userVectors(users, width);
  const vectors = options.transform === "none" ? plain : simpleLshUsers(plain, width + 1);
  return writeVectors(userIds, vectors, options);
}

/** Writes the vector of each item, in id order, `<unk>` left out. */
export async function writeItemVectors(model: Model, options: VectorOptions): Promise<VectorReport> {
  const { weight, bias } = outputTable(model);
  const plain = itemVectors(weight, bias);
  const vectors = options.transform === "none" ? plain : simpleLshItems(plain, plain.length / bias.length);
  return writeVectors(model.items.tokens.slice(1), vectors, options);
}

/** The items' output weights [items − 1, width] and biases [items − 1], without `<unk>`. */
export function outputTable(model: Model): { readonly weight: Float32Array; readonly bias: Float32Array } {
  const width = model.description.config.userVectorWidth;
  return {
    weight: model.store.read("output.weight", width) as Float32Array,
    bias: model.store.read("output.bias", 1) as Float32Array,
  };
}

async function writeVectors(
  tokens: readonly string[],
  vectors: Float64Array,
  options: VectorOptions,
): Promise<VectorReport> {
  const { output, format = "text" } = options;
  const width = vectors.length / tokens.length;
  const broken = vectors.findIndex((value) => !Number.isFinite(Math.fround(value)));
  if (broken >= 0) throw notFinite(`The vector of "${tokens[Math.floor(broken / width)]}" is`);
  if (format === "npy") {
    await writeLines(`${output}.tokens.txt`, tokens.length, (row) => tokens[row]!);
    await writeNpy(output, vectors, tokens.length, width);
  } else {
    await writeLines(output, tokens.length, (row) => {
      const values = Array.from(vectors.subarray(row * width, (row + 1) * width), formatFloat32);
      return `${tokens[row]}\t${values.join(",")}`;
    });
  }
  return { count: tokens.length, width };
}

/** Nine significant digits hold any float32 exactly. */
function formatFloat32(value: number): string {
  return String(Number(Math.fround(value).toPrecision(9)));
}

const TEXT_AT_ONCE = 1 << 16;

async function writeLines(path: string, count: number, line: (row: number) => string): Promise<void> {
  await replaceFile(path, async (file) => {
    let text = "";
    for (let row = 0; row < count; row++) {
      text += `${line(row)}\n`;
      if (text.length < TEXT_AT_ONCE && row < count - 1) continue;
      await file.writeFile(text);
      text = "";
    }
  });
}

/** NumPy's .npy, version 1.0: magic, header length, a Python dict padded to 64 bytes, then the elements. */
async function writeNpy(path: string, values: Float64Array, rows: number, columns: number): Promise<void> {
  const dict = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${columns}), }`;
  const headerBytes = Math.ceil((10 + dict.length + 1) / 64) * 64 - 10;
  const head = Buffer.alloc(10 + headerBytes, " ");
  head.write("\x93NUMPY\x01\x00", "latin1");
  head.writeUInt16LE(headerBytes, 8);
  head.write(dict, 10, "latin1");
  head[head.length - 1] = 0x0a;
  await replaceFile(path, async (file) => {
    await file.writeFile(head);
    await file.writeFile(new Uint8Array(Float32Array.from(values).buffer));
  });
}
