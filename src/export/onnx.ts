import { type Bytes, bytes, integer, message, text } from "../data/protobuf.js";

/*
 * Models in the Open Neural Network Exchange format. The numbers of fields, dtypes and kinds of attributes are those of
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
 */

/** Versions that every runtime since 2022 reads (ONNX 1.12, onnxruntime 1.12). */
const IR_VERSION = 8;
const OPSET = 17;

const DTYPES = { float32: 1, int32: 6, int64: 7, float64: 11 } as const;
const ATTRIBUTES = { integer: 2, text: 3, integers: 7 } as const;
const EXTERNAL = 1;

/** Type of the elements of an ONNX tensor. */
export type OnnxDtype = keyof typeof DTYPES;

/** A dtype as ONNX numbers it, which the op Cast takes. */
export function dtypeNumber(dtype: OnnxDtype): number {
  return DTYPES[dtype];
}

/** Sizes of the axes of an input or output: numbers, or the names of sizes that each run chooses. */
export type OnnxShape = readonly (number | string)[];

/** An input or output of a graph. */
export interface OnnxValue {
  readonly name: string;
  readonly dtype: OnnxDtype;
  readonly shape: OnnxShape;
}

/** A tensor of weights, whose elements stand in a file beside the model. */
export interface OnnxWeight {
  readonly name: string;
  readonly shape: readonly number[];
  /** Position of its first byte in the file. */
  readonly offset: number;
  readonly bytes: number;
}

/** Attributes of a node: whole numbers, texts, and lists of whole numbers. */
export type OnnxAttributes = Readonly<Record<string, number | string | readonly number[]>>;

/** Builds the graph of a model. Tensors are referred to by their names. */
export class OnnxGraph {
  readonly #inputs: OnnxValue[] = [];
  readonly #outputs: OnnxValue[] = [];
  readonly #nodes: Bytes[] = [];
  readonly #constants = new Map<string, Bytes>();
  readonly #weights = new Set<string>();
  #named = 0;

  /** The inputs in their order. */
  get inputs(): readonly OnnxValue[] {
    return this.#inputs;
  }

  /** The names of the weights that nodes read. */
  get weights(): ReadonlySet<string> {
    return this.#weights;
  }

  input(name: string, dtype: OnnxDtype, shape: OnnxShape): string {
    this.#inputs.push({ name, dtype, shape });
    return name;
  }

  /** Makes a tensor an output of the graph, under the name of the output. */
  output(name: string, dtype: OnnxDtype, shape: OnnxShape, tensor: string): void {
    this.#outputs.push({ name, dtype, shape });
    this.#append("Identity", [tensor], [name], {});
  }

  /** Refers to a weight, which `toModel` must be given. */
  weight(name: string): string {
    this.#weights.add(name);
    return name;
  }

  /** A small tensor of whole numbers; a scalar if it is given a number. */
  integers(values: number | readonly number[]): string {
    const list = typeof values === "number" ? [values] : values;
    const shape = typeof values === "number" ? [] : [list.length];
    return this.#constant("int64", shape, new Uint8Array(BigInt64Array.from(list, BigInt).buffer));
  }

  /** A small tensor of float32 of any shape. */
  floats(values: readonly number[], shape: readonly number[]): string {
    return this.#constant("float32", shape, new Uint8Array(Float32Array.from(values).buffer));
  }

  /** A small vector of float64. */
  doubles(values: readonly number[]): string {
    return this.#constant("float64", [values.length], new Uint8Array(Float64Array.from(values).buffer));
  }

  /** Applies an op, and returns the name of its only output. "" stands for an optional input that is left out. */
  apply(op: string, inputs: readonly string[], attributes: OnnxAttributes = {}): string {
    const [output] = this.applyTo(op, inputs, 1, attributes);
    return output!;
  }

  /** `apply` for an op with several outputs. */
  applyTo(op: string, inputs: readonly string[], outputs: number, attributes: OnnxAttributes = {}): string[] {
    const names = Array.from({ length: outputs }, () => `${op}/${this.#named++}`);
    this.#append(op, inputs, names, attributes);
    return names;
  }

  #append(op: string, inputs: readonly string[], outputs: readonly string[], attributes: OnnxAttributes): void {
    this.#nodes.push(
      message(
        ...inputs.map((name) => text(1, name)),
        ...outputs.map((name) => text(2, name)),
        text(3, outputs[0]!),
        text(4, op),
        ...Object.entries(attributes).map(([name, value]) => bytes(5, attributeOf(name, value))),
      ),
    );
  }

  /** Equal constants are stored once. */
  #constant(dtype: OnnxDtype, shape: readonly number[], raw: Uint8Array): string {
    const name = `constant/${dtype}/${shape.join("x")}/${Buffer.from(raw).toString("hex")}`;
    if (!this.#constants.has(name)) {
      const dims = shape.map((size) => integer(1, size));
      this.#constants.set(name, message(...dims, integer(2, DTYPES[dtype]), text(8, name), bytes(9, raw)));
    }
    return name;
  }

  /**
   * Returns the file of the model. The elements of its weights are in the file `location` of the same folder.
   */
  toModel(
    name: string,
    weights: readonly OnnxWeight[],
    location: string,
    metadata: Readonly<Record<string, string>>,
  ): Bytes {
    const used = weights.filter((weight) => this.#weights.has(weight.name));
    const graph = message(
      ...this.#nodes.map((node) => bytes(1, node)),
      text(2, name),
      ...[...this.#constants.values()].map((constant) => bytes(5, constant)),
      ...used.map((weight) => bytes(5, externalTensor(weight, location))),
      ...this.#inputs.map((input) => bytes(11, valueInfo(input))),
      ...this.#outputs.map((output) => bytes(12, valueInfo(output))),
    );
    return message(
      integer(1, IR_VERSION),
      text(2, "shortlist"),
      bytes(7, graph),
      bytes(8, message(text(1, ""), integer(2, OPSET))),
      ...Object.entries(metadata).map(([key, value]) => bytes(14, entry(key, value))),
    );
  }
}

function attributeOf(name: string, value: number | string | readonly number[]): Bytes {
  if (typeof value === "number") return message(text(1, name), integer(3, value), integer(20, ATTRIBUTES.integer));
  if (typeof value === "string") return message(text(1, name), text(4, value), integer(20, ATTRIBUTES.text));
  return message(text(1, name), ...value.map((item) => integer(8, item)), integer(20, ATTRIBUTES.integers));
}

function externalTensor({ name, shape, offset, bytes: length }: OnnxWeight, location: string): Bytes {
  return message(
    ...shape.map((size) => integer(1, size)),
    integer(2, DTYPES.float32),
    text(8, name),
    bytes(13, entry("location", location)),
    bytes(13, entry("offset", String(offset))),
    bytes(13, entry("length", String(length))),
    integer(14, EXTERNAL),
  );
}

function valueInfo({ name, dtype, shape }: OnnxValue): Bytes {
  const dims = shape.map((size) => bytes(1, typeof size === "number" ? integer(1, size) : text(2, size)));
  const tensor = message(integer(1, DTYPES[dtype]), bytes(2, message(...dims)));
  return message(text(1, name), bytes(2, message(bytes(1, tensor))));
}

function entry(key: string, value: string): Bytes {
  return message(text(1, key), text(2, value));
}
