import type { Encoding, NumberStatistics } from "../data/clicks.js";
import { clickNumbers, itemFeatures, userFeatures } from "../data/schema.js";
import { ShortlistError } from "../errors.js";
import { type Instruction, operandNames, type Program, tensorsByName } from "../graph/program.js";
import type { ModelConfig } from "../model/config.js";
import { type ClickIds, History, PADDING } from "./history.js";
import { dtypeNumber, type OnnxGraph } from "./onnx.js";

/** An input of an exported model, for people and programs that encode requests. */
export interface ExportedInput {
  /** Name of the feature. */
  readonly name: string;
  /** Ids are int64, numbers float32. */
  readonly dtype: "int64" | "float32";
  /** Names of its axes. */
  readonly shape: readonly string[];
  /** Name of the feature whose vocabulary gives the ids. Undefined for numbers. */
  readonly vocabulary?: string;
  /** What stands where nothing is: −1 after the last id, NaN for a missing number. Undefined if each user has an id. */
  readonly padding?: number | "NaN";
}

/**
 * A tensor of a Program as the ONNX graph has it. A Program stores the clicks of a batch one after another; ONNX has a
 * row for each user, filled up after the last click.
 *
 * - "ids": ids with one row for each user, or of the clicks.
 * - "rows": float32 [batch, width], or [batch, timesteps, width] for the clicks.
 * - "index": numbers that only say how the rows of a Program belong together.
 */
type Value =
  | { readonly kind: "ids"; readonly of: "users"; readonly ids: string }
  | ({ readonly kind: "ids"; readonly of: "clicks" } & ClickIds)
  | { readonly kind: "rows"; readonly of: "users" | "clicks"; readonly rows: string }
  | { readonly kind: "index"; readonly meaning: string };

/** What the inputs of a Program that are no features mean. */
const STRUCTURE: Readonly<Record<string, string>> = {
  sample_start: "first click",
  timestep_start: "first click",
  sample_end: "end of clicks",
  timestep_end: "end of clicks",
  timestep_position: "click",
  sequence_offsets: "sequences",
};

/** A weight that the graph needs in another form than the Program. */
export interface RearrangedWeight {
  readonly name: string;
  readonly shape: readonly number[];
  /** Returns the elements, given those of the Program's tensors. */
  readonly make: (read: (name: string) => Float32Array) => Float32Array;
}

/** Translates the part of an inference Program that computes `user_vector` into the ops of ONNX. */
export class UserTower {
  readonly inputs: ExportedInput[] = [];
  /** The weights of LSTMs, whose form ONNX prescribes. The other weights are those of the Program, by name. */
  readonly rearranged: RearrangedWeight[] = [];
  /** [batch, width] The user vectors. */
  readonly output: string;
  readonly #graph: OnnxGraph;
  readonly #program: Program;
  readonly #values = new Map<string, Value>();
  readonly #shapes: ReadonlyMap<string, readonly unknown[]>;
  readonly #history: History;

  /** `program` is the part of the model's Program that computes `user_vector`. */
  constructor(graph: OnnxGraph, program: Program, config: ModelConfig, encoding: Encoding) {
    this.#graph = graph;
    this.#program = program;
    this.#shapes = new Map([...tensorsByName(program)].map(([name, { shape }]) => [name, shape]));
    const [item, ...attributes] = itemFeatures(encoding.schema);
    const items = this.#input({ name: item!.name, dtype: "int64", shape: ["batch", "clicks"], padding: PADDING });
    this.#history = new History(graph, items, config);
    this.#values.set(item!.name, { kind: "ids", of: "clicks", ...this.#history.clickIds(items, false) });
    for (const { name, multiple } of attributes) this.#addAttribute(name, multiple);
    for (const { name, kind } of userFeatures(encoding.schema)) {
      if (kind !== "categorical" || !this.#shapes.has(name)) continue;
      const ids = this.#input({ name, dtype: "int64", shape: ["batch"] });
      this.#values.set(name, { kind: "ids", of: "users", ids });
    }
    if (this.#shapes.has("numbers")) this.#addNumbers(encoding);
    for (const name of clickNumbers(encoding.schema)) this.#addClickNumber(name, encoding);
    if (this.#shapes.has("example_age")) {
      // The age is 0 in inference.
      const columns = this.#shapes.get("example_age")![1] as number;
      const zeros = graph.floats(Array<number>(columns).fill(0), [1, columns]);
      const rows = graph.apply("Expand", [zeros, graph.apply("Shape", [this.#history.length])]);
      this.#values.set("example_age", { kind: "rows", of: "users", rows });
    }
    for (const [name, meaning] of Object.entries(STRUCTURE)) this.#values.set(name, { kind: "index", meaning });
    for (const instruction of program.instructions) this.#translate(instruction);
    this.output = this.#rows("user_vector", "users");
  }

  #input(input: ExportedInput): string {
    this.inputs.push(input.dtype === "int64" ? { ...input, vocabulary: input.name } : input);
    return this.#graph.input(input.name, input.dtype, input.shape);
  }

  #addAttribute(name: string, multiple: boolean): void {
    if (!this.#shapes.has(name)) return;
    const shape = ["batch", "clicks", ...(multiple ? [`${name}_values`] : [])];
    const given = this.#input({ name, dtype: "int64", shape, padding: PADDING });
    this.#values.set(name, { kind: "ids", of: "clicks", ...this.#history.clickIds(given, multiple) });
    if (multiple) this.#values.set(`${name}_offsets`, { kind: "index", meaning: `values of ${name}` });
  }

  /** Adds an input for each number of users. */
  #addNumbers(encoding: Encoding): void {
    const graph = this.#graph;
    const features = userFeatures(encoding.schema).filter(({ kind }) => kind === "number");
    const columns = features.map(({ name }) => {
      const given = this.#input({ name, dtype: "float32", shape: ["batch"], padding: "NaN" });
      return graph.apply("Unsqueeze", [given, graph.integers([1])]);
    });
    const statistics = features.map(({ name }) => encoding.numbers.get(name)!);
    const rows = this.#standardised(graph.apply("Concat", columns, { axis: 1 }), statistics);
    this.#values.set("numbers", { kind: "rows", of: "users", rows });
  }

  #addClickNumber(name: string, encoding: Encoding): void {
    if (!this.#shapes.has(name)) return;
    const given = this.#input({ name, dtype: "float32", shape: ["batch", "clicks"], padding: "NaN" });
    const rows = this.#standardised(this.#history.clickNumbers(given), [encoding.numbers.get(name)!]);
    this.#values.set(name, { kind: "rows", of: "clicks", rows });
  }

  /** Columns of numbers, standardised as in batches: in float64, and 0 where missing. */
  #standardised(given: string, statistics: readonly NumberStatistics[]): string {
    const graph = this.#graph;
    const means = graph.doubles(statistics.map(({ mean }) => mean));
    const scales = graph.doubles(statistics.map(({ standardDeviation: d }) => (d > 0 ? 1 / d : 1)));
    const precise = graph.apply("Cast", [given], { to: dtypeNumber("float64") });
    const standard = graph.apply("Mul", [graph.apply("Sub", [precise, means]), scales]);
    const rows = graph.apply("Cast", [standard], { to: dtypeNumber("float32") });
    const zero = graph.floats([0], []);
    return graph.apply("Where", [graph.apply("IsNaN", [given]), zero, rows]);
  }

  #translate(instruction: Instruction): void {
    const translations: Readonly<Record<string, (instruction: Instruction) => Value>> = {
      embedding_lookup: (i) => this.#lookUp(i),
      embedding_bag: (i) => this.#mean(i),
      row_numbers: (i) => this.#rowNumbers(i),
      add: (i) => this.#add(i),
      lstm: (i) => this.#lstm(i),
      range_max: (i) => this.#maximum(i),
      range_last: (i) => this.#last(i),
      linear: (i) => this.#linear(i),
    };
    const translation = translations[instruction.op];
    if (!translation) throw unsupported(instruction, `there is no translation of the op ${instruction.op}`);
    const output = instruction.outputs["output"] as string;
    this.#values.set(output, translation(instruction));
  }

  /** [n, width] The rows of a table that ids name. */
  #lookUp(instruction: Instruction): Value {
    const ids = this.#ids(instruction, "ids");
    return { kind: "rows", of: ids.of, rows: this.#gather(instruction, ids.ids) };
  }

  #gather({ inputs }: Instruction, ids: string): string {
    return this.#graph.apply("Gather", [this.#graph.weight(inputs["table"] as string), ids], { axis: 0 });
  }

  /**
   * The mean of the rows of a table over the clicks of each user, or over the values of each click; 0 if there are none.
   */
  #mean(instruction: Instruction): Value {
    if (this.#values.get(instruction.inputs["table"] as string)?.kind === "rows") return this.#meanOfRows(instruction);
    const graph = this.#graph;
    const ids = this.#ids(instruction, "ids");
    if (ids.of !== "clicks") throw unsupported(instruction, "it averages ids that are not of clicks");
    const { offsets } = instruction.inputs;
    if (offsets !== undefined) this.#expect(instruction, "offsets", `values of ${instruction.inputs["ids"]}`);
    const ofUsers = this.#meaning(instruction, "start") === "first click";
    this.#expect(instruction, "start", ofUsers ? "first click" : "click");
    this.#expect(instruction, "end", ofUsers ? "end of clicks" : "end of click");
    if (!ofUsers && offsets === undefined) throw unsupported(instruction, "it averages single ids");
    const axes = offsets === undefined ? [1] : ofUsers ? [1, 2] : [2];
    const present = graph.apply("Unsqueeze", [ids.present ?? this.#history.valid, graph.integers([-1])]);
    const rows = graph.apply("Where", [present, this.#gather(instruction, ids.ids), graph.floats([0], [])]);
    const sum = graph.apply("ReduceSum", [rows, graph.integers(axes)], { keepdims: 0 });
    const ones = graph.apply("Cast", [present], { to: dtypeNumber("float32") });
    const count = graph.apply("ReduceSum", [ones, graph.integers(axes)], { keepdims: 0 });
    const divisor = graph.apply("Max", [count, graph.floats([1], [])]);
    return { kind: "rows", of: ofUsers ? "users" : "clicks", rows: graph.apply("Div", [sum, divisor]) };
  }

  /** The mean of the rows of each user's clicks. */
  #meanOfRows(instruction: Instruction): Value {
    const graph = this.#graph;
    if (instruction.inputs["offsets"] !== undefined) throw unsupported(instruction, "it averages groups of rows");
    this.#expect(instruction, "ids", "click");
    this.#expect(instruction, "start", "first click");
    this.#expect(instruction, "end", "end of clicks");
    const valid = graph.apply("Unsqueeze", [this.#history.valid, graph.integers([2])]);
    const rows = this.#rows(instruction.inputs["table"] as string, "clicks");
    const read = graph.apply("Where", [valid, rows, graph.floats([0], [])]);
    const sum = graph.apply("ReduceSum", [read, graph.integers([1])], { keepdims: 0 });
    const count = graph.apply("Cast", [this.#history.length], { to: dtypeNumber("float32") });
    return { kind: "rows", of: "users", rows: graph.apply("Div", [sum, count]) };
  }

  /** Numbers that say that each click is a range of its own, or that timesteps are clicks. */
  #rowNumbers(instruction: Instruction): Value {
    const like = this.#values.get(instruction.inputs["like"] as string);
    const isClicks =
      (like?.kind === "ids" && like.of === "clicks") || (like?.kind === "index" && like.meaning === "click");
    const meaning = { 0: "click", 1: "end of click" }[instruction.attributes["first"] as number];
    if (!isClicks || meaning === undefined) throw unsupported(instruction, "it numbers something other than clicks");
    return { kind: "index", meaning };
  }

  #add(instruction: Instruction): Value {
    const { left, right } = instruction.inputs as Record<"left" | "right", string>;
    const rows = this.#graph.apply("Add", [this.#rows(left, "clicks"), this.#rows(right, "clicks")]);
    return { kind: "rows", of: "clicks", rows };
  }

  /** The hidden states of each timestep. ONNX has the timesteps on the first axis. */
  #lstm(instruction: Instruction): Value {
    const graph = this.#graph;
    this.#expect(instruction, "position", "click");
    this.#expect(instruction, "sequence_offsets", "sequences");
    const input = this.#rows(instruction.inputs["input"] as string, "clicks");
    const timesteps = graph.apply("Transpose", [input], { perm: [1, 0, 2] });
    const lengths = graph.apply("Squeeze", [this.#history.length, graph.integers([1])]);
    const sequenceLengths = graph.apply("Cast", [lengths], { to: dtypeNumber("int32") });
    const name = instruction.outputs["output"] as string;
    const weights = lstmWeights(name, instruction, this.#shapes);
    this.rearranged.push(...weights);
    const [w, r, b, p] = weights.map((weight) => graph.weight(weight.name));
    const operands = [timesteps, w!, r!, b!, sequenceLengths, ...(p === undefined ? [] : ["", "", p])];
    const [h] = this.#shapes.get(instruction.inputs["recurrent_weight"] as string) as [number];
    const states = graph.apply("LSTM", operands, { hidden_size: h });
    const forward = graph.apply("Squeeze", [states, graph.integers([1])]);
    return { kind: "rows", of: "clicks", rows: graph.apply("Transpose", [forward], { perm: [1, 0, 2] }) };
  }

  #maximum(instruction: Instruction): Value {
    const graph = this.#graph;
    const input = this.#clicksOf(instruction);
    const valid = graph.apply("Unsqueeze", [this.#history.valid, graph.integers([2])]);
    const rows = graph.apply("Where", [valid, input, graph.floats([Number.NEGATIVE_INFINITY], [])]);
    return { kind: "rows", of: "users", rows: graph.apply("ReduceMax", [rows], { axes: [1], keepdims: 0 }) };
  }

  #last(instruction: Instruction): Value {
    const graph = this.#graph;
    const last = graph.apply("Sub", [this.#history.length, graph.integers(1)]);
    const rows = graph.apply("GatherND", [this.#clicksOf(instruction), last], { batch_dims: 1 });
    return { kind: "rows", of: "users", rows };
  }

  /** The input of an instruction that pools all clicks of each user. */
  #clicksOf(instruction: Instruction): string {
    this.#expect(instruction, "start", "first click");
    this.#expect(instruction, "end", "end of clicks");
    return this.#rows(instruction.inputs["input"] as string, "clicks");
  }

  #linear(instruction: Instruction): Value {
    const graph = this.#graph;
    const { input, weight, bias, group_input: grouped } = instruction.inputs;
    if (grouped !== undefined) throw unsupported(instruction, "it has inputs of groups of rows");
    const names = operandNames(input);
    const first = this.#values.get(names[0]!);
    const of = first?.kind === "rows" ? first.of : "users";
    const inputs = names.map((name) => this.#rows(name, of));
    const joined = inputs.length === 1 ? inputs[0]! : graph.apply("Concat", inputs, { axis: of === "users" ? 1 : 2 });
    const operands = [weight, bias].filter((name) => name !== undefined).map((name) => graph.weight(name as string));
    const product = of === "users" ? graph.apply("Gemm", [joined, ...operands]) : this.#product(joined, operands);
    const isRelu = instruction.attributes["activation"] === "relu";
    return { kind: "rows", of, rows: isRelu ? graph.apply("Relu", [product]) : product };
  }

  /** The product of [batch, timesteps, in] and a weight, plus a bias if there is one. Gemm has matrices alone. */
  #product(rows: string, [weight, bias]: readonly string[]): string {
    const product = this.#graph.apply("MatMul", [rows, weight!]);
    return bias === undefined ? product : this.#graph.apply("Add", [product, bias]);
  }

  #ids(instruction: Instruction, slot: string): Extract<Value, { kind: "ids" }> {
    const name = instruction.inputs[slot] as string;
    const value = this.#values.get(name);
    if (value?.kind !== "ids") throw unsupported(instruction, `there is no translation of its ${slot}, "${name}"`);
    return value;
  }

  #rows(name: string, of: "users" | "clicks"): string {
    const value = this.#values.get(name);
    if (value?.kind === "rows" && value.of === of) return value.rows;
    const reader = this.#program.instructions.find(({ inputs }) => Object.values(inputs).flat().includes(name));
    throw unsupported(reader, `there is no translation of "${name}" as one row for each of the ${of}`);
  }

  #meaning(instruction: Instruction, slot: string): string | undefined {
    const value = this.#values.get(instruction.inputs[slot] as string);
    return value?.kind === "index" ? value.meaning : undefined;
  }

  #expect(instruction: Instruction, slot: string, meaning: string): void {
    if (this.#meaning(instruction, slot) === meaning) return;
    throw unsupported(instruction, `its ${slot}, "${instruction.inputs[slot]}", is not ${meaning}`);
  }
}

function unsupported(instruction: Instruction | undefined, problem: string): ShortlistError {
  const where = instruction ? `${instruction.op} (${Object.values(instruction.outputs).flat()[0]})` : "user_vector";
  return new ShortlistError(
    "ERR_EXPORT",
    `Cannot export the model as ONNX: ${where}: ${problem}. Serve it with Shortlist, or train without this part`,
  );
}

/** The order of gates in ONNX (i, o, f, g), by their places in the order of the Program (i, f, g, o). */
const GATES = [0, 3, 1, 2];

/**
 * The weights of an LSTM as ONNX has them: W [1, 4h, in], R [1, 4h, h], the biases B [1, 8h] of both products, and the
 * peepholes P [1, 3h] in the order i, o, f, if there are any.
 */
function lstmWeights(
  name: string,
  { inputs }: Instruction,
  shapes: ReadonlyMap<string, readonly unknown[]>,
): RearrangedWeight[] {
  const names = inputs as Readonly<Record<string, string | undefined>>;
  const [h] = shapes.get(names["recurrent_weight"]!) as [number];
  const [width] = shapes.get(names["input_weight"]!) as [number];
  const transposed = (rows: number, weight: string): RearrangedWeight["make"] => {
    const place = (gate: number, unit: number, row: number) => row * 4 * h + GATES[gate]! * h + unit;
    return (read) => {
      const given = read(weight);
      const column = (n: number, row: number) => given[place(Math.floor(n / h), n % h, row)]!;
      return Float32Array.from({ length: 4 * h * rows }, (_, i) => column(Math.floor(i / rows), i % rows));
    };
  };
  const bias: RearrangedWeight["make"] = (read) => {
    const made = new Float32Array(8 * h);
    if (names["bias"] === undefined) return made;
    const given = read(names["bias"]);
    for (const [place, gate] of GATES.entries()) made.set(given.subarray(gate * h, (gate + 1) * h), place * h);
    return made;
  };
  const peepholes = ["peephole_input", "peephole_output", "peephole_forget"].flatMap((slot) => names[slot] ?? []);
  const peephole: RearrangedWeight["make"] = (read) => {
    const made = new Float32Array(3 * h);
    for (const [place, given] of peepholes.entries()) made.set(read(given), place * h);
    return made;
  };
  return [
    { name: `${name}/W`, shape: [1, 4 * h, width], make: transposed(width, names["input_weight"]!) },
    { name: `${name}/R`, shape: [1, 4 * h, h], make: transposed(h, names["recurrent_weight"]!) },
    { name: `${name}/B`, shape: [1, 8 * h], make: bias },
    ...(peepholes.length > 0 ? [{ name: `${name}/P`, shape: [1, 3 * h], make: peephole }] : []),
  ];
}
