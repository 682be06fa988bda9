// Takes pictures of report pages, to look at: `node --import tsx test/report/screenshot.ts FOLDER PAGE.html …` writes
// each page in both colour schemes and at two widths.

import { mkdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { startBrowser } from "../serve/browser.js";

const [folder, ...pages] = process.argv.slice(2);
if (folder === undefined || pages.length === 0) throw new Error("Expected a folder for the pictures, and pages");
await mkdir(folder, { recursive: true });
const browser = await startBrowser();
try {
  for (const path of pages) {
    for (const colorScheme of ["light", "dark"] as const) {
      for (const width of [390, 1280]) {
        const context = await browser.newContext({ viewport: { width, height: 850 }, colorScheme });
        const page = await context.newPage();
        await page.goto(pathToFileURL(resolve(path)).href);
        await page.locator("main").waitFor();
        await page.waitForTimeout(300);
        const name = `${basename(path, ".html")}-${colorScheme}-${width}.png`;
        await page.screenshot({ path: join(folder, name), fullPage: true });
        await context.close();
      }
    }
  }
} finally {
  await browser.close();
}
