// The whole way from a click log to shortlists: simulates a log, prepares it, trains a model, evaluates it against
// counting baselines, and prints shortlists. `npm run demo -- LOG TEST_LOG` uses logs of yours instead.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openModel, recommend } from "shortlist";

const cli = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const folder = fileURLToPath(new URL("../demo", import.meta.url));
mkdirSync(folder, { recursive: true });

function shortlist(...args) {
  console.log(`\n$ shortlist ${args.join(" ").replaceAll(folder, "demo")}`);
  const { status } = spawnSync(process.execPath, [cli, ...args], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

const [log = `${folder}/train.tsv`, test = `${folder}/test.tsv`] = process.argv.slice(2);
if (process.argv.length < 3) shortlist("simulate", "--output", folder, "--users", "5000", "--items", "1000");
shortlist("prepare", log, "--output", `${folder}/dataset`);
shortlist("train", `${folder}/dataset`, "--output", `${folder}/model`);
shortlist("evaluate", `${folder}/model`, test, "--baselines", `${folder}/dataset`);

console.log("\nWhat five users may watch next (probability), after what they watched last:");
const lines = readFileSync(log, "utf8").split("\n", 5);
writeFileSync(`${folder}/five.tsv`, `${lines.join("\n")}\n`);
const model = await openModel(`${folder}/model`);
let user = 0;
for await (const { user: name, items } of recommend(model, `${folder}/five.tsv`, { top: 6 })) {
  const watched = lines[user++]
    .split("\t")
    .find((field) => field.includes(":"))
    .split(";")
    .slice(-4);
  const history = watched.map((click) => click.split(":", 2).join(" ")).join(" → ");
  const next = items.map(({ item, probability }) => `${item} ${(100 * probability).toFixed(1)}%`).join(", ");
  console.log(`${name}: … ${history}\n    ${next}`);
}
