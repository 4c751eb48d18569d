/** Turns graph events into what the graph is fed, as the log would. */

import { encodeGraphEvent } from "../../../src/projections/graph/graph-event-codec.js";
import type { RawEvent } from "../../../src/projections/graph/raw-event.js";

export interface TestEvent {
  readonly lsn: number;
  readonly recordedAt: number;
  /** Without the package: "NodeCreated". "Other" is no event of the graph's. */
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The event as the log's reader hands it over: its payload lies somewhere inside larger bytes. */
export function rawEvent({ lsn, recordedAt, type, data }: TestEvent): RawEvent {
  if (type === "Other") return rawPayload(lsn, recordedAt, type, Uint8Array.of(1, 2, 3));
  const payload = encodeGraphEvent(`varve.v1.${type}`, data);
  return rawPayload(lsn, recordedAt, `varve.v1.${type}`, payload);
}

export function rawPayload(lsn: number, recordedAt: number, type: string, payload: Uint8Array): RawEvent {
  const margin = 1 + (lsn % 5);
  const bytes = new Uint8Array(payload.length + 2 * margin).fill(0xff);
  bytes.set(payload, margin);
  return {
    lsn,
    recordedAt,
    type,
    stream: "graph",
    version: lsn,
    bytes,
    payloadStart: margin,
    payloadEnd: margin + payload.length,
  };
}
