import { test } from "uvu";
import * as assert from "uvu/assert";
import { syntheticLog } from "../../bench/synthetic.js";
import { originalConfig, TrainingBench } from "../../bench/training.js";
import { createNativeEngine } from "../../src/executors/native.js";

test("ids fit the vocabularies, and items follow Zipf's law", () => {
  const { clicks, encoding, noise } = syntheticLog({ users: 300, items: 100, tags: 20 });
  assert.is(clicks.users, 300);
  for (const { name, ids } of [...clicks.userFeatures, ...clicks.itemFeatures]) {
    const { size } = encoding.vocabularies.get(name)!;
    assert.ok(
      ids.every((id) => id >= 1 && id < size),
      name,
    );
  }
  const items = clicks.itemFeatures[0]!.ids;
  assert.is(items.length, clicks.clicks);
  const share = items.filter((id) => id === 1).length / items.length;
  assert.ok(Math.abs(share - noise.distribution[1]!) < 0.02);
});

test("tables may be larger than the log", () => {
  const { clicks, encoding } = syntheticLog({ users: 1000, items: 10, tags: 5, activeUsers: 20 });
  assert.is(clicks.users, 20);
  assert.is(encoding.vocabularies.get("user_id")!.size, 1001);
});

test("with the default lengths the mean history is about 10 clicks", () => {
  const engine = createNativeEngine({ threads: 1 });
  const log = syntheticLog({ users: 2000, items: 100, tags: 20 });
  const bench = new TrainingBench({ engine, log, config: originalConfig() });
  assert.ok(Math.abs(bench.window - 10) < 0.5, String(bench.window));
  assert.is(bench.recurrentTimesteps, bench.window);
  bench.close();
});

for (const changes of [[], ["batching=shared"], ["batching=shared", "windows=growing"]]) {
  test(`training steps run: ${changes.join(", ") || "isolated windows"}`, async () => {
    const engine = createNativeEngine({ threads: 1 });
    const log = syntheticLog({ users: 40, items: 30, tags: 20 });
    const config = originalConfig(["batchSize=16", ...changes]);
    const bench = new TrainingBench({ engine, log, config, profile: true });
    assert.ok(Number.isFinite((await bench.run(2 * bench.dims.length + 1)).loss));
    assert.ok(bench.profile.every((seconds) => seconds >= 0));
    assert.ok(bench.flopsOfStep / bench.samples > 1e5);
    bench.close();
  });
}

test.run();
