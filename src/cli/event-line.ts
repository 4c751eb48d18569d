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

const TAKEN = new Set(["stream", "type", "data", "metadata", "id", "subject"]);
/** What `varve read --json` prints besides: the new store gives these itself. */
const GIVEN_BY_THE_STORE = new Set(["version", "lsn", "recordedAt", "subjectKeyId"]);

/** Throws ERR_IMPORT_SOURCE with the line's number when it is no event. */
export function parseEventLine(line: NdjsonLine): EventLine {
  const { value } = line;
  if (!isRecord(value)) throw badLine(line.number, "is not a JSON object");
  if (value["forgotten"] === true || value["sealed"] === true)
    throw badLine(
      line.number,
      "is of a subject that is forgotten, or whose key was not given: it has no content to import",
    );
  for (const key of Object.keys(value)) {
    if (!TAKEN.has(key) && !GIVEN_BY_THE_STORE.has(key))
      throw badLine(line.number, `has the unknown field ${JSON.stringify(key)}`);
  }
  const { stream, type, data, metadata, id, subject } = value;
  if (stream !== undefined && typeof stream !== "string") throw badLine(line.number, "has a stream that is no string");
  if (typeof type !== "string") throw badLine(line.number, "has no type, or one that is no string");
  if (metadata !== undefined && !isRecord(metadata)) throw badLine(line.number, "has metadata that are no JSON object");
  if (id !== undefined && typeof id !== "string") throw badLine(line.number, "has an id that is no string");
  // The store that it comes from does not know either.
  if (subject === undefined && typeof value["subjectKeyId"] === "string")
    throw badLine(line.number, "is of a subject: say which as `subject`, or take subjectKeyId away");
  if (subject !== undefined && typeof subject !== "string")
    throw badLine(line.number, "has a subject that is no string");
  return {
    stream: stream ?? null,
    event: {
      type,
      data,
      ...(metadata !== undefined && { metadata }),
      ...(id !== undefined && { id }),
      ...(subject !== undefined && { subject }),
    },
  };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The fields of an event that are printed. Data of a type that no schema was given for are left as they are stored. */
export function printableEvent(event: RecordedEvent): object {
  const { id, type, stream, version, lsn, recordedAt, subjectKeyId } = event;
  const about = subjectKeyId === null ? {} : { subjectKeyId };
  return { id, type, ...contentOf(event), ...about, stream, version, lsn, recordedAt };
}

/** An event as one line for people. */
export function formatEvent(event: RecordedEvent): string {
  const { type, stream, version, lsn, recordedAt } = event;
  const place = `${String(lsn).padStart(8)}  ${formatInstant(recordedAt)}  ${stream}@${version}`;
  const content = contentOf(event);
  if ("forgotten" in content) return `${place}  ${type}  (forgotten)`;
  if ("sealed" in content) return `${place}  ${type}  (sealed by the subject key ${event.subjectKeyId})`;
  return `${place}  ${type}  ${stringify(Object.values(content)[0])}`;
}

/** Whether the event's data can be decoded, where it has any: it is JSON, or of a type that is known. */
export function isDecodable(event: RecordedEvent): boolean {
  return !("payload" in contentOf(event));
}

type Content =
  | { readonly data: unknown; readonly metadata: unknown }
  | { readonly payload: Uint8Array; readonly metadata: unknown }
  | { readonly forgotten: true }
  /** The subject's key was not given. */
  | { readonly sealed: true };

function contentOf(event: RecordedEvent): Content {
  if (event.forgotten) return { forgotten: true };
  try {
    const { metadata } = event;
    return { ...dataOf(event), metadata };
  } catch (error) {
    if (isStoreError(error, "ERR_KEY_MISSING")) return { sealed: true };
    throw error;
  }
}

function dataOf(event: RecordedEvent): { readonly data: unknown } | { readonly payload: Uint8Array } {
  try {
    return { data: event.data };
  } catch (error) {
    if (isStoreError(error, "ERR_EVENTS_SCHEMA")) return { payload: event.payload };
    throw error;
  }
}
