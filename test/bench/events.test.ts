import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { writeEventTable } from "../../bench/events.js";
import { openDataset, prepareTables } from "../../src/index.js";
import { HAS_DUCKDB } from "../data/table_files.js";
import { expectError, withFolder } from "../data/temporary.js";

const tables = HAS_DUCKDB ? test : test.skip;

tables("a made-up table has events of all users, skewed as in a log, and follows from its seed", async () => {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    const sizes = { events: 50_000, users: 2000, items: 500 };
    for (const [name, seed, ids] of [
      ["a", 1, "integer"],
      ["again", 1, "integer"],
      ["b", 2, "integer"],
      ["text", 1, "text"],
    ] as const) {
      await writeEventTable(at(`${name}.parquet`), { ...sizes, seed, ids });
      await prepareTables({ source: { events: { files: [at(`${name}.parquet`)] } }, output: at(name) });
    }
    const bytesOf = (name: string) => readFile(at(`${name}/clicks.safetensors`));
    assert.ok((await bytesOf("again")).equals(await bytesOf("a")));
    assert.not.ok((await bytesOf("b")).equals(await bytesOf("a")));
    for (const name of ["a", "text"]) {
      const { clicks, vocabularies } = await openDataset(at(name));
      assert.equal([clicks.users, clicks.clicks], [sizes.users, sizes.events], name);
      const { counts, size } = vocabularies.get("item")!;
      assert.ok(size > 400 && size <= 501, `${size} items`);
      const half = counts.subarray(1, 1 + size / 10).reduce((a, b) => a + b, 0);
      assert.ok(
        half > 0.4 * sizes.events && half < 0.8 * sizes.events,
        `${half} events of the first tenth of the items`,
      );
      const times = clicks.times!;
      assert.ok(times.latest - times.earliest > 89 * 86_400);
    }
    const few = writeEventTable(at("x.parquet"), { events: 10, users: 20, items: 5 });
    await expectError(few, "ERR_OPTION", "Expected an event for each of 20 users but received 10");
  });
});

test.run();
