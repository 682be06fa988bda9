import { ShortlistError } from "../errors.js";
import { formatShape, sameShape } from "./dims.js";
import type { Graph, GraphOp, Node, Tensor } from "./graph.js";
import { type Attribute, STORED_ROLES } from "./program.js";

/**
 * One term of the gradient of a table: for each j, row `ids[j]` of the gradient gains `scale[j] · rows[r(j)]`. `rows`
 * is [m, width], and r(j) is the row with `offsets[r] ≤ j < offsets[r + 1]`, or ⌊j / (ids per row)⌋ without `offsets`.
 * No row is copied: the term of an embedding lookup consists of its ids and the gradient of its output.
 */
export interface RowTerm {
  /** The rows of the table that have a gradient, int32, of any shape. */
  readonly ids: Tensor;
  /** The gradients, read as [m, width]. */
  readonly rows: Tensor;
  /** Index of the first id of each of the m rows, int32 [m + 1]. */
  readonly offsets?: Tensor;
  /** A factor for each id (default 1). */
  readonly scale?: Tensor;
}

/** The gradient of a parameter: a tensor of its shape, or row terms for the rows that the batch reads. */
export type Gradient =
  | { readonly kind: "dense"; readonly tensor: Tensor }
  | { readonly kind: "rows"; readonly terms: readonly RowTerm[] };

/** An application of an op, for its gradient rule. */
export interface GradientContext {
  /** The graph to which the rule adds its instructions. */
  readonly graph: Graph;
  /** Name of the first output. The names of the tensors that the rule adds start with it. */
  readonly name: string;
  /** All attributes of the application. */
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** Returns the tensor of an input slot that is not empty. */
  input(slot: string): Tensor;
  /** Returns the tensors of an input slot that takes a list. */
  list(slot: string): readonly Tensor[];
  /** Returns the tensor of an input slot, or undefined if the slot is empty. */
  optional(slot: string): Tensor | undefined;
  /** Returns the tensor of an output slot. */
  output(slot: string): Tensor;
  /** Returns the gradient of the loss by an output. Throws ERR_GRAPH if the loss does not depend on it. */
  outputGradient(slot: string): Tensor;
  /** Whether the gradient by an input is needed. */
  needed(slot: string): boolean;
}

/**
 * The gradient by an input slot: a tensor, a list of tensors for a list slot (undefined where not needed), or row
 * terms.
 */
export type SlotGradient = Tensor | readonly (Tensor | undefined)[] | { readonly rows: readonly RowTerm[] };

/** Adds the instructions of an op's gradient to the graph, and returns the gradient by each input that has one. */
export type GradientRule = (context: GradientContext) => Record<string, SlotGradient | undefined>;

/** How gradients of one tensor are added. It is passed to `gradients` because graphs do not know any op. */
export interface GradientSums {
  /** The op that adds two tensors of the same shape: inputs `left` and `right`, output `output`. */
  readonly add: GraphOp;
  /** Adds row terms and `base`, if given, to a tensor of the table's shape. */
  scatterAdd(graph: Graph, name: string, table: Tensor, terms: readonly RowTerm[], base: Tensor | undefined): Tensor;
}

/**
 * Adds the instructions that compute the gradient of a loss by each of `parameters` (source-to-source automatic
 * differentiation). It visits the nodes backwards, and the gradient rule of each op adds instructions. `seeds` has the
 * gradient of the loss by the tensors where it starts: for a scalar loss, the loss itself and a tensor with value 1.
 *
 * The gradient of a table stays row terms if all ops that read the table return row terms. It becomes dense if the
 * table is computed, or read as a matrix as well. Parameters that the seeds do not depend on are not in the result.
 * Throws ERR_GRAPH if an op on the way has no gradient rule.
 */
export function gradients(
  graph: Graph,
  seeds: ReadonlyMap<Tensor, Tensor>,
  parameters: readonly Tensor[],
  sums: GradientSums,
): Map<Tensor, Gradient> {
  const nodes = [...graph.nodes];
  const needed = reachableFrom(nodes, parameters);
  const found = new FoundGradients(graph, sums, seeds);
  for (const node of nodes.reverse()) {
    const outputs = Object.values(node.outputs).flat() as Tensor[];
    if (outputs.every(({ role }) => STORED_ROLES.has(role))) continue; // an update in place is no part of the loss
    for (const output of outputs) found.makeDense(output);
    if (!outputs.some((tensor) => found.dense.has(tensor))) continue;
    if (!inputTensors(node).some((tensor) => needed.has(tensor))) continue;
    if (!node.op.gradient) throw new ShortlistError("ERR_GRAPH", `[${node.op.name}] has no gradient rule`);
    const slots = node.op.gradient(gradientContext(graph, node, found.dense, needed));
    for (const [slot, gradient] of Object.entries(slots)) {
      if (gradient !== undefined) found.add(node, slot, gradient, needed);
    }
  }
  return found.of(parameters);
}

/** The gradients that are known while the nodes are visited backwards. */
class FoundGradients {
  readonly dense: Map<Tensor, Tensor>;
  readonly #rows = new Map<Tensor, RowTerm[]>();
  readonly #graph: Graph;
  readonly #sums: GradientSums;

  constructor(graph: Graph, sums: GradientSums, seeds: ReadonlyMap<Tensor, Tensor>) {
    this.#graph = graph;
    this.#sums = sums;
    this.dense = new Map(seeds);
    for (const [tensor, seed] of seeds) {
      if (sameShape(tensor.shape, seed.shape)) continue;
      throw new ShortlistError(
        "ERR_GRAPH",
        `Expected a gradient of shape ${formatShape(tensor.shape)} for ${tensor.name} but received ${formatShape(seed.shape)}`,
      );
    }
  }

  /** Adds what the rule of a node returned for an input slot, for the tensors whose gradient is needed. */
  add(node: Node, slot: string, gradient: SlotGradient, needed: ReadonlySet<Tensor>): void {
    const operand = node.inputs[slot]!;
    if ("rows" in gradient) {
      const table = operand as Tensor;
      if (needed.has(table)) this.#rows.set(table, [...(this.#rows.get(table) ?? []), ...gradient.rows]);
      return;
    }
    const tensors = [operand].flat() as Tensor[];
    for (const [i, member] of [gradient].flat().entries()) {
      const tensor = tensors[i]!;
      if (member && needed.has(tensor)) this.#addDense(node, slot, tensor, member as Tensor);
    }
  }

  #addDense(node: Node, slot: string, tensor: Tensor, gradient: Tensor): void {
    if (!sameShape(gradient.shape, tensor.shape)) {
      throw new ShortlistError(
        "ERR_GRAPH",
        `[${node.op.name}] Gradient of ${slot} (${tensor.name}) has shape ${formatShape(gradient.shape)}, expected ${formatShape(tensor.shape)}`,
      );
    }
    const before = this.dense.get(tensor);
    const operands = before && { left: before, right: gradient };
    const sum = operands && this.#graph.apply(this.#sums.add, `${tensor.name}.gradient`, operands)["output"]!;
    this.dense.set(tensor, sum ?? gradient);
  }

  /** Turns the row terms of a table into a tensor. All nodes that read the table have been visited. */
  makeDense(table: Tensor): void {
    const terms = this.#rows.get(table);
    if (!terms) return;
    const base = this.dense.get(table);
    this.dense.set(table, this.#sums.scatterAdd(this.#graph, `${table.name}.gradient`, table, terms, base));
    this.#rows.delete(table);
  }

  of(parameters: readonly Tensor[]): Map<Tensor, Gradient> {
    const result = new Map<Tensor, Gradient>();
    for (const parameter of parameters) {
      if (this.dense.has(parameter)) this.makeDense(parameter);
      const tensor = this.dense.get(parameter);
      const terms = this.#rows.get(parameter);
      if (tensor) result.set(parameter, { kind: "dense", tensor });
      if (terms) result.set(parameter, { kind: "rows", terms });
    }
    return result;
  }
}

function inputTensors(node: Node): Tensor[] {
  return Object.values(node.inputs).flat() as Tensor[];
}

/** The sources, and all tensors that depend on them. */
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
