/** A projection that depends on every event and on their order, and the same fold by the oracle. */

import type { Projection, RecordedEvent } from "../../src/index.js";
import type { SeenEvent } from "./history.js";

interface Sum {
  events: number;
  lsn: number;
  hash: number;
}

export type Sums = Record<string, Sum>;

function add(state: Sums, stream: string, lsn: number, content: string): Sums {
  state[stream] ??= { events: 0, lsn: 0, hash: 7 };
  const sum = state[stream];
  sum.events++;
  sum.lsn = lsn;
  for (let at = 0; at < content.length; at++) sum.hash = (Math.imul(sum.hash, 31) + content.charCodeAt(at) + lsn) | 0;
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

export function sumsOf(events: readonly SeenEvent[]): Sums {
  const state: Sums = {};
  for (const { stream, lsn, data, subject } of events) {
    if (subject?.isForgotten !== true) add(state, stream, lsn, JSON.stringify(data));
  }
  return state;
}
