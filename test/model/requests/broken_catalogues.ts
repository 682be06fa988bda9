import { cp } from "node:fs/promises";
import { join } from "node:path";
import { readSafetensors, type TensorToWrite, writeSafetensors } from "../../../src/data/safetensors.js";
import { withoutIds } from "../../data/temporary.js";

type Change = (tensors: Map<string, TensorToWrite>) => void;

/** Copies a model of `makeRichModel` to another folder, with other tensors. */
export async function copyWithTensors(model: string, copy: string, change: Change): Promise<void> {
  await cp(model, copy, { recursive: true });
  const file = join(copy, "model.safetensors");
  const { tensors } = await readSafetensors(file);
  const kept = new Map(
    [...tensors].map(([name, { dtype, shape, data }]) => [name, { name, dtype, shape, data }] as const),
  );
  change(kept);
  await writeSafetensors(file, [...kept.values()]);
  await withoutIds(join(copy, "config.json"));
}

const list = (name: string, values: Int32Array | Float32Array): TensorToWrite => ({
  name,
  dtype: values instanceof Int32Array ? "int32" : "float32",
  shape: [values.length],
  data: values,
});

/** Attributes that do not fit a model of `makeRichModel`, with what both readers say of them. */
export const BROKEN_CATALOGUES: readonly (readonly [message: string, change: Change])[] = [
  ['There is no tensor "catalogue.tags"', (tensors) => tensors.delete("catalogue.tags")],
  ['There is no tensor "catalogue.tags_offsets"', (tensors) => tensors.delete("catalogue.tags_offsets")],
  ...(
    [
      ['Expected "catalogue.category" to be 41 ids below 6', "category", new Int32Array(41).fill(6)],
      ['Expected "catalogue.category" to be 41 ids below 6', "category", new Int32Array(41).fill(-1)],
      ['Expected "catalogue.category" to be 41 ids below 6', "category", new Int32Array(40)],
      ['Expected "catalogue.tags_offsets" to be 42 rising offsets from 0', "tags_offsets", new Int32Array(42).fill(1)],
      ['Expected "catalogue.tags_offsets" to be 42 rising offsets from 0', "tags_offsets", new Int32Array(41)],
      ['Expected "catalogue.tags" to be 0 ids below 7', "tags_offsets", new Int32Array(42)],
      ['Expected "catalogue.category" to be a list of int32', "category", new Float32Array(41)],
    ] as const
  ).map(([message, name, values]): readonly [string, Change] => {
    return [message, (tensors) => tensors.set(`catalogue.${name}`, list(`catalogue.${name}`, values))];
  }),
];
