import { test } from "uvu";
import * as assert from "uvu/assert";
import { TokenCounts, TokenTable, tableOf } from "../../src/data/token_table.js";

const TOKENS = [
  "",
  "a",
  "b",
  "ab",
  "é",
  "\u{1f600}",
  "\u{1f601}",
  "\ud7ff",
  "x".repeat(5000),
  `${"x".repeat(4999)}y`,
  "constructor",
];

test("tokens are numbered in the order in which they are added, whatever characters they have", () => {
  const table = new TokenTable();
  for (const [index, token] of TOKENS.entries()) {
    assert.is(table.find(token), -1);
    assert.is(table.add(token), index);
  }
  for (const [index, token] of TOKENS.entries()) {
    assert.is(table.add(token), index);
    assert.is(table.find(token), index);
    assert.is(table.token(index), token);
  }
  assert.is(table.size, TOKENS.length);
});

test("tokens are compared by their bytes, which can be copied", () => {
  const strings = ["", "a", "b", "aa", "\u007f", "\u0080", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff"];
  const table = tableOf([...strings, "\u{10000}", "\u{10ffff}", "a\u{10000}", "a\uffff", ...TOKENS.slice(8, 10)]);
  const bytesOf = (index: number) => {
    const bytes = Buffer.alloc(table.lengthOf(index) + 2, 1);
    assert.is(table.copyTo(index, bytes, 1), table.lengthOf(index));
    assert.is(bytes.at(-1), 1);
    return bytes.subarray(1, -1);
  };
  for (let a = 0; a < table.size; a++) {
    assert.ok(bytesOf(a).equals(Buffer.from(table.token(a))));
    for (let b = 0; b < table.size; b++) {
      assert.is(Math.sign(table.compare(a, b)), Buffer.compare(bytesOf(a), bytesOf(b)), `${a} ${b}`);
    }
  }
});

test("a table of many tokens is what a Map is", () => {
  const table = new TokenTable();
  const map = new Map<string, number>();
  for (let i = 0; i < 300_000; i++) {
    const token = `u${((i * 7919) % 200_003).toString(36)}${i % 3 === 0 ? "ü" : ""}`;
    if (!map.has(token)) map.set(token, map.size);
    assert.is(table.add(token), map.get(token));
  }
  assert.is(table.size, map.size);
  for (const [token, index] of map) {
    if (table.find(token) !== index || table.token(index) !== token) assert.unreachable(token);
    if (table.find(`${token}-`) !== -1) assert.unreachable(`${token}-`);
  }
});

test("counts: what is above a limit, and how much is not", () => {
  const counts = new TokenCounts();
  for (let i = 0; i < 10_000; i++) counts.add(`t${i % 700}`, 1);
  counts.add(null, 5);
  counts.add("t0", 2);
  assert.is(counts.size, 700);
  assert.is(counts.highest, 17);
  assert.is(counts.tokens.token(0), "t0");
  assert.is(counts.values[0], 17);
  const above = counts.values.filter((count) => count > 14);
  assert.is(above.length, counts.sizeAbove(14));
  assert.is(above.length, 200);
  assert.is(above.reduce((sum, count) => sum + count, 0) + counts.below(14), 10_007);
});

test.run();
