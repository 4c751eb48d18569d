/** Single events of the log. */

import type { ReadAllOptions, RecordedEvent } from "../../events/index.js";

/** Where events are read by their LSN. */
export interface EventLog {
  /** The last LSN that was dropped. */
  readonly horizon: number;
  readAll(options: ReadAllOptions): AsyncIterable<RecordedEvent>;
}

/** The event at an LSN; null where the log has it no more, or nothing has that LSN. */
export async function eventAt(log: EventLog, lsn: number): Promise<RecordedEvent | null> {
  if (lsn <= log.horizon) return null;
  for await (const event of log.readAll({ after: lsn - 1, through: lsn })) return event;
  return null;
}
