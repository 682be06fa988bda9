import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { exportOnnx, Model, openModel, parseSchema, prepareDataset, train } from "../../src/index.js";
import { expectError, withFolder } from "../data/temporary.js";
import { handModel, ITEMS } from "../hand_model.js";
import { SMALL } from "../small_model.js";
import { compareWithOnnxRuntime, missingRuntime, TOLERANCE } from "./onnx_runtime.js";
import { type ReadOnnx, readOnnx } from "./read_onnx.js";

const [FLOAT32, INT64] = [1, 7];

async function readExport(folder: string, name: string): Promise<ReadOnnx> {
  return readOnnx(await readFile(join(folder, name)));
}

/** Every tensor that a node reads is an input, a weight, a constant, or the output of a node before it. */
function checkOrder({ nodes, inputs, outputs, tensors }: ReadOnnx): void {
  const known = new Set(["", ...Object.keys(inputs), ...tensors.map(({ name }) => name)]);
  for (const node of nodes) {
    for (const name of node.inputs) assert.ok(known.has(name), `${node.op} reads "${name}"`);
    for (const name of node.outputs) {
      assert.not.ok(known.has(name), `"${name}" is written twice`);
      known.add(name);
    }
  }
  for (const name of Object.keys(outputs)) assert.ok(known.has(name), `output "${name}"`);
}

/** The elements of an external tensor. */
function elementsOf({ tensors }: ReadOnnx, weights: Buffer, name: string): number[] {
  const { external, shape, dtype } = tensors.find((tensor) => tensor.name === name)!;
  const [offset, length] = [Number(external["offset"]), Number(external["length"])];
  assert.is(dtype, FLOAT32);
  assert.is(external["location"], "weights.bin");
  assert.is(offset % 4096, 0);
  assert.is(length, 4 * shape.reduce((a, b) => a * b, 1));
  return Array.from({ length: length / 4 }, (_, i) => weights.readFloatLE(offset + 4 * i));
}

test("an export has two models over the same weights, the vocabularies, and a description", async () => {
  await withFolder(async (folder) => {
    const model = handModel();
    const report = await exportOnnx(model, { output: join(folder, "out"), top: 3 });
    assert.is(report.width, 2);
    assert.equal((await readdir(join(folder, "out"), { recursive: true })).sort(), [
      ...["export.json", "shortlist.onnx", "user_vector.onnx", "vocabulary", "vocabulary/item.tsv"],
      ...["vocabulary/user_id.tsv", "weights.bin"],
    ]);
    const vectors = await readExport(join(folder, "out"), "user_vector.onnx");
    const shortlists = await readExport(join(folder, "out"), "shortlist.onnx");
    for (const read of [vectors, shortlists]) {
      assert.is(read.irVersion, 8);
      assert.equal(read.opsets, [{ domain: "", version: 17 }]);
      checkOrder(read);
    }
    const inputs = { item: [INT64, "batch", "clicks"], user_id: [INT64, "batch"] };
    assert.equal(vectors.inputs, inputs);
    assert.equal(vectors.outputs, { user_vector: [FLOAT32, "batch", 2] });
    assert.equal(shortlists.inputs, { ...inputs, excluded: [INT64, "batch", "excluded"] });
    assert.equal(shortlists.outputs, { items: [INT64, "batch", 3], score: [FLOAT32, "batch", 3] });

    const weights = await readFile(join(folder, "out", "weights.bin"));
    for (const name of ["embedding.item", "embedding.user_id", "user_vector.weight", "user_vector.bias"]) {
      assert.equal(elementsOf(vectors, weights, name), [...(model.store.read(name) as Float32Array)], name);
    }
    for (const name of ["output.weight", "output.bias"]) {
      assert.equal(elementsOf(shortlists, weights, name), [...(model.store.read(name) as Float32Array)], name);
      assert.not.ok(vectors.tensors.some((tensor) => tensor.name === name));
    }
    const items = await readFile(join(folder, "out", "vocabulary", "item.tsv"), "utf8");
    assert.equal(
      items
        .trimEnd()
        .split("\n")
        .map((line) => line.split("\t")[0]),
      ["<unk>", ...ITEMS],
    );
    const description = JSON.parse(await readFile(join(folder, "out", "export.json"), "utf8"));
    assert.is(description.model, null);
    assert.equal(description["user_vector.onnx"].inputs, [
      { name: "item", dtype: "int64", shape: ["batch", "clicks"], padding: -1, vocabulary: "vocabulary/item.tsv" },
      { name: "user_id", dtype: "int64", shape: ["batch"], vocabulary: "vocabulary/user_id.tsv" },
    ]);
    model.close();
  });
});

test("the weights of an LSTM: transposed, with gates in the order i, o, f, g", async () => {
  await withModels(async (open) => {
    const { model, output } = await open("peepholes=true");
    await exportOnnx(model, { output });
    const read = await readExport(output, "user_vector.onnx");
    checkOrder(read);
    const weights = await readFile(join(output, "weights.bin"));
    const lstm = read.nodes.find(({ op }) => op === "LSTM")!;
    assert.is(lstm.attributes["hidden_size"], 8);
    const [, w, r, b, , , , p] = lstm.inputs.map((name) =>
      read.tensors.some((tensor) => tensor.name === name) ? elementsOf(read, weights, name) : undefined,
    );
    const stored = (name: string) => model.store.read(`lstm.${name}`) as Float32Array;
    const [h, gates] = [8, { i: [0, 0], o: [1, 3], f: [2, 1], g: [3, 2] } as Record<string, [number, number]>];
    const given = stored("input_weight");
    const width = given.length / (4 * h);
    for (const [gate, [there, here]] of Object.entries(gates)) {
      for (let unit = 0; unit < h; unit++) {
        const [row, column] = [there * h + unit, here * h + unit];
        for (let k = 0; k < width; k++) assert.is(w![row * width + k], given[k * 4 * h + column], `W of ${gate}`);
        for (let k = 0; k < h; k++) assert.is(r![row * h + k], stored("recurrent_weight")[k * 4 * h + column]);
        assert.is(b![row], stored("bias")[column], `bias of ${gate}`);
        assert.is(b![4 * h + row], 0);
      }
    }
    assert.equal(
      p,
      ["input", "output", "forget"].flatMap((gate) => [...stored(`peephole_${gate}`)]),
    );
    assert.ok(p!.some((value) => value !== 0));
    assert.is(read.metadata["shortlist.model"], model.id);
    assert.is(JSON.parse(await readFile(join(output, "export.json"), "utf8")).model, model.id);
    model.close();
  });
});

test("a network with a part that has no translation is refused, and nothing is written", async () => {
  await withFolder(async (folder) => {
    const model = handModel();
    const instructions = model.program.instructions.map((instruction) =>
      instruction.op === "embedding_bag" ? { ...instruction, op: "range_sum" } : instruction,
    );
    const strange = new Model(model.description, { ...model.program, instructions }, model.engine, model.store);
    const exporting = exportOnnx(strange, { output: join(folder, "out") });
    await expectError(exporting, "ERR_EXPORT", "range_sum (history.mean): there is no translation of the op");
    assert.equal(await readdir(folder), []);
    model.close();
  });
});

/** Numbers of users and clicks, several values, and every kind of history. */
const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "age", kind: "number" }, { name: "clicks" }, { name: "city" }],
  click: [
    ...[{ name: "item" }, { name: "category" }, { name: "tags", multiple: true }],
    ...[
      { name: "price", kind: "number" },
      { name: "seen", kind: "number" },
    ],
  ],
});

/** Calls `work` with a function that trains a model with the given settings for a few steps. */
async function withModels(
  work: (
    open: (...set: string[]) => Promise<{ model: Model; output: string }>,
    at: (name: string) => string,
  ) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    await writeLog(at);
    await prepareDataset({ logs: [at("log.tsv")], output: at("dataset"), schema: SCHEMA, featureAppearLimit: 2 });
    let models = 0;
    const open = async (...set: string[]) => {
      const output = at(`model${models++}`);
      const options = { dataset: at("dataset"), output, steps: 3, threads: 1, preset: "paddle" };
      await train({ ...options, set: [...SMALL, "embeddingDeviation=0.3", "window=4", ...set] });
      return { model: await openModel(output, { threads: 1 }), output: `${output}.onnx` };
    };
    await work(open, at);
  });
}

/** Writes a log, and one to answer that has users without clicks, unknown tokens and missing values. */
async function writeLog(at: (name: string) => string): Promise<void> {
  const numbers = (n: number) => `${n % 3 === 0 ? "" : n % 7}:${n % 2}`;
  const click = (n: number) => `v${n % 13}:c${n % 5}:${["a", "b_a", "c_b_a", "d"][n % 4]}:${numbers(n)}`;
  const user = (u: number) => {
    const clicks = Array.from({ length: 1 + ((u * 7) % 19) }, (_, n) => click(u * 3 + n * n));
    return `u${u}\t${u % 5 === 0 ? "" : 18 + (u % 60)}\t${clicks.join(";")}\tcity${u % 4}\n`;
  };
  const log = Array.from({ length: 300 }, (_, u) => user(u)).join("");
  await writeFile(at("log.tsv"), log);
  const strange = [
    "nobody\t\t\t\n",
    "u1\t1e9\tnew:new:new_a:1e9:\tnowhere\n",
    "u2\t30\tv1:NULL:NULL::;v2:c1:a_b:-1:1\tcity1\n",
  ];
  await writeFile(
    at("asked.tsv"),
    log
      .split("\n")
      .slice(0, 80)
      .join("\n")
      .concat("\n", ...strange),
  );
}

const BFLOAT16 = "precision=bf16";
/** The rounding of bfloat16, which ONNX Runtime does not repeat. */
const BFLOAT16_TOLERANCE = 0.02;

/** Every option of the network that changes its instructions. */
const NETWORKS: Readonly<Record<string, readonly string[]>> = {
  "as in the preset paddle": [],
  "as in the preset default": [
    ...["windows=growing", "pooling=last", "lastClick=true", "peepholes=false", "skipHidden=true", "tiedItems=true"],
    ...["attributes=both", "itemAttributes=true", "userVectorActivation=none", "loss=softmax", "l2Output=false"],
  ],
  "the mean of the history, growing windows": ["history=mean", "windows=growing"],
  "two LSTMs over items with attributes": ["lstmLayers=2", "attributes=sequence", "lastClick=true"],
  "no hidden layers, no attributes": [
    ...["hiddenWidths=[]", 'exclude=["category","tags","age","price","seen"]', "pooling=last"],
  ],
  "two hidden layers": ["hiddenWidths=[8,4]", "skipHidden=true"],
  "products of bfloat16": [BFLOAT16],
};

const missing = missingRuntime();
if (missing) console.log(`skipped: exported models are not compared with ONNX Runtime, since ${missing}`);
for (const [name, set] of Object.entries(NETWORKS)) {
  (missing ? test.skip : test)(`ONNX Runtime gives the same vectors and shortlists: ${name}`, async () => {
    await withModels(async (open, at) => {
      const { model, output } = await open(...set);
      const { users, vectors, scores, misplaced } = await compareWithOnnxRuntime(model, at("asked.tsv"), output, 5);
      assert.is(users, 83);
      const isRounded = set.includes(BFLOAT16);
      const tolerance = isRounded ? BFLOAT16_TOLERANCE : TOLERANCE;
      assert.ok(vectors <= tolerance, `vectors differ by ${vectors}`);
      assert.ok(scores <= tolerance, `scores differ by ${scores}`);
      if (!isRounded) assert.is(misplaced, 0);
      model.close();
    });
  });
}

test.run();
