/** The patch: given keys replace, a null removes, the other keys stay where they were. All on canonical bytes. */

import { NULL_TAG } from "./property.js";
import { PropertyCursor } from "./property-cursor.js";
import type { WireWriter } from "./wire.js";

const base = new PropertyCursor();
const patch = new PropertyCursor();
const other = new PropertyCursor();

/** Writes `properties` with `changes` merged into them; both are runs of canonical properties. */
export function mergeProperties(
  writer: WireWriter,
  properties: Uint8Array,
  start: number,
  end: number,
  changes: Uint8Array,
  changesStart: number,
  changesEnd: number,
): void {
  base.open(properties, start, end);
  while (base.advance()) {
    other.open(changes, changesStart, changesEnd);
    if (!other.find(properties, base.keyStart, base.keyEnd)) writer.raw(properties, base.start, base.next);
    else if (!isNull(other)) writer.raw(changes, other.start, other.next);
  }
  patch.open(changes, changesStart, changesEnd);
  while (patch.advance()) {
    if (isNull(patch)) continue;
    other.open(properties, start, end);
    if (other.find(changes, patch.keyStart, patch.keyEnd)) continue;
    other.open(changes, patch.next, changesEnd);
    if (!other.find(changes, patch.keyStart, patch.keyEnd)) writer.raw(changes, patch.start, patch.next);
  }
}

function isNull(cursor: PropertyCursor): boolean {
  return cursor.bytes[cursor.valueStart] === NULL_TAG;
}
