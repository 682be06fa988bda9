import { CaseValues, float32, int32, type OpCase } from "../case.js";

interface Sizes {
  items: number;
  width: number;
  samples: number;
  skipRows?: number;
  bias?: boolean;
  keepScores?: boolean;
  bf16?: boolean;
}

function softmax(name: string, sizes: Sizes, extra: Partial<OpCase> = {}): OpCase {
  const { items, width, samples, skipRows = 0, bias = true, keepScores = false, bf16 = false } = sizes;
  const values = new CaseValues(13);
  return {
    op: "softmax",
    name,
    operands: {
      user: values.normal([samples, width], 0.5),
      weight: values.normal([items, width], 0.5),
      ...(bias && { bias: values.normal([items]) }),
      target: values.ids([samples], items, skipRows),
    },
    attributes: { skip_rows: skipRows, keep_scores: keepScores, ...(bf16 && { precision: "bf16" }) },
    differentiate: ["user", "weight", ...(bias ? ["bias"] : [])],
    limits: { target: items },
    tolerance: bf16 ? 4096 : 32,
    ...(bf16 && { rounds: true }),
    ...extra,
  };
}

export const cases: OpCase[] = [
  softmax("no samples", { items: 3, width: 2, samples: 0 }),
  softmax("no columns", { items: 40, width: 0, samples: 2, skipRows: 1 }),
  softmax("no columns, bf16", { items: 40, width: 0, samples: 2, skipRows: 1, bf16: true }),
  softmax("one of one", { items: 1, width: 1, samples: 1 }, { magnitude: 1 }),
  softmax("odd sizes", { items: 41, width: 7, samples: 5 }),
  softmax("skips <unk>", { items: 13, width: 5, samples: 7, skipRows: 1 }),
  softmax("no bias", { items: 17, width: 3, samples: 4, bias: false }),
  softmax("many samples", { items: 200, width: 33, samples: 70, skipRows: 2 }),
  softmax("keeps scores", { items: 173, width: 12, samples: 67, skipRows: 1, keepScores: true }),
  softmax("keeps scores of few", { items: 80, width: 5, samples: 3, skipRows: 3, bias: false, keepScores: true }),
  softmax("keeps scores of no samples", { items: 3, width: 2, samples: 0, keepScores: true }),
  softmax("bf16", { items: 41, width: 7, samples: 5, skipRows: 1, bf16: true }),
  softmax("bf16, many samples", { items: 200, width: 33, samples: 70, skipRows: 2, bias: false, bf16: true }),
  softmax("bf16, keeps scores", { items: 173, width: 12, samples: 67, skipRows: 1, keepScores: true, bf16: true }),
  softmax("bf16, few samples", { items: 80, width: 16, samples: 3, bf16: true }),
  softmax("wide", { items: 67, width: 64, samples: 9, skipRows: 1 }),
  {
    op: "softmax",
    name: "large scores",
    operands: {
      user: float32([2, 1], [100, -100]),
      weight: float32([3, 1], [1, -1, 0.99]),
      target: int32([2], [2, 2]),
    },
    differentiate: ["user", "weight"],
    limits: { target: 3 },
    tolerance: 512,
  },
  softmax("typical", { items: 3000, width: 31, samples: 64, skipRows: 1 }, { benchmark: true }),
];
