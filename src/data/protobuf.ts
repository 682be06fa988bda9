/*
 * The wire format of Protocol Buffers (https://protobuf.dev/programming-guides/encoding), as far as ONNX and
 * TensorBoard need it: a message is the concatenation of its fields. It is written out here because that takes fewer
 * lines than a package that does it would take in the installation of everybody.
 */

const VARINT = 0;
const FIXED_64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED_32 = 5;

/** The bytes of a message or of one of its fields. */
export type Bytes = Uint8Array;

/** A message of these fields. */
export function message(...fields: readonly Bytes[]): Bytes {
  return Buffer.concat(fields);
}

/** An integer field. Negative numbers have ten bytes, as of a 64-bit two's complement. */
export function integer(field: number, value: number): Bytes {
  return message(tag(field, VARINT), varint(BigInt.asUintN(64, BigInt(value))));
}

/** A field of a float64. */
export function float64(field: number, value: number): Bytes {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return message(tag(field, FIXED_64), bytes);
}

/** A field of a float32. */
export function float32(field: number, value: number): Bytes {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return message(tag(field, FIXED_32), bytes);
}

/** A field of bytes, or of another message. */
export function bytes(field: number, value: Bytes): Bytes {
  return message(tag(field, LENGTH_DELIMITED), varint(BigInt(value.length)), value);
}

/** A field of text. */
export function text(field: number, value: string): Bytes {
  return bytes(field, Buffer.from(value));
}

function tag(field: number, wireType: number): Bytes {
  return varint(BigInt((field << 3) | wireType));
}

/** Seven bits a byte, the lowest first; the eighth bit says that more follow. */
function varint(value: bigint): Bytes {
  const bytes: number[] = [];
  for (; value >= 0x80n; value >>= 7n) bytes.push(Number(value & 0x7fn) | 0x80);
  bytes.push(Number(value));
  return Uint8Array.from(bytes);
}
