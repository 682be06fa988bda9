import { test } from "uvu";
import { createNativeEngine } from "../../src/executors/native.js";
import { createReferenceEngine } from "../../src/executors/reference.js";
import { OPS } from "../../src/ops/index.js";
import { float32, int32, type OpCase } from "../cases/case.js";
import { cases } from "../cases/ops/embedding_bag.js";
import { assertNumbers, checkCases, checkRefused, evaluate } from "./harness.js";

checkCases(cases);

const table = float32([4, 1], [1, 10, 100, 1000]);

test("means over ranges of ids, and over all ids of ranges of groups", async () => {
  const ids = int32([4], [0, 1, 3, 3]);
  const ranges = { start: int32([3], [0, 1, 2]), end: int32([3], [2, 4, 2]) };
  const plain = await evaluate({ op: "embedding_bag", operands: { table, ids, ...ranges } });
  assertNumbers(plain.outputs["result"]!, [5.5, 2010 / 3, 0]);
  const offsets = int32([5], [0, 0, 1, 3, 4]);
  const grouped = await evaluate({ op: "embedding_bag", operands: { table, ids, offsets, ...ranges } });
  assertNumbers(grouped.outputs["result"]!, [1, 2011 / 4, 0]);
});

const badRanges: Record<string, OpCase["operands"]> = {
  "a range that ends before it starts": { start: int32([1], [2]), end: int32([1], [1]) },
  "offsets that fall": { start: int32([1], [0]), end: int32([1], [2]), offsets: int32([3], [0, 3, 2]) },
  "offsets that do not start at 0": { start: int32([1], [0]), end: int32([1], [2]), offsets: int32([3], [1, 1, 2]) },
  "offsets that end early": { start: int32([1], [0]), end: int32([1], [2]), offsets: int32([3], [0, 1, 1]) },
};
for (const [name, operands] of Object.entries(badRanges)) {
  test(`${name} are refused by both engines`, async () => {
    const opCase = { op: "embedding_bag", name, operands: { table, ids: int32([2], [0, 1]), ...operands } };
    await checkRefused(createReferenceEngine({ ops: OPS }), opCase);
    await checkRefused(createNativeEngine({ threads: 1 }), opCase);
  });
}

test.run();
