import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import {
  readSafetensors,
  readSafetensorsHeader,
  type TensorToWrite,
  writeSafetensors,
} from "../../src/data/safetensors.js";
import { expectError, failureOf, withFolder } from "./temporary.js";

const TENSORS: readonly TensorToWrite[] = [
  { name: "b", dtype: "float32", shape: [2, 3], data: Float32Array.of(1, -2, 3.5, Number.NaN, -0, 1e-40) },
  { name: "a", dtype: "int32", shape: [0], data: new Int32Array(0) },
  { name: "ü", dtype: "uint32", shape: [], data: Uint32Array.of(0xffffffff) },
  { name: "d", dtype: "float64", shape: [2], data: Float64Array.of(1650615878629.125, Number.NaN) },
];

test("is read back as it was written, from the bytes that the format asks for", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "x.safetensors");
    await writeSafetensors(path, TENSORS, { made_by: "test" });
    const bytes = await readFile(path);
    const length = Number(bytes.readBigUInt64LE());
    assert.is((8 + length) % 8, 0);
    assert.is(
      bytes.toString("utf8", 8, 8 + length).trimEnd(),
      '{"b":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},"a":{"dtype":"I32","shape":[0],"data_offsets":[24,24]},"ü":{"dtype":"U32","shape":[],"data_offsets":[24,28]},"d":{"dtype":"F64","shape":[2],"data_offsets":[28,44]},"__metadata__":{"made_by":"test"}}',
    );
    assert.is(bytes.length, 8 + length + 44);
    const { tensors, metadata } = await readSafetensors(path);
    assert.equal(metadata, { made_by: "test" });
    assert.equal([...tensors.keys()], ["b", "a", "ü", "d"]);
    for (const { name, dtype, shape, data } of TENSORS) {
      const tensor = tensors.get(name)!;
      assert.equal([tensor.dtype, tensor.shape], [dtype, shape]);
      assert.is(tensor.data.constructor, data.constructor);
      const [received, expected] = [tensor.data, data as Float32Array].map(({ buffer }) => Buffer.from(buffer));
      assert.equal(received, expected, "bit for bit");
    }
    const { entries } = await readSafetensorsHeader(path);
    assert.equal(entries[2], { name: "ü", dtype: "uint32", shape: [], position: 8 + length + 24, bytes: 4 });
    await writeSafetensors(join(folder, "y.safetensors"), TENSORS, { made_by: "test" });
    assert.equal(await readFile(join(folder, "y.safetensors")), bytes);
  });
});

test("a tensor may come in chunks, and views of larger memory are written as what they show", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "x.safetensors");
    const memory = Float32Array.of(9, 1, 2, 3, 9);
    async function* chunks() {
      yield memory.subarray(1, 3);
      yield memory.subarray(3, 4);
    }
    await writeSafetensors(path, [{ name: "a", dtype: "float32", shape: [3], data: chunks }]);
    assert.equal((await readSafetensors(path)).tensors.get("a")!.data, Float32Array.of(1, 2, 3));
  });
});

test("a failed write leaves the old file and nothing else", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "x.safetensors");
    await writeSafetensors(path, TENSORS);
    const before = await readFile(path);
    const data = Float32Array.of(1, 2);
    await expectError(
      writeSafetensors(path, [{ name: "a", dtype: "float32", shape: [3], data }]),
      "ERR_FILE",
      /expected 3 elements for tensor "a" \[3\] but received 2/,
    );
    await expectError(
      writeSafetensors(path, [{ name: "a", dtype: "int32", shape: [2], data }]),
      "ERR_FILE",
      /"a" is not int32/,
    );
    await expectError(writeSafetensors(path, [TENSORS[0]!, TENSORS[0]!]), "ERR_FILE", /"b" is there twice/);
    const failing = () => {
      throw new RangeError("mine");
    };
    const work = writeSafetensors(path, [{ name: "a", dtype: "float32", shape: [1], data: failing }]);
    assert.is((await failureOf(work)).message, "mine");
    const deep = join(folder, "new", "deep", "x.safetensors");
    await expectError(writeSafetensors(deep, [{ name: "a", dtype: "int32", shape: [2], data }]), "ERR_FILE", deep);
    assert.equal(await readdir(folder), ["x.safetensors"]);
    assert.equal(await readFile(path), before);
  });
});

test("a file that is not whole is refused by name", async () => {
  await withFolder(async (folder) => {
    const path = join(folder, "x.safetensors");
    const refuse = (message: string) => expectError(readSafetensors(path, "ERR_MODEL"), "ERR_MODEL", message);
    const write = (header: unknown, dataBytes: number) => {
      const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
      const start = Buffer.alloc(8);
      start.writeBigUInt64LE(BigInt(json.length));
      return writeFile(path, Buffer.concat([start, json, Buffer.alloc(dataBytes)]));
    };
    await refuse(`Cannot read ${path}: it does not exist`);
    await writeSafetensors(path, TENSORS);
    const size = (await readFile(path)).length;
    for (let cut = 0; cut < size; cut += 3) {
      await writeSafetensors(path, TENSORS);
      await truncate(path, cut);
      await refuse("cut short");
    }
    await writeFile(path, Buffer.alloc(16, 0xff));
    await refuse("not a safetensors file");
    await write("[1]", 0);
    await refuse("its header is not a JSON object");
    await write('{"a":', 0);
    await refuse("header: Expected JSON but");
    const f32 = (shape: unknown, data_offsets: unknown, dtype = "F32") => ({ dtype, shape, data_offsets });
    await write({ a: f32([1], [0, 4], "F17") }, 4);
    await refuse('expected a dtype of the format, such as F32, for tensor "a" but received "F17"');
    await write({ a: 3 }, 4);
    await refuse("but received undefined");
    await write({ a: f32([-1], [0, 4]) }, 4);
    await refuse('shape of tensor "a" is not a list of whole numbers');
    await write({ a: f32([1], [0, 4, 8]) }, 4);
    await refuse('data_offsets of tensor "a" is not a pair');
    await write({ a: f32([2], [0, 4]) }, 4);
    await refuse('tensor "a" [2] needs 8 bytes but has the range 0 to 4');
    await write({ a: f32([2], [0, 8]), b: f32([1], [4, 8]) }, 8);
    await refuse('tensor "b" overlaps the one before it');
    await write({ a: f32([1], [0, 4]), b: f32([1], [8, 12]) }, 12);
    await refuse('tensor "b" leaves a gap before it');
    await write({ a: f32([1], [0, 4]) }, 8);
    await refuse("it goes on after them");
    await write({ __metadata__: { a: 1 } }, 0);
    await refuse('"__metadata__" of its header is not an object of strings');
  });
});

test.run();
