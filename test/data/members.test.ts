import { createHash } from "node:crypto";
import { copyFile, cp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openDataset, prepareDataset } from "../../src/data/dataset.js";
import { readSafetensorsHeader } from "../../src/data/safetensors.js";
import { openModel } from "../../src/model/model.js";
import { succeed, temporaryFolder } from "../cli/run.js";
import { expectError, withoutIds } from "./temporary.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SMALL = ["--steps", "2", "--threads", "1", "--set", "lstmWidth=8", "userVectorWidth=8", "hiddenWidths=[8]"];

test.before(() => {
  succeed("simulate", "--output", folder, "--users", "60", "--items", "50");
  for (const [dataset, log] of [
    ["ds0", "train.tsv"],
    ["ds1", "test.tsv"],
  ] as const) {
    succeed("prepare", at(log), "--output", at(dataset), "--feature-appear-limit", "0");
  }
  for (const seed of ["0", "1"]) {
    succeed("train", at(`ds${seed}`), "--output", at(`m${seed}`), "--seed", seed, ...SMALL);
  }
});

async function check(name: string, description: string, safetensors: string): Promise<string> {
  const { id, members } = JSON.parse(await readFile(join(at(name), description), "utf8"));
  assert.is((await readSafetensorsHeader(join(at(name), safetensors))).metadata["id"], id);
  for (const [member, digest] of Object.entries(members)) {
    const bytes = await readFile(join(at(name), member));
    assert.is(digest, createHash("sha256").update(bytes).digest("hex"), member);
  }
  return id;
}

test("every member carries the id of the whole, which is the same for the same contents", async () => {
  const ids = [
    await check("m0", "config.json", "model.safetensors"),
    await check("m1", "config.json", "model.safetensors"),
  ];
  assert.is.not(ids[0], ids[1]);
  succeed("train", at("ds0"), "--output", at("again"), "--seed", "0", ...SMALL);
  assert.is(await check("again", "config.json", "model.safetensors"), ids[0]);
  assert.equal(await readFile(at("again/config.json")), await readFile(at("m0/config.json")));
  const dataset = await check("ds0", "dataset.json", "clicks.safetensors");
  await prepareDataset({ logs: [at("train.tsv")], output: at("ds-again"), featureAppearLimit: 0 });
  assert.is(await check("ds-again", "dataset.json", "clicks.safetensors"), dataset);
});

test("a folder of two models or datasets is refused, whichever member is the other's", async () => {
  for (const member of ["config.json", "program.json", "model.safetensors", "vocabulary/item.tsv"]) {
    await cp(at("m0"), at("mixed"), { recursive: true });
    await copyFile(join(at("m1"), member), join(at("mixed"), member));
    const same = (await readFile(join(at("m0"), member))).equals(await readFile(join(at("m1"), member)));
    if (!same) await expectError(openModel(at("mixed")), "ERR_MODEL", "belongs to another version of the folder");
    await rm(at("mixed"), { recursive: true });
  }
  for (const member of ["dataset.json", "clicks.safetensors", "vocabulary/user_id.tsv"]) {
    await cp(at("ds0"), at("mixed"), { recursive: true });
    await copyFile(join(at("ds1"), member), join(at("mixed"), member));
    const same = (await readFile(join(at("ds0"), member))).equals(await readFile(join(at("ds1"), member)));
    if (!same) await expectError(openDataset(at("mixed")), "ERR_DATASET", "belongs to another version of the folder");
    await rm(at("mixed"), { recursive: true });
  }
});

test("ids that are none are refused, and folders of older versions, which have none, open", async () => {
  await cp(at("m0"), at("odd"), { recursive: true });
  const description = JSON.parse(await readFile(at("odd/config.json"), "utf8"));
  for (const changes of [
    { id: "x" },
    { id: undefined },
    { members: undefined },
    { members: [] },
    { members: { a: 1 } },
  ]) {
    await writeFile(at("odd/config.json"), JSON.stringify({ ...description, ...changes }));
    await expectError(openModel(at("odd")), "ERR_MODEL", 'config.json: Expected "id" to be a sha256');
  }
  await withoutIds(at("odd/config.json"));
  (await openModel(at("odd"))).close();
  await withoutIds(at("ds-again/dataset.json"));
  await openDataset(at("ds-again"));
});

test("a reader waits while the folder is away between two renames", async () => {
  const hidden = at(".m0.partial-1-0123abcd");
  await rename(at("m0"), hidden);
  const opening = openModel(at("m0"));
  await new Promise((resolve) => setTimeout(resolve, 30));
  await rename(hidden, at("m0"));
  (await opening).close();
});

test.run();
