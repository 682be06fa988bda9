import { test } from "uvu";
import * as assert from "uvu/assert";
import { EventSorter } from "../../src/data/tables/event_sorter.js";
import { RandomStream } from "../../src/random/philox.js";

interface Event {
  readonly user: number;
  readonly item: number;
  readonly time: number;
  readonly rank: number;
}

/** Events of users with 0 to `most` events each, in random order; many have the same time. */
function eventsOf(users: number, most: number, random: RandomStream): Event[] {
  const events: Event[] = [];
  for (let user = 0; user < users; user++) {
    const count = random.below(most + 1);
    for (let n = 0; n < count; n++) {
      const time = random.below(8) === 0 ? Number.NEGATIVE_INFINITY : random.below(1 + count / 2) - 5;
      events.push({ user, item: random.below(1000), time, rank: 0 });
    }
  }
  for (let at = events.length; --at > 0; ) {
    const other = random.below(at + 1);
    [events[at], events[other]] = [events[other]!, events[at]!];
  }
  return events.map((event, rank) => ({ ...event, rank }));
}

/** Number n of an event; some are missing. */
const numberOf = ({ rank }: Event, n: number) => ((rank + n) % 7 === 0 ? Number.NaN : (rank % 1000) / 8 - n);

function sort(
  events: readonly Event[],
  users: number,
  has: { readonly hasTimes: boolean; readonly numbers: number; readonly wideRanks: boolean },
) {
  const { hasTimes, numbers, wideRanks } = has;
  const counts = new Int32Array(users);
  for (const { user } of events) counts[user]!++;
  const sorter = new EventSorter(counts, { hasTimes, numbers, wideRanks });
  for (let from = 0; from < events.length; from += 100) {
    const part = events.slice(from, from + 100);
    const column = (key: keyof Event) => Int32Array.from(part, (event) => event[key]);
    const times = Float64Array.from(part, ({ time }) => time);
    const ranks = wideRanks ? Float64Array.from(part, ({ rank }) => rank + 2 ** 40) : Uint32Array.from(column("rank"));
    const columns = Array.from({ length: numbers }, (_, n) => Float32Array.from(part, (event) => numberOf(event, n)));
    sorter.add(column("user"), column("item"), ranks, hasTimes ? times : undefined, columns);
  }
  return sorter.finish();
}

test("events are sorted by user, time and rank, whatever order they come in", () => {
  const random = new RandomStream(7, 1);
  for (const [users, most] of [
    [1, 5000],
    [40, 10],
    [300, 33],
    [20, 700],
    [3, 0],
  ] as const) {
    const events = eventsOf(users, most, random);
    for (const hasTimes of [true, false]) {
      const expected = events
        .slice()
        .sort((a, b) => a.user - b.user || (hasTimes && a.time !== b.time ? a.time - b.time : a.rank - b.rank));
      for (const [wideRanks, count] of [
        [true, 0],
        [false, 0],
        [true, 1],
        [false, 2],
        [true, 3],
      ] as const) {
        const { offsets, itemNumbers, times, numbers } = sort(events, users, { hasTimes, numbers: count, wideRanks });
        assert.is(numbers.length, count);
        for (const [n, values] of numbers.entries()) {
          assert.equal([...values].join(), expected.map((event) => numberOf(event, n)).join());
        }
        assert.equal(
          [...itemNumbers],
          expected.map(({ item }) => item),
        );
        assert.equal(
          times && [...times].join(),
          hasTimes ? expected.map(({ time }) => (Number.isFinite(time) ? time : Number.NaN)).join() : undefined,
        );
        for (let user = 0; user <= users; user++) {
          assert.is(offsets[user], events.filter((event) => event.user < user).length);
        }
      }
    }
  }
});

test.run();
