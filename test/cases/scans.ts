import { CaseValues, float32, int32, type OpCase } from "./case.js";

export interface ScanSizes {
  items: number;
  width: number;
  samples: number;
  skipRows?: number;
  bias?: boolean;
  excluded?: number;
}

/**
 * Operands of `top_n`, `target_rank` and `top_n_and_rank`. Scores are exact in float32, and many of them are equal.
 */
export function scanCase(op: string, name: string, sizes: ScanSizes, extra: Partial<OpCase> = {}): OpCase {
  const { items, width, samples, skipRows = 0, bias = true, excluded = 2 * samples } = sizes;
  const values = new CaseValues(25);
  const ranks = op !== "top_n";
  return {
    op,
    name,
    operands: {
      user: values.halves([samples, width]),
      weight: values.halves([items, width]),
      ...(bias && { bias: values.halves([items]) }),
      excluded: values.ids([excluded], items),
      excluded_offsets: samples === 0 ? int32([1], [0]) : values.offsets(samples, excluded),
      ...(ranks && { target: values.ids([samples], items) }),
    },
    limits: {
      excluded: items,
      excluded_offsets: excluded + 1,
      ...(ranks && { target: items }),
    },
    ...extra,
    attributes: { skip_rows: skipRows, ...extra.attributes },
  };
}

/**
 * A scan with weights that are NaN or infinite. A target whose score is not finite is a miss; another item whose score
 * is NaN counts as higher, and is on no shortlist.
 */
export function brokenScanCase(op: string, samples: number, extra: Partial<OpCase> = {}): OpCase {
  const items = 200;
  const values = new CaseValues(26);
  const name = `${samples} samples, scores that are not finite`;
  const { operands, ...rest } = scanCase(op, name, { items, width: 1, samples }, extra);
  const weight = values.halves([items, 1]).values.map((value, i) => {
    if (i % 3 !== 0) return value;
    return i % 2 === 0 ? Number.NaN : i % 9 === 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  });
  return {
    ...rest,
    operands: { ...operands, weight: float32([items, 1], weight), user: float32([samples, 1], Array(samples).fill(1)) },
  };
}
