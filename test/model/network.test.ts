import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSchema } from "../../src/data/schema.js";
import { UNKNOWN, Vocabulary } from "../../src/data/vocabulary.js";
import { createEngine, type Engine, type TensorStore } from "../../src/executors/index.js";
import { forCatalogue, type ModelConfig, resolveConfig } from "../../src/model/config.js";
import { initializeStore } from "../../src/model/initialize.js";
import { inferenceProgram, itemVectorsProgram, trainingProgram } from "../../src/model/programs.js";
import { aliasTable } from "../../src/random/alias_table.js";
import { scalars, trainingCase } from "../executors/training_case.js";

const ITEMS = 9;

const CONFIGS: readonly Changes[] = [
  {},
  { pooling: "last", lastClick: true },
  { pooling: "last", lstmLayers: 2, embeddingDropout: 0.3, dropout: 0.2 },
  { userDropout: 0.5 },
  { attributes: "sequence" },
  { attributes: "both", skipHidden: true, history: "mean" },
  { tiedItems: true, userVectorWidth: 8 },
  { tiedItems: true, loss: "softmax" },
  { tiedItems: true, attributes: "sequence", itemAttributes: true, loss: "softmax", clipNorm: 0.05 },
  { tiedItems: true, attributes: "both", itemAttributes: true, loss: "sampled_softmax" },
  { itemAttributes: true, loss: "softmax" },
  { itemAttributes: true, loss: "nce", sharedDraws: false, exclude: ["tags"] },
  { negatives: "batch", loss: "sampled_softmax" },
  { negatives: "batch", loss: "nce" },
  { hasSearches: true },
  { hasSearches: true, skipHidden: true, dropout: 0.2, userDropout: 0.3, loss: "softmax" },
  { hasSearches: true, exclude: ["past"], hiddenWidths: [] },
  { hasWeights: true, loss: "softmax" },
  { hasWeights: true, loss: "nce", sharedDraws: false, reduction: "sum" },
  { hasWeights: true, negatives: "batch", batching: "shuffled" },
  { hasNumbers: true },
  { hasNumbers: true, exclude: ["price"], lastClick: true, lstmLayers: 2, attributes: "both" },
  { hasNumbers: true, history: "mean", embeddingDropout: 0.2 },
];

const BATCHES = { batching: "shared", windows: "growing" } as const;

/** Keys of a configuration, and whether users have languages and searches, and clicks weights or numbers. */
type Changes = Partial<ModelConfig> & {
  readonly hasSearches?: boolean;
  readonly hasWeights?: boolean;
  readonly hasNumbers?: boolean;
};

async function trained(engine: Engine, changes: Changes, steps: number) {
  const { sgdRate, hasSearches, hasWeights, hasNumbers, ...config } = { sgdRate: 0.5, ...changes };
  const has = { hasSearches, hasWeights, hasNumbers };
  const made = trainingCase(engine, BATCHES, ITEMS, { ...config, optimizer: "sgd" }, has);
  const given = { ...scalars(0, steps), learning_rate: Float32Array.of(sgdRate) };
  const { outputs } = await made.executor.runSteps(made.batches, { epoch: 0, index: 0, steps, scalars: given });
  return { ...made, losses: outputs["loss"]! };
}

interface Learnt {
  readonly store: TensorStore;
  readonly program: { readonly tensors: readonly { readonly name: string; readonly role: string }[] };
}

function parameters({ store, program }: Learnt) {
  return program.tensors
    .filter(({ role }) => role === "parameter")
    .map(({ name }) => [name, store.read(name)] as const);
}

for (const changes of CONFIGS) {
  const label = JSON.stringify(changes);

  test(`native and reference learn the same: ${label}`, async () => {
    const [fast, slow] = [
      await trained(createEngine({ threads: 2 }), changes, 3),
      await trained(createEngine({ executor: "reference" }), changes, 3),
    ];
    const reference = new Map(parameters(slow));
    for (const [name, values] of parameters(fast)) {
      const expected = reference.get(name)!;
      const largest = Array.from(expected).reduce((most, x) => Math.max(most, Math.abs(x)), 1e-3);
      for (let i = 0; i < values.length; i++) {
        assert.ok(
          Math.abs(values[i]! - expected[i]!) < 1e-5 * largest + 1e-7,
          `${name}[${i}]: ${values[i]}, ${expected[i]}`,
        );
      }
    }
  });

  test(`every parameter learns, and the loss falls: ${label}`, async () => {
    const { hasSearches, hasWeights, hasNumbers, ...config } = changes;
    const has = { hasSearches, hasWeights, hasNumbers };
    const made = trainingCase(createEngine({ threads: 1 }), BATCHES, ITEMS, config, has);
    const before = new Map(parameters(made).map(([name, values]) => [name, values.slice()]));
    const { batchesPerEpoch } = made.batches;
    const means: number[] = [];
    for (let epoch = 0; epoch < 6; epoch++) {
      const given = scalars(epoch * batchesPerEpoch, batchesPerEpoch);
      const { outputs } = await made.executor.runSteps(made.batches, {
        epoch,
        index: 0,
        steps: batchesPerEpoch,
        scalars: given,
      });
      means.push(Array.from(outputs["loss"]!).reduce((sum, x) => sum + x, 0) / batchesPerEpoch);
    }
    assert.ok(means.at(-1)! < means[0]!, `${means}`);
    for (const [name, values] of parameters(made)) {
      assert.not.equal(values, before.get(name), name);
    }
  });
}

function assertSameParameters(actual: Learnt, expected: Learnt): void {
  const values = new Map(parameters(expected));
  for (const [name, learnt] of parameters(actual)) {
    learnt.forEach((value: number, i: number) => {
      assert.ok(Math.abs(value - values.get(name)![i]!) < 1e-5, `${name}[${i}]: ${value}, ${values.get(name)![i]}`);
    });
  }
}

test("one row for each user instead of each sample does not change what is learnt", async () => {
  const engine = createEngine({ threads: 2 });
  const wide = { skipHidden: true, hiddenWidths: [8, 6], pooling: "last" } as const;
  for (const changes of [{}, wide, { ...wide, hasSearches: true }]) {
    const grouped = await trained(engine, changes, 4);
    // The key changes the network only, which then has a row for each sample; BATCHES decides how clicks become batches.
    const apart = await trained(engine, { ...changes, batching: "shuffled" }, 4);
    const batch = grouped.batches.batch(0, 0);
    assert.ok(batch.dims["users"]! < batch.dims["samples"]!);
    assert.is(apart.batches.batch(0, 0).dims["users"], undefined);
    assertSameParameters(grouped, apart);
  }
});

test("one row for each distinct item instead of each position does not change what is learnt", async () => {
  const engine = createEngine({ threads: 2 });
  for (const changes of [{}, { peepholes: true }, { lstmLayers: 2, pooling: "last" }] as const) {
    const without = { ...changes, exclude: ["category", "tags"] };
    const distinct = await trained(engine, without, 4);
    // All attributes are excluded, so "both" changes nothing except that there is a row for each position.
    const apart = await trained(engine, { ...without, attributes: "both" }, 4);
    const batch = distinct.batches.batch(0, 0);
    assert.ok(batch.dims["distinct"]! < batch.dims["positions"]!);
    assert.is(apart.batches.batch(0, 0).dims["distinct"], undefined);
    assertSameParameters(distinct, apart);
  }
});

test("numbers of clicks that the network does not read change nothing", async () => {
  const engine = createEngine({ threads: 2 });
  for (const changes of [{}, { history: "mean" }] as const) {
    const plain = await trained(engine, changes, 4);
    const excluded = await trained(engine, { ...changes, hasNumbers: true, exclude: ["price", "watched"] }, 4);
    assert.equal(excluded.program, plain.program);
    for (const [name, values] of parameters(plain)) assert.equal(excluded.store.read(name), values, name);
  }
});

test("composed item vectors give the scores that training computes", async () => {
  const changes = { tiedItems: true, attributes: "sequence", itemAttributes: true, userVectorWidth: 4 } as const;
  const engine = createEngine({ threads: 1 });
  const { store, config, encoding, catalogue } = trainingCase(engine, BATCHES, ITEMS, changes);
  const { program, initializers } = itemVectorsProgram(config, encoding, catalogue)!;
  initializeStore(store, program, initializers, 1);
  const { weight } = await engine.createExecutor(program, store).run({}, {});
  const row = (table: string, id: number) => store.read(table, 4 * id, 4);
  const [categories, tags] = catalogue;
  for (let item = 0; item < ITEMS; item++) {
    const [from, to] = [tags!.offsets![item]!, tags!.offsets![item + 1]!];
    for (let c = 0; c < 4; c++) {
      let expected = row("embedding.item", item)[c]! + row("attribute.category", categories!.ids[item]!)[c]!;
      for (let j = from; j < to; j++) expected += row("attribute.tags", tags!.ids[j]!)[c]! / (to - from);
      assert.ok(Math.abs(weight![4 * item + c]! - expected) < 1e-6, `item ${item}`);
    }
  }
});

test("tied items are as wide as the user vector, whatever embeddingWidths says", () => {
  const { config, encoding } = trainingCase(createEngine(), {}, ITEMS, { tiedItems: true, userVectorWidth: 6 });
  const { tensors } = inferenceProgram({ ...config, embeddingWidths: { item: 9 } }, encoding).program;
  assert.equal(tensors.find(({ name }) => name === "embedding.item")!.shape, [ITEMS, 6]);
});

test("a feature may have any name, even that of a tensor of the network", () => {
  const names = ["weight", "bias", "row", "end", "all", "start", "lstm", "history", "with_bias"];
  const schema = parseSchema({
    columns: [{ name: "output" }, { name: "clicks" }],
    click: [{ name: "item" }, ...names.map((name, i) => ({ name, multiple: i % 2 === 0 }))],
  });
  const vocabulary = new Vocabulary([UNKNOWN, "a", "b"], Float64Array.of(0, 1, 1));
  const vocabularies = new Map(["output", "item", ...names].map((name) => [name, vocabulary]));
  const encoding = { schema, vocabularies, numbers: new Map() };
  const catalogue = names.map((name, i) => ({
    name,
    ids: Int32Array.of(0, 1, 2),
    offsets: i % 2 === 0 ? Int32Array.of(0, 1, 2, 3) : undefined,
  }));
  const noise = { distribution: Float64Array.of(0, 0.5, 0.5), aliasTable: aliasTable(Float64Array.of(0, 0.5, 0.5)) };
  for (const tiedItems of [true, false]) {
    const config = forCatalogue(resolveConfig("default", { tiedItems, userVectorWidth: 4, lstmWidth: 4 }), 3);
    const { tensors } = trainingProgram(config, encoding, noise, catalogue).program;
    assert.is(new Set(tensors.map(({ name }) => name)).size, tensors.length);
    assert.ok(itemVectorsProgram(config, encoding, catalogue)!.program.instructions.length > names.length);
    assert.ok(inferenceProgram(config, encoding).program.instructions.length > names.length);
  }
});

test("inference has no dropout and no draws", () => {
  const { config, encoding } = trainingCase(createEngine(), {}, ITEMS, {
    dropout: 0.5,
    embeddingDropout: 0.5,
    userDropout: 0.5,
  });
  const ops = inferenceProgram(config, encoding).program.instructions.map(({ op }) => op);
  assert.equal(
    ops.filter((op) => op.startsWith("drop")),
    [],
  );
});

test.run();
