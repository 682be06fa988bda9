import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  compareModels,
  openDataset,
  openModel,
  prepareDataset,
  saveModel,
  simulate,
  train,
  writeReport,
} from "../../src/index.js";
import type { ReportPage } from "../../src/report/blocks.js";
import { formatPage } from "../../src/report/page_file.js";
import { run, succeed } from "../cli/run.js";
import { HAS_DUCKDB } from "../data/table_files.js";
import { expectError, withFolder } from "../data/temporary.js";
import { CHROMIUM, startBrowser } from "../serve/browser.js";
import { prepareFilms } from "../serve/films.js";
import { ITEMS_ONLY, SMALL, withSmallModel } from "../small_model.js";

const REASON = [
  ...(CHROMIUM === undefined ? ["Chromium (Debian: apt-get install chromium)"] : []),
  ...(HAS_DUCKDB ? [] : ["the package @duckdb/node-api"]),
];
if (REASON.length > 0) console.log(`The tests of the page are skipped: they need ${REASON.join(" and ")}.`);
const shown = REASON.length === 0 ? test : test.skip;

/** Titles that would leave their place if they were read as HTML. */
const HOSTILE = ["</script><script>document.title='hostile'</script>", "<!--<script>", "<img src=x onerror=alert(1)>"];

/** The data in the file of a page. */
function dataOf(html: string): ReportPage {
  const [, json] = /<script type="application\/json" id="data">([^<]*)<\/script>/.exec(html)!;
  return JSON.parse(json!);
}

function blocksOf(page: ReportPage, title: string) {
  const section = page.sections.find((section) => section.title === title);
  if (!section) throw new Error(`Expected a section ${title} but there are ${page.sections.map(({ title }) => title)}`);
  return section.blocks;
}

/** The rows of the first table of a section whose caption begins so. */
function rowsOf(page: ReportPage, title: string, caption = ""): Record<string, readonly string[]> {
  for (const block of blocksOf(page, title)) {
    if (block.kind !== "table" || !block.caption.startsWith(caption)) continue;
    return Object.fromEntries(block.rows.map(([name, ...values]) => [name, values]));
  }
  throw new Error(`Expected a table ${caption}`);
}

test("texts cannot leave their place in the file", () => {
  const [title, ...others] = HOSTILE;
  const rows = others.map((text) => ({ text, value: "1" }));
  const page: ReportPage = {
    ...{ title: title!, subtitle: "&amp; \u2028" },
    sections: [{ title: "a", blocks: [{ kind: "cards", cards: [{ title: title!, note: "", rows }] }] }],
  };
  const html = formatPage(page);
  assert.equal(dataOf(html), page);
  assert.is(html.match(/<script/g)!.length, 3);
  for (const text of HOSTILE) assert.not.ok(html.includes(text), text);
  assert.match(html, "<title>&lt;/script&gt;&lt;script&gt;");
  assert.match(html, "Permission is hereby granted"); // the license of uPlot
  const outside = html.replace(/<script[\s\S]*?<\/script>/g, "");
  assert.equal(outside.match(/\b(?:src|href)="[^"]*"|url\([^)]*\)|@import/g), ['href="data:,"']);
});

shown("a report shows the training, metrics, preparation and neighbours; hostile titles are text", async () => {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    await prepareFilms(at, { users: 60, titles: HOSTILE });
    const set = [...SMALL, "epochs=3"];
    const common = { dataset: at("dataset"), set, threads: 1, validation: { heldOut: "last-clicks" as const } };
    const { validation } = await train({ ...common, output: at("model"), patience: 0, profile: true });
    await train({ ...common, output: at("other"), seed: 2 });
    const { output, evaluation } = await writeReport(at("model"), { dataset: at("dataset"), threads: 1 });
    assert.is(output, at("model/report.html"));
    const page = dataOf(await readFile(output, "utf8"));

    const number = (value: number | undefined) => value!.toFixed(4);
    const { transitions, popularity } = evaluation!;
    const beside = [evaluation!, popularity, transitions!];
    assert.equal(
      rowsOf(page, "Model and baselines")["NDCG@10"],
      beside.map(({ ndcg }) => number(ndcg["10"])),
    );
    const kept = rowsOf(page, "Metrics by epoch")[`${validation!.epoch} (kept)`]!;
    assert.equal(kept.slice(0, 2), [number(validation!.hitRate["10"]), number(validation!.ndcg["10"])]);
    const [chart] = blocksOf(page, "Metrics by epoch");
    assert.equal(chart?.kind === "chart" && chart.lines.map(({ label }) => label), [
      "model",
      "popularity",
      "transitions",
    ]);
    assert.match(JSON.stringify(blocksOf(page, "Summary")), "Training ended when all its steps had run.");
    assert.equal(Object.keys(rowsOf(page, "Preparation of the dataset", "Values")).slice(0, 2), ["user_id", "country"]);
    const cards = blocksOf(page, "Neighbours of items").find(({ kind }) => kind === "cards");
    using model = await openModel(at("model"), { threads: 1 });
    const [card] = cards?.kind === "cards" ? cards.cards : [];
    const first = model.items.tokens.find((_, id) => model.description.titles!.titleOf(id) === card!.title)!;
    const { similar } = await model.similar(first, { top: 5 });
    const titleOf = (item: string) => model.description.titles!.titleOf(model.items.idOf(item));
    assert.equal(
      card!.rows.map(({ text, value }) => [text, value]),
      similar.map(({ item, similarity }) => [titleOf(item), similarity.toFixed(2)]),
    );

    await compareModels([at("model"), at("other")], {
      ...{ dataset: at("dataset"), resamples: 200, output: at("compare.html"), threads: 1 },
    });
    await inBrowser(at("compare.html"), async (page) => {
      assert.match((await page.locator("h1").textContent())!, "Comparison of 2 models");
      assert.ok((await page.locator(".interval .dot").count()) >= 13);
    });
    await inBrowser(output, async (page) => {
      assert.is(await page.title(), "Model model");
      assert.is(await page.locator("article img, article script").count(), 0);
      const charts = page.locator("figure.chart");
      assert.is(await charts.count(), 5);
      assert.is(await charts.locator("canvas").count(), 5);
      // The keyboard moves the cursor of a chart, whose numbers are in the legend.
      const step = charts.first().locator(".u-value").first();
      const last = String(dataPoints(dataOf(await readFile(output, "utf8"))));
      assert.is(await step.textContent(), last);
      await charts.first().locator(".plot").focus();
      for (const [key, expected] of [
        ["Home", "1"],
        ["ArrowRight", "2"],
        ["End", last],
      ] as const) {
        await page.keyboard.press(key);
        await step.getByText(expected, { exact: true }).waitFor();
      }
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      await charts.first().locator("table[aria-label]").waitFor();
    });
  });
});

/** Number of points of the chart of the loss. */
function dataPoints(page: ReportPage): number {
  const [chart] = blocksOf(page, "Training");
  return chart?.kind === "chart" ? chart.x.values.length : 0;
}

interface Layout {
  readonly isWide: boolean;
  readonly back: string;
}
const LAYOUT = `({
  isWide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  back: getComputedStyle(document.body).backgroundColor,
})`;

/**
 * Opens a page in both colour schemes and at two widths. Expects no error, no request, and nothing that is wider than
 * the screen. Calls `work` with one of them.
 */
async function inBrowser(path: string, work: (page: Page) => Promise<void>): Promise<void> {
  const browser = await startBrowser();
  const url = pathToFileURL(path).href;
  try {
    for (const [width, colorScheme] of [
      [390, "dark"],
      [1280, "dark"],
      [390, "light"],
      [1280, "light"],
    ] as const) {
      const context = await browser.newContext({ viewport: { width, height: 850 }, colorScheme });
      context.setDefaultTimeout(15_000);
      const page = await context.newPage();
      const problems: string[] = [];
      page.on("console", (message) => void (message.type() === "error" && problems.push(message.text())));
      page.on("pageerror", (error) => void problems.push(String(error)));
      page.on("request", (request) => {
        if (request.url() !== url && !request.url().startsWith("data:")) problems.push(`a request of ${request.url()}`);
      });
      await page.goto(url);
      await page.locator("main section").first().waitFor();
      const { isWide, back }: Layout = await page.evaluate(LAYOUT);
      assert.is(isWide, false, `${path} at ${width}`);
      assert.is(back, colorScheme === "dark" ? "rgb(18, 20, 28)" : "rgb(246, 247, 251)");
      if (width === 1280 && colorScheme === "light") await work(page);
      assert.equal(problems, []);
      await context.close();
    }
  } finally {
    await browser.close();
  }
}

test("a model without a record, one with a test log, and what is refused", async () => {
  await withSmallModel(async (at) => {
    using model = await openModel(at("model"), { threads: 1 });
    await saveModel(model, at("saved"));
    await writeReport(at("saved"), { threads: 1 });
    const saved = dataOf(await readFile(at("saved/report.html"), "utf8"));
    assert.match(JSON.stringify(saved.sections[0]), "There is no record of the training");
    assert.equal(
      saved.sections.map(({ title }) => title),
      ["Summary", "Model and baselines", "Neighbours of items", "Configuration"],
    );
    // What else is in the folder stays, and so does the model.
    await writeFile(at("saved/notes.txt"), "mine");
    await writeReport(at("saved"), { threads: 1 });
    assert.ok((await readdir(at("saved"))).includes("notes.txt"));
    (await openModel(at("saved"), { threads: 1 })).close();

    await expectError(writeReport(at("model"), { dataset: at("dataset") }), "ERR_DATASET", "no clicks to measure on");
    await expectError(writeReport(at("dataset")), "ERR_MODEL", "config.json");
    await expectError(writeReport(at("none")), "ERR_MODEL", "There is no such folder");
    await assertAbsent(at("none"));
    await expectError(
      writeReport(at("model"), { output: at("model/config.json") }),
      "ERR_MODEL",
      "a part of the model",
    );

    const logs = [at("log.tsv")];
    await prepareDataset({ logs, output: at("split"), schema: ITEMS_ONLY, featureAppearLimit: 0, holdOut: "last" });
    const { stderr } = run(["train", at("split"), "--output", at("model"), "--steps", "3", "--set", ...SMALL]);
    assert.not.match(stderr, "warning");
    const written = dataOf(await readFile(at("model/report.html"), "utf8"));
    assert.match(JSON.stringify(blocksOf(written, "Model and baselines")), "On the test log: 700 users");
    assert.is(
      succeed("report", at("model"), "--dataset", at("split"), "--output", at("page.html")),
      `${at("page.html")}\n`,
    );
    const measured = dataOf(await readFile(at("page.html"), "utf8"));
    assert.equal(
      rowsOf(measured, "Model and baselines", "On the clicks that prepare held out"),
      rowsOf(written, "Model and baselines", "On the test log"),
    );
    succeed("train", at("split"), "--output", at("model"), "--steps", "3", "--no-report", "--set", ...SMALL);
    await assertAbsent(at("model/report.html"));
  });
});

test("the report of an update shows the model that it went on from, what grew and what was evicted", async () => {
  await withFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    await simulate({ output: folder, users: 60, items: 50 });
    const lines = (await readFile(at("train.tsv"), "utf8")).trimEnd().split("\n");
    await writeFile(at("day1.tsv"), `${lines.slice(0, 45).join("\n")}\n`);
    await writeFile(at("day2.tsv"), `${lines.slice(30).join("\n")}\n`);
    await prepareDataset({ logs: [at("day1.tsv")], output: at("data1"), featureAppearLimit: 0 });
    const set = ["hiddenWidths=[8]", "userVectorWidth=8", "lstmWidth=8", "batchSize=64", "epochs=1"];
    await train({ dataset: at("data1"), output: at("model1"), set, threads: 1 });
    const update = ["update", at("model1"), at("day2.tsv"), "--dataset", at("data1"), "--evict-after", "1"];
    const outputs = ["--output", at("model2"), "--output-dataset", at("data2"), "--threads", "1"];
    succeed(...update, ...outputs, "--test", at("test.tsv"));
    const page = dataOf(await readFile(at("model2/report.html"), "utf8"));
    assert.match(page.subtitle, "updated once");
    const [tiles, note] = blocksOf(page, "Update");
    const shown = JSON.stringify(tiles);
    const { growth } = (await openDataset(at("data2"))).preparation!;
    assert.is(growth!.evicted.users, 30, "those without a click on the second day");
    assert.is(growth!.users, 15);
    using model = await openModel(at("model1"), { threads: 1 });
    for (const text of ["model1", `id ${model.id!.slice(0, 12)}, trained from nothing`, "30 users, which"])
      assert.match(shown, text);
    assert.match(shown, growth!.clicks.toLocaleString("en"));
    assert.match(JSON.stringify(note), "began with a state of zeros");
    assert.equal(rowsOf(page, "Update", "Values that are new")["user_id"], ["15", "30"]);
    assert.match(JSON.stringify(blocksOf(page, "Model and baselines")), "On the test log");
    assert.ok(rowsOf(page, "Preparation of the dataset", "Lines of the new events"));

    succeed(
      ...["update", at("model2"), at("day1.tsv"), "--dataset", at("data2"), "--output", at("model3")],
      ...[...["--output-dataset", at("data3"), "--threads", "1", "--no-report"]],
    );
    await assertAbsent(at("model3/report.html"));
    succeed("report", at("model3"), "--threads", "1");
    const later = dataOf(await readFile(at("model3/report.html"), "utf8"));
    assert.match(later.subtitle, "updated 2 times");
    assert.match(JSON.stringify(blocksOf(later, "Update")), "updated once before");
    assert.match(JSON.stringify(blocksOf(later, "Model and baselines")), "Update with a test log");
  });
});

async function assertAbsent(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  assert.is(found, undefined, `${path} exists`);
}

test("a report that cannot be written leaves a complete model and a warning", async () => {
  await withSmallModel(async (at) => {
    await rm(at("model"), { recursive: true });
    // The page is written after the model; a folder of its name is in the way.
    const script = `import { mkdirSync, existsSync } from "node:fs";
      const timer = setInterval(() => { if (existsSync(${JSON.stringify(at("model/history.json"))})) mkdirSync(${JSON.stringify(at("model/report.html"))}, { recursive: true }); }, 1);
      timer.unref();`;
    await writeFile(at("block.mjs"), script);
    const { status, stderr } = run(
      ["train", at("dataset"), "--output", at("model"), "--steps", "3", "--threads", "1", "--set", ...SMALL],
      { NODE_OPTIONS: `--import ${pathToFileURL(at("block.mjs")).href}` },
    );
    assert.is(status, 0, stderr);
    assert.match(stderr, /warning: .*report\.html.*The model is complete/);
    (await openModel(at("model"), { threads: 1 })).close();
  });
});

test.run();
