// Times exact search against the limits of the machine: `npm run bench:search`. It builds bench/search.cc with CMake and
// runs it. README.md explains the numbers.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import "./plain_errors.js";

const { values: flags } = parseArgs({
  options: {
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "15" },
    items: { type: "string", default: "1000000" },
    width: { type: "string", multiple: true, default: ["32", "128"] },
    vectors: { type: "string" },
    queries: { type: "string" },
    copies: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
  },
});

/** The output of bench/search.cc: names of the vectors, sizes, and the seconds of each search. */
type Measured = Readonly<Record<string, number>> & { readonly vectors: string; readonly isa: string };

const root = fileURLToPath(new URL("../", import.meta.url));
const folder = join(root, "build/bench/cmake");

function run(command: string, args: readonly string[]): string {
  return execFileSync(command, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

run("cmake", ["-B", folder, "-DBUILD_TESTING=OFF", "-DCMAKE_BUILD_TYPE=Release"]);
run("cmake", ["--build", folder, "-j", "2", "--target", "bench_search"]);
const program = join(folder, "bench_search");
const common = [flags.threads, flags.rounds];
if (flags.vectors !== undefined && flags.queries !== undefined) {
  show(run(program, [...common, "trained", flags.vectors, flags.queries, flags.copies]));
} else {
  for (const width of flags.width) show(run(program, [...common, "random", flags.items, width]));
}

function show(output: string): void {
  if (flags.json) {
    process.stdout.write(output);
    return;
  }
  const { vectors, isa, items, width, threads, bytes, flops, productFlops, ...seconds } = JSON.parse(
    output,
  ) as Measured;
  const { read, "multiply-adds": multiplyAdds, product, "1 query": one } = seconds as Record<string, number>;
  const billions = (amount: number, time: number) => (amount / time / 1e9).toFixed(1);
  console.log(`\n${vectors} vectors [${items}, ${width}], top 100, ${threads} threads, ${isa}`);
  console.log(
    `read ${billions(bytes!, read!)} GB/s, product ${billions(productFlops!, product!)} GFLOP/s, multiply-adds ${billions(flops!, multiplyAdds!)} GFLOP/s`,
  );
  for (const [name, time] of Object.entries(seconds as Record<string, number>)) {
    if (["read", "multiply-adds", "product"].includes(name)) continue;
    const queries = Number.parseInt(name, 10);
    const speed = (queries * 2 * items! * width!) / time / (productFlops! / product!);
    const columns = [
      name.padEnd(30),
      `${(time * 1000).toFixed(3)} ms`.padStart(12),
      `${((100 * read!) / time).toFixed(0)} % of read`.padStart(16),
      `${(100 * speed).toFixed(0)} % of product`.padStart(18),
      `${(one! / time).toFixed(2)} × 1 query`.padStart(20),
    ];
    console.log(columns.join(""));
  }
}
