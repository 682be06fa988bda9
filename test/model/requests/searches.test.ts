import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openModel, parseSchema, prepareDataset, recommend, train } from "../../../src/index.js";
import { expectError, withFolder } from "../../data/temporary.js";
import { all, SMALL } from "../../small_model.js";

const SCHEMA = parseSchema({
  columns: [
    ...[{ name: "user_id" }, { name: "languages", multiple: true }, { name: "searches", kind: "tokens" }],
    { name: "clicks" },
  ],
  click: [{ name: "item" }],
});

test("languages and searches of requests are those of a log; calls together, explanations and refusals", () =>
  withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    const lines = Array.from({ length: 300 }, (_, u) => {
      const queries = Array.from({ length: u % 7 }, (_, q) => `word${(u + q) % 5} Other${q}`).join(";");
      return `u${u}\t${["en", "de_en", "NULL"][u % 3]}\t${queries}\tv${u % 9};v${(u + 1) % 9};v${(u * 5 + 2) % 9}\n`;
    });
    await writeFile(at("log.tsv"), lines.join(""));
    await prepareDataset({ logs: [at("log.tsv")], output: at("dataset"), schema: SCHEMA, featureAppearLimit: 0 });
    await train({ dataset: at("dataset"), output: at("model"), set: SMALL, steps: 30, threads: 1 });
    using model = await openModel(at("model"), { threads: 2 });
    const many = Array.from({ length: 60 }, (_, q) => `word${q % 5}`);
    const users = [
      { features: { languages: ["de", "en"], searches: ["word1 other0", "Word2?", "unknown"] }, history: ["v1", "v2"] },
      { features: { languages: [], searches: many }, history: ["v3"] },
      { features: { languages: ["xx", null, "en"], searches: ["", "null", null, "word3"] }, history: [] },
      { features: { languages: null, searches: undefined }, history: ["v1", "v2"] },
      { history: ["v1", "v2"] },
    ];
    const asLog = [
      ["", "de_en", "word1 other0;Word2?;unknown", "v1;v2"],
      ["", "", many.join(";"), "v3"],
      ["", "xx__en", "word3", ""],
      ["", "", "", "v1;v2"],
      ["", "", "", "v1;v2"],
    ];
    await writeFile(at("users.tsv"), asLog.map((columns) => `${columns.join("\t")}\n`).join(""));
    const expected = (await all(recommend(model, at("users.tsv"), { top: 5 }))).map(({ items }) => items);
    const scores = (items: readonly { readonly item: string; readonly score: number }[]) =>
      items.map(({ item, score }) => `${item} ${score}`);
    assert.not.equal(scores(expected[0]!), scores(expected[3]!));
    const together = await Promise.all(users.map((user) => model.recommend(user, { top: 5 })));
    for (const [u, { items }] of together.entries()) assert.equal(scores(items), scores(expected[u]!), `user ${u}`);
    const { items } = await model.recommend(users[0]!, { top: 5, explain: true });
    assert.equal(scores(items), scores(expected[0]!));
    const refused = (features: object, message: string) =>
      expectError(model.recommend({ features: features as never }, { top: 1 }), "ERR_REQUEST", message);
    await refused({ languages: "de" }, "Expected features.languages to be an array of strings");
    await refused({ searches: "cats" }, "Expected features.searches to be an array of queries");
    await refused({ searches: [7] }, "Expected features.searches[0] to be a string");
    await refused({ languages: ["de", 7] }, "Expected features.languages[1] to be a string");
  }));

test.run();
