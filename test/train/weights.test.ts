import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readSafetensors } from "../../src/data/safetensors.js";
import { openModel, parseSchema, prepareDataset, train } from "../../src/index.js";
import { withFolder } from "../data/temporary.js";
import { SMALL } from "../small_model.js";

const COLUMNS = [{ name: "clicks" }];
const PLAIN = parseSchema({ columns: COLUMNS, click: [{ name: "item" }] });
const WEIGHTED = parseSchema({ columns: COLUMNS, click: [{ name: "item" }, { name: "weight", kind: "weight" }] });

/** Trains a model on lines of `item:weight` clicks, with the weights or without. Returns the model's folder. */
async function trained(
  folder: string,
  lines: readonly string[],
  { isWeighted, set = [], steps }: { readonly isWeighted: boolean; readonly set?: string[]; readonly steps: number },
): Promise<string> {
  const at = (name: string) => join(folder, `${isWeighted ? "weighted" : "plain"}-${name}`);
  const text = lines.map((line) => `${isWeighted ? line : line.replace(/:[^;]*/g, "")}\n`).join("");
  await writeFile(at("log.tsv"), text);
  const schema = isWeighted ? WEIGHTED : PLAIN;
  await prepareDataset({ logs: [at("log.tsv")], output: at("dataset"), schema, featureAppearLimit: 0 });
  await train({ dataset: at("dataset"), output: at("model"), set: [...SMALL, ...set], steps, threads: 2 });
  return at("model");
}

test("equal weights change no bit of the model, whatever they are", async () => {
  const lines = Array.from({ length: 300 }, (_, u) =>
    Array.from({ length: 2 + (u % 7) }, (_, i) => `v${(u * i + u + i * i) % 23}:2.7`).join(";"),
  );
  for (const set of [[], ["loss=nce", "reduction=sum", "batching=shuffled"]]) {
    await withFolder(async (folder) => {
      const [plain, weighted] = [
        await trained(folder, lines, { isWeighted: false, set, steps: 25 }),
        await trained(folder, lines, { isWeighted: true, set, steps: 25 }),
      ];
      const [expected, found] = [
        (await readSafetensors(join(plain, "model.safetensors"))).tensors,
        (await readSafetensors(join(weighted, "model.safetensors"))).tensors,
      ];
      assert.equal([...found.keys()], [...expected.keys()]);
      for (const [name, { data }] of expected) assert.equal(found.get(name)!.data, data, name);
    });
  }
});

test("an event of nine times the weight is learned as nine events; one of weight 0 as none", async () => {
  const lines = Array.from({ length: 400 }, (_, u) => ["a:1;b:1", "a:1;c:9", "a:1;d:0", "a:1;a:1"][u % 4]!);
  await withFolder(async (folder) => {
    const options = { set: ["learningRate=0.05", "loss=softmax"], steps: 400 };
    const ratios = async (isWeighted: boolean) => {
      using model = await openModel(await trained(folder, lines, { isWeighted, ...options }), { threads: 1 });
      const { items } = await model.score({ history: ["a"] }, ["b", "c", "d"]);
      const of = (name: string) => Math.exp(items.find(({ item }) => item === name)!.score);
      return [of("c") / of("b"), of("d") / of("b")];
    };
    const [c, d] = await ratios(true);
    assert.ok(c! > 6 && c! < 13, `${c}`);
    assert.ok(d! < 0.1, `${d}`);
    const [plainC, plainD] = await ratios(false);
    assert.ok(plainC! > 0.7 && plainC! < 1.4, `${plainC}`);
    assert.ok(plainD! > 0.7 && plainD! < 1.4, `${plainD}`);
  });
});

test.run();
