import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  type PreparedDataset,
  type PrepareOptions,
  parseSchema,
  prepareDataset,
  prepareTables,
  type TableSource,
} from "../../src/index.js";
import { HAS_DUCKDB } from "./table_files.js";
import { withFolder } from "./temporary.js";

// Data that can be prepared but is probably not what was intended: as a click log, and as a table.

const tables = HAS_DUCKDB ? test : test.skip;

const SCHEMA = parseSchema({
  columns: [{ name: "user_id" }, { name: "city" }, { name: "clicks" }],
  click: [{ name: "item" }, { name: "time", kind: "time" }],
});

interface Prepared {
  readonly prepared: PreparedDataset;
  readonly warnings: readonly string[];
}

async function ofLog(lines: readonly string[], options: Partial<PrepareOptions> = {}): Promise<Prepared> {
  let result: Prepared | undefined;
  await withFolder(async (folder) => {
    const log = join(folder, "log.tsv");
    await writeFile(log, lines.map((line) => `${line}\n`).join(""));
    const warnings: string[] = [];
    const onWarning = (message: string) => warnings.push(message);
    const output = join(folder, "ds");
    const prepared = await prepareDataset({ logs: [log], output, schema: SCHEMA, onWarning, ...options });
    result = { prepared, warnings };
  });
  return result!;
}

async function ofTable(
  rows: readonly string[],
  users: readonly string[] | undefined = undefined,
  source: Partial<TableSource> = {},
): Promise<Prepared> {
  let result: Prepared | undefined;
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    await writeFile(at("events"), ["user_id,item_id,timestamp", ...rows, ""].join("\n"));
    if (users) await writeFile(at("users"), ["user_id,city", ...users, ""].join("\n"));
    const warnings: string[] = [];
    const given = {
      ...source,
      events: { files: [at("events")], ...source.events },
      ...(users && { users: { files: [at("users")], ...source.users } }),
    };
    const onWarning = (message: string) => warnings.push(message);
    const prepared = await prepareTables({ source: given, output: at("ds"), onWarning });
    result = { prepared, warnings };
  });
  return result!;
}

const START = 1_600_000_000;
/** The clicks of user u as texts of a log: six clicks on ten items, an hour apart. */
const clicksOf = (u: number) =>
  Array.from({ length: 6 }, (_, c) => `i${(u * 3 + c * c) % 10}:${START + u * 7 + c * 3600}`);
const lineOf = (u: number, clicks: readonly string[] = clicksOf(u)) => `u${u}\tc${u % 3}\t${clicks.join(";")}`;
const rowsOf = (u: number, clicks: readonly string[] = clicksOf(u)) =>
  clicks.map((click) => `u${u},${click.replace(":", ",")}`);
const all = <T>(make: (u: number) => T) => Array.from({ length: 30 }, (_, u) => make(u));

/** Expects one warning, which has all these texts. */
function expectOne({ warnings }: Prepared, ...texts: readonly string[]): void {
  assert.is(warnings.length, 1, warnings.join("\n"));
  for (const text of texts) assert.ok(warnings[0]!.includes(text), `${warnings[0]} has ${text}`);
}

test("ordinary clicks raise no doubt", async () => {
  assert.equal((await ofLog(all((u) => lineOf(u)))).warnings, []);
});

tables("ordinary events raise no doubt", async () => {
  assert.equal(
    (
      await ofTable(
        all((u) => rowsOf(u)).flat(),
        all((u) => `u${u},c${u % 3}`),
      )
    ).warnings,
    [],
  );
});

const few = (u: number) => clicksOf(u).slice(0, u < 20 ? 1 : 6);

test("hardly any user of a log has two clicks", async () => {
  expectOne(
    await ofLog(all((u) => lineOf(u, few(u)))),
    "20 of 30 users have a single click",
    "does each line of the log",
  );
});

tables("hardly any user of a table has two events", async () => {
  expectOne(await ofTable(all((u) => rowsOf(u, few(u))).flat()), "20 of 30 users have a single click", "(--user)");
});

test("times fall within the lines of a log", async () => {
  const swapped = (u: number) => (u % 3 === 0 ? clicksOf(u).map((_, c, own) => own[c ^ 1]!) : clicksOf(u));
  const doubt = "clicks go back in time in 10 of 30 lines, 30 clicks in all (the first: ";
  expectOne(await ofLog(all((u) => lineOf(u, swapped(u)))), doubt, "log.tsv:1", "the oldest click comes first");
});

test("a user is on several lines of a log", async () => {
  const halves = all((u) => [lineOf(u, clicksOf(u).slice(0, 3)), lineOf(u, clicksOf(u).slice(3))]).flat();
  const doubt = "30 of 60 lines are of users who have an earlier line";
  expectOne(await ofLog(halves), doubt, "--repeat-users keep");
  expectOne(await ofLog(halves, { repeatUsers: "keep" }), doubt, "each is taken for a user of its own");
});

test("a column of a log has a value of its own for each user", async () => {
  const lines = all((u) => lineOf(u).replace(/\tc\d\t/, `\tphone-${u}\t`));
  expectOne(await ofLog(lines), 'each of 30 values of "city" belongs to one user alone', 'the kind "ignore"');
  // The same where a limit leaves them out.
  const { warnings } = await ofLog(lines, { featureAppearLimit: { city: 1 } });
  assert.match(
    warnings.join(),
    'every value of "city" is left out, as it appears at most once: the feature has no effect',
  );
});

tables("a column of users that is asked for has a value of its own for each user", async () => {
  const features = { features: [{ column: "city", kind: "category" }] } as const;
  const found = await ofTable(
    all((u) => rowsOf(u)).flat(),
    all((u) => `u${u},phone-${u}`),
    { users: features },
  );
  expectOne(found, 'each of 30 values of "city" belongs to one user alone', 'leave it out of "features"');
  // Otherwise it is no feature.
  const guessed = await ofTable(
    all((u) => rowsOf(u)).flat(),
    all((u) => `u${u},phone-${u}`),
  );
  assert.is(guessed.prepared.vocabularySizes["city"], undefined);
});

const unique = (u: number) => clicksOf(u).map((click, c) => click.replace(/^\w+/, `event-${u}-${c}`));

test("hardly any item of a log has two clicks", async () => {
  expectOne(await ofLog(all((u) => lineOf(u, unique(u)))), "180 items have 180 clicks", 'Is "item" what users click');
});

tables("hardly any item of a table has two events", async () => {
  expectOne(
    await ofTable(all((u) => rowsOf(u, unique(u))).flat()),
    "180 items have 180 clicks",
    "(--item for a table)",
  );
});

const twice = (u: number) => clicksOf(u).flatMap((click, c) => (u < 10 && c < 3 ? [click, click] : [click]));

test("clicks of a log repeat exactly", async () => {
  const doubt = "30 of 210 clicks repeat the item and the time of an earlier click";
  expectOne(await ofLog(all((u) => lineOf(u, twice(u)))), doubt, "Leave the repeats out");
  // Also where another click of the same time is between.
  const between = (u: number) =>
    ["a:5", "b:5", "a:5", "b:5", "c:6"].map((click) => click.replace(":", `${u % 4}:${u}`));
  expectOne(await ofLog(all((u) => lineOf(u, between(u)))), "60 of 150 clicks repeat");
});

tables("a table has its events twice", async () => {
  const rows = all((u) => rowsOf(u)).flat();
  expectOne(await ofTable([...rows, ...rows]), "180 of 360 clicks repeat", "SELECT DISTINCT");
  const query = "SELECT DISTINCT * FROM events";
  assert.equal((await ofTable([...rows, ...rows], undefined, { events: { query } })).warnings, []);
});

test("what the limit leaves out is counted in values and in clicks", async () => {
  const rare = (u: number) => [`rare${u}:${START}`, ...clicksOf(u)];
  const { prepared } = await ofLog(
    all((u) => lineOf(u, rare(u))),
    { featureAppearLimit: { item: 1 } },
  );
  const { values, valuesLeftOut, uses, usesLeftOut } = prepared.features.find(({ name }) => name === "item")!;
  assert.equal([values, valuesLeftOut, uses, usesLeftOut], [40, 30, 210, 30]);
});

test.run();
