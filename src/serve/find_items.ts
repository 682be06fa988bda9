import { Turns } from "../data/turns.js";
import type { Model } from "../model/model.js";
import { titleOf } from "../model/titled.js";

/** An item that was found by a text. */
export interface FoundItem {
  readonly item: string;
  readonly id: number;
  readonly title?: string;
}

const ITEMS_AT_ONCE = 256;
/** Bytes that are searched between two looks at the clock. */
const BYTES_AT_ONCE = 2 ** 20;
const NEWLINE = 10;

/** Text without case and accents, so that "amelie" finds "Amélie". */
function folded(text: string): string {
  return text
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .toLowerCase();
}

/**
 * Finds items whose token or title contains the words of a text. Items are in the order of their ids, which is that of
 * their popularity in the training log; the item whose token is the text comes first.
 */
export class ItemFinder {
  readonly #model: Model;
  /** A line `token title` of folded text for each item but `<unk>`. */
  readonly #lines: Buffer;
  /** [items] Where the line of each item begins; that of `<unk>` is empty. */
  readonly #starts: Float64Array;

  private constructor(model: Model, lines: Buffer, starts: Float64Array) {
    this.#model = model;
    this.#lines = lines;
    this.#starts = starts;
  }

  /** Folds the tokens and titles of a model. */
  static async open(model: Model): Promise<ItemFinder> {
    const turns = Turns.inBackground();
    const { items } = model;
    const starts = new Float64Array(items.size);
    const pieces: Buffer[] = [];
    let [piece, at] = ["", 0];
    for (let id = 1; id < items.size; id++) {
      starts[id] = at;
      const line = `${folded(`${items.token(id)} ${model.description.titles?.titleOf(id) ?? ""}`)}\n`;
      at += Buffer.byteLength(line);
      piece += line;
      if (id % ITEMS_AT_ONCE !== 0) continue;
      pieces.push(Buffer.from(piece));
      piece = "";
      if (turns.isDue) await turns.take();
    }
    pieces.push(Buffer.from(piece));
    return new ItemFinder(model, Buffer.concat(pieces), starts);
  }

  /** Finds up to `top` items. */
  async find(text: string, top: number, signal: AbortSignal): Promise<FoundItem[]> {
    const turns = new Turns(signal);
    const { items } = this.#model;
    const same = items.idOf(text);
    const found = same > 0 ? [same] : [];
    const words = folded(text)
      .split(/\s+/)
      .filter((word) => word !== "")
      .sort((a, b) => b.length - a.length);
    if (words.length === 0) return [];
    const [longest, ...others] = words.map((word) => Buffer.from(word));
    let at = 0;
    while (found.length < top && at < this.#lines.length) {
      const piece = this.#lines.subarray(at, at + BYTES_AT_ONCE);
      const place = piece.indexOf(longest!);
      if (place < 0) {
        // The word may begin in this piece and end in the next one.
        at += at + piece.length < this.#lines.length ? piece.length - longest!.length + 1 : piece.length;
      } else {
        const id = this.#itemAt(at + place);
        const end = this.#lines.indexOf(NEWLINE, at + place);
        const line = this.#lines.subarray(this.#starts[id], end);
        if (id !== same && others.every((word) => line.includes(word))) found.push(id);
        at = end + 1;
      }
      if (turns.isDue) await turns.take();
    }
    return found.slice(0, top).map((id) => ({ item: items.token(id), id, ...titleOf(this.#model, id) }));
  }

  /** The item in whose line a byte is. */
  #itemAt(position: number): number {
    let [low, high] = [1, this.#starts.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! <= position) low = middle;
      else high = middle;
    }
    return low;
  }
}
