// The main job from end to end: simulate a click log, prepare it, train, evaluate beside popularity, print shortlists.
// npm run demo [-- LOG TEST_LOG] takes logs of yours instead.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const cli = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const folder = fileURLToPath(new URL("../demo", import.meta.url));
mkdirSync(folder, { recursive: true });

function shortlist(...args) {
  console.log(`\n$ shortlist ${args.join(" ").replaceAll(folder, "demo")}`);
  const { status } = spawnSync(process.execPath, [cli, ...args], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

const [log = `${folder}/train.tsv`, test = `${folder}/test.tsv`] = process.argv.slice(2);
if (process.argv.length < 3) shortlist("simulate", "--output", folder, "--users", "5000", "--items", "2000");
shortlist("prepare", log, "--output", `${folder}/dataset`, "--feature-appear-limit", "2");
shortlist("train", `${folder}/dataset`, "--output", `${folder}/model`, "--passes", "2");
shortlist("evaluate", `${folder}/model`, test);
shortlist("mine", "users", `${folder}/model`, "--log", log, "--users", writeFirstUsers(log), "--top", "8");

/** A file with the first three users of a log. */
function writeFirstUsers(path) {
  const file = `${folder}/users.txt`;
  const users = readFileSync(path, "utf8").split("\n", 3).map((line) => line.split("\t")[0]);
  writeFileSync(file, `${users.join("\n")}\n`);
  return file;
}
