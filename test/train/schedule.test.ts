import { test } from "uvu";
import * as assert from "uvu/assert";
import type { TrainingBatches } from "../../src/data/batches.js";
import type { Executor, StepsOptions } from "../../src/executors/executor.js";
import { resolveConfig } from "../../src/model/config.js";
import { TrainingLoop } from "../../src/train/loop.js";

/**
 * The learning rates of `steps` steps, with six steps per epoch, in calls of at most `atOnce` steps. The rate falls over
 * `fallSteps` of them.
 */
async function learningRates(
  config: Record<string, unknown>,
  steps: number,
  atOnce = Number.POSITIVE_INFINITY,
  fallSteps = steps,
): Promise<number[]> {
  const rates: number[] = [];
  const executor = {
    runSteps: async (_: TrainingBatches, { steps, scalars }: StepsOptions) => {
      rates.push(...Array.from(scalars["learning_rate"]!));
      const loss = new Float32Array(steps).fill(1);
      return { outputs: { loss }, dims: { samples: Array<number>(steps).fill(2) }, secondsWaited: 0 };
    },
  } as unknown as Executor;
  const batches = { samplesPerEpoch: 12, batchesPerEpoch: 6 } as TrainingBatches;
  const options = { config: resolveConfig("default", config), seed: 1, steps, fallSteps };
  const loop = new TrainingLoop(executor, batches, options);
  while (!loop.done) {
    const { learningRate } = await loop.run(atOnce);
    assert.is(Math.fround(learningRate), rates.at(-1));
  }
  return rates;
}

const near = (actual: readonly number[], expected: readonly number[]) => {
  assert.is(actual.length, expected.length);
  actual.forEach((rate, i) => {
    assert.ok(Math.abs(rate - expected[i]!) < 1e-6, `step ${i}: ${rate}, not ${expected[i]}`);
  });
};

test("the learning rate rises linearly, then falls along half a cosine to its final share", async () => {
  const config = { learningRate: 0.8, warmupSteps: 4, finalLearningRate: 0.5 };
  // After the warm-up, step i of 8 has the rate .8 · (½ + ½ · ½ · (1 + cos(π i / 8))).
  const fall = Array.from({ length: 8 }, (_, i) => 0.8 * (0.5 + 0.25 * (1 + Math.cos((Math.PI * i) / 8))));
  const rates = [0.2, 0.4, 0.6, 0.8, ...fall];
  near(await learningRates(config, 12), rates);
  near(await learningRates(config, 12, 5), rates);
});

test("without warm-up and decay, the learning rate is constant", async () => {
  near(await learningRates({ learningRate: 0.3, finalLearningRate: 1 }, 7), Array<number>(7).fill(0.3));
});

test("the rate keeps its final value after the steps over which it falls", async () => {
  const config = { learningRate: 0.8, warmupSteps: 0, finalLearningRate: 0.5 };
  const fall = (over: number) =>
    Array.from({ length: 6 }, (_, i) => 0.8 * (0.5 + 0.25 * (1 + Math.cos((Math.PI * i) / over))));
  near(await learningRates(config, 9, 4, 6), [...fall(6), 0.4, 0.4, 0.4]);
  near(await learningRates(config, 6, 4, 12), fall(12));
});

test.run();
