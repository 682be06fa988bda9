import { appendFile, chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { TableSession, text } from "../../src/data/tables/duckdb.js";
import {
  type Model,
  mineSimilar,
  mineUsers,
  openModel,
  writeMinedPopular,
  writeMinedSimilar,
  writeMinedUsers,
} from "../../src/index.js";
import { HAS_DUCKDB } from "../data/table_files.js";
import { expectError } from "../data/temporary.js";
import { all, withSmallModel } from "../small_model.js";

async function withModel(work: (at: (name: string) => string, model: Model) => Promise<void>): Promise<void> {
  await withSmallModel(async (at) => {
    using model = await openModel(at("model"), { threads: 1 });
    await work(at, model);
  });
}

/** The names in a folder that begin with a dot. */
const hidden = async (folder: string) => (await readdir(folder)).filter((name) => name.startsWith("."));

test("files have the lists, in the form of lines", async () => {
  await withModel(async (at, model) => {
    const lists = await all(mineUsers(model, { log: at("log.tsv"), top: 3 }));
    const report = await writeMinedUsers(model, { output: at("users"), log: at("log.tsv"), top: 3 });
    assert.equal(report, { lists: 700, resumed: 0 });
    assert.is(await readFile(at("users"), "utf8"), lists.map((list) => `${JSON.stringify(list)}\n`).join(""));
    await writeMinedUsers(model, { output: at("users"), log: at("log.tsv"), top: 3, format: "text" });
    const [line] = (await readFile(at("users"), "utf8")).split("\n");
    const numbers = lists[0]!.items.map(({ item, probability }) => `${item}:${probability!.toFixed(6)}`);
    assert.is(line, `u0\t${numbers.join(",")}`);
    await writeMinedPopular(model, { output: at("popular"), format: "text" });
    assert.match(await readFile(at("popular"), "utf8"), /^(v\d\t\d+\t0\.\d{6}\n){9}$/);
    await writeMinedSimilar(model, { output: at("similar"), format: "text" });
    assert.match(await readFile(at("similar"), "utf8"), /^(v\d\t(v\d:-?\d\.\d{6},){7}v\d:-?\d\.\d{6}\n){9}$/);
    assert.equal(await hidden(at(".")), []);
  });
});

test("lists from any number on", async () => {
  await withModel(async (at, model) => {
    await writeFile(at("users.txt"), Array.from({ length: 90 }, (_, u) => `u${u * 7}`).join("\n"));
    const lists = await all(mineUsers(model, { log: at("log.tsv") }));
    const some = await all(mineUsers(model, { log: at("log.tsv"), users: at("users.txt") }));
    for (const skip of [0, 1, 89, 90, 100, 255, 256, 257, 699, 700, 900]) {
      assert.equal(await all(mineUsers(model, { log: at("log.tsv"), skip })), lists.slice(skip));
      assert.equal(await all(mineUsers(model, { log: at("log.tsv"), users: at("users.txt"), skip })), some.slice(skip));
    }
    const alone = await all(mineUsers(model));
    assert.equal(await all(mineUsers(model, { skip: 500 })), alone.slice(500));
    assert.equal(await all(mineSimilar(model, { skip: 4 })), (await all(mineSimilar(model))).slice(4));
  });
});

for (const format of HAS_DUCKDB ? (["jsonl", "text", "parquet"] as const) : (["jsonl", "text"] as const)) {
  test(`${format}: a run that was interrupted anywhere is resumed, with the bytes of a whole one`, async () => {
    await withModel(async (at, model) => {
      const options = { log: at("log.tsv"), format, top: 4 };
      await writeMinedUsers(model, { ...options, output: at("whole") });
      const whole = await readFile(at("whole"));
      await writeFile(at("output"), "before");
      await chmod(at("output"), 0o600);
      const output = at("output");
      let resumed = 0;
      for (let interrupts = 0; interrupts < 3; interrupts++) {
        const controller = new AbortController();
        const { signal } = controller;
        const original = signal.throwIfAborted.bind(signal);
        let looks = 0;
        signal.throwIfAborted = () => {
          if (++looks === 400) controller.abort(new Error("enough"));
          original();
        };
        await writeMinedUsers(model, { ...options, output, resume: interrupts > 0, signal }).then(
          () => assert.unreachable(),
          (error) => assert.is(error.message, "enough"),
        );
        assert.is(await readFile(output, "utf8"), "before");
        const folder = at(".output.unfinished");
        assert.equal(await hidden(at(".")), [".output.unfinished"]);
        // A killed process leaves lines after the last checkpoint, the last one cut.
        await appendFile(join(folder, "lines"), '{"user":"u17","items":[{"it');
        const state = JSON.parse(await readFile(join(folder, "state.json"), "utf8"));
        const text = await readFile(join(folder, "lines"), "utf8");
        const lines = text.split("\n").slice(0, 100 * (interrupts + 1));
        const bytes = Buffer.byteLength(`${lines.join("\n")}\n`);
        assert.ok(state.lines >= lines.length, `${state.lines} lines were written`);
        await writeFile(join(folder, "state.json"), JSON.stringify({ ...state, lines: lines.length, bytes }));
        resumed = lines.length;
      }
      const report = await writeMinedUsers(model, { ...options, output, resume: true });
      assert.equal(report, { lists: 700, resumed });
      assert.ok((await readFile(output)).equals(whole));
      assert.is((await stat(output)).mode & 0o777, 0o600);
      assert.equal(await hidden(at(".")), []);
      assert.equal(await writeMinedUsers(model, { ...options, output, resume: true }), { lists: 700, resumed: 0 });
    });
  });
}

test("a run of other options or inputs is not resumed; without resume it starts anew", async () => {
  await withModel(async (at, model) => {
    const output = at("output");
    const controller = new AbortController();
    const options = { output, log: at("log.tsv"), signal: controller.signal };
    const written = writeMinedUsers(model, { ...options, onWarning: () => {}, onReport: () => controller.abort() });
    await written.then(
      () => assert.unreachable(),
      () => {},
    );
    assert.equal(await hidden(at(".")), [".output.unfinished"]);
    const other = { output, log: at("log.tsv"), resume: true };
    await expectError(writeMinedUsers(model, { ...other, top: 7 }), "ERR_OPTION", /Cannot resume .*"top":7.*"top":30/);
    await expectError(writeMinedUsers(model, { ...other, format: "text" }), "ERR_OPTION", "Cannot resume");
    await expectError(writeMinedSimilar(model, { output, resume: true }), "ERR_OPTION", "Cannot resume");
    await appendFile(at("log.tsv"), "u9\tv1\n");
    await expectError(writeMinedUsers(model, other), "ERR_OPTION", "Cannot resume");
    assert.equal(await writeMinedSimilar(model, { output, items: undefined }), { lists: 9, resumed: 0 });
    assert.equal(await hidden(at(".")), []);
    await expectError(writeMinedPopular(model, { output: "/dev/null", resume: true }), "ERR_OPTION", "only a file");
    await expectError(writeMinedPopular(model, { output: at("model") }), "ERR_FILE", "it is a folder");
  });
});

test("a full disk is said; devices are written to directly", async () => {
  await withModel(async (_, model) => {
    for (const format of HAS_DUCKDB ? (["jsonl", "text", "parquet"] as const) : (["jsonl"] as const)) {
      const message = /Cannot write \/dev\/full: the disk is full/;
      await expectError(writeMinedPopular(model, { output: "/dev/full", format }), "ERR_FILE", message);
      assert.equal(await writeMinedPopular(model, { output: "/dev/null", format }), { lists: 9, resumed: 0 });
    }
  });
});

(HAS_DUCKDB ? test : test.skip)("the forms agree: Parquet has the members of the JSON lines", async () => {
  await withModel(async (at, model) => {
    const read = (path: string) =>
      TableSession.temporary(undefined, (session) =>
        session.rows(`SELECT to_json(row)::VARCHAR FROM (SELECT row FROM read_parquet(${text(path)}) AS row)`),
      );
    const same = async (write: (output: string, format: "jsonl" | "parquet") => Promise<unknown>) => {
      await write(at("lists.jsonl"), "jsonl");
      await write(at("lists.parquet"), "parquet");
      const lines = (await readFile(at("lists.jsonl"), "utf8")).trimEnd().split("\n");
      const strip = (value: unknown): unknown => {
        if (typeof value === "number") return Math.fround(value);
        if (Array.isArray(value)) return value.map(strip);
        if (typeof value !== "object" || value === null) return value;
        return Object.fromEntries(
          Object.entries(value)
            .filter(([, member]) => member !== null)
            .map(([name, member]) => [name, strip(member)]),
        );
      };
      const rows = (await read(at("lists.parquet"))).map(([row]) => strip(JSON.parse(row as string)));
      assert.equal(
        rows,
        lines.map((line) => strip(JSON.parse(line))),
      );
    };
    await same((output, format) => writeMinedUsers(model, { output, format, log: at("log.tsv"), top: 5 }));
    await same((output, format) => writeMinedSimilar(model, { output, format }));
    await same((output, format) => writeMinedPopular(model, { output, format }));
  });
});

test.run();
