/** Which events `varve read` prints, and in which order. */

import type { RecordedEvent } from "../events/index.js";
import type { StoreReader } from "../index.js";

export interface EventSelection {
  readonly stream?: string;
  /** Only LSNs above this one. */
  readonly after?: number;
  readonly limit?: number;
  readonly backwards?: true;
  readonly follow?: true;
}

// The subscription follows writers by itself; only who looks is told when the store cannot be read any more.
const LOOK_INTERVAL_MS = 100;

/** Yields the selected events. Ends quietly when the signal is aborted. */
export async function* selectEvents(
  reader: StoreReader,
  selection: EventSelection,
  signal: AbortSignal,
): AsyncGenerator<RecordedEvent, void, undefined> {
  const { limit = Number.POSITIVE_INFINITY } = selection;
  let count = 0;
  if (limit === 0) return;
  const stopped = new AbortController();
  const ending = AbortSignal.any([signal, stopped.signal]);
  if (selection.follow === true) keepLooking(reader, stopped);
  try {
    for await (const event of openCursor(reader, selection, ending)) {
      if (selection.stream !== undefined && event.lsn <= (selection.after ?? 0)) {
        if (selection.backwards === true) return;
        continue;
      }
      yield event;
      count += 1;
      if (count === limit) return;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    stopped.abort();
  }
}

/** Looks for new events until the controller is aborted; aborts it with the error when the log cannot be read any more. */
function keepLooking(reader: StoreReader, stopped: AbortController): void {
  const look = (): void => {
    reader.refresh().then(
      () => setTimeout(again, LOOK_INTERVAL_MS),
      (error: unknown) => stopped.abort(error),
    );
  };
  const again = (): void => {
    if (!stopped.signal.aborted) look();
  };
  look();
}

function openCursor(
  reader: StoreReader,
  { stream, after = 0, backwards, follow }: EventSelection,
  signal: AbortSignal,
): AsyncIterable<RecordedEvent> {
  if (follow === true) return reader.subscribe({ after, signal, ...(stream !== undefined && { stream }) });
  const direction = backwards === true ? "backwards" : "forwards";
  if (stream !== undefined) return reader.readStream(stream, { direction, signal });
  return reader.readAll({ after, direction, signal });
}
