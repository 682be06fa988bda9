// Checks of the public interface. `npm run docs` writes the API reference to docs/api, `npm run check:docs` only checks
// it, and `npm run check:package` packs the npm package and checks it. Their tools are packages of this folder,
// installed when needed.

import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("./", import.meta.url));
const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path) => readFileSync(join(root, path), "utf8");

/** Runs a command, and exits if it fails. With `quiet`, returns its output instead of showing it. */
function run(command, args, { cwd = root, quiet = false } = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    stdio: quiet ? "pipe" : "inherit",
  });
  if (status === 0) return stdout;
  process.stderr.write(
    `${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}\nerror: ${command} ${args.join(" ")} failed\n`,
  );
  process.exit(1);
}

/** Installs the packages of this folder if its lock file is newer than the installation. */
function install() {
  const installed = join(here, "node_modules/.package-lock.json");
  const time = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);
  if (time(installed) >= time(join(here, "package-lock.json"))) return;
  process.stderr.write("Installing typedoc, publint and attw …\n");
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel", "warn"], { cwd: here, quiet: true });
}

const tool = (name) => join(here, "node_modules/.bin", name);

function typedoc(...options) {
  run(tool("typedoc"), ["--options", join(here, "typedoc.json"), "--logLevel", "Warn", ...options]);
}

/** Files that the package must have: the sources of the addon, the entries, and the pages that a reader begins with. */
function requiredFiles() {
  const { bin, exports } = JSON.parse(read("package.json"));
  const entries = Object.values(exports).flatMap((entry) =>
    typeof entry === "string" ? [entry] : Object.values(entry),
  );
  const page = readdirSync(join(root, "src/serve/page")).map((name) => `dist/serve/page/${name}`);
  const sources = Object.values(JSON.parse(read("native/sources.json"))).flat();
  return [
    ...[...Object.values(bin), ...entries].map((path) => path.replace(/^\.\//, "")),
    ...page,
    ...sources,
    ...[
      "README.md",
      "LICENSE",
      "CHANGELOG.md",
      "ARCHITECTURE.md",
      "binding.gyp",
      "CMakeLists.txt",
      "scripts/sources.mjs",
    ],
    "native/include/shortlist/shortlist.h",
  ];
}

/**
 * Files that the package must not have: tests, the code of benchmarks, what was built for one machine, and the
 * generated API reference.
 */
const UNWANTED =
  /^(test|bench(?!\/(README\.md|results\.(md|svg))$)|build[^/]*|node_modules|\.[^/]*)\/|^docs\/api\/|^scripts\/(?!sources\.mjs$)|\.node$|\.tsbuildinfo$/;

/** Compiles consumer.ts against the packed package and its declarations, with both versions of the compiler. */
function checkDeclarations(tarball, folder) {
  const modules = join(folder, "node_modules");
  mkdirSync(modules);
  run("tar", ["-xzf", tarball, "-C", modules]);
  renameSync(join(modules, "package"), join(modules, "shortlist"));
  for (const name of ["@types", "undici-types"]) symlinkSync(join(root, "node_modules", name), join(modules, name));
  copyFileSync(join(here, "consumer.ts"), join(folder, "consumer.mts"));
  const compilerOptions = {
    ...{ module: "nodenext", target: "es2022", lib: ["es2023"], types: ["node"], noEmit: true },
    ...{ strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false },
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["consumer.mts"] }));
  for (const compiler of [root, here]) {
    run(process.execPath, [join(compiler, "node_modules/typescript/bin/tsc"), "-p", folder]);
  }
}

function checkPackage() {
  // Otherwise, files that an earlier state of the sources produced would be packed as well.
  rmSync(join(root, "dist"), { recursive: true, force: true });
  run(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json"]);
  run(process.execPath, ["scripts/copy_page.mjs"]);
  const folder = mkdtempSync(join(tmpdir(), "shortlist-package-"));
  try {
    const [{ filename, files }] = JSON.parse(
      run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], { quiet: true }),
    );
    const paths = files.map(({ path }) => path);
    const missing = requiredFiles().filter((path) => !paths.includes(path));
    const unwanted = paths.filter((path) => UNWANTED.test(path));
    if (missing.length > 0 || unwanted.length > 0) {
      process.stderr.write(`error: the package lacks [${missing.join(", ")}] and holds [${unwanted.join(", ")}]\n`);
      process.exitCode = 1;
      return;
    }
    const tarball = join(folder, filename);
    checkDeclarations(tarball, folder);
    run(tool("publint"), ["run", tarball, "--strict"]);
    // The package contains ECMAScript modules only, so it is not checked for `require`.
    run(tool("attw"), [tarball, "--profile", "esm-only", "--format", "ascii", "--no-emoji"]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const commands = {
  docs: () => typedoc(),
  "check-docs": () => typedoc("--emit", "none"),
  "check-package": checkPackage,
};
const command = commands[process.argv[2]];
if (!command) {
  process.stderr.write(`error: Expected one of ${Object.keys(commands).join(", ")} but received ${process.argv[2]}\n`);
  process.exit(1);
}
install();
command();
