/**
 * The library: `prepareDataset` turns click logs into a dataset, `train` turns a dataset into a model, and `recommend`
 * and `writeItemVectors` read shortlists and vectors out of a model. To build networks of your own, see
 * `shortlist/graph`.
 *
 * @module shortlist
 */

export type { AppearLimit } from "./data/appear_limits.js";
export type {
  Clicks,
  EncodedLog,
  EncodeOptions,
  Encoding,
  ItemValues,
  NumberStatistics,
  NumberValues,
  Searches,
  UserValues,
} from "./data/clicks.js";
export {
  type ClickNumberSummary,
  type Dataset,
  type Grown,
  type OpenDatasetOptions,
  openDataset,
  type Preparation,
  type PreparedDataset,
  type PrepareOptions,
  prepareDataset,
  testLogOf,
} from "./data/dataset.js";
export { encodeLog } from "./data/encode_log.js";
export type { LastGrowths } from "./data/evict.js";
export type { FeatureCounts } from "./data/feature_counts.js";
export type { Growth, GrowthOptions } from "./data/grow.js";
export type { HoldOut } from "./data/hold_out.js";
export {
  type ClickField,
  type ClickProperty,
  type Column,
  DEFAULT_MISSING,
  DEFAULT_SCHEMA,
  type ItemFeature,
  parseSchema,
  readSchema,
  type Schema,
} from "./data/schema.js";
export { type SimulatedLogs, type SimulateOptions, simulate } from "./data/simulate.js";
export { clickLog } from "./data/sources/click_log.js";
export type { Compression } from "./data/sources/decompress.js";
export type { Log } from "./data/sources/log.js";
export {
  type LogOptions,
  type LogReport,
  type ReadLogOptions,
  type ReportedLogOptions,
  readLog,
} from "./data/sources/read_log.js";
export type { Click, LogRow, LogSource, RowBinding, RowSink, Token } from "./data/sources/source.js";
export { areClickLogs, areItemTables } from "./data/tables/click_log_or_table.js";
export type { CsvForm, Encoding as TextEncoding, JsonForm, ParquetForm } from "./data/tables/file_form.js";
export {
  type PrepareTablesOptions,
  prepareTables,
  type UnderstandTablesOptions,
  type UnderstoodColumn,
  type UnderstoodTable,
  type UnderstoodTables,
  understandTables,
} from "./data/tables/prepare_tables.js";
export { withStandardInput } from "./data/tables/standard_input.js";
export {
  type EventSource,
  type FeatureKind,
  type FeatureSource,
  type FeatureTableSource,
  type GivenForm,
  type ItemTableSource,
  parseTableSource,
  readTableSource,
  type SearchSource,
  type TableSource,
  type TimeUnit,
} from "./data/tables/table_source.js";
export type { ClickTimes, OrderReport } from "./data/times.js";
export type { Titles } from "./data/titles.js";
export { removeUnfinished } from "./data/unfinished.js";
export { UNKNOWN, Vocabulary } from "./data/vocabulary.js";
export type { ClickWeights } from "./data/weights.js";
export { ERROR_CODES, type ErrorCode, ShortlistError } from "./errors.js";
export { type ExportOnnxOptions, type ExportReport, exportOnnx } from "./export/export_onnx.js";
export type { ExportedInput } from "./export/user_tower.js";
export {
  type CatalogueConfig,
  type ModelConfig,
  PRESETS,
  type ReadConfigOptions,
  readConfig,
  resolveConfig,
} from "./model/config.js";
export {
  type ExtendFolderOptions,
  type ExtendOptions,
  type Extension,
  type ExtensionReport,
  extendModel,
  extendModelFolder,
} from "./model/extend.js";
export {
  type DatasetInspection,
  type InspectedInstruction,
  type Inspection,
  type InspectOptions,
  inspect,
  type ModelInspection,
} from "./model/inspect.js";
export {
  Model,
  type ModelDescription,
  type OpenModelOptions,
  openModel,
  type SaveModelOptions,
  saveModel,
} from "./model/model.js";
export type {
  ContributingClick,
  ItemScores,
  Recommendation,
  RecommendedByModel,
  ScoredItem,
  SimilarItem,
  SimilarityList,
  UserAnswer,
  UserVector,
} from "./model/requests/answers.js";
export type { CandidateOptions } from "./model/requests/candidates.js";
export type { CandidateIndex } from "./model/requests/item_index.js";
export type { ModelRecommendOptions, ModelSimilarOptions, ModelUserOptions } from "./model/requests/options.js";
export type { RankedItem } from "./model/requests/ranking.js";
export type { ClickRequest, ClickValue, FeatureValue, UnknownValue, UserRequest } from "./model/requests/values.js";
export type { RankingMetrics, TrainingRecord } from "./model/training_record.js";
export type { Estimate } from "./report/bootstrap.js";
export {
  type ComparedMetric,
  type ComparedModel,
  type CompareOptions,
  type Comparison,
  compareModels,
  type SettingDifference,
  type TrainingCost,
} from "./report/compare.js";
export { type ReportOptions, type WrittenReport, writeReport } from "./report/report.js";
export { type BuildIndexOptions, buildIndex, type IndexProgress } from "./retrieve/build_index.js";
export type { IndexSpace } from "./retrieve/index_space.js";
export {
  type IndexDescription,
  type ItemIndex,
  type OpenIndexOptions,
  openIndex,
  type SpaceFigures,
} from "./retrieve/item_index.js";
export {
  type MineOptions,
  type MineSimilarOptions,
  type MineUsersOptions,
  minePopular,
  mineSimilar,
  mineUsers,
  type PopularItem,
  type SimilarItems,
} from "./retrieve/mine.js";
export {
  type MinedFileOptions,
  type MinedForm,
  type MinedReport,
  type WriteMinedPopularOptions,
  type WriteMinedSimilarOptions,
  type WriteMinedUsersOptions,
  writeMinedPopular,
  writeMinedSimilar,
  writeMinedUsers,
} from "./retrieve/mine_files.js";
export { type MinedList, minedLine } from "./retrieve/mined_line.js";
export {
  type RecommendedItem,
  type RecommendOptions,
  recommend,
  type Shortlist,
  type ShortlistOptions,
} from "./retrieve/recommend.js";
export type { VectorForm, VectorTransform } from "./retrieve/vector_files.js";
export {
  type UserVectorOptions,
  type VectorOptions,
  type VectorReport,
  writeItemVectors,
  writeUserVectors,
} from "./retrieve/vectors.js";
export { SERVE_LIMITS, type ServeLimits, type ServeOptions } from "./serve/options.js";
export type { ReloadResult } from "./serve/served_model.js";
export { type ModelServer, serveModels } from "./serve/server.js";
export type { CheckpointEvery } from "./train/checkpoint_schedule.js";
export type { EarlyStoppingState } from "./train/early_stopping.js";
export {
  type EvaluateOptions,
  type Evaluation,
  type EvaluationProtocol,
  evaluate,
  type RankingOptions,
} from "./train/evaluate.js";
export type { Exposure, ExposureGroup } from "./train/exposure.js";
export {
  type DatasetRecord,
  type EpochRecord,
  readHistory,
  type StartRecord,
  type StepRecord,
  type TrainingHistory,
  type TrainingSeconds,
} from "./train/history.js";
export type { EpochSums, TrainedEpoch, TrainingPosition, TrainingState } from "./train/loop.js";
export type { PilotRecord } from "./train/pilot.js";
export type { InstructionProfile, TrainingProfile } from "./train/profile.js";
export { type EpochEvaluation, type SessionOptions, type SessionState, TrainingSession } from "./train/session.js";
export {
  type EpochResult,
  type TrainOptions,
  type TrainReport,
  train,
  type WrittenCheckpoint,
} from "./train/trainer.js";
export type { TrainingTensor } from "./train/training_network.js";
export { TransitionRanking } from "./train/transitions.js";
export { type UpdateOptions, type UpdateReport, update } from "./train/update.js";
export type { HeldOutValidation, LogValidation, Validation } from "./train/validation.js";
export type { Trial } from "./tune/results.js";
export { type Choice, parseSpace, readSpace, type SearchSpace, type Settings } from "./tune/space.js";
export { type TuneOptions, type TuneProgress, type TuneReport, tune } from "./tune/tune.js";
