import { CaseValues, float32, int32, type OpCase } from "../case.js";

interface Sizes {
  items: number;
  width: number;
  samples: number;
  skipRows?: number;
  bias?: boolean;
  keepScores?: boolean;
}

function softmax(name: string, sizes: Sizes, extra: Partial<OpCase> = {}): OpCase {
  const { items, width, samples, skipRows = 0, bias = true, keepScores = false } = sizes;
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
    attributes: { skip_rows: skipRows, keep_scores: keepScores },
    differentiate: ["user", "weight", ...(bias ? ["bias"] : [])],
    limits: { target: items },
    tolerance: 32,
    ...extra,
  };
}

export const cases: OpCase[] = [
  softmax("no samples", { items: 3, width: 2, samples: 0 }),
  softmax("one of one", { items: 1, width: 1, samples: 1 }, { magnitude: 1 }),
  softmax("odd sizes", { items: 41, width: 7, samples: 5 }),
  softmax("skips <unk>", { items: 13, width: 5, samples: 7, skipRows: 1 }),
  softmax("no bias", { items: 17, width: 3, samples: 4, bias: false }),
  softmax("many samples", { items: 200, width: 33, samples: 70, skipRows: 2 }),
  softmax("keeps scores", { items: 173, width: 12, samples: 67, skipRows: 1, keepScores: true }),
  softmax("keeps scores of few", { items: 80, width: 5, samples: 3, skipRows: 3, bias: false, keepScores: true }),
  softmax("keeps scores of no samples", { items: 3, width: 2, samples: 0, keepScores: true }),
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
