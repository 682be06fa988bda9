import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inspect, openModel, parseSchema, prepareDataset, recommend, train } from "../../src/index.js";
import { withFolder } from "../data/temporary.js";

const SET = ["lstmWidth=4", "userVectorWidth=4", "hiddenWidths=[4]", "batchSize=32", 'embeddingWidths={"item":4}'];

test("feature names may equal names of JavaScript object members or of parts of the network", async () => {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    for (const names of [
      ["constructor", "run", "negatives"],
      ["user", "constructor", "sample"],
      ["row_end", "click", "constructor"],
    ]) {
      const [user, single, multiple] = names as [string, string, string];
      const schema = parseSchema({
        columns: [{ name: user }, { name: "clicks" }],
        click: [{ name: "item" }, { name: single }, { name: multiple, multiple: true }],
      });
      const click = (u: number, k: number) => `v${(u + k) % 5}:c${k % 2}:t${k}_t${u % 2}`;
      const lines = Array.from({ length: 40 }, (_, u) => `u${u % 4}\t${[0, 1, 2].map((k) => click(u, k)).join(";")}\n`);
      await writeFile(at("log"), lines.join(""));
      await prepareDataset({ logs: [at("log")], output: at("dataset"), schema, featureAppearLimit: 0 });
      for (const preset of ["default", "paddle"]) {
        const extra = preset === "default" ? ["userDropout=0"] : [];
        const options = { dataset: at("dataset"), output: at("model"), preset, steps: 2, threads: 1 };
        await train({ ...options, set: [...SET, ...extra] });
        const model = await openModel(at("model"), { threads: 1 });
        let users = 0;
        for await (const { items } of recommend(model, at("log"), { top: 2 })) users += items.length === 2 ? 1 : 0;
        assert.is(users, 40, names.join());
        model.close();
        assert.is((await inspect(at("model"), { training: true })).kind, "model");
      }
    }
  });
});

test.run();
