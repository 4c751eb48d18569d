/** Looks for properties without decoding them: canonical bytes are equal exactly when the properties are. */

import { writeProperties } from "./property.js";
import { PropertyCursor, sameBytesAt } from "./property-cursor.js";
import { WireWriter } from "./wire.js";

const found = new PropertyCursor();
const each = new PropertyCursor();
const last = new PropertyCursor();

// A property's getter may ask for another match meanwhile, so the writer is taken while it is in use.
let idleWriter: WireWriter | null = null;

export class PropertyMatch {
  readonly #wanted: readonly PropertyCursor[];

  /** Throws as writing such properties would. */
  constructor(where: unknown) {
    const writer = idleWriter ?? new WireWriter();
    idleWriter = null;
    try {
      writer.clear();
      writeProperties(writer, where);
      this.#wanted = eachProperty(writer.finish());
    } finally {
      idleWriter = writer;
    }
  }

  /** The wanted property with this key, or null. */
  valueOf(key: Uint8Array): PropertyCursor | null {
    for (const wanted of this.#wanted) {
      const length = wanted.keyEnd - wanted.keyStart;
      if (length === key.length && sameBytesAt(wanted.bytes, wanted.keyStart, key, 0, length)) return wanted;
    }
    return null;
  }

  /** True when every wanted property is among those of `bytes[start, end)`. */
  holds(bytes: Uint8Array, start: number, end: number): boolean {
    for (const wanted of this.#wanted) {
      if (!hasProperty(bytes, start, end, wanted)) return false;
    }
    return true;
  }
}

/** True when two runs of canonical properties hold the same keys with the same values, in whatever order. */
export function sameProperties(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): boolean {
  if (aEnd - aStart === bEnd - bStart && sameBytesAt(a, aStart, b, bStart, aEnd - aStart)) return true;
  return holdsAll(a, aStart, aEnd, b, bStart, bEnd) && holdsAll(b, bStart, bEnd, a, aStart, aEnd);
}

/** True when every key of `wanted` has in `among` the value it has in `wanted`. */
function holdsAll(
  among: Uint8Array,
  start: number,
  end: number,
  wanted: Uint8Array,
  wantedStart: number,
  wantedEnd: number,
): boolean {
  each.open(wanted, wantedStart, wantedEnd);
  while (each.advance()) {
    // The key may stand in `wanted` again: its last value counts.
    last.open(wanted, each.start, wantedEnd);
    last.find(wanted, each.keyStart, each.keyEnd);
    if (!hasProperty(among, start, end, last)) return false;
  }
  return true;
}

function hasProperty(bytes: Uint8Array, start: number, end: number, wanted: PropertyCursor): boolean {
  found.open(bytes, start, end);
  if (!found.find(wanted.bytes, wanted.keyStart, wanted.keyEnd)) return false;
  const length = wanted.next - wanted.valueStart;
  return (
    found.next - found.valueStart === length &&
    sameBytesAt(bytes, found.valueStart, wanted.bytes, wanted.valueStart, length)
  );
}

/** One cursor per property, each standing on its own. */
function eachProperty(bytes: Uint8Array): PropertyCursor[] {
  const cursors: PropertyCursor[] = [];
  for (let start = 0; start < bytes.length; ) {
    const cursor = new PropertyCursor();
    cursor.open(bytes, start, bytes.length);
    cursor.advance();
    cursors.push(cursor);
    start = cursor.next;
  }
  return cursors;
}
