/** One writer of several that append to the same streams: what it does, and what it says of it. */

import { isStoreError } from "../../../src/errors.js";
import type { AppendResult, EventInput, EventStore, ExpectedVersion } from "../../../src/events/index.js";
import { seededRandom } from "../../support/seeded-random.js";

export interface Hammering {
  readonly directory: string;
  /** Unique among the writers; part of every id and of every event's data. */
  readonly name: string;
  readonly streams: readonly string[];
  /** Appends to be tried. */
  readonly tries: number;
  /** Streams that every writer tries to begin with the same event. */
  readonly contested: readonly string[];
}

/** What became of one stream's share of an append. */
export interface Try {
  readonly stream: string;
  /** In the data of its events, and of no others. */
  readonly mark: string;
  readonly eventCount: number;
  /** Null: the version was not what was expected. */
  readonly result: AppendResult | null;
}

const CALLERS = 8;

function eventsOf(mark: string, count: number, hasIds: boolean): EventInput[] {
  return Array.from({ length: count }, (_, index) => ({
    type: "T",
    data: mark,
    ...(hasIds ? { id: `${mark}-${index}` } : {}),
  }));
}

/** Appends with several callers at once, and answers with what became of every append. */
export async function hammer(store: EventStore, { name, streams, tries, contested }: Hammering): Promise<Try[]> {
  const random = seededRandom();
  const done: Try[] = [];
  let count = 0;

  async function tryOne(stream: string, mark: string, events: EventInput[], expected: ExpectedVersion): Promise<void> {
    const share = { stream, mark, eventCount: events.length };
    try {
      const options = { expectedVersion: expected, durability: random.pick(["sync", "group", "group"] as const) };
      const result = (await store.append(stream, events, options)) as AppendResult;
      done.push({ ...share, result });
      if (events[0]?.id === undefined || random.integer(4) > 0) return;
      // The same again: it must be found, at the place that it was given.
      const again = (await store.append(stream, events, {
        expectedVersion: result.version - events.length,
      })) as AppendResult;
      if (!again.duplicate || again.lsn !== result.lsn) throw new Error(`${mark} was appended twice`);
    } catch (error) {
      if (!isStoreError(error, "ERR_EVENTS_VERSION_CONFLICT")) throw error;
      done.push({ ...share, result: null });
    }
  }

  async function tryMany(mark: string): Promise<void> {
    const chosen = streams.slice(random.integer(streams.length - 1));
    const events = eventsOf(mark, 2, false);
    const results = (await store.appendMany(chosen.map((stream) => ({ stream, events })))) as AppendResult[];
    for (const [index, result] of results.entries()) {
      done.push({ stream: chosen[index] as string, mark, eventCount: events.length, result });
    }
  }

  async function call(): Promise<void> {
    while (count < tries) {
      const mark = `${name}-${count++}`;
      const stream = random.pick(streams);
      const kind = random.integer(10);
      if (kind === 0) await tryMany(mark);
      else {
        const expected = kind < 5 ? "any" : await store.streamVersion(stream);
        await tryOne(stream, mark, eventsOf(mark, 1 + random.integer(3), random.integer(3) === 0), expected);
      }
    }
  }

  for (const stream of contested) await tryOne(stream, stream, eventsOf(stream, 2, true), "absent");
  await Promise.all(Array.from({ length: CALLERS }, call));
  return done;
}
