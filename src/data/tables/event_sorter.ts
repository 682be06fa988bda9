/** Events of all users: those of a user follow each other, oldest first. */
export interface EventColumns {
  /** [users + 1] Index of the first event of each user. */
  readonly offsets: Int32Array;
  /** [events] Number of the item. */
  readonly itemNumbers: Int32Array;
  /** [events] Time; NaN if missing. Undefined if events have no times. */
  readonly times: Float64Array | undefined;
  /** [events] of each column of numbers, such as weights. */
  readonly numbers: readonly Float32Array[];
}

/** What an event has besides its user and item. */
interface SortedColumns {
  readonly hasTimes: boolean;
  /** How many columns of numbers there are. */
  readonly numbers: number;
  readonly wideRanks: boolean;
}

/** Mean number of places by which insertion may move the events of a user before another sort takes over. */
const MOST_MOVES = 16;

/**
 * Sorts events by user, time and rank. The number of events of each user is known before, so that every event goes to a
 * place among its user's at once, and only the few events of one user are then sorted. That takes 16 bytes an event (24
 * with wide ranks, 8 without times, 8 more for every two numbers) and far less time than sorting all events.
 *
 * An event is a record of 8-byte words, so that the processor waits for one place in memory rather than three: its time,
 * if events have times; its numbers, two in a word; its rank, if ranks are wide; and a word with its item and any other
 * rank.
 */
export class EventSorter {
  readonly #offsets: Int32Array;
  /** [users] Index at which the next event of each user is put. */
  readonly #ends: Int32Array;
  readonly #hasTimes: boolean;
  readonly #numbers: number;
  readonly #wideRanks: boolean;
  /** Number of words of a record. */
  readonly #stride: number;
  /** Words as doubles: times (−∞ where missing, so that such events come first) and wide ranks. */
  readonly #words: Float64Array;
  /** Halves of words as float32: numbers. */
  readonly #floats: Float32Array;
  /** Halves of words as whole numbers: items at even indices, ranks at odd ones. */
  readonly #halves: Uint32Array;
  /** The places of the events that are being added. */
  #places = new Int32Array(2048);

  /**
   * `counts` [users] are the numbers of events. Ranks, which are different for all events of a user and a time, are
   * whole numbers below 2³², or, with `wideRanks`, of at most 53 bits.
   */
  constructor(counts: Int32Array, { hasTimes, numbers, wideRanks }: SortedColumns) {
    const offsets = new Int32Array(counts.length + 1);
    for (let user = 0; user < counts.length; user++) offsets[user + 1] = offsets[user]! + counts[user]!;
    this.#offsets = offsets;
    this.#ends = offsets.slice(0, -1);
    this.#hasTimes = hasTimes;
    this.#numbers = numbers;
    this.#wideRanks = wideRanks;
    this.#stride = 1 + (hasTimes ? 1 : 0) + Math.ceil(numbers / 2) + (wideRanks ? 1 : 0);
    this.#words = new Float64Array(this.#stride * offsets.at(-1)!);
    this.#floats = new Float32Array(this.#words.buffer);
    this.#halves = new Uint32Array(this.#words.buffer);
  }

  /** Adds events by the columns of their user, item, rank, time and numbers. */
  add(
    users: Int32Array,
    items: Int32Array,
    ranks: Uint32Array | Float64Array,
    times: Float64Array | undefined,
    numbers: readonly Float32Array[],
  ): void {
    const [ends, words, floats, halves, stride] = [this.#ends, this.#words, this.#floats, this.#halves, this.#stride];
    // All places first: then the processor need not know one before it asks the memory for the next.
    if (this.#places.length < users.length) this.#places = new Int32Array(users.length);
    const places = this.#places;
    for (let event = 0; event < users.length; event++) places[event] = ends[users[event]!]!++;
    const isWide = this.#wideRanks;
    const firstNumber = this.#firstNumber;
    for (let event = 0; event < users.length; event++) {
      const start = stride * places[event]!;
      const last = start + stride - 1;
      if (times) words[start] = times[event]!;
      for (let n = 0; n < numbers.length; n++) floats[2 * start + firstNumber + n] = numbers[n]![event]!;
      halves[2 * last] = items[event]!;
      if (isWide) words[last - 1] = ranks[event]!;
      else halves[2 * last + 1] = ranks[event]!;
    }
  }

  /** Returns all events in their order. The sorter cannot be used again. */
  finish(): EventColumns {
    const [offsets, words, floats, halves] = [this.#offsets, this.#words, this.#floats, this.#halves];
    const [stride, firstNumber] = [this.#stride, this.#firstNumber];
    const events = offsets.at(-1)!;
    const itemNumbers = new Int32Array(events);
    const numbers = Array.from({ length: this.#numbers }, () => new Float32Array(events));
    for (let user = 0; user + 1 < offsets.length; user++) {
      const [start, end] = [offsets[user]!, offsets[user + 1]!];
      if (!this.#insertionSort(start, end)) this.#heapSort(start, end);
      for (let event = start; event < end; event++) {
        itemNumbers[event] = halves[2 * (stride * (event + 1) - 1)]!;
        for (let n = 0; n < numbers.length; n++) numbers[n]![event] = floats[2 * stride * event + firstNumber + n]!;
        if (!this.#hasTimes) continue;
        // The times take the place of records that were read before.
        const time = words[stride * event]!;
        words[event] = time === Number.NEGATIVE_INFINITY ? Number.NaN : time;
      }
    }
    return { offsets, itemNumbers, times: this.#hasTimes ? words.subarray(0, events) : undefined, numbers };
  }

  /** Half of a record in which its first number is. */
  get #firstNumber(): number {
    return this.#hasTimes ? 2 : 0;
  }

  #isBefore(a: number, b: number): boolean {
    const [words, halves, stride] = [this.#words, this.#halves, this.#stride];
    if (this.#hasTimes) {
      const [timeOfA, timeOfB] = [words[stride * a]!, words[stride * b]!];
      if (timeOfA !== timeOfB) return timeOfA < timeOfB;
    }
    const [lastOfA, lastOfB] = [stride * (a + 1) - 1, stride * (b + 1) - 1];
    return this.#wideRanks
      ? words[lastOfA - 1]! < words[lastOfB - 1]!
      : halves[2 * lastOfA + 1]! < halves[2 * lastOfB + 1]!;
  }

  #swap(a: number, b: number): void {
    // By halves: a word with an item and a rank may be no double that keeps its bits.
    const [halves, size] = [this.#halves, 2 * this.#stride];
    for (let half = 0; half < size; half++) {
      const value = halves[size * a + half]!;
      halves[size * a + half] = halves[size * b + half]!;
      halves[size * b + half] = value;
    }
  }

  /** Sorts events nearly in order, as logs have them, in one pass. Returns false if it would take far more work. */
  #insertionSort(start: number, end: number): boolean {
    let moves = MOST_MOVES * (end - start);
    for (let event = start + 1; event < end; event++) {
      for (let at = event; at > start && this.#isBefore(at, at - 1); at--) {
        if (moves-- === 0) return false;
        this.#swap(at, at - 1);
      }
    }
    return true;
  }

  #heapSort(start: number, end: number): void {
    for (let root = (end - start) >> 1; root-- > 0; ) this.#siftDown(start, root, end - start);
    for (let size = end - start; --size > 0; ) {
      this.#swap(start, start + size);
      this.#siftDown(start, 0, size);
    }
  }

  /** Restores the heap of `size` events from `start` on, whose latest event is first, after `root` was changed. */
  #siftDown(start: number, root: number, size: number): void {
    for (let child = 2 * root + 1; child < size; child = 2 * root + 1) {
      if (child + 1 < size && this.#isBefore(start + child, start + child + 1)) child++;
      if (!this.#isBefore(start + root, start + child)) return;
      this.#swap(start + root, start + child);
      root = child;
    }
  }
}
