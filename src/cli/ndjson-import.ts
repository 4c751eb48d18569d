/** The import of lines of JSON: each line is one append, in the order of the lines. */

import { isStoreError, StoreError } from "../errors.js";
import type { AppendResult, BufferedResult, Durability, EventInput } from "../events/index.js";
import { AppendWindow } from "./append-window.js";
import { parseEventLine } from "./event-line.js";
import { badLine, type NdjsonLine, readNdjson } from "./ndjson.js";

const APPENDS_IN_FLIGHT_MAX = 1_024;

/** What the import needs of a store. */
export interface NdjsonStore {
  append(
    stream: string,
    event: EventInput,
    options: { readonly durability: Durability },
  ): Promise<AppendResult | BufferedResult>;
}

export interface NdjsonImportOptions {
  readonly durability: Durability;
  readonly signal: AbortSignal;
  readonly onProgress?: (events: number) => void;
}

export interface NdjsonImportResult {
  readonly events: number;
  readonly interrupted: boolean;
}

/**
 * Appends the events of all lines.
 *
 * A bad line ends it with an error that names the line. All lines before it are in the store then, and none after it.
 */
export async function importNdjson(
  store: NdjsonStore,
  chunks: AsyncIterable<Uint8Array>,
  { durability, signal, onProgress }: NdjsonImportOptions,
): Promise<NdjsonImportResult> {
  const window = new AppendWindow(APPENDS_IN_FLIGHT_MAX);
  let events = 0;
  const start = async (line: NdjsonLine): Promise<void> => {
    const { stream, event } = parseEventLine(line);
    if (stream === null) throw badLine(line.number, "has no stream");
    await window.whenRoom();
    window.add(store.append(stream, event, { durability }), 1, (error) => nameLine(error, line.number));
    events += 1;
    // An event is refused before `append` returns, so that its failure is known here, before the next line is looked at.
    await null;
    window.throwFailure();
  };
  try {
    for await (const lines of readNdjson(chunks)) {
      for (const line of lines) {
        if (signal.aborted) break;
        await start(line);
      }
      onProgress?.(events);
      if (signal.aborted) break;
    }
  } catch (error) {
    // What was appended before the bad line is safely in before its error is told.
    await window.whenEmpty();
    throw error;
  }
  await window.whenEmpty();
  return { events, interrupted: signal.aborted };
}

function nameLine(error: unknown, number: number): unknown {
  if (isStoreError(error)) {
    const message = `line ${number}: ${error.message}`;
    return new StoreError(error.code, message, { ...error.details, line: number }, { cause: error });
  }
  if (error instanceof TypeError || error instanceof RangeError)
    return badLine(number, `is refused: ${error.message}`, error);
  return error;
}
