import type { StoredFormat } from "../data/stored_format.js";

/**
 * The format of `config.json` in a model folder. Every change, such as a new configuration key, is a new version with a
 * migration from the version before. The migration gives a new key the value with which older models compute what they
 * always did. native/serve/config.cc has the same migrations, and test/fixtures a model of every version.
 */
export const MODEL_FORMAT: StoredFormat = {
  name: "shortlist-model",
  version: 1,
  code: "ERR_MODEL",
  remake: "train the model again",
  migrations: [],
};
