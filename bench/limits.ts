import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Peak rates of the machine, per second, as measured by limits.cc. */
export interface MachineLimits {
  /** Float32 operations of multiply-adds (two each), with operands in registers. */
  readonly flops: number;
  /** The same for bfloat16 dot products with float32 sums; 0 if the processor has none. */
  readonly bf16: number;
  /** Bytes that a copy of memory reads and writes. */
  readonly copy: number;
  /** Bytes of 256-byte rows that are read in random order from a table far larger than the caches. */
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

/** Builds limits.cc with $CXX (default c++) and measures, which takes a few seconds. Throws if the compiler fails. */
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
