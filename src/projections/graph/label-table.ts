/** Labels as small numbers from 0, found by their UTF-8 bytes so that applying an event makes no string. */

import { checkLabel } from "./graph-input.js";
import { sameBytesAt } from "./property-cursor.js";
import { decodeText } from "./text.js";
import { copyOf } from "./wire.js";

const PLACES_MIN = 16;

export class LabelTable {
  readonly #names: string[] = [];
  readonly #bytes: Uint8Array[] = [];
  readonly #numbers = new Map<string, number>();
  /** What was found last, or −1. */
  #found = -1;
  // Open addressing, at most half full: label number + 1, or 0.
  #places = new Int32Array(PLACES_MIN);

  /** Every label, by number. */
  get names(): readonly string[] {
    return this.#names;
  }

  name(label: number): string {
    return this.#names[label] as string;
  }

  /** The number of a label, or −1. */
  numberOf(name: string): number {
    return this.#numbers.get(name) ?? -1;
  }

  /** As `numberOf`, for a query: null when none is asked for. Throws TypeError for what is no label. */
  wanted(name: string | undefined): number | null {
    return name === undefined ? null : this.numberOf(checkLabel(name));
  }

  /** The number of the label `bytes[start, end)`, or −1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    // Runs of one label are the rule for edges.
    const last = this.#bytes[this.#found];
    if (last?.length === end - start && sameBytesAt(last, 0, bytes, start, last.length)) return this.#found;
    this.#found = this.#lookUp(bytes, start, end);
    return this.#found;
  }

  #lookUp(bytes: Uint8Array, start: number, end: number): number {
    return (this.#places[this.#place(bytes, start, end)] as number) - 1;
  }

  /** The number of the label `bytes[start, end)`, a new one if need be. */
  intern(bytes: Uint8Array, start: number, end: number): number {
    const known = this.find(bytes, start, end);
    if (known >= 0) return known;
    const label = this.#names.length;
    this.#names.push(decodeText(bytes, start, end));
    this.#bytes.push(copyOf(bytes, start, end));
    this.#numbers.set(this.name(label), label);
    if (this.#names.length * 2 > this.#places.length) this.#grow();
    else this.#places[this.#place(bytes, start, end)] = label + 1;
    return label;
  }

  #grow(): void {
    this.#places = new Int32Array(this.#places.length * 2);
    for (const [label, bytes] of this.#bytes.entries()) {
      this.#places[this.#place(bytes, 0, bytes.length)] = label + 1;
    }
  }

  /** Where the label is, or the free place where it belongs. */
  #place(bytes: Uint8Array, start: number, end: number): number {
    const mask = this.#places.length - 1;
    let place = hashOf(bytes, start, end) & mask;
    for (;;) {
      const label = (this.#places[place] as number) - 1;
      if (label < 0) return place;
      const known = this.#bytes[label] as Uint8Array;
      if (known.length === end - start && sameBytesAt(known, 0, bytes, start, known.length)) return place;
      place = (place + 1) & mask;
    }
  }
}

// FNV-1a
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at += 1) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
  return hash ^ (hash >>> 15);
}
