import { CaseValues, int32, type OpCase } from "./case.js";

export interface ScanSizes {
  items: number;
  width: number;
  samples: number;
  skipRows?: number;
  bias?: boolean;
  excluded?: number;
}

/**
 * Operands of `top_n` and `target_rank`. Scores are exact in float32, and many of them are equal.
 */
export function scanCase(op: string, name: string, sizes: ScanSizes, extra: Partial<OpCase> = {}): OpCase {
  const { items, width, samples, skipRows = 0, bias = true, excluded = 2 * samples } = sizes;
  const values = new CaseValues(25);
  return {
    op,
    name,
    operands: {
      user: values.halves([samples, width]),
      weight: values.halves([items, width]),
      ...(bias && { bias: values.halves([items]) }),
      excluded: values.ids([excluded], items),
      excluded_offsets: samples === 0 ? int32([1], [0]) : values.offsets(samples, excluded),
      ...(op === "target_rank" && { target: values.ids([samples], items) }),
    },
    limits: {
      excluded: items,
      excluded_offsets: excluded + 1,
      ...(op === "target_rank" && { target: items }),
    },
    ...extra,
    attributes: { skip_rows: skipRows, ...extra.attributes },
  };
}
