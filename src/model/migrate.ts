import type { JsonObject, StoredFormat } from "../data/stored_format.js";
import { ShortlistError } from "../errors.js";
import { renameDims } from "../graph/dims.js";
import { namesIn, type Operand, type Program } from "../graph/program.js";

/**
 * The format of a model folder. Its version is in `config.json`. Every change, such as a new configuration key, is a
 * new version with a migration from the version before. The migration gives a new key the value with which older models
 * compute what they always did. native/serve/config.cc has the same migrations, and test/fixtures a model of every
 * version.
 */
export const MODEL_FORMAT: StoredFormat = {
  name: "shortlist-model",
  version: 3,
  code: "ERR_MODEL",
  remake: "train the model again",
  // Version 3 added columns of users with several values, and with searches; older folders are as they were.
  migrations: [
    { version: 2, object: "config", member: "passes", change: { renamed: "epochs" } },
    { version: 2, object: "training", member: "passes", change: { renamed: "epochs" } },
  ],
};

/** The dims and inputs of the inference Program that a version renamed. */
interface ProgramNames {
  readonly version: number;
  readonly dims: ReadonlyMap<string, string>;
  readonly inputs: ReadonlyMap<string, string>;
}

/** native/serve/migrate.cc has the same names. */
const PROGRAM_NAMES: readonly ProgramNames[] = [
  {
    version: 2,
    dims: new Map([
      ["runs", "sequences"],
      ["steps", "timesteps"],
    ]),
    inputs: new Map([
      ["run_offsets", "sequence_offsets"],
      ["step_position", "timestep_position"],
      ["step_start", "timestep_start"],
      ["step_end", "timestep_end"],
    ]),
  },
];

/**
 * Returns the inference Program of a model folder whose `config.json` is `head`, with the names of the current version.
 * Throws ERR_PROGRAM if it has a name of a later version than its own.
 */
export function migrateProgram(program: Program, head: JsonObject): Program {
  const version = head["version"] as number;
  return PROGRAM_NAMES.filter((names) => names.version > version).reduce(withNames, program);
}

function withNames(program: Program, { version, dims, inputs }: ProgramNames): Program {
  const refuse = (what: string, name: string): never => {
    throw new ShortlistError(
      "ERR_PROGRAM",
      `Program: expected no ${what} "${name}" before version ${version}. If it is that of a feature, rename the feature in the schema, and prepare and train again`,
    );
  };
  const later = { dims: new Set(dims.values()), inputs: new Set(inputs.values()) };
  for (const dim of program.dims) if (later.dims.has(dim)) refuse("dim", dim);
  for (const { name } of program.tensors) if (later.inputs.has(name)) refuse("tensor", name);
  const renamed = new Map(
    program.tensors.flatMap(({ name, role }) =>
      role === "input" && inputs.has(name) ? [[name, inputs.get(name)!]] : [],
    ),
  );
  const nameOf = (name: string) => renamed.get(name) ?? name;
  const operand = (given: Operand) => (typeof given === "string" ? nameOf(given) : given.map(nameOf));
  const operands = (given: Readonly<Record<string, Operand>>) =>
    Object.fromEntries(Object.entries(given).map(([slot, value]) => [slot, operand(value)]));
  return {
    ...program,
    dims: program.dims.map((dim) => dims.get(dim) ?? dim),
    tensors: program.tensors.map((tensor) => ({
      ...tensor,
      name: nameOf(tensor.name),
      shape: tensor.shape.map((dim) => renameDims(dim, dims)),
    })),
    instructions: program.instructions.map((instruction) =>
      namesIn(instruction.inputs).some((name) => renamed.has(name))
        ? { ...instruction, inputs: operands(instruction.inputs) }
        : instruction,
    ),
  };
}
