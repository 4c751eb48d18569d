/** What a node or an edge would hold, part by part, if an event about it that the rules let pass were written. */

import type { ContentPart } from "./constraint-check.js";
import type { GraphEventFields } from "./graph-event-fields.js";
import type { GraphEventKind } from "./graph-event-kind.js";
import type { GraphTables } from "./graph-tables.js";
import { mergeProperties } from "./property-merge.js";
import { decodeText } from "./text.js";
import { WireWriter } from "./wire.js";

/** `slot` is the entity's, 0 where it is new. From the latest to the earliest. */
export function partsAfter(
  tables: GraphTables,
  { entity, operation }: GraphEventKind,
  fields: GraphEventFields,
  slot: number,
): ContentPart[] {
  const { from, to } = fields.period;
  if (operation === "create" || operation === "put" || slot === 0) return [givenPart(fields, from, to)];
  const parts: ContentPart[] = [];
  const { contents, labels } = tables;
  const { timelines } = tables.of(entity);
  let end = to;
  for (const row of timelines.liveRows(slot)) {
    const part = {
      from: Math.max(timelines.validFrom(slot, row), from),
      to: Math.min(timelines.validTo(slot, row), to),
    };
    if (part.from >= part.to) continue;
    if (operation === "upsert" && part.to < end) parts.push(givenPart(fields, part.to, end));
    end = part.from;
    contents.open(timelines.content(slot, row));
    const label = labels.name(contents.label);
    const given = givenPart(fields, part.from, part.to);
    parts.push({ ...(operation === "replace" ? given : merged(contents, given)), label });
  }
  if (operation === "upsert" && from < end) parts.push(givenPart(fields, from, end));
  return parts;
}

function givenPart(fields: GraphEventFields, from: number, to: number): ContentPart {
  const { bytes, labelStart, labelEnd, properties, propertiesStart, propertiesEnd } = fields;
  const label = decodeText(bytes, labelStart, labelEnd);
  return { from, to, label, bytes: properties, start: propertiesStart, end: propertiesEnd };
}

function merged(
  base: { readonly bytes: Uint8Array; readonly start: number; readonly end: number },
  given: ContentPart,
): ContentPart {
  const writer = new WireWriter();
  mergeProperties(writer, base.bytes, base.start, base.end, given.bytes, given.start, given.end);
  const bytes = writer.finish();
  return { ...given, bytes, start: 0, end: bytes.length };
}
