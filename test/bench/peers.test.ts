import { existsSync, readFileSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Peer } from "../../bench/peers/peer.js";
import { type Circumstances, geometricMean, keepResults, networkGemms, type Result } from "../../bench/peers/report.js";
import { temporaryFolder } from "../cli/run.js";

/** A program with the protocol of peer.py. It fails to prepare work that is called "bad". */
const FAKE = `
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { call, work } = JSON.parse(line);
  const answers = { prepare: work === "bad" ? { error: "no such work" } : { handle: 3 }, measure: { seconds: 0.25 }, close: {} };
  console.log(JSON.stringify(answers[call]));
});`;

test("a peer's process answers line by line", async () => {
  const peer = new Peer(process.execPath, ["-e", FAKE]);
  const contender = await peer.contender("fake", "good", {});
  assert.is(await contender.measure(0), 0.25);
  await contender.close();
  let message = "";
  await peer.contender("fake", "bad", {}).catch((error: Error) => (message = error.message));
  assert.is(message, "no such work");
  peer.close();
});

test("a peer that cannot start says so", async () => {
  let message = "";
  const peer = new Peer("no-such-python", []);
  await peer.ask({ call: "versions" }).catch((error: Error) => (message = error.message));
  assert.match(message, "no-such-python");
});

const where: Circumstances = {
  date: "2000-01-01",
  cpu: "a processor",
  processors: 2,
  isa: "avx2",
  versions: { torch: "1" },
  command: "npm run bench:peers",
};

const result = (name: string, ratio: number, target?: number): Result => ({
  ...{ group: "gemm", name, threads: 2, target, unit: "GFLOP/s", ours: 100 * ratio, others: 100 },
  ...{ peer: "torch.mm", ratio, quartiles: [ratio - 0.1, ratio + 0.1], rounds: 3 },
});

test("the products' mean is that of every row of the network, 20480 of them too, and of no square", () => {
  const names = ["50 × 256 × 64", "20480 × 31 × 256", "2048 × 2048 × 2048"];
  const kept = networkGemms(names.map((name) => result(name, 1))).map(({ name }) => name);
  assert.equal(kept, names.slice(0, 2));
});

test("results are kept row by row, with a table of them all", async () => {
  const folder = temporaryFolder();
  await keepResults([result("1 × 2 × 3", 2, 1), result("4 × 5 × 6", 0.5, 1)], where, folder);
  await keepResults([result("4 × 5 × 6", 8, 1)], { ...where, date: "2000-01-02" }, folder);
  const table = readFileSync(`${folder}/results.md`, "utf8");
  assert.match(table, "| 1 × 2 × 3 | 2 | 200 GFLOP/s | 100 torch.mm | 2.00× (1.90–2.10) | ≥ 1 | ✓ |");
  assert.match(table, "8.00×");
  assert.not.match(table, "0.50×");
  assert.match(table, "**4.00×**");
  assert.match(table, "2000-01-01, a processor");
  assert.match(table, "2000-01-02, a processor");
  assert.ok(existsSync(`${folder}/results.json`));
});

test("results of another machine stay when rows are written again", async () => {
  const folder = temporaryFolder();
  const wide = { ...where, isa: "avx512" };
  const other = { ...where, cpu: "another processor" };
  await keepResults([result("1 × 2 × 3", 2), result("4 × 5 × 6", 8)], where, folder);
  assert.not.match(readFileSync(`${folder}/results.md`, "utf8"), "###");
  await keepResults([result("1 × 2 × 3", 3), result("4 × 5 × 6", 27)], wide, folder);
  await keepResults([result("1 × 2 × 3", 5)], other, folder);
  await keepResults([result("1 × 2 × 3", 32)], { ...where, date: "2000-01-02" }, folder);
  const kept: (Result & { circumstances: Circumstances })[] = JSON.parse(
    readFileSync(`${folder}/results.json`, "utf8"),
  );
  const lines = kept.map(({ name, ratio, circumstances: { isa, cpu } }) => `${name}: ${ratio}, ${isa}, ${cpu}`);
  assert.equal(lines, [
    "1 × 2 × 3: 32, avx2, a processor",
    "4 × 5 × 6: 8, avx2, a processor",
    "1 × 2 × 3: 3, avx512, a processor",
    "4 × 5 × 6: 27, avx512, a processor",
    "1 × 2 × 3: 5, avx2, another processor",
  ]);
  const [, ...tables] = readFileSync(`${folder}/results.md`, "utf8").split("### ");
  assert.equal(
    tables.map((table) => [
      table.split("\n")[0],
      /\*\*([^*]*×)\*\*/.exec(table)?.[1],
      table.trimEnd().split("\n").at(-1),
    ]),
    [
      ["avx2, a processor", "16.00×", "2000-01-01, a processor, 2 processors, avx2; torch 1: `npm run bench:peers`"],
      ["avx512, a processor", "9.00×", "2000-01-01, a processor, 2 processors, avx512; torch 1: `npm run bench:peers`"],
      [
        "avx2, another processor",
        undefined,
        "2000-01-01, another processor, 2 processors, avx2; torch 1: `npm run bench:peers`",
      ],
    ],
  );
});

test("the geometric mean", () => {
  assert.ok(Math.abs(geometricMean([2, 8]) - 4) < 1e-12);
});

test.run();
