import { ShortlistError } from "../errors.js";

/** The times of all clicks. */
export interface ClickTimes {
  /** [clicks] The time of each click as in the log; NaN if missing. */
  readonly values: Float64Array;
  /** The earliest time, outliers excluded; NaN if no click has a time. */
  readonly earliest: number;
  /** The latest time, outliers excluded; NaN if no click has a time. */
  readonly latest: number;
  /** Number of clicks with an outlier as their time, such as 0 written for a missing time. */
  readonly farOff: number;
}

/** Fewest times with which outliers are looked for. With fewer, all times count. */
const MIN_TIMES = 20;
/** Number of times that are sampled to find where most of them are. */
const MAX_SAMPLE = 1 << 16;
/** A time is an outlier if its distance from most times is more than this many times their width. */
const OUTLIER_WIDTHS = 10;

/**
 * Finds the range of the times without outliers. If there are enough times, two kinds are outliers:
 *
 * - one or two distinct values of at most 0 (such as 0 and −1 for a missing time), if they are further from the
 *   earliest other time than that is from the latest;
 * - times that are further from the middle 98 % of the times than ten times the width of these.
 */
export function clickTimes(values: Float64Array): ClickTimes {
  const markers = markersOf(values);
  const most = middleOf(values, markers);
  // Loops by index, since there may be hundreds of millions of times.
  let [earliest, latest] = [Number.NaN, Number.NaN];
  const widen = (time: number) => {
    if (!(earliest <= time)) earliest = time;
    if (!(latest >= time)) latest = time;
  };
  const hasMarkers = markers.length > 0;
  for (let i = 0; i < values.length; i++) {
    const time = values[i]!;
    // False for a missing time, and for most times.
    const isWider = !(earliest <= time && time <= latest) && time >= most.low && time <= most.high;
    if (isWider && !(hasMarkers && markers.includes(time))) widen(time);
  }
  const span = latest - earliest;
  for (const time of markers) if (!(earliest - time > span)) widen(time);
  let farOff = 0;
  for (let i = 0; i < values.length; i++) if (values[i]! < earliest || values[i]! > latest) farOff++;
  return { values, earliest, latest, farOff };
}

/**
 * Returns the values of at most 0 that may mean a missing time: at most two distinct values among enough positive
 * times.
 */
function markersOf(values: Float64Array): number[] {
  const found = new Set<number>();
  let positive = 0;
  for (let i = 0; i < values.length; i++) {
    const time = values[i]!;
    if (time > 0) positive++;
    else if (time <= 0 && found.add(time).size > 2) return [];
  }
  return positive < MIN_TIMES ? [] : [...found];
}

/**
 * Returns the range around the middle 98 % of the times outside of which times are outliers. It is unlimited if there
 * are few times, or if most are the same.
 */
function middleOf(values: Float64Array, markers: readonly number[]): { readonly low: number; readonly high: number } {
  const stride = Math.ceil(values.length / MAX_SAMPLE);
  const sample = new Float64Array(Math.ceil(values.length / Math.max(1, stride)));
  let size = 0;
  for (let i = 0; i < values.length; i += stride) {
    const time = values[i]!;
    if (!Number.isNaN(time) && !markers.includes(time)) sample[size++] = time;
  }
  const sorted = sample.subarray(0, size).sort();
  const edge = Math.floor(size / 100);
  const [first, last] = [sorted[edge]!, sorted[size - 1 - edge]!];
  const reach = OUTLIER_WIDTHS * (last - first);
  if (size < MIN_TIMES || !(reach > 0)) return { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
  return { low: first - reach, high: last + reach };
}

/** Clicks of a log whose times are out of order (the oldest click should come first). */
export interface OrderReport {
  /** Number of lines with a click that is older than the one before it. */
  readonly lines: number;
  /** Number of such clicks. */
  readonly clicks: number;
  /** File and line of the first such line. */
  readonly first: string;
}

/** If at least this fraction of the clicks is older than the one before, the log has the newest click first … */
const REVERSED_FRACTION = 0.9;
/** … provided that at least this many pairs were compared, since a few may just have clocks that disagree. */
const MIN_COMPARED_PAIRS = 10;

/** Checks the order of clicks while a log is read. */
export class ClickOrder {
  #compared = 0;
  #lines = 0;
  #clicks = 0;
  #first = "";

  /** The result of the same checks by another reader: how many pairs were compared, and what is out of order. */
  static of(compared: number, { lines, clicks, first }: OrderReport): ClickOrder {
    const order = new ClickOrder();
    order.#compared = compared;
    order.#lines = lines;
    order.#clicks = clicks;
    order.#first = first;
    return order;
  }

  /** Adds the times of one line; NaN where missing. `at` returns its file and line. */
  add(times: readonly number[], at: () => string): void {
    const before = this.#clicks;
    let previous = Number.NaN;
    for (const time of times) {
      if (Number.isNaN(time)) continue;
      if (time < previous) this.#clicks++;
      if (time !== previous && !Number.isNaN(previous)) this.#compared++;
      previous = time;
    }
    if (this.#clicks === before) return;
    if (this.#lines++ === 0) this.#first = at();
  }

  /**
   * Returns what is out of order; undefined if nothing is. Throws ERR_LOG if (nearly) all clicks are. `lines` is the
   * number of lines of the log.
   */
  report(files: readonly string[], lines: number): OrderReport | undefined {
    if (this.#lines === 0) return undefined;
    if (this.#compared >= MIN_COMPARED_PAIRS && this.#clicks >= REVERSED_FRACTION * this.#compared) {
      throw new ShortlistError(
        "ERR_LOG",
        `${files.join(", ")}: Expected the oldest click first but times fall from click to click in ${this.#lines} of ${lines} lines (the first: ${this.#first}): are they newest first? Reverse the clicks of each line`,
      );
    }
    return { lines: this.#lines, clicks: this.#clicks, first: this.#first };
  }
}
