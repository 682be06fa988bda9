import { ShortlistError } from "../errors.js";

/** When clicks happened. */
export interface ClickTimes {
  /** The time of each click as in the log, [clicks]; NaN where it is missing. */
  readonly values: Float64Array;
  /** The earliest time that is not far off; NaN where no click has a time. */
  readonly earliest: number;
  /** The latest time that is not far off; NaN where no click has a time. */
  readonly latest: number;
  /** The clicks whose time is so far from the others that it stands for something else, such as 0 for a missing one. */
  readonly farOff: number;
}

/** So many times of clicks tell which are far off; fewer are all believed. */
const ENOUGH = 20;
/** Times that are looked at to find where most of them lie. */
const SAMPLE = 1 << 16;
/** Far off is a time that is so many times the width of most times away from them. */
const FAR = 10;

/**
 * Times with their range. Two kinds of times are far off where there are enough others: one or two values of at most 0
 * (0 and −1 stand for missing times) that are further from the earliest of the others than that is from the latest; and
 * what is further from the middle 98 % of the times than ten times their width.
 */
export function clickTimes(values: Float64Array): ClickTimes {
  const signs = markersOf(values);
  const most = middleOf(values, signs);
  let [earliest, latest] = [Number.NaN, Number.NaN];
  const widen = (time: number) => {
    if (!(earliest <= time)) earliest = time;
    if (!(latest >= time)) latest = time;
  };
  for (const time of values) if (time >= most.low && time <= most.high && !signs.includes(time)) widen(time);
  const span = latest - earliest;
  for (const time of signs) if (!(earliest - time > span)) widen(time);
  let farOff = 0;
  for (const time of values) if (time < earliest || time > latest) farOff++;
  return { values, earliest, latest, farOff };
}

/** The values of at most 0 that may stand for missing times: one or two, beside enough others. */
function markersOf(values: Float64Array): number[] {
  const found = new Set<number>();
  let positive = 0;
  for (const time of values) {
    if (time > 0) positive++;
    else if (time <= 0) found.add(time);
    if (found.size > 2) return [];
  }
  return positive < ENOUGH ? [] : [...found];
}

/** What is within reach of the middle 98 % of the times; everything where they are few, or mostly the same. */
function middleOf(values: Float64Array, markers: readonly number[]): { readonly low: number; readonly high: number } {
  const stride = Math.ceil(values.length / SAMPLE);
  const sample = new Float64Array(Math.ceil(values.length / Math.max(1, stride)));
  let size = 0;
  for (let i = 0; i < values.length; i += stride) {
    const time = values[i]!;
    if (!Number.isNaN(time) && !markers.includes(time)) sample[size++] = time;
  }
  const sorted = sample.subarray(0, size).sort();
  const edge = Math.floor(size / 100);
  const [first, last] = [sorted[edge]!, sorted[size - 1 - edge]!];
  const reach = FAR * (last - first);
  if (size < ENOUGH || !(reach > 0)) return { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY };
  return { low: first - reach, high: last + reach };
}

/** How the times of a log keep to the oldest click first. */
export interface OrderReport {
  /** Lines with a click that is older than the one before it. */
  readonly lines: number;
  /** Such clicks. */
  readonly clicks: number;
  /** File and line of the first. */
  readonly first: string;
}

/** Clicks that go back in time make a share of at least this in a log that holds the newest click first … */
const REVERSED = 0.9;
/** … and so many clicks tell: one user's clocks may disagree. */
const TELLING = 10;

/** Watches the order of clicks while a log is read. */
export class ClickOrder {
  #compared = 0;
  #lines = 0;
  #clicks = 0;
  #first = "";

  /** The times of a line, NaN where missing; `at` gives its file and line. */
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
   * Throws ERR_LOG where (nearly) all clicks go back in time; undefined where none does. `lines` are those of the log.
   */
  report(files: readonly string[], lines: number): OrderReport | undefined {
    if (this.#lines === 0) return undefined;
    if (this.#compared >= TELLING && this.#clicks >= REVERSED * this.#compared) {
      throw new ShortlistError(
        "ERR_LOG",
        `${files.join(", ")}: Expected the oldest click first but times fall from click to click in ${this.#lines} of ${lines} lines (the first: ${this.#first}): are they newest first? Reverse the clicks of each line`,
      );
    }
    return { lines: this.#lines, clicks: this.#clicks, first: this.#first };
  }
}
