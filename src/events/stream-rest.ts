/** What readers of a stream still see of it, by what was said of it; pure. Always a stream without some of its first events. */

import { oldestUs, type StreamRetention, tombstoned } from "./retention-state.js";

export interface StreamRest {
  readonly firstVersion: number;
  /** Events up to this LSN are gone. */
  readonly deletedLsn: number;
  /** Events that were recorded before are gone. */
  readonly oldestUs: number;
}

export const WHOLE_STREAM: StreamRest = { firstVersion: 1, deletedLsn: 0, oldestUs: Number.NEGATIVE_INFINITY };

/** Of a stream that is at `version`. @throws StoreError `ERR_STREAM_TOMBSTONED` */
export function restOf(stream: string, said: StreamRetention, version: number, nowUs: number): StreamRest {
  if (said.isTombstoned) throw tombstoned(stream);
  const { maxAgeMs, maxCount, deletedLsn } = said;
  return {
    firstVersion: Math.max(said.firstVersion, maxCount === null ? 1 : version - maxCount + 1),
    deletedLsn,
    oldestUs: maxAgeMs === null ? Number.NEGATIVE_INFINITY : oldestUs(maxAgeMs, nowUs),
  };
}

interface Placed {
  readonly lsn: number;
  readonly recordedAt: number;
}

/** The events that are left, of those from `firstVersion` on. */
export async function* leftOf<Event extends Placed>(
  batches: AsyncIterable<readonly Event[]>,
  { deletedLsn, oldestUs: oldest }: StreamRest,
  forwards: boolean,
): AsyncGenerator<readonly Event[], void, undefined> {
  const isLeft = ({ lsn, recordedAt }: Event): boolean => lsn > deletedLsn && recordedAt >= oldest;
  const isSure = deletedLsn === 0 && oldest === Number.NEGATIVE_INFINITY;
  for await (const events of batches) {
    const left = isSure ? events : events.filter(isLeft);
    if (left.length > 0) yield left;
    // Both bounds rise with the LSN: before an event that is gone, all are.
    if (!forwards && left.length < events.length) return;
  }
}
