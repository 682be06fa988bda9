import { readdir, writeFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { createEngine, createNativeEngine, createReferenceEngine } from "../src/graph_entry.js";
import {
  evaluate,
  extendModel,
  inspect,
  type Model,
  minePopular,
  mineSimilar,
  mineUsers,
  openDataset,
  openModel,
  parseSpace,
  prepareDataset,
  readClickLog,
  readConfig,
  readSchema,
  readSpace,
  recommend,
  simulate,
  train,
  tune,
  writeItemVectors,
  writeUserVectors,
} from "../src/index.js";
import { OPS } from "../src/ops/index.js";
import { expectError, failureOf } from "./data/temporary.js";
import { all, SMALL, ITEMS_ONLY as schema, withSmallModel } from "./small_model.js";

/** A small model, open. */
async function withModel(work: (at: (name: string) => string, model: Model) => Promise<void>): Promise<void> {
  await withSmallModel(async (at) => {
    const model = await openModel(at("model"), { threads: 1 });
    try {
      await work(at, model);
    } finally {
      model.close();
    }
  });
}

test("an option that does not exist is an error that names the nearest one, in every function", async () => {
  await withModel(async (at, model) => {
    const [log, output, dataset] = [at("log.tsv"), at("new"), await openDataset(at("dataset"))];
    const calls: readonly [near: string, wrong: string, call: (options: never) => unknown][] = [
      ["top", "tpo", (options) => all(recommend(model, log, options))],
      ["keepWatched", "keepwatched", (options) => all(recommend(model, log, options))],
      ["top", "tops", (options) => all(minePopular(model, options))],
      ["items", "item", (options) => all(mineSimilar(model, options))],
      ["users", "user", (options) => all(mineUsers(model, options))],
      ["tops", "top", (options) => evaluate(model, log, options)],
      ["onBadLine", "onBadline", (options) => evaluate(model, log, options)],
      ["format", "formt", (options: object) => writeItemVectors(model, { output, ...options })],
      ["transform", "transfrom", (options: object) => writeUserVectors(model, log, { output, ...options })],
      ["boost", "bost", (options: object) => extendModel(model, { dataset, logs: [log], ...options })],
      ["samples", "sample", (options) => inspect(at("model"), options)],
      ["threads", "thread", (options) => openModel(at("model"), options)],
      ["steps", "stepss", (options: object) => train({ dataset: at("dataset"), output, ...options })],
      ["eta", "ета", (options: object) => tune({ dataset: at("dataset"), output, space: {}, ...options })],
      ["logs", "log", (options: object) => prepareDataset({ logs: [log], output, ...options })],
      ["users", "usres", (options: object) => simulate({ output, ...options })],
      ["schema", "shema", (options: object) => readClickLog([log], { schema, ...options }, () => {})],
      ["threads", "threds", async (options) => createEngine(options)],
      ["isa", "iso", async (options) => createNativeEngine(options)],
      ["precision", "precison", async (options: object) => createReferenceEngine({ ops: OPS, ...options })],
      [
        "profile",
        "profil",
        async (options) => createEngine().createExecutor(model.program, createEngine().createStore(), options),
      ],
    ];
    const before = (await readdir(at("."))).sort();
    for (const [near, wrong, call] of calls) {
      const hint = wrong === "ета" ? "Its options are dataset, " : `Did you mean "${near}"?`;
      await expectError(
        (async () => call({ [wrong]: 3 } as never))(),
        "ERR_OPTION",
        `Unknown option "${wrong}". ${hint}`,
      );
    }
    await expectError(openModel(at("model"), { signal: AbortSignal.abort() } as never), "ERR_OPTION", '"signal"');
    await expectError(openModel(at("model"), null as never), "ERR_OPTION", "an object of options but received null");
    assert.equal((await readdir(at("."))).sort(), before);
  });
});

test("values and paths that are impossible are refused", async () => {
  await withModel(async (at, model) => {
    const log = at("log.tsv");
    for (const top of [0, -1, 1.5, Number.NaN, "3"]) {
      await expectError(all(recommend(model, log, { top: top as number })), "ERR_OPTION", "Expected top");
      await expectError(all(mineSimilar(model, { top: top as number })), "ERR_OPTION", "Expected top");
      await expectError(evaluate(model, log, { tops: [top as number] }), "ERR_OPTION", "Expected tops");
    }
    await expectError(evaluate(model, log, { tops: [] }), "ERR_OPTION", "Expected tops");
    const output = at("vectors");
    for (const sizes of [{ users: 1e12 }, { items: 1e12 }, { users: 1e7, meanClicks: 1e12 }, { users: 0 }]) {
      await expectError(simulate({ output, ...sizes }), "ERR_OPTION", "Expected");
    }
    const search = { dataset: at("dataset"), output, space: parseSpace({ learningRate: { min: 0.001, max: 1 } }) };
    for (const sizes of [{ trials: 1e9 }, { halvings: 1e9 }]) {
      await expectError(tune({ ...search, ...sizes }), "ERR_OPTION", "to be a whole number from");
    }
    await expectError(writeItemVectors(model, { output, format: "csv" as "npy" }), "ERR_OPTION", "text or npy");
    await expectError(
      writeItemVectors(model, { output, transform: "lsh" as "none" }),
      "ERR_OPTION",
      "simple_lsh or none",
    );
    for (const path of ["", "a\0b", undefined, 7]) {
      const wrong = path as string;
      const what = "to be a path but received";
      await expectError(prepareDataset({ logs: [log], output: wrong }), "ERR_OPTION", `output ${what}`);
      await expectError(prepareDataset({ logs: [wrong], output }), "ERR_OPTION", `logs ${what}`);
      await expectError(openDataset(wrong), "ERR_OPTION", what);
      await expectError(openModel(wrong), "ERR_OPTION", what);
      await expectError(inspect(wrong), "ERR_OPTION", what);
      await expectError(all(recommend(model, wrong)), "ERR_OPTION", `logs ${what}`);
      await expectError(train({ dataset: at("dataset"), output: wrong }), "ERR_OPTION", `output ${what}`);
      await expectError(tune({ dataset: at("dataset"), space: {}, output: wrong }), "ERR_OPTION", `output ${what}`);
      await expectError(simulate({ output: wrong }), "ERR_OPTION", `output ${what}`);
      await expectError(writeItemVectors(model, { output: wrong }), "ERR_OPTION", `output ${what}`);
    }
    const folder = at("model") as never;
    for (const call of [evaluate(folder, log), writeItemVectors(folder, { output }), all(recommend(folder, log))]) {
      await expectError(call, "ERR_OPTION", /Expected a model but received ".*": open it with openModel/);
    }
    await expectError(all(mineSimilar(model, { items: ["v1"] as never })), "ERR_OPTION", "items to be a path");
    for (const set of ["passes=1", { passes: 1 }]) {
      await expectError(train({ dataset: at("dataset"), output, set: set as never }), "ERR_OPTION", "set to be a list");
    }
    for (const space of [{}, { learningRate: [0.01, 0.1] }, { learningRate: { min: 0.01, max: 0.1 } }]) {
      await expectError(tune({ ...search, space: space as never }), "ERR_OPTION", "as parseSpace or readSpace gives");
    }
    await expectError(
      train({ dataset: at("dataset"), output, set: ["lstmWidth=1000000"] }),
      "ERR_CONFIG",
      /need .* GiB but there are .* GiB of memory\. The largest is ".*" \[/,
    );
  });
});

test("a byte order mark and CRLF are fine in every text that a person writes", async () => {
  await withModel(async (at, model) => {
    const written = async (name: string, text: string) => {
      await writeFile(at(name), `\ufeff${text.replaceAll("\n", "\r\n")}`);
      return at(name);
    };
    const config = await readConfig(await written("config.json", '{\n  "lstmWidth": 8\n}\n'));
    assert.equal(config, { lstmWidth: 8 });
    const space = '{\n  "learningRate": [0.1, 0.2]\n}';
    assert.equal(await readSpace(await written("space.json", space)), parseSpace(JSON.parse(space)));
    assert.equal((await readSchema(await written("schema.json", JSON.stringify(schema, null, 1)))).click, schema.click);
    const items = await all(mineSimilar(model, { items: await written("items.txt", "v1\nv3"), top: 1 }));
    assert.equal(
      items.map(({ item }) => item),
      ["v1", "v3"],
    );
    const users = await written("users.txt", "u1\nu3\n");
    for (const log of [undefined, await written("log2.tsv", "u1\tv1\nu2\tv2\nu3\tv3")]) {
      const mined = await all(mineUsers(model, { users, log, top: 1 }));
      assert.equal(
        mined.map(({ user }) => user),
        ["u1", "u3"],
      );
    }
  });
});

test("a signal stops every long call with its reason, and nothing is left", async () => {
  await withModel(async (at, model) => {
    const log = at("log.tsv");
    const reason = new Error("no more");
    const dataset = at("dataset");
    const space = parseSpace({ learningRate: [0.001, 0.01] });
    const set = [...SMALL, "passes=1000"];
    const calls: [string, (signal: AbortSignal, stop: () => void) => Promise<unknown>][] = [
      ["prepare", (signal, stop) => prepareDataset({ logs: [log], output: at("a"), schema, signal, progress: stop })],
      ["train", (signal, stop) => train({ dataset, output: at("b"), set, signal, onProgress: stop })],
      ["tune", (signal, stop) => tune({ dataset, output: at("c"), space, set, signal, onProgress: stop })],
      ["evaluate", (signal, stop) => evaluate(model, log, { signal, onReport: stop })],
      ["recommend", (signal, stop) => all(recommend(model, log, { signal, onReport: stop }))],
      ["user vectors", (signal, stop) => writeUserVectors(model, log, { output: at("d"), signal, onReport: stop })],
      ["item vectors", (signal) => writeItemVectors(model, { output: at("e"), signal })],
      ["mine users", (signal, stop) => all(mineUsers(model, { log, signal, onReport: stop }))],
      ["mine similar", (signal) => all(mineSimilar(model, { signal }))],
      ["mine popular", (signal) => all(minePopular(model, { signal }))],
    ];
    const before = (await readdir(at("."))).sort();
    for (const [name, call] of calls) {
      for (const first of call.length === 1 ? [true] : [true, false]) {
        const controller = new AbortController();
        const stop = () => controller.abort(reason);
        if (first) stop();
        assert.is(await failureOf(call(controller.signal, stop)), reason, name);
      }
    }
    const left = (await readdir(at("."))).filter((name) => !before.includes(name));
    // A search goes on where it was stopped.
    assert.equal(left, ["c"]);
    assert.equal((await readdir(at("c"))).sort(), ["search.json"]);
  });
});

test.run();
