import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { evaluate, openModel, parseSchema, prepareDataset, train } from "../../src/index.js";
import { withFolder } from "../data/temporary.js";
import { SMALL } from "../small_model.js";

const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "clicks" }],
  click: [{ name: "item" }, { name: "seen", kind: "number" }],
});
const SETTINGS = [...SMALL, "learningRate=0.05", "loss=softmax", 'exclude=["user_id"]'];

/** Users who click "a" and then "b" where they saw all of it, "c" where they saw little, and either where it is unknown. */
const LINES = Array.from({ length: 400 }, (_, u) => {
  const seen = ["0.9", "0.1", ""][u % 3];
  const next = [u % 30 === 0 ? "c" : "b", u % 30 === 1 ? "b" : "c", u % 2 === 0 ? "b" : "c"][u % 3];
  return `u${u}\ta:${seen};${next}:0.5`;
});

for (const history of ["lstm", "mean"]) {
  test(`the network reads the numbers of a history, unless they are excluded: history=${history}`, async () => {
    await withFolder(async (folder) => {
      const at = (name: string) => join(folder, name);
      await writeFile(at("log.tsv"), `${LINES.join("\n")}\n`);
      await prepareDataset({ logs: [at("log.tsv")], output: at("dataset"), schema: SCHEMA, featureAppearLimit: 0 });
      const options = { dataset: at("dataset"), steps: 300, threads: 2 };
      const set = [...SETTINGS, `history=${history}`];
      await train({ ...options, output: at("model"), set });
      using model = await openModel(at("model"), { threads: 1 });
      /** The odds of "b" against "c" after a click on "a". */
      const oddsAfter = async (click: string | { item: string; seen?: number | null }) => {
        const { items } = await model.score({ history: [click] }, ["b", "c"]);
        const of = (name: string) => items.find(({ item }) => item === name)!.score;
        return Math.exp(of("b") - of("c"));
      };
      const [much, little] = [await oddsAfter({ item: "a", seen: 0.9 }), await oddsAfter({ item: "a", seen: 0.1 })];
      assert.ok(much > 4 && little < 1 / 4, `${much}, ${little}`);
      const unknown = await oddsAfter("a");
      assert.ok(unknown > 0.4 && unknown < 2.5, `${unknown}`);
      for (const seen of [null, undefined]) assert.is(await oddsAfter({ item: "a", seen }), unknown);

      const excluded = 'exclude=["user_id","seen"]';
      await train({ ...options, output: at("without"), set: [...set, excluded] });
      const hitRate = async (name: string) => {
        using opened = await openModel(at(name), { threads: 1 });
        return (await evaluate(opened, at("log.tsv"), { tops: [1] })).hitRate[1]!;
      };
      const [read, ignored] = [await hitRate("model"), await hitRate("without")];
      assert.ok(read > 0.75 && ignored < 0.6, `${read}, ${ignored}`);
    });
  });
}

test.run();
