import { test } from "uvu";
import * as assert from "uvu/assert";
import { ShortlistError } from "../../src/errors.js";
import { drawTrials, parseSpace } from "../../src/tune/space.js";

test("draws lie in the space, whole where they should be, spread by their scale", () => {
  const space = parseSpace({
    loss: ["nce", "softmax"],
    learningRate: { min: 0.0001, max: 1, scale: "log" },
    dropout: { min: 0, max: 0.5 },
    draws: { min: 2, max: 5, integer: true },
    "embeddingWidths.item": { min: 1, max: 1024, scale: "log", integer: true },
  });
  const trials = drawTrials(space, 2000, 7);
  assert.is(trials.length, 2000);
  const values = (key: string) => trials.map((settings) => settings[key] as number);
  const shareBelow = (key: string, limit: number) =>
    values(key).filter((value) => value < limit).length / trials.length;
  assert.equal([...new Set(values("loss"))].sort(), ["nce", "softmax"]);
  assert.equal([...new Set(values("draws"))].sort(), [2, 3, 4, 5]);
  assert.ok(values("learningRate").every((value) => value >= 0.0001 && value <= 1));
  assert.ok(Math.abs(shareBelow("learningRate", 0.01) - 0.5) < 0.05);
  assert.ok(Math.abs(shareBelow("dropout", 0.25) - 0.5) < 0.05);
  assert.ok(values("embeddingWidths.item").every((value) => Number.isInteger(value) && value >= 1 && value <= 1024));
  assert.ok(Math.abs(shareBelow("embeddingWidths.item", 32) - 0.5) < 0.05);
});

test("the same seed draws the same, whatever the number of trials; another seed others; none is drawn twice", () => {
  const space = parseSpace({ dropout: { min: 0, max: 0.5 } });
  assert.equal(drawTrials(space, 3, 1), drawTrials(space, 9, 1).slice(0, 3));
  assert.not.equal(drawTrials(space, 3, 1), drawTrials(space, 3, 2));
  const few = drawTrials(parseSpace({ loss: ["nce", "softmax"], peepholes: [true, false] }), 10, 1);
  assert.is(few.length, 4);
  assert.is(new Set(few.map((settings) => JSON.stringify(settings))).size, 4);
});

test("malformed search spaces are refused", () => {
  const cases: [unknown, string][] = [
    [[], "Expected an object"],
    [{}, "Expected an object"],
    [{ learnigRate: [1] }, 'Did you mean "learningRate"'],
    [{ learningRate: [] }, "a list that is not empty"],
    [{ learningRate: 0.1 }, "a list of values, or"],
    [{ learningRate: { min: 1, max: 2, step: 1 } }, "a list of values, or"],
    [{ learningRate: { min: 2, max: 1 } }, '"min" is below its "max"'],
    [{ learningRate: { min: 1 } }, '"min" is below its "max"'],
    [{ draws: { min: 1.5, max: 3, integer: true } }, "both whole numbers"],
    [{ learningRate: { min: 0, max: 1, scale: "log" } }, '"min" is above 0'],
    [{ learningRate: { min: 0, max: 1, scale: "square" } }, '"linear" or "log"'],
    [{ learningRate: { min: 0, max: 1, integer: 1 } }, "true or false"],
    [{ learningRate: { min: -1, max: 1 } }, "learningRate"],
    [{ dropout: { min: 0, max: 2 } }, "dropout"],
    [{ loss: ["nce", "hinge"] }, "hinge"],
    [{ "embeddingWidths.item": [0] }, "embeddingWidths"],
    [{ epochs: [1, 2] }, "rungs"],
  ];
  for (const [value, message] of cases) {
    try {
      parseSpace(value, "space.json");
      assert.unreachable(JSON.stringify(value));
    } catch (error) {
      assert.instance(error, ShortlistError, String(error));
      assert.is((error as ShortlistError).code, "ERR_CONFIG");
      assert.match((error as Error).message, message);
      assert.match((error as Error).message, "space.json: ");
    }
  }
});

test.run();
