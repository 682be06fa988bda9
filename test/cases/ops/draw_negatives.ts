import { aliasTable } from "../../../src/random/alias_table.js";
import { CaseValues, int32, type OpCase, uint32 } from "../case.js";

interface Sizes {
  items: number;
  samples: number;
  draws: number;
  shared?: boolean;
  seed?: number;
  step?: number;
}

function draw(name: string, sizes: Sizes, extra: Partial<OpCase> = {}): OpCase {
  const { items, samples, draws, shared = false, seed = 42, step = 7 } = sizes;
  const values = new CaseValues(10);
  const { threshold, alias } = aliasTable(values.uniform([items], 0.1, 5).values);
  return {
    op: "draw_negatives",
    name,
    operands: {
      threshold: uint32([items], threshold),
      alias: int32([items], alias),
      target: values.ids([samples], items),
      seed: uint32([], [seed]),
      step: uint32([], [step]),
    },
    attributes: { draws, shared },
    limits: { alias: items },
    ...extra,
  };
}

export const cases: OpCase[] = [
  draw("no samples", { items: 3, samples: 0, draws: 2 }),
  draw("one item", { items: 1, samples: 3, draws: 1 }),
  draw("odd draws", { items: 31, samples: 13, draws: 5 }),
  draw("even draws", { items: 257, samples: 7, draws: 8 }),
  draw("several chunks", { items: 101, samples: 401, draws: 5 }),
  draw("shared in several chunks", { items: 101, samples: 2, draws: 2051, shared: true }),
  draw("shared", { items: 31, samples: 13, draws: 7, shared: true }),
  draw("largest seed and step", { items: 101, samples: 5, draws: 3, seed: 0xffffffff, step: 0xffffffff }),
  draw("largest seed and step, many items", {
    items: 100_003,
    samples: 5,
    draws: 3,
    seed: 0xffffffff,
    step: 0xffffffff,
  }),
  draw("typical", { items: 20_000, samples: 256, draws: 25 }, { benchmark: true }),
];
