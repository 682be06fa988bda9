import type { Engine, TensorStore } from "../../src/executors/executor.js";
import { type Gradient, gradients } from "../../src/graph/gradients.js";
import { Graph, type Tensor, type TensorOperand } from "../../src/graph/graph.js";
import { type Program, storedTensors } from "../../src/graph/program.js";
import { OPS } from "../../src/ops/index.js";
import { GRADIENT_SUMS } from "../../src/ops/loss_gradients.js";
import type { TensorData } from "../../src/ops/op.js";
import { type CaseTensor, CaseValues, type OpCase } from "./case.js";

/** A graph and the values of its tensors: everything that an engine needs to run it. */
export interface BuiltCase {
  readonly program: Program;
  /** Values of the stored tensors (parameters, constants, optimizer state), by name. */
  readonly stored: Readonly<Record<string, TensorData>>;
  readonly inputs: Readonly<Record<string, TensorData>>;
}

/** Creates a store with the case's stored tensors. */
export function storeOf(engine: Engine, { program, stored }: BuiltCase): TensorStore {
  const store = engine.createStore();
  for (const { name, dtype, shape } of storedTensors(program)) {
    store.define({ name, dtype, shape });
    store.write(name, stored[name]!);
  }
  return store;
}

/** Name of the input with the gradient of the loss with respect to the op's first output. */
export const SEED = "result.seed";

/** Name of tensor number `i` of a list slot. */
export const listName = (slot: string, i: number) => `${slot}.${i}`;

/** Makes every temporary an output of the Program under its own name, so that tests can compare it. */
export function outputTemporaries(graph: Graph): void {
  for (const tensor of graph.nodes.flatMap((node) => Object.values(node.outputs).flat() as Tensor[])) {
    if (tensor.role === "temporary") graph.output(tensor.name, tensor);
  }
}

export interface CaseGraph extends BuiltCase {
  /** The tensors of `stored` and `inputs`, by name. */
  readonly given: Readonly<Record<string, CaseTensor>>;
  /** The op's outputs except stored tensors; lists are flattened. */
  readonly outputs: readonly Tensor[];
  /** Gradients by the name of the parameter. */
  readonly gradients: ReadonlyMap<string, Gradient>;
}

/**
 * Builds the graph of a case: its op and, with `gradients`, the instructions of its gradient. Every temporary is an
 * output.
 */
export function buildCase(opCase: OpCase, options: { readonly gradients: boolean }): CaseGraph {
  const op = OPS.get(opCase.op)!;
  const graph = new Graph();
  const given: Record<string, CaseTensor> = {};
  const stored: Record<string, TensorData> = {};
  const inputs: Record<string, TensorData> = {};
  const differentiated: Tensor[] = [];

  const define = (slot: string, name: string, tensor: CaseTensor): Tensor => {
    const { dtype, shape, values } = tensor;
    given[name] = tensor;
    const differentiate = opCase.differentiate?.includes(slot) ?? false;
    if (!differentiate && !op.outputs.includes(slot)) {
      inputs[name] = values;
      return graph.input(name, dtype, shape);
    }
    stored[name] = values;
    if (!differentiate) return graph.optimizerState(name, shape, { kind: "zeros" }, dtype);
    const parameter = graph.parameter(name, shape, { kind: "zeros" });
    differentiated.push(parameter);
    return parameter;
  };
  const operands: Record<string, TensorOperand> = {};
  for (const [slot, operand] of Object.entries(opCase.operands)) {
    operands[slot] = Array.isArray(operand)
      ? operand.map((tensor: CaseTensor, i) => define(slot, listName(slot, i), tensor))
      : define(slot, slot, operand as CaseTensor);
  }
  const results = graph.apply(op, "result", operands, opCase.attributes) as Record<string, TensorOperand>;
  const outputs = (Object.values(results).flat() as Tensor[]).filter(({ role }) => role === "temporary");

  let found: ReadonlyMap<Tensor, Gradient> = new Map();
  if (options.gradients && differentiated.length > 0) {
    const first = outputs[0]!;
    const seed = define("", SEED, new CaseValues(99).normal(first.shape as number[]));
    found = gradients(graph, new Map([[first, seed]]), differentiated, GRADIENT_SUMS);
  }
  outputTemporaries(graph);
  const gradientsByName = new Map([...found].map(([tensor, gradient]) => [tensor.name, gradient]));
  return { program: graph.toProgram(), given, stored, inputs, outputs, gradients: gradientsByName };
}
