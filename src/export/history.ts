import type { ModelConfig } from "../model/config.js";
import { dtypeNumber, type OnnxGraph } from "./onnx.js";

/** Marks the places of an input that hold no id. */
export const PADDING = -1;

/** Ids of a click feature, and for a multi-valued one which of them are there. All are names of ONNX tensors. */
export interface ClickIds {
  /** int64 [batch, timesteps], or [batch, timesteps, values]; 0 where there is no id. */
  readonly ids: string;
  /** bool [batch, timesteps, values] for a multi-valued feature. */
  readonly present: string | undefined;
}

/**
 * The part of the clicks that the network reads (docs/math.md#windows), from inputs with all clicks. Users without
 * clicks get a click on `<unk>`, as in batches.
 */
export class History {
  /** int64 [batch, 1] Number of clicks that are read: at least 1. */
  readonly length: string;
  /** bool [batch, timesteps] Which timesteps are clicks of the user. */
  readonly valid: string;
  readonly #graph: OnnxGraph;
  /** int64 [batch, timesteps, 1] The place in the inputs of each timestep. */
  readonly #places: string;
  /** bool [batch, 1, 1] Whether the user has no clicks. */
  readonly #isEmpty: string;

  /** `items` is int64 [batch, clicks]: the ids of the items, then `PADDING`. */
  constructor(graph: OnnxGraph, items: string, { window, windows }: Pick<ModelConfig, "window" | "windows">) {
    const isClick = graph.apply("GreaterOrEqual", [items, graph.integers(0)]);
    const clicks = graph.apply("ReduceSum", [
      graph.apply("Cast", [isClick], { to: dtypeNumber("int64") }),
      graph.integers([1]),
    ]);
    const start = windows === "growing" ? startOfSegment(graph, clicks, window) : lastClicks(graph, clicks, window);
    this.#graph = graph;
    this.length = graph.apply("Max", [graph.apply("Sub", [clicks, start]), graph.integers(1)]);
    const timesteps = graph.apply("Range", [graph.integers(0), longest(graph, this.length), graph.integers(1)]);
    this.valid = graph.apply("Less", [timesteps, this.length]);
    // Places after the last click are never read, but must exist. `clickIds` makes room for one more click.
    const last = graph.apply("Gather", [graph.apply("Shape", [items]), graph.integers(1)], { axis: 0 });
    const places = graph.apply("Min", [graph.apply("Add", [start, timesteps]), last]);
    this.#places = graph.apply("Unsqueeze", [places, graph.integers([2])]);
    this.#isEmpty = graph.apply("Unsqueeze", [graph.apply("Equal", [clicks, graph.integers(0)]), graph.integers([2])]);
  }

  /** float32 [batch, timesteps, 1] The numbers that are read: `given` is float32 [batch, clicks], NaN where missing. */
  clickNumbers(given: string): string {
    const graph = this.#graph;
    const padded = graph.apply("Pad", [given, graph.integers([0, 0, 0, 1]), graph.floats([Number.NaN], [])]);
    const read = graph.apply("GatherND", [padded, this.#places], { batch_dims: 1 });
    return graph.apply("Unsqueeze", [read, graph.integers([2])]);
  }

  /** Returns the ids that are read of a feature: `given` is int64 [batch, clicks], or [batch, clicks, values]. */
  clickIds(given: string, multiple: boolean): ClickIds {
    const graph = this.#graph;
    const padding = graph.integers(PADDING);
    const room = graph.integers(multiple ? [0, 0, 0, 0, 1, 1] : [0, 0, 0, 1]);
    const padded = graph.apply("Pad", [given, room, padding]);
    const read = graph.apply("GatherND", [padded, this.#places], { batch_dims: 1 });
    if (!multiple) return { ids: graph.apply("Max", [read, graph.integers(0)]), present: undefined };
    // The click on <unk> of a user without clicks has one value.
    const values = graph.apply("Gather", [graph.apply("Shape", [read]), graph.integers(2)], { axis: 0 });
    const numbers = graph.apply("Range", [graph.integers(0), values, graph.integers(1)]);
    const isFirst = graph.apply("Equal", [numbers, graph.integers(0)]);
    const isUnknown = graph.apply("And", [isFirst, this.#isEmpty]);
    const isGiven = graph.apply("GreaterOrEqual", [read, graph.integers(0)]);
    const isRead = graph.apply("Unsqueeze", [this.valid, graph.integers([2])]);
    return {
      ids: graph.apply("Max", [read, graph.integers(0)]),
      present: graph.apply("And", [graph.apply("Or", [isGiven, isUnknown]), isRead]),
    };
  }
}

/** int64 [batch, 1] The first of the last `window` clicks. */
function lastClicks(graph: OnnxGraph, clicks: string, window: number): string {
  return graph.apply("Max", [graph.apply("Sub", [clicks, graph.integers(window)]), graph.integers(0)]);
}

/** int64 [batch, 1] The first click of the growing window: window · max(0, ⌈clicks / window⌉ − 2). */
function startOfSegment(graph: OnnxGraph, clicks: string, window: number): string {
  const size = graph.integers(window);
  const segments = graph.apply("Div", [graph.apply("Add", [clicks, graph.integers(window - 1)]), size]);
  const before = graph.apply("Max", [graph.apply("Sub", [segments, graph.integers(2)]), graph.integers(0)]);
  return graph.apply("Mul", [before, size]);
}

/** int64 [] The largest of these lengths. */
function longest(graph: OnnxGraph, lengths: string): string {
  return graph.apply("ReduceMax", [lengths], { keepdims: 0 });
}
