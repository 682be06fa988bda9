import { readFileSync } from "node:fs";
import { openSnapshot, Snapshot } from "../data/snapshot.js";
import { migrate, type StoredFormat } from "../data/stored_format.js";
import { parseStrictJson } from "../data/strict_json.js";
import { ShortlistError } from "../errors.js";
import type { Engine } from "../executors/index.js";
import type { Role } from "../graph/program.js";
import type { SessionState } from "./session.js";
import type { TrainingTensor } from "./training_network.js";

/**
 * The format of a checkpoint: a safetensors file of everything that a training Program changes, with the rest of the
 * session's state as JSON in the metadata (docs/formats.md#checkpoints).
 */
const FORMAT: StoredFormat = {
  name: "shortlist-checkpoint",
  version: 2,
  code: "ERR_CHECKPOINT",
  remake: "start the training anew",
  // Version 2 also added `targetEpochs`, which older checkpoints do not need.
  migrations: [{ version: 2, member: "replay", change: { added: 0 } }],
};
/** Metadata key of the JSON. */
const STATE = "checkpoint";

/** What trained up to a checkpoint. The same versions and instruction set go on with the same bits. */
export interface TrainedBy {
  /** Version of Shortlist. */
  readonly version: string;
  readonly executor: Engine["kind"];
  readonly isa: string;
}

/** The JSON of a checkpoint. */
interface StoredState extends Omit<SessionState, "tensors"> {
  readonly format: string;
  readonly version: number;
  readonly trainedBy: TrainedBy;
  /** What the caller of the session remembers. */
  readonly progress?: unknown;
  /** The role of each tensor of the file. */
  readonly roles: Readonly<Record<string, Role>>;
}

/** A checkpoint that was copied in memory. */
export interface TakenCheckpoint {
  /** Whether training may go on before it is written. */
  readonly isCopy: boolean;
  write(path: string): Promise<void>;
}

/** Writes checkpoints of one session, whose copies use the same memory. */
export class CheckpointWriter {
  readonly trainedBy: TrainedBy;
  readonly #tensors: readonly TrainingTensor[];
  #snapshot: Snapshot | undefined;

  constructor({ kind, isa }: Engine, tensors: readonly TrainingTensor[]) {
    this.trainedBy = { version: versionOfPackage(), executor: kind, isa };
    this.#tensors = tensors.filter(({ role }) => role !== "constant");
  }

  /** Copies a state. The checkpoint before has to be written. */
  take({ tensors: _, ...state }: SessionState, progress: unknown): TakenCheckpoint {
    const { name: format, version } = FORMAT;
    const roles = Object.fromEntries(this.#tensors.map(({ name, role }) => [name, role]));
    const stored: StoredState = { format, version, trainedBy: this.trainedBy, ...state, progress, roles };
    const metadata = { [STATE]: JSON.stringify(stored) };
    this.#snapshot ??= new Snapshot(this.#tensors);
    const snapshot = this.#snapshot;
    snapshot.take();
    return { isCopy: snapshot.isCopy, write: (path) => snapshot.write(path, metadata) };
  }
}

/** The state in a checkpoint. Its tensors are read from the file, until it is closed. */
export interface OpenCheckpoint {
  readonly state: SessionState;
  readonly trainedBy: TrainedBy;
  readonly progress: unknown;
  close(): void;
}

/** Opens a checkpoint. Throws ERR_CHECKPOINT if it is damaged, or if a newer version wrote it. */
export async function openCheckpoint(path: string): Promise<OpenCheckpoint> {
  const { metadata, tensors, close } = await openSnapshot(path, FORMAT.code);
  try {
    const text = metadata[STATE];
    if (text === undefined) throw new ShortlistError(FORMAT.code, `${path} is not a checkpoint`);
    const json = parseStrictJson(Buffer.from(text), path, FORMAT.code) as Readonly<Record<string, unknown>>;
    const stored = migrate(json, FORMAT, path) as unknown as StoredState;
    const { format: _, version: __, trainedBy, progress, roles, ...state } = stored;
    const read = tensors.map((tensor) => ({ ...tensor, role: roles[tensor.name] ?? "parameter" }));
    return { state: { ...state, tensors: read as unknown as readonly TrainingTensor[] }, trainedBy, progress, close };
  } catch (error) {
    close();
    throw error;
  }
}

let version: string | undefined;

function versionOfPackage(): string {
  const file = new URL("../../package.json", import.meta.url);
  version ??= (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
  return version;
}
