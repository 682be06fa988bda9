import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const release = fileURLToPath(new URL("../../build/Release/", import.meta.url));
const archives = (existsSync(release) ? readdirSync(release) : []).filter((file) => /^(lib)?ops_\w+\.a$/.test(file));

/** Names that other object files can see, which the linker may merge with a copy of the same name: mangled. */
function visibleSymbols(archive: string): string[] {
  const { status, stdout, stderr } = spawnSync("nm", ["-g", archive], { encoding: "utf8", maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`nm: ${stderr}`);
  return [...stdout.matchAll(/^[0-9a-f]+ ([A-Za-z]) (\S+)$/gm)]
    .filter(([, kind]) => kind !== "U")
    .map(([, , name]) => name!);
}

// A function that is not in the namespace of its instruction set (a std:: template, an inline function of a header) exists
// once for each of them, and the linker keeps any one: a baseline kernel could be left calling AVX-512 code.
const hasNm = spawnSync("nm", ["--version"]).status === 0;
(hasNm && archives.length > 0 ? test : test.skip)(
  "kernels export nothing outside the namespace of their instruction set",
  () => {
    for (const archive of archives) {
      const isa = /ops_(\w+)\.a/.exec(archive)![1]!;
      const symbols = visibleSymbols(release + archive);
      assert.ok(symbols.length > 0, archive);
      const namespace = `_ZN9shortlist${isa.length}${isa}`;
      const strangers = symbols.filter(
        (name) => !name.replace(/^__/, "_").replace(/^_ZNK/, "_ZN").startsWith(namespace),
      );
      assert.equal(strangers, [], archive);
    }
  },
);

test.run();
