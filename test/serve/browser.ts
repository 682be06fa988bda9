import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

/** Where Debian's package chromium and others put the browser, unless SHORTLIST_CHROMIUM names another place. */
const { SHORTLIST_CHROMIUM } = process.env;
const PLACES = SHORTLIST_CHROMIUM
  ? [SHORTLIST_CHROMIUM]
  : ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** The browser of the tests of the page; undefined if there is none. */
export const CHROMIUM = PLACES.find((path) => existsSync(path));

/** Starts the browser without a window. */
export function startBrowser(): Promise<Browser> {
  if (CHROMIUM === undefined) throw new Error("Expected Chromium (Debian: apt-get install chromium) but there is none");
  // Containers often lack the kernel's sandboxes. The tests open nothing but the page.
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
}
