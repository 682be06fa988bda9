import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { DEFAULT_SCHEMA, readSchema } from "../../src/data/schema.js";
import { simulate } from "../../src/data/simulate.js";
import { readLog } from "../../src/data/sources/read_log.js";
import { expectError, withFolder } from "./temporary.js";

interface User {
  readonly fields: readonly string[];
  readonly items: readonly string[];
  readonly categories: readonly string[];
}

async function readUsers(path: string): Promise<User[]> {
  const text = await readFile(path, "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => {
      const fields = line.split("\t");
      const clicks = fields[3]!.split(";").map((click) => click.split(":"));
      return { fields, items: clicks.map(([item]) => item!), categories: clicks.map(([, category]) => category!) };
    });
}

test("writes logs that fit together, with new items only", async () => {
  await withFolder(async (folder) => {
    const output = join(folder, "new");
    const { train, test, infer, clicks } = await simulate({ output, users: 500, items: 300, meanClicks: 20, seed: 3 });
    assert.equal((await readdir(output)).sort(), ["infer.tsv", "test.tsv", "train.tsv"]);
    const [trained, tested, inferred] = [await readUsers(train), await readUsers(test), await readUsers(infer)];
    assert.is(trained.length, 500);
    assert.is(
      clicks,
      trained.reduce((sum, { items }) => sum + items.length, 0),
    );
    tested.forEach(({ fields, items }, u) => {
      assert.equal(trained[u]!.fields[3]!.split(";"), fields[3]!.split(";").slice(0, -1));
      assert.equal(inferred[u]!.fields, trained[u]!.fields);
      assert.is(new Set(items).size, items.length, "no item twice");
      assert.ok(items.length >= 3);
    });
    const report = await readLog([test], { schema: DEFAULT_SCHEMA }, () => {});
    assert.is(report.clicks, clicks + 500);
    assert.ok(tested.some(({ fields }) => fields.includes("NULL")));
  });
});

test("searches announce clicks, in a column of their own", async () => {
  await withFolder(async (folder) => {
    const sizes = { users: 400, items: 200, meanClicks: 5 };
    await simulate({ output: join(folder, "a"), ...sizes });
    const { train, test, infer } = await simulate({ output: join(folder, "b"), ...sizes, meanSearches: 4 });
    assert.equal((await readdir(join(folder, "a"))).includes("log_schema.json"), false);
    const schema = await readSchema(join(folder, "b", "log_schema.json"));
    const queries: string[][] = [];
    let [clicks, searched] = [0, 0];
    await readLog([train], { schema }, (row) => {
      queries.push([...row.searches![0]!]);
      const named = row.searches![0]!.map((query) => query.split(" ")[0]);
      if (named.length < 5) return;
      for (const [item] of row.clicks) if (named.includes(item as string)) searched++;
      clicks += row.clicks.length;
    });
    assert.ok(searched > 0.15 * clicks, `${searched} of ${clicks}`);
    const mean = queries.reduce((sum, { length }) => sum + length, 0) / queries.length;
    assert.ok(mean > 3 && mean < 5, `${mean}`);
    assert.ok(queries.some(({ length }) => length === 0));
    for (const query of queries.flat()) assert.match(query, /^(v\d{1,3} c\d{1,2}|c\d{1,2} t\d{1,2})$/);
    const column = (path: string, from: number, to?: number) =>
      readFile(path, "utf8").then((text) =>
        text.split("\n").map((line) => line.split("\t").slice(from, to).join("\t")),
      );
    assert.equal(await column(infer, 0, 5), await column(train, 0, 5));
    for (const log of [test, infer]) assert.equal(await column(log, 5), await column(train, 5));
    await expectError(simulate({ output: folder, meanSearches: 1001 }), "ERR_OPTION", "meanSearches");
    await simulate({ output: join(folder, "b"), ...sizes });
    assert.equal((await readdir(join(folder, "b"))).sort(), ["infer.tsv", "test.tsv", "train.tsv"]);
  });
});

test("the seed decides the bytes", async () => {
  await withFolder(async (folder) => {
    const write = async (name: string, seed: number) => {
      const { test } = await simulate({ output: join(folder, name), users: 50, items: 100, meanClicks: 10, seed });
      return readFile(test, "utf8");
    };
    const text = await write("a", 1);
    assert.is(await write("b", 1), text);
    assert.is.not(await write("c", 2), text);
    assert.is(await write("a", 1), text, "logs are replaced");
  });
});

test("popularity is a weak baseline, the last item a strong one, tastes show in categories", async () => {
  await withFolder(async (folder) => {
    const paths = await simulate({ output: folder });
    const [trained, tested] = [await readUsers(paths.train), await readUsers(paths.test)];
    const counts = new Map<string, number>();
    const successors = new Map<string, Map<string, number>>();
    const count = (map: Map<string, number>, item: string) => map.set(item, (map.get(item) ?? 0) + 1);
    for (const { items } of trained) {
      items.forEach((item, i) => {
        count(counts, item);
        if (i === 0) return;
        const before = items[i - 1]!;
        if (!successors.has(before)) successors.set(before, new Map());
        count(successors.get(before)!, item);
      });
    }
    const falling = (map: ReadonlyMap<string, number>) => [...map].sort((a, b) => b[1] - a[1]).map(([item]) => item);
    const byPopularity = falling(counts);
    /** Share of users whose held-out item is among the first ten items that they have not clicked. */
    const hitRate = (ranking: (history: readonly string[]) => readonly string[]) =>
      tested.filter(({ items }) => {
        const history = items.slice(0, -1);
        const watched = new Set(history);
        const top: string[] = [];
        for (const item of ranking(history)) {
          if (!watched.has(item)) top.push(item);
          if (top.length === 10) break;
        }
        return top.includes(items.at(-1)!);
      }).length / tested.length;
    const popularity = hitRate(() => byPopularity);
    assert.ok(popularity > 0.03 && popularity < 0.08, `popularity: HitRate@10 ${popularity}`);
    const ranked = new Map([...successors].map(([item, next]) => [item, falling(next)]));
    const order = hitRate((history) => ranked.get(history.at(-1)!) ?? []);
    assert.ok(order > 3 * popularity, `successors of the last item: HitRate@10 ${order}`);
    // Recommends the successors of a click in the middle of the history, which ignores what the user clicked last.
    const middle = hitRate((history) => ranked.get(history[Math.floor(history.length / 2)]!) ?? []);
    assert.ok(order > 2 * middle, `successors of a click in the middle: HitRate@10 ${middle}`);

    const lengths = trained.map(({ items }) => items.length).sort((a, b) => a - b);
    const mean = paths.clicks / lengths.length;
    assert.ok(mean > 26 && mean < 34, `mean ${mean}`);
    assert.ok(lengths.at(-1)! > 8 * lengths[lengths.length >> 1]!, "activity is heavy-tailed");
    // The genre of a category is its number mod 8. Most clicks of a user belong to a few genres.
    const shares = trained.map(({ categories }) => {
      const genres = new Map<string, number>();
      for (const category of categories) count(genres, String(Number(category.slice(1)) % 8));
      return Math.max(...genres.values()) / categories.length;
    });
    assert.ok(shares.reduce((a, b) => a + b) / shares.length > 0.4, "a user has a main genre");
    assert.ok(new Set(trained.flatMap(({ categories }) => categories)).size === 40);
  });
});

test("refuses impossible options", async () => {
  await withFolder(async (folder) => {
    const refuse = (options: object, message: string) =>
      expectError(simulate({ output: folder, ...options }), "ERR_OPTION", message);
    await refuse({ users: 0 }, "Expected users to be a whole number from 1 to 30000000 but received 0");
    await refuse({ items: 49 }, "Expected items to be a whole number from 50 to");
    await refuse({ meanClicks: 2 }, "Expected meanClicks to be a whole number of at least 3");
    await refuse({ seed: -1 }, "Expected seed");
    assert.equal(await readdir(folder), []);
  });
});

test.run();
