import { CaseValues, int32, mixedTerms, type OpCase, termLimits, termOperands } from "./case.js";

/** An op that updates the rows of a table by row terms. */
export interface RowUpdate {
  readonly op: string;
  /** Seed of the operands' numbers. */
  readonly seed: number;
  /** Makes the table, the optimizer's state and the scalars, for a table of this shape. */
  readonly operands: (values: CaseValues, shape: readonly number[]) => OpCase["operands"];
  readonly attributes?: OpCase["attributes"];
}

/** A case of the op with `n` row terms of mixed kinds. `changeId` maps their ids to others. */
export function rowUpdate(
  { op, seed, operands, attributes }: RowUpdate,
  name: string,
  shape: readonly number[],
  n: number,
  extra: Partial<OpCase> = {},
  changeId?: (id: number) => number,
): OpCase {
  const values = new CaseValues(seed);
  const mixed = mixedTerms(values, shape[0]!, shape[1] ?? 1, n);
  const changed = changeId
    ? mixed.map((term) => ({ ...term, ids: int32(term.ids.shape, [...term.ids.values].map(changeId)) }))
    : mixed;
  const terms = termOperands(changed);
  return {
    op,
    name,
    operands: { ...operands(values, shape), ...terms.operands },
    limits: termLimits(shape[0]!, terms.operands),
    ...extra,
    attributes: { ...attributes, ...extra.attributes, ...terms.attributes },
  };
}

/** The sizes with which every such op is tested. */
export function rowUpdates(update: RowUpdate): OpCase[] {
  return [
    rowUpdate(update, "odd sizes", [11, 7], 13),
    rowUpdate(update, "rank 1", [11], 13),
    rowUpdate(update, "one row", [1, 1], 1),
    rowUpdate(update, "wide", [31, 64], 5),
    rowUpdate(update, "a column more than whole vectors", [31, 33], 9),
    rowUpdate(update, "odd width, many ids", [31, 100], 23),
    rowUpdate(update, "typical", [20_000, 64], 600, { benchmark: true }),
  ];
}
