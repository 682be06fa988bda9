import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readSafetensors } from "../../src/data/safetensors.js";
import { type Column, parseStoredSchema, type Schema } from "../../src/data/schema.js";
import { queryTokens } from "../../src/data/searches.js";
import { clickLog } from "../../src/data/sources/click_log.js";
import { DEFAULT_MAX_LINE_BYTES, readLog } from "../../src/data/sources/read_log.js";
import type { LogRow, RowBinding, RowSink, Token } from "../../src/data/sources/source.js";
import type { StoredFormat } from "../../src/data/stored_format.js";
import { parseStrictJson } from "../../src/data/strict_json.js";
import { Vocabulary } from "../../src/data/vocabulary.js";
import { ShortlistError } from "../../src/errors.js";
import { toProgram } from "../../src/graph/program.js";
import { MODEL_FORMAT } from "../../src/model/migrate.js";
import { parseDescription, parseHead } from "../../src/model/model.js";
import { temporaryFolder } from "../cli/run.js";
import { fixtures } from "../fixtures/fixtures.js";

// Checks that the readers in TypeScript and those of libshortlist accept and refuse the same inputs. The inputs are
// mutations of test/fuzz/corpus by a seed; SHORTLIST_MUTATIONS is their number for each format.

const MUTATIONS = Number(process.env["SHORTLIST_MUTATIONS"] ?? 1500);
const root = fileURLToPath(new URL("../../", import.meta.url));
const build = join(root, "build-capi");
const folder = temporaryFolder();

/** The result of a reader for an input: "ok" and what it read, or "no" and the reason. */
type Answer = string;

function cmake(...args: string[]): void {
  const { status, stdout, stderr, error } = spawnSync("cmake", args, { encoding: "utf8", cwd: root });
  if (status !== 0) throw new Error(`cmake ${args.join(" ")} failed:\n${stdout}${stderr}${error?.message ?? ""}`);
}

test.before(() => {
  cmake("-S", ".", "-B", build, "-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release");
  cmake("--build", build, "-j", "2", "--target", "read_formats");
});

function askNative(format: string, inputs: readonly Buffer[]): Answer[] {
  const framed = inputs.flatMap((input) => {
    const length = Buffer.alloc(4);
    length.writeUInt32LE(input.length);
    return [length, input];
  });
  const maxBuffer = 1 << 28;
  const { status, stdout } = spawnSync(join(build, "read_formats"), [format], {
    input: Buffer.concat(framed),
    maxBuffer,
  });
  assert.is(status, 0, format);
  return stdout.toString("latin1").split("\n").slice(0, -1);
}

async function askTypeScript(read: (input: Buffer) => unknown, input: Buffer): Promise<Answer> {
  try {
    return `ok ${(await read(input)) ?? ""}`;
  } catch (error) {
    if (!(error instanceof ShortlistError)) throw error;
    return `no ${error.message}`;
  }
}

async function compare(format: string, inputs: readonly Buffer[], read: (input: Buffer) => unknown): Promise<void> {
  const native = askNative(format, inputs);
  assert.is(native.length, inputs.length);
  let taken = 0;
  for (const [i, input] of inputs.entries()) {
    const ours = await askTypeScript(read, input);
    const theirs = native[i]!;
    if (theirs.startsWith("ok")) taken++;
    const same = ours.startsWith("ok") ? ours === theirs : theirs.startsWith("no");
    const shown = `${JSON.stringify(input.toString("utf8").slice(0, 3000))}\n  TypeScript: ${ours}\n  native:     ${theirs}`;
    if (!same) assert.unreachable(`${format} ${i}: ${shown}`);
  }
  assert.ok(taken > 0 && taken < inputs.length, `${format}: ${taken} of ${inputs.length} were taken`);
}

// ---- inputs ---------------------------------------------------------------------------------------------------------

/** A random number from 0 to below − 1. */
type Random = (below: number) => number;

function seeded(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) | 0;
    const mixed = Math.imul(state ^ (state >>> 12), 0x297a2d39);
    return Math.floor((((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32) * below);
  };
}

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)]!;

function corpus(format: string): Buffer[] {
  const path = join(root, "test/fuzz/corpus", format);
  return readdirSync(path)
    .sort()
    .map((name) => readFileSync(join(path, name)));
}

const BYTES = [
  "\0",
  "\t",
  "\n",
  "\r",
  "\r\n",
  "\u2028",
  "\ufeff",
  "\u0661",
  " ",
  '"',
  "\\",
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  ";",
  "_",
]
  .concat([
    "-",
    "+",
    ".",
    "e",
    "0",
    "1",
    "9",
    "NULL",
    "<unk>",
    "none",
    "\\ud800",
    "\\u0000",
    "1e400",
    "1e-400",
    "0x10",
    "Infinity",
  ])
  .map((text) => Buffer.from(text))
  .concat([Buffer.of(0xff), Buffer.of(0xc0, 0x80), Buffer.of(0xed, 0xa0, 0x80), Buffer.of(0x80)]);

/** Changes, removes, inserts or repeats some bytes. */
function mutateBytes(input: Buffer, random: Random): Buffer {
  let bytes = Buffer.from(input);
  for (let left = 1 + random(3); left > 0; left--) {
    const at = random(bytes.length + 1);
    const end = Math.min(bytes.length, at + random(8));
    const kind = random(5);
    const middle =
      kind === 0
        ? Buffer.of(random(256))
        : kind < 3
          ? pick(random, BYTES)
          : kind === 3
            ? bytes.subarray(at, end)
            : Buffer.alloc(0);
    bytes = Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(kind === 0 ? at + 1 : kind === 4 ? end : at)]);
  }
  return bytes;
}

/** JSON as text and lists, which can express more than JavaScript's values: notations of numbers, repeated names. */
type Node = string | { readonly items: Node[] } | { readonly members: [string, Node][] };

function toNode(value: unknown): Node {
  if (Array.isArray(value)) return { items: value.map(toNode) };
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return { members: Object.entries(value).map(([name, member]) => [JSON.stringify(name), toNode(member)]) };
}

function format(node: Node): string {
  if (typeof node === "string") return node;
  if ("items" in node) return `[${node.items.map(format).join(",")}]`;
  return `{${node.members.map(([name, member]) => `${name}:${format(member)}`).join(",")}}`;
}

const VALUES = [
  "null",
  "true",
  "false",
  "0",
  "-0",
  "1",
  "1.0",
  "1e0",
  "10e-1",
  "-1",
  "0.5",
  "2",
  "3",
  "64",
  "65",
  "2147483647",
  "2147483648",
]
  .concat([
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "1e300",
    "1e400",
    "1e-400",
    "1e-40",
    "1e38",
    "4e38",
    "01",
    "+1",
    "NaN",
  ])
  .concat([
    '""',
    '"a"',
    '"1"',
    '"NULL"',
    '"clicks"',
    '"time"',
    '"number"',
    '"ignore"',
    '"auto"',
    '"softmax"',
    '"last"',
    '"lstm|mean"',
    '"\\ud800"',
    '"a\\u0000b"',
  ])
  .concat([
    '"\\t"',
    '"samples"',
    '"2*samples+1"',
    '"2"',
    '"9007199254740992*samples"',
    '"__proto__"',
    '"F32"',
    '"BF16"',
    '"F4"',
    '"constructor"',
  ])
  .concat([
    "[]",
    "{}",
    "[1]",
    "[0]",
    '["a"]',
    "[[]]",
    '{"a":1}',
    '{"a":1,"a":1}',
    '{"name":"a"}',
    "[9007199254740991,2,0]",
    "[0,9007199254740991,2]",
  ]);

/** Replaces, removes, repeats, renames or moves a part of the JSON. */
function mutateNode(root: Node, random: Random): void {
  const places: Node[] = [];
  const visit = (node: Node): void => {
    if (typeof node === "string") return;
    places.push(node);
    for (const child of "items" in node ? node.items : node.members.map(([, member]) => member)) visit(child);
  };
  visit(root);
  const place = pick(random, places);
  if (typeof place === "string") return;
  const list: unknown[] = "items" in place ? place.items : place.members;
  const at = random(list.length + 1);
  const name = pick(random, [
    '"a"',
    '"kind"',
    '"name"',
    '"shape"',
    '"__proto__"',
    '"multiple"',
    '"id"',
    '"__metadata__"',
  ]);
  const other = pick(random, places);
  const value: Node = random(4) > 0 ? pick(random, VALUES) : (structuredClone(other) as Node);
  const kind = random(5);
  if (kind === 0) list.splice(at, 1);
  else if (kind === 1) list.splice(at, 0, "items" in place ? value : [name, value]);
  else if (kind === 2 && at < list.length) list.splice(at, 0, structuredClone(list[at]));
  else if (at < list.length) {
    if ("items" in place) place.items[at] = value;
    else if (kind === 3) place.members[at]![0] = name;
    else place.members[at]![1] = value;
  }
}

/** Parses an input; undefined if it is not JSON. Corpora also contain inputs that fuzzers found. */
function parseJson(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString());
  } catch {
    return undefined;
  }
}

/** Changes bytes or nodes of JSON, and bytes of an input that is not JSON. */
function mutateJson(text: Buffer, random: Random): Buffer {
  const value = random(3) === 0 ? undefined : parseJson(text);
  if (value === undefined) return mutateBytes(text, random);
  const node = toNode(value);
  for (let left = 1 + random(2); left > 0; left--) mutateNode(node, random);
  return Buffer.from(format(node));
}

/** Changes the header of a safetensors file, or its bytes. */
function mutateSafetensors(file: Buffer, random: Random): Buffer {
  if (random(4) === 0) return mutateBytes(file, random);
  const end = 8 + Number(file.readBigUInt64LE());
  const header = mutateJson(file.subarray(8, end), random);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, file.subarray(end)]);
}

function inputsOf(name: string, mutate: (input: Buffer, random: Random) => Buffer): Buffer[] {
  const random = seeded(17);
  const seeds = corpus(name);
  return [...seeds, ...Array.from({ length: MUTATIONS }, () => mutate(pick(random, seeds), random))];
}

/** Variants of a configuration: for each key of each object, without the key, and with every value of `VALUES`. */
function everyValue(text: Buffer): Buffer[] {
  const original = JSON.parse(text.toString());
  original.training.heldOut = "last";
  original.training.extendedItems = 3;
  original.training.validation = { hitRate: { "10": 0.5 }, ndcg: { "10": 0.25 }, mrr: 0.125 };
  const inputs: Buffer[] = [];
  for (const part of [
    original,
    original.config,
    original.schema,
    original.schema.columns[0],
    original.schema.click[1],
    original.training,
    original.training.validation,
    original.training.validation.ndcg,
  ]) {
    for (const key of Object.keys(part)) {
      const before = part[key];
      const marker = "@@@";
      part[key] = marker;
      const marked = JSON.stringify(original);
      for (const value of VALUES) inputs.push(Buffer.from(marked.replace(`"${marker}"`, () => value)));
      delete part[key];
      inputs.push(Buffer.from(JSON.stringify(original)));
      part[key] = before;
    }
  }
  return inputs;
}

// ---- formats --------------------------------------------------------------------------------------------------------

test("JSON", () =>
  compare("json", inputsOf("json", mutateJson), (input) => {
    parseStrictJson(input, "x", "ERR_MODEL");
  }));

test("safetensors", () => {
  const path = join(folder, "model.safetensors");
  return compare("safetensors", inputsOf("safetensors", mutateSafetensors), async (input) => {
    writeFileSync(path, input);
    await readSafetensors(path, "ERR_MODEL");
  });
});

test("Programs", () =>
  compare("program", inputsOf("program", mutateJson), (input) => {
    toProgram(parseStrictJson(input, "x", "ERR_MODEL"));
  }));

test("vocabularies", () =>
  compare("vocabulary", inputsOf("vocabulary", mutateBytes), (input) => {
    Vocabulary.parse(input, "x");
  }));

/** Describes what was read as test/fuzz/formats.cc does. */
function describeConfig(input: Buffer, format: StoredFormat): string {
  const { config, maxLineBytes = DEFAULT_MAX_LINE_BYTES } = parseDescription(parseHead(input, "x"), "x", format);
  return [config.window, config.userVectorWidth, config.windows, maxLineBytes].join(" ");
}

test("configurations", () => {
  const models = fixtures("model").map((path) => readFileSync(join(path, "config.json")));
  const inputs = [...models, ...inputsOf("config", mutateJson), ...everyValue(corpus("config")[0]!)];
  return compare("config", inputs, (input) => describeConfig(input, MODEL_FORMAT));
});

/** As test/fuzz/formats.cc has it. */
const MIGRATED: StoredFormat = {
  ...MODEL_FORMAT,
  version: 3,
  migrations: [
    { version: 2, object: "config", member: "userVectorWidth", change: { added: 24 } },
    { version: 2, object: "config", member: "length", change: { renamed: "history_length" } },
    { version: 3, object: "config", member: "history_length", change: { renamed: "window" } },
    { version: 3, object: "training", member: "rounds", change: { renamed: "epochs" } },
    { version: 3, object: "training", member: "loss", change: { added: 0.5 } },
  ],
};

test("configurations of older versions", () => {
  const current = JSON.parse(corpus("config")[0]!.toString());
  const { userVectorWidth, window, ...first } = current.config;
  const { epochs, loss, ...training } = current.training;
  const old = { ...training, rounds: epochs };
  const versions = [
    { ...current, version: 1, config: { ...first, length: window }, training: old },
    { ...current, version: 2, config: { ...first, userVectorWidth, history_length: window }, training: old },
    { ...current, version: 3 },
  ];
  const texts = versions.map((head) => Buffer.from(JSON.stringify(head)));
  assert.equal(
    texts.map((text) => describeConfig(text, MIGRATED)),
    [24, userVectorWidth, userVectorWidth].map((width) => `${window} ${width} growing 16777216`),
  );
  const mixed = [1, 2, 3, 4, 0, 1.5, "1"].flatMap((version) =>
    versions.map((head) => Buffer.from(JSON.stringify({ ...head, version }))),
  );
  const random = seeded(29);
  const mutated = Array.from({ length: MUTATIONS }, () => mutateJson(pick(random, texts), random));
  return compare("old_config", [...texts, ...mixed, ...mutated], (input) => describeConfig(input, MIGRATED));
});

/** As test/fuzz/formats.cc has them. */
const SCHEMAS: readonly Schema[] = [
  {
    columns: [{ name: "user_id" }, { name: "age", kind: "number" }, { name: "clicks" }, { name: "x", kind: "ignore" }],
    click: [{ name: "item" }, { name: "time", kind: "time" }, { name: "tags", multiple: true }],
    missing: ["NULL", "none"],
    escapes: true,
  },
  {
    columns: [
      ...[{ name: "clicks" }, { name: "a", kind: "number" }, { name: "user_id", kind: "ignore" }],
      ...[{ name: "b", kind: "number" }, { name: "city" }],
    ],
    click: [{ name: "item" }],
  },
  {
    columns: [
      ...[{ name: "q", kind: "tokens" }, { name: "clicks" }, { name: "x", multiple: true }, { name: "user_id" }],
    ],
    click: [{ name: "item" }],
    missing: ["NULL", "none"],
    escapes: true,
  },
  {
    columns: [{ name: "city" }, { name: "clicks" }],
    click: [
      ...[{ name: "item" }, { name: "tags", multiple: true }, { name: "shown", kind: "ignore" }],
      ...[{ name: "category" }, { name: "w", kind: "weight" }, { name: "at", kind: "time" }],
      ...[
        { name: "price", kind: "number" },
        { name: "seen", kind: "number" },
      ],
    ],
    missing: ["a word for what is missing that is longer than most", "\u00ed", ""],
    escapes: true,
  },
].map((schema) => parseStoredSchema(schema, "schema", "ERR_MODEL"));
const MAX_LINE_BYTES = 1000;

/** The digit before a line of the corpus: the schema that it is read in, and whether users without clicks are taken. */
const BINDINGS: readonly RowBinding[] = SCHEMAS.flatMap((schema) =>
  [false, true].map((withoutClicks) => ({ schema, withoutClicks, maxLineBytes: MAX_LINE_BYTES })),
);

function bitsOf(number: number, bytes: 4 | 8): string {
  if (Number.isNaN(number)) return "-";
  const view = new DataView(new ArrayBuffer(8));
  if (bytes === 4) view.setFloat32(4, number);
  else view.setFloat64(0, number);
  return view.getBigUint64(0).toString(16);
}

/** A row as test/fuzz/formats.cc writes it. */
function describeRow(row: LogRow): string {
  const { userId, tokens, numbers, clicks, times, weights, searches = [], clickNumbers = [] } = row;
  const token = (text: Token | undefined) => (text == null ? "-" : `=${text}`);
  const texts = clicks.map((click, i) => {
    const values = click.map((value) =>
      typeof value === "object" && value ? value.map(token).join() : token(value as Token),
    );
    const own = [
      ...(times.length > 0 ? [bitsOf(times[i]!, 8)] : []),
      ...[...(weights ? [weights] : []), ...clickNumbers].map((values) => bitsOf(values[i]!, 4)),
    ];
    return ["|", ...values, ...own].join(" ");
  });
  const single = tokens.flatMap((value) => (typeof value === "object" && value ? [] : [token(value as Token)]));
  const several = tokens.filter((value): value is Token[] => typeof value === "object" && value !== null);
  const lists = [...several, ...searches].map((list) => `${["[", ...list.map(token)].join(" ")}]`);
  const all = [token(userId), ...single, ...numbers.map((number) => bitsOf(number, 4)), ...lists, ...texts];
  return all.join("\t");
}

/** What the reader in TypeScript says of each of these lines, which are the lines of one log. */
async function readLines(lines: readonly Buffer[], binding: RowBinding): Promise<Answer[]> {
  const path = join(folder, "log.tsv");
  // What ends it is no line that is asked about: an empty line at the end of a log is none.
  writeFileSync(path, Buffer.concat([...lines.flatMap((line) => [line, Buffer.from("\n")]), Buffer.from("end\n")]));
  const answers: Answer[] = [];
  const sink: RowSink = {
    row: (row, number) => {
      answers[number - 1] = `ok ${describeRow(row)}`;
    },
    bad: (number, problem) => {
      answers[number - 1] = `no ${problem}`;
    },
    progress: () => {},
    pause: () => undefined,
  };
  await clickLog(path).read(binding, sink, {});
  return answers.slice(0, lines.length);
}

const TOKENS = [
  "a",
  "b",
  "v17",
  "NULL",
  "none",
  "",
  "<unk>",
  "\u00ed",
  "\u{1f600}",
  "1e5",
  "-",
  "\u2028",
  "\\",
  '"',
  "\r",
  ...["\\\\", "\\:", "\\;", "\\_", "\\t", "\\N", "a\\:b\\", "\u{1f43a}\\:\u{1f45c}"],
];
const WORDS = [
  ...TOKENS,
  "a word for what is missing that is longer than most",
  "\ufeff",
  "x".repeat(80),
  "é".repeat(61),
];
const NUMBERS = [
  "1",
  "-1.5e3",
  "+.5E-2",
  "1.",
  "1650615878629",
  "0.1",
  "1e39",
  "1e999",
  "-1e-400",
  "16777217",
  "",
  "NULL",
]
  .concat(["0x10", " 1", "1e", ".", "+-1", "Infinity", "nan", "1,5", "none", "9".repeat(70)])
  .concat([`${"9".repeat(400)}`, "2.4703282292062327e-324", "3.4028235677973366e38", "3.4028235677973365e38"]);

/** A line of a log in a schema, in which anything may be wrong. */
function randomLine({ schema }: RowBinding, random: Random): Buffer {
  const rarely = () => random(25) === 0;
  const word = () => (rarely() ? pick(random, WORDS) : `v${random(40)}`);
  const number = () => (random(4) === 0 ? pick(random, NUMBERS) : String(random(100) / 4));
  const list = <T>(items: readonly T[], text: (item: T) => string, separator: string) => {
    const texts = items.map(text);
    if (random(80) === 0) texts.splice(random(texts.length + 1), random(2), pick(random, WORDS));
    return texts.join(separator);
  };
  const click = () =>
    list(
      schema.click,
      (field) => {
        if ("kind" in field) return field.kind === "ignore" ? pick(random, WORDS) : number();
        return field.multiple ? list(Array.from({ length: 1 + random(3) }), word, "_") : word();
      },
      ":",
    );
  const clicks = () => (rarely() ? pick(random, WORDS) : list(Array.from({ length: 1 + random(9) }), click, ";"));
  const several = (separator: string) => list(Array.from({ length: 1 + random(4) }), word, separator);
  const column = ({ kind, multiple }: Column) => {
    if (kind === "clicks") return clicks();
    if (kind === "number") return number();
    return kind === "tokens" ? several(";") : multiple ? several("_") : word();
  };
  const text = list(schema.columns, column, "\t");
  const line = Buffer.from(`${rarely() ? "\ufeff" : ""}${text}${rarely() ? "\r" : ""}`);
  return random(6) === 0 ? mutateBytes(line, random) : line;
}

/** Bytes that are no UTF-8, each in a field of its own: what messages make of them is the same. */
function brokenText(random: Random): Buffer {
  const starts = [0x80, 0xc0, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff, 0x41];
  const bytes = Array.from({ length: 1 + random(70) }, () =>
    pick(random, [...starts, ...[0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf]]),
  );
  return Buffer.from(bytes);
}

/** What a line can be refused for. */
const REFUSALS = [
  /^no Expected \d fields but received an empty line$/,
  /^no Expected at most 1000 bytes in a line \(--max-line-bytes\) but received more$/,
  /^no field \d \(\w+\): Expected UTF-8 text but received "/,
  /Expected UTF-8 text \(it looks compressed: give .*\) but received "/,
  /Expected text without NUL bytes but received "/,
  /^no field \d \(\w+\): Expected \d fields separated by tabs but received \d+$/,
  /^no field \d: Expected \d fields separated by tabs but received \d+$/,
  /Expected a number but received "/,
  /Expected a number that float32 can hold but received "/,
  /Expected clicks item:time:tags but received "/,
  /Expected a number for (time|at) of click \d+ but received "/,
  /Expected a number of at least 0 for w of click \d+ but received "/,
  /Expected item:\S+ for click \d+ but received "/,
  /Expected item\S* with an item for click \d+ but received "/,
];

test("lines of click logs: the same rows, the same refusals, the same messages", async () => {
  const random = seeded(23);
  const given = inputsOf("line", mutateBytes).filter((line) => line.length > 0);
  const met = new Set<RegExp>();
  for (const [i, binding] of BINDINGS.entries()) {
    const edges = [MAX_LINE_BYTES, MAX_LINE_BYTES + 1].flatMap((bytes) =>
      ["", "\r"].flatMap((end) => ["", "\ufeff"].map((start) => Buffer.from(`${start}${"x".repeat(bytes)}${end}`))),
    );
    const compressed = [Buffer.of(0x1f, 0x8b, 8, 0xff), Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 9, 0xff)];
    const lines = given
      .filter((line) => line[0]! % BINDINGS.length === i)
      .map((line) => line.subarray(1))
      .concat(edges, compressed, [Buffer.alloc(0), Buffer.from("\r"), Buffer.from("\ufeff"), Buffer.from("\ufeff\r")])
      .concat(Array.from({ length: 200 }, () => brokenText(random)))
      .concat(Array.from({ length: 2 * MUTATIONS }, () => randomLine(binding, random)))
      .map((line) => line.subarray(0, line.includes(10) ? line.indexOf(10) : line.length));
    const ours = await readLines(lines, binding);
    const theirs = askNative(
      "line",
      lines.map((line) => Buffer.concat([Buffer.of(48 + i), line])),
    );
    for (const [l, line] of lines.entries()) {
      const expected = Buffer.from(ours[l]!.replace(/[\n\r]/g, " ")).toString("latin1");
      if (theirs[l] !== expected) {
        assert.unreachable(`${JSON.stringify(line.toString())}\n  TypeScript: ${ours[l]}\n  native:     ${theirs[l]}`);
      }
      for (const refusal of REFUSALS) if (ours[l]!.match(refusal)) met.add(refusal);
    }
    assert.ok(ours.some((answer) => answer.startsWith("ok")));
  }
  assert.equal(
    REFUSALS.filter((refusal) => !met.has(refusal)),
    [],
    "every kind of refusal is among them",
  );
});

const IDS: Readonly<Record<string, readonly string[]>> = {
  user: ["", "u1", "é"],
  item: ["", "a", "b"],
  tags: ["", "t", "s"],
};

function describeUser({ tokens, numbers, clicks }: LogRow): string {
  const id = (name: string, token: unknown) => Math.max(0, IDS[name]!.indexOf((token as string | null) ?? ""));
  const texts = clicks.map(([item, tags]) =>
    [id("item", item), ...(tags as string[]).map((tag) => id("tags", tag))].join(","),
  );
  return [id("user", tokens[0]), bitsOf(numbers[0]!, 4), ...texts].join(" ");
}

/** Blocks of characters that Unicode has had for long. */
const OLD_BLOCKS: readonly [first: number, last: number][] = [
  ...([
    [0, 0x52f],
    [0x5d0, 0x5ea],
    [0x621, 0x64a],
    [0x905, 0x939],
    [0xe01, 0xe30],
  ] as [number, number][]),
  ...([
    [0x1e00, 0x1fff],
    [0x2070, 0x218b],
    [0x3041, 0x30ff],
    [0x4e00, 0x9fa5],
    [0xac00, 0xd7a3],
  ] as [number, number][]),
  ...([
    [0xf900, 0xfa2d],
    [0xfb00, 0xfb06],
    [0xfe70, 0xfefc],
    [0xff00, 0xffee],
    [0x1d400, 0x1d7ff],
  ] as [number, number][]),
];

test("queries: the same words of every character, and the same pairs", async () => {
  const table = readFileSync(join(root, "native/data/words.inc"), "utf8");
  const isSameUnicode = table.startsWith(`// Unicode ${process.versions["unicode"]},`);
  const blocks = isSameUnicode ? [[0, 0xd7ff] as const, [0xe000, 0x10ffff] as const] : OLD_BLOCKS;
  // Characters alone, after a letter and before one.
  const points = blocks.flatMap(([first, last]) => Array.from({ length: last + 1 - first }, (_, i) => first + i));
  const texts: string[] = [];
  for (let at = 0; at < points.length; at += 32) {
    const characters = points.slice(at, at + 32).map((point) => String.fromCodePoint(point));
    texts.push(characters.map((c) => ` ${c} a${c} ${c}b ${c}${c}`).join(""));
  }
  const random = seeded(31);
  for (let i = 0; i < MUTATIONS; i++) {
    const word = () => String.fromCodePoint(...Array.from({ length: 1 + random(4) }, () => pick(random, points)));
    texts.push(Array.from({ length: random(6) }, word).join(pick(random, [" ", "-", "", "\u3000"])));
  }
  const theirs = askNative(
    "words",
    texts.map((text) => Buffer.from(text)),
  );
  for (const [i, text] of texts.entries()) {
    const expected = Buffer.from(`ok ${queryTokens(text).join("|")}`).toString("latin1");
    assert.is(theirs[i], expected, JSON.stringify(text));
  }
});

test("users as ids", () => {
  const path = join(folder, "user.tsv");
  // The C library is given one line, and not the empty line that may end a log.
  const inputs = inputsOf("user", mutateBytes)
    .map((line) => line.subarray(0, line.includes(10) ? line.indexOf(10) : line.length))
    .filter((line) => line.length > 0 && line.toString() !== "\r" && line.toString() !== "\ufeff");
  return compare("user", inputs, async (input) => {
    writeFileSync(path, Buffer.concat([input, Buffer.from("\n")]));
    const lines: LogRow[] = [];
    const options = { schema: SCHEMAS[0]!, maxLineBytes: MAX_LINE_BYTES, withoutClicks: true };
    await readLog([path], options, (line) => lines.push(line)).catch((error) => {
      // A log whose times decrease is refused as a whole, although each of its lines can be read.
      if (lines.length === 0) throw error;
    });
    return describeUser(lines[0]!);
  });
});

test.run();
