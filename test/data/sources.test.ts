import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  evaluate,
  extendModel,
  type Log,
  type LogReport,
  type LogSource,
  mineUsers,
  openDataset,
  openModel,
  parseSchema,
  prepareDataset,
  readLog,
  recommend,
  train,
  writeUserVectors,
} from "../../src/index.js";
import { all, SMALL } from "../small_model.js";
import { expectError, withFolder } from "./temporary.js";

const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "age", kind: "number" }, { name: "clicks" }],
  click: [{ name: "item" }, { name: "time", kind: "time" }, { name: "tags", multiple: true }],
});

/** A user as a row of a table: typed values instead of text. */
interface User {
  readonly id: bigint | null;
  readonly age: number | null;
  readonly clicks: readonly { readonly item: number; readonly time: number | null; readonly tags: readonly string[] }[];
}

/** A log source whose rows are objects in memory. It counts how often it is read. */
class Table implements LogSource {
  readonly name = "warehouse.users";
  readonly label = "users";
  readonly #users: readonly User[];
  reads = 0;

  constructor(users: readonly User[]) {
    this.#users = users;
  }

  async size(): Promise<number> {
    return this.#users.length;
  }

  where(row: number): string {
    return `${this.name}, row ${row}`;
  }

  async read(...[binding, sink]: Parameters<LogSource["read"]>): Promise<void> {
    this.reads++;
    for (const [i, { id, age, clicks }] of this.#users.entries()) {
      if (clicks.length === 0 && !binding.withoutClicks) {
        sink.bad(i + 1, "column clicks: Expected clicks but received an empty list");
      } else {
        const userId = id === null ? null : String(id);
        sink.row(
          {
            userId,
            tokens: [userId],
            numbers: [age ?? Number.NaN],
            clicks: clicks.map(({ item, tags }) => [String(item), tags.length > 0 ? tags : [null]]),
            times: clicks.map(({ time }) => time ?? Number.NaN),
          },
          i + 1,
        );
      }
      sink.progress(1);
      await sink.pause();
    }
  }
}

function users(count: number, first = 0): User[] {
  return Array.from({ length: count }, (_, u) => ({
    id: u % 11 === 7 ? null : BigInt(first + u) + 2n ** 60n,
    age: u % 5 === 0 ? null : 20 + (u % 50) / 3,
    clicks: Array.from({ length: 3 + (u % 4) }, (_, c) => ({
      item: (u * 7 + c * c + c) % 23,
      time: c === 1 ? null : 1e9 + u + c,
      tags: ["a", "b", "c"].slice(0, (u + c) % 4),
    })),
  }));
}

/** Formats the same users as lines of a click log. */
function linesOf(users: readonly User[]): string {
  const clicksOf = ({ clicks }: User) =>
    clicks.map(({ item, time, tags }) => `${item}:${time ?? ""}:${tags.join("_")}`).join(";");
  return users.map((user) => `${user.id ?? ""}\t${user.age ?? ""}\t${clicksOf(user)}\n`).join("");
}

async function withLogs(work: (at: (name: string) => string, path: string, table: Table) => Promise<void>) {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    await writeFile(at("users"), linesOf(users(200)));
    await work(at, at("users"), new Table(users(200)));
  });
}

test("a dataset of typed rows is that of the same rows as lines, byte for byte", async () => {
  await withLogs(async (at, path, table) => {
    const progress: string[] = [];
    const note = (pass: number, done: number, all: number) => progress.push(`${pass}: ${done} of ${all}`);
    const [lines, rows] = [
      await prepareDataset({ logs: [path], output: at("a"), schema: SCHEMA, featureAppearLimit: 1 }),
      await prepareDataset({ logs: [table], output: at("b"), schema: SCHEMA, featureAppearLimit: 1, progress: note }),
    ];
    assert.equal(rows, lines);
    assert.is(table.reads, 2);
    assert.is(progress.length, 400);
    assert.is(progress.at(-1), "2: 200 of 200");
    for (const member of ["dataset.json", "clicks.safetensors", "vocabulary/item.tsv", "vocabulary/tags.tsv"]) {
      assert.ok((await readFile(at(`b/${member}`))).equals(await readFile(at(`a/${member}`))), member);
    }
    assert.equal((await openDataset(at("b"))).logs, [{ name: "users", lines: 200, skipped: 0 }]);
  });
});

test("every function that reads a log takes typed rows, and gives what it gives for lines", async () => {
  await withLogs(async (at, path, table) => {
    await prepareDataset({ logs: [path], output: at("dataset"), schema: SCHEMA, featureAppearLimit: 0 });
    const trained = async (testLog: Log) => {
      const warnings: string[] = [];
      const onWarning = (message: string) => warnings.push(message);
      const { evaluation, loss } = await train({
        ...{ dataset: at("dataset"), output: at("model"), set: SMALL, steps: 3, threads: 1, testLog, onWarning },
      });
      return { evaluation, loss, warnings: warnings.map((text) => text.replace(/^\S+: /, "")) };
    };
    assert.equal(await trained(table), await trained(path));
    const [model, dataset] = [await openModel(at("model")), await openDataset(at("dataset"))];
    const news = users(20, 5).map((user, u) => ({ ...user, clicks: [{ item: 100 + u, time: null, tags: ["a"] }] }));
    await writeFile(at("news"), linesOf(news));
    const answers = async (log: Log, newLog: Log) => {
      await writeUserVectors(model, log, { output: at("vectors") });
      const extension = await extendModel(model, { dataset, logs: [newLog] });
      extension.model.close();
      return {
        evaluation: await evaluate(model, log),
        shortlists: await all(recommend(model, log, { top: 5 })),
        mined: await all(mineUsers(model, { log, top: 3 })),
        vectors: await readFile(at("vectors"), "utf8"),
        added: extension.added,
      };
    };
    const [found, expected] = [await answers(table, new Table(news)), await answers(path, at("news"))];
    assert.equal(found, expected);
    assert.is(found.added, 20);
    model.close();
  });
});

test("messages say where a row is in the words of its source", async () => {
  const broken = users(5).map((user, u) => (u === 2 ? { ...user, clicks: [] } : user));
  const read = async (logs: readonly Log[], options = {}) => {
    const rows: (string | null | undefined)[] = [];
    const report = await readLog(logs, { schema: SCHEMA, ...options }, ({ userId }) => rows.push(userId));
    return { rows, report };
  };
  const problem = "warehouse.users, row 3: column clicks: Expected clicks but received an empty list";
  await expectError(read([new Table(broken)]), "ERR_LOG", problem);
  const skipped = await read([new Table(users(3)), new Table(broken)], { onBadLine: "skip" });
  assert.is(skipped.rows.length, 7);
  const expected: Partial<LogReport> = {
    files: [
      { name: "users", lines: 3, skipped: 0 },
      { name: "users", lines: 4, skipped: 1 },
    ],
    badLines: [problem],
  };
  assert.equal({ files: skipped.report.files, badLines: skipped.report.badLines }, expected);
  assert.is((await read([new Table(broken)], { withoutClicks: true })).report.withoutClicks, 1);

  const reversed = users(9).map(({ clicks, ...user }) => ({
    ...user,
    clicks: clicks.map((click, c) => ({ ...click, time: 100 - c })),
  }));
  await expectError(read([new Table(reversed)]), "ERR_LOG", "(the first: warehouse.users, row 1)");
  await expectError(read([new Table([])]), "ERR_LOG", "warehouse.users: Expected at least one usable line");
});

test("values that no vocabulary can hold are refused", async () => {
  await withLogs(async (at) => {
    for (const tag of ["", "<unk>", "a\nb", "\0"]) {
      const tagged = users(9).map(({ clicks, ...user }) => ({
        ...user,
        clicks: clicks.map((click) => ({ ...click, tags: ["a", tag] })),
      }));
      const options = { logs: [new Table(tagged)], output: at("none"), schema: SCHEMA, featureAppearLimit: 1 };
      await expectError(prepareDataset(options), "ERR_VOCABULARY", `but received ${JSON.stringify(tag)}: leave such`);
    }
  });
});

test("what is no log is refused", async () => {
  await withLogs(async (at, path, table) => {
    for (const log of [undefined, null, 7, {}, { ...table, read: undefined }, ["x"]]) {
      const wrong = log as never;
      await expectError(
        readLog([wrong], { schema: SCHEMA }, () => {}),
        "ERR_OPTION",
        "to be a path or a log source",
      );
      await expectError(
        prepareDataset({ logs: [path, wrong], output: at("none") }),
        "ERR_OPTION",
        "Expected each of logs to be a path or a log source but received",
      );
      if (log === undefined) continue;
      const options = { dataset: at("dataset"), output: at("none"), testLog: wrong };
      await expectError(train(options), "ERR_OPTION", "Expected testLog to be a path or a log source");
    }
    await expectError(
      readLog("log.tsv" as never, { schema: SCHEMA }, () => {}),
      "ERR_OPTION",
      "a list of logs",
    );
  });
});

test.run();
