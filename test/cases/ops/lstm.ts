import { type CaseTensor, CaseValues, int32, type OpCase, offsetsOf } from "../case.js";

interface Sizes {
  positions: number;
  /** Width of the inputs; default `width`. */
  input?: number;
  width: number;
  /** Number of timesteps of each sequence. */
  sequences: number[];
  peepholes?: boolean;
  /** Whether timestep i reads position i. */
  isolated?: boolean;
}

function lstm(name: string, sizes: Sizes, extra: Partial<OpCase> = {}): OpCase {
  const { positions, width, input = width, sequences, peepholes = false, isolated = false } = sizes;
  const values = new CaseValues(6);
  const offsets = offsetsOf(sequences);
  const timesteps = offsets.at(-1)!;
  const peephole = (): CaseTensor => values.normal([width], 0.5);
  return {
    op: "lstm",
    name,
    operands: {
      input: values.normal([positions, input]),
      input_weight: values.normal([input, 4 * width], 1 / Math.sqrt(input)),
      bias: values.normal([4 * width]),
      recurrent_weight: values.normal([width, 4 * width], 1 / Math.sqrt(width)),
      position: isolated
        ? int32(
            [timesteps],
            Array.from({ length: timesteps }, (_, s) => s),
          )
        : values.ids([timesteps], Math.max(1, positions)),
      sequence_offsets: int32([offsets.length], offsets),
      ...(peepholes && { peephole_input: peephole(), peephole_forget: peephole(), peephole_output: peephole() }),
    },
    differentiate: [
      "input",
      "input_weight",
      "bias",
      "recurrent_weight",
      ...(peepholes ? ["peephole_input", "peephole_forget", "peephole_output"] : []),
    ],
    limits: { position: positions, sequence_offsets: timesteps + 1 },
    tolerance: 64,
    ...extra,
  };
}

/** Numbers of timesteps of the sequences, from none to nine. */
const ragged = (sequences: number) =>
  Array.from({ length: sequences }, (_, sequence) => (7 * sequence + (sequence >> 3)) % 10);

const BF16: Partial<OpCase> = { attributes: { precision: "bf16" }, rounds: true, tolerance: 4096 };

export const cases: OpCase[] = [
  lstm("no sequences", { positions: 0, width: 3, sequences: [] }),
  lstm("one timestep of width 1", { positions: 1, width: 1, sequences: [1] }),
  lstm("one timestep of width 1, peepholes", { positions: 1, width: 1, sequences: [1], peepholes: true }),
  lstm("empty sequences", { positions: 5, width: 3, sequences: [0, 2, 0, 0, 3, 0] }),
  lstm("odd sizes, positions read by several timesteps", { positions: 7, width: 5, sequences: [1, 7, 3, 2] }),
  lstm("odd sizes, peepholes", { positions: 11, width: 7, sequences: [4, 1, 6], peepholes: true }),
  lstm("width 8", { positions: 13, width: 8, sequences: [5, 3, 2] }),
  lstm("a long sequence", { positions: 31, width: 3, sequences: [53], peepholes: true }),
  lstm("many sequences of equal length", { positions: 40, width: 13, sequences: Array(19).fill(3) }),
  lstm("isolated", { positions: 18, width: 5, sequences: [1, 7, 3, 0, 2, 5], isolated: true }),
  lstm("isolated, peepholes, input narrower", {
    positions: 11,
    input: 3,
    width: 7,
    sequences: [4, 1, 6],
    peepholes: true,
    isolated: true,
  }),
  lstm("isolated, input wider", { positions: 21, input: 37, width: 17, sequences: [9, 12], isolated: true }),
  lstm("isolated, many sequences", {
    positions: 120,
    input: 6,
    width: 9,
    sequences: Array(40).fill(3),
    isolated: true,
  }),
  // Some positions are read by one timestep, some by several, some by none. There are more timesteps than the products
  // of a group of sequences take at once.
  lstm("a few timesteps a position", { positions: 400, input: 5, width: 9, sequences: Array(14).fill(31) }),
  // Long sequences accumulate the rounding errors of their timesteps.
  lstm(
    "a few timesteps a position, peepholes",
    { positions: 200, width: 6, sequences: [90, 3, 80, 0, 41], peepholes: true },
    { tolerance: 256, magnitude: 1 },
  ),
  lstm("ragged sequences, isolated, peepholes", {
    positions: offsetsOf(ragged(60)).at(-1)!,
    width: 37,
    sequences: ragged(60),
    peepholes: true,
    isolated: true,
  }),
  lstm("ragged sequences", { positions: 139, input: 18, width: 16, sequences: ragged(60) }),
  lstm("many ragged sequences, peepholes", {
    positions: 300,
    input: 9,
    width: 7,
    sequences: ragged(130),
    peepholes: true,
  }),
  lstm("more positions than timesteps", { positions: 19, width: 4, sequences: [4, 5] }),
  // A sum that differs in its last bit may round to a different bfloat16, an error of 2⁻⁸ of that term.
  lstm("bf16", { positions: 9, width: 13, sequences: [5, 1, 0, 6], peepholes: true }, BF16),
  lstm("bf16, a few timesteps a position", { positions: 60, input: 5, width: 11, sequences: [9, 30, 12, 14] }, BF16),
  lstm(
    "bf16, isolated, odd sizes",
    { positions: 25, input: 11, width: 13, sequences: [9, 4, 12], isolated: true },
    BF16,
  ),
  lstm(
    "bf16, ragged sequences",
    { positions: 139, input: 18, width: 16, sequences: ragged(60), peepholes: true },
    { ...BF16, tolerance: 16_384 },
  ),
  lstm("bf16, typical, small batch", { positions: 32, width: 64, sequences: [10, 7, 10, 1, 4], isolated: true }, BF16),
  lstm("bf16, isolated", { positions: 25, input: 9, width: 20, sequences: [9, 4, 12], isolated: true }, BF16),
  lstm("typical, small batch, isolated", { positions: 32, width: 64, sequences: [10, 7, 10, 1, 4], isolated: true }),
  lstm("typical, small batch", { positions: 40, width: 64, sequences: [10, 7, 10, 1, 4] }),
  lstm("typical, peepholes", { positions: 40, width: 64, sequences: [10, 7, 10, 1, 4], peepholes: true }),
  lstm("typical", { positions: 2560, width: 64, sequences: Array(256).fill(10), isolated: true }, { benchmark: true }),
  lstm(
    "positions read by several sequences",
    { positions: 256, width: 64, sequences: Array(256).fill(10) },
    { benchmark: true },
  ),
  ...[50, 256].map((batch) =>
    lstm(
      `${batch} sequences of 20 timesteps`,
      { positions: 20 * batch, width: 64, sequences: Array(batch).fill(20), isolated: true },
      { benchmark: true },
    ),
  ),
];
