import { execFileSync, spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { DEFAULT_MISSING, DEFAULT_SCHEMA, parseSchema, readSchema } from "../../src/data/schema.js";
import { type ReadLogOptions, readLog } from "../../src/data/sources/read_log.js";
import type { LogRow } from "../../src/data/sources/source.js";
import { expectError, failureOf, withFolder } from "./temporary.js";

const GOOD = "u1\tp\tc\ti1:c1:t1_t2;i2:c2:t3\tphone\n";

async function read(text: string | Buffer, options: Partial<ReadLogOptions> = {}) {
  const lines: LogRow[] = [];
  let report: Awaited<ReturnType<typeof readLog>> | undefined;
  await withFolder(async (folder) => {
    const path = join(folder, "log.tsv");
    await writeFile(path, text);
    report = await readLog([path], { schema: DEFAULT_SCHEMA, ...options }, (line) => lines.push(line));
  });
  return { lines, report: report! };
}

test("reads users and clicks", async () => {
  const { lines, report } = await read(`${GOOD}NULL\t\t<unk>\ti3:NULL:;NULL:c:t_\tü\n`);
  assert.equal(lines[0], {
    userId: "u1",
    tokens: ["u1", "p", "c", "phone"],
    numbers: [],
    clicks: [
      ["i1", "c1", ["t1", "t2"]],
      ["i2", "c2", ["t3"]],
    ],
    times: [],
  });
  assert.equal(lines[1], {
    userId: null,
    tokens: [null, null, null, "ü"],
    numbers: [],
    clicks: [
      ["i3", null, [null]],
      [null, "c", ["t", null]],
    ],
    times: [],
  });
  assert.equal(report, {
    files: [{ name: "log.tsv", lines: 2, skipped: 0 }],
    lines: 2,
    clicks: 4,
    withoutClicks: 0,
    skipped: 0,
    badLines: [],
  });
});

test("takes CRLF, a byte order mark, and a last line without or with an empty line after it", async () => {
  const expected = (await read(GOOD + GOOD)).lines;
  for (const text of [
    (GOOD + GOOD).replaceAll("\n", "\r\n"),
    `\ufeff${GOOD}${GOOD}`,
    `\ufeff${GOOD}\ufeff${GOOD}`,
    (GOOD + GOOD).slice(0, -1),
    `${GOOD}${GOOD}\n`,
    `${GOOD}${GOOD}\r\n`,
  ]) {
    assert.equal((await read(text)).lines, expected, JSON.stringify(text));
  }
});

test("missing values are the words of the schema, or those that programs write", async () => {
  const schema = (missing?: unknown) =>
    parseSchema({
      columns: [{ name: "user_id" }, { name: "age", kind: "number" }, { name: "clicks" }],
      click: [{ name: "item" }, { name: "time", kind: "time" }, { name: "tags", multiple: true }],
      ...(missing !== undefined && { missing }),
    });
  for (const word of DEFAULT_MISSING) {
    const { lines } = await read(`${word}\t${word}\t${word}:${word}:t_${word}\n`, { schema: schema() });
    assert.is(lines[0]!.userId, null, word);
    assert.ok(Number.isNaN(lines[0]!.numbers[0]) && Number.isNaN(lines[0]!.times[0]), word);
    assert.equal(lines[0]!.clicks, [[null, ["t", null]]], word);
    await expectError(read(`u\t1\t${word}\n`, { schema: schema() }), "ERR_LOG", "field 3 (clicks): Expected clicks");
  }
  const long = "a word for what is missing that is longer than most";
  const rare = schema([long, "\u00ed"]);
  const written = await read(`${long}\t\u00ed\t${long}x:1:m_${long}_\u00ed_i\n`, { schema: rare });
  assert.is(written.lines[0]!.userId, null);
  assert.equal(written.lines[0]!.clicks, [[`${long}x`, ["m", null, null, "i"]]]);
  const own = schema(["unknown"]);
  const { lines } = await read("None\tunknown\tnull:1:unknown_NULL_<unk>_\n", { schema: own });
  assert.is(lines[0]!.userId, "None");
  assert.equal(lines[0]!.clicks, [["null", [null, "NULL", null, null]]]);
  await expectError(read("u\tNaN\ta:1:t\n", { schema: own }), "ERR_LOG", "Expected a number");
});

test("a NUL byte anywhere in a line is refused with its field", async () => {
  for (const [line, field] of [
    ["u\0\tp\tc\ti:c:t\tx", "field 1 (user_id)"],
    ["u\tp\tc\ti\0:c:t\tx", "field 4 (clicks)"],
    ["u\tp\tc\ti:c:t\tx\0", "field 5 (phone)"],
    ["\0\0\0\0", "field 1 (user_id)"],
  ]) {
    await expectError(
      read(`${GOOD}${line}\n`),
      "ERR_LOG",
      `:2: ${field}: Expected text without NUL bytes but received`,
    );
  }
});

test("users without clicks are taken where they are asked for", async () => {
  const text = `${GOOD}u2\tp\tc\t\tx\nu3\tp\tc\tNULL\tx\n`;
  const { lines, report } = await read(text, { withoutClicks: true });
  assert.equal(
    lines.map(({ clicks }) => clicks.length),
    [2, 0, 0],
  );
  assert.is(report.withoutClicks, 2);
  await expectError(read(text), "ERR_LOG", ":2: field 4 (clicks)");
});

test("a pipe is read once, and again from its copy", async () => {
  await withFolder(async (folder) => {
    const [pipe, copies] = [join(folder, "pipe"), join(folder, "copies")];
    await mkdir(copies);
    execFileSync("mkfifo", [pipe]);
    const writer = spawn("sh", ["-c", `printf '\\357\\273\\277%s' "$1" > "$2"`, "sh", GOOD + GOOD, pipe]);
    const users: unknown[] = [];
    for (const _pass of [1, 2]) {
      const report = await readLog([pipe], { schema: DEFAULT_SCHEMA, copies }, ({ userId }) => users.push(userId));
      assert.equal(report.files, [{ name: "pipe", lines: 2, skipped: 0 }]);
    }
    assert.equal(users, ["u1", "u1", "u1", "u1"]);
    assert.is(writer.exitCode ?? 0, 0);
  });
});

test("a pipe whose writer does not come is given up on a signal", async () => {
  await withFolder(async (folder) => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    const reason = new Error("enough");
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 50);
    const reading = readLog([pipe], { schema: DEFAULT_SCHEMA, signal: controller.signal }, () => {});
    assert.is(await failureOf(reading), reason);
  });
});

test("a schema may come through a pipe", async () => {
  await withFolder(async (folder) => {
    const pipe = join(folder, "schema");
    execFileSync("mkfifo", [pipe]);
    const text = JSON.stringify({ columns: [{ name: "clicks" }], click: [{ name: "item" }] });
    spawn("sh", ["-c", 'printf "%s" "$1" > "$2"', "sh", text, pipe]);
    assert.equal((await readSchema(pipe)).click, [{ name: "item", multiple: false }]);
  });
});

test("a line that never ends is refused as soon as it is too long", async () => {
  await expectError(
    readLog(["/dev/zero"], { schema: DEFAULT_SCHEMA, maxLineBytes: 1 << 20 }, () => {}),
    "ERR_LOG",
    "/dev/zero:1: Expected at most 1048576 bytes",
  );
});

test("reads another schema: order, numbers, ignored columns", async () => {
  const schema = parseSchema({
    columns: [
      { name: "clicks" },
      { name: "user_id", kind: "ignore" },
      { name: "age", kind: "number" },
      { name: "days", kind: "number" },
    ],
    click: [{ name: "video" }],
  });
  const { lines } = await read("a;b\tu9\t-1.5e1\tNULL\n", { schema });
  assert.equal(lines, [{ userId: "u9", tokens: [], numbers: [-15, Number.NaN], clicks: [["a"], ["b"]], times: [] }]);
  for (const bad of ["old", "0x10", "1e99", "+NaN", "Infinity", " 1", "1,5"]) {
    await expectError(
      read(`a\tu\t${bad}\t1\n`, { schema }),
      "ERR_LOG",
      `log.tsv:1: field 3 (age): Expected a number${bad === "1e99" ? " that float32 can hold" : ""} but received "${bad}"`,
    );
  }
});

test("reads the times of clicks, wherever the field stands", async () => {
  const schemaWith = (...click: object[]) => parseSchema({ columns: [{ name: "clicks" }, { name: "x" }], click });
  const [item, tags, time] = [{ name: "item" }, { name: "tags", multiple: true }, { name: "time", kind: "time" }];
  const last = schemaWith(item, tags, time);
  const text = "a:t1_t2:1650615878629;a:t1_t2:-1.5e3;a:t1_t2:NULL;b::;NULL:t:0.125\tx\n";
  const { lines } = await read(text, { schema: last });
  const a = ["a", ["t1", "t2"]];
  assert.equal(lines[0]!.clicks, [a, a, a, ["b", [null]], [null, ["t"]]]);
  assert.equal(lines[0]!.times, [1650615878629, -1500, Number.NaN, Number.NaN, 0.125]);
  assert.is(lines[0]!.clicks[1], lines[0]!.clicks[0], "equal clicks are one object whatever their times");
  const middle = await read("a:7:t1_t2;b:8:t\tx\n", { schema: schemaWith(item, time, tags) });
  assert.equal(middle.lines[0]!.clicks, [a, ["b", ["t"]]]);
  assert.equal(middle.lines[0]!.times, [7, 8]);
  assert.equal((await read("a:7;b:8\tx\n", { schema: schemaWith(item, time) })).lines[0]!.clicks, [["a"], ["b"]]);
  for (const bad of ["noon", "0x10", "1e999", "+NaN", "-Infinity", " 1", "1,5"]) {
    await expectError(
      read(`a:t:1;b:t:${bad}\tx\n`, { schema: last }),
      "ERR_LOG",
      `log.tsv:1: field 1 (clicks): Expected a number for time of click 2 but received "${bad}"`,
    );
  }
  for (const [bad, expected] of [
    ["a:t", 'item:tags:time for click 1 but received "a:t"'],
    ["a:t:1:2", 'item:tags:time for click 1 but received "a:t:1:2"'],
    [":t:1", 'item:tags:time with an item for click 1 but received ":t:1"'],
  ]) {
    await expectError(read(`${bad}\tx\n`, { schema: last }), "ERR_LOG", `field 1 (clicks): Expected ${expected}`);
  }
});

test("drops fields of clicks to ignore, whatever they hold", async () => {
  const click = [
    { name: "shown", kind: "ignore" },
    { name: "tags", multiple: true },
    { name: "at", kind: "time" },
    { name: "note", kind: "ignore" },
  ];
  const schema = parseSchema({ columns: [{ name: "clicks" }], click: [{ name: "item" }, ...click] });
  const { lines } = await read("a:1:t_u:7:x y_z;a::t_u:9:<unk>;b:NULL::NULL:\n", { schema });
  assert.equal(lines[0]!.clicks, [
    ["a", ["t", "u"]],
    ["a", ["t", "u"]],
    ["b", [null]],
  ]);
  assert.is(lines[0]!.clicks[1], lines[0]!.clicks[0], "equal clicks are one object whatever is ignored");
  assert.equal(lines[0]!.times, [7, 9, Number.NaN]);
  const expected = 'Expected item:shown:tags:at:note for click 1 but received "a:1:t:7"';
  await expectError(read("a:1:t:7\n", { schema }), "ERR_LOG", expected);
  await expectError(read(":1:t:7:x\n", { schema }), "ERR_LOG", 'with an item for click 1 but received ":1:t:7:x"');
});

test("a bad line names file, line and field", async () => {
  const bad: [string | Buffer, string][] = [
    ["u\tp\tc\ti:c:t", "2: field 5 (phone): Expected 5 fields separated by tabs but received 4"],
    ["u\tp\tc\ti:c:t\tx\ty", "2: field 6: Expected 5 fields separated by tabs but received 6"],
    [
      "u\tp\tc\ti:c:t;:c:t\tx",
      '2: field 4 (clicks): Expected item:category:tags with an item for click 2 but received ":c:t"',
    ],
    ["u\tp\tc\ti:c\tx", '2: field 4 (clicks): Expected item:category:tags for click 1 but received "i:c"'],
    ["u\tp\tc\ti:c:t:z\tx", '2: field 4 (clicks): Expected item:category:tags for click 1 but received "i:c:t:z"'],
    ["u\tp\tc\ti:c:t;\tx", '2: field 4 (clicks): Expected item:category:tags for click 2 but received ""'],
    ["u\tp\tc\t\tx", '2: field 4 (clicks): Expected clicks item:category:tags but received ""'],
    ["u\tp\tc\tNULL\tx", '2: field 4 (clicks): Expected clicks item:category:tags but received "NULL"'],
    ["\n", "2: Expected 5 fields but received an empty line"],
    [Buffer.from("u\tp\tc\xff\ti:c:t\tx", "latin1"), "2: field 3 (city): Expected UTF-8 text but received"],
    [`u\tp\tc\t${"x".repeat(5000)}\tx`, `${"x".repeat(60)}"… (5000 characters)`],
  ];
  for (const [line, message] of bad) {
    const text = Buffer.concat([Buffer.from(GOOD), Buffer.from(line), Buffer.from(`\n${GOOD}`)]);
    const thrown = await expectError(read(text), "ERR_LOG", message);
    assert.ok(thrown.length < 300, "long text is shortened");
    const { lines, report } = await read(text, { onBadLine: "skip" });
    assert.is(lines.length, 2);
    assert.is(report.skipped, line === "\n" ? 2 : 1);
    assert.is(report.files[0]!.skipped, report.skipped);
    assert.ok(report.badLines[0]!.includes(message));
  }
});

test("the bytes of a line are limited, wherever chunks end", async () => {
  const line = (bytes: number) => `${GOOD.slice(0, -1)}${"x".repeat(bytes - GOOD.length + 1)}`;
  for (const newline of ["\n", "\r\n"]) {
    assert.is((await read(line(100) + newline, { maxLineBytes: 100 })).lines.length, 1);
    await expectError(
      read(line(101) + newline, { maxLineBytes: 100 }),
      "ERR_LOG",
      "1: Expected at most 100 bytes in a line (--max-line-bytes) but received more",
    );
  }
  // A byte order mark and \r are not counted, wherever the line is cut into the pieces in which it is read.
  for (let before = 16_300; before < 16_390; before++) {
    const ahead = `${GOOD}${line(before - GOOD.length - 1)}\n`;
    const { lines } = await read(`${ahead}\ufeff${line(100)}\r\n${GOOD}`, { maxLineBytes: before });
    assert.is(lines.length, 4);
    await expectError(
      read(`${ahead}\ufeff${line(before + 1)}\r\n`, { maxLineBytes: before }),
      "ERR_LOG",
      `3: Expected at most ${before} bytes`,
    );
    assert.is((await read(`\ufeff${line(before)}\r\n`, { maxLineBytes: before })).lines.length, 1, String(before));
  }
  const text = `${GOOD}${line(5_000_000)}\n${GOOD}\n${line(2_000_000)}`;
  const { lines, report } = await read(text, { onBadLine: "skip", maxLineBytes: 1_999_998 });
  assert.is(lines.length, 2);
  assert.is(report.skipped, 3);
  assert.match(report.badLines[0]!, ":2: Expected at most 1999998 bytes");
  assert.match(report.badLines[1]!, ":4: Expected 5 fields but received an empty line");
  assert.match(report.badLines[2]!, ":5: Expected at most 1999998 bytes");
  const all = await read(text.replace("\n\n", "\n"));
  assert.is(all.lines.length, 4, "the limit is far above the history of a busy user");
});

test("lines that cross chunks are whole", async () => {
  const texts = Array.from(
    { length: 3000 },
    (_, i) =>
      `u${i}\tp\tc\t${Array.from({ length: 60 }, (_, j) => `v${(i * 31 + j * 7) % 977}:c${j}:ä${j}`).join(";")}\tx\n`,
  );
  const { lines, report } = await read(texts.join(""));
  assert.is(report.clicks, 180_000);
  lines.forEach((line, i) => {
    const clicks = line.clicks.map(([item, category, tags]) => `${item}:${category}:${(tags as string[]).join("_")}`);
    assert.is(`${line.userId}\tp\tc\t${clicks.join(";")}\tx\n`, texts[i]);
  });
});

test("lists at most 20 bad lines and counts all", async () => {
  const { report } = await read(GOOD + "bad\n".repeat(50), { onBadLine: "skip" });
  assert.is(report.skipped, 50);
  assert.is(report.badLines.length, 20);
});

test("reads several files, reports progress, stops on a signal", async () => {
  await withFolder(async (folder) => {
    const paths = [join(folder, "a.tsv"), join(folder, "b.tsv")];
    await writeFile(paths[0]!, GOOD);
    await writeFile(paths[1]!, GOOD + GOOD);
    const calls: number[][] = [];
    const options = { schema: DEFAULT_SCHEMA, progress: (...call: [number, number]) => calls.push(call) };
    const report = await readLog(paths, options, () => {});
    assert.equal(
      report.files.map(({ lines }) => lines),
      [1, 2],
    );
    assert.equal(calls.at(-1), [3 * GOOD.length, 3 * GOOD.length]);
    const signal = AbortSignal.abort(new Error("stopped"));
    assert.is((await failureOf(readLog(paths, { ...options, signal }, () => {}))).message, "stopped");
  });
});

test("missing files, folders, empty logs and impossible options are refused", async () => {
  await withFolder(async (folder) => {
    const readPath = (path: string) => readLog([path], { schema: DEFAULT_SCHEMA }, () => {});
    await expectError(readPath(join(folder, "none.tsv")), "ERR_FILE", /none\.tsv: it does not exist/);
    await expectError(readPath(folder), "ERR_FILE", /it is a folder/);
  });
  for (const empty of ["", "\n"])
    await expectError(read(empty), "ERR_LOG", /Expected at least one usable line but received none$/);
  await expectError(read("bad\n", { onBadLine: "skip" }), "ERR_LOG", /skipped 1, the first: .*log\.tsv:1: field 2/);
  for (const maxLineBytes of [0, 1.5, 2 ** 28 + 1, Number.NaN])
    await expectError(read(GOOD, { maxLineBytes }), "ERR_OPTION", "maxLineBytes");
  await expectError(read(GOOD, { onBadLine: "ignore" as "skip" }), "ERR_OPTION", 'received "ignore"');
  await expectError(
    readLog([], { schema: DEFAULT_SCHEMA }, () => {}),
    "ERR_OPTION",
    "at least one click log",
  );
});

test("an error of the caller is passed on", async () => {
  await withFolder(async (folder) => {
    await writeFile(join(folder, "a.tsv"), GOOD);
    const failing = () => {
      throw new TypeError("mine");
    };
    const work = readLog([join(folder, "a.tsv")], { schema: DEFAULT_SCHEMA, onBadLine: "skip" }, failing);
    assert.is((await failureOf(work)).message, "mine");
  });
});

test.run();
