/** Reading what a store holds, for the oracle. */

import type { RecordedEvent } from "../../src/index.js";
import { dataOf, type SeenEvent } from "./history.js";
import { idIn } from "./subject-oracle.js";

export function seenEvent(event: RecordedEvent): SeenEvent {
  const { lsn, stream, version, type, recordedAt } = event;
  if (event.subjectKeyId === null) return { lsn, stream, version, type, recordedAt, data: event.data };
  const { name, index, count, subject } = idIn(event.id);
  const { forgotten: isForgotten } = event;
  const hasContent = event.data !== undefined || event.payload.length > 0;
  if (hasContent === isForgotten)
    throw new Error(`LSN ${lsn}: forgotten is ${isForgotten}, and the content is another`);
  // The same as long as it is there: what must not be seen is judged apart.
  const data = isForgotten ? dataOf(name, index, count) : event.data;
  return { lsn, stream, version, type, recordedAt, data, subject: { subject, name, isForgotten } };
}

export async function readLog(events: AsyncIterable<RecordedEvent>): Promise<SeenEvent[]> {
  const seen: SeenEvent[] = [];
  for await (const event of events) seen.push(seenEvent(event));
  return seen;
}
