import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** What the machine can do at most, measured by limits.cc. */
export interface MachineLimits {
  /** Float32 multiply-adds from registers, two flops each, a second. */
  readonly flops: number;
  /** The same for bfloat16 dot products with float32 sums; 0 where the processor has none. */
  readonly bf16: number;
  /** Bytes read and written a second by a copy of memory. */
  readonly copy: number;
  /** Bytes of 256-byte rows a second, read in random order out of a table far larger than the caches. */
  readonly rows: number;
}

const root = fileURLToPath(new URL("../", import.meta.url));
const SOURCES = ["bench/limits.cc", "native/core/memory.cc"];

/** Compiler flags of each instruction set, as in binding.gyp. */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  baseline: process.arch === "x64" ? ["-march=x86-64-v2"] : [],
  avx2: ["-march=x86-64-v3"],
  avx512: ["-march=x86-64-v4"],
  avx512_bf16: ["-march=x86-64-v4", "-mavx512bf16"],
  neon: [],
};

/** Measures the limits with the kernels' compiler: $CXX, else c++. Throws where that fails. Takes a few seconds. */
export function measureLimits(isa: string, threads: number): MachineLimits {
  const program = join(root, "build/bench", `limits-${isa}`);
  const changed = Math.max(...SOURCES.map((source) => statSync(join(root, source)).mtimeMs));
  if (!existsSync(program) || statSync(program).mtimeMs < changed) {
    mkdirSync(dirname(program), { recursive: true });
    const flags = ["-std=c++17", "-O3", "-pthread", `-DSHORTLIST_ISA=${isa}`, ...(FLAGS[isa] ?? []), `-I${root}`];
    const compiler = process.env["CXX"] ?? "c++";
    execFileSync(compiler, [...flags, ...SOURCES, "-o", program], { cwd: root, stdio: ["ignore", "ignore", "pipe"] });
  }
  return JSON.parse(execFileSync(program, [String(threads)], { encoding: "utf8" })) as MachineLimits;
}
