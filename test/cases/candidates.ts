import { CaseValues, float32, int32, type OpCase } from "./case.js";

interface Sizes {
  items: number;
  width: number;
  samples: number;
  draws: number;
  shared?: boolean;
  bias?: boolean;
}

const BF16: Partial<OpCase> = { attributes: { precision: "bf16" }, rounds: true, tolerance: 4096 };

/** The cases of a loss over a target and its draws: `nce`, `paddle_nce` or `sampled_softmax`. */
export function candidateCases(op: string): OpCase[] {
  const loss = (name: string, sizes: Sizes, extra: Partial<OpCase> = {}): OpCase => {
    const { items, width, samples, draws, shared = false, bias = true } = sizes;
    const values = new CaseValues(11);
    const counts = [...values.uniform([items], 0.5, 2).values];
    const total = counts.reduce((a, b) => a + b, 0);
    return {
      op,
      name,
      operands: {
        user: values.normal([samples, width], 0.5),
        weight: values.normal([items, width], 0.5),
        ...(bias && { bias: values.normal([items]) }),
        target: values.ids([samples], items),
        negatives: values.ids(shared ? [draws] : [samples, draws], items),
        log_noise: float32(
          [items],
          counts.map((count) => Math.log(count / total)),
        ),
      },
      differentiate: ["user", "weight", ...(bias ? ["bias"] : [])],
      limits: { target: items, negatives: items },
      tolerance: 32,
      ...extra,
    };
  };
  const values = new CaseValues(12);
  return [
    loss("no samples", { items: 3, width: 2, samples: 0, draws: 2 }),
    loss("one of one", { items: 1, width: 1, samples: 1, draws: 1 }),
    loss("odd sizes", { items: 11, width: 7, samples: 13, draws: 5 }),
    loss("no bias", { items: 11, width: 5, samples: 3, draws: 4, bias: false }),
    loss("shared draws", { items: 13, width: 7, samples: 5, draws: 6, shared: true }),
    loss("shared draws, no bias", { items: 13, width: 8, samples: 5, draws: 17, shared: true, bias: false }),
    loss("the network's user vector", { items: 37, width: 31, samples: 19, draws: 25 }),
    loss("odd width, many draws", { items: 29, width: 100, samples: 50, draws: 37 }),
    loss("odd width, many shared draws", { items: 29, width: 100, samples: 50, draws: 37, shared: true }),
    loss("bf16, shared draws", { items: 13, width: 7, samples: 5, draws: 6, shared: true }, BF16),
    loss("bf16, many shared draws", { items: 29, width: 100, samples: 50, draws: 37, shared: true, bias: false }, BF16),
    loss(
      "bf16 rounds nothing of own draws",
      { items: 11, width: 7, samples: 13, draws: 5 },
      { ...BF16, tolerance: 32 },
    ),
    loss("a column more than whole vectors", { items: 11, width: 33, samples: 3, draws: 16 }),
    loss("wide", { items: 37, width: 64, samples: 5, draws: 8 }),
    {
      op,
      name: "draws equal to the target and to one another",
      operands: {
        user: values.normal([3, 4]),
        weight: values.normal([5, 4]),
        bias: values.normal([5]),
        target: int32([3], [2, 2, 0]),
        negatives: int32([3, 4], [2, 1, 1, 3, 2, 2, 2, 2, 4, 4, 4, 4]),
        log_noise: float32([5], Array(5).fill(Math.log(0.2))),
      },
      differentiate: ["user", "weight", "bias"],
      limits: { target: 5, negatives: 5 },
      tolerance: 32,
    },
    {
      op,
      name: "large scores",
      operands: {
        user: float32([2, 1], [30, -30]),
        weight: float32([3, 1], [1, -1, 0.5]),
        target: int32([2], [0, 0]),
        negatives: int32([2, 2], [1, 2, 1, 2]),
        log_noise: float32([3], Array(3).fill(Math.log(1 / 3))),
      },
      differentiate: ["user", "weight"],
      limits: { target: 3, negatives: 3 },
      tolerance: 32,
    },
    loss("typical", { items: 20_000, width: 31, samples: 256, draws: 25 }, { benchmark: true }),
    loss(
      "typical, shared draws",
      { items: 20_000, width: 31, samples: 256, draws: 100, shared: true },
      { benchmark: true },
    ),
  ];
}
