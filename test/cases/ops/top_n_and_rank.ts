import type { OpCase } from "../case.js";
import { brokenScanCase, type ScanSizes, scanCase } from "../scans.js";

const best = (name: string, sizes: ScanSizes, top: number, extra: Partial<OpCase> = {}): OpCase =>
  scanCase("top_n_and_rank", name, sizes, { ...extra, attributes: { top }, tolerance: 0 });
const broken = (samples: number, top: number): OpCase =>
  brokenScanCase("top_n_and_rank", samples, { attributes: { top }, tolerance: 0 });

export const cases: OpCase[] = [
  best("no samples", { items: 3, width: 2, samples: 0 }, 2),
  best("no columns", { items: 40, width: 0, samples: 2, skipRows: 1 }, 3),
  best("one of one", { items: 1, width: 1, samples: 1, excluded: 0 }, 1),
  best("all rows skipped", { items: 2, width: 3, samples: 3, skipRows: 2 }, 2),
  best("nothing excluded", { items: 37, width: 7, samples: 5, excluded: 0 }, 5),
  best("odd sizes, ties, exclusions", { items: 101, width: 3, samples: 13, skipRows: 1 }, 7),
  best("targets that are <unk> or excluded", { items: 3, width: 3, samples: 13, skipRows: 1 }, 2),
  best("rank alone", { items: 101, width: 3, samples: 13, skipRows: 1 }, 0),
  best("more than there are", { items: 5, width: 3, samples: 4, skipRows: 1, excluded: 12 }, 9),
  best("no bias", { items: 67, width: 31, samples: 3, bias: false, skipRows: 1 }, 10),
  best("one sample", { items: 90, width: 16, samples: 1, skipRows: 1 }, 10),
  best("two samples, wide", { items: 90, width: 300, samples: 2, skipRows: 1 }, 10),
  best("four samples of width 1", { items: 90, width: 1, samples: 4, skipRows: 1 }, 10),
  best("many samples, many excluded", { items: 200, width: 33, samples: 70, skipRows: 1, excluded: 700 }, 50),
  best("two tiles of samples", { items: 700, width: 2, samples: 150, skipRows: 1 }, 3),
  broken(4, 30),
  broken(70, 200),
  best("wide", { items: 517, width: 64, samples: 19, skipRows: 1 }, 20),
  best("typical", { items: 20_000, width: 31, samples: 16, skipRows: 1 }, 200, { benchmark: true }),
];
