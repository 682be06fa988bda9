// Programs from untrusted sources. Both engines refuse operands that do not fit an op, and indices that are not proven
// to be in bounds, before any kernel runs.

import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Engine } from "../../src/executors/executor.js";
import { createNativeEngine } from "../../src/executors/native.js";
import { createReferenceEngine } from "../../src/executors/reference.js";
import type { Dim } from "../../src/graph/dims.js";
import { type Instruction, parseProgram, type Role, STORED_ROLES, type TensorSpec } from "../../src/graph/program.js";
import { OPS } from "../../src/ops/index.js";

const ENGINES = [createReferenceEngine({ ops: OPS }), createNativeEngine({ threads: 1 })];

type Shape = readonly Dim[];

const float32 = (name: string, shape: Shape, role: Role = "parameter"): TensorSpec => ({
  name,
  dtype: "float32",
  shape,
  role,
});
const int32 = (name: string, shape: Shape, role: Role = "input"): TensorSpec => ({ name, dtype: "int32", shape, role });
const apply = (
  op: string,
  inputs: Instruction["inputs"],
  outputs: Instruction["outputs"],
  attributes = {},
): Instruction => {
  return { op, inputs, outputs, attributes };
};

/** Returns the error of a run as `CODE: message`, and checks that a refused run has changed nothing. */
async function refusal(
  engine: Engine,
  tensors: readonly TensorSpec[],
  instructions: readonly Instruction[],
  values: Readonly<Record<string, readonly number[]>>,
): Promise<string> {
  const given = ({ name, dtype, shape }: TensorSpec) => {
    const length = (shape as number[]).reduce((product, size) => product * size, 1);
    const numbers = values[name] ?? new Array<number>(length).fill(0);
    return dtype === "float32"
      ? Float32Array.from(numbers)
      : dtype === "int32"
        ? Int32Array.from(numbers)
        : Uint32Array.from(numbers);
  };
  const store = engine.createStore();
  for (const tensor of tensors.filter(({ role }) => STORED_ROLES.has(role))) {
    store.define({ ...tensor, shape: tensor.shape as number[] });
    store.write(tensor.name, given(tensor));
  }
  const before = store.tensors.map(({ name }) => store.read(name));
  const text = JSON.stringify({ format: "shortlist-program", version: 2, dims: [], tensors, instructions });
  try {
    const inputs = tensors.filter(({ role }) => role === "input").map((tensor) => [tensor.name, given(tensor)]);
    await engine.createExecutor(parseProgram(text), store).run(Object.fromEntries(inputs), {});
  } catch (error) {
    const after = store.tensors.map(({ name }) => store.read(name));
    assert.equal(after, before);
    return `${(error as { code?: string }).code}: ${(error as Error).message}`;
  }
  return "no error";
}

interface Case {
  readonly tensors: readonly TensorSpec[];
  readonly instructions: readonly Instruction[];
  readonly values?: Readonly<Record<string, readonly number[]>>;
  /** A pattern for the messages of both engines, or "no error". */
  readonly expected: RegExp | "no error";
}

const table = float32("table", [7, 3]);
const lookup = (ids: string) => apply("embedding_lookup", { table: "table", ids }, { output: "rows" });
const rows = (n: Dim) => float32("rows", [n, 3], "output");

/** A lookup of `table[ids]` with the ids of the case. */
function lookupCase(ids: TensorSpec, numbers: readonly number[], expected: Case["expected"]): Case {
  return { tensors: [table, ids, rows(4)], instructions: [lookup("ids")], values: { ids: numbers }, expected };
}

/** A lookup whose ids are computed by an op from `like` [4]. */
function computedCase(maker: Instruction, expected: Case["expected"], more: readonly TensorSpec[] = []): Case {
  const tensors = [table, int32("like", [4]), ...more, int32("ids", [4], "temporary"), rows(4)];
  return { tensors, instructions: [maker, lookup("ids")], values: { like: [6, 0, 3, 3] }, expected };
}

const SORTED = { order: "order", rows: "sorted", segments: "segments", count: "count" };
const RATE = float32("rate", [], "input");

/** An sgd step by row terms with the ids [1, 0, 1]. Their sorted form is an input, which the case may change. */
function rowsCase(changes: Partial<Case> & Pick<Case, "expected">, shapes: Readonly<Record<string, Shape>> = {}): Case {
  const own = (name: string, shape: Shape) => int32(name, shapes[name] ?? shape);
  return {
    tensors: [
      table,
      RATE,
      own("ids", [3]),
      own("order", [3]),
      own("sorted", [3]),
      own("segments", [4]),
      own("count", []),
      float32("terms", [3, 3], "input"),
    ],
    instructions: [sgdRows()],
    values: { ids: [1, 0, 1], order: [1, 0, 2], sorted: [0, 1, 0], segments: [0, 1, 3, 3], count: [2] },
    ...changes,
  };
}

const sgdRows = (operands: Instruction["inputs"] = {}, attributes = { terms: "p" }): Instruction => {
  const sorted = { ...SORTED, ids: ["ids"], term_rows: ["terms"], learning_rate: "rate" };
  return apply("sgd_rows", { parameter: "table", ...sorted, ...operands }, { parameter: "table" }, attributes);
};

const sortOf = (ids: string) => apply("sort_rows", { ids: [ids] }, SORTED);
const sortedTensors = [
  int32("order", [3], "temporary"),
  int32("sorted", [3], "temporary"),
  int32("segments", [4], "temporary"),
  int32("count", [], "temporary"),
];
const sortedCase = (ids: string, operands: Instruction["inputs"], expected: Case["expected"]): Case => ({
  tensors: [table, RATE, int32("ids", [3]), int32("others", [3]), ...sortedTensors, float32("terms", [3, 3], "input")],
  instructions: [sortOf(ids), sgdRows(operands)],
  values: { ids: [1, 0, 6], others: [0, 0, 0] },
  expected,
});

const bag = (operands: Instruction["inputs"]) =>
  apply("embedding_bag", { table: "table", ids: "ids", start: "start", end: "end", ...operands }, { output: "rows" });
const bagCase = (end: TensorSpec, offsets: readonly TensorSpec[], expected: Case["expected"]): Case => ({
  tensors: [table, int32("ids", [4]), int32("start", [2]), end, ...offsets, rows(2)],
  instructions: [bag(offsets.length > 0 ? { offsets: "offsets" } : {})],
  values: { end: [4, 1], offsets: [0, 4] },
  expected,
});

const CASES: Readonly<Record<string, Case>> = {
  "ids that fit": lookupCase(int32("ids", [4]), [0, 6, 3, 3], "no error"),
  "ids of no columns": lookupCase(
    int32("ids", [4, 0]),
    [],
    /ERR_PROGRAM: .*Expected ids with 1 axes but received ids \[4, 0\]/,
  ),
  "ids of two columns": lookupCase(
    int32("ids", [4, 2]),
    [0, 0, 0, 0, 0, 0, 0, 9],
    /ERR_PROGRAM: .*Expected ids with 1 axes/,
  ),
  "ids of float32": lookupCase(
    float32("ids", [4], "input"),
    [0, 1, 2, 1e9],
    /ERR_PROGRAM: .*Expected ids of int32 but received/,
  ),
  "ids of a constant": lookupCase(
    int32("ids", [4], "constant"),
    [0, 1, 7, 0],
    /ERR_INPUT: .*0 to 6 in ids but received 7 at 2/,
  ),
  "ids that runs may write": lookupCase(
    int32("ids", [4], "parameter"),
    [0, 1, 2, 3],
    /ERR_PROGRAM: .*Expected ids to be an input, a constant or computed but received parameter ids \(instruction 0\)/,
  ),
  "numbered ids": computedCase(apply("row_numbers", { like: "like" }, { output: "ids" }, { first: 3 }), "no error"),
  "ids numbered past the table": computedCase(
    apply("row_numbers", { like: "like" }, { output: "ids" }, { first: 4 }),
    /ERR_INPUT: .*Expected ids of 0 to 6 in ids but it will hold ids of 4 to 7 \(instruction 1\)/,
  ),
  "ids numbered from afar": computedCase(
    apply("row_numbers", { like: "like" }, { output: "ids" }, { first: 2_000_000_000 }),
    /ERR_INPUT: .*will hold ids of 2000000000 to 2000000003/,
  ),
  "ids that may be dropped": computedCase(
    apply("drop_ids", { ids: "like", seed: "s", step: "s" }, { output: "ids" }, { rate: 0.5, site: 0, limit: 7 }),
    "no error",
    [{ name: "s", dtype: "uint32", shape: [], role: "input" }],
  ),
  "dropped ids of a larger table": computedCase(
    apply("drop_ids", { ids: "like", seed: "s", step: "s" }, { output: "ids" }, { rate: 0.5, site: 0, limit: 8 }),
    /ERR_INPUT: .*will hold ids of 0 to 7/,
    [{ name: "s", dtype: "uint32", shape: [], role: "input" }],
  ),
  "ids from the rows of a sort": computedCase(
    apply("sort_rows", { ids: ["like"] }, { order: "o", rows: "ids", segments: "s", count: "c" }),
    "no error",
    [int32("o", [4], "temporary"), int32("s", [5], "temporary"), int32("c", [], "temporary")],
  ),
  "sorted rows that are given": rowsCase({ expected: "no error" }),
  "a count of no elements": rowsCase(
    { expected: /ERR_PROGRAM: .*Expected count with 0 axes but received count \[0\]/ },
    { count: [0] },
  ),
  "an order that is not sorted": rowsCase({
    values: { ids: [1, 0, 1], order: [0, 1, 2], sorted: [0, 1, 0], segments: [0, 1, 3, 3], count: [2] },
    expected: /ERR_INPUT: .*Expected what sort_rows gives for these ids/,
  }),
  "a row that no id names": rowsCase({
    values: { ids: [1, 0, 1], order: [1, 0, 2], sorted: [0, 5, 0], segments: [0, 1, 3, 3], count: [2] },
    expected: /ERR_INPUT: .*Expected what sort_rows gives for these ids, 1, in sorted but received 5 at 1/,
  }),
  "more rows than there are": rowsCase({
    values: { ids: [1, 0, 1], order: [1, 0, 2], sorted: [0, 1, 0], segments: [0, 1, 3, 3], count: [3] },
    expected: /ERR_INPUT: .*Expected what sort_rows gives for these ids, 2, in count but received 3 at 0/,
  }),
  "a table of itself": rowsCase({
    tensors: [
      table,
      RATE,
      ...["ids", "order", "sorted"].map((name) => int32(name, [3])),
      int32("segments", [4]),
      int32("count", []),
    ],
    instructions: [sgdRows({ term_rows: ["table"] })],
    expected:
      /ERR_PROGRAM: .*Expected parameter to be the stored tensor that is updated in place, and no other operand/,
  }),
  "sorted rows of these ids": sortedCase("ids", {}, "no error"),
  "sorted rows of other ids": sortedCase(
    "others",
    {},
    /ERR_PROGRAM: .*Expected the ids that sort_rows sorted, in their order, for order/,
  ),
  "rows of no sort": sortedCase(
    "ids",
    { rows: "others" },
    /ERR_PROGRAM: .*of one sort_rows, or all of them given, but others is not/,
  ),
  "sorted rows as another operand": sortedCase(
    "ids",
    { rows: "order" },
    /ERR_PROGRAM: .*of one sort_rows, or all of them given, but order is not/,
  ),
  "ranges that fit": bagCase(int32("end", [2]), [], "no error"),
  "ends of uint32": bagCase(
    { name: "end", dtype: "uint32", shape: [2], role: "input" },
    [],
    /ERR_PROGRAM: .*Expected end of int32/,
  ),
  "ends of no columns": bagCase(int32("end", [2, 0]), [], /ERR_PROGRAM: .*Expected end with 1 axes/),
  "offsets of no columns": bagCase(
    int32("end", [2]),
    [int32("offsets", [2, 0])],
    /ERR_PROGRAM: .*Expected offsets with 1 axes/,
  ),
  "no offsets at all": {
    ...bagCase(int32("end", [2]), [int32("offsets", [0])], /ERR_INPUT: .*Expected offsets to hold at least one offset/),
    values: { end: [4, 1], offsets: [] },
  },
  "an output of another shape": {
    tensors: [table, int32("ids", [4]), rows(5)],
    instructions: [lookup("ids")],
    expected: /ERR_PROGRAM: .*output/,
  },
  "a parameter as an output": {
    tensors: [table, int32("ids", [7]), float32("copy", [7, 3])],
    instructions: [apply("embedding_lookup", { table: "table", ids: "ids" }, { output: "copy" })],
    expected: /ERR_PROGRAM: .*Expected output to be a temporary or an output but received parameter copy/,
  },
  "an update of something else": {
    tensors: [table, RATE, float32("gradient", [7, 3], "input"), float32("updated", [7, 3], "output")],
    instructions: [
      apply("sgd", { parameter: "table", gradient: "gradient", learning_rate: "rate" }, { parameter: "updated" }),
    ],
    expected: /ERR_PROGRAM: .*Expected parameter to be the stored tensor that is updated in place/,
  },
  "a list where one tensor is meant": {
    tensors: [table, int32("ids", [4]), rows(4)],
    instructions: [apply("embedding_lookup", { table: "table", ids: ["ids"] }, { output: "rows" })],
    expected: /ERR_PROGRAM: .*Expected one tensor for "ids"/,
  },
  "an attribute of another type": {
    tensors: [int32("like", [4]), int32("ids", [4], "output")],
    instructions: [apply("row_numbers", { like: "like" }, { output: "ids" }, { first: "like" })],
    expected: /ERR_PROGRAM: .*first/,
  },
  "rows to decay that are there twice": {
    tensors: [
      float32("table", [7, 3]),
      float32("squares", [7, 3]),
      { name: "last", dtype: "uint32", shape: [7], role: "optimizer_state" },
      int32("rows", [3]),
      int32("count", []),
      RATE,
      { name: "step", dtype: "uint32", shape: [], role: "input" },
    ],
    instructions: [
      apply(
        "decay_rows",
        {
          parameter: "table",
          accumulator: "squares",
          last_step: "last",
          rows: "rows",
          count: "count",
          learning_rate: "rate",
          step: "step",
        },
        { parameter: "table", last_step: "last" },
        { l2: 0.1, epsilon: 0.1, epsilon_inside: false },
      ),
    ],
    values: { rows: [4, 2, 4], count: [3] },
    expected: /ERR_INPUT: .*Expected distinct rows in rows but received 4 again at 2/,
  },
};

for (const [name, { tensors, instructions, values = {}, expected }] of Object.entries(CASES)) {
  for (const engine of ENGINES) {
    test(`${name}, ${engine.kind}`, async () => {
      const received = await refusal(engine, tensors, instructions, values);
      if (expected === "no error") assert.is(received, expected);
      else assert.match(received, expected);
    });
  }
}

test.run();
