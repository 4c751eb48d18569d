/** Reading what a store holds, for the oracle. */

import type { RecordedEvent } from "../../src/index.js";
import type { SeenEvent } from "./history.js";

export function seenEvent({ lsn, stream, version, type, recordedAt, data }: RecordedEvent): SeenEvent {
  return { lsn, stream, version, type, recordedAt, data };
}

export async function readLog(events: AsyncIterable<RecordedEvent>): Promise<SeenEvent[]> {
  const seen: SeenEvent[] = [];
  for await (const event of events) seen.push(seenEvent(event));
  return seen;
}
