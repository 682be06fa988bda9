import { parseJson, readText } from "../data/files.js";
import { checkOptions, nearestName, ShortlistError } from "../errors.js";

/**
 * The recall network and its training. Every key can be set with `--set` or in a configuration file;
 * docs/configuration.md has a table of all keys.
 */
export interface ModelConfig {
  /**
   * With sliding windows, the largest number of history clicks that a prediction reads. With growing windows, the
   * smallest number, if the user has that many.
   */
  window: number;
  /**
   * "sliding": each prediction reads the last `window` clicks. "growing": a user's clicks are cut into segments, and
   * each prediction reads from the start of its segment on, which is between the last `window` and the last 2·`window`
   * clicks (docs/math.md#windows).
   */
  windows: "sliding" | "growing";
  /** Names of schema features that the network does not read. */
  exclude: readonly string[];
  /** Embedding width of each named feature. Other features get `defaultEmbeddingWidth`. */
  embeddingWidths: Readonly<Record<string, number>>;
  /** Embedding width of the features that `embeddingWidths` does not name. */
  defaultEmbeddingWidth: number;
  /**
   * Whether the network reads the age of each training example, so that it can learn how popularity changes over time
   * (Covington et al. 2016, section 3.3). In inference the age is 0. Needs click times.
   */
  exampleAge: boolean;
  /**
   * How the clicked items become one vector: an LSTM with pooling over its timesteps, or the mean of their embeddings.
   */
  history: "lstm" | "mean";
  /** Width of the LSTM's hidden state. */
  lstmWidth: number;
  /** Number of stacked LSTM layers, each of width `lstmWidth`. */
  lstmLayers: number;
  /** Which of the LSTM's hidden states the next layer reads: their maximum over time, or the last one. */
  pooling: "max" | "last";
  /** Whether the embedding of the last click is an input beside the pooled hidden states, bypassing the LSTM. */
  lastClick: boolean;
  /** Whether the LSTM has peephole weights. Their initial value is 0. */
  peepholes: boolean;
  /** Initial value of the forget gate's bias (Jozefowicz et al. 2015). */
  forgetBias: number;
  /** Widths of the hidden ReLU layers below the user vector. */
  hiddenWidths: readonly number[];
  /** Width of the user vectors and item vectors. */
  userVectorWidth: number;
  /** Whether the user vector reads the inputs of the hidden layers as well as their output (as in He et al. 2016). */
  skipHidden: boolean;
  /**
   * How item attributes enter: "pooled" averages their embeddings over the window (as in the original), "sequence" adds
   * them to the item's embedding before the LSTM, "both" does both.
   */
  attributes: "pooled" | "sequence" | "both";
  /**
   * Whether item embeddings serve as item vectors too (Press & Wolf 2017) instead of a separate table. Item embeddings
   * then have the width of the user vector.
   */
  tiedItems: boolean;
  /**
   * Whether an item's vector is the sum of a row of its own and the mean embedding of each of its attributes. A
   * training step then costs time proportional to the number of items. "auto" means true for at most 100,000 items.
   */
  itemAttributes: boolean | "auto";
  /** Activation of the user vector's layer. */
  userVectorActivation: "relu" | "none";
  /** Training loss. "auto" means softmax for at most 20,000 items, and sampled_softmax for more. */
  loss: "nce" | "paddle_nce" | "sampled_softmax" | "softmax" | "auto";
  /**
   * "noise": negatives are drawn from the noise distribution. "batch": the targets of the batch are the negatives;
   * `noisePower` then counts as 1.
   */
  negatives: "noise" | "batch";
  /** Number of negatives for each sample, or for the whole batch with `sharedDraws`. */
  draws: number;
  /** Whether all samples of a batch have the same negatives, drawn once, instead of separate draws for each sample. */
  sharedDraws: boolean;
  /** The noise distribution is proportional to count^noisePower. */
  noisePower: number;
  /** Whether the loss of a batch is the mean or the sum of the losses of its samples. */
  reduction: "mean" | "sum";
  /** How parameters are updated (docs/math.md#optimizers). */
  optimizer: "adagrad" | "rowwise_adagrad" | "adam" | "sgd";
  /** Learning rate at the end of warm-up. */
  learningRate: number;
  /** ε of Adam and AdaGrad. */
  epsilon: number;
  /** Whether AdaGrad divides by √(a + ε) instead of √a + ε. */
  epsilonInside: boolean;
  /** Decay rate of Adam's first moment. */
  beta1: number;
  /** Decay rate of Adam's second moment. */
  beta2: number;
  /** L2 decay of weights, without embedding tables. */
  l2: number;
  /** Whether `l2` also applies to biases and peephole weights. */
  l2Biases: boolean;
  /**
   * Whether `l2` also applies to the output table. The decay is lazy: a row's outstanding decay is applied when the row
   * is next updated. Needs AdaGrad.
   */
  l2Output: boolean;
  /**
   * Limit of the joint norm of all dense gradients, which are scaled down to it (Pascanu et al. 2013); 0 for no limit.
   */
  clipNorm: number;
  /** Standard deviation of the initial values of embedding tables. */
  embeddingDeviation: number;
  /** Standard deviation of the initial output weights; 0 means 1/√items. */
  outputDeviation: number;
  /** Dropout rate of the clicks' embeddings before the LSTM, in training only (Srivastava et al. 2014). */
  embeddingDropout: number;
  /** Dropout rate of the inputs of the hidden layers and of the user vector, in training only. */
  dropout: number;
  /**
   * Probability with which training replaces a user feature of a sample by `<unk>`, so that new users get useful
   * vectors.
   */
  userDropout: number;
  /** Number of steps over which the learning rate rises linearly at the start. */
  warmupSteps: number;
  /**
   * Learning rate at the end, as a fraction of `learningRate`. It falls along half a cosine (Loshchilov & Hutter 2017).
   */
  finalLearningRate: number;
  /** Number of samples in a batch. */
  batchSize: number;
  /**
   * "shuffled": each sample has a window of its own, in shuffled order. "shared": batches hold whole segments, whose
   * samples share positions and sequences.
   */
  batching: "shuffled" | "shared";
  /** Number of times that training goes through the dataset. */
  epochs: number;
  /**
   * Precision of the operands of matrix products: float32, or rounded to bfloat16. Sums, weights and updates are
   * float32.
   */
  precision: "float32" | "bf16";
}

/** A configuration for one catalogue, in which no key is "auto". */
export interface CatalogueConfig extends ModelConfig {
  readonly itemAttributes: boolean;
  readonly loss: Exclude<ModelConfig["loss"], "auto">;
}

/** Largest catalogues for which "auto" selects the exact softmax, and item vectors with attributes. */
const SOFTMAX_ITEMS = 20_000;
const COMPOSED_ITEMS = 100_000;

/** Replaces each "auto" by its value for this number of items. */
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

/** The range of float32. Smaller numbers would be 0 or lose precision, larger ones would be infinite. */
const SMALLEST = 2 ** -126;
const LARGEST = (2 - 2 ** -23) * 2 ** 127;
/** Limit of standard deviations: normal random numbers are less than ten deviations from 0, and must fit in float32. */
const LARGEST_DEVIATION = 1e37;
/** Limit of `noisePower`, so that the sum of the powers stays finite. */
const LARGEST_POWER = 10;
/** Sizes, and the ids below them, are int32. */
const LARGEST_SIZE = 2 ** 31 - 1;
/** Limit of `lstmLayers`, and of the length of `hiddenWidths`. */
const MAX_LAYERS = 64;

/**
 * Keys that were renamed: former name to current name. Stored models are migrated; a configuration file may have either
 * name.
 */
const FORMER_KEYS: ReadonlyMap<string, keyof ModelConfig> = new Map([["passes", "epochs"]]);

const FIELDS: Readonly<Record<keyof ModelConfig, Field>> = {
  window: { kind: "integer", min: 1 },
  windows: { kind: "choice", values: ["sliding", "growing"] },
  exclude: { kind: "names" },
  embeddingWidths: { kind: "widths" },
  defaultEmbeddingWidth: { kind: "integer", min: 1 },
  exampleAge: { kind: "boolean" },
  history: { kind: "choice", values: ["lstm", "mean"] },
  lstmWidth: { kind: "integer", min: 1 },
  lstmLayers: { kind: "integer", min: 1, max: MAX_LAYERS },
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
  epochs: { kind: "integer", min: 1 },
  precision: { kind: "choice", values: ["float32", "bf16"] },
};

/**
 * Embedding widths of the original network for the features of the default schema. Other schemas may lack some of them.
 */
export const ORIGINAL_WIDTHS = { user_id: 64, province: 8, city: 16, phone: 16, item: 64, category: 8, tags: 64 };

/**
 * The network, loss, initial values, decay and optimizer of PaddlePaddle's youtube_recall (docs/math.md#the-network).
 */
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
  epochs: 1,
  precision: "float32",
};

/** The best configuration over several datasets; docs/quality.md has the measurements. */
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
  epochs: 6,
};

/**
 * The presets: "default" has the best measured quality, "paddle" is the network of the original example
 * (docs/configuration.md).
 */
export const PRESETS: Readonly<Record<string, ModelConfig>> = { default: DEFAULT, paddle: PADDLE };

/**
 * Builds a configuration from a preset, the keys of `changes`, and `key=value` strings, which win. The values of the
 * strings are JSON or plain text, and the entries of a map are set with a dot: `embeddingWidths.item=32`. Throws
 * ERR_CONFIG that names the key, what was expected and what was received.
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

/** Throws ERR_CONFIG unless this key exists and can have this value. The key may have a dot: `embeddingWidths.item`. */
export function checkSetting(key: string, value: unknown): void {
  setDottedKey({}, key, value);
}

/** Throws ERR_CONFIG if two keys contradict each other. */
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

/** Options of `readConfig`. */
export interface ReadConfigOptions {
  /** Called with a warning for each key that the file has under its former name, such as `passes` for `epochs`. */
  readonly onWarning?: ((message: string) => void) | undefined;
}

/**
 * Reads a configuration file: a JSON object with the keys to change, each under its current or its former name. Throws
 * ERR_CONFIG with the path if a key is unknown or has an impossible value. Keys that contradict each other are found
 * later, by `resolveConfig`.
 */
export async function readConfig(path: string, options: ReadConfigOptions = {}): Promise<Partial<ModelConfig>> {
  checkOptions("readConfig", options, { onWarning: true } satisfies Record<keyof ReadConfigOptions, true>);
  const value = parseJson(await readText(path), path, "ERR_CONFIG");
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ShortlistError("ERR_CONFIG", `${path}: Expected a JSON object but received ${JSON.stringify(value)}`);
  }
  const config: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(value)) {
    const name = FORMER_KEYS.get(key);
    if (name !== undefined) {
      if (Object.hasOwn(value, name)) {
        throw new ShortlistError("ERR_CONFIG", `${path}: Expected "${name}" alone but received "${key}" beside it`);
      }
      options.onWarning?.(`${path}: "${key}" is called "${name}" now`);
    }
    setKey(config, name ?? key, setting, `${path}: `);
  }
  return config;
}

/** Checks the configuration of a saved model, which must have every key. Throws ERR_MODEL. */
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

/** Sets a key after checking its value. `where` is the start of error messages. */
function setKey(config: Record<string, unknown>, key: string, value: unknown, where = ""): void {
  const field = FIELDS[key as keyof ModelConfig];
  if (!field || !Object.hasOwn(FIELDS, key)) {
    const nearest = FORMER_KEYS.get(key) ?? nearestName(key, Object.keys(FIELDS));
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

/** Parses a value as JSON (numbers, booleans, lists), or else returns the text itself. */
function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Returns undefined if `value` fits `field`, or else a description of what is expected. */
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
      return Array.isArray(value) && value.length <= MAX_LAYERS && value.every((x) => isInteger(x, field.min))
        ? undefined
        : `a list of at most ${MAX_LAYERS} whole numbers from ${field.min} to ${LARGEST_SIZE}, such as [256,128]`;
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
