import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

/** For each folder of src, what it may import besides itself and errors.ts; the table "Layout" of ARCHITECTURE.md. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  platform: [],
  graph: [],
  random: [],
  ops: ["graph", "random"],
  executors: ["platform", "graph", "ops", "random", "data"],
  layers: ["graph", "ops"],
  optimizers: ["graph", "ops"],
  data: ["platform", "random"],
  model: ["graph", "ops", "executors", "layers", "optimizers", "random", "data"],
  retrieve: ["executors", "random", "data", "model"],
  export: ["graph", "data", "model"],
  train: ["graph", "ops", "executors", "random", "data", "model", "retrieve"],
  serve: ["executors", "data", "model", "retrieve"],
  tune: ["random", "data", "model", "train"],
  report: ["executors", "random", "data", "model", "train"],
  cli: ["index.ts"],
};

const src = fileURLToPath(new URL("../src/", import.meta.url));
const files = (readdirSync(src, { recursive: true }) as string[]).filter((file) => file.endsWith(".ts"));

test("imports follow the layout of ARCHITECTURE.md", () => {
  const wrong: string[] = [];
  for (const file of files) {
    const [folder] = file.split("/") as [string];
    if (["index.ts", "graph_entry.ts", "errors.ts"].includes(file)) continue;
    assert.ok(ARROWS[folder], `src/${folder} has a line in ARROWS`);
    for (const [, specifier] of readFileSync(join(src, file), "utf8").matchAll(/from "(\.[^"]+)"/g)) {
      const target = normalize(join(dirname(file), specifier!)).replace(/\.js$/, ".ts");
      const place = target.includes("/") ? target.split("/")[0]! : target;
      if (place !== folder && place !== "errors.ts" && !ARROWS[folder]!.includes(place))
        wrong.push(`${file} imports ${target}`);
    }
  }
  assert.equal(wrong, []);
});

test("only tests of benchmarks import from bench; cases are in test/cases", () => {
  const root = fileURLToPath(new URL("./", import.meta.url));
  const tests = (readdirSync(root, { recursive: true }) as string[]).filter((file) => file.endsWith(".ts"));
  const wrong = tests.filter(
    (file) => !file.startsWith("bench/") && /from "[./]+\/bench\//.test(readFileSync(join(root, file), "utf8")),
  );
  assert.equal(wrong, []);
  const cases = tests.filter((file) => file.startsWith("cases/") && !file.endsWith(".test.ts"));
  for (const file of cases) {
    for (const [, specifier] of readFileSync(join(root, file), "utf8").matchAll(/from "(\.[^"]+)"/g)) {
      const target = normalize(join(dirname(`test/${file}`), specifier!));
      assert.ok(/^(src|test\/cases|test\/executors)\//.test(target), `test/${file} imports ${target}`);
    }
  }
});

test("only the command line prints and exits", () => {
  const prints = /\bconsole\.|process\.(stdout|stderr|exit)\b/;
  const wrong = files.filter((file) => !file.startsWith("cli/") && prints.test(readFileSync(join(src, file), "utf8")));
  assert.equal(wrong, []);
});

// For an instruction set that differs from another in its multiplications only, just these files are compiled
// (native/ops/registry.cc).
test("the products of native/sources.json are the ops that multiply matrices", () => {
  const root = new URL("../", import.meta.url);
  const text = (path: string) => readFileSync(new URL(path, root), "utf8");
  const { ops, products } = JSON.parse(text("native/sources.json")) as Record<"ops" | "products", string[]>;
  const multiplies = (path: string): boolean =>
    [...text(path).matchAll(/#include "(native\/ops\/[^"]+)"/g)].some(
      ([, header]) => /\/(gemm|tile)\.h$/.test(header!) || multiplies(header!),
    );
  assert.equal(ops.filter(multiplies), []);
  assert.equal(
    products.filter((path) => !multiplies(path)),
    ["native/ops/registry.cc"],
  );
});

/** For each folder of native, what it may include besides itself; the table "Layout" of ARCHITECTURE.md. */
const NATIVE_ARROWS: Readonly<Record<string, readonly string[]>> = {
  simd: ["core"],
  core: [],
  ops: ["core", "simd"],
  data: ["core"],
  train: ["core", "data"],
  serve: ["core", "data", "retrieve"],
  retrieve: ["core"],
  node: ["core", "data", "train", "serve", "retrieve", "napi.h"],
  capi: ["core", "serve", "shortlist"],
};

test("native includes follow the layout of ARCHITECTURE.md", () => {
  const native = fileURLToPath(new URL("../native/", import.meta.url));
  const folders = readdirSync(native, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.equal(
    folders.map(({ name }) => name).filter((name) => !(name in NATIVE_ARROWS)),
    ["include"],
  );
  const wrong: string[] = [];
  for (const [folder, mayInclude] of Object.entries(NATIVE_ARROWS)) {
    for (const file of readdirSync(join(native, folder))) {
      const text = readFileSync(join(native, folder, file), "utf8");
      for (const [, included] of text.matchAll(/#include [<"]((?:napi|node_api|native\/|shortlist\/)[^>"]*)[>"]/g)) {
        const place = included!.replace(/^native\//, "").split("/")[0]!;
        if (place !== folder && !mayInclude.includes(place))
          wrong.push(`native/${folder}/${file} includes ${included}`);
      }
    }
  }
  assert.equal(wrong, []);
});

test.run();
