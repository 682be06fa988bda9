// Sets up a fresh clone: installs packages, builds the native addon and compiles TypeScript. It skips what is up to
// date. `npm test`, `npm run demo` and `npm run bench` run it first.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../", import.meta.url));
const at = (...parts) => join(root, ...parts);
const modified = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

/** Time of the latest change of a file below a folder that has one of these endings. */
function newest(folder, endings) {
  let time = 0;
  for (const name of readdirSync(at(folder), { recursive: true })) {
    if (endings.some((ending) => name.endsWith(ending))) time = Math.max(time, modified(at(folder, name)));
  }
  return time;
}

/** Runs a step. Its output is shown only if it fails. */
function step(what, command, args, wayOut) {
  process.stderr.write(`${what} …\n`);
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    shell: process.platform === "win32",
  });
  if (status === 0) return;
  process.stderr.write(`${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}\nerror: ${what} failed. ${wayOut}\n`);
  process.exit(1);
}

const COMPILER =
  "The native engine needs a C++17 compiler, make and Python 3 (Debian: apt-get install g++ make python3)";
const addon = at("build/Release/shortlist.node");
const compiled = at("dist/index.js");

if (modified(at("node_modules/.package-lock.json")) < modified(at("package-lock.json"))) {
  step(
    "Installing packages and building the native engine",
    "npm",
    ["ci", "--no-audit", "--no-fund", "--loglevel", "warn"],
    COMPILER,
  );
}
const gyp = ["node_modules/node-gyp/bin/node-gyp.js"];
const nativeTime = Math.max(newest("native", [".cc", ".h", ".inc", ".json"]), modified(at("binding.gyp")));
if (modified(addon) < nativeTime) {
  // If Node's headers are installed, node-gyp need not download them.
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, "include/node/node_api.h")) ? ["--nodedir", prefix] : [];
  const configured = modified(at("build/Makefile"));
  const listed = Math.max(modified(at("native/sources.json")), modified(at("binding.gyp")));
  if (configured < listed)
    step("Configuring the native engine", process.execPath, [...gyp, "configure", ...headers], COMPILER);
  step("Building the native engine", process.execPath, [...gyp, "build", "--jobs", "max"], COMPILER);
}
const isOld = ([page, file]) =>
  modified(at("dist", page, file)) < newest(join("src", page), [".html", ".css", ".js", ".svg"]);
const pages = [
  ["serve/page", "page.html"],
  ["report/page", "page.css"],
];
if (pages.some(isOld)) {
  step("Copying the pages", process.execPath, ["scripts/copy_page.mjs"], "See the error above");
}
if (modified(compiled) < Math.max(newest("src", [".ts"]), modified(at("tsconfig.json")))) {
  step(
    "Compiling TypeScript",
    process.execPath,
    ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json"],
    "Mend the errors above",
  );
}
