import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

/** Object files or archives with the kernels of one instruction set, and the prefix of the tools that read them. */
interface Kernels {
  readonly isa: string;
  readonly files: readonly string[];
  readonly tools: string;
}

const release = fileURLToPath(new URL("../../build/Release/", import.meta.url));
const core = `${release}obj.target/shortlist/native/`;
const cross = fileURLToPath(new URL("../../build-aarch64/CMakeFiles/ops_neon.dir/", import.meta.url));

/** The files below a folder whose names match. None if there is no such folder. */
function filesBelow(folder: string, pattern: RegExp): string[] {
  const names = existsSync(folder) ? (readdirSync(folder, { recursive: true }) as string[]) : [];
  return names.filter((name) => pattern.test(name)).map((name) => folder + name);
}

/** The addon's kernels, and those of the cross build (cmake/aarch64.cmake) if there is one. */
const builds: Kernels[] = [
  ...filesBelow(release, /^(lib)?(ops|search)_\w+\.a$/).map((file) => ({
    isa: /(?:ops|search)_(\w+)\.a$/.exec(file)![1]!,
    files: [file],
    tools: "",
  })),
  { isa: "neon", files: filesBelow(cross, /\.o$/), tools: "aarch64-linux-gnu-" },
].filter(({ files, tools }) => files.length > 0 && spawnSync(`${tools}nm`, ["--version"]).status === 0);

function read(command: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", maxBuffer: 1 << 29 });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
  return stdout;
}

/** Mangled names that other object files can see. The linker may replace them by another copy of the same name. */
function visibleSymbols({ files, tools }: Kernels): string[] {
  return [...read(`${tools}nm`, "-g", ...files).matchAll(/^[0-9a-f]+ ([A-Za-z]) (\S+)$/gm)]
    .filter(([, kind]) => kind !== "U")
    .map(([, , name]) => name!);
}

// A function outside the namespace of its instruction set (a std:: template, an inline function of a header) is
// compiled once for each set, and the linker keeps only one copy. So a baseline kernel could end up calling AVX-512
// code.
(builds.length > 0 ? test : test.skip)("kernels export nothing outside the namespace of their instruction set", () => {
  for (const kernels of builds) {
    const symbols = visibleSymbols(kernels);
    assert.ok(symbols.length > 0, kernels.isa);
    const namespace = `_ZN9shortlist${kernels.isa.length}${kernels.isa}`;
    const strangers = symbols.filter((name) => !name.replace(/^__/, "_").replace(/^_ZNK/, "_ZN").startsWith(namespace));
    assert.equal(strangers, [], kernels.isa);
  }
});

// Patterns for the output of objdump. Mnemonics of AVX and later begin with v; x86-64-v3 also has new scalar
// instructions.
const AVX = /\t(v[a-z]\w*|andn|bextr|bls\w+|bzhi|lzcnt|movbe|mulx|pdep|pext|rorx|sarx|shlx|shrx) .*$/m;
const EVEX = /^.*(%zmm|%k[0-7]|%[xy]mm(1[6-9]|2\d|3[01])).*$/m;
const SVE = /^.*\t.*\bz\d+\.[bhsd].*$/m;
const INSTRUCTIONS: Record<string, { without?: RegExp; has: RegExp }> = {
  baseline: { without: AVX, has: /%xmm\d/ },
  avx2: { without: EVEX, has: /\tvfmadd\w+ .*%ymm\d/ },
  avx512: { without: /^.*\t(vdpbf16ps|vpdpwssd).*$/m, has: /\tvfmadd\w+ .*%zmm\d/ },
  avx512_bf16: { without: /^.*\tvpdpwssd.*$/m, has: /\tvdpbf16ps .*%zmm\d/ },
  avx512_vnni: { without: /^.*\tvdpbf16ps.*$/m, has: /\tvpdpwssd .*%zmm\d/ },
  neon: { without: SVE, has: /\tfmla\t.*\bv\d+\.4s/ },
};

const disassembly = (tools: string, files: readonly string[]) =>
  read(`${tools}objdump`, "-d", "--no-show-raw-insn", ...files);

(builds.length > 0 && ["x64", "arm64"].includes(process.arch) ? test : test.skip)(
  "kernels hold the instructions of their set and of no larger one",
  () => {
    for (const { isa, files, tools } of builds) {
      const code = disassembly(tools, files);
      const { without, has } = INSTRUCTIONS[isa]!;
      assert.ok(has.test(code), `${isa} has ${has}`);
      assert.is(without?.exec(code)?.[0], undefined, `${isa} has none of ${without}`);
    }
  },
);

const isGcc = ({ files }: Kernels) => read("readelf", "-p", ".comment", files[0]!).includes("GCC");
const onLinux = process.platform === "linux" && process.arch === "x64";
const gccBuilds = onLinux ? builds.filter((build) => build.tools === "" && isGcc(build)) : [];

// The sums of a tile fill the registers. If a change of the code makes the compiler keep them on the stack, every
// product is a third slower, and no other test notices.
(gccBuilds.length > 0 ? test : test.skip)("the tiles of products keep their sums in registers", () => {
  for (const { isa, files, tools } of gccBuilds) {
    const functions = disassembly(tools, files).split(/^[0-9a-f]+ <(.*)>:$/m);
    const tiles = functions.flatMap((name, i) => (/4tileI.*6Layout/.test(name) ? [[name, functions[i + 1]!]] : []));
    assert.ok(tiles.length > 10 || isa === "avx512_vnni", isa); // the latter has searches only
    const spilling = tiles.filter(([, code]) => /\tv?mov[au]p[sd] .*\(%r[sb]p/.test(code!)).map(([name]) => name);
    assert.equal(spilling, [], isa);
  }
});

const coreObjects = filesBelow(core, /\.o$/);
(builds.length > 0 && coreObjects.length > 0 && process.arch === "x64" ? test : test.skip)(
  "what is not a kernel runs on every processor",
  () => {
    assert.is(AVX.exec(disassembly("", coreObjects))?.[0], undefined);
  },
);

test.run();
