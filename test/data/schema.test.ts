import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  clickNumbers,
  DEFAULT_MISSING,
  DEFAULT_SCHEMA,
  itemFeatures,
  kindOf,
  missingWords,
  numberNames,
  parseSchema,
  parseStoredSchema,
  readSchema,
  timeField,
  userFeatures,
  vocabularyNames,
  weightField,
} from "../../src/data/schema.js";
import { ShortlistError } from "../../src/errors.js";
import { expectError, withFolder } from "./temporary.js";

const click = [{ name: "item" }];

function message(value: unknown): string {
  try {
    parseSchema(value);
  } catch (error) {
    assert.instance(error, ShortlistError);
    assert.is((error as ShortlistError).code, "ERR_CONFIG");
    return (error as Error).message;
  }
  throw new Error("Expected an error but nothing was thrown");
}

test("fills in defaults, and reads its own result again", () => {
  const schema = parseSchema({
    columns: [{ name: "age", kind: "number" }, { name: "clicks" }, { name: "x", kind: "ignore" }, { name: "user_id" }],
    click: [{ name: "video" }, { name: "actors", multiple: true }],
  });
  assert.equal(schema, {
    columns: [
      { name: "age", kind: "number" },
      { name: "clicks", kind: "clicks" },
      { name: "x", kind: "ignore" },
      { name: "user_id", kind: "categorical" },
    ],
    click: [
      { name: "video", multiple: false },
      { name: "actors", multiple: true },
    ],
    missing: DEFAULT_MISSING,
    escapes: true,
  });
  assert.equal(parseSchema(JSON.parse(JSON.stringify(schema))), schema);
  assert.equal(userFeatures(schema), [
    { name: "age", kind: "number", multiple: false, column: 0 },
    { name: "user_id", kind: "categorical", multiple: false, column: 3 },
  ]);
  assert.equal(vocabularyNames(schema), ["user_id", "video", "actors"]);
  assert.equal(parseSchema(DEFAULT_SCHEMA), DEFAULT_SCHEMA);
});

test("users with several values, and searches", () => {
  const schema = parseSchema({
    columns: [{ name: "searches", kind: "tokens" }, { name: "languages", multiple: true }, { name: "clicks" }],
    click,
  });
  assert.equal(schema.columns, [
    { name: "searches", kind: "tokens" },
    { name: "languages", kind: "categorical", multiple: true },
    { name: "clicks", kind: "clicks" },
  ]);
  assert.equal(parseSchema(JSON.parse(JSON.stringify(schema))), schema);
  assert.equal(vocabularyNames(schema), ["searches", "languages", "item"]);
  const refused = (...columns: object[]) => message({ columns: [...columns, { name: "clicks" }], click });
  assert.match(refused({ name: "a", kind: "number", multiple: true }), "Expected a categorical column in columns[0]");
  assert.match(refused({ name: "a", multiple: 1 }), "Expected true or false for multiple in columns[0]");
  assert.match(refused({ name: "user_id", multiple: true }), 'Expected one value in the column "user_id"');
  assert.match(refused({ name: "user_id", kind: "tokens" }), 'Expected one value in the column "user_id"');
  const beside = 'is reserved beside a column "a" of several values: choose another one';
  assert.match(refused({ name: "a", multiple: true }, { name: "a_start" }), `The name "a_start" ${beside}`);
  assert.match(refused({ name: "a_queries" }, { name: "a", kind: "tokens" }), `The name "a_queries" ${beside}`);
  assert.match(refused({ name: "sample", kind: "tokens" }), 'The name "sample" is reserved beside a column "sample"');
  parseSchema({ columns: [{ name: "a" }, { name: "a_start" }, { name: "clicks" }], click });
});

test("the time of a click is a field of its own kind, at any place but the first", () => {
  const schema = parseSchema({
    columns: [{ name: "clicks" }],
    click: [
      { name: "item", kind: "categorical" },
      { name: "at", kind: "time" },
      { name: "tags", multiple: true },
    ],
  });
  assert.equal(schema.click, [
    { name: "item", multiple: false },
    { name: "at", kind: "time" },
    { name: "tags", multiple: true },
  ]);
  assert.equal(parseSchema(JSON.parse(JSON.stringify(schema))), schema);
  assert.equal(
    itemFeatures(schema).map(({ name }) => name),
    ["item", "tags"],
  );
  assert.is(timeField(schema), 1);
  assert.is(timeField(DEFAULT_SCHEMA), -1);
  assert.equal(vocabularyNames(schema), ["item", "tags"]);
});

test("numbers of a click have statistics, behind those of users, and no vocabulary", () => {
  const click = [{ name: "item" }, { name: "price", kind: "number" }, { name: "seen", kind: "number" }];
  const schema = parseSchema({ columns: [{ name: "clicks" }, { name: "age", kind: "number" }], click });
  assert.equal(parseSchema(JSON.parse(JSON.stringify(schema))), schema);
  assert.equal(clickNumbers(schema), ["price", "seen"]);
  assert.equal(numberNames(schema), ["age", "price", "seen"]);
  assert.equal(vocabularyNames(schema), ["item"]);
  const several = { name: "price", kind: "number", multiple: true };
  assert.match(message({ columns: [{ name: "clicks" }], click: [click[0], several] }), "one value of kind number");
});

test("fields of a click to ignore are no features", () => {
  const schema = parseSchema({
    columns: [{ name: "clicks" }],
    click: [
      { name: "item" },
      { name: "a", kind: "ignore" },
      { name: "tags", multiple: true },
      { name: "b", kind: "ignore" },
    ],
  });
  assert.equal(schema.click.map(kindOf), ["categorical", "ignore", "categorical", "ignore"]);
  assert.equal(parseSchema(JSON.parse(JSON.stringify(schema))), schema);
  assert.equal(vocabularyNames(schema), ["item", "tags"]);
  assert.is(timeField(schema), -1);
  const ignored = { name: "a", kind: "ignore" };
  assert.match(
    message({ columns: [{ name: "clicks" }], click: [ignored, ...click] }),
    'but received "kind \\"ignore\\""',
  );
  const several = { ...ignored, multiple: true };
  assert.match(
    message({ columns: [{ name: "clicks" }], click: [...click, several] }),
    "one value of kind ignore in click[1]",
  );
});

test("at most one field of a click is its weight", () => {
  const columns = [{ name: "clicks" }];
  const weight = { name: "w", kind: "weight" };
  assert.is(weightField(parseSchema({ columns, click: [...click, weight] })), 1);
  assert.is(weightField(DEFAULT_SCHEMA), -1);
  assert.match(
    message({ columns, click: [...click, weight, { name: "v", kind: "weight" }] }),
    'at most one field of kind weight in "click" but received "w, v"',
  );
});

test("what counts as missing: a list of words; stored schemas without one know only NULL", () => {
  const columns = [{ name: "clicks" }];
  assert.equal(parseSchema({ columns, click, missing: [] }).missing, []);
  assert.equal([...missingWords(parseSchema({ columns, click, missing: ["-", "n.a."] }))], ["", "<unk>", "-", "n.a."]);
  const stored = parseStoredSchema(
    { columns: [{ name: "clicks", kind: "clicks" }], click },
    "dataset.json",
    "ERR_DATASET",
  );
  assert.equal([...missingWords(stored)], ["", "<unk>", "NULL"]);
  for (const missing of ["NULL", null, [1], ["a\tb"], ["a\nb"], ["a\0"], { NULL: true }]) {
    assert.match(
      message({ columns, click, missing }),
      'Expected a list of words without tab, newline or NUL for "missing"',
    );
  }
});

test("what is wrong with a stored schema has the code of the folder that holds it", async () => {
  const parse = async (value: unknown) => parseStoredSchema(value, "config.json", "ERR_MODEL");
  await expectError(parse([]), "ERR_MODEL", "config.json: Expected an object");
  await expectError(parse({ columns: [{ name: "clicks", kid: 1 }], click }), "ERR_MODEL", 'Unknown key "kid"');
  const twice = [{ name: "clicks" }, { name: "clicks" }];
  await expectError(parse({ columns: twice, click }), "ERR_MODEL", 'The name "clicks" in columns[1] is there twice');
  const reserved = [{ name: "rank" }, { name: "clicks" }];
  const way = "is reserved: rename the feature in the schema, and prepare and train again";
  await expectError(parse({ columns: reserved, click }), "ERR_MODEL", `The name "rank" in columns[0] ${way}`);
});

test("names what is wrong", () => {
  const columns = [{ name: "clicks" }];
  assert.is(message([]), 'schema: Expected an object with "columns", "click", "missing", "escapes" but received []');
  assert.match(message({ columns, clicks: click }), 'Unknown key "clicks". Did you mean "click"?');
  assert.match(
    message({ columns: [{ name: "a", kid: 1 }], click }),
    'Unknown key "kid" in columns[0]. Did you mean "kind"?',
  );
  assert.match(message({ columns, click: [{ name: "item", multipel: true }] }), 'Did you mean "multiple"?');
  assert.match(message({ columns, click: [{ name: "item", zzzzzzzzzz: 1 }] }), "Known keys: name, kind, multiple");
  assert.match(message({ columns: [{ name: "a", kind: "float" }], click }), 'received "float"');
  assert.match(
    message({ columns: [{ name: "a", kind: "clicks" }], click }),
    'kind categorical, number, tokens, ignore in columns[0] but received "clicks"',
  );
  assert.match(message({ columns: [{ name: "clicks", kind: "number" }], click }), 'no kind for the column "clicks"');
  assert.match(message({ columns: [{ name: "a" }], click }), 'Expected a column named "clicks"');
  assert.match(message({ columns: [], click }), 'a list that is not empty for "columns"');
  assert.match(message({ columns }), 'a list that is not empty for "click" but received nothing');
  assert.match(message({ columns: [{}], click }), "a name in columns[0] but received nothing");
  assert.match(
    message({ columns: ["a"], click }),
    'an object with "name", "kind", "multiple" in columns[0] but received "a"',
  );
  assert.match(message({ columns, click: [{ name: "item", multiple: true }] }), "which is the item, in click[0]");
  assert.match(message({ columns, click: [{ name: "item", multiple: 1 }] }), "true or false for multiple");
  const time = { name: "time", kind: "time" };
  assert.match(
    message({ columns, click: [...click, { name: "price", kind: "numbers" }] }),
    'kind categorical, time, weight, number, ignore in click[1] but received "numbers"',
  );
  assert.match(message({ columns, click: [time, ...click] }), "which is the item, in click[0]");
  assert.match(
    message({ columns, click: [...click, { ...time, multiple: true }] }),
    "one value of kind time in click[1]",
  );
  assert.match(
    message({ columns, click: [...click, time, { name: "end", kind: "time" }] }),
    'at most one field of kind time in "click" but received "time, end"',
  );
  assert.match(
    message({ columns: [{ name: "item" }, { name: "clicks" }], click }),
    'The name "item" in click[0] is there twice',
  );
  for (const name of ["Age", "1a", "a-b", "", "_a"])
    assert.match(message({ columns: [{ name }], click }), "begins with a letter");
  for (const name of [
    "target",
    "samples",
    "numbers",
    "sequence_offsets",
    "distinct_item",
    "tags_offsets",
    "user_vector",
    "excluded",
    "example_age",
  ]) {
    assert.match(message({ columns: [{ name }], click }), `The name "${name}" in columns[0] is reserved`);
  }
});

test("names that only multi-valued features may not have", () => {
  const columns = [{ name: "clicks" }];
  for (const name of ["click", "sequence", "user"]) {
    assert.match(
      message({ columns, click: [...click, { name, multiple: true }] }),
      `The name "${name}" in "click" is reserved where "multiple" is true`,
    );
    assert.is(parseSchema({ columns, click: [...click, { name }] }).click[1]!.name, name);
  }
});

test("reads a file and names it in errors", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "schema.json");
    await writeFile(path, JSON.stringify(DEFAULT_SCHEMA));
    assert.equal(await readSchema(path), DEFAULT_SCHEMA);
    await writeFile(path, `\ufeff${JSON.stringify(DEFAULT_SCHEMA, null, 1).replaceAll("\n", "\r\n")}`);
    assert.equal(await readSchema(path), DEFAULT_SCHEMA);
    for (const encoding of ["utf16le", "latin1"] as const) {
      await writeFile(path, Buffer.from(`\ufeff{"ä": 1}`, encoding));
      await expectError(readSchema(path), "ERR_FILE", "schema.json: Expected UTF-8 text but received");
    }
    await writeFile(path, "{");
    await expectError(readSchema(path), "ERR_CONFIG", `${path}: Expected JSON`);
    await expectError(readSchema(join(folder, "none.json")), "ERR_FILE", "none.json: it does not exist");
  });
});

test.run();
