import { CaseValues, float32, largeTable, type OpCase, termOperands } from "../case.js";
import { type RowUpdate, rowUpdate } from "../row_update.js";

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

const ROWS: RowUpdate = {
  op: "adagrad_rows",
  seed: 21,
  operands: (values, shape) => ({
    parameter: values.normal(shape),
    accumulator: values.uniform(shape, 0, 3),
    learning_rate: RATE,
  }),
  attributes: { epsilon: 1e-6 },
};

const rows = (
  name: string,
  shape: readonly number[],
  n: number,
  extra: Partial<OpCase> = {},
  changeId = (id: number) => id,
): OpCase => rowUpdate(ROWS, name, shape, n, extra, changeId);

/** The update of a table that is far larger than the caches, for the bags of the case of `embedding_bag`. */
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
