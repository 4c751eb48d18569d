/** What a runner feeds to a projection: events, or where many are to come rows, filled with the records of the log here or in another thread. */

import type { RecordFeed } from "../events/index.js";
import type { EventFeed, FeedEvent } from "./event-feed.js";
import type { EventRows, RowsFactory } from "./event-rows.js";
import type { Projection } from "./projection.js";
import { type RowRange, rowsFromThread } from "./row-worker.js";

/** Rows to be applied, of which some are to be made into events. */
export class RowBatch<Event> {
  readonly rows: EventRows;
  readonly #feed: RecordFeed<Event>;

  constructor(rows: EventRows, feed: RecordFeed<Event>) {
    this.rows = rows;
    this.#feed = feed;
  }

  get length(): number {
    return this.rows.length;
  }

  /** The event of a row, as far as the row has its record. */
  at(row: number): Event {
    const { bytes, start, end } = this.rows.recordAt(row);
    const place = { lsn: this.rows.lsnAt(row), recordedAt: this.rows.recordedAtOf(row) };
    // A copy: the rows are filled with others as soon as these are applied.
    return this.#feed.eventIn(Buffer.from(bytes.subarray(start, end)), 0, end - start, place);
  }
}

/** Events, or rows of them. */
export type EventBatch<Event> = readonly Event[] | RowBatch<Event>;

/** So far behind, taking memory for rows pays. */
const ROWS_EVENTS_MIN = 4096;
/** From so many events on a thread helps: it takes as long to come as some 100,000 of them (measured: 120 ms). */
const THREAD_EVENTS_MIN = 250_000;
/** What is read here meanwhile. */
const HEAD_START_EVENTS = 100_000;

/** What of the log is above an LSN, for a projection: rows where it takes them and they are many. All are to be applied before the next are asked for. */
export function eventsFor<State, Event extends FeedEvent>(
  { projection, lsn: after }: { readonly projection: Projection<State, Event>; readonly lsn: number },
  feed: EventFeed<Event>,
  through: number,
  signal: AbortSignal,
): AsyncIterable<EventBatch<Event>> {
  const { rows } = projection;
  const { records = null } = feed;
  const isLong = through - after >= ROWS_EVENTS_MIN;
  if (rows === undefined || records === null || !isLong) return feed.readBatches(after, { signal });
  return readRows(records, feed, { after, through }, rows, signal);
}

async function* readRows<Event extends FeedEvent>(
  records: RecordFeed<Event>,
  { directory, storeId, stateCiphers = null }: EventFeed<Event>,
  { after, through }: RowRange,
  rowsFactory: RowsFactory,
  signal: AbortSignal,
): AsyncGenerator<RowBatch<Event>, void, undefined> {
  let reached = after;
  // The keys of an encrypted store stay where they are.
  if (storeId !== undefined && stateCiphers === null && through - after >= THREAD_EVENTS_MIN) {
    const split = after + HEAD_START_EVENTS;
    const ahead = rowsFromThread({ directory, storeId }, { after: split, through }, rowsFactory, signal);
    try {
      // Has the thread begin.
      const first = ahead.next();
      first.catch(() => undefined);
      yield* readOwn(records, { after, through: split }, rowsFactory, signal);
      reached = split;
      for (let next = await first; ; next = await ahead.next()) {
        if (next.done === true) {
          if (next.value) return;
          break;
        }
        yield new RowBatch(next.value, records);
        reached = next.value.lsnAt(next.value.length - 1);
      }
    } finally {
      await ahead.return(false);
    }
  }
  yield* readOwn(records, { after: reached, through }, rowsFactory, signal);
}

/** The same rows again and again. */
async function* readOwn<Event>(
  feed: RecordFeed<Event>,
  { after, through }: RowRange,
  rowsFactory: RowsFactory,
  signal: AbortSignal,
): AsyncGenerator<RowBatch<Event>, void, undefined> {
  const rows = rowsFactory.rows();
  const batch = new RowBatch(rows, feed);
  for await (const records of feed.readRecords(after, { through, signal })) {
    for (let filling = rows.fill(records); filling !== "done"; filling = rows.fill(records)) {
      if (filling === "full") yield batch;
      rows.clear();
      if (filling === "too-large") rows.enlarge((records.nextEnd ?? 0) - records.nextStart);
    }
  }
  if (rows.length > 0) yield batch;
}
