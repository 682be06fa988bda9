import type { StoredFormat } from "../data/stored_format.js";

/**
 * The format of `config.json` in a model folder. A change of it, such as a new configuration key, is a new version with a
 * migration: what the key is to be for models that were saved without it, so that they compute what they did. The same
 * migrations stand in native/serve/config.cc, and test/fixtures has a model of every version.
 */
export const MODEL_FORMAT: StoredFormat = {
  name: "shortlist-model",
  version: 1,
  code: "ERR_MODEL",
  remake: "train the model again",
  migrations: [],
};
