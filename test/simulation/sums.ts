/** A projection that depends on every event and on their order, and the same fold by the oracle. */

import { type Aggregate, type Projection, type RecordedEvent, singleStream } from "../../src/index.js";
import { EVENT_TYPE, type SeenEvent } from "./history.js";

interface Sum {
  events: number;
  lsn: number;
  hash: number;
}

export type Sums = Record<string, Sum>;

function emptySum(): Sum {
  return { events: 0, lsn: 0, hash: 7 };
}

/** Changes the sum. */
function addTo(sum: Sum, lsn: number, content: string): Sum {
  sum.events++;
  sum.lsn = lsn;
  for (let at = 0; at < content.length; at++) sum.hash = (Math.imul(sum.hash, 31) + content.charCodeAt(at) + lsn) | 0;
  return sum;
}

function add(state: Sums, stream: string, lsn: number, content: string): Sums {
  state[stream] ??= emptySum();
  addTo(state[stream], lsn, content);
  return state;
}

export const sums: Projection<Sums> = {
  name: "sums",
  version: 1,
  handles: "all",
  init: () => ({}),
  apply: (state, { stream, lsn, data }: RecordedEvent) => add(state, stream, lsn, JSON.stringify(data)),
  encode: (state) => Buffer.from(JSON.stringify(state)),
  decode: async (chunks) => {
    const parts: Uint8Array[] = [];
    for await (const chunk of chunks) parts.push(chunk);
    return JSON.parse(Buffer.concat(parts).toString()) as Sums;
  },
};

/** The same, as a document for each stream. */
export const streamSums: Projection<ReadonlyMap<string, Sum>, RecordedEvent<{ [EVENT_TYPE]: unknown }>> = singleStream<
  { [EVENT_TYPE]: unknown },
  Sum
>({
  name: "stream-sums",
  version: 1,
  streams: "stream-",
  initial: emptySum,
  on: { [EVENT_TYPE]: (sum, { lsn, data }) => addTo(sum, lsn, JSON.stringify(data)) },
});

/** The same, of one stream, with snapshots. */
export const snapshotSum: Aggregate<Sum, RecordedEvent> = {
  initial: emptySum,
  evolve: (sum, { lsn, data }) => addTo(sum, lsn, JSON.stringify(data)),
  // A snapshot that could not be written is written by a later fold.
  snapshot: { name: "snapshot-sum", version: 1, every: 3, onError: () => {} },
};

export function sumsOf(events: readonly SeenEvent[]): Sums {
  const state: Sums = {};
  for (const { stream, lsn, data, subject } of events) {
    if (subject?.isForgotten !== true) add(state, stream, lsn, JSON.stringify(data));
  }
  return state;
}
