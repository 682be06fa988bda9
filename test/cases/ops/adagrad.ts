import { CaseValues, float32, int32, largeTable, mixedTerms, type OpCase, termLimits, termOperands } from "../case.js";

const RATE = float32([], [0.1]);

function dense(name: string, shape: readonly number[], extra: Partial<OpCase> = {}): OpCase {
  const values = new CaseValues(20);
  return {
    op: "adagrad",
    name,
    operands: {
      parameter: values.normal(shape),
      accumulator: values.uniform(shape, 0, 3),
      gradient: values.normal(shape),
      learning_rate: RATE,
    },
    attributes: { epsilon: 1e-6 },
    ...extra,
  };
}

function rows(
  name: string,
  shape: readonly number[],
  n: number,
  extra: Partial<OpCase> = {},
  changeId = (id: number) => id,
): OpCase {
  const values = new CaseValues(21);
  const mixed = mixedTerms(values, shape[0]!, shape[1] ?? 1, n);
  const terms = termOperands(
    mixed.map((term) => ({ ...term, ids: int32(term.ids.shape, [...term.ids.values].map(changeId)) })),
  );
  return {
    op: "adagrad_rows",
    name,
    operands: {
      parameter: values.normal(shape),
      accumulator: values.uniform(shape, 0, 3),
      learning_rate: RATE,
      ...terms.operands,
    },
    limits: termLimits(shape[0]!, terms.operands),
    ...extra,
    attributes: { epsilon: 1e-6, ...extra.attributes, ...terms.attributes },
  };
}

/** A table far larger than the caches: the update of the bags of `embedding_bag`. */
function coldRows(name: string, ids: "uniform" | "zipf"): OpCase {
  const attributes = { epsilon: 1e-6, terms: "p" };
  return {
    op: "adagrad_rows",
    name,
    get operands() {
      const values = new CaseValues(48);
      const [table, width, n] = [1_000_000, 64, 84_000];
      const drawn = ids === "zipf" ? values.zipfIds([n], table) : values.ids([n], table);
      return {
        parameter: largeTable(table, width),
        accumulator: largeTable(table, width),
        learning_rate: RATE,
        ...termOperands([{ ids: drawn, rows: largeTable(n, width) }]).operands,
      };
    },
    attributes,
    benchmark: true,
    large: true,
  };
}

export const cases: OpCase[] = [
  dense("rank 1", [37]),
  dense("one more than whole vectors", [33]),
  dense("rank 2", [7, 13]),
  dense("epsilon inside the root", [7, 13], { attributes: { epsilon: 0.01, epsilon_inside: true } }),
  dense("typical", [256, 256], { benchmark: true }),
  rows("odd sizes", [11, 7], 13),
  rows("rank 1", [11], 13),
  rows("one row", [1, 1], 1),
  rows("epsilon inside the root", [11, 8], 13, { attributes: { epsilon: 0.01, epsilon_inside: true } }),
  rows("wide", [31, 64], 5),
  rows("a column more than whole vectors", [31, 33], 9),
  rows("odd width, many ids", [31, 100], 23),
  rows("segments over several chunks", [3, 21], 300),
  rows("a long segment between short ones", [40, 64], 170, {}, (id) => (id % 3 === 0 ? id : 17)),
  rows("typical", [20_000, 64], 600, { benchmark: true }),
  coldRows("84,000 uniform ids, 1 M rows of 64", "uniform"),
  coldRows("84,000 Zipf ids, 1 M rows of 64", "zipf"),
];
