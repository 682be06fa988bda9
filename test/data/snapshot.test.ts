import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readSafetensors, type TensorData } from "../../src/data/safetensors.js";
import { openSnapshot, Snapshot, type TensorToCopy } from "../../src/data/snapshot.js";
import { checksum } from "../../src/platform/files.js";
import { temporaryFolder } from "../cli/run.js";
import { expectError } from "./temporary.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

/** Tensors of all dtypes whose bytes end within pieces and blocks; the first one is longer than a piece. */
function tensorsOf(values: readonly TensorData[]): TensorToCopy[] {
  return values.map((held, i) => ({
    name: `tensor.${i}`,
    dtype: held instanceof Float32Array ? "float32" : held instanceof Int32Array ? "int32" : "uint32",
    shape: [held.length],
    readInto: (target, offset) => target.set(held.subarray(offset, offset + target.length)),
  }));
}

function valuesOf(): TensorData[] {
  const many = Float32Array.from({ length: 2 ** 21 + 12_345 }, (_, i) => Math.sin(i));
  return [many, Int32Array.of(-1, 7), new Uint32Array(1000).fill(9), new Float32Array(0), Float32Array.of(Number.NaN)];
}

test("a snapshot has the values of the moment in which it was taken, whether it is a copy or not", async () => {
  const values = valuesOf();
  const expected = values.map((held) => held.slice());
  for (const [name, available] of Object.entries({ copied: 1e9, direct: 1e6 })) {
    const snapshot = new Snapshot(tensorsOf(values), available);
    assert.is(snapshot.isCopy, name === "copied");
    snapshot.take();
    if (snapshot.isCopy) for (const held of values) held.fill(5);
    await snapshot.write(at(name), { about: "it" });
    for (const [i, held] of values.entries()) held.set(expected[i] as Float32Array);
    const { tensors, metadata } = await readSafetensors(at(name));
    assert.is(metadata["about"], "it");
    for (const [i, held] of expected.entries()) {
      const { data } = tensors.get(`tensor.${i}`)!;
      assert.is(data.constructor, held.constructor);
      assert.ok(Buffer.from(data.buffer).equals(Buffer.from(held.buffer)), `${name} ${i}`);
    }
  }
  assert.ok((await readFile(at("copied"))).equals(await readFile(at("direct"))));
});

test("its memory is used again, and its file can be opened and read in parts", async () => {
  const values = valuesOf();
  const snapshot = new Snapshot(tensorsOf(values));
  for (const round of [1, 2]) {
    (values[0] as Float32Array).fill(round);
    snapshot.take();
    await snapshot.write(at("again"), { round: `${round}`, text: "x".repeat(5000 * round) });
    const { metadata, tensors, close } = await openSnapshot(at("again"), "ERR_CHECKPOINT");
    assert.is(metadata["round"], `${round}`);
    assert.equal(tensors[0]!.read(2 ** 21, 3), new Float32Array(3).fill(round));
    assert.equal(tensors[1]!.read(1, 1), Int32Array.of(7));
    close();
  }
});

test("every byte of the file counts", async () => {
  const snapshot = new Snapshot(tensorsOf([Float32Array.of(1, 2, 3), Int32Array.of(4)]));
  snapshot.take();
  await snapshot.write(at("whole"), { text: '"checksum":"0123456789abcdef"' });
  (await openSnapshot(at("whole"), "ERR_CHECKPOINT")).close();
  const bytes = await readFile(at("whole"));
  for (let byte = 0; byte < bytes.length; byte += byte < 600 || byte > bytes.length - 20 ? 1 : 97) {
    const changed = Buffer.from(bytes);
    changed[byte]! ^= 4;
    await writeFile(at("changed"), changed);
    await expectError(
      openSnapshot(at("changed"), "ERR_CHECKPOINT").then(({ close }) => close()),
      "ERR_CHECKPOINT",
      "changed",
    );
  }
});

test("checksums are those of XXH64", () => {
  const bytes = (text: string) => new Uint8Array(Buffer.from(text));
  assert.is(checksum(bytes(""), 0n), 0xef46db3751d8e999n);
  assert.is(checksum(bytes("abc"), 0n), 0x44bc2cf5ad770999n);
  assert.is(checksum(bytes(`${"abcdefgh".repeat(5)}xyz1234`), 7n), 0x446b8a8c9d39387bn);
});

test.run();
