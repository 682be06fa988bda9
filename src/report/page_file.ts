import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ShortlistError } from "../errors.js";
import type { ReportPage } from "./blocks.js";

/** The modules of the page, each after those that it imports. */
const MODULES = ["../serve/page/dom.js", "./page/chart.js", "./page/main.js"];
const STYLES = "./page/page.css";

/**
 * Returns a page as one HTML file, which loads nothing. Its data, some of which may come from users, are JSON in an
 * element that is no script, and become text only. In addition, the security policy allows no other script than those of
 * the page, by their digests, and no request. Throws ERR_FILE if the build lacks a part of the page.
 */
export function formatPage(page: ReportPage): string {
  const plot = readPlot();
  const scripts = [plot.script, `"use strict";\n${MODULES.map(readModule).join("\n")}`];
  const styles = `${plot.styles}\n${readAsset(STYLES)}`;
  const policy = [
    "default-src 'none'",
    `script-src ${scripts.map(digestOf).join(" ")}`,
    // uPlot styles the elements that it makes, which the policy allows; a style in HTML would be refused.
    `style-src ${digestOf(styles)}`,
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(page.title)}</title>
<link rel="icon" href="data:,">
<style>${styles}</style>
</head>
<body>
<noscript><p>This page needs JavaScript.</p></noscript>
<script type="application/json" id="data">${JSON.stringify(page).replaceAll("<", "\\u003c")}</script>
<script>${scripts[0]}</script>
<script type="module">${scripts[1]}</script>
</body>
</html>
`;
}

function digestOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** A module without its imports and exports, since all modules of the page become one. */
function readModule(name: string): string {
  return readAsset(name)
    .replaceAll(/^import .*;\n/gm, "")
    .replaceAll(/^export /gm, "");
}

/** uPlot, with its license. */
function readPlot(): { readonly script: string; readonly styles: string } {
  const { resolve } = createRequire(import.meta.url);
  const read = (name: string) => readFile(() => join(dirname(resolve("uplot/package.json")), name), `${name} of uPlot`);
  const license = read("LICENSE").trim();
  return { script: `/*\n${license}\n*/\n${read("dist/uPlot.iife.min.js")}`, styles: read("dist/uPlot.min.css") };
}

function readAsset(name: string): string {
  return readFile(() => new URL(name, import.meta.url), name);
}

function readFile(find: () => string | URL, name: string): string {
  try {
    return readFileSync(find(), "utf8");
  } catch (cause) {
    const [problem] = (cause as Error).message.split("\n");
    const message = `Cannot read ${name}, a part of the page of reports: ${problem}. Install and build the package again`;
    throw new ShortlistError("ERR_FILE", message, { cause });
  }
}
