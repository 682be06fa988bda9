import { test } from "uvu";
import * as assert from "uvu/assert";
import { aliasTable } from "../../src/random/alias_table.js";
import { philox } from "../../src/random/philox.js";
import { int32, uint32 } from "../cases/case.js";
import { cases } from "../cases/ops/draw_negatives.js";
import { checkCases, evaluate } from "./harness.js";

checkCases(cases);

const WEIGHTS = [0, 5, 1, 3, 0.5, 2];

interface Draw {
  samples: number;
  draws: number;
  seed?: number;
  step?: number;
  shared?: boolean;
}

async function draw({ samples, draws, seed = 1, step = 0, shared = false }: Draw): Promise<number[]> {
  const { threshold, alias } = aliasTable(WEIGHTS);
  const { outputs } = await evaluate({
    op: "draw_negatives",
    operands: {
      threshold: uint32([WEIGHTS.length], threshold),
      alias: int32([WEIGHTS.length], alias),
      target: int32([samples], Array(samples).fill(1)),
      seed: uint32([], [seed]),
      step: uint32([], [step]),
    },
    attributes: { draws, shared },
  });
  return [...outputs["result"]!];
}

test("draws follow the noise distribution; items with weight 0 are never drawn", async () => {
  const drawn = await draw({ samples: 5000, draws: 20 });
  const total = WEIGHTS.reduce((a, b) => a + b);
  WEIGHTS.forEach((weight, item) => {
    const expected = (drawn.length * weight) / total;
    const counted = drawn.filter((id) => id === item).length;
    assert.ok(Math.abs(counted - expected) <= 4 * Math.sqrt(expected), `item ${item}: ${counted} of ${expected}`);
  });
});

test("a draw depends on seed, step, sample and its number only", async () => {
  const all = await draw({ samples: 7, draws: 5 });
  assert.equal(await draw({ samples: 7, draws: 5 }), all);
  assert.equal(await draw({ samples: 3, draws: 5 }), all.slice(0, 15));
  assert.equal(await draw({ samples: 7, draws: 5, shared: true }), all.slice(0, 5));
  assert.equal(await draw({ samples: 1, draws: 4 }), all.slice(0, 4));
  assert.not.equal(await draw({ samples: 7, draws: 5, seed: 2 }), all);
  assert.not.equal(await draw({ samples: 7, draws: 5, step: 1 }), all);
});

test("reads the words of the Philox block that the contract names", async () => {
  const [samples, draws, seed, step] = [3, 5, 0xdeadbeef, 0x80000001];
  const { threshold, alias } = aliasTable(WEIGHTS);
  const words = new Uint32Array(4);
  const expected = [];
  for (let s = 0; s < samples; s++) {
    for (let d = 0; d < draws; d++) {
      philox(words, d >> 1, s, step, 0, seed, 1);
      const [w, v] = [words[2 * (d % 2)]!, words[2 * (d % 2) + 1]!];
      const column = Number((BigInt(w) * BigInt(WEIGHTS.length)) >> 32n);
      expected.push(v < threshold[column]! ? column : alias[column]!);
    }
  }
  assert.equal(await draw({ samples, draws, seed, step }), expected);
});

test.run();
