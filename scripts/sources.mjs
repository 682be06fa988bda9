// Prints the source files of the given parts of native/sources.json, one per line: `node scripts/sources.mjs core
// node`. binding.gyp calls it. CMakeLists.txt reads the same JSON file, so there is only one list of sources.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../", import.meta.url);
const sources = JSON.parse(readFileSync(new URL("native/sources.json", root), "utf8"));
const listed = Object.values(sources).flat();

const problems = listed.filter((file) => !existsSync(new URL(file, root))).map((file) => `${file} does not exist`);
for (const folder of ["ops", "core", "data", "train", "serve", "retrieve", "node", "capi"].map(
  (name) => `native/${name}`,
)) {
  if (!existsSync(new URL(folder, root))) continue;
  for (const file of readdirSync(new URL(folder, root))) {
    const path = `${folder}/${file}`;
    if (file.endsWith(".cc") && !listed.includes(path)) problems.push(`${path} is not listed`);
  }
}

const parts = process.argv.slice(2);
for (const part of parts) if (!(part in sources)) problems.push(`there is no part "${part}"`);

if (problems.length > 0) {
  console.error(`${fileURLToPath(new URL("native/sources.json", root))}:\n  ${problems.join("\n  ")}`);
  process.exitCode = 1;
} else {
  for (const file of parts.flatMap((part) => sources[part])) console.log(file);
}
