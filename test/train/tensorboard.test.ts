import { readdir, readFile, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { crc32c } from "../../src/data/crc32c.js";
import { train } from "../../src/index.js";
import { EventFile, recordOf } from "../../src/train/tensorboard.js";
import { run } from "../cli/run.js";
import { expectError, withFolder } from "../data/temporary.js";
import { SMALL, withSmallModel } from "../small_model.js";

test("the checksums are those of RFC 3720", () => {
  assert.is(crc32c(Buffer.from("123456789")), 0xe3069283);
  assert.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.is(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.is(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e);
  assert.is(crc32c(Uint8Array.from({ length: 32 }, (_, i) => 31 - i)), 0x113fdb5c);
  assert.is(crc32c(new Uint8Array()), 0);
});

/** Records that the RecordWriter of TensorBoard 2.21 wrote of these events at 1 700 000 000.25 s. */
const RECORDS = {
  version: "1800000000000000a37f4b220900001040fc54d9411a0d627261696e2e4576656e743a32338d2fe9",
  start: "0d000000000000003c37b8340900001040fc54d9413a0208018c8e54cd",
  scalars:
    "39000000000000008b0737f10900001040fc54d94110ac022a2b0a0b0a046c6f7373150000003f" +
    "0a1c0a1576616c69646174696f6e2f6e6463675f61745f313015cdcccc3dc43d6ac7",
  text:
    "3700000000000000e7e8ca590900001040fc54d94110072a2a0a280a0d636f6e66696775726174696f6e" +
    "420d080712041202080142032a612a4a080a060a047465787476aa71cd",
};

test("an event file has the bytes that TensorBoard's own writer writes", async () => {
  await withFolder(async (folder) => {
    const file = await EventFile.open(join(folder, "new", "run"), 0, () => 1_700_000_000_250);
    file.addScalars(300, { loss: 0.5, "validation/ndcg_at_10": 0.1 });
    file.addText(7, "configuration", "*a*");
    await file.close();
    const [name, ...others] = await readdir(join(folder, "new", "run"));
    assert.equal(others, []);
    assert.ok(name!.startsWith(`events.out.tfevents.1700000000.${hostname()}.${process.pid}.`));
    const bytes = await readFile(join(folder, "new", "run", name!));
    assert.is(bytes.toString("hex"), Object.values(RECORDS).join(""));
  });
});

/** The data of the records of a file, whose checksums must be right. */
function recordsOf(file: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    const data = file.subarray(at + 12, at + 12 + length);
    assert.is(file.subarray(at, at + 16 + length).toString("hex"), Buffer.from(recordOf(data)).toString("hex"));
    records.push(data);
    at += 16 + length;
  }
  return records;
}

/** The step of an event: the varint after the nine bytes of its time, if it is that field. */
function stepOf(event: Buffer): number {
  let step = 0;
  if (event[9] !== 0x10) return step;
  for (let i = 10, shift = 0; ; i++, shift += 7) {
    step += (event[i]! & 0x7f) * 2 ** shift;
    if (event[i]! < 0x80) return step;
  }
}

test("train writes the steps, the epochs and the evaluation on the test log", async () => {
  await withSmallModel(async (at) => {
    const report = await train({
      ...{ dataset: at("dataset"), output: at("model"), set: [...SMALL, "epochs=2"], threads: 1 },
      ...{ tensorboard: at("events"), validation: { heldOut: "last-clicks" }, testLog: at("log.tsv") },
    });
    const [name] = await readdir(at("events"));
    const events = recordsOf(await readFile(join(at("events"), name!)));
    const withTag = (tag: string) => events.filter((event) => event.includes(tag)).map(stepOf);
    const all = Array.from({ length: report.steps }, (_, i) => i + 1);
    assert.equal(withTag("learning_rate"), all);
    assert.equal(withTag("epoch/loss"), [report.steps / 2, report.steps]);
    assert.equal(withTag("validation/ndcg_at_10"), [report.steps / 2, report.steps]);
    assert.equal(withTag("validation_popularity/hit_rate_at_10"), [report.steps / 2, report.steps]);
    assert.equal(withTag("test_transitions/mrr"), [report.steps]);
    assert.equal(withTag("| lstmWidth | 8 |"), [0]);
  });
});

test("a later run begins a new file, and says from which step on it counts", async () => {
  await withFolder(async (folder) => {
    for (const step of [0, 299]) await (await EventFile.open(folder, step, () => 1_700_000_000_250)).close();
    const names = (await readdir(folder)).sort();
    assert.is(names.length, 2);
    const second = recordsOf(await readFile(join(folder, names[1]!)));
    assert.equal(second.map(stepOf), [0, 300]);
    assert.is(second[1]!.subarray(-4).toString("hex"), "3a020801");
  });
});

test("a folder that cannot be written is refused before training", async () => {
  await withSmallModel(async (at) => {
    await writeFile(at("file"), "");
    const options = { dataset: at("dataset"), output: at("other"), set: SMALL, steps: 2, threads: 1 };
    await expectError(train({ ...options, tensorboard: join(at("file"), "events") }), "ERR_FILE", "Cannot write");
    await expectError(train({ ...options, tensorboard: "" }), "ERR_OPTION", "tensorboard");
    const { status, stderr } = run([
      ...["train", at("dataset"), "--output", at("other"), "--steps", "2", "--threads", "1", "--no-test"],
      ...["--tensorboard", join(at("file"), "events"), "--set", ...SMALL],
    ]);
    assert.is(status, 1, stderr);
    assert.match(stderr, "Cannot write");
    assert.equal((await readdir(at("."))).includes("other"), false);
  });
});

test.run();
