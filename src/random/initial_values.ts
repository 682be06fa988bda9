import { philox, STREAMS } from "./philox.js";

/**
 * Random initial values of a tensor. native/core/initial_values.cc computes them by the same operations, so the bits
 * are equal.
 */
export interface RandomValues {
  /** Uniform in [−scale, scale), or normal with mean 0 and standard deviation `scale`. */
  readonly kind: "uniform" | "normal";
  /** The limit of uniform numbers, or the standard deviation of normal ones. */
  readonly scale: number;
  /** The seed, a whole number of 32 bits. */
  readonly seed: number;
  /** A whole number of 32 bits that distinguishes the tensors of one seed. */
  readonly tensor: number;
}

/**
 * Writes the elements offset … offset + values.length − 1 of a tensor to `values`; `offset` must be a multiple of 4.
 * Element i uses word i mod 4 of the Philox block ⌊i/4⌋ of its tensor. Normal numbers are computed in pairs (Box &
 * Muller 1958).
 */
export function randomValues({ kind, scale, seed, tensor }: RandomValues, values: Float32Array, offset = 0): void {
  const words = new Uint32Array(4);
  const pair: [number, number] = [0, 0];
  for (let i = 0; i < values.length; i += 4) {
    const block = (offset + i) / 4;
    philox(words, block % 2 ** 32, Math.floor(block / 2 ** 32), tensor, 0, seed, STREAMS.initial_values);
    for (let j = 0; j < 4; j += 2) {
      const [first, second] = [unit(words[j]!), unit(words[j + 1]!)];
      if (kind === "uniform") {
        pair[0] = (2 * first - 1) * scale;
        pair[1] = (2 * second - 1) * scale;
      } else {
        const radius = scale * Math.sqrt(-2 * logarithm(first));
        turn(second, pair);
        pair[0] *= radius;
        pair[1] *= radius;
      }
      if (i + j < values.length) values[i + j] = pair[0];
      if (i + j + 1 < values.length) values[i + j + 1] = pair[1];
    }
  }
}

/** Converts a random word to a number in (0, 1), exactly. */
function unit(word: number): number {
  return (word + 0.5) / 2 ** 32;
}

// The log, sin and cos of JavaScript and C++ differ between platforms in the last bit; +, −, ×, / and √ do not. These
// functions have an error of about 10⁻¹², and their results are rounded to float32.

const LN_2 = Math.LN2;
const HALF_PI = Math.PI / 2;
const SQRT_2 = Math.SQRT2;
const float = new Float64Array(1);
const bits = new Uint32Array(float.buffer);

/** log x = e·log 2 + log m with m in [√½, √2), where log m = 2·artanh((m − 1)/(m + 1)) by its series. */
function logarithm(x: number): number {
  float[0] = x;
  let exponent = (bits[1]! >>> 20) - 1023;
  bits[1] = (bits[1]! & 0xfffff) | 0x3ff00000;
  let m = float[0];
  if (m > SQRT_2) {
    m = m * 0.5;
    exponent++;
  }
  const s = (m - 1) / (m + 1);
  const z = s * s;
  const series = 1 + z * (1 / 3 + z * (1 / 5 + z * (1 / 7 + z * (1 / 9 + z * (1 / 11 + z * (1 / 13 + z * (1 / 15)))))));
  return exponent * LN_2 + 2 * s * series;
}

/**
 * Sets `to` to the cos and sin of an angle of `turns` whole turns, from 0 to 1: Taylor's series around the nearest
 * quarter turn.
 */
function turn(turns: number, to: [number, number]): void {
  const quarter = Math.floor(4 * turns + 0.5);
  const x = (4 * turns - quarter) * HALF_PI;
  const z = x * x;
  const sine =
    x *
    (1 +
      z * (-1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880 + z * (-1 / 39916800 + z * (1 / 6227020800)))))));
  const cosine =
    1 + z * (-0.5 + z * (1 / 24 + z * (-1 / 720 + z * (1 / 40320 + z * (-1 / 3628800 + z * (1 / 479001600))))));
  const [cos, sin] = quarter % 2 === 1 ? [-sine, cosine] : [cosine, sine];
  const sign = quarter === 2 || quarter === 3 ? -1 : 1;
  to[0] = sign * cos;
  to[1] = sign * sin;
}
