import { existsSync } from "node:fs";
import { readdir, rm, writeFile } from "node:fs/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import * as graphEntry from "../src/graph_entry.js";
import { createEngine, createNativeEngine, createReferenceEngine, Graph, ops } from "../src/graph_entry.js";
import * as main from "../src/index.js";
import {
  buildIndex,
  compareModels,
  encodeLog,
  evaluate,
  exportOnnx,
  extendModel,
  extendModelFolder,
  inspect,
  type Model,
  minePopular,
  mineSimilar,
  mineUsers,
  openDataset,
  openIndex,
  openModel,
  parseSpace,
  prepareDataset,
  prepareTables,
  readConfig,
  readLog,
  readSchema,
  readSpace,
  recommend,
  saveModel,
  serveModels,
  simulate,
  TrainingSession,
  TransitionRanking,
  testLogOf,
  train,
  tune,
  understandTables,
  update,
  writeItemVectors,
  writeMinedPopular,
  writeMinedSimilar,
  writeMinedUsers,
  writeReport,
  writeUserVectors,
} from "../src/index.js";
import { OPS } from "../src/ops/index.js";
import { HAS_DUCKDB } from "./data/table_files.js";
import { expectError, failureOf } from "./data/temporary.js";
import { HAS_USEARCH } from "./retrieve/index_files.js";
import { HAS_SERVICE } from "./serve/service.js";
import { all, SMALL, ITEMS_ONLY as schema, withSmallModel } from "./small_model.js";

/** Runs `work` with a small open model. */
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

/** Runs `work` with a session that trains a small model, and closes the session afterwards. */
async function withSession(
  at: (name: string) => string,
  signal: AbortSignal | undefined,
  work: (session: TrainingSession) => Promise<unknown>,
): Promise<void> {
  const validation = { heldOut: "last-clicks" } as const;
  const options = { dataset: at("dataset"), set: [...SMALL, "epochs=2"], validation, testLog: at("log.tsv") };
  const session = await TrainingSession.open({ ...options, threads: 1, signal });
  try {
    await work(session);
  } finally {
    session.close();
  }
}

const isClass = (value: unknown) => typeof value === "function" && /^class\b/.test(String(value));

/** The callables that an entry exports: functions, constructors, and methods as `Class#method` or `Class.method`. */
function callablesOf(entry: object, prefix = ""): Map<string, Callable> {
  const found = new Map<string, Callable>();
  for (const [name, value] of Object.entries(entry)) {
    if (value === ops) for (const [inner, member] of callablesOf(value, "ops.")) found.set(inner, member);
    if (typeof value !== "function") continue;
    found.set(`${prefix}${name}`, value);
    if (!isClass(value)) continue;
    for (const [owner, mark] of [[value, "."] as const, [value.prototype as object, "#"] as const]) {
      for (const [member, { value: method }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
        if (typeof method === "function" && member !== "constructor") found.set(`${name}${mark}${member}`, method);
      }
    }
  }
  return found;
}

type Callable = (...values: never[]) => unknown;

/** The source text of a function's parameters. */
function parametersOf(callable: Callable): string {
  const text = String(callable);
  const start = isClass(callable) ? text.search(/(?<=\bconstructor)\(/) : text.indexOf("(");
  if (start < 0) return "";
  let depth = 0;
  for (let i = start; ; i++) {
    if ("([{".includes(text[i]!)) depth++;
    if (")]}".includes(text[i]!)) depth--;
    if (depth === 0) return text.slice(start + 1, i);
  }
}

const CALLABLES = new Map([...callablesOf(main), ...callablesOf(graphEntry)]);
/**
 * Constructors whose options are not checked: `ShortlistError` takes the options of every JavaScript error, and the
 * others are called only by functions that check theirs.
 */
const NOT_OURS = ["ShortlistError", "TrainingSession", "TransitionRanking"];

test("every function refuses an unknown option and suggests the closest one", async () => {
  await withModel(async (at, model) => {
    const [log, output, dataset] = [at("log.tsv"), at("new"), await openDataset(at("dataset"))];
    const engine = createEngine({ threads: 1 });
    const batches = { clicks: dataset.clicks, window: 3, batchSize: 2, seed: 1 };
    const graph = new Graph();
    const none = {} as never;
    const rows = { sorted: {}, terms: [] } as never;
    const calls: Record<string, readonly [near: string, wrong: string, call: (options: never) => unknown]> = {
      recommend: ["top", "tpo", (options) => all(recommend(model, log, options))],
      "Model#recommend": ["keepWatched", "keepwatched", (options) => model.recommend({}, options)],
      "Model#runUsers": ["here", "heer", (options) => model.runUsers(["user_vector"], none, 0, {}, {}, options)],
      "Model#score": ["signal", "singal", (options) => model.score({}, ["v1"], options)],
      "Model#userVectors": ["signal", "sygnal", (options) => model.userVectors({}, options)],
      "Model#similar": ["exclude", "exlude", (options) => model.similar("v1", options)],
      buildIndex: ["expansion", "expnasion", (options: object) => buildIndex(model, { output, ...options })],
      openIndex: ["signal", "singal", (options) => openIndex(output, model, options)],
      minePopular: ["top", "tops", (options) => all(minePopular(model, options))],
      mineSimilar: ["items", "item", (options) => all(mineSimilar(model, options))],
      mineUsers: ["users", "user", (options) => all(mineUsers(model, options))],
      writeMinedPopular: ["format", "fromat", (options: object) => writeMinedPopular(model, { output, ...options })],
      writeMinedSimilar: ["resume", "resum", (options: object) => writeMinedSimilar(model, { output, ...options })],
      writeMinedUsers: ["index", "idnex", (options: object) => writeMinedUsers(model, { output, ...options })],
      evaluate: ["tops", "top", (options) => evaluate(model, log, options)],
      exportOnnx: ["top", "tpo", (options: object) => exportOnnx(model, { output, ...options })],
      writeItemVectors: ["format", "formt", (options: object) => writeItemVectors(model, { output, ...options })],
      writeUserVectors: [
        "transform",
        "transfrom",
        (options: object) => writeUserVectors(model, log, { output, ...options }),
      ],
      extendModel: ["boost", "bost", (options: object) => extendModel(model, { dataset, logs: [log], ...options })],
      extendModelFolder: [
        "dataset",
        "datset",
        (options: object) =>
          extendModelFolder(at("model"), { dataset: at("dataset"), logs: [log], output, ...options }),
      ],
      inspect: ["samples", "sample", (options) => inspect(at("model"), options)],
      serveModels: ["watch", "wacth", (options: object) => serveModels({ models: {}, ...options })],
      openModel: ["threads", "thread", (options) => openModel(at("model"), options)],
      saveModel: ["signal", "singal", (options) => saveModel(model, output, options)],
      openDataset: ["signal", "signl", (options) => openDataset(at("dataset"), options)],
      testLogOf: ["signal", "signl", (options) => testLogOf(at("dataset"), options)],
      readConfig: ["onWarning", "onWarnings", (options) => readConfig(at("log.tsv"), options)],
      update: [
        "history",
        "histroy",
        (options: object) =>
          update({
            model: at("model"),
            dataset: at("dataset"),
            logs: [log],
            output,
            outputDataset: at("d"),
            ...options,
          }),
      ],
      writeReport: ["dataset", "datset", (options: object) => writeReport(at("model"), options)],
      compareModels: ["resamples", "resample", (options: object) => compareModels([at("model"), at("model")], options)],
      train: ["steps", "stepss", (options: object) => train({ dataset: at("dataset"), output, ...options })],
      "TrainingSession.open": [
        "seed",
        "seeed",
        (options: object) => TrainingSession.open({ dataset: at("dataset"), ...options }),
      ],
      "TrainingSession#run": [
        "steps",
        "step",
        (options) => withSession(at, undefined, (opened) => opened.run(options)),
      ],
      "TransitionRanking.count": ["signal", "signa", (options) => TransitionRanking.count(dataset.clicks, 10, options)],
      tune: ["eta", "ета", (options: object) => tune({ dataset: at("dataset"), output, space: {}, ...options })],
      prepareDataset: ["logs", "log", (options: object) => prepareDataset({ logs: [log], output, ...options })],
      understandTables: ["source", "sourc", (options) => understandTables(options)],
      prepareTables: ["output", "ouput", (options: object) => prepareTables({ source: {}, output, ...options })],
      simulate: ["users", "usres", (options: object) => simulate({ output, ...options })],
      readLog: ["schema", "shema", (options: object) => readLog([log], { schema, ...options }, () => {})],
      encodeLog: ["onBadLine", "onBadline", (options) => encodeLog([log], dataset, options)],
      "Vocabulary#write": ["signal", "signals", (options) => model.items.write(output, options)],
      createEngine: ["threads", "threds", (options) => createEngine(options)],
      createNativeEngine: ["isa", "iso", (options) => createNativeEngine(options)],
      createReferenceEngine: [
        "precision",
        "precison",
        (options: object) => createReferenceEngine({ ops: OPS, ...options }),
      ],
      "Engine.createExecutor": [
        "profile",
        "profil",
        (options) => engine.createExecutor(model.program, engine.createStore(), options),
      ],
      "Engine.createTrainingBatches": [
        "batchSize",
        "batchsize",
        (options: object) => engine.createTrainingBatches({ ...batches, ...options }),
      ],
      "Engine.createUserBatches": [
        "batchSize",
        "batchsize",
        (options: object) => engine.createUserBatches({ clicks: dataset.clicks, window: 3, ...options }),
      ],
      "Executor.runUsers": [
        "here",
        "hear",
        (options) => model.executorFor(["user_vector"]).runUsers(none, 0, none, none, options),
      ],
      "Executor.runSteps": [
        "steps",
        "stepz",
        (options: object) =>
          engine
            .createExecutor({ ...model.program, tensors: [], instructions: [], dims: [] }, engine.createStore())
            .runSteps(engine.createTrainingBatches(batches), { epoch: 0, index: 0, steps: 1, scalars: {}, ...options }),
      ],
      "ops.adagrad": ["epsilon", "epsilom", (options) => ops.adagrad(graph, "x", none, options)],
      "ops.adagradRows": ["epsilon", "epsilom", (options) => ops.adagradRows(graph, "x", rows, options)],
      "ops.rowwiseAdagradRows": ["epsilon", "epsilom", (options) => ops.rowwiseAdagradRows(graph, "x", rows, options)],
      "ops.adam": ["beta1", "beta3", (options) => ops.adam(graph, "x", none, options)],
      "ops.adamRows": ["beta2", "betta2", (options) => ops.adamRows(graph, "x", rows, options)],
      "ops.decayRows": ["epsilonInside", "epsilonInsid", (options) => ops.decayRows(graph, "x", none, options)],
      "ops.drawNegatives": ["draws", "draw", (options) => ops.drawNegatives(graph, "x", none, options)],
      "ops.dropIds": ["limit", "limits", (options) => ops.dropIds(graph, "x", none, options)],
      "ops.dropout": ["rate", "rat", (options) => ops.dropout(graph, "x", none, options)],
      "ops.l2Decay": ["l2", "l1", (options) => ops.l2Decay(graph, "x", none, options)],
      "ops.linear": ["activation", "activaton", (options) => ops.linear(graph, "x", [], none, undefined, options)],
      "ops.lstm": ["precision", "precison", (options) => ops.lstm(graph, "x", none, options)],
      "ops.nce": ["precision", "precison", (options) => ops.nce(graph, "x", none, options)],
      "ops.paddleNce": ["precision", "precison", (options) => ops.paddleNce(graph, "x", none, options)],
      "ops.sampledSoftmax": ["precision", "precison", (options) => ops.sampledSoftmax(graph, "x", none, options)],
      "ops.softmax": ["skipRows", "skiprow", (options) => ops.softmax(graph, "x", none, options)],
      "ops.targetRank": ["skipRows", "skipRow", (options) => ops.targetRank(graph, "x", none, options)],
      "ops.topN": ["top", "tob", (options) => ops.topN(graph, "x", none, options)],
    };
    const takers = [...CALLABLES].filter(([, callable]) =>
      /(^|[,\s])options\b|(^|,)\s*\{/.test(parametersOf(callable)),
    );
    const ofObjects = Object.keys(calls).filter((name) => /^(Engine|Executor)\./.test(name));
    assert.equal(
      Object.keys(calls).sort(),
      [...takers.map(([name]) => name), ...ofObjects].filter((name) => !NOT_OURS.includes(name)).sort(),
    );
    const before = (await readdir(at("."))).sort();
    for (const [name, [near, wrong, call]] of Object.entries(calls)) {
      const hint = wrong === "ета" ? "Its options are dataset, " : `Did you mean "${near}"?`;
      const message = await expectError(
        (async () => call({ [wrong]: 3 } as never))(),
        "ERR_OPTION",
        `Unknown option "${wrong}". ${hint}`,
      );
      assert.ok(message.startsWith(`${name.replace(/^(Engine|Executor|ops)\./, "").replace("#", ".")}: `), message);
    }
    await expectError(openModel(at("model"), null as never), "ERR_OPTION", "an object of options but received null");
    assert.equal((await readdir(at("."))).sort(), before);
    engine.close();
  });
});

test("the compiler knows the options as well", () => {
  const folders = { dataset: "dataset", output: "model" };
  const typed: readonly Parameters<typeof train>[0][] = [
    { ...folders, config: { lstmWidth: 8, loss: "nce", embeddingWidths: { item: 8 } } },
    // @ts-expect-error: no such key
    { ...folders, config: { lstmWidht: 8 } },
    // @ts-expect-error: no such value
    { ...folders, config: { loss: "hinge" } },
    // @ts-expect-error: no such option
    { ...folders, sed: 1 },
  ];
  assert.is(typed.length, 4);
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
      const whatLog = /logs to be a path (or a log source )?but received/;
      await expectError(prepareDataset({ logs: [log], output: wrong }), "ERR_OPTION", `output ${what}`);
      await expectError(prepareDataset({ logs: [wrong], output }), "ERR_OPTION", whatLog);
      await expectError(openDataset(wrong), "ERR_OPTION", what);
      await expectError(testLogOf(wrong), "ERR_OPTION", what);
      await expectError(openModel(wrong), "ERR_OPTION", what);
      await expectError(inspect(wrong), "ERR_OPTION", what);
      await expectError(all(recommend(model, wrong)), "ERR_OPTION", whatLog);
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
    for (const set of ["epochs=1", { epochs: 1 }]) {
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

test("options of the service that are impossible are refused", async () => {
  const models = { default: "model", next: "model" };
  const wrong: readonly (readonly [options: object, message: string | RegExp])[] = [
    [{ models: {} }, "Expected models to be model folders by name but received none"],
    [{ models: { "a b": "model" } }, 'Expected the name of a model to be up to 64 letters, digits, ".", "_" and "-"'],
    [{ models: { default: "" } }, "Expected models.default to be a path"],
    [{ limits: { userz: 3 } }, 'serveModels: limits: Unknown option "userz". Did you mean "users"?'],
    [{ limits: { top: 0 } }, "Expected limits.top to be a whole number from 1"],
    [{ shares: { nxt: 10 } }, 'received one of "nxt"'],
    [{ shares: { default: 10 } }, "Expected shares of models but the first, which has the rest"],
    [{ shares: { next: 101 } }, "Expected shares of 0 to 100 percent in all but received 101"],
    [{ shares: { next: Number.NaN } }, "received NaN"],
    [{ port: 65_536 }, "Expected port to be a whole number from 0 to 65535"],
    [{ host: "" }, "Expected host to be an address"],
    [{ logLevel: "loud" }, "Expected logLevel to be debug or info"],
    [{ watch: "yes" }, "Expected watch to be true or false"],
  ];
  for (const [options, message] of wrong) {
    await expectError(serveModels({ models, ...options }), "ERR_OPTION", message);
  }
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

/** Removes the files that `writeItemVectors` writes beside its output. */
async function removeBeside(output: string): Promise<void> {
  for (const name of ["tokens.txt", "json"]) await rm(`${output}.${name}`, { force: true });
}

/** A signal that aborts when it is checked for the nth time. */
function abortedAtLook(n: number, reason: Error) {
  const controller = new AbortController();
  const counted = { signal: controller.signal, looks: 0 };
  controller.signal.throwIfAborted = () => {
    if (++counted.looks === n) controller.abort(reason);
    AbortSignal.prototype.throwIfAborted.call(controller.signal);
  };
  return counted;
}

/**
 * Asynchronous calls without a signal: some are short, since they read a small file or a vocabulary, run one batch, copy
 * tensors, or ask for standard input; others write what would be lost if they were stopped.
 */
const SHORT = [
  ...[
    "readConfig",
    "readHistory",
    "readSchema",
    "readSpace",
    "readTableSource",
    "areClickLogs",
    "areItemTables",
    "withStandardInput",
    "Vocabulary.read",
    "Vocabulary.parseInTurns",
    "Vocabulary#load",
    "Model#run",
    "Model#runUsers",
  ],
  ...["restore", "restoreCheckpoint", "saveCheckpoint", "runUntil", "readBest", "writeComplete", "traceStep"].map(
    (name) => `TrainingSession#${name}`,
  ),
];
/** Asynchronous calls of packages that are not there. */
const ABSENT = HAS_USEARCH ? [] : ["buildIndex", "openIndex"];
/** Of the moments at which a call checks its signal, how many are tested. */
const LOOKS = 25;

test("a signal stops every long call with its reason at any check, and no output is left", async () => {
  await withModel(async (at, model) => {
    const log = at("log.tsv");
    const [folder, dataset, opened] = [at("model"), at("dataset"), await openDataset(at("dataset"))];
    const space = parseSpace({ learningRate: [0.001, 0.01] });
    const set = [...SMALL, "epochs=2"];
    const validation = { heldOut: "last-clicks" } as const;
    const users = Array.from({ length: 200 }, () => ({ history: ["v1"] }));
    const output = at("output");
    await writeFile(at("events.csv"), "user_id,item_id\nu1,v1\nu1,v2\nu2,v1\n");
    const source = { events: { files: [at("events.csv")] } };
    if (HAS_USEARCH) await buildIndex(model, { output: at("index") });
    const calls: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
      simulate: (signal) => simulate({ output, users: 200, items: 50, signal }),
      readLog: (signal) => readLog([log], { schema, signal }, () => {}),
      encodeLog: (signal) => encodeLog([log], opened, { signal }),
      prepareDataset: (signal) => prepareDataset({ logs: [log], output, schema, featureAppearLimit: 0, signal }),
      ...(HAS_DUCKDB && {
        understandTables: (signal: AbortSignal) => understandTables({ source, signal }),
        prepareTables: (signal: AbortSignal) => prepareTables({ source, output, signal }),
      }),
      openDataset: (signal) => openDataset(dataset, { signal }),
      testLogOf: (signal) => testLogOf(dataset, { signal }),
      train: (signal) => train({ dataset, output, set, validation, testLog: log, threads: 1, signal }),
      update: (signal) =>
        update({
          ...{ model: folder, dataset, logs: [log], output, outputDataset: at("grown"), testLog: log, threads: 1 },
          signal,
        }),
      "TrainingSession.open": (signal) => withSession(at, signal, async () => {}),
      "TrainingSession#run": (signal) => withSession(at, signal, (session) => session.run()),
      "TrainingSession#evaluateEpoch": (signal) =>
        withSession(at, signal, (session) => session.run().then(() => session.evaluateEpoch())),
      "TrainingSession#evaluate": (signal) => withSession(at, signal, (session) => session.evaluate("test")),
      "TrainingSession#save": (signal) => withSession(at, signal, (session) => session.save(output)),
      "TrainingSession#write": (signal) => withSession(at, signal, (session) => session.write(output)),
      "TrainingSession#returnToBest": (signal) => withSession(at, signal, (session) => session.returnToBest(folder)),
      "TransitionRanking.count": (signal) =>
        TransitionRanking.count(opened.clicks, opened.vocabularies.get("item")!.size, { signal }),
      writeReport: (signal) => writeReport(folder, { output, threads: 1, signal }),
      compareModels: (signal) =>
        compareModels([folder, folder], { testLog: log, resamples: 100, output, threads: 1, signal }),
      tune: (signal) => tune({ dataset, output, space, set, trials: 2, halvings: 0, threads: 1, signal }),
      openModel: (signal) => openModel(folder, { threads: 1, signal }).then((opened) => opened.close()),
      ...(HAS_SERVICE && {
        serveModels: (signal: AbortSignal) =>
          serveModels({ models: { default: folder }, port: 0, threads: 1, signal }).then((server) => server.close()),
      }),
      saveModel: (signal) => saveModel(model, output, { signal }),
      inspect: (signal) => inspect(folder, { signal }),
      evaluate: (signal) => evaluate(model, log, { baselines: opened, signal }),
      recommend: (signal) => all(recommend(model, log, { signal })),
      "Model#recommend": (signal) => model.recommend(users, { allow: ["v1"], explain: true, signal }),
      "Model#score": (signal) => model.score(users, ["v1"], { signal }),
      "Model#userVectors": (signal) => model.userVectors(users, { signal }),
      "Model#similar": (signal) => model.similar(["v1", "v2"], { signal }),
      writeUserVectors: (signal) => writeUserVectors(model, log, { output, format: "npy", signal }),
      ...(HAS_USEARCH && {
        buildIndex: (signal: AbortSignal) => buildIndex(model, { output, users: log, signal }),
        openIndex: (signal: AbortSignal) => openIndex(at("index"), model, { signal }),
      }),
      exportOnnx: (signal) => exportOnnx(model, { output, signal }),
      writeItemVectors: (signal) => writeItemVectors(model, { output, format: "npy", signal }),
      mineUsers: (signal) => all(mineUsers(model, { log, signal })),
      mineSimilar: (signal) => all(mineSimilar(model, { signal })),
      minePopular: (signal) => all(minePopular(model, { signal })),
      writeMinedUsers: (signal) => writeMinedUsers(model, { output, log, signal }),
      writeMinedSimilar: (signal) => writeMinedSimilar(model, { output, format: "text", signal }),
      writeMinedPopular: (signal) => writeMinedPopular(model, { output, signal }),
      extendModel: (signal) =>
        extendModel(model, { dataset: opened, logs: [log], signal }).then((extension) => extension.model.close()),
      extendModelFolder: (signal) => extendModelFolder(folder, { dataset, logs: [log], output, signal }),
      "Vocabulary#write": (signal) => model.items.write(output, { signal }),
    };
    const isAsync = (callable: Callable) => callable.constructor.name.startsWith("Async");
    const long = [...CALLABLES].filter(
      ([name, callable]) => isAsync(callable) && !SHORT.includes(name) && !ABSENT.includes(name),
    );
    assert.equal(Object.keys(calls).sort(), long.map(([name]) => name).sort());

    const before = (await readdir(at("."))).sort();
    const reason = new Error("no more");
    for (const [name, call] of Object.entries(calls)) {
      const whole = abortedAtLook(Number.POSITIVE_INFINITY, reason);
      await call(whole.signal);
      assert.ok(whole.looks > 0, `${name} looks at its signal`);
      await rm(output, { recursive: true, force: true });
      await rm(at("grown"), { recursive: true, force: true });
      await removeBeside(output);
      assert.is(await failureOf(call(AbortSignal.abort(reason))), reason, name);
      const stride = Math.max(1, whole.looks / LOOKS);
      for (let look = 1; look <= whole.looks; look += stride) {
        const { signal } = abortedAtLook(Math.floor(look), reason);
        // The number of times that a call checks its signal depends on the clock, so it may be smaller this time.
        const failure = await failureOf(call(signal).then(() => Promise.reject(reason)));
        assert.is(failure, reason, `${name}, at look ${look} of ${whole.looks}`);
        if (!signal.aborted || name === "tune") await rm(output, { recursive: true, force: true });
        if (!signal.aborted) await removeBeside(output);
        // What an interrupted run has mined remains for one that resumes it.
        if (name.startsWith("writeMined")) await rm(at(".output.unfinished"), { recursive: true, force: true });
        // The dataset of an update is finished before the training begins.
        if (existsSync(at("grown"))) await openDataset(at("grown"));
        await rm(at("grown"), { recursive: true, force: true });
        const left = (await readdir(at("."))).sort();
        if (["train", "update"].includes(name) && left.includes("output")) {
          // A checkpoint remains; or the model, if it was written before the evaluation on the test log.
          if ((await readdir(output)).join() !== "unfinished") (await openModel(output, { threads: 1 })).close();
          else assert.match((await readdir(`${output}/unfinished`)).join(), "checkpoint-");
          await rm(output, { recursive: true });
        } else {
          assert.equal(left, before, `${name}, at look ${look} of ${whole.looks}`);
        }
      }
    }
  });
});

test("a search that was stopped by a signal continues where it was", async () => {
  await withModel(async (at) => {
    const reason = new Error("no more");
    const controller = new AbortController();
    const space = parseSpace({ learningRate: [0.001, 0.01] });
    const options = { dataset: at("dataset"), output: at("search"), space, set: [...SMALL, "epochs=2"], trials: 2 };
    const stop = () => controller.abort(reason);
    const { signal } = controller;
    assert.is(await failureOf(tune({ ...options, halvings: 0, signal, onTrial: stop })), reason);
    assert.equal((await readdir(at("search"))).sort(), ["best.json", "search.json", "table.md", "trials.jsonl"]);
    const ran: number[] = [];
    await tune({ ...options, halvings: 0, onTrial: ({ trial }) => ran.push(trial) });
    assert.equal(ran, [2]);
  });
});

test.run();
