import { cp, mkdir, rename, rm, stat, symlink, truncate, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Model, openModel, parseSchema, prepareDataset, train } from "../../src/index.js";
import { SMALL, withSmallModel } from "../small_model.js";
import { type Answer, ask, HAS_SERVICE, withService } from "./service.js";

const served = HAS_SERVICE ? test : test.skip;

/** Makes models that differ: `next` of the same items, `broken` that is cut short, and two that do not fit. */
async function makeOthers(at: (name: string) => string): Promise<void> {
  await train({ dataset: at("dataset"), output: at("next"), set: SMALL, steps: 3, threads: 1 });
  await cp(at("next"), at("broken"), { recursive: true });
  await truncate(join(at("broken"), "model.safetensors"), 500);
  const other = async (name: string, user: string, item: string) => {
    const schema = parseSchema({ columns: [{ name: user }, { name: "clicks" }], click: [{ name: "item" }] });
    const lines = Array.from({ length: 300 }, (_, u) => `u${u}\t${item}${u % 9};${item}${(u + 1) % 9}\n`);
    await writeFile(at(`${name}.tsv`), lines.join(""));
    const output = at(`${name}-dataset`);
    await prepareDataset({ logs: [at(`${name}.tsv`)], output, schema, featureAppearLimit: 0 });
    await train({ dataset: output, output: at(name), set: SMALL, steps: 2, threads: 1 });
  };
  await other("foreign", "user_id", "w");
  await other("renamed", "member_id", "v");
}

/** Makes a folder lead to another one, as a publisher of models would. */
async function lead(link: string, folder: string): Promise<void> {
  await unlink(`${link}.new`).catch(() => {});
  await symlink(folder, `${link}.new`);
  await rename(`${link}.new`, link);
}

const BODY = { history: ["v1", "v2"], top: 5 };

served("models are swapped under load without a failed request, and broken ones leave the old serving", async () => {
  await withSmallModel(async (at) => {
    await makeOthers(at);
    const expected = new Map<string, unknown>();
    for (const name of ["model", "next"]) {
      using model: Model = await openModel(at(name), { threads: 1 });
      expected.set(model.id!, (await model.recommend({ history: BODY.history }, { top: 5 })).items);
    }
    await lead(at("live"), at("model"));
    const lines: string[] = [];
    const options = {
      models: { default: at("live") },
      onLog: (line: string) => void lines.push(line),
      limits: { waitMs: 60_000 },
    };
    await withService(options, async ({ url }) => {
      let [isOver, count] = [false, 0];
      const seen = new Set<string>();
      const client = async () => {
        while (!isOver) {
          const { status, body }: Answer = await ask(`${url}/v1/shortlists`, BODY);
          assert.is(status, 200, JSON.stringify(body));
          assert.equal(body.items, expected.get(body.model.id));
          seen.add(body.model.id);
          count++;
        }
      };
      const clients = Promise.all(Array.from({ length: 8 }, client));
      const reasons: Record<string, RegExp> = {
        broken: /model\.safetensors/,
        foreign: /it knows none of the 9 most popular ones/,
        renamed: /Expected features\.user_id to be a string, as requests give it, but the next model has no such field/,
        missing: /There is no such folder/,
      };
      const names = ["next", "model", "broken", "foreign", "next", "renamed", "model", "missing", "next", "model"];
      const swap = async (name: string) => {
        const before = count;
        await lead(at("live"), at(name));
        const { status, body } = await ask(`${url}/v1/admin/reload`, {});
        const current = (await ask(`${url}/v1/models`)).body.models[0].id;
        if (reasons[name]) {
          assert.equal([status, body.error.code], [409, "ERR_MODEL"]);
          assert.match(body.error.message, reasons[name]!);
          assert.match(body.error.message, /Model "default" goes on serving as before/);
        } else {
          assert.is(status, 200, JSON.stringify(body));
          assert.equal(body.models, [{ name: "default", id: current, result: "swapped" }]);
        }
        while (count < before + 20) await new Promise(setImmediate);
      };
      try {
        for (const name of names) await swap(name);
      } finally {
        isOver = true;
        await clients;
      }
      assert.equal([...seen].sort(), [...expected.keys()].sort());
      await lead(at("live"), at("model"));
      const { body } = await ask(`${url}/v1/admin/reload`, { model: "default" });
      assert.is(body.models[0].result, "unchanged");
      const { body: metrics } = await ask(`${url}/metrics`);
      assert.match(metrics, /shortlist_reloads_total\{model="default",result="swapped"\} 6/);
      assert.match(metrics, /shortlist_reloads_total\{model="default",result="failed"\} 4/);
      assert.match(metrics, /shortlist_reloads_total\{model="default",result="unchanged"\} 1/);
      assert.is([...metrics.matchAll(/^shortlist_model_info/gm)].length, 1);
    });
    const failures = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === "the old model goes on serving");
    assert.equal(
      failures.map(({ level, code }) => [level, code]),
      Array.from({ length: 4 }, () => [50, "ERR_MODEL"]),
    );
  });
});

served("damaged files of the model that serves are reported, and it goes on serving", async () => {
  await withSmallModel(async (at) => {
    const lines: string[] = [];
    const options = { models: { default: at("model") }, onLog: (line: string) => void lines.push(line) };
    await withService(options, async ({ url }) => {
      const reload = async () => (await ask(`${url}/v1/admin/reload`, {})).body.models[0];
      const { problem, ...whole } = await reload();
      assert.equal([whole.result, problem], ["unchanged", undefined]);
      const { size } = await stat(join(at("model"), "model.safetensors"));
      await truncate(join(at("model"), "model.safetensors"), size - 4);
      const short = await reload();
      assert.equal([short.result, short.problem.code], ["unchanged", "ERR_MODEL"]);
      assert.match(short.problem.message, /model\.safetensors.*cut short/);
      await writeFile(join(at("model"), "vocabulary/item.tsv"), "<unk>\t0\n");
      assert.match((await reload()).problem.message, /item\.tsv: Expected sha256/);
      assert.is((await ask(`${url}/v1/shortlists`, BODY)).status, 200);
    });
    const warnings = lines.map((line) => JSON.parse(line)).filter(({ level }) => level === 40);
    assert.equal(
      warnings.map(({ code, msg }) => [code, msg]),
      [
        ["ERR_MODEL", "the model serves, but something is wrong"],
        ["ERR_MODEL", "the model serves, but something is wrong"],
      ],
    );
  });
});

served("a watched folder that changes is opened again, also after a broken one", async () => {
  await withSmallModel(async (at) => {
    await train({ dataset: at("dataset"), output: at("next"), set: SMALL, steps: 3, threads: 1 });
    const idOf = async (folder: string) => {
      using model = await openModel(folder, { threads: 1 });
      return model.id;
    };
    const [first, second] = [await idOf(at("model")), await idOf(at("next"))];
    const lines: string[] = [];
    const options = { models: { default: at("model") }, watch: true, watchMs: 30 };
    await withService({ ...options, onLog: (line) => void lines.push(line) }, async ({ url }) => {
      const until = async (what: string, holds: () => boolean | Promise<boolean>) => {
        for (let i = 0; !(await holds()); i++) {
          assert.ok(i < 500, what);
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      };
      const current = async () => (await ask(`${url}/v1/models`)).body.models[0].id;
      assert.is(await current(), first);
      await rename(at("model"), at("old"));
      await mkdir(at("model"));
      await writeFile(join(at("model"), "config.json"), "{}");
      await until("a folder with a broken model is reported", () => lines.some((line) => line.includes("goes on")));
      assert.is(await current(), first);
      await rm(at("model"), { recursive: true });
      await rename(at("next"), at("model"));
      await until("the next model serves", async () => (await current()) === second);
      await train({ dataset: at("dataset"), output: at("model"), set: SMALL, steps: 2, threads: 1 });
      await until("a training that writes to the folder is noticed", async () => (await current()) === first);
    });
  });
});

test.run();
