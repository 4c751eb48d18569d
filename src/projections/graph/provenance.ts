/** Where a change of the graph comes from, as its event's metadata keep it: `{ "provenance": { … } }`. */

import { Buffer } from "node:buffer";
import type { RecordedEvent } from "../../events/index.js";
import { checkKnownKeys, checkRecord } from "./graph-input.js";
import { isWellFormed } from "./property.js";

/** Where a change comes from, in the caller's own words. What is left out was not said. */
export interface GraphProvenance {
  /** Of the caller: several commands can have the same. It does not make them one change; a batch does. */
  readonly transactionId?: string;
  /** The system or document that it was taken from. */
  readonly source?: string;
  /** Who made it. */
  readonly actor?: string;
  /** Why. */
  readonly note?: string;
}

const FIELDS = ["transactionId", "source", "actor", "note"] as const;

/** Of each text. */
export const PROVENANCE_TEXT_BYTES_MAX = 4096;

/** What the event's metadata are to be; throws TypeError for what is no provenance. */
export function provenanceMetadata(value: unknown): { readonly provenance: GraphProvenance } {
  const record = checkRecord("provenance", value);
  checkKnownKeys("provenance", record, FIELDS);
  const provenance: { -readonly [Field in keyof GraphProvenance]: string } = {};
  for (const field of FIELDS) {
    const text = record[field];
    if (text === undefined) continue;
    if (typeof text !== "string" || text === "" || !isWellFormed(text))
      throw new TypeError(`provenance.${field} must be a non-empty string of well-formed text`);
    if (Buffer.byteLength(text) > PROVENANCE_TEXT_BYTES_MAX)
      throw new TypeError(`provenance.${field} must be at most ${PROVENANCE_TEXT_BYTES_MAX} bytes of UTF-8`);
    provenance[field] = text;
  }
  return { provenance };
}

/** What an event says about where it comes from; null where it says nothing. Metadata are anybody's: what is no text is left out. */
export function provenanceOf({ metadata }: Pick<RecordedEvent, "metadata">): GraphProvenance | null {
  const said = metadata["provenance"];
  if (typeof said !== "object" || said === null) return null;
  const texts = FIELDS.flatMap((field) => {
    const text = (said as Readonly<Record<string, unknown>>)[field];
    return typeof text === "string" ? [[field, text] as const] : [];
  });
  return texts.length === 0 ? null : Object.fromEntries(texts);
}
