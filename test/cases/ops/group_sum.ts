import { CaseValues, int32, type OpCase, offsetsOf } from "../case.js";

function groupSum(name: string, groups: readonly number[], width: number, extra: Partial<OpCase> = {}): OpCase {
  const offsets = offsetsOf(groups);
  return {
    op: "group_sum",
    name,
    operands: {
      input: new CaseValues(34).normal([offsets.at(-1)!, width]),
      offsets: int32([offsets.length], offsets),
    },
    tolerance: 16 + Math.max(0, ...groups) / 4,
    ...extra,
  };
}

export const cases: OpCase[] = [
  groupSum("no groups", [], 3),
  groupSum("groups without rows", [0, 0], 5),
  groupSum("one row a group", [1, 1, 1], 17),
  groupSum("odd sizes", [3, 0, 1, 12, 5], 13),
  groupSum("one long group", [700], 70),
  groupSum(
    "many groups",
    Array.from({ length: 150 }, (_, g) => g % 7),
    65,
  ),
  groupSum(
    "typical",
    Array.from({ length: 370 }, () => 11),
    256,
    { benchmark: true },
  ),
];
