import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { ShortlistError } from "../errors.js";
import type { Route } from "./packages.js";

/** The files of the page for people, and their types. Only these are served, so no URL reads another file. */
const FILES: Readonly<Record<string, string>> = {
  "page.html": "text/html; charset=utf-8",
  "page.css": "text/css; charset=utf-8",
  "icon.svg": "image/svg+xml",
  "main.js": "text/javascript; charset=utf-8",
  "api.js": "text/javascript; charset=utf-8",
  "dom.js": "text/javascript; charset=utf-8",
  "features.js": "text/javascript; charset=utf-8",
  "history.js": "text/javascript; charset=utf-8",
  "item.js": "text/javascript; charset=utf-8",
  "moves.js": "text/javascript; charset=utf-8",
  "paste.js": "text/javascript; charset=utf-8",
  "search.js": "text/javascript; charset=utf-8",
  "shortlist.js": "text/javascript; charset=utf-8",
};

/**
 * What the page may do: run its own scripts and ask its own origin. Titles come from data, so no text may become HTML:
 * with trusted types, a browser refuses innerHTML.
 */
const SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

/**
 * The routes of the page: `/`, and the files that it loads, at /page/. They need no token, since the page asks for it.
 * Browsers keep the files but ask whether they have changed. Throws ERR_FILE if the build lacks a file.
 */
export function pageRoutes(): Route[] {
  return Object.entries(FILES).map(([name, type]) => {
    const content = readAsset(name);
    const tag = `"${createHash("sha256").update(content).digest("base64url")}"`;
    return {
      method: "GET",
      url: name === "page.html" ? "/" : `/page/${name}`,
      config: { isPublic: true },
      schema: { hide: true },
      handler: async ({ headers }, reply) => {
        reply
          .header("etag", tag)
          .header("cache-control", "no-cache")
          .header("content-security-policy", SECURITY_POLICY)
          .header("x-content-type-options", "nosniff")
          .header("referrer-policy", "no-referrer")
          .type(type);
        return headers["if-none-match"] === tag ? reply.code(304).send() : reply.send(content);
      },
    };
  });
}

function readAsset(name: string): Buffer {
  const file = new URL(`./page/${name}`, import.meta.url);
  try {
    return readFileSync(file);
  } catch (cause) {
    const message = `Cannot read ${name} of the page of the service: ${(cause as Error).message}. Build the package again`;
    throw new ShortlistError("ERR_FILE", message, { cause });
  }
}
