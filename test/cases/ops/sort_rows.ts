import { type CaseTensor, CaseValues, int32, type OpCase } from "../case.js";

const sort = (name: string, ids: readonly CaseTensor[], extra: Partial<OpCase> = {}): OpCase => ({
  op: "sort_rows",
  name,
  operands: { ids },
  ...extra,
});

const values = new CaseValues(17);

export const cases: OpCase[] = [
  sort("no ids", [int32([0], [])]),
  sort("one id", [int32([1], [5])]),
  sort("all equal", [int32([7], Array(7).fill(3))]),
  sort("falling", [int32([5], [9, 7, 5, 3, 1])]),
  sort("a list, one of it empty, one a matrix", [
    values.ids([11], 7),
    int32([0], []),
    values.ids([5, 3], 7),
    values.ids([4], 1000),
  ]),
  sort("large ids", [int32([5], [2 ** 31 - 1, 0, 2 ** 24, 2 ** 31 - 1, 65536])]),
  sort("odd size", [values.ids([1009], 257)]),
  sort("several chunks, one digit", [values.ids([9001], 50)]),
  sort("several chunks, two digits", [values.ids([5000], 100_000), values.ids([4099, 2], 3000)]),
  sort("several chunks, three digits", [values.ids([9001], 2 ** 31 - 1)]),
  sort("one id in several chunks", [values.ids([9001], 70_001, 70_000)]),
  sort("long runs over chunks", [
    int32(
      [12_300],
      Array.from({ length: 12_300 }, (_, i) => (i % 3 === 0 ? 5 : 2 ** 20)),
    ),
  ]),
  sort("more ids than chunks of the least size hold", [values.ids([70_001], 4000)]),
  sort("84,000 ids of 1 M", [values.ids([84_000], 1_000_000)], { benchmark: true }),
  sort("typical", [values.ids([256], 20_000), values.ids([256, 25], 20_000)], { benchmark: true }),
];
