/** Events as lines of JSON, the form that `varve read --json` prints and `varve append` and `varve import ndjson` take. */

import { isStoreError } from "../errors.js";
import type { EventInput, RecordedEvent } from "../events/index.js";
import { formatInstant } from "./instant.js";
import { badLine, type NdjsonLine } from "./ndjson.js";
import { stringify } from "./output.js";

/** An event and, where the line names one, its stream. */
export interface EventLine {
  readonly stream: string | null;
  readonly event: EventInput;
}

const TAKEN = new Set(["stream", "type", "data", "metadata", "id"]);
/** What `varve read --json` prints besides: the new store gives these itself. */
const GIVEN_BY_THE_STORE = new Set(["version", "lsn", "recordedAt"]);

/** Throws ERR_IMPORT_SOURCE with the line's number when it is no event. */
export function parseEventLine(line: NdjsonLine): EventLine {
  const { value } = line;
  if (!isRecord(value)) throw badLine(line.number, "is not a JSON object");
  for (const key of Object.keys(value)) {
    if (!TAKEN.has(key) && !GIVEN_BY_THE_STORE.has(key))
      throw badLine(line.number, `has the unknown field ${JSON.stringify(key)}`);
  }
  const { stream, type, data, metadata, id } = value;
  if (stream !== undefined && typeof stream !== "string") throw badLine(line.number, "has a stream that is no string");
  if (typeof type !== "string") throw badLine(line.number, "has no type, or one that is no string");
  if (metadata !== undefined && !isRecord(metadata)) throw badLine(line.number, "has metadata that are no JSON object");
  if (id !== undefined && typeof id !== "string") throw badLine(line.number, "has an id that is no string");
  return {
    stream: stream ?? null,
    event: { type, data, ...(metadata !== undefined && { metadata }), ...(id !== undefined && { id }) },
  };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The fields of an event that are printed. Data of a type that no schema was given for are left as they are stored. */
export function printableEvent(event: RecordedEvent): object {
  const { id, type, metadata, stream, version, lsn, recordedAt } = event;
  return { id, type, ...dataOf(event), metadata, stream, version, lsn, recordedAt };
}

/** An event as one line for people. */
export function formatEvent(event: RecordedEvent): string {
  const { type, stream, version, lsn, recordedAt } = event;
  const place = `${String(lsn).padStart(8)}  ${formatInstant(recordedAt)}  ${stream}@${version}`;
  return `${place}  ${type}  ${stringify(Object.values(dataOf(event))[0])}`;
}

/** Whether the event's data can be decoded: it is JSON, or of a type that is known. */
export function isDecodable(event: RecordedEvent): boolean {
  return "data" in dataOf(event);
}

function dataOf(event: RecordedEvent): { readonly data: unknown } | { readonly payload: Uint8Array } {
  try {
    return { data: event.data };
  } catch (error) {
    if (isStoreError(error, "ERR_EVENTS_SCHEMA")) return { payload: event.payload };
    throw error;
  }
}
