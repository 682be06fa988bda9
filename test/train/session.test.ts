import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { prepareDataset } from "../../src/data/dataset.js";
import { simulate } from "../../src/data/simulate.js";
import { storedTensors } from "../../src/graph/program.js";
import { inspect } from "../../src/model/inspect.js";
import { type SessionOptions, type SessionState, TrainingSession } from "../../src/train/session.js";
import { train } from "../../src/train/trainer.js";
import { temporaryFolder } from "../cli/run.js";
import { expectError } from "../data/temporary.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const SMALL = ["hiddenWidths=[16]", "userVectorWidth=8", "draws=32", "batchSize=64", "lstmWidth=8", "epochs=2"];

/** Networks that differ in their state between steps: composed item vectors, lazy decay, several optimizers. */
const NETWORKS: Readonly<Record<string, Partial<SessionOptions>>> = {
  "default: tied, composed item vectors": { preset: "default", set: SMALL },
  "composed of rows and attributes of their own": {
    set: [...SMALL, "tiedItems=false", "itemAttributes=true", "loss=sampled_softmax", "optimizer=adagrad"],
  },
  "paddle: lazy decay": { preset: "paddle", set: ["batchSize=64", "epochs=2", "lstmWidth=8", "hiddenWidths=[16]"] },
  "row-wise AdaGrad, dropout": { set: [...SMALL, "optimizer=rowwise_adagrad", "batching=shuffled", "dropout=0.5"] },
};

test.before(async () => {
  await simulate({ output: folder, users: 120, items: 60, meanClicks: 8 });
  await prepareDataset({ logs: [at("test.tsv")], output: at("dataset"), featureAppearLimit: 0 });
  await prepareDataset({ logs: [at("train.tsv")], output: at("other"), featureAppearLimit: 0 });
});

async function withSession(
  options: Partial<SessionOptions>,
  work: (session: TrainingSession) => Promise<void>,
): Promise<void> {
  const session = await TrainingSession.open({ dataset: at("dataset"), threads: 2, ...options });
  try {
    await work(session);
  } finally {
    session.close();
  }
}

/** Copies the state as a checkpoint would: plain data and copies of the tensors. */
function copyOf(state: SessionState): SessionState {
  const { tensors, ...data } = state;
  return {
    ...JSON.parse(JSON.stringify(data)),
    tensors: tensors.map(({ read, ...tensor }) => {
      const values = read();
      return { ...tensor, read: (offset = 0, count?: number) => values.slice(offset, count && offset + count) };
    }),
  };
}

/** The bytes of every tensor in the session's store, including those of the inference model. */
function tensorsOf({ model: { store } }: TrainingSession): Map<string, string> {
  return new Map(
    store.tensors.map(({ name }) => {
      const { buffer, byteOffset, byteLength } = store.read(name);
      return [name, Buffer.from(buffer, byteOffset, byteLength).toString("base64")];
    }),
  );
}

function expectSame(found: Map<string, string>, expected: Map<string, string>, what: string): void {
  assert.equal([...found.keys()].sort(), [...expected.keys()].sort(), what);
  for (const [name, bytes] of expected) assert.is(found.get(name), bytes, `${what}: ${name}`);
}

for (const [name, options] of Object.entries(NETWORKS)) {
  test(`two sessions that copy their state go on as one, bit for bit: ${name}`, async () => {
    let expected = new Map<string, string>();
    let afterOneEpoch = new Map<string, string>();
    await withSession({ ...options, validation: { heldOut: "last-clicks" } }, async (session) => {
      await session.run();
      await session.evaluateEpoch();
      afterOneEpoch = tensorsOf(session);
      await session.run();
      expected = tensorsOf(session);
      assert.ok(session.done);
    });
    for (const steps of [undefined, 3]) {
      let state: SessionState | undefined;
      await withSession({ ...options, validation: { heldOut: "last-clicks" }, threads: 1 }, async (session) => {
        await session.run({ steps });
        if (steps === undefined) {
          await session.evaluateEpoch();
          expectSame(tensorsOf(session), afterOneEpoch, "one epoch");
        }
        state = copyOf(session.state());
      });
      await withSession({ ...options, validation: { heldOut: "last-clicks" } }, async (session) => {
        await session.restore(state!);
        assert.equal(session.position, state!.position);
        if (steps !== undefined) {
          await session.run();
          await session.evaluateEpoch();
          expectSame(tensorsOf(session), afterOneEpoch, "the rest of the first epoch");
        }
        await session.run();
        expectSame(tensorsOf(session), expected, `after ${steps ?? "an epoch of"} steps`);
        assert.is(session.state().earlyStopping.bestEpoch, state!.earlyStopping.bestEpoch || 1);
      });
    }
  });
}

test("a session's state names every tensor that a training step keeps, with its role", async () => {
  for (const options of Object.values(NETWORKS)) {
    await withSession(options, async (session) => {
      await session.run();
      await session.save(at("state"));
      const { tensors, position } = session.state();
      const kept = new Map(tensors.map(({ name, role, shape }) => [name, { role, shape }]));
      const inspection = await inspect(at("state"), { training: true });
      assert.is(inspection.kind, "model");
      if (inspection.kind !== "model") return;
      for (const { name, shape } of inspection.parameters) assert.equal(kept.get(name), { role: "parameter", shape });
      // All other tensors of the store belong to the inference model and are computed from these.
      const derived = new Set([...storedTensors(session.model.program).map(({ name }) => name), "all_items.rows"]);
      for (const { name } of session.model.store.tensors) {
        if (!kept.has(name)) assert.ok(derived.has(name) || name.startsWith("catalogue."), name);
      }
      const roles = new Set(tensors.map(({ role }) => role));
      assert.ok(roles.has("parameter") && roles.has("optimizer_state"), [...roles].join());
      assert.is(position.epoch, 2);
      assert.is(position.batch, 0);
    });
  }
  await withSession(NETWORKS["composed of rows and attributes of their own"]!, async (session) => {
    const names = session.state().tensors.map(({ name }) => name);
    for (const name of ["output.row", "output_attribute.category"]) assert.ok(names.includes(name), names.join());
    assert.not.ok(names.includes("output.weight"));
  });
});

test("saving and evaluating inside an epoch changes nothing of what follows", async () => {
  for (const options of [NETWORKS["paddle: lazy decay"]!, NETWORKS["default: tied, composed item vectors"]!]) {
    let expected = new Map<string, string>();
    await withSession({ ...options, validation: { heldOut: "last-clicks" } }, async (session) => {
      await session.run();
      expected = tensorsOf(session);
    });
    await withSession({ ...options, validation: { heldOut: "last-clicks" } }, async (session) => {
      for (let i = 0; i < 3; i++) {
        await session.run({ steps: 2 });
        const evaluation = await session.evaluate("validation");
        await session.save(at("inside"));
        assert.ok(evaluation.users > 0);
      }
      assert.is(session.position.step, 6);
      await session.run();
      expectSame(tensorsOf(session), expected, "the epoch");
    });
  }
});

test("train is a session run epoch by epoch", async () => {
  const options = NETWORKS["default: tied, composed item vectors"]!;
  await train({ dataset: at("dataset"), output: at("trained"), ...options });
  await withSession(options, async (session) => {
    while (!session.done) {
      await session.run();
      await session.evaluateEpoch();
    }
    await session.save(at("by-session"));
  });
  for (const file of ["model.safetensors", "program.json"]) {
    assert.ok((await readFile(at(`trained/${file}`))).equals(await readFile(at(`by-session/${file}`))), file);
  }
});

test("a session returns to the model of its best epoch, and is not trained from there", async () => {
  const options = { ...NETWORKS["paddle: lazy decay"]!, validation: { heldOut: "last-clicks" }, patience: 0 } as const;
  await withSession(options, async (session) => {
    await session.run();
    await session.save(at("first"));
    assert.ok((await session.evaluateEpoch()).best);
    const first = session.model.store.read("output.weight");
    await session.run();
    assert.not.equal(session.model.store.read("output.weight"), first);
    await session.returnToBest(at("first"));
    assert.equal(session.model.store.read("output.weight"), first);
    await expectError(session.run(), "ERR_EXECUTOR", "has the weights of an earlier epoch");
    assert.throws(() => session.state(), /has the weights of an earlier epoch/);
    await session.save(at("kept"));
    const { training } = JSON.parse(await readFile(at("kept/config.json"), "utf8"));
    assert.is(training.epochs, 1);
    assert.ok(training.validation.ndcg["10"] >= 0);
  });
});

test("a state of other training is refused, and so is what a session cannot do", async () => {
  const options = NETWORKS["default: tied, composed item vectors"]!;
  await withSession(options, async (session) => {
    await expectError(session.evaluateEpoch(), "ERR_OPTION", "Expected an epoch to have ended");
    await expectError(session.evaluate("test"), "ERR_OPTION", "opened with testLog");
    await expectError(session.run({ steps: 0 }), "ERR_OPTION", "steps");
    const running = session.run({ steps: 1 });
    await expectError(session.run(), "ERR_EXECUTOR", "is busy");
    await running;
    const state = session.state();
    for (const [change, what] of [
      [{ seed: 2 }, "seed is 2 instead of 1"],
      [{ steps: 5 }, "the number of steps is 5 instead of "],
      [{ set: [...SMALL, "learningRate=0.1"] }, "learningRate is 0.1 instead of 0.004"],
      [{ dataset: at("other"), set: [...SMALL, "loss=sampled_softmax"] }, "the dataset is another one, loss is"],
      [{ validation: { heldOut: "last-clicks" } }, "validation is last-clicks instead of none"],
    ] as const) {
      await withSession({ ...options, ...change }, async (other) => {
        await expectError(other.restore(state), "ERR_OPTION", `the training that was begun but ${what}`);
        // The session refused the state before it changed anything.
        assert.is(other.position.step, 0);
        await other.run({ steps: 1 });
      });
    }
    await withSession(options, async (other) => {
      const elsewhere = { ...state, position: { ...state.position, batch: state.position.batch + 1 } };
      await expectError(other.restore(elsewhere), "ERR_OPTION", "Expected a position within");
    });
    session.close();
    await expectError(session.run(), "ERR_EXECUTOR", "The session is closed");
    await expectError(session.save(at("none")), "ERR_EXECUTOR", "The session is closed");
  });
});

test("a state of another dataset is refused by what follows from the dataset", async () => {
  const set = [...SMALL, "loss=sampled_softmax"];
  await prepareDataset({ logs: [at("test.tsv")], output: at("again"), featureAppearLimit: 0 });
  await withSession({ set, steps: 9 }, async (session) => {
    const copy = copyOf(session.state());
    await withSession({ set, steps: 9, dataset: at("again") }, (other) => other.restore(copy));
    const tensors = copy.tensors.map((tensor) =>
      tensor.name === "noise.alias" ? { ...tensor, read: () => new Int32Array(tensor.shape[0]!) } : tensor,
    );
    await withSession({ set, steps: 9 }, async (other) => {
      await expectError(other.restore({ ...copy, tensors }), "ERR_OPTION", '"noise.alias" differs');
    });
  });
});

test.run();
