import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, statSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { EncodeOptions, Encoding } from "../../src/data/clicks.js";
import { openDataset, type PrepareOptions, prepareDataset } from "../../src/data/dataset.js";
import { encodeLog } from "../../src/data/encode_log.js";
import { ingestLogs } from "../../src/data/ingest.js";
import { kindOf, parseSchema, type Schema } from "../../src/data/schema.js";
import { clickLog } from "../../src/data/sources/click_log.js";
import type { Log } from "../../src/data/sources/log.js";
import { ShortlistError } from "../../src/errors.js";
import { RandomStream } from "../../src/random/philox.js";
import { asRows, expectError, failureOf, withFolder } from "./temporary.js";

// Click logs are read in C++. Their rows in TypeScript are the reference.

/** Everything that is prepared of logs: files, results and warnings; or the error. */
async function prepare(folder: string, options: Omit<PrepareOptions, "output">): Promise<unknown> {
  const output = join(folder, "dataset");
  const warnings: string[] = [];
  try {
    const prepared = await prepareDataset({ ...options, output, onWarning: (message) => warnings.push(message) });
    const names = ((await readdir(output, { recursive: true })) as string[]).sort();
    const files = names.filter((name) => name.includes("."));
    const bytes = await Promise.all(files.map((name) => readFile(join(output, name), "latin1")));
    return { prepared, warnings, files: files.map((name, i) => [name, bytes[i]]) };
  } catch (error) {
    if (!(error instanceof ShortlistError)) throw error;
    return { code: error.code, message: error.message, warnings };
  }
}

/** Compares the readers on logs with these contents. Returns what both have prepared. */
async function compare(
  contents: readonly (string | Buffer)[],
  schema: Schema,
  options: Partial<PrepareOptions> = {},
): Promise<unknown> {
  let expected: unknown;
  await withFolder(async (folder) => {
    const logs = contents.map((_, i) => join(folder, `log-${i}.tsv`));
    for (const [i, content] of contents.entries()) await writeFile(logs[i]!, content);
    expected = await prepare(folder, { ...options, schema, logs: logs.map(asRows) });
    for (const threads of [1, 2, 3]) {
      assert.equal(await prepare(folder, { ...options, schema, logs, threads }), expected, `${threads} threads`);
    }
  });
  return expected;
}

const COLUMNS = [
  { name: "city" },
  { name: "age", kind: "number" },
  { name: "note", kind: "ignore" },
  { name: "clicks" },
];
const CLICK = [{ name: "item" }, { name: "tags", multiple: true }, { name: "at", kind: "time" }, { name: "author" }];
const SCHEMAS = [
  { columns: [{ name: "user_id" }, ...COLUMNS], click: CLICK },
  { columns: [...COLUMNS, { name: "user_id", kind: "ignore" }], click: CLICK, missing: ["none"] },
  { columns: [{ name: "user_id", kind: "number" }, ...COLUMNS], click: CLICK.slice(0, 2) },
  { columns: COLUMNS, click: CLICK.slice(0, 1) },
  { columns: COLUMNS, click: [...CLICK.slice(0, 1), { name: "shown", kind: "ignore" }, ...CLICK.slice(1)] },
  { columns: [{ name: "user_id" }, ...COLUMNS], click: [...CLICK, { name: "w", kind: "weight" }] },
  {
    columns: [{ name: "user_id" }, ...COLUMNS],
    click: [...CLICK, { name: "price", kind: "number" }, { name: "seen", kind: "number" }],
  },
  { columns: COLUMNS, click: [CLICK[0]!, { name: "price", kind: "number" }, CLICK[1]!] },
].map((schema) => parseSchema(schema));

const WORDS = [
  "",
  "NULL",
  "none",
  "<unk>",
  "É",
  "\u{1f600}\u{1f600}",
  "a token of more than sixteen bytes",
  "~",
  "\u{ffff}",
  ...["\\N", "\\\\N", "a\\:b", "\\;", "\\_\\_", "a tab\\tof more than sixteen bytes", "\\x"],
];

/** Lines in a schema. `badness`: one of so many lines has something wrong. */
function randomLines(schema: Schema, lines: number, seed: number, badness = 0): string[] {
  const random = new RandomStream(seed, 77);
  const pick = (below: number) => random.below(below);
  const word = () => (pick(20) === 0 ? WORDS[pick(WORDS.length)]! : `w${pick(1 + pick(400))}`);
  let time = 1_600_000_000;
  const click = () =>
    schema.click
      .map((field) => {
        if (kindOf(field) === "ignore") return WORDS[pick(WORDS.length)]!;
        if (kindOf(field) === "weight") return ["", "0", "1e-3", String(pick(9) / 4)][pick(4)]!;
        if (kindOf(field) === "number") return ["", "NULL", "-1e-3", String(pick(9) / 4)][pick(4)]!;
        if (kindOf(field) === "time") {
          time += pick(100) - 20;
          return pick(30) === 0 ? "" : String(time);
        }
        if (!("multiple" in field && field.multiple)) return word() || "NULL";
        return Array.from({ length: 1 + pick(3) }, word).join("_");
      })
      .join(":");
  const column = (name: string, kind: string) => {
    if (kind === "clicks") return Array.from({ length: 2 + pick(12) }, click).join(";");
    if (name === "user_id")
      return pick(3) === 0 ? String(pick(40)) : pick(50) === 0 ? "" : String(1000 + pick(100_000));
    return kind === "number" ? ["", "2", "1e3", "-.5", String(pick(90))][pick(5)]! : word();
  };
  return Array.from({ length: lines }, () => {
    const line = schema.columns.map(({ name, kind }) => column(name, kind)).join("\t");
    if (badness === 0 || pick(badness) > 0) return line;
    return [`${line}\tx`, "", line.replace(/[^\t]*\t/, "\0\t"), `${line}:`, "x".repeat(3000), `\ufeff${line}\r`][
      pick(6)
    ]!;
  });
}

test("random logs give the dataset of the reader in TypeScript, on any number of threads", async () => {
  for (const [i, schema] of SCHEMAS.entries()) {
    const texts = [1, 2].map((seed) => `${randomLines(schema, 300, 10 * i + seed).join("\n")}\n`);
    for (const options of [{}, { repeatUsers: "keep" }, { featureAppearLimit: 2 }] as const) {
      const { prepared } = (await compare(texts, schema, options)) as { prepared: { report: { lines: number } } };
      assert.is(prepared.report.lines, 600);
    }
  }
});

test("logs are encoded with a given encoding as by the reader in TypeScript", async () => {
  await withFolder(async (folder) => {
    const log = join(folder, "log.tsv");
    for (const [i, schema] of SCHEMAS.entries()) {
      const own = join(folder, "own.tsv");
      await writeFile(own, `${randomLines(schema, 200, 10 * i + 1).join("\n")}\n`);
      await prepareDataset({ logs: [own], schema, output: join(folder, "dataset"), featureAppearLimit: 2 });
      const encoding = await openDataset(join(folder, "dataset"));
      const missing = schema.columns
        .map(({ name, kind }) => (name === "clicks" || kind === "number" ? "" : "x"))
        .join("\t");
      for (const badness of [0, 9]) {
        const lines = randomLines(schema, 150, 10 * i + 2, badness);
        await writeFile(log, `${[...lines, missing].join("\n")}\n`);
        for (const options of [{}, { withoutClicks: true }, { onBadLine: "skip" }] as const) {
          const [expected, found] = [
            await encoded([asRows(log)], encoding, options),
            await encoded([log], encoding, options),
          ];
          assert.equal(found, expected);
          if (badness === 0 && "withoutClicks" in options) assert.is((found as { users: number }).users, 151);
        }
      }
    }
  });
});

/** What logs are encoded to, and the warnings; or the error. */
async function encoded(logs: readonly Log[], encoding: Encoding, options: EncodeOptions): Promise<unknown> {
  const messages: unknown[] = [];
  const keep = (message: unknown) => messages.push(message);
  try {
    const found = await encodeLog(logs, encoding, { ...options, maxLineBytes: 2000, onWarning: keep, onReport: keep });
    return { ...found, clicks: plain(found.clicks), users: found.clicks.users, messages };
  } catch (error) {
    if (!(error instanceof ShortlistError)) throw error;
    return { code: error.code, message: error.message, messages };
  }
}

/** A value with arrays of numbers in place of typed ones, in which NaN is no equal of itself. */
function plain(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return Array.from(value as Float64Array);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
}

test("lines that cannot be used: the same errors, and the same reports where they are skipped", async () => {
  const codes = new Set<unknown>();
  for (const [i, schema] of SCHEMAS.entries()) {
    for (let seed = 0; seed < 4; seed++) {
      const lines = randomLines(schema, 120, 100 * i + seed, 9);
      const text = lines.join("\n");
      const options = { maxLineBytes: 2000, featureAppearLimit: 0 };
      codes.add(((await compare([text], schema, options)) as { code?: unknown }).code);
      const parts = [text, "", `${lines.slice(0, 50).join("\n")}\n\n`, gzipSync(lines.slice(20).join("\r\n"))];
      const { prepared } = (await compare(parts, schema, { ...options, onBadLine: "skip" })) as {
        prepared: { report: { skipped: number; badLines: string[] } };
      };
      assert.ok(prepared.report.skipped > 9);
      assert.is(prepared.report.badLines.length, Math.min(20, prepared.report.skipped));
    }
  }
  assert.equal([...codes], ["ERR_LOG"]);
});

test("items that are clicked again, however long, with different rests; and rests that cannot be used", async () => {
  const fields = [{ name: "item" }, { name: "tags", multiple: true }, { name: "author" }];
  const rest = [
    { name: "at", kind: "time" },
    { name: "shown", kind: "ignore" },
  ];
  const random = new RandomStream(8, 77);
  const items = Array.from({ length: 60 }, (_, i) => {
    const tags = Array.from({ length: 1 + (i % 20) }, (_, tag) =>
      tag === 3 ? "" : `${"t".repeat(1 + (i % 4))}${tag}`,
    );
    return `item${i}:${tags.join("_")}:${i % 7 === 0 ? "" : `author ${"x".repeat(i)}`}`;
  });
  const lines = (click: (item: string) => string) =>
    Array.from({ length: 400 }, (_, line) => {
      const clicks = Array.from({ length: 1 + random.below(12) }, () => click(items[random.below(items.length)]!));
      return `u${line}\t${clicks.join(";")}`;
    });
  const schema = (click: readonly object[]) =>
    parseSchema({ columns: [{ name: "user_id" }, { name: "clicks" }], click });
  for (const featureAppearLimit of [0, 40]) {
    await compare([lines((item) => item).join("\n")], schema(fields), { featureAppearLimit });
    const timed = lines((item) => `${item}:${random.below(90)}:${random.below(4)}`);
    await compare([timed.join("\n")], schema([...fields, ...rest]), { featureAppearLimit });
    for (const bad of [`${items[1]}:x:0`, `${items[1]}:0`, `${items[1]}:1:2:3`, items[1], `:${items[1]}:1:2`, ":1:2"]) {
      const text = [...timed, `u\t${timed[5]!.slice(3)};${bad}`, timed[3]].join("\n");
      await compare([text], schema([...fields, ...rest]));
      await compare([text], schema([...fields, ...rest]), { featureAppearLimit, onBadLine: "skip" });
    }
  }
});

test("logs that are refused as a whole, and those with warnings", async () => {
  const timed = parseSchema({ columns: [{ name: "clicks" }], click: [{ name: "v" }, { name: "t", kind: "time" }] });
  const fall = Array.from({ length: 20 }, (_, i) => `a:${50 - i};b:${40 - i}`).join("\n");
  assert.match(JSON.stringify(await compare([fall], timed)), "Expected the oldest click first");
  const mixed = Array.from({ length: 20 }, (_, i) => `a:${i};b:${i < 3 ? 0 : i + 1};c:${i + 2}`).join("\n");
  assert.match(JSON.stringify(await compare(["a:1;b:2\n", mixed], timed)), "clicks go back in time in 2 of 21 lines");
  const plain = parseSchema({ columns: [{ name: "clicks" }], click: [{ name: "v" }] });
  assert.match(JSON.stringify(await compare([""], plain)), "Expected at least one usable line but received none");
  assert.match(JSON.stringify(await compare(["\n\n"], plain, { onBadLine: "skip" })), "(skipped 1, the first: ");
  assert.match(JSON.stringify(await compare(["1,2\n3,4\n5,6\n"], plain)), "whose item is a list");
  assert.match(JSON.stringify(await compare(["a\nb;a\n"], plain, { featureAppearLimit: 9 })), "ERR_VOCABULARY");
});

test("a log that is larger than a block, and lines that cross blocks", async () => {
  const schema = parseSchema({ columns: [{ name: "user_id" }, { name: "clicks" }], click: [{ name: "item" }] });
  const item = (i: number) => `${"a long item ".repeat(8)}${i % 7};`;
  const lines = Array.from({ length: 30 }, (_, i) => `u${i}\t${item(i).repeat(4000 + 500 * (i % 5))}x`);
  const { prepared } = (await compare([lines.join("\n")], schema)) as { prepared: { clicks: number } };
  assert.is(prepared.clicks, 30 * 5001);
});

test("pipes and compressed logs are read once, without a copy", async () => {
  await withFolder(async (folder) => {
    const schema = SCHEMAS[0]!;
    const text = `${randomLines(schema, 500, 3).join("\n")}\n`;
    const [log, pipe] = [join(folder, "log.tsv"), join(folder, "pipe")];
    await writeFile(log, text);
    execFileSync("mkfifo", [pipe]);
    const passes = new Set<number>();
    const progress = (pass: number) => passes.add(pass);
    const named = { name: "log.tsv", label: "log.tsv", where: (line: number) => `log.tsv:${line}` };
    const fromFile = await prepare(folder, { schema, logs: [{ ...clickLog(log), ...named }], progress });
    spawn("sh", ["-c", 'cat "$1" > "$2"', "sh", log, pipe]);
    assert.equal(await prepare(folder, { schema, logs: [{ ...clickLog(pipe), ...named }], progress }), fromFile);
    await writeFile(`${log}.gz`, gzipSync(text));
    assert.equal(await prepare(folder, { schema, logs: [{ ...clickLog(`${log}.gz`), ...named }] }), fromFile);
    assert.equal([...passes], [1]);
    await writeFile(`${log}.gz`, gzipSync(text).subarray(0, -20));
    await expectError(
      prepareDataset({ schema, logs: [`${log}.gz`], output: join(folder, "cut") }),
      "ERR_FILE",
      "Is the file whole?",
    );
    await writeFile(`${log}.gz`, gzipSync(`bad\n${text}`).subarray(0, -20));
    await expectError(prepareDataset({ schema, logs: [`${log}.gz`], output: join(folder, "cut") }), "ERR_LOG", ":1: ");
  });
});

test("a file that changes while it is read is refused; a signal ends the reading", async () => {
  await withFolder(async (folder) => {
    const schema = SCHEMAS[3]!;
    const log = join(folder, "log.tsv");
    const text = `${randomLines(schema, 200, 4).join("\n")}\n`;
    await writeFile(log, text);
    const output = join(folder, "dataset");
    const grow = () => {
      if (statSync(log).size < 2 * text.length) appendFileSync(log, text);
    };
    await expectError(
      prepareDataset({ schema, logs: [log], output, progress: grow }),
      "ERR_LOG",
      "The log changed while",
    );
    const controller = new AbortController();
    const progress = () => controller.abort(new Error("stopped"));
    const work = prepareDataset({ schema, logs: [log, log], output, signal: controller.signal, progress });
    assert.is((await failureOf(work)).message, "stopped");
    assert.equal(await readdir(folder), ["log.tsv"]);
  });
});

test("a source of rows is no click log", async () => {
  await withFolder(async (folder) => {
    const log = join(folder, "log.tsv");
    await writeFile(log, "a;b\n");
    const schema = parseSchema({ columns: [{ name: "clicks" }], click: [{ name: "item" }] });
    const options = { schema, maxLineBytes: 1000 };
    assert.ok(await ingestLogs([clickLog(log)], options));
    assert.is(await ingestLogs([clickLog(log), asRows(log)], options), undefined);
    await expectError(ingestLogs([clickLog(log)], { ...options, threads: 0 }), "ERR_OPTION", "threads");
  });
});

test.run();
