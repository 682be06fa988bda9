import { parseJson, readText } from "../data/files.js";
import { nearestName, ShortlistError } from "../errors.js";

/** The recall network and how it is trained. Every key is an option of `--set` and of a configuration file. */
export interface ModelConfig {
  /** Clicks of history that a prediction reads at most; at least, where windows grow. */
  window: number;
  /**
   * Sliding: each prediction reads the last `window` clicks. Growing: a user's clicks are cut into stretches, and each
   * prediction reads the last `window` to 2·`window` clicks, from its stretch's start on (src/data/batches.ts).
   */
  windows: "sliding" | "growing";
  /** Features of the schema that the network does not read. */
  exclude: readonly string[];
  /** Embedding width by feature; `defaultEmbeddingWidth` for the others. */
  embeddingWidths: Readonly<Record<string, number>>;
  /** Embedding width of the features that `embeddingWidths` does not name. */
  defaultEmbeddingWidth: number;
  /**
   * The network reads the age of each training example, so that what is popular may change with time (Covington et al.
   * 2016, section 3.3); in inference it is 0. Needs the times of clicks.
   */
  exampleAge: boolean;
  /** How the clicked items become one vector: an LSTM with max-pooling over time, or the mean of their embeddings. */
  history: "lstm" | "mean";
  /** Width of the LSTM's hidden state. */
  lstmWidth: number;
  /** LSTMs, one on top of the other, all of `lstmWidth`. */
  lstmLayers: number;
  /** What of the LSTM's hidden states the layers above read: their maximum over time, or the last one. */
  pooling: "max" | "last";
  /** The embedding of the last click stands beside the pooled states: a way past the LSTM. */
  lastClick: boolean;
  /** Peephole weights, zero at the start. */
  peepholes: boolean;
  /** Start value of the forget gate's bias (Jozefowicz et al. 2015). */
  forgetBias: number;
  /** Widths of the ReLU layers below the user vector. */
  hiddenWidths: readonly number[];
  /** Width of user and item vectors. */
  userVectorWidth: number;
  /** The user vector reads what the hidden layers read as well as their result (as in He et al. 2016). */
  skipHidden: boolean;
  /** Whether an item attribute is averaged over the window (the original), added to the item's embedding, or both. */
  attributes: "pooled" | "sequence" | "both";
  /**
   * The item vectors are the item embeddings (Press & Wolf 2017), which are as wide as the user vector then, instead of
   * a table of their own.
   */
  tiedItems: boolean;
  /**
   * The item vectors are a row of their own plus the mean of each attribute's embeddings. A step then costs what the
   * catalogue does; "auto" is true for catalogues of at most 100,000 items.
   */
  itemAttributes: boolean | "auto";
  /** What the user vector's layer ends in. */
  userVectorActivation: "relu" | "none";
  /** "auto": softmax for catalogues of at most 20,000 items, sampled_softmax for larger ones. */
  loss: "nce" | "paddle_nce" | "sampled_softmax" | "softmax" | "auto";
  /** Negatives are drawn from the noise distribution, or are the targets of the batch (with `noisePower` 1 then). */
  negatives: "noise" | "batch";
  /** Negatives for a sample, or for the whole batch where they are shared. */
  draws: number;
  /** One set of draws for the whole batch instead of one for each sample. */
  sharedDraws: boolean;
  /** The noise distribution is count^noisePower. */
  noisePower: number;
  /** The batch's loss is the mean or the sum of its samples'. */
  reduction: "mean" | "sum";
  /** How parameters are updated (docs/math.md#optimizers). */
  optimizer: "adagrad" | "rowwise_adagrad" | "adam" | "sgd";
  /** The learning rate after warm-up. */
  learningRate: number;
  /** ε of Adam and AdaGrad. */
  epsilon: number;
  /** AdaGrad divides by √(a + ε) instead of √a + ε. */
  epsilonInside: boolean;
  /** The decay of Adam's first moment. */
  beta1: number;
  /** The decay of Adam's second moment. */
  beta2: number;
  /** L2 decay of weights, not of embedding tables. */
  l2: number;
  /** L2 decay of biases and peepholes as well. */
  l2Biases: boolean;
  /** L2 decay of the output table, made up for when a row is touched; with AdaGrad only. */
  l2Output: boolean;
  /** Largest joint norm of the dense gradients, which are scaled down to it (Pascanu et al. 2013); 0 for no limit. */
  clipNorm: number;
  /** Standard deviation of embedding tables at the start. */
  embeddingDeviation: number;
  /** Standard deviation of the output weights at the start; 0 means 1/√items. */
  outputDeviation: number;
  /** Dropout of the clicks' embeddings before the LSTM, in training (Srivastava et al. 2014). */
  embeddingDropout: number;
  /** Dropout of what the hidden layers and the user vector read, in training. */
  dropout: number;
  /** Share of training samples in which a user feature is taken for `<unk>`, so that new users get sensible vectors. */
  userDropout: number;
  /** Steps at the start over which the learning rate rises from 0. */
  warmupSteps: number;
  /** Share of the learning rate that is left at the end; it falls along half a cosine (Loshchilov & Hutter 2017). */
  finalLearningRate: number;
  /** Samples in a batch. */
  batchSize: number;
  /** Isolated windows in shuffled order, or whole stretches of users that share positions and runs. */
  batching: "shuffled" | "shared";
  /** Times that training reads the dataset. */
  passes: number;
  /** Operands of the layers' products: float32, or rounded to bfloat16; sums, weights and their updates are float32. */
  precision: "float32" | "bf16";
}

/** A configuration for one catalogue: nothing is left to "auto". */
export interface CatalogueConfig extends ModelConfig {
  readonly itemAttributes: boolean;
  readonly loss: Exclude<ModelConfig["loss"], "auto">;
}

/** Largest catalogues for which "auto" means the exact softmax, and item vectors with attributes. */
const SOFTMAX_ITEMS = 20_000;
const COMPOSED_ITEMS = 100_000;

/** Decides what is "auto" by the number of items. */
export function forCatalogue(config: ModelConfig, items: number): CatalogueConfig {
  const { loss, itemAttributes } = config;
  return {
    ...config,
    loss: loss === "auto" ? (items <= SOFTMAX_ITEMS ? "softmax" : "sampled_softmax") : loss,
    itemAttributes: itemAttributes === "auto" ? items <= COMPOSED_ITEMS : itemAttributes,
  };
}

type Field =
  | { readonly kind: "integer"; readonly min: number; readonly max?: number }
  | { readonly kind: "number"; readonly min: number; readonly max?: number; readonly below?: number }
  | { readonly kind: "boolean" }
  | { readonly kind: "choice"; readonly values: readonly (string | boolean)[] }
  | { readonly kind: "integers"; readonly min: number }
  | { readonly kind: "names" }
  | { readonly kind: "widths" };

/**
 * Kernels have float32: a number below its smallest normal one is 0 there or divides badly, one above its largest is
 * +∞.
 */
const SMALLEST = 2 ** -126;
const LARGEST = (2 - 2 ** -23) * 2 ** 127;
/** Of start values: the largest normal number drawn is less than ten deviations, and float32 must hold it. */
const LARGEST_DEVIATION = 1e37;
/** Of the counts' power: their sum stays finite. */
const LARGEST_POWER = 10;
/** Sizes, and ids below them, are int32. */
const LARGEST_SIZE = 2 ** 31 - 1;
/** Of LSTMs, and of hidden layers. */
const MOST_LAYERS = 64;

const FIELDS: Readonly<Record<keyof ModelConfig, Field>> = {
  window: { kind: "integer", min: 1 },
  windows: { kind: "choice", values: ["sliding", "growing"] },
  exclude: { kind: "names" },
  embeddingWidths: { kind: "widths" },
  defaultEmbeddingWidth: { kind: "integer", min: 1 },
  exampleAge: { kind: "boolean" },
  history: { kind: "choice", values: ["lstm", "mean"] },
  lstmWidth: { kind: "integer", min: 1 },
  lstmLayers: { kind: "integer", min: 1, max: MOST_LAYERS },
  pooling: { kind: "choice", values: ["max", "last"] },
  lastClick: { kind: "boolean" },
  peepholes: { kind: "boolean" },
  forgetBias: { kind: "number", min: -LARGEST },
  hiddenWidths: { kind: "integers", min: 1 },
  userVectorWidth: { kind: "integer", min: 1 },
  skipHidden: { kind: "boolean" },
  attributes: { kind: "choice", values: ["pooled", "sequence", "both"] },
  tiedItems: { kind: "boolean" },
  itemAttributes: { kind: "choice", values: [true, false, "auto"] },
  userVectorActivation: { kind: "choice", values: ["relu", "none"] },
  loss: { kind: "choice", values: ["nce", "paddle_nce", "sampled_softmax", "softmax", "auto"] },
  negatives: { kind: "choice", values: ["noise", "batch"] },
  draws: { kind: "integer", min: 1 },
  sharedDraws: { kind: "boolean" },
  noisePower: { kind: "number", min: 0, max: LARGEST_POWER },
  reduction: { kind: "choice", values: ["mean", "sum"] },
  optimizer: { kind: "choice", values: ["adagrad", "rowwise_adagrad", "adam", "sgd"] },
  learningRate: { kind: "number", min: SMALLEST },
  epsilon: { kind: "number", min: SMALLEST },
  epsilonInside: { kind: "boolean" },
  beta1: { kind: "number", min: 0, below: 1 },
  beta2: { kind: "number", min: 0, below: 1 },
  l2: { kind: "number", min: 0 },
  l2Biases: { kind: "boolean" },
  l2Output: { kind: "boolean" },
  clipNorm: { kind: "number", min: 0 },
  embeddingDeviation: { kind: "number", min: SMALLEST, max: LARGEST_DEVIATION },
  outputDeviation: { kind: "number", min: 0, max: LARGEST_DEVIATION },
  embeddingDropout: { kind: "number", min: 0, max: 0.95 },
  dropout: { kind: "number", min: 0, max: 0.95 },
  userDropout: { kind: "number", min: 0, max: 0.95 },
  warmupSteps: { kind: "integer", min: 0 },
  finalLearningRate: { kind: "number", min: 0, max: 1 },
  batchSize: { kind: "integer", min: 1 },
  batching: { kind: "choice", values: ["shuffled", "shared"] },
  passes: { kind: "integer", min: 1 },
  precision: { kind: "choice", values: ["float32", "bf16"] },
};

/** The original's widths for the features of the default schema; another schema need not have them. */
export const ORIGINAL_WIDTHS = { user_id: 64, province: 8, city: 16, phone: 16, item: 64, category: 8, tags: 64 };

/** PaddlePaddle's youtube_recall: its network, loss, start values, decay and optimizer (docs/math.md#the-network). */
const PADDLE: ModelConfig = {
  window: 20,
  windows: "sliding",
  exclude: [],
  embeddingWidths: ORIGINAL_WIDTHS,
  defaultEmbeddingWidth: 16,
  exampleAge: false,
  history: "lstm",
  lstmWidth: 64,
  lstmLayers: 1,
  pooling: "max",
  lastClick: false,
  peepholes: true,
  forgetBias: 0,
  hiddenWidths: [256],
  userVectorWidth: 31,
  skipHidden: false,
  attributes: "pooled",
  tiedItems: false,
  itemAttributes: false,
  userVectorActivation: "relu",
  loss: "paddle_nce",
  negatives: "noise",
  draws: 5,
  sharedDraws: false,
  noisePower: 1,
  reduction: "sum",
  optimizer: "adagrad",
  learningRate: 0.1,
  epsilon: 1e-6,
  epsilonInside: true,
  beta1: 0.9,
  beta2: 0.999,
  l2: 1e-3,
  l2Biases: true,
  l2Output: true,
  clipNorm: 0,
  embeddingDeviation: 0.001,
  outputDeviation: 0,
  embeddingDropout: 0,
  dropout: 0,
  userDropout: 0,
  warmupSteps: 0,
  finalLearningRate: 1,
  batchSize: 50,
  batching: "shuffled",
  passes: 1,
  precision: "float32",
};

/** What was measured to work best over several data sets: docs/quality.md. */
const DEFAULT: ModelConfig = {
  ...PADDLE,
  window: 50,
  windows: "growing",
  lstmWidth: 128,
  pooling: "last",
  lastClick: true,
  peepholes: false,
  forgetBias: 1,
  skipHidden: true,
  userVectorWidth: 128,
  userVectorActivation: "none",
  attributes: "both",
  tiedItems: true,
  itemAttributes: "auto",
  loss: "auto",
  draws: 2048,
  sharedDraws: true,
  noisePower: 0.75,
  reduction: "mean",
  optimizer: "adam",
  learningRate: 0.004,
  epsilon: 1e-8,
  epsilonInside: false,
  l2: 0,
  l2Biases: false,
  l2Output: false,
  embeddingDeviation: 0.05,
  outputDeviation: 0.05,
  embeddingDropout: 0.3,
  dropout: 0.3,
  userDropout: 0.5,
  finalLearningRate: 0.05,
  batchSize: 512,
  batching: "shared",
  passes: 6,
};

/**
 * The configurations to start from, by name: "default" was measured to be best, "paddle" is the original
 * (docs/configuration.md).
 */
export const PRESETS: Readonly<Record<string, ModelConfig>> = { default: DEFAULT, paddle: PADDLE };

/**
 * A preset with changes on top: first those of a configuration object (parsed JSON), then `key=value` texts. The key of
 * a map entry is dotted: `embeddingWidths.item=32`. Throws ERR_CONFIG that names the key, what was expected and
 * received.
 */
export function resolveConfig(
  preset: string,
  changes: Partial<ModelConfig> = {},
  assignments: readonly string[] = [],
): ModelConfig {
  const base = PRESETS[preset];
  if (!base) {
    throw new ShortlistError(
      "ERR_CONFIG",
      `Expected a preset of ${Object.keys(PRESETS).join(", ")} but received "${preset}"`,
    );
  }
  if (typeof changes !== "object" || changes === null || Array.isArray(changes)) {
    throw new ShortlistError("ERR_CONFIG", "Expected the configuration to be a JSON object");
  }
  if (!Array.isArray(assignments)) {
    throw new ShortlistError(
      "ERR_OPTION",
      `Expected set to be a list of "key=value" but received ${JSON.stringify(assignments)}`,
    );
  }
  const config: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(changes)) setKey(config, key, value);
  for (const assignment of assignments) {
    const separator = assignment.indexOf("=");
    if (separator < 1) throw new ShortlistError("ERR_CONFIG", `Expected key=value but received "${assignment}"`);
    setDottedKey(config, assignment.slice(0, separator), parseValue(assignment.slice(separator + 1)));
  }
  checkTogether(config as unknown as ModelConfig);
  return config as unknown as ModelConfig;
}

/** Throws ERR_CONFIG unless there is such a key (that of a map entry is dotted) and it may have this value. */
export function checkSetting(key: string, value: unknown): void {
  setDottedKey({}, key, value);
}

/** Keys that do not go together. */
function checkTogether(config: ModelConfig): void {
  const { l2Output, optimizer, loss, tiedItems, itemAttributes, attributes } = config;
  const refuse = (message: string): never => {
    throw new ShortlistError("ERR_CONFIG", message);
  };
  const drawn = loss !== "softmax" && loss !== "auto";
  if (l2Output && (optimizer !== "adagrad" || !drawn)) {
    refuse(
      `"l2Output" needs optimizer adagrad and a loss over draws but received ${optimizer}, ${loss}. Set l2Output=false`,
    );
  }
  if (config.negatives === "batch" && !drawn) {
    refuse(`"negatives" batch needs a loss over draws but received ${loss}. Set loss=sampled_softmax`);
  }
  if (l2Output && (tiedItems || itemAttributes !== false)) {
    refuse(
      `"l2Output" needs item vectors of their own. Set l2Output=false, or tiedItems=false and itemAttributes=false`,
    );
  }
  if (tiedItems && itemAttributes !== false && attributes === "pooled") {
    refuse('"itemAttributes" with "tiedItems" needs attributes in the sequence. Set attributes=sequence or both');
  }
}

/**
 * Reads a configuration file: a JSON object with the keys that differ from a preset's. ERR_CONFIG, which names the
 * file, where a key is unknown or has an impossible value; keys that do not go together are found by `resolveConfig`.
 */
export async function readConfig(path: string): Promise<Partial<ModelConfig>> {
  const value = parseJson(await readText(path), path, "ERR_CONFIG");
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ShortlistError("ERR_CONFIG", `${path}: Expected a JSON object but received ${JSON.stringify(value)}`);
  }
  const config: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(value)) setKey(config, key, setting, `${path}: `);
  return config;
}

/** Reads the configuration of a saved model, where every key must be there. */
export function parseConfig(value: unknown, path: string): ModelConfig {
  try {
    const config = resolveConfig("default", value as Partial<ModelConfig>);
    const missing = Object.keys(FIELDS).find((key) => !Object.hasOwn(value as object, key));
    if (missing) throw new ShortlistError("ERR_CONFIG", `Missing configuration key "${missing}"`);
    return { ...config, embeddingWidths: (value as ModelConfig).embeddingWidths };
  } catch (error) {
    throw new ShortlistError("ERR_MODEL", `${path}: ${(error as Error).message}`, { cause: error });
  }
}

function setDottedKey(config: Record<string, unknown>, dotted: string, value: unknown): void {
  const [key, ...rest] = dotted.split(".") as [string, ...string[]];
  setKey(config, key, rest.length > 0 ? { [rest.join(".")]: value } : value);
}

/** `where` opens the messages. */
function setKey(config: Record<string, unknown>, key: string, value: unknown, where = ""): void {
  const field = FIELDS[key as keyof ModelConfig];
  if (!field || !Object.hasOwn(FIELDS, key)) {
    const nearest = nearestName(key, Object.keys(FIELDS));
    throw new ShortlistError(
      "ERR_CONFIG",
      `${where}Unknown configuration key "${key}"${nearest ? `. Did you mean "${nearest}"?` : ""}`,
    );
  }
  const expectation = mismatch(field, value);
  if (expectation) {
    throw new ShortlistError(
      "ERR_CONFIG",
      `${where}Expected "${key}" to be ${expectation} but received ${JSON.stringify(value)}`,
    );
  }
  config[key] = field.kind === "widths" ? { ...(config[key] as object), ...(value as object) } : value;
}

/** JSON where it is JSON (numbers, booleans, lists), else the text itself. */
function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What `field` expects, where `value` is something else. */
function mismatch(field: Field, value: unknown): string | undefined {
  const isInteger = (x: unknown, min: number, max = LARGEST_SIZE) =>
    Number.isInteger(x) && (x as number) >= min && (x as number) <= max;
  switch (field.kind) {
    case "integer": {
      const { min, max = LARGEST_SIZE } = field;
      return isInteger(value, min, max) ? undefined : `a whole number from ${min} to ${max}`;
    }
    case "number": {
      const { min, max = LARGEST, below } = field;
      const number = typeof value === "number" ? value : Number.NaN;
      const stored = Math.fround(number);
      const inRange = number >= min && number <= max && !(below !== undefined && stored >= below);
      if (inRange && (number === 0 || Math.abs(stored) >= SMALLEST)) return undefined;
      const limit = below === undefined ? `to ${max}` : `to below ${below}`;
      return `a number from ${min} ${limit} that float32 can hold`;
    }
    case "boolean":
      return typeof value === "boolean" ? undefined : "true or false";
    case "choice":
      return field.values.includes(value as string | boolean) ? undefined : `one of ${field.values.join(", ")}`;
    case "integers":
      return Array.isArray(value) && value.length <= MOST_LAYERS && value.every((x) => isInteger(x, field.min))
        ? undefined
        : `a list of at most ${MOST_LAYERS} whole numbers from ${field.min} to ${LARGEST_SIZE}, such as [256,128]`;
    case "names":
      return Array.isArray(value) && value.every((x) => typeof x === "string")
        ? undefined
        : 'a list of feature names, such as ["phone"]';
    case "widths":
      return typeof value === "object" &&
        value !== null &&
        !Array.isArray(value) &&
        Object.values(value).every((x) => isInteger(x, 1))
        ? undefined
        : 'an object of widths by feature, such as {"item":64}';
  }
}
