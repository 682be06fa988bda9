import { readdirSync } from "node:fs";
import type { Page } from "playwright-core";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Model, openModel, train } from "../../src/index.js";
import { HAS_DUCKDB } from "../data/table_files.js";
import { withFolder } from "../data/temporary.js";
import { SMALL, withSmallModel } from "../small_model.js";
import { CHROMIUM, startBrowser } from "./browser.js";
import { prepareFilms } from "./films.js";
import { ask, HAS_SERVICE, withService } from "./service.js";

const REASON = [
  ...(CHROMIUM === undefined ? ["Chromium (Debian: apt-get install chromium)"] : []),
  ...(HAS_DUCKDB ? [] : ["the package @duckdb/node-api"]),
  ...(HAS_SERVICE ? [] : ["the packages of the service"]),
];
if (REASON.length > 0) console.log(`The tests of the page are skipped: they need ${REASON.join(" and ")}.`);
const shown = REASON.length === 0 ? test : test.skip;

const HOSTILE = `<img src=x onerror="document.title='hostile'">`;
const TOKEN = "token-of-the-tests";
const TOP = 20;

/** Trains two models of the same films, one of which has a title that is HTML. */
async function withModels(work: (folders: Record<"a" | "b", string>) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const at = (name: string) => `${folder}/${name}`;
    await prepareFilms(at, { users: 60, titles: [HOSTILE] });
    await train({ dataset: at("dataset"), output: at("a"), set: SMALL, steps: 20, threads: 1 });
    await train({ dataset: at("dataset"), output: at("b"), set: [...SMALL, "history=mean"], steps: 20, threads: 1 });
    await work({ a: at("a"), b: at("b") });
  });
}

interface View {
  readonly width?: number;
  readonly scheme?: "light" | "dark";
  /** Errors of the console that the test expects. */
  readonly expected?: RegExp;
}

/** Opens the page, and expects no error in the console and no request to another origin. */
async function withPage(url: string, view: View, work: (page: Page) => Promise<void>): Promise<void> {
  const { width = 1280, scheme = "light", expected } = view;
  const browser = await startBrowser();
  try {
    const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme: scheme });
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    const problems: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error" && !expected?.test(message.text())) problems.push(message.text());
    });
    page.on("pageerror", (error) => void problems.push(String(error)));
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== new URL(url).origin) problems.push(`a request of ${request.url()}`);
    });
    await page.goto(url);
    await work(page);
    assert.equal(problems, []);
  } finally {
    await browser.close();
  }
}

/** Waits until the lists are answered for a history of so many clicks. */
async function settled(page: Page, clicks: number): Promise<void> {
  await page.getByText(new RegExp(`for a user with ${clicks || "no"} clicks?`)).waitFor();
  await page.locator('#lists[aria-busy="false"]').waitFor();
}

/** Adds the first item that a text finds, by the keyboard. */
async function add(page: Page, text: string, clicks: number): Promise<void> {
  await page.keyboard.press("/");
  await page.keyboard.type(text);
  await page.locator("#found [role=option]").first().waitFor();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await settled(page, clicks);
  await page.locator("#search").blur();
}

/** What a list on the page says: items, scores, and the effects of clicks. */
function listOf(page: Page, model: string) {
  return page.locator(`[data-model="${model}"] .items > li`).evaluateAll((rows) =>
    rows.map((row) => ({
      item: row.getAttribute("data-item"),
      title: row.querySelector(".title")?.textContent,
      score: row.querySelector(".score")?.textContent,
      because: [...row.querySelectorAll(".because li")].map((cause) =>
        [".effect", ".cause", ".cosine"].map((part) => cause.querySelector(part)?.textContent),
      ),
    })),
  );
}

/** What the page should say of a shortlist of the library. */
async function expectedList(model: Model, history: readonly string[], features: Record<string, string | number> = {}) {
  const { items } = await model.recommend({ features, history }, { top: TOP, explain: true });
  const titleOf = (item: string) => model.description.titles!.titleOf(model.items.idOf(item))!;
  return items.map(({ item, score, because = [] }) => ({
    item,
    title: titleOf(item),
    score: score.toFixed(3),
    because: because.map(({ item, effect, similarity }) => [
      `${effect < 0 ? "−" : "+"}${Math.abs(effect).toFixed(2)}`,
      titleOf(item),
      `cos ${similarity.toFixed(2)}`,
    ]),
  }));
}

const historyOf = (page: Page) => page.locator("#history .title").allTextContents();

shown(
  "a history that is built by the keyboard gets the library's shortlist, and shows what a click changes",
  async () => {
    await withModels(async ({ a }) => {
      using model = await openModel(a, { threads: 1 });
      await withService({ models: { only: a } }, async ({ url }) => {
        await withPage(url, {}, async (page) => {
          await settled(page, 0);
          assert.equal(await listOf(page, "only"), await expectedList(model, []));
          await add(page, "LANTERN", 1);
          await add(page, "glass orbit", 2);
          await add(page, "f3", 3);
          assert.equal(await historyOf(page), ["The Lantern Keeper", "Orbit of Glass", "A Quiet Alibi"]);
          const full = await expectedList(model, ["f1", "f9", "f3"]);
          assert.equal(await listOf(page, "only"), full);
          assert.ok(full[0]!.because.length > 0);
          const chips = page.locator('[data-item="f12"] .chips li, [data-item="f2"] .chips li');
          assert.ok(
            (await chips.allTextContents()).includes(full.some(({ item }) => item === "f2") ? "mystery" : "space"),
          );

          await page.getByRole("button", { name: "What removing Orbit of Glass changes" }).press("Enter");
          await page.getByText("Without Orbit of Glass").waitFor();
          const without = await expectedList(model, ["f1", "f3"]);
          assert.equal(await listOf(page, "only"), without);
          const ranks = new Map(full.map(({ item }, i) => [item, i]));
          const gone = full
            .filter(({ item }) => without.every((other) => other.item !== item))
            .map(({ title }) => title);
          const moved = without.filter(({ item }, i) => ranks.has(item) && ranks.get(item) !== i).length;
          const entered = without.filter(({ item }) => !ranks.has(item)).length;
          const text = `${entered} new, ${gone.length} gone, ${moved} moved.`;
          assert.match((await page.locator("#without").textContent())!, text);
          assert.equal(await page.locator(".gone li").allTextContents(), gone);
          assert.is(await page.locator(".badge.enters").count(), entered);
          assert.is(await page.locator(".badge.up, .badge.down").count(), moved);
          await page.getByRole("button", { name: "Keep it" }).click();
          await page.locator("#without").waitFor({ state: "hidden" });
          await settled(page, 3);

          // Keys in a row move and remove its click; the focus stays in the list.
          await page.locator("#history .title").nth(2).focus();
          await page.keyboard.press("Alt+ArrowUp");
          await settled(page, 3);
          assert.equal(await historyOf(page), ["The Lantern Keeper", "A Quiet Alibi", "Orbit of Glass"]);
          assert.is(await page.evaluate("document.activeElement.textContent"), "A Quiet Alibi");
          await page.keyboard.press("Delete");
          await settled(page, 2);
          assert.equal(await historyOf(page), ["The Lantern Keeper", "Orbit of Glass"]);
          assert.is(await page.evaluate("document.activeElement.textContent"), "Orbit of Glass");
          assert.equal(await listOf(page, "only"), await expectedList(model, ["f1", "f9"]));
          await page.getByRole("button", { name: "Clear" }).click();
          await settled(page, 0);
          assert.is(await page.evaluate("document.activeElement.id"), "search");
        });
      });
    });
  },
);

shown("pasted histories, features, neighbours, unknown items and hostile titles", async () => {
  await withModels(async ({ a }) => {
    using model = await openModel(a, { threads: 1 });
    await withService({ models: { only: a } }, async ({ url }) => {
      await withPage(url, { expected: /status of 400/ }, async (page) => {
        await settled(page, 0);
        const paste = async (text: string) => {
          await page.locator("#paste-text").fill(text);
          await page.locator("#paste button").click();
        };
        await page.getByText("Paste a history").click();
        await paste(`f49\nnowhere\n\nf7\n`);
        await settled(page, 3);
        await page.getByText('does not know history[1] "nowhere"').waitFor();
        assert.equal(await historyOf(page), [HOSTILE, "nowhere", "Letters to Nobody"]);
        assert.equal(await page.locator("#history .badge").allTextContents(), ["unknown to the model"]);
        assert.is(await page.locator("#history img, #lists img").count(), 0);
        await page.locator("#history .title").first().click();
        await page.locator(".neighbours li").first().waitFor();
        assert.is(await page.locator("#item-title").textContent(), HOSTILE);
        assert.is(await page.locator("dialog img").count(), 0);
        assert.is(await page.title(), "Shortlist");

        const neighbours = async (item: string) =>
          (await model.similar(item, { top: 12 })).similar.map(
            ({ item, similarity }) =>
              model.description.titles!.titleOf(model.items.idOf(item))! + similarity.toFixed(2),
          );
        const expected = await neighbours("f49");
        assert.equal(await page.locator(".neighbours li").allTextContents(), expected);
        const [next] = (await model.similar("f49", { top: 1 })).similar;
        await page.locator(".neighbours .title").first().click();
        await page.getByRole("button", { name: "← Back" }).waitFor();
        await page.locator(".neighbours li").first().waitFor();
        assert.equal(await page.locator(".neighbours li").allTextContents(), await neighbours(next!.item));
        const { body } = await ask(`${url}/v1/items/lookup`, { items: [next!.item, "nowhere"] });
        assert.equal(body.unknown, [{ field: "items[1]", value: "nowhere" }]);
        const { genre, decade, moods } = body.items[0].attributes;
        assert.equal(await page.locator("#item-attributes dd").allTextContents(), [genre, decade, moods.join(", ")]);
        await page.keyboard.press("Escape");
        await page.locator("#item").waitFor({ state: "hidden" });

        // The line of a click log: the columns of the model's schema.
        const { columns, click } = (await ask(`${url}/v1/models`)).body.models[0];
        const cells: Record<string, string> = { user_id: "u3", age: "31", country: "Chile" };
        cells["clicks"] = ["f1", "f10"]
          .map((item) => click.map((_: object, i: number) => (i ? "" : item)).join(":"))
          .join(";");
        await paste(columns.map(({ name }: { name: string }) => cells[name]).join("\t"));
        await settled(page, 2);
        assert.is(await page.getByLabel("age").inputValue(), "31");
        const [, ...fields] = click.filter(({ kind }: { kind?: string }) => kind !== "time");
        const missing = fields.map(({ name, multiple }: { name: string; multiple: boolean }) => [
          name,
          multiple ? [] : null,
        ]);
        const history = ["f1", "f10"].map((item) => ({ [click[0].name]: item, ...Object.fromEntries(missing) }));
        const features = { user_id: "u3", age: 31, country: "Chile" };
        const { items } = await model.recommend({ features, history }, { top: TOP });
        assert.equal(
          (await listOf(page, "only")).map(({ item }) => item),
          items.map(({ item }) => item),
        );

        await paste("too\tfew");
        await page.getByText(`Expected ${columns.length} columns`).waitFor();
        await page.getByLabel("age").fill("old");
        await page.getByText(/Expected features\.age to be a .*number/).waitFor();
        assert.match((await page.locator(".failure").textContent())!, "ERR_REQUEST");
      });
    });
  });
});

interface Layout {
  /** Whether something is wider than the screen. */
  readonly isWide: boolean;
  readonly back: string;
  readonly lefts: readonly number[];
}
const LAYOUT = `({
  isWide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  back: getComputedStyle(document.body).backgroundColor,
  lefts: [...document.querySelectorAll("[data-model]")].map((list) => list.getBoundingClientRect().left),
})`;

for (const [width, scheme] of [
  [390, "light"],
  [390, "dark"],
  [1280, "light"],
  [1280, "dark"],
] as const) {
  shown(`two models, a token, and ${scheme} at ${width} pixels`, async () => {
    await withModels(async (models) => {
      using first = await openModel(models.a, { threads: 1 });
      using second = await openModel(models.b, { threads: 1 });
      await withService({ models, token: TOKEN }, async ({ url }) => {
        await withPage(url, { width, scheme, expected: /status of 401/ }, async (page) => {
          await page.locator("#token").fill("wrong");
          await page.keyboard.press("Enter");
          await page.getByText("but received another one").waitFor();
          await page.locator("#token").fill(TOKEN);
          await page.keyboard.press("Enter");
          await settled(page, 0);
          await page.reload();
          await settled(page, 0);
          if (width === 390) {
            assert.is(await page.locator("[data-model]").count(), 1);
            await page.getByLabel("Beside it").selectOption("b");
          }
          await page.locator('[data-model="b"] .items').waitFor();
          await add(page, "lantern", 1);
          const [ofFirst, ofSecond] = [await expectedList(first, ["f1"]), await expectedList(second, ["f1"])];
          assert.equal(await listOf(page, "a"), ofFirst);
          assert.equal(await listOf(page, "b"), ofSecond);
          const there = new Map(ofSecond.map(({ item }, i) => [item, `${i + 1} there`]));
          assert.equal(
            await page.locator('[data-model="a"] .badge').allTextContents(),
            ofFirst.map(({ item }) => there.get(item) ?? "only here"),
          );
          const layout: Layout = await page.evaluate(LAYOUT);
          assert.is(layout.isWide, false);
          assert.is(layout.back, scheme === "dark" ? "rgb(18, 20, 28)" : "rgb(246, 247, 251)");
          assert.is(layout.lefts[0] === layout.lefts[1], width === 390);
          await page.getByLabel("Beside it").selectOption("");
          await page.locator('[data-model="b"]').waitFor({ state: "detached" });
        });
      });
    });
  });
}

(HAS_SERVICE ? test : test.skip)("the files of the page, and no others, are served with strict headers", async () => {
  await withSmallModel(async (at) => {
    await withService({ models: { only: at("model") }, token: TOKEN }, async ({ url }) => {
      const names = readdirSync(new URL("../../src/serve/page/", import.meta.url));
      for (const name of names) {
        const path = name === "page.html" ? "/" : `/page/${name}`;
        const { status, headers } = await ask(url + path);
        assert.is(status, 200, path);
        assert.match(headers.get("content-security-policy")!, /default-src 'none'.*trusted-types 'none'/);
        assert.is(headers.get("x-content-type-options"), "nosniff");
        const again = await fetch(url + path, { headers: { "if-none-match": headers.get("etag")! } });
        assert.is(again.status, 304);
      }
      assert.match((await ask(url)).headers.get("content-type")!, "text/html");
      assert.match((await ask(`${url}/page/main.js`)).headers.get("content-type")!, "text/javascript");
      for (const path of [
        "/page/",
        "/page/../page.ts",
        "/page/..%2fpage.ts",
        "/page/%2e%2e/app.ts",
        "/page/page.html",
      ]) {
        assert.ok([401, 404].includes((await ask(url + path)).status), path);
      }
      assert.is((await ask(`${url}/v1/items/lookup`, { items: ["f1"] })).status, 401);
    });
  });
});

test.run();
