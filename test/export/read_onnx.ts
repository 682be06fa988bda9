/** Reads ONNX files as far as tests need it, by https://protobuf.dev/programming-guides/encoding and onnx.proto. */

/** The values of a message's fields, by field number: numbers, or bytes. */
type Fields = ReadonlyMap<number, readonly (number | Buffer)[]>;

function fieldsOf(message: Buffer): Fields {
  const fields = new Map<number, (number | Buffer)[]>();
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(BigInt.asIntN(64, value));
    }
  };
  while (at < message.length) {
    const tag = varint();
    let value: number | Buffer;
    if ((tag & 7) === 0) value = varint();
    else if ((tag & 7) === 2) {
      const length = varint();
      value = message.subarray(at, at + length);
      if (value.length !== length) throw new Error("a field is cut short");
      at += length;
    } else throw new Error(`wire type ${tag & 7}`);
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), value]);
  }
  return fields;
}

const messages = (fields: Fields, field: number) => (fields.get(field) ?? []).map((bytes) => fieldsOf(bytes as Buffer));
const texts = (fields: Fields, field: number) => (fields.get(field) ?? []).map(String);
const numbers = (fields: Fields, field: number) => (fields.get(field) ?? []) as number[];
const entries = (fields: Fields, field: number) =>
  Object.fromEntries(messages(fields, field).map((entry) => [texts(entry, 1)[0]!, texts(entry, 2)[0] ?? ""]));

export interface ReadNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, number | readonly number[]>>;
}

/** A model as it stands in the file. */
export interface ReadOnnx {
  readonly irVersion: number;
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly nodes: readonly ReadNode[];
  /** Inputs and outputs: dtype and shape by name. */
  readonly inputs: Readonly<Record<string, readonly (number | string)[]>>;
  readonly outputs: Readonly<Record<string, readonly (number | string)[]>>;
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: number;
    readonly shape: readonly number[];
    /** Undefined for a tensor in another file. */
    readonly raw: Buffer | undefined;
    readonly external: Readonly<Record<string, string>>;
  }[];
}

export function readOnnx(file: Buffer): ReadOnnx {
  const model = fieldsOf(file);
  const graph = messages(model, 7)[0]!;
  const values = (field: number) =>
    Object.fromEntries(
      messages(graph, field).map((value) => {
        const tensor = messages(messages(value, 2)[0]!, 1)[0]!;
        const dims = messages(messages(tensor, 2)[0]!, 1);
        return [texts(value, 1)[0]!, [numbers(tensor, 1)[0]!, ...dims.map((d) => numbers(d, 1)[0] ?? texts(d, 2)[0]!)]];
      }),
    );
  return {
    irVersion: numbers(model, 1)[0]!,
    opsets: messages(model, 8).map((set) => ({ domain: texts(set, 1)[0] ?? "", version: numbers(set, 2)[0]! })),
    metadata: entries(model, 14),
    nodes: messages(graph, 1).map((node) => ({
      op: texts(node, 4)[0]!,
      inputs: texts(node, 1),
      outputs: texts(node, 2),
      attributes: Object.fromEntries(
        messages(node, 5).map((a) => [texts(a, 1)[0]!, numbers(a, 20)[0] === 7 ? numbers(a, 8) : numbers(a, 3)[0]!]),
      ),
    })),
    inputs: values(11),
    outputs: values(12),
    tensors: messages(graph, 5).map((tensor) => ({
      name: texts(tensor, 8)[0]!,
      dtype: numbers(tensor, 2)[0]!,
      shape: numbers(tensor, 1),
      raw: tensor.get(9)?.[0] as Buffer | undefined,
      external: entries(tensor, 13),
    })),
  };
}
