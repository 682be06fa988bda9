import type { OpCase } from "../case.js";
import { type ScanSizes, scanCase } from "../scans.js";

const top = (name: string, sizes: ScanSizes, count: number, extra: Partial<OpCase> = {}): OpCase =>
  scanCase("top_n", name, sizes, { ...extra, attributes: { top: count } });

export const cases: OpCase[] = [
  top("no samples", { items: 3, width: 2, samples: 0 }, 2),
  top("no columns", { items: 40, width: 0, samples: 2, skipRows: 1 }, 3),
  top("one of one", { items: 1, width: 1, samples: 1, excluded: 0 }, 1),
  top("nothing excluded", { items: 37, width: 7, samples: 5, excluded: 0 }, 5),
  top("odd sizes, ties, exclusions", { items: 101, width: 3, samples: 13, skipRows: 1 }, 7),
  top("more than there are", { items: 5, width: 3, samples: 4, skipRows: 1, excluded: 12 }, 9),
  top("all", { items: 67, width: 8, samples: 3, excluded: 0 }, 67),
  top("no bias", { items: 67, width: 31, samples: 3, bias: false, skipRows: 1 }, 10),
  top("one sample", { items: 90, width: 16, samples: 1, skipRows: 1 }, 10),
  top("two samples, wide", { items: 90, width: 300, samples: 2, skipRows: 1 }, 10),
  top("four samples of width 1", { items: 90, width: 1, samples: 4, skipRows: 1 }, 10),
  top("many samples", { items: 200, width: 33, samples: 70, skipRows: 1, excluded: 140 }, 50),
  top("wide", { items: 517, width: 64, samples: 19, skipRows: 1 }, 20),
  top("typical", { items: 20_000, width: 31, samples: 16, skipRows: 1 }, 200, { benchmark: true }),
];
