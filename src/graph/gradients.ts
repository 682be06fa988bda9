import { ShortlistError } from "../errors.js";
import { formatShape, sameShape } from "./dims.js";
import type { Graph, GraphOp, Node, Tensor } from "./graph.js";
import { type Attribute, STORED_ROLES } from "./program.js";

/**
 * One term of a table's gradient: row `ids[j]` gains `scale[j] · rows[r(j)]`, where `rows` is [m, width] and r(j) is
 * the row whose range `offsets[r] ≤ j < offsets[r + 1]` holds j; without `offsets`, r(j) = ⌊j / (ids per row)⌋.
 * No row is copied: an embedding lookup's term is its ids and the gradient of its output.
 */
export interface RowTerm {
  /** The rows of the table that gain something, int32, of any shape. */
  readonly ids: Tensor;
  /** What they gain, read as [m, width]. */
  readonly rows: Tensor;
  /** Where the ids of each of the m rows begin, int32 [m + 1]. */
  readonly offsets?: Tensor;
  /** A factor for each id, of as many elements; 1 where it is left out. */
  readonly scale?: Tensor;
}

/** A parameter's gradient: a tensor of its shape, or terms for the rows that the batch touched. */
export type Gradient =
  | { readonly kind: "dense"; readonly tensor: Tensor }
  | { readonly kind: "rows"; readonly terms: readonly RowTerm[] };

/** One application of an op, as its gradient rule reads it. */
export interface GradientContext {
  /** The graph that the rule adds its instructions to. */
  readonly graph: Graph;
  /** The name of the application's first output, which names the tensors that the rule adds. */
  readonly name: string;
  /** All attributes of the application. */
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** The tensor of an input slot that is filled. */
  input(slot: string): Tensor;
  /** The tensors of an input slot that takes a list. */
  list(slot: string): readonly Tensor[];
  /** The tensor of an input slot that may be empty. */
  optional(slot: string): Tensor | undefined;
  /** The tensor of an output slot. */
  output(slot: string): Tensor;
  /** The gradient of the loss by an output; ERR_GRAPH where the loss does not depend on it. */
  outputGradient(slot: string): Tensor;
  /** Whether the gradient by an input is wanted. */
  needed(slot: string): boolean;
}

/** Gradients by input slot: dense tensors (a list for a list slot, with holes where not needed) or row terms. */
export type SlotGradient = Tensor | readonly (Tensor | undefined)[] | { readonly rows: readonly RowTerm[] };

/**
 * Adds the instructions of an op's gradient to the graph, and gives the gradients by the inputs that it has one for.
 */
export type GradientRule = (context: GradientContext) => Record<string, SlotGradient | undefined>;

/** How several gradients of one tensor become one. `gradients` is given it because a graph knows no op. */
export interface GradientSums {
  /** The op that sums two tensors of one shape: inputs `left` and `right`, output `output`. */
  readonly add: GraphOp;
  /** Sums row terms, and `base` where there is one, into a tensor of the table's shape. */
  scatterAdd(graph: Graph, name: string, table: Tensor, terms: readonly RowTerm[], base: Tensor | undefined): Tensor;
}

/**
 * Adds the instructions that compute the gradient of a loss by each of `parameters`, source to source: the nodes are
 * walked backwards and each op's rule adds its own gradient instructions. `seeds` holds the gradient of the loss by the
 * tensors where the walk starts (for a scalar loss, itself: a tensor that holds 1). Row terms stay row terms where all
 * that reads a parameter gives them; a table that is computed, or read as a matrix as well, has a dense gradient. A
 * parameter that the seeds do not depend on has no entry in the result.
 */
export function gradients(
  graph: Graph,
  seeds: ReadonlyMap<Tensor, Tensor>,
  parameters: readonly Tensor[],
  sums: GradientSums,
): Map<Tensor, Gradient> {
  const { add, scatterAdd } = sums;
  const nodes = [...graph.nodes];
  const needsGradient = reachableFrom(nodes, parameters);
  const dense = new Map<Tensor, Tensor>(seeds);
  const rows = new Map<Tensor, RowTerm[]>();
  for (const [tensor, seed] of seeds) {
    if (!sameShape(tensor.shape, seed.shape)) {
      throw new ShortlistError(
        "ERR_GRAPH",
        `Expected a gradient of shape ${formatShape(tensor.shape)} for ${tensor.name} but received ${formatShape(seed.shape)}`,
      );
    }
  }

  const addDense = (node: Node, slot: string, tensor: Tensor, gradient: Tensor) => {
    if (!sameShape(gradient.shape, tensor.shape)) {
      throw new ShortlistError(
        "ERR_GRAPH",
        `[${node.op.name}] Gradient of ${slot} (${tensor.name}) has shape ${formatShape(gradient.shape)}, expected ${formatShape(tensor.shape)}`,
      );
    }
    const before = dense.get(tensor);
    dense.set(
      tensor,
      before ? graph.apply(add, `${tensor.name}.gradient`, { left: before, right: gradient })["output"]! : gradient,
    );
  };

  /** Whatever reads `table` has been walked past. */
  const makeDense = (table: Tensor) => {
    const terms = rows.get(table);
    if (!terms) return;
    dense.set(table, scatterAdd(graph, `${table.name}.gradient`, table, terms, dense.get(table)));
    rows.delete(table);
  };

  for (const node of nodes.reverse()) {
    const outputs = Object.values(node.outputs).flat() as Tensor[];
    if (outputs.every(({ role }) => STORED_ROLES.has(role))) continue; // an update in place is no part of the loss
    outputs.forEach(makeDense);
    if (!outputs.some((tensor) => dense.has(tensor))) continue;
    if (!inputTensors(node).some((tensor) => needsGradient.has(tensor))) continue;
    if (!node.op.gradient) throw new ShortlistError("ERR_GRAPH", `[${node.op.name}] has no gradient rule`);
    const slots = node.op.gradient(gradientContext(graph, node, dense, needsGradient));
    for (const [slot, gradient] of Object.entries(slots)) {
      if (gradient === undefined) continue;
      const operand = node.inputs[slot]!;
      if ("rows" in gradient) {
        const table = operand as Tensor;
        if (!needsGradient.has(table)) continue;
        rows.set(table, [...(rows.get(table) ?? []), ...gradient.rows]);
        continue;
      }
      const tensors = [operand].flat() as Tensor[];
      [gradient].flat().forEach((member, i) => {
        const tensor = tensors[i]!;
        if (member && needsGradient.has(tensor)) addDense(node, slot, tensor, member as Tensor);
      });
    }
  }

  const result = new Map<Tensor, Gradient>();
  for (const parameter of parameters) {
    if (dense.has(parameter)) makeDense(parameter);
    const tensor = dense.get(parameter);
    const terms = rows.get(parameter);
    if (tensor) result.set(parameter, { kind: "dense", tensor });
    if (terms) result.set(parameter, { kind: "rows", terms });
  }
  return result;
}

function inputTensors(node: Node): Tensor[] {
  return Object.values(node.inputs).flat() as Tensor[];
}

/** The tensors through which the loss depends on `sources`, the sources themselves included. */
function reachableFrom(nodes: readonly Node[], sources: readonly Tensor[]): Set<Tensor> {
  const reachable = new Set(sources);
  for (const node of nodes) {
    if (!inputTensors(node).some((tensor) => reachable.has(tensor))) continue;
    for (const tensor of Object.values(node.outputs).flat() as Tensor[]) {
      if (tensor.dtype === "float32") reachable.add(tensor);
    }
  }
  return reachable;
}

function gradientContext(
  graph: Graph,
  node: Node,
  dense: ReadonlyMap<Tensor, Tensor>,
  needsGradient: ReadonlySet<Tensor>,
): GradientContext {
  const output = (slot: string) => node.outputs[slot] as Tensor;
  return {
    graph,
    name: (Object.values(node.outputs).flat() as Tensor[])[0]!.name,
    attributes: node.attributes,
    input: (slot) => node.inputs[slot] as Tensor,
    list: (slot) => node.inputs[slot] as readonly Tensor[],
    optional: (slot) => node.inputs[slot] as Tensor | undefined,
    output,
    outputGradient: (slot) => {
      const gradient = dense.get(output(slot));
      if (!gradient) throw new ShortlistError("ERR_GRAPH", `[${node.op.name}] Output "${slot}" has no gradient`);
      return gradient;
    },
    needed: (slot) => ([node.inputs[slot] ?? []].flat() as Tensor[]).some((tensor) => needsGradient.has(tensor)),
  };
}
