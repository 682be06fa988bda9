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

const weightOf = ({ rank }: Event) => (rank % 1000) / 8;

function sort(
  events: readonly Event[],
  users: number,
  has: { readonly hasTimes: boolean; readonly hasWeights: boolean; readonly wideRanks: boolean },
) {
  const { hasTimes, hasWeights, wideRanks } = has;
  const counts = new Int32Array(users);
  for (const { user } of events) counts[user]!++;
  const sorter = new EventSorter(counts, { hasTimes, hasWeights, wideRanks });
  for (let from = 0; from < events.length; from += 100) {
    const part = events.slice(from, from + 100);
    const column = (key: keyof Event) => Int32Array.from(part, (event) => event[key]);
    const times = Float64Array.from(part, ({ time }) => time);
    const ranks = wideRanks ? Float64Array.from(part, ({ rank }) => rank + 2 ** 40) : Uint32Array.from(column("rank"));
    const weights = hasWeights ? Float32Array.from(part, weightOf) : undefined;
    sorter.add(column("user"), column("item"), ranks, hasTimes ? times : undefined, weights);
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
      for (const [wideRanks, hasWeights] of [
        [true, false],
        [false, false],
        [true, true],
        [false, true],
      ] as const) {
        const { offsets, itemNumbers, times, weights } = sort(events, users, { hasTimes, hasWeights, wideRanks });
        assert.equal(weights && [...weights], hasWeights ? expected.map(weightOf) : undefined);
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
