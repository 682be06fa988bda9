/**
 * Building blocks of networks: a `Graph` of ops, the `gradients` of its loss, the Program that a graph compiles to, and
 * the engines that run Programs. To train and serve the recall network, see `shortlist`.
 *
 * @module shortlist/graph
 */

export type {
  Batch,
  BatchOptions,
  TrainingBatches,
  TrainingBatchOptions,
  UserBatches,
  UserBatchOptions,
} from "./data/batches.js";
export type {
  Executor,
  ExecutorOptions,
  FilePosition,
  RunInputs,
  RunOutputs,
  RunUsersOptions,
  StepsOptions,
  StepsResult,
  StoredTensor,
  TensorStore,
} from "./executors/executor.js";
export {
  availableIsas,
  createEngine,
  createNativeEngine,
  createReferenceEngine,
  type Engine,
  type EngineOptions,
} from "./executors/index.js";
export type {
  FoundForUsers,
  FoundItems,
  ItemFilters,
  ItemLists,
  ItemSearch,
  ItemSearchOptions,
  UserQueries,
} from "./executors/item_search.js";
export type { NativeEngineOptions } from "./executors/native.js";
export type { ReferenceOptions } from "./executors/reference.js";
export { checkProgram } from "./graph/check_program.js";
export type { Dim, DimSizes } from "./graph/dims.js";
export {
  type Gradient,
  type GradientContext,
  type GradientRule,
  type GradientSums,
  gradients,
  type RowTerm,
  type SlotGradient,
} from "./graph/gradients.js";
export {
  type Attributes,
  Graph,
  type GraphOp,
  type Initializer,
  type InputSlot,
  type Node,
  type OptionalOperands,
  type OutputShape,
  ShapeOperands,
  type Tensor,
  type TensorOperand,
} from "./graph/graph.js";
export {
  type Attribute,
  type Dtype,
  formatProgram,
  type Instruction,
  type Operand,
  type Program,
  parseProgram,
  type Role,
  selectOutputs,
  type TensorSpec,
} from "./graph/program.js";
export { initializeStore } from "./model/initialize.js";
export * as ops from "./ops/index.js";
export type {
  Bounds,
  Cost,
  CostCall,
  FloatArray,
  IntegerArray,
  KernelCall,
  Op,
  TensorData,
  Value,
} from "./ops/op.js";
export type { RandomValues } from "./random/initial_values.js";
