import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Instruction, TensorSpec } from "../../src/graph/program.js";
import { openModel } from "../../src/model/model.js";
import { withFolder } from "../data/temporary.js";

const MODEL = fileURLToPath(new URL("../fuzz/corpus/models/lstm/", import.meta.url));

type Changing = { tensors: TensorSpec[]; instructions: Instruction[] };

/** Returns the error of opening the model after a change of its Program. It must be the same with both engines. */
async function opened(change: (program: Changing) => void): Promise<string> {
  const said: string[] = [];
  await withFolder(async (parent) => {
    const folder = join(parent, "model");
    await cp(MODEL, folder, { recursive: true });
    const path = join(folder, "program.json");
    const program = JSON.parse(await readFile(path, "utf8")) as Changing;
    change(program);
    await writeFile(path, JSON.stringify(program));
    for (const executor of ["native", "reference"] as const) {
      try {
        (await openModel(folder, { executor, threads: 1 })).close();
        said.push("no error");
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        said.push(`${code}: ${message.replace(path, "program.json")}`);
      }
    }
  });
  assert.is(said[0], said[1]);
  return said[0]!;
}

const made = (name: string, dtype: TensorSpec["dtype"], shape: TensorSpec["shape"]): TensorSpec => {
  return { name, dtype, shape, role: "temporary" };
};

test("an unchanged model opens", async () => {
  assert.is(await opened(() => {}), "no error");
});

test("a Program with an index that is not proven to be in bounds is refused when the model is opened", async () => {
  const look = (ids: string): Instruction => {
    return {
      op: "embedding_lookup",
      inputs: { table: "embedding.user_id", ids },
      outputs: { output: "found" },
      attributes: {},
    };
  };
  assert.is(
    await opened(({ tensors, instructions }) => {
      tensors.push(made("numbered", "int32", ["samples"]), made("found", "float32", ["samples", 64]));
      const attributes = { first: 2_000_000_000 };
      instructions.push({
        op: "row_numbers",
        inputs: { like: "user_id" },
        outputs: { output: "numbered" },
        attributes,
      });
      instructions.push(look("numbered"));
    }),
    "ERR_MODEL: program.json: [embedding_lookup] Expected ids of 0 to 24 in numbered but it will hold ids of 2000000000 to 2000000000 (instruction 16)",
  );
  assert.is(
    await opened(({ tensors, instructions }) => {
      tensors.push(made("found", "float32", ["samples", 64]));
      instructions.push(look("log_partition"));
    }),
    "ERR_MODEL: program.json: [embedding_lookup] Expected ids of int32 but received log_partition of float32 (instruction 15)",
  );
});

test("outputs with other shapes or dtypes than commands expect are refused", async () => {
  assert.is(
    await opened(({ tensors }) => {
      const at = tensors.findIndex(({ name }) => name === "user_vector");
      tensors[at] = { ...tensors[at]!, shape: ["samples", 5] };
    }),
    'ERR_MODEL: program.json: Expected output "user_vector" of float32 [samples, 4] but received float32 [samples, 5]',
  );
  assert.match(
    await opened(({ instructions }) => {
      const at = instructions.findIndex(({ op }) => op === "top_n");
      const { inputs, ...rest } = instructions[at]!;
      instructions[at] = { ...rest, inputs: { ...inputs, weight: "embedding.user_id" } };
    }),
    /^ERR_MODEL: program.json: Expected items to be rows of a table of 10, the vocabulary's, but top_n scans 25/,
  );
});

test.run();
