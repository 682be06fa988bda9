// Runs every test file in a process of its own, so that a crash fails only that file: `npm test`, or `npm test -- lstm`
// for the files whose path contains "lstm". The last line of the output is `N passed, N failed`.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

interface Outcome {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly output: string;
}

const folder = fileURLToPath(new URL(".", import.meta.url));
const root = fileURLToPath(new URL("../", import.meta.url));
const filters = process.argv.slice(2);
const files = (readdirSync(folder, { recursive: true }) as string[])
  .filter((file) => file.endsWith(".test.ts") && (filters.length === 0 || filters.some((text) => file.includes(text))))
  .sort();

const outcomes: Outcome[] = [];
const queue = [...files];
await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, work));

const total = (count: (outcome: Outcome) => number) => outcomes.reduce((sum, outcome) => sum + count(outcome), 0);
const [passed, failed, skipped] = [total((o) => o.passed), total((o) => o.failed), total((o) => o.skipped)];
if (files.length === 0) console.log(`no test file matches ${filters.join(" ")}`);
for (const { file } of outcomes.filter((outcome) => outcome.failed > 0)) console.log(`FAILED ${file}`);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;

async function work(): Promise<void> {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const outcome = await run(file);
    outcomes.push(outcome);
    const { passed, failed, skipped, output } = outcome;
    console.log(
      `${failed > 0 ? "✗" : "✓"} ${file}: ${passed} passed${failed > 0 ? `, ${failed} failed` : ""}${skipped > 0 ? `, ${skipped} skipped` : ""}`,
    );
    if (failed > 0 || skipped > 0) console.log(output);
  }
}

/** Reads the counts of a file from uvu's summary. A file that crashes or has no summary counts as one failure. */
function run(file: string): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--import", "tsx", `${folder}${file}`], {
      cwd: root,
      env: { ...process.env, FORCE_COLOR: "0", NO_COLOR: "1" },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    child.on("close", (code, signal) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: uvu colours its summary.
      const plain = output.replace(/\x1b\[\d+m/g, "");
      const count = (label: string) =>
        Number(new RegExp(`^\\s*${label}:\\s+(\\d+)`, "m").exec(plain)?.[1] ?? Number.NaN);
      const [all, passed, skipped] = [count("Total"), count("Passed"), count("Skipped")];
      const counted = Number.isFinite(all) && Number.isFinite(passed);
      const failures = counted ? all - passed : 0;
      const crashed = !counted || (code !== 0 && failures === 0);
      if (crashed) output += `\n${file} ended with ${signal ?? `exit code ${code}`}`;
      const skippedTests = Number.isFinite(skipped) ? skipped : 0;
      resolve({
        file,
        passed: counted ? passed : 0,
        failed: failures + (crashed ? 1 : 0),
        skipped: skippedTests,
        output,
      });
    });
  });
}
