import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDataset, prepareDataset } from "../../src/data/dataset.js";
import { parseSchema } from "../../src/data/schema.js";
import { prepareTables, understandTables } from "../../src/data/tables/prepare_tables.js";
import type { TableSource } from "../../src/data/tables/table_source.js";
import { HAS_DUCKDB } from "./table_files.js";
import { expectError, withFolder } from "./temporary.js";

const tables = HAS_DUCKDB ? test : test.skip;

const EVENTS = [
  "user_id,item_id,timestamp",
  ...["u1,a,1600000010", "u1,b,1600000020", "u1,c,1600000030"],
  ...["u2,b,1600000010", "u2,a,1600000040", "u3,c,1600000015", "u3,a,1600000016"],
];
const SEARCHES = [
  "userId,searchTerm,time_ms",
  ...["u1,Late dogs,1600000025000", "u1,cats,1600000005000", "u1,exactly then,1600000020000"],
  ...["u1,after all,1600000099000", "u2,birds;fish,1600000012000", "u2,,1600000012500", "u9,unseen,1600000001000"],
  ...["u3,timeless,", "u2,NULL,1600000012600"],
];

async function withTables(
  work: (at: (name: string) => string, source: TableSource, warnings: string[]) => Promise<void>,
  events = EVENTS,
  searches = SEARCHES,
): Promise<void> {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    await writeFile(at("events.csv"), `${events.join("\n")}\n`);
    await writeFile(at("searches.csv"), `${searches.join("\n")}\n`);
    await work(at, { events: { files: [at("events.csv")] }, searches: { files: [at("searches.csv")] } }, []);
  });
}

/** The tokens of each user's queries, and how many queries came before each click. */
async function searchesIn(folder: string) {
  const { clicks, vocabularies } = await openDataset(folder);
  const { queryOffsets, offsets, ids, before } = clicks.searches![0]!;
  const { tokens } = vocabularies.get("searches")!;
  const queries = Array.from({ length: clicks.users }, (_, user) =>
    Array.from({ length: queryOffsets[user + 1]! - queryOffsets[user]! }, (_, q) => {
      const query = queryOffsets[user]! + q;
      return Array.from(ids.subarray(offsets[query], offsets[query + 1]), (id) => tokens[id]).join("+");
    }),
  );
  return { queries, before: before && [...before], tokens: [...tokens].sort() };
}

tables("a click sees the searches that came before it, and no others", () =>
  withTables(async (at, source, warnings) => {
    const onWarning = (message: string) => warnings.push(message);
    await prepareTables({ source, output: at("ds"), featureAppearLimit: 0, onWarning });
    const found = await searchesIn(at("ds"));
    assert.equal(found.queries, [
      ["cats", "exactly+then+exactly then", "late+dogs+late dogs"],
      ["birds+fish+birds fish"],
      [],
    ]);
    assert.equal(found.before, [1, 1, 3, 0, 1, 0, 0]);
    assert.not(found.tokens.some((token) => ["after", "unseen", "timeless"].includes(token!)));
    const all = warnings.join("\n");
    assert.match(all, "searches.csv: 2 rows without a user or a text are left out");
    assert.match(all, "searches.csv: 1 rows without a time are left out");
    assert.match(all, "searches.csv: 1 searches are of users without events: they are left out");
    assert.not.match(all, "may learn from later ones");
  }),
);

tables("what is held out takes the searches after it along, and the test log has those before its target", () =>
  withTables(async (at, source) => {
    await prepareTables({ source, output: at("last"), featureAppearLimit: 0, holdOut: "last" });
    const last = await searchesIn(at("last"));
    assert.equal(last.queries, [["cats"], [], []]);
    assert.equal(last.before, [1, 1, 0, 0]);
    assert.equal(last.tokens, ["<unk>", "cats"]);
    assert.is(
      await readFile(at("last/test.tsv"), "utf8"),
      [
        "u1\tcats;exactly then;late dogs\ta:1600000010;b:1600000020;c:1600000030\n",
        "u2\tbirds fish\tb:1600000010;a:1600000040\n",
        "u3\t\tc:1600000015;a:1600000016\n",
      ].join(""),
    );
    await prepareTables({
      ...{ source, output: at("split"), featureAppearLimit: 0, holdOut: { splitTime: 1600000030 } },
    });
    const split = await searchesIn(at("split"));
    assert.equal(split.queries, [["cats"], [], []]);
    assert.equal(split.before, [1, 1, 0, 0, 0]);
  }),
);

tables("without times, all searches come before all clicks, as in a click log, byte for byte", () =>
  withTables(async (at, { events, searches }, warnings) => {
    const source = { events: { ...events, time: null }, searches: { ...searches, time: null } };
    const onWarning = (message: string) => warnings.push(message);
    const schema = parseSchema({
      columns: [{ name: "user_id" }, { name: "searches", kind: "tokens" }, { name: "clicks" }],
      click: [{ name: "item" }],
    });
    const searched = ["Late dogs;cats;exactly then;after all", "birds fish", "timeless"];
    const log = ["a;b;c", "b;a", "c;a"].map((clicks, u) => `u${u + 1}\t${searched[u]}\t${clicks}\n`);
    await writeFile(at("log.tsv"), log.join(""));
    for (const featureAppearLimit of [0, 1, "auto"] as const) {
      await prepareTables({ source, output: at("found"), featureAppearLimit, onWarning });
      await prepareDataset({ logs: [at("log.tsv")], output: at("expected"), schema, featureAppearLimit });
      for (const member of [
        "clicks.safetensors",
        ...["user_id", "searches", "item"].map((n) => `vocabulary/${n}.tsv`),
      ]) {
        assert.equal(await readFile(join(at("found"), member)), await readFile(join(at("expected"), member)), member);
      }
    }
    assert.match(warnings.join("\n"), "the searches have no time, so all searches count as made before all events");
  }, EVENTS),
);

tables("what was understood is a source of the same dataset", () =>
  withTables(async (at, source) => {
    const { source: whole, tables: shown } = await understandTables({ source });
    const { user, text, time, unit } = whole.searches!;
    assert.equal({ user, text, time, unit }, { user: "userId", text: "searchTerm", time: "time_ms", unit: "ms" });
    assert.equal(
      shown.at(-1)!.columns.map(({ name, meaning }) => [name, meaning]),
      [
        ["userId", "user"],
        ["searchTerm", "search"],
        ["time_ms", "time in milliseconds"],
      ],
    );
    await prepareTables({ source, output: at("a") });
    await prepareTables({ source: whole, output: at("b") });
    assert.equal(await readFile(at("a/clicks.safetensors")), await readFile(at("b/clicks.safetensors")));
  }),
);

tables("searches whose columns or clock are not clear are refused", async () => {
  const refused = (header: string, row: string, message: string | RegExp) =>
    withTables(
      async (at, source) => {
        await expectError(prepareTables({ source, output: at("ds") }), "ERR_TABLE", message);
      },
      EVENTS,
      [header, row],
    );
  await refused(
    "user_id,words,time",
    "u1,cats,1600000000",
    "Expected one column of the texts of the searches but none",
  );
  await refused("user_id,query,search,time", "u1,a,b,1600000000", "but query and search is known among");
  await refused("who,query,time", "u1,a,1600000000", "Expected one column of the user but none is known among who");
  await refused("user_id,query,ts,time", "u1,a,1600000000,1", "Expected one column of the time but ts and time may be");
  await refused("user_id,query,time", "u1,a,7", "Expected times of the clock that the events have");
});

test.run();
