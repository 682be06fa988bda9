export {
  type ClickLogOptions,
  type LogOptions,
  type LogReport,
  type ReportedLogOptions,
  readClickLog,
} from "./data/click_log.js";
export { type Clicks, type Encoding, encodeLog } from "./data/clicks.js";
export {
  type Dataset,
  type FeatureCounts,
  openDataset,
  type PreparedDataset,
  type PrepareOptions,
  prepareDataset,
} from "./data/dataset.js";
export { DEFAULT_MISSING, DEFAULT_SCHEMA, parseSchema, readSchema, type Schema } from "./data/schema.js";
export { type SimulateOptions, simulate } from "./data/simulate.js";
export { removeUnfinished } from "./data/unfinished.js";
export { UNKNOWN, Vocabulary } from "./data/vocabulary.js";
export { ERROR_CODES, type ErrorCode, ShortlistError } from "./errors.js";
export {
  availableIsas,
  createEngine,
  createNativeEngine,
  createReferenceEngine,
  type Engine,
  type EngineOptions,
  type Executor,
  type TensorStore,
} from "./executors/index.js";
export { type Gradient, gradients } from "./graph/gradients.js";
export { Graph, type Initializer, type Tensor } from "./graph/graph.js";
export { formatProgram, type Program, parseProgram, selectOutputs } from "./graph/program.js";
export { type ModelConfig, PRESETS, readConfig, resolveConfig } from "./model/config.js";
export { type ExtendOptions, type Extension, extendModel } from "./model/extend.js";
export { type Inspection, inspect } from "./model/inspect.js";
export { Model, openModel, saveModel, trainingMembers, withModelFolder, writeModel } from "./model/model.js";
export * as ops from "./ops/index.js";
export { minePopular, mineSimilar, mineUsers } from "./retrieve/mine.js";
export { recommend, type Shortlist } from "./retrieve/recommend.js";
export { type UserVectorOptions, type VectorOptions, writeItemVectors, writeUserVectors } from "./retrieve/vectors.js";
export { type EvaluateOptions, type Evaluation, evaluate } from "./train/evaluate.js";
export type { RankingMetrics } from "./train/metrics.js";
export type { InstructionProfile, TrainingProfile } from "./train/profile.js";
export { type PassResult, type TrainOptions, type TrainReport, train } from "./train/trainer.js";
export type { TrainedPass, TrainingState } from "./train/training_loop.js";
export { TransitionRanking } from "./train/transitions.js";
export type { Trial } from "./tune/results.js";
export { parseSpace, readSpace, type SearchSpace } from "./tune/space.js";
export { type TuneOptions, type TuneProgress, type TuneReport, tune } from "./tune/tune.js";
