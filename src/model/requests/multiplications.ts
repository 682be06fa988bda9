import { namesIn, type Program, STORED_ROLES } from "../../graph/program.js";

/** Number of multiplications of weights when a Program is run for one user. */
export interface Multiplications {
  /** Those of layers that compute a row for each user, and of the item vectors. */
  readonly perUser: number;
  /** Those of layers that compute a row for each click. */
  readonly perClick: number;
}

/** The ops that multiply each element of their matrices once for each row that they compute. */
const MULTIPLYING: ReadonlySet<string> = new Set(["linear", "lstm", "top_n"]);

/** Counts the multiplications of a Program that computes outputs of users. */
export function multiplicationsOf({ tensors, instructions }: Program): Multiplications {
  const matrices = new Map<string, number>();
  const userRows = new Set<string>();
  for (const { name, role, shape } of tensors) {
    if (STORED_ROLES.has(role) && shape.length === 2) matrices.set(name, Number(shape[0]) * Number(shape[1]));
    if (shape[0] === "samples") userRows.add(name);
  }
  const counts = { perUser: 0, perClick: 0 };
  for (const { op, inputs, outputs } of instructions) {
    if (!MULTIPLYING.has(op)) continue;
    const kind = namesIn(outputs).some((name) => userRows.has(name)) ? "perUser" : "perClick";
    for (const name of namesIn(inputs)) counts[kind] += matrices.get(name) ?? 0;
  }
  return counts;
}
