import type { OpCase } from "./case.js";
import { type ScanSizes, scanCase } from "./scans.js";

const rank = (name: string, sizes: ScanSizes, extra: Partial<OpCase> = {}): OpCase =>
  scanCase("target_rank", name, sizes, { ...extra, tolerance: 0 });

export const cases: OpCase[] = [
  rank("no samples", { items: 3, width: 2, samples: 0 }),
  rank("one of one", { items: 1, width: 1, samples: 1, excluded: 0 }),
  rank("odd sizes, ties, exclusions", { items: 101, width: 3, samples: 13, skipRows: 1 }),
  rank("targets that are <unk>", { items: 3, width: 3, samples: 13, skipRows: 1 }),
  rank("no bias", { items: 67, width: 31, samples: 3, bias: false, skipRows: 1 }),
  rank("wide", { items: 517, width: 64, samples: 19, skipRows: 1 }),
  rank("typical", { items: 20_000, width: 31, samples: 16, skipRows: 1 }, { benchmark: true }),
];
