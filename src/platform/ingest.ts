import { requireAddon } from "./addon.js";

/** The class `NativeIngest` of the addon (native/node/ingest.h): reads click logs on all threads. */
export interface IngestHandle {
  beginLog(): Promise<void>;
  /**
   * Parses the next bytes of the log, which must not change until the promise is settled. Resolves to whether a line that
   * cannot be used has ended the reading.
   */
  add(bytes: Uint8Array): Promise<boolean>;
  endLog(): Promise<void>;
  state(): IngestState;
  /** How often each token of a feature is used, in any order. */
  counts(feature: number): Float64Array;
  /** [rows] A number for the identity of each row's user; −1 where missing. */
  identities(): Promise<Int32Array>;
  /** Makes the vocabulary of a feature and its column of ids. Each column can be taken once. */
  encode(feature: number, limit: number): Promise<EncodedFeature>;
  /** [rows + 1] */
  clickOffsets(): Promise<Int32Array>;
  /** [rows] Of a column of kind number, by its index among them. */
  numbers(index: number): Promise<Float32Array>;
  /** [clicks] */
  times(): Promise<Float64Array>;
  /** [clicks] 1 where missing. */
  weights(): Promise<Float32Array>;
  /** [clicks] Of a click field of kind number, by its index among them; NaN where missing. */
  clickNumbers(index: number): Promise<Float32Array>;
}

/** What was read. */
export interface IngestState {
  readonly rows: number;
  readonly clicks: number;
  readonly withoutClicks: number;
  /** Whether a line that cannot be used has ended the reading. It is the last of `badLines`. */
  readonly stopped: boolean;
  readonly logs: readonly { readonly lines: number; readonly skipped: number }[];
  /** The first 20 lines that cannot be used. */
  readonly badLines: readonly { readonly log: number; readonly line: number; readonly problem: string }[];
  readonly order: {
    readonly compared: number;
    readonly lines: number;
    readonly clicks: number;
    readonly firstLog: number;
    readonly firstLine: number;
  };
  /** Index of the feature that identifies users; −1 if there is none. */
  readonly identity: number;
  /** The features with tokens. `numbers`: all numbers of `identities` are below it. */
  readonly features: readonly { readonly missing: number; readonly numbers: number }[];
}

export interface EncodedFeature {
  /** Size of the vocabulary. */
  readonly size: number;
  /** Its `token ⇥ count` lines. */
  readonly lines: Buffer;
  readonly ids: Int32Array;
  /** [clicks + 1] Of a multi-valued feature. */
  readonly offsets?: Int32Array;
}

interface IngestOptions {
  readonly withoutClicks: boolean;
  readonly skipBadLines: boolean;
  readonly maxLineBytes: number;
  readonly threads: number;
}

/** Returns a reader for logs with a schema, given as JSON; undefined if the addon is not built. */
export function createIngest(schema: string, options: IngestOptions): IngestHandle | undefined {
  let addon: { readonly NativeIngest: new (schema: string, options: IngestOptions) => IngestHandle };
  try {
    addon = requireAddon() as typeof addon;
  } catch {
    return undefined;
  }
  return new addon.NativeIngest(schema, options);
}
