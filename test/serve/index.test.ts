import { cp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { buildIndex, openIndex, openModel, serveModels } from "../../src/index.js";
import { expectError, withFolder } from "../data/temporary.js";
import { HAS_USEARCH, randomModel } from "../retrieve/index_files.js";
import { ask, HAS_SERVICE, withService } from "./service.js";

const indexed = HAS_SERVICE && HAS_USEARCH ? test : test.skip;

/** Requests whose search width is below ITEMS / 500 use the index. */
const ITEMS = 12000;
const OPTIONS = { top: 10, minimumRecall: 0.5, connectivity: 8, expansion: 24 };
const USERS = Array.from({ length: 20 }, (_, u) => ({ history: [`v${u * 31}`, `v${u * 57 + 5}`, `v${u}`] }));

/** Makes folders of two models with the same items, and of an index of each. */
async function withIndexes(work: (at: (name: string) => string) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    for (const [i, name] of ["first", "second"].entries()) {
      using model = await randomModel(at(name), ITEMS, i + 1);
      await buildIndex(model, { output: at(`${name}-index`), ...OPTIONS });
    }
    await work(at);
  });
}

/** What the library answers for the users, with an index and exactly. */
async function answersOf(folder: string, indexFolder: string) {
  using model = await openModel(folder, { threads: 1 });
  using index = await openIndex(indexFolder, model);
  const found = await model.recommend(USERS, { top: 10, index });
  const exact = await model.recommend(USERS, { top: 10, probabilities: false });
  const likely = await model.recommend(USERS, { top: 10 });
  const itemsOf = (lists: typeof found) => lists.map(({ items }) => items);
  assert.not.equal(itemsOf(found), itemsOf(exact), "an index that misses nothing would hide that it is not used");
  return { found: itemsOf(found), exact: itemsOf(exact), likely: itemsOf(likely) };
}

async function shortlists(url: string, options: object = {}) {
  const { status, body } = await ask(`${url}/v1/shortlists`, { users: USERS, top: 10, ...options });
  assert.is(status, 200, JSON.stringify(body));
  // biome-ignore lint/suspicious/noExplicitAny: the JSON of an answer
  return body.users.map(({ items }: any) => items);
}

indexed("each model answers from its index, and exactly if it is asked for probabilities", async () => {
  await withIndexes(async (at) => {
    const names = ["first", "second"];
    const options = {
      models: { first: at("first"), second: at("second"), exact: at("second") },
      indexes: { first: at("first-index"), second: at("second-index") },
    };
    await withService(options, async ({ url }) => {
      for (const model of names) {
        const { found, exact, likely } = await answersOf(at(model), at(`${model}-index`));
        assert.equal(await shortlists(url, { model }), found);
        assert.equal(await shortlists(url, { model, probabilities: false }), found);
        assert.equal(await shortlists(url, { model, probabilities: true }), likely);
        if (model === "first") continue;
        assert.equal(await shortlists(url, { model: "exact" }), likely);
        assert.equal(await shortlists(url, { model: "exact", probabilities: false }), exact);
      }
      const { body } = await ask(`${url}/v1/models`);
      assert.equal(
        body.models.map(({ name, indexed }: { name: string; indexed: boolean }) => [name, indexed]),
        [
          ["first", true],
          ["second", true],
          ["exact", false],
        ],
      );
      const { body: metrics } = await ask(`${url}/metrics`);
      assert.equal(metrics.match(/^shortlist_model_indexed.*$/gm), [
        'shortlist_model_indexed{model="first"} 1',
        'shortlist_model_indexed{model="second"} 1',
      ]);
    });
  });
});

indexed("a swapped model is searched exactly until its index is there", async () => {
  await withIndexes(async (at) => {
    const [first, second] = [
      await answersOf(at("first"), at("first-index")),
      await answersOf(at("second"), at("second-index")),
    ];
    await cp(at("first"), at("live"), { recursive: true });
    await cp(at("first-index"), at("live-index"), { recursive: true });
    const replace = async (name: string, by: string) => {
      await rename(at(name), at("old"));
      await cp(at(by), at(name), { recursive: true });
      await rm(at("old"), { recursive: true });
    };
    const lines: string[] = [];
    const warnings = () => lines.map((line) => JSON.parse(line)).filter(({ level }) => level === 40);
    const options = {
      models: { default: at("live") },
      indexes: { default: at("live-index") },
      onLog: (line: string) => void lines.push(line),
    };
    await withService(options, async ({ url }) => {
      const reloaded = async () => {
        const [{ result, indexed }] = (await ask(`${url}/v1/admin/reload`, {})).body.models;
        const { body } = await ask(`${url}/metrics`);
        assert.match(body, new RegExp(`^shortlist_model_indexed{model="default"} ${indexed ? 1 : 0}$`, "m"));
        return [result, indexed];
      };
      assert.equal(await reloaded(), ["unchanged", true]);
      assert.equal(await shortlists(url), first.found);
      await replace("live", "second");
      assert.equal(await reloaded(), ["swapped", false]);
      assert.equal(await shortlists(url), second.exact);
      assert.equal(
        warnings().map(({ model, code, msg }) => [model, code, msg]),
        [["default", "ERR_INDEX", "the model serves, but something is wrong"]],
      );
      assert.match(warnings()[0].error, /Expected an index of the model/);
      assert.equal(await reloaded(), ["unchanged", false]);
      assert.is(warnings().length, 2);
      await replace("live-index", "second-index");
      assert.equal(await reloaded(), ["indexed", true]);
      assert.equal(await shortlists(url), second.found);
      assert.equal(await reloaded(), ["unchanged", true]);
      // An index of another model does not take the place of one that serves.
      await replace("live-index", "first-index");
      assert.equal(await reloaded(), ["unchanged", true]);
      assert.equal(await shortlists(url), second.found);
      await replace("live", "first");
      assert.equal(await reloaded(), ["swapped", true]);
      assert.equal(await shortlists(url), first.found);
    });
  });
});

indexed("an index that is not one of the model is refused when the service starts", async () => {
  await withIndexes(async (at) => {
    const models = { default: at("first") };
    const start = (indexes: Record<string, string>) => serveModels({ models, indexes, port: 0, threads: 1 });
    await expectError(start({ default: at("second-index") }), "ERR_INDEX", "Expected an index of the model");
    await expectError(start({ default: at("first") }), "ERR_INDEX", "Cannot read");
    await expectError(start({ other: at("first-index") }), "ERR_OPTION", "Expected indexes of the models default");
  });
});

test.run();
