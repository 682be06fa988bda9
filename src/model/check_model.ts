import { LastClickBatches } from "../data/batches.js";
import { type Clicks, type Encoding, type ItemValues, itemVocabulary, unknownUsers } from "../data/clicks.js";
import { clickNumbers, itemFeatures, timeField, userFeaturesOf } from "../data/schema.js";
import { ShortlistError } from "../errors.js";
import { type Dim, formatShape, sameShape } from "../graph/dims.js";
import { type Dtype, namesIn, type Program, tensorsByName } from "../graph/program.js";
import type { Model } from "./model.js";

/**
 * Checks what the executor cannot check: that the outputs of the Program have the dtypes and shapes that the commands
 * expect, and that the Program runs for a user without any features or clicks. (The executor checks that operands fit
 * their ops, and proves every index before it computes.) Throws ERR_MODEL with `path`, the path of the Program.
 */
export async function checkModel({ program, description, engine, store }: Model, path: string): Promise<void> {
  try {
    checkOutputs(program, description, description.config.userVectorWidth);
    const executor = engine.createExecutor(program, store);
    try {
      const { inputs, dims } = emptyUser(description);
      const excluded = { excluded: new Int32Array(0), excluded_offsets: new Int32Array(2) };
      await executor.run({ ...inputs, ...excluded }, { ...dims, top: 1, excluded: 0 });
    } finally {
      executor.close();
    }
  } catch (cause) {
    if (!(cause instanceof ShortlistError)) throw cause;
    throw new ShortlistError("ERR_MODEL", `${path}: ${cause.message}`, { cause });
  }
}

function checkOutputs(program: Program, encoding: Encoding, width: number): void {
  const fail = (message: string): never => {
    throw new ShortlistError("ERR_PROGRAM", message);
  };
  const expected: Record<string, { readonly dtype: Dtype; readonly shape: readonly Dim[] }> = {
    user_vector: { dtype: "float32", shape: ["samples", width] },
    items: { dtype: "int32", shape: ["samples", "top"] },
    score: { dtype: "float32", shape: ["samples", "top"] },
    log_partition: { dtype: "float32", shape: ["samples"] },
    rank: { dtype: "float32", shape: ["samples"] },
  };
  for (const { name, dtype, shape, role } of program.tensors) {
    const output = role === "output" ? expected[name] : undefined;
    if (!output || (dtype === output.dtype && sameShape(shape, output.shape))) continue;
    fail(
      `Expected output "${name}" of ${output.dtype} ${formatShape(output.shape)} but received ${dtype} ${formatShape(shape)}`,
    );
  }
  // Items are rows of the table that is scanned, and each must have a token.
  const tensors = tensorsByName(program);
  const { size } = itemVocabulary(encoding);
  for (const { op, inputs, outputs } of program.instructions) {
    if (!namesIn(outputs).includes("items")) continue;
    const rows = tensors.get(String(inputs["weight"]))?.shape[0];
    if (rows !== size)
      fail(`Expected items to be rows of a table of ${size}, the vocabulary's, but ${op} scans ${rows}`);
  }
}

/** Inputs for a user without features and clicks, with `<unk>` as the target. */
function emptyUser({ schema, numbers }: Encoding) {
  const none = () => new Int32Array(1);
  const unknown = (name: string) => ({ name, ...numbers.get(name)!, values: Float32Array.of(Number.NaN) });
  const clicks: Clicks = {
    users: 1,
    clicks: 1,
    clickOffsets: Int32Array.of(0, 1),
    ...unknownUsers(schema, 1),
    numbers: userFeaturesOf(schema, "number").map(({ name }) => unknown(name)),
    clickNumbers: clickNumbers(schema).map(unknown),
    itemFeatures: itemFeatures(schema).map(({ name, multiple }): ItemValues => {
      return { name, ids: none(), offsets: multiple ? Int32Array.of(0, 1) : undefined };
    }),
    times:
      timeField(schema) < 0
        ? undefined
        : { values: Float64Array.of(Number.NaN), earliest: Number.NaN, latest: Number.NaN, farOff: 0 },
  };
  return new LastClickBatches({ clicks, window: 1, windows: "sliding" }).batch(0);
}
