import { CaseValues, float32, type OpCase } from "../case.js";
import { type ScanSizes, scanCase } from "../scans.js";

const rank = (name: string, sizes: ScanSizes, extra: Partial<OpCase> = {}): OpCase =>
  scanCase("target_rank", name, sizes, { ...extra, tolerance: 0 });

/**
 * Weights that are NaN or infinite. A target whose score is not finite is a miss; another item whose score is NaN
 * counts as higher.
 */
function broken(samples: number): OpCase {
  const items = 200;
  const values = new CaseValues(26);
  const { operands, ...rest } = rank(`${samples} samples, scores that are not finite`, { items, width: 1, samples });
  const weight = values.halves([items, 1]).values.map((value, i) => {
    if (i % 3 !== 0) return value;
    return i % 2 === 0 ? Number.NaN : i % 9 === 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  });
  return {
    ...rest,
    operands: { ...operands, weight: float32([items, 1], weight), user: float32([samples, 1], Array(samples).fill(1)) },
  };
}

export const cases: OpCase[] = [
  rank("no samples", { items: 3, width: 2, samples: 0 }),
  rank("no columns", { items: 40, width: 0, samples: 2 }),
  rank("one of one", { items: 1, width: 1, samples: 1, excluded: 0 }),
  rank("odd sizes, ties, exclusions", { items: 101, width: 3, samples: 13, skipRows: 1 }),
  rank("targets that are <unk>", { items: 3, width: 3, samples: 13, skipRows: 1 }),
  rank("no bias", { items: 67, width: 31, samples: 3, bias: false, skipRows: 1 }),
  rank("one sample", { items: 90, width: 16, samples: 1, skipRows: 1 }),
  rank("two samples, wide", { items: 90, width: 300, samples: 2, skipRows: 1 }),
  rank("four samples of width 1", { items: 90, width: 1, samples: 4, skipRows: 1 }),
  rank("many samples", { items: 200, width: 33, samples: 70, skipRows: 1, excluded: 180 }),
  broken(4),
  broken(70),
  rank("wide", { items: 517, width: 64, samples: 19, skipRows: 1 }),
  rank("typical", { items: 20_000, width: 31, samples: 16, skipRows: 1 }, { benchmark: true }),
];
