import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  openDataset,
  parseSchema,
  parseTableSource,
  prepareDataset,
  prepareTables,
  type TableSource,
} from "../../src/index.js";
import { type Event, events, HAS_DUCKDB, runSql, textOf } from "./table_files.js";
import { expectError, withFiles } from "./temporary.js";

const tables = HAS_DUCKDB ? test : test.skip;

const GENRES = [["drama"], ["comedy", "war"], [], ["war"], ["drama", "comedy", "sci-fi"]];
const itemsOf = (all: readonly Event[]) => [...new Set(all.map(({ item }) => item))].sort();
const usersOf = (all: readonly Event[]) => [...new Set(all.map(({ user }) => user))].sort();
const yearOf = (i: number) => (i % 4 === 3 ? "" : String(1990 + (i % 2)));
const ageOf = (u: number) => (u % 7 === 6 ? "" : String(20 + u * 1.5));
const cityOf = (u: number) => ["Ghent", "Delft", ""][u % 3]!;

const quoted = (value: string) => (/[",]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);

/** The tables of items and users as CSV; one item has no row. */
function itemTable(all: readonly Event[]): string {
  const rows = itemsOf(all).map((item, i) =>
    [item, `Title ${i}`, yearOf(i), GENRES[i % 5]!.join("|")].map(quoted).join(","),
  );
  return ["item_id,title,release_year,genres", ...rows.slice(1), ""].join("\n");
}

function userTable(all: readonly Event[]): string {
  return ["user_id,age,city", ...usersOf(all).map((user, u) => [user, ageOf(u), cityOf(u)].join(",")), ""].join("\n");
}

/** The same as a click log. */
function clickLogOf(all: readonly Event[]): string {
  const items = itemsOf(all);
  const clickOf = ({ item, time }: Event) => {
    const i = items.indexOf(item);
    const [year, genres] = i === 0 ? ["", []] : [yearOf(i), GENRES[i % 5]!];
    return `${item}:${year}:${genres.join("_")}:${time / 1000}`;
  };
  return usersOf(all)
    .map((user, u) => {
      const own = all.filter((event) => event.user === user).sort((a, b) => a.time - b.time);
      return `${user}\t${ageOf(u)}\t${cityOf(u)}\t${own.map(clickOf).join(";")}\n`;
    })
    .join("");
}

const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "age", kind: "number" }, { name: "city" }, { name: "clicks" }],
  click: [
    { name: "item" },
    { name: "release_year" },
    { name: "genres", multiple: true },
    { name: "time", kind: "time" },
  ],
});

const FEATURES: Partial<TableSource> = {
  items: { features: [{ column: "release_year" }, { column: "genres", kind: "list", separator: "|" }], title: null },
  users: { features: [{ column: "age", kind: "number" }, { column: "city" }] },
};

async function expectSame(found: string, expected: string): Promise<void> {
  const names = ["user_id", "city", "item", "release_year", "genres"].map((name) => `vocabulary/${name}.tsv`);
  for (const member of ["dataset.json", "clicks.safetensors", ...names]) {
    assert.ok((await readFile(join(found, member))).equals(await readFile(join(expected, member))), member);
  }
}

tables(
  "attributes of items and features of users give the dataset of a click log that has them, byte for byte",
  async () => {
    await withFiles(async (at) => {
      const all = events();
      await mkdir(at("csv"));
      await mkdir(at("log"));
      await writeFile(at("csv/events"), textOf(all, ","));
      await writeFile(at("csv/items"), itemTable(all));
      await writeFile(at("csv/users"), userTable(all));
      await writeFile(at("log/events"), clickLogOf(all));
      for (const featureAppearLimit of [0, "auto", { genres: 30, release_year: 60 }] as const) {
        await prepareDataset({ logs: [at("log/events")], output: at("expected"), schema: SCHEMA, featureAppearLimit });
        const source: TableSource = {
          events: { files: [at("csv/events")] },
          items: { ...FEATURES.items, files: [at("csv/items")] },
          users: { ...FEATURES.users, files: [at("csv/users")] },
        };
        const warnings: string[] = [];
        const onWarning = (message: string) => warnings.push(message);
        await prepareTables({ source, output: at("found"), featureAppearLimit, onWarning });
        await expectSame(at("found"), at("expected"));
        assert.match(warnings.join("\n"), "items: 1 of 8 items of the events have no row");
      }
      // The same tables as Parquet, with lists and whole numbers.
      const csv = (name: string) => `read_csv('${at(`csv/${name}`)}', all_varchar = true)`;
      const list = "CASE WHEN genres IS NULL THEN NULL ELSE string_split(genres, '|') END AS genres";
      await runSql(
        `COPY (SELECT item_id, title, release_year::INTEGER AS release_year, ${list} FROM ${csv("items")}) TO '${at("items.pq")}' (FORMAT parquet)`,
        `COPY (SELECT user_id::BIGINT AS user_id, age::DOUBLE AS age, city FROM ${csv("users")}) TO '${at("users.pq")}' (FORMAT parquet)`,
      );
      const parquet: TableSource = {
        events: { files: [at("csv/events")] },
        items: { files: [at("items.pq")], title: null },
        users: { ...FEATURES.users, files: [at("users.pq")] },
      };
      const kinds = await prepareTables({ source: parquet, output: at("found"), featureAppearLimit: 0 });
      await prepareDataset({ logs: [at("log/events")], output: at("expected"), schema: SCHEMA, featureAppearLimit: 0 });
      assert.ok(kinds.vocabularySizes["genres"]);
      await expectSame(at("found"), at("expected"));
    });
  },
);

tables("users with several values: lists of Parquet, and texts whose separator a source names", () =>
  withFiles(async (at) => {
    const all = events();
    const languages = (u: number) => [["en"], ["nl", "en"], [], ["nl", "de", "nl"]][u % 4]!;
    const users = usersOf(all);
    await writeFile(at("events"), textOf(all, ","));
    await writeFile(
      at("users"),
      `user_id,languages\n${users.map((user, u) => `${user},${languages(u).join("|")}\n`).join("")}`,
    );
    await runSql(
      `COPY (SELECT user_id, string_split(languages, '|') AS languages
       FROM read_csv('${at("users")}', all_varchar = true)) TO '${at("users.pq")}' (FORMAT parquet)`,
    );
    const schema = parseSchema({
      columns: [{ name: "user_id" }, { name: "languages", multiple: true }, { name: "clicks" }],
      click: [{ name: "item" }, { name: "time", kind: "time" }],
    });
    const log = users.map((user, u) => {
      const own = all.filter((event) => event.user === user).sort((a, b) => a.time - b.time);
      return `${user}\t${languages(u).join("_")}\t${own.map(({ item, time }) => `${item}:${time / 1000}`).join(";")}\n`;
    });
    await writeFile(at("log"), log.join(""));
    const text: TableSource["users"] = {
      files: [at("users")],
      features: [{ column: "languages", kind: "list", separator: "|" }],
    };
    for (const holdOut of [undefined, "last"] as const) {
      await prepareDataset({ logs: [at("log")], output: at("expected"), schema, featureAppearLimit: 0, holdOut });
      for (const table of [text, { files: [at("users.pq")] }]) {
        const source = { events: { files: [at("events")] }, users: table };
        await prepareTables({ source, output: at("found"), featureAppearLimit: 0, holdOut });
        for (const member of ["clicks.safetensors", "vocabulary/languages.tsv", ...(holdOut ? ["test.tsv"] : [])]) {
          assert.ok((await readFile(at(`found/${member}`))).equals(await readFile(at(`expected/${member}`))), member);
        }
      }
      const { clicks } = await openDataset(at("found"));
      assert.equal([...clicks.userFeatures[1]!.offsets!].slice(0, 5), [0, 1, 3, 4, 7]);
    }
    await expectError(
      prepareTables({
        source: {
          events: { files: [at("events")] },
          users: { files: [at("users")], features: [{ column: "languages", name: "sample", kind: "list" }] },
        },
        output: at("found"),
      }),
      "ERR_CONFIG",
      'The name "sample" is reserved beside a column "sample" of several values',
    );
  }),
);

tables("without a header, the first column is the id, and features are called by their numbers", async () => {
  await withFiles(async (at) => {
    const rows = ["1::a::5::100", "1::b::3::200", "2::a::4::150", "2::c::1::250"];
    await writeFile(at("ratings.dat"), `${rows.join("\n")}\n`);
    await writeFile(at("movies.dat"), "a::One (1995)::war|drama\nb::Two (1996)::war\nc::Three (1997)::drama|war\n");
    await writeFile(at("users.dat"), "1::F::25\n2::F::56\n");
    const source: TableSource = {
      events: { files: [at("ratings.dat")], user: "1", item: "2", time: "4" },
      items: { files: [at("movies.dat")] },
      users: { files: [at("users.dat")] },
    };
    await prepareTables({ source, output: at("ds"), featureAppearLimit: 0 });
    const { clicks, vocabularies } = await openDataset(at("ds"));
    assert.equal([...vocabularies.keys()], ["user_id", "user_2", "item", "item_3"]);
    assert.equal(vocabularies.get("item_3")!.tokens, ["<unk>", "war", "drama"]);
    assert.equal([...clicks.itemFeatures[1]!.offsets!], [0, 2, 3, 5, 7]);
  });
});

tables("the test log of held-out events has attributes and features", async () => {
  await withFiles(async (at) => {
    const all = events();
    await writeFile(at("events"), textOf(all, ","));
    await writeFile(at("items"), itemTable(all));
    await writeFile(at("users"), userTable(all));
    const source: TableSource = {
      events: { files: [at("events")] },
      items: { ...FEATURES.items, files: [at("items")] },
      users: { ...FEATURES.users, files: [at("users")] },
    };
    await prepareTables({ source, output: at("ds"), holdOut: "last" });
    assert.is(await readFile(at("ds/test.tsv"), "utf8"), clickLogOf(all));
    await writeFile(at("items"), itemTable(all).replaceAll("drama", "dr_ama"));
    await prepareTables({ source, output: at("ds"), holdOut: "last" });
    assert.is(await readFile(at("ds/test.tsv"), "utf8"), clickLogOf(all).replaceAll("drama", "dr\\_ama"));
  });
});

tables("repeated rows, contradictions and ids of another kind are reported with counts", async () => {
  await withFiles(async (at) => {
    await writeFile(at("events"), "user_id,item_id\n1,a\n1,b\n2,a\n2,c\n");
    await writeFile(at("items"), "item_id,kind\na,\na,x\nb,x\nb,y\nd,y\nb,y\n");
    const warnings: string[] = [];
    const onWarning = (message: string) => warnings.push(message.replace(/^\S+: /, ""));
    const source: TableSource = {
      events: { files: [at("events")] },
      items: { files: [at("items")], features: [{ column: "kind" }] },
    };
    await prepareTables({ source, output: at("ds"), featureAppearLimit: 0, onWarning });
    assert.equal(warnings.slice(0, 3), [
      "1 of 3 items of the events have no row: their features are missing",
      "3 rows repeat the item of an earlier row, whose values count",
      '1 items have several values of "kind": the first one counts',
    ]);
    const { clicks, vocabularies } = await openDataset(at("ds"));
    const kinds = [...clicks.itemFeatures[1]!.ids].map((id) => vocabularies.get("kind")!.token(id));
    assert.equal(kinds, ["x", "x", "x", "<unk>"]);
    await writeFile(at("items"), "item_id,kind\n100,x\n101,y\n102,x\n103,y\n");
    warnings.length = 0;
    await prepareTables({ source, output: at("ds"), featureAppearLimit: 0, onWarning });
    assert.match(warnings[0]!, 'no item of the events has a row: is "item_id" the column of the same ids?');
  });
});

test("what is said of features is checked", () => {
  const fails = (value: unknown, message: string) =>
    assert.throws(
      () => parseTableSource(value),
      (error: Error) => error.message.includes(message),
      message,
    );
  fails({ items: { idd: "x" } }, 'items: Unknown key "idd". Did you mean "id"?');
  fails({ users: { features: [{ kind: "number" }] } }, 'users: features[0]: Expected a "column" but received none');
  fails({ items: { features: [{ column: "a", kind: "text" }] } }, 'Expected category or list or number for "kind"');
  fails({ items: { features: [{ column: "a", name: "A b" }] } }, "a name of lower-case letters");
});

tables("more values of a list in all events than a dataset can count are an error with the limit", async () => {
  await withFiles(async (at) => {
    const values = 100_000;
    await writeFile(
      at("items"),
      `item_id,tags\na,"${Array.from({ length: values }, (_, i) => i).join("|")}"\nb,"x|y"\n`,
    );
    const rows = Array.from({ length: 22_000 }, (_, i) => `${i % 20},${i % 50 === 0 ? "b" : "a"},${i}`);
    await writeFile(at("events"), `user_id,item_id,ts\n${rows.join("\n")}\n`);
    const features = [{ column: "tags", name: "tags", kind: "list", separator: "|" }] as const;
    const source: TableSource = { events: { files: [at("events")] }, items: { files: [at("items")], features } };
    await expectError(
      prepareTables({ source, output: at("ds") }),
      "ERR_DATASET",
      /at most 2147483647 values of "tags" in all events but received 2156000880: shorten its lists/,
    );
  });
});

test.run();
