import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { inspect, parseSchema, prepareDataset, ShortlistError, train } from "../../src/index.js";
import { expectError, withFolder } from "../data/temporary.js";

const VALUES = [null, 0, -1, 1e308, "x", "constructor", [], {}, true, "samples", ["samples", "samples"], "5*samples+1"];

test("a model folder that was changed by hand is shown or refused, never an error of another kind", async () => {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    const schema = parseSchema({ columns: [{ name: "user_id" }, { name: "clicks" }], click: [{ name: "item" }] });
    await writeFile(at("log"), "u1\ta;b;c\nu2\tb;c;a\n");
    await prepareDataset({ logs: [at("log")], output: at("dataset"), schema, featureAppearLimit: 0 });
    const set = ["lstmWidth=4", "userVectorWidth=4", "hiddenWidths=[4]"];
    await train({ dataset: at("dataset"), output: at("model"), set, steps: 1, threads: 1 });
    const config = JSON.parse(await readFile(at("model/config.json"), "utf8"));
    // Without ids, readers do not notice that the folder was changed.
    delete config.id;
    delete config.members;
    await writeFile(at("model/config.json"), JSON.stringify(config));
    const program = await readFile(at("model/program.json"), "utf8");
    assert.is((await inspect(at("model"))).kind, "model");

    const unknown = program.replace('"op":"top_n"', '"op":"no_such_op"');
    await writeFile(at("model/program.json"), unknown);
    await expectError(inspect(at("model")), "ERR_MODEL", /program\.json: .*no_such_op/);

    let state = 1;
    const below = (n: number) => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return Math.floor((state / 2 ** 32) * n);
    };
    for (let i = 0; i < 400; i++) {
      const changed = JSON.parse(program);
      const places: [Record<string, unknown>, string][] = [];
      const visit = (value: unknown) => {
        if (typeof value !== "object" || value === null) return;
        for (const key of Object.keys(value)) {
          places.push([value as Record<string, unknown>, key]);
          visit((value as Record<string, unknown>)[key]);
        }
      };
      visit(changed);
      const [place, key] = places[below(places.length)]!;
      if (below(6) === 0) delete place[key];
      else place[key] = VALUES[below(VALUES.length)];
      await writeFile(at("model/program.json"), JSON.stringify(changed));
      await inspect(at("model")).catch((error) => {
        if (!(error instanceof ShortlistError)) throw error;
      });
    }
  });
});

test.run();
