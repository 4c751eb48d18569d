/**
 * Finds the value that belongs to a name given as UTF-8 bytes, without making a string of them.
 *
 * Replay meets the same stream and type names millions of times; decoding each would cost more than everything else.
 */

const INITIAL_SLOTS = 256;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

interface Entry<Value> {
  readonly bytes: Uint8Array;
  readonly hash: number;
  readonly value: Value;
}

function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = FNV_OFFSET;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), FNV_PRIME);
  return hash >>> 0;
}

function isSame(entry: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (entry.length !== end - start) return false;
  // From the end: names tend to share their beginnings.
  for (let at = entry.length - 1; at >= 0; at--) if (entry[at] !== bytes[start + at]) return false;
  return true;
}

export class ByteInterner<Value> {
  #slots: (Entry<Value> | undefined)[] = new Array<Entry<Value> | undefined>(INITIAL_SLOTS);
  #count = 0;
  #last: Entry<Value> | undefined;

  get size(): number {
    return this.#count;
  }

  /** The value of the name in `bytes[start, end)`, if it has one. */
  get(bytes: Uint8Array, start: number, end: number): Value | undefined {
    const last = this.#last;
    if (last !== undefined && isSame(last.bytes, bytes, start, end)) return last.value;
    const hash = hashOf(bytes, start, end);
    const mask = this.#slots.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = this.#slots[slot];
      if (entry === undefined) return undefined;
      if (entry.hash === hash && isSame(entry.bytes, bytes, start, end)) {
        this.#last = entry;
        return entry.value;
      }
    }
  }

  /** Gives a name that has none yet its value. The bytes are copied. */
  add(bytes: Uint8Array, start: number, end: number, value: Value): void {
    if (this.#count * 2 >= this.#slots.length) this.#grow();
    const entry = { bytes: Uint8Array.prototype.slice.call(bytes, start, end), hash: hashOf(bytes, start, end), value };
    this.#insert(entry);
    this.#count++;
    this.#last = entry;
  }

  #insert(entry: Entry<Value>): void {
    const mask = this.#slots.length - 1;
    let slot = entry.hash & mask;
    while (this.#slots[slot] !== undefined) slot = (slot + 1) & mask;
    this.#slots[slot] = entry;
  }

  #grow(): void {
    const entries = this.#slots;
    this.#slots = new Array<Entry<Value> | undefined>(entries.length * 2);
    for (const entry of entries) if (entry !== undefined) this.#insert(entry);
  }
}
