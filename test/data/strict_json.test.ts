import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseStrictJson } from "../../src/data/strict_json.js";
import { ShortlistError } from "../../src/errors.js";

const read = (text: string | Buffer) => parseStrictJson(Buffer.from(text as string), "x.json", "ERR_MODEL");

function problemOf(text: string | Buffer): string {
  try {
    read(text);
  } catch (error) {
    assert.instance(error, ShortlistError);
    assert.is((error as ShortlistError).code, "ERR_MODEL");
    return (error as Error).message;
  }
  return "none";
}

test("gives what JSON.parse gives", () => {
  const texts = [
    ' { "a" : [ 1 , -2.5e3 , true , false , null ] , "b" : { } , "c" : [ ] , "" : "" } ',
    '"\\ud83d\\ude00 \u{1f600} \\" \\\\ , : { ["',
    '{"a":{"a":1},"b":[{"a":1},{"a":2}],"__proto__":1,"constructor":2}',
    "1e-400",
    "-0",
    `${"[".repeat(65)}${"]".repeat(65)}`,
    `${"[".repeat(64)}1${"]".repeat(64)}`,
  ];
  for (const text of texts) assert.equal(read(text), JSON.parse(text), text);
});

test("refuses what two readers could read in two ways", () => {
  const bad: [string | Buffer, RegExp][] = [
    ['{"a":1,"a":2}', /^x\.json: Expected JSON but received the name "a" again at character 7$/],
    ['{"a":1,"\\u0061":2}', /again/],
    ['[{"b":{}, "c":[{"d":1}], "b":{}}]', /received the name "b" again/],
    ['{"__proto__":1,"__proto__":1}', /again/],
    ['"\\ud800"', /half a surrogate pair/],
    ['"\\udc00\\ud800"', /half a surrogate pair/],
    ['{"\\ud800":1}', /half a surrogate pair/],
    ["[1e400]", /a number at character 1 that a float64 cannot hold/],
    ["[-1e400]", /a number/],
    ["\ufeff{}", /Expected JSON/],
    [Buffer.from([0x22, 0xff, 0x22]), /not UTF-8/],
    [Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), /not UTF-8/],
    ["{'a':1}", /Expected JSON/],
    ["", /Expected JSON/],
    [`${"[".repeat(66)}${"]".repeat(66)}`, /inside more than 64 others/],
    [`${"[".repeat(65)}1${"]".repeat(65)}`, /inside more than 64 others/],
    [`${'{"a":'.repeat(65)}"b"${"}".repeat(65)}`, /inside more than 64 others/],
  ];
  for (const [text, message] of bad) assert.match(problemOf(text), message);
});

test.run();
