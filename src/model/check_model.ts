import { LastClickBatches } from "../data/batches.js";
import { type Clicks, type Encoding, type ItemValues, itemVocabulary } from "../data/clicks.js";
import { itemFeatures, timeField, userFeatures } from "../data/schema.js";
import { ShortlistError } from "../errors.js";
import { type Dim, formatShape, sameShape } from "../graph/dims.js";
import { type Dtype, namesIn, type Program, tensorsByName } from "../graph/program.js";
import type { Model } from "./model.js";

/**
 * Checks what loading a Program cannot: its outputs are what the commands take them for, and a run for a user of whom
 * nothing is known is not refused. The executor has checked by then that every operand fits its op, and proves every
 * index before it computes anything. Throws ERR_MODEL with `path`, the Program's.
 */
export async function checkModel({ program, description, engine, store }: Model, path: string): Promise<void> {
  try {
    checkOutputs(program, description, description.config.userVectorWidth);
    const executor = engine.createExecutor(program, store);
    try {
      const { inputs, dims } = nobody(description);
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
  // Items are rows of the table that is scanned: each must have a token.
  const tensors = tensorsByName(program);
  const { size } = itemVocabulary(encoding);
  for (const { op, inputs, outputs } of program.instructions) {
    if (!namesIn(outputs).includes("items")) continue;
    const rows = tensors.get(String(inputs["weight"]))?.shape[0];
    if (rows !== size)
      fail(`Expected items to be rows of a table of ${size}, the vocabulary's, but ${op} scans ${rows}`);
  }
}

/** Inputs for a user without features who has clicked nothing, with `<unk>` as the target. */
function nobody({ schema, numbers }: Encoding) {
  const none = () => new Int32Array(1);
  const clicks: Clicks = {
    users: 1,
    clicks: 1,
    clickOffsets: Int32Array.of(0, 1),
    userFeatures: userFeatures(schema).flatMap(({ name, kind }) => (kind === "number" ? [] : [{ name, ids: none() }])),
    numbers: [...numbers].map(([name, statistics]) => ({ name, ...statistics, values: Float32Array.of(Number.NaN) })),
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
