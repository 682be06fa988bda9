import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** Where node-gyp puts the addon, seen from src/platform and dist/platform alike. */
export const ADDON = fileURLToPath(new URL("../../build/Release/shortlist.node", import.meta.url));

const loaded = new Map<string, unknown>();

/** What the addon exports; throws the loader's error where it cannot be loaded. */
export function requireAddon(path = ADDON): unknown {
  if (!loaded.has(path)) loaded.set(path, createRequire(import.meta.url)(path));
  return loaded.get(path);
}
