import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** The path where node-gyp puts the addon. It is the same from src/platform and from dist/platform. */
export const ADDON = fileURLToPath(new URL("../../build/Release/shortlist.node", import.meta.url));

const loaded = new Map<string, unknown>();

/** Returns the exports of the addon. Throws the loader's error if it cannot be loaded. */
export function requireAddon(path = ADDON): unknown {
  if (!loaded.has(path)) loaded.set(path, createRequire(import.meta.url)(path));
  return loaded.get(path);
}
