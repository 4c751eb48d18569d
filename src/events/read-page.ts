/** Reading a page at a time, for whoever cannot keep an iterator: a web page, a job that goes on tomorrow. */

import { checkOptionNames, integerOption } from "../wal/index.js";
import type { ReadAllOptions, ReadStreamOptions } from "./event-source.js";

const PAGE_EVENTS = { min: 1, max: 10_000, default: 100 };

/** Some events, and how to go on behind them. */
export interface Page<Event, Options> {
  readonly events: readonly Event[];
  /** Whether there was more when the page was read. What comes later is behind it all the same. */
  readonly hasMore: boolean;
  /** The options of the next page: plain data, to be kept anywhere. Without more events, those of what may still come; backwards null. */
  readonly next: Options | null;
}

/** `limit`: events of a page, 1 to 10,000, default 100. */
export type StreamPageOptions = Pick<ReadStreamOptions, "from" | "limit" | "direction">;
/** `limit`: events of a page, 1 to 10,000, default 100. */
export type AllPageOptions = Pick<ReadAllOptions, "after" | "through" | "limit" | "direction">;

interface Positioned {
  readonly version: number;
  readonly lsn: number;
}

async function readPage<Event, Options>(
  read: (limit: number) => AsyncIterable<Event>,
  limit: number,
  goOn: (last: Event | undefined, hasMore: boolean) => Options | null,
): Promise<Page<Event, Options>> {
  const events: Event[] = [];
  for await (const event of read(limit + 1)) events.push(event);
  const hasMore = events.length > limit;
  if (hasMore) events.pop();
  return { events, hasMore, next: goOn(events.at(-1), hasMore) };
}

/** One page of a stream. */
export async function readStreamPage<Event extends Positioned>(
  read: (options: ReadStreamOptions) => AsyncIterable<Event>,
  options: StreamPageOptions = {},
): Promise<Page<Event, StreamPageOptions>> {
  checkOptionNames(options, ["from", "limit", "direction"], "readStreamPage");
  const limit = integerOption(options.limit, "limit", PAGE_EVENTS);
  return readPage(
    (count) => read({ ...options, limit: count }),
    limit,
    (last, hasMore) => {
      if (options.direction === "backwards") return hasMore && last ? { ...options, from: last.version - 1 } : null;
      return last === undefined ? options : { ...options, from: last.version + 1 };
    },
  );
}

/** One page of the whole store. */
export async function readAllPage<Event extends Positioned>(
  read: (options: ReadAllOptions) => AsyncIterable<Event>,
  options: AllPageOptions = {},
): Promise<Page<Event, AllPageOptions>> {
  checkOptionNames(options, ["after", "through", "limit", "direction"], "readAllPage");
  const limit = integerOption(options.limit, "limit", PAGE_EVENTS);
  return readPage(
    (count) => read({ ...options, limit: count }),
    limit,
    (last, hasMore) => {
      if (options.direction === "backwards") return hasMore && last ? { ...options, through: last.lsn - 1 } : null;
      return last === undefined ? options : { ...options, after: last.lsn };
    },
  );
}
