// Takes the picture of the page for the README, of made-up films: `node --import tsx test/serve/screenshot.ts [FOLDER]`
// writes page.png. With `--all` it writes the page in both colour schemes and at two widths, to look at.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { serveModels, train } from "../../src/index.js";
import { withFolder } from "../data/temporary.js";
import { startBrowser } from "./browser.js";
import { prepareFilms } from "./films.js";

const args = process.argv.slice(2);
const all = args.includes("--all");
const folder = args.find((argument) => !argument.startsWith("--")) ?? "docs/images";
const SET = ["lstmWidth=16", "userVectorWidth=16", "hiddenWidths=[32]", "batchSize=64"];

await mkdir(folder, { recursive: true });
await withFolder(async (temporary) => {
  const at = (name: string) => join(temporary, name);
  await prepareFilms(at, { users: 600 });
  for (const [name, set] of Object.entries({ lstm: SET, mean: [...SET, "history=mean"] })) {
    await train({ dataset: at("dataset"), output: at(name), set: [...set, "epochs=20"], threads: 1 });
  }
  await using server = await started({ lstm: at("lstm"), mean: at("mean") });
  const browser = await startBrowser();
  try {
    if (all) await pictureAll(browser, server.url);
    else await picture(browser, server.url, { name: "page", width: 1100, height: 760, scheme: "light" });
  } finally {
    await browser.close();
  }
});

async function started(models: Record<string, string>) {
  const server = await serveModels({ models, port: 0, threads: 1 });
  return { url: server.url, [Symbol.asyncDispose]: async () => void (await server.close()) };
}

async function pictureAll(browser: Browser, url: string): Promise<void> {
  for (const scheme of ["light", "dark"] as const) {
    for (const width of [390, 1280]) {
      const name = `page-${scheme}-${width}`;
      await picture(browser, url, { name, width, height: width === 390 ? 844 : 860, scheme });
    }
  }
}

interface Shot {
  readonly name: string;
  readonly width: number;
  readonly height: number;
  readonly scheme: "light" | "dark";
}

async function picture(browser: Browser, url: string, { name, width, height, scheme }: Shot): Promise<void> {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
  context.setDefaultTimeout(10_000);
  const page = await context.newPage();
  await page.goto(url);
  for (const text of ["lantern", "orbit", "quiet alibi", "last relay"]) await add(page, text);
  await page.getByText("Features of the user").click();
  await page.getByLabel("Country").fill("Norway");
  await page.getByRole("heading", { name: "The shortlist" }).click();
  await settled(page);
  const path = (suffix = "") => join(folder, `${name}${suffix}.png`);
  await page.screenshot({ path: path() });
  if (all) {
    await page.getByRole("button", { name: "What removing Orbit of Glass changes" }).click();
    await page.getByText("Without Orbit of Glass").waitFor();
    await settled(page);
    await page.screenshot({ path: path("-without"), fullPage: true, clip: { x: 0, y: 0, width, height: 1400 } });
    await page.locator("#history button.title").first().click();
    await page.locator(".neighbours").first().waitFor();
    await page.screenshot({ path: path("-item") });
    await page.getByRole("button", { name: "Close" }).click();
    await page.getByLabel("Add an item").fill("the");
    await page.locator("#found [role=option]").first().waitFor();
    await page.keyboard.press("ArrowDown");
    await page.screenshot({ path: path("-search") });
    await page.getByLabel("Beside it").selectOption("");
    await settled(page);
    await page.screenshot({ path: path("-one") });
  }
  await context.close();
}

async function add(page: Page, text: string): Promise<void> {
  await page.getByLabel("Add an item").fill(text);
  await page.locator("#found [role=option]").first().waitFor();
  await page.keyboard.press("Enter");
  await settled(page);
}

async function settled(page: Page): Promise<void> {
  await page.locator('#lists[aria-busy="false"] .items').first().waitFor();
  await page.waitForTimeout(300);
}
