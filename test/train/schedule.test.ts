import { test } from "uvu";
import * as assert from "uvu/assert";
import type { TrainingBatches } from "../../src/data/batches.js";
import type { Executor, StepsOptions } from "../../src/executors/executor.js";
import { resolveConfig } from "../../src/model/config.js";
import { TrainingLoop } from "../../src/train/loop.js";
import { annealingPlan, fixedPlan, holdingPlan, type TrainingPlan } from "../../src/train/schedule.js";

const planOf = (steps: number): TrainingPlan => fixedPlan({ epochs: 100, batchesPerEpoch: 6, steps });

/** The learning rates of a plan, with six steps per epoch, in calls of at most `atOnce` steps. */
async function learningRates(
  config: Record<string, unknown>,
  plan: TrainingPlan,
  atOnce = Number.POSITIVE_INFINITY,
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
  const loop = new TrainingLoop(executor, batches, { config: resolveConfig("default", config), seed: 1, plan });
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
  near(await learningRates(config, planOf(12)), rates);
  near(await learningRates(config, planOf(12), 5), rates);
});

test("without warm-up and decay, the learning rate is constant", async () => {
  near(await learningRates({ learningRate: 0.3, finalLearningRate: 1 }, planOf(7)), Array<number>(7).fill(0.3));
});

test("with target epochs, the rate falls over so many and then keeps its final value", async () => {
  const config = { learningRate: 0.8, warmupSteps: 0, finalLearningRate: 0.5 };
  const fall = Array.from({ length: 6 }, (_, i) => 0.8 * (0.5 + 0.25 * (1 + Math.cos((Math.PI * i) / 6))));
  near(await learningRates(config, fixedPlan({ epochs: 2, batchesPerEpoch: 6, targetEpochs: 1 })), [
    ...fall,
    ...Array<number>(6).fill(0.4),
  ]);
  const half = Array.from({ length: 6 }, (_, i) => 0.8 * (0.5 + 0.25 * (1 + Math.cos((Math.PI * i) / 12))));
  near(await learningRates(config, fixedPlan({ epochs: 1, batchesPerEpoch: 6, targetEpochs: 2 })), half);
});

test("the rate is held as long as epochs get better, and falls over a quarter as many", async () => {
  const config = { learningRate: 0.8, warmupSteps: 2, finalLearningRate: 0 };
  const options = { epochs: 20, batchesPerEpoch: 6, targetEpochs: "auto" } as const;
  const held = (bestEpoch: number, patience = 2) => holdingPlan(options, { epochs: bestEpoch, bestEpoch }, patience);
  assert.is(held(0).steps, 12);
  assert.is(held(5).steps, 42);
  // 16 epochs and a quarter as many are 20.
  assert.is(held(15).steps, 96);
  assert.is(held(1, 0).steps, 96);
  assert.is(holdingPlan({ ...options, epochs: 2 }, { epochs: 1, bestEpoch: 1 }, 2).steps, 6);
  near(await learningRates(config, held(0)), [0.4, ...Array<number>(11).fill(0.8)]);

  const steps = (epochs: number) => annealingPlan(options, epochs).steps / 6;
  assert.equal([1, 2, 5, 6, 16].map(steps), [2, 3, 6, 8, 20]);
  const fall = Array.from({ length: 6 }, (_, i) => 0.4 * (1 + Math.cos((Math.PI * i) / 6)));
  near(await learningRates(config, annealingPlan(options, 2)), [0.4, ...Array<number>(11).fill(0.8), ...fall]);
});

test.run();
