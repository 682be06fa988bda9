import { type CaseTensor, CaseValues, float32, int32, type OpCase } from "./case.js";

export interface ScanSizes {
  items: number;
  width: number;
  samples: number;
  skipRows?: number;
  bias?: boolean;
  excluded?: number;
}

/**
 * The operands of `top_n` and `target_rank`. The numbers are small halves, so that scores are exact in float32 however
 * they are summed, and equal scores abound.
 */
export function scanCase(op: string, name: string, sizes: ScanSizes, extra: Partial<OpCase> = {}): OpCase {
  const { items, width, samples, skipRows = 0, bias = true, excluded = 2 * samples } = sizes;
  const values = new CaseValues(25);
  const halves = (shape: readonly number[]): CaseTensor =>
    float32(
      shape,
      Array.from(values.ids(shape, 9).values, (value) => (value - 4) / 2),
    );
  return {
    op,
    name,
    operands: {
      user: halves([samples, width]),
      weight: halves([items, width]),
      ...(bias && { bias: halves([items]) }),
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
