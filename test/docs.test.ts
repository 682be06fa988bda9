import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { DEFAULT_MISSING, parseSchema } from "../src/data/schema.js";
import { readLog } from "../src/data/sources/read_log.js";
import { ERROR_CODES } from "../src/errors.js";
import { type ModelConfig, PRESETS } from "../src/model/config.js";
import { OPS } from "../src/ops/index.js";
import { expectError, withFolder } from "./data/temporary.js";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

test("docs/errors.md explains every error code, and no other", () => {
  const documented = [...read("../docs/errors.md").matchAll(/^\| `(ERR_\w+)`/gm)].map(([, code]) => code!);
  assert.equal(documented.sort(), Object.keys(ERROR_CODES).sort());
});

test("docs/ops.md names every op", () => {
  const text = read("../docs/ops.md");
  const missing = [...OPS.keys()].filter((name) => !text.includes(`\`${name}\``));
  assert.equal(missing, []);
});

test("docs/configuration.md has every key, with both presets' values", () => {
  const rows = [...read("../docs/configuration.md").matchAll(/^\| `(\w+)` \|.*?\| `([^|]*)` \| `([^|]*)` \|/gm)];
  const { default: best, paddle } = PRESETS;
  const text = (value: unknown) => (typeof value === "object" ? JSON.stringify(value) : String(value));
  const expected = Object.entries(best!).map(([key, value]) => [
    key,
    text(value),
    text(paddle![key as keyof ModelConfig]),
  ]);
  assert.equal(rows.map((row) => row.slice(1)).sort(), expected.sort());
});

test("native/ops/registry.inc and src/ops/index.ts have the same ops", () => {
  const native = [...read("../native/ops/registry.inc").matchAll(/^SHORTLIST_(?:OP|PRODUCT)\((\w+)\)/gm)].map(
    ([, name]) => name!,
  );
  assert.equal(native.sort(), [...OPS.keys()].sort());
});

const root = fileURLToPath(new URL("../", import.meta.url));
/** Files that are generated or foreign. */
const IS_FOREIGN = /(^|\/)(node_modules|dist|build[^/]*|demo|\.git|__pycache__)(\/|$)|^docs\/api\//;

/** Paths of the project's files that have one of these extensions. */
function filesOf(extensions: readonly string[], folder = ""): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (IS_FOREIGN.test(entry.isDirectory() ? `${path}/` : path)) return [];
    if (entry.isDirectory()) return filesOf(extensions, path);
    return extensions.includes(extname(path)) ? [path] : [];
  });
}

/** The anchors that GitHub gives to the headings of a Markdown text. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading] of withoutCode(text).matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const plain = heading!.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase();
    const slug = plain.replace(/[^\p{L}\p{N}\p{M}_ -]/gu, "").replaceAll(" ", "-");
    let anchor = slug;
    for (let again = 1; anchors.has(anchor); again++) anchor = `${slug}-${again}`;
    anchors.add(anchor);
  }
  return anchors;
}

function withoutCode(text: string): string {
  return text.replace(/^( *)(```|~~~)[\s\S]*?^\1\2/gm, "");
}

/** The targets of a Markdown file's links. */
function linksOf(file: string): string[] {
  const text = withoutCode(readFileSync(join(root, file), "utf8")).replace(/`[^`\n]*`/g, "");
  const links = [...text.matchAll(/\]\(\s*<?([^)\s>]+)>?[^)]*\)/g), ...text.matchAll(/(?:src|href)="([^"]+)"/g)];
  return links.map(([, target]) => target!);
}

/** Describes why a link is broken; undefined if it is not. */
function problemOf(target: string, from: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return target.startsWith("https://") ? undefined : "expected https";
  const [path, anchor] = target.split("#") as [string, string?];
  const file = path === "" ? from : join(dirname(from), decodeURIComponent(path));
  if (file.startsWith("..") || !existsSync(join(root, file))) return "there is no such file";
  if (anchor === undefined) return undefined;
  if (!file.endsWith(".md") || statSync(join(root, file)).isDirectory()) return "expected an anchor of a Markdown file";
  return anchorsOf(readFileSync(join(root, file), "utf8")).has(anchor) ? undefined : "there is no such heading";
}

test("anchors are those that GitHub makes of headings", () => {
  const text = "# The *LSTM*, 64 → 64\n```sh\n# no heading\n```\n## [a](b.md) `c_d`\n## A c_d #\n## a c_d\n";
  assert.equal([...anchorsOf(text)], ["the-lstm-64--64", "a-c_d", "a-c_d-1", "a-c_d-2"]);
});

test("every link of a Markdown file leads to a file, and to a heading of it", () => {
  const broken: string[] = [];
  for (const file of filesOf([".md"])) {
    for (const target of linksOf(file)) {
      const problem = problemOf(target, file);
      if (problem) broken.push(`${file}: ${target}: ${problem}`);
    }
  }
  assert.equal(broken, []);
});

test("every link of a Markdown file of the npm package leads to a file of the package", () => {
  const packed = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    shell: process.platform === "win32",
  });
  const [{ files }] = JSON.parse(packed) as [{ files: { path: string }[] }];
  const paths = new Set(files.map(({ path }) => path));
  const missing: string[] = [];
  for (const file of [...paths].filter((path) => path.endsWith(".md"))) {
    for (const target of linksOf(file).filter((link) => !/^[a-z]+:|^#/.test(link))) {
      const path = join(dirname(file), decodeURIComponent(target.split("#")[0]!));
      if (!paths.has(path)) missing.push(`${file}: ${target}`);
    }
  }
  assert.ok(paths.has("README.md"));
  assert.equal(missing, []);
});

test("every page of docs that code or another page mentions exists, with the heading", () => {
  const broken: string[] = [];
  let anchors = 0;
  for (const file of filesOf([".ts", ".mjs", ".cc", ".h", ".c", ".inc", ".py", ".sh", ".md"])) {
    const text = readFileSync(join(root, file), "utf8");
    for (const [, target] of text.matchAll(/(?<![\w/.-])(docs\/\w+\.md(?:#[\w-]+)?)/g)) {
      if (target!.includes("#")) anchors++;
      const problem = problemOf(target!, "README.md");
      if (problem) broken.push(`${file}: ${target}: ${problem}`);
    }
    if (/\bMATH(\.md|[,:)])/.test(text) && file !== "test/docs.test.ts") broken.push(`${file}: MATH is docs/math.md`);
  }
  assert.equal(broken, []);
  assert.ok(anchors > 0);
});

test("docs/click_log.md has every word for a missing value, a schema that can be, and the text of an error", async () => {
  const text = read("../docs/click_log.md");
  const listed = /what programs\s+write:\s+([\s\S]*?)\. A list/.exec(text)![1]!;
  assert.equal(
    [...listed.matchAll(/`([^`]+)`/g)].map(([, word]) => word),
    DEFAULT_MISSING.filter((word) => word.trim() !== ""),
  );
  const schema = parseSchema(JSON.parse(/```json\n([\s\S]*?)```/.exec(text)![1]!));
  assert.equal(schema.missing, ["NULL", "n.a."]);
  await withFolder(async (folder) => {
    const log = join(folder, "clicks.tsv");
    await writeFile(log, `${"u1\t31\ten\t\tv1:a:x:1\t\n".repeat(16)}u2\told\ten\t\tv1:a:x:1\t\n`);
    const message = /```\nclicks\.tsv:17: (.*)\n```/.exec(text)![1]!;
    await expectError(
      readLog([log], { schema }, () => {}),
      "ERR_LOG",
      `${log}:17: ${message}`,
    );
  });
});

test.run();
