import type { OpCase } from "../case.js";
import { brokenScanCase, type ScanSizes, scanCase } from "../scans.js";

const rank = (name: string, sizes: ScanSizes, extra: Partial<OpCase> = {}): OpCase =>
  scanCase("target_rank", name, sizes, { ...extra, tolerance: 0 });

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
  brokenScanCase("target_rank", 4, { tolerance: 0 }),
  brokenScanCase("target_rank", 70, { tolerance: 0 }),
  rank("wide", { items: 517, width: 64, samples: 19, skipRows: 1 }),
  rank("typical", { items: 20_000, width: 31, samples: 16, skipRows: 1 }, { benchmark: true }),
];
