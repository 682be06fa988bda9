import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { PackedTokensWriter } from "../../src/data/packed_tokens.js";
import { TokenCounts } from "../../src/data/token_table.js";
import { Turns } from "../../src/data/turns.js";
import { noiseDistribution, Vocabulary } from "../../src/data/vocabulary.js";
import { expectError, withFolder } from "./temporary.js";

function countsOf(entries: readonly [string, number][]): TokenCounts {
  const counts = new TokenCounts();
  for (const [token, count] of entries) counts.add(token, count);
  return counts;
}

test("keeps what appears more often than the limit, by falling count, then by UTF-8 bytes", () => {
  const counts = countsOf([
    ["b", 3],
    ["rare", 2],
    ["a", 3],
    ["top", 9],
    ["\u{1f600}", 3],
    ["\uffee", 3],
    ["B", 3],
    ["ab", 3],
    ["once", 1],
  ]);
  for (let i = 0; i < 4; i++) counts.add(null, 1);
  const vocabulary = Vocabulary.fromCounts(counts, 2);
  assert.equal(vocabulary.tokens, ["<unk>", "top", "B", "a", "ab", "b", "\uffee", "\u{1f600}"]);
  assert.equal([...vocabulary.counts], [7, 9, 3, 3, 3, 3, 3, 3]);
  assert.is(vocabulary.size, 8);
  vocabulary.tokens.forEach((token, id) => {
    assert.is(vocabulary.idOf(token), id);
    assert.is(vocabulary.token(id), token);
  });
  assert.is(vocabulary.idOf(null), 0);
  assert.is(vocabulary.idOf("rare"), 0);
  assert.throws(() => vocabulary.token(8), /from 0 to 7 but received 8/);
});

test("is written and read back as it was", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "item.tsv");
    const vocabulary = Vocabulary.fromCounts(
      countsOf([
        ["é x", 5],
        ["b", 2 ** 40],
      ]),
      0,
    );
    await vocabulary.write(path);
    assert.is(await readFile(path, "utf8"), "<unk>\t0\nb\t1099511627776\né x\t5\n");
    const again = await Vocabulary.read(path);
    assert.equal(again.tokens, vocabulary.tokens);
    assert.equal(again.counts, vocabulary.counts);
    await writeFile(path, "<unk>\t1\r\na\t2\r\n");
    assert.equal((await Vocabulary.read(path)).tokens, ["<unk>", "a"]);
    await new Vocabulary(["<unk>", "a\tb\t7"], new Float64Array(2)).write(path);
    assert.equal((await Vocabulary.read(path)).tokens, ["<unk>", "a\tb\t7"]);
    await expectError(
      new Vocabulary(["<unk>", "a\nb"], new Float64Array(2)).write(path),
      "ERR_VOCABULARY",
      "without newline",
    );
  });
});

test("a malformed file is an error that names the line", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "item.tsv");
    const bad: [string | Buffer, string][] = [
      ["", `${path}:1: Expected a line that ends in a newline (the file is cut short)`],
      [
        "<unk>\t1\na\t12",
        `${path}:2: Expected a line that ends in a newline (the file is cut short) but received "a\\t12"`,
      ],
      ["a\t1\n", `${path}:1: Expected the token <unk> but received "a"`],
      ["<unk>\t1\na\n", `${path}:2: Expected a token, a tab and a whole number but received "a"`],
      ["<unk>\t1\n\t2\n", `${path}:2: Expected a token`],
      ["<unk>\t1\na\t-2\n", `${path}:2: Expected a token`],
      ["<unk>\t1\na\t1.5\n", `${path}:2: Expected a token`],
      ["<unk>\t1\na\t1\t\n", `${path}:2: Expected a token`],
      ["<unk>\t1\na\t1\nb\t1\na\t1\n", `${path}:4: Expected each token once but received "a" again`],
      [Buffer.from([0x3c, 0xff, 10]), `${path}:1: Expected UTF-8`],
    ];
    for (const [text, message] of bad) {
      await writeFile(path, text);
      await expectError(Vocabulary.read(path), "ERR_VOCABULARY", message);
    }
    await expectError(Vocabulary.read(join(folder, "none.tsv")), "ERR_VOCABULARY", /none\.tsv: it does not exist/);
  });
});

test("a vocabulary of more than a million tokens finds them in its bytes", async () => {
  const size = 2 ** 20 + 1000;
  const writer = new PackedTokensWriter(size, 13 * size);
  for (let i = 0; i < size; i++) writer.add(`t${String(i).padStart(8, "0")}${i % 5 === 0 ? "é" : ""}`);
  const counts = Float64Array.from({ length: size }, (_, i) => 1 + (i % 3) + (i === 77 ? 100_000 : 0));
  const { vocabulary, ids } = Vocabulary.fromSorted(writer.finish(), counts, 5, 1);
  assert.is(vocabulary.size, 1 + counts.filter((count) => count > 1).length);
  assert.equal([vocabulary.token(1), vocabulary.token(2)], ["t00000077", "t00000002"]);
  assert.equal([...vocabulary.counts.subarray(0, 3)], [5 + counts.filter((count) => count <= 1).length, 100_003, 3]);
  const turns = new Turns();
  await withFolder(async (folder) => {
    await vocabulary.write(join(folder, "v.tsv"));
    const again = await Vocabulary.read(join(folder, "v.tsv"));
    await again.load(turns);
    assert.ok(again.extends(vocabulary));
    for (let i = 0; i < size; i += 997) {
      const token = `t${String(i).padStart(8, "0")}${i % 5 === 0 ? "é" : ""}`;
      assert.is(again.idOf(token), counts[i]! > 1 ? ids[i] : 0);
      if (ids[i]! > 0) assert.is(again.token(ids[i]!), token);
      assert.is(again.idOf(`${token} `), 0);
    }
    const others = Float64Array.from({ length: again.size }, (_, id) => (id * 7919) % 10);
    const { vocabulary: recounted, newIds } = again.recounted(others, 3);
    const kept = others.subarray(1).filter((count) => count > 3);
    assert.is(recounted.size, 1 + kept.length);
    assert.is(
      recounted.counts.reduce((a, b) => a + b, 0),
      others.reduce((a, b) => a + b, 0),
    );
    let [before, beforeToken] = [Number.POSITIVE_INFINITY, ""];
    const recounts = recounted.counts;
    for (let id = 1; id < recounted.size; id++) {
      const token = recounted.token(id);
      if (recounts[id] === before ? token <= beforeToken : recounts[id]! > before) assert.unreachable(token);
      [before, beforeToken] = [recounts[id]!, token];
    }
    for (let id = 1; id < again.size; id += 991) {
      if (newIds[id]! > 0) assert.is(recounted.token(newIds[id]!), again.token(id));
      else assert.ok(others[id]! <= 3);
    }
    assert.not.ok(recounted.extends(again));
    assert.is(again.withCounts(others).token(5), again.token(5));
    assert.equal(again.withCounts(others).counts, others);
  });
});

test("tokens that are words but for their case are found", async () => {
  const counts = countsOf(["null", "NULL", "Null", "nul", "nulls", "n.a.", "N.A.", "é"].map((token) => [token, 1]));
  const vocabulary = Vocabulary.fromCounts(counts, 0);
  const expected = ["N.A.", "NULL", "Null", "n.a.", "null"];
  const strings = new Vocabulary(vocabulary.tokens, vocabulary.counts);
  for (const one of [vocabulary, strings]) {
    assert.equal(
      one.idsOfWords(["null", "n.a.", "<unk>"]).map((id) => one.token(id)),
      expected,
    );
  }
});

test("the noise distribution leaves <unk> out", () => {
  assert.equal([...noiseDistribution([100, 1, 3], 1)], [0, 0.25, 0.75]);
  assert.equal([...noiseDistribution([100, 16, 81], 0.5)], [0, 4 / 13, 9 / 13]);
  assert.equal([...noiseDistribution([100, 7, 3], 0)], [0, 0.5, 0.5]);
  assert.throws(() => noiseDistribution([5], 1), /tokens to draw besides <unk>/);
  assert.throws(() => noiseDistribution([5, 1], Number.NaN), /noise power/);
});

test("a large vocabulary is parsed piece by piece, with the same result and errors", async () => {
  const tokens = Array.from({ length: 200_000 }, (_, id) => (id === 0 ? "<unk>" : `tokén ${id}`));
  const text = (lines: readonly string[]) => Buffer.from(lines.map((token, id) => `${token}\t${id}\n`).join(""));
  let others = 0;
  const timer = setInterval(() => others++, 1);
  const parsed = await Vocabulary.parseInTurns(text(tokens), "item.tsv", Turns.inBackground(), "index");
  clearInterval(timer);
  assert.ok(others > 1, "the event loop runs meanwhile");
  assert.is(parsed.size, tokens.length);
  for (const id of [0, 1, 1023, 1024, 65_537, 199_999]) {
    assert.equal([parsed.token(id), parsed.idOf(tokens[id]!), parsed.counts[id]], [tokens[id], id, id]);
  }
  const wrong: [bytes: Buffer, message: string][] = [
    [text([...tokens, "tokén 7"]), "item.tsv:200001: Expected each token once"],
    [Buffer.concat([text(tokens), Buffer.from("half")]), "item.tsv:200001: Expected a line that ends in a newline"],
    [Buffer.concat([text(tokens), Buffer.from([0xff, 10])]), "item.tsv:1: Expected UTF-8 text"],
    [Buffer.concat([text(tokens), Buffer.from("a\0\t1\n")]), "item.tsv:200001: Expected a token without a NUL byte"],
    [Buffer.concat([text(tokens), Buffer.from("a\tb\n")]), "item.tsv:200001: Expected a token, a tab and a whole"],
  ];
  for (const [bytes, message] of wrong) {
    await expectError(Vocabulary.parseInTurns(bytes, "item.tsv", new Turns(), "index"), "ERR_VOCABULARY", message);
    assert.throws(
      () => Vocabulary.parse(bytes, "item.tsv"),
      (error: Error) => error.message.startsWith(message),
    );
  }
});

test.run();
