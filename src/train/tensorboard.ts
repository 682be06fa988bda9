import { type FileHandle, mkdir, open } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { crc32c } from "../data/crc32c.js";
import { fileError } from "../data/files.js";
import { type Bytes, bytes, float32, float64, integer, message, text } from "../data/protobuf.js";

/*
 * Event files of TensorBoard: records as TensorFlow writes them (tensorflow/core/lib/io/record_writer.cc), each with an
 * Event of tensorflow/core/util/event.proto. The fields are those of event.proto, summary.proto, tensor.proto.
 */

/** A record: its length, the masked checksum of the length, the data, and the masked checksum of the data. */
export function recordOf(data: Bytes): Bytes {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(data.length));
  return Buffer.concat([length, maskedChecksum(length), data, maskedChecksum(data)]);
}

/** CRC-32C, rotated right by 15 bits and shifted by a constant, so that checksums of checksums are not trivial. */
function maskedChecksum(data: Bytes): Bytes {
  const crc = crc32c(data);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0);
  return bytes;
}

const FIELDS = { wallTime: 1, step: 2, fileVersion: 3, summary: 5, sessionLog: 7 } as const;
/** `SessionLog.START`: TensorBoard forgets what earlier files in the folder say of this step and later ones. */
const START = 1;
const DT_STRING = 7;

/** The Event of these fields at a time in seconds since 1970. Zero is the default of a field and is not written. */
function eventOf(wallTime: number, step: number, ...content: readonly Bytes[]): Bytes {
  const steps = step === 0 ? [] : [integer(FIELDS.step, step)];
  return message(float64(FIELDS.wallTime, wallTime), ...steps, ...content);
}

function scalarsOf(values: Readonly<Record<string, number>>): Bytes {
  const entries = Object.entries(values).map(([tag, value]) => bytes(1, message(text(1, tag), float32(2, value))));
  return bytes(FIELDS.summary, message(...entries));
}

/** A summary of the plugin "text", which shows Markdown. */
function markdownOf(tag: string, markdown: string): Bytes {
  const shape = bytes(2, bytes(2, integer(1, 1)));
  const tensor = message(integer(1, DT_STRING), shape, text(8, markdown));
  const metadata = bytes(1, text(1, "text"));
  return bytes(FIELDS.summary, bytes(1, message(text(1, tag), bytes(8, tensor), bytes(9, metadata))));
}

const MS_BETWEEN_WRITES = 2000;
/** Number of event files that this process has opened, so that no two have the same name. */
let opened = 0;

/** An event file that grows while a model is trained. */
export class EventFile {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #now: () => number;
  #pending: Bytes[] = [];
  #lastWrite = 0;
  #writing: Promise<void> = Promise.resolve();
  #problem: unknown;

  private constructor(path: string, file: FileHandle, now: () => number) {
    this.#path = path;
    this.#file = file;
    this.#now = now;
  }

  /**
   * Opens a new event file in a folder, which is created if it does not exist. `step` is the number of steps that were
   * run before. If an earlier run has files in the folder, TensorBoard shows their steps up to `step` only. `now` gives
   * the time in milliseconds since 1970. Throws ERR_FILE if the file cannot be created.
   */
  static async open(folder: string, step: number, now: () => number = Date.now): Promise<EventFile> {
    const seconds = String(Math.floor(now() / 1000)).padStart(10, "0");
    const path = join(folder, `events.out.tfevents.${seconds}.${hostname()}.${process.pid}.${opened++}`);
    try {
      await mkdir(folder, { recursive: true });
      const file = new EventFile(path, await open(path, "wx"), now);
      file.#add(0, text(FIELDS.fileVersion, "brain.Event:2"));
      file.#add(step === 0 ? 0 : step + 1, bytes(FIELDS.sessionLog, integer(1, START)));
      await file.flush();
      return file;
    } catch (error) {
      throw fileError("write", path, error);
    }
  }

  /** Adds numbers by their tags. They are written within a few seconds, or at the next `flush`. */
  addScalars(step: number, values: Readonly<Record<string, number>>): void {
    this.#add(step, scalarsOf(values));
    if (this.#now() - this.#lastWrite >= MS_BETWEEN_WRITES) this.#write();
  }

  /** Adds a text in Markdown. */
  addText(step: number, tag: string, markdown: string): void {
    this.#add(step, markdownOf(tag, markdown));
  }

  #add(step: number, content: Bytes): void {
    this.#pending.push(recordOf(eventOf(this.#now() / 1000, step, content)));
  }

  #write(): void {
    const records = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#lastWrite = this.#now();
    this.#writing = this.#writing.then(async () => {
      if (this.#problem !== undefined) return;
      await this.#file.appendFile(records).catch((error) => {
        this.#problem = error;
      });
    });
  }

  /** Writes what was added. Throws ERR_FILE if that, or an earlier write, failed. */
  async flush(): Promise<void> {
    this.#write();
    await this.#writing;
    if (this.#problem !== undefined) throw fileError("write", this.#path, this.#problem);
  }

  /** Writes what was added and closes the file. Throws the errors of `flush`. */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.#file.close();
    }
  }
}
