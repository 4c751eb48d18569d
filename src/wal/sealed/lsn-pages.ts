/** The sparse index of a segment's blocks by LSN: pages of entries, and the root over the pages. sealed-format.ts has the layout. */

import { readI64, readU64, writeI64, writeU64 } from "./number-fields.js";
import { finishPage, NO_PAGE, PAGE_CONTENT_END, PAGE_HEADER_BYTES } from "./page.js";
import { PAGE_BYTES, sealPage } from "./sealed-format.js";
import { ROOT_ENTRY_BYTES } from "./sealed-trailer.js";

const ENTRY_BYTES = 32;
export const LSN_ENTRIES_PER_PAGE: number = Math.floor((PAGE_CONTENT_END - PAGE_HEADER_BYTES) / ENTRY_BYTES);
const INITIAL_ENTRIES = 1024;

/** Where a block is, and what must be there. */
export interface BlockLocation {
  readonly firstLsn: number;
  readonly fileOffset: number;
  readonly recordedAt: number;
  readonly headerCrc: number;
  readonly storedBytes: number;
}

function encodeLocation(target: Buffer, at: number, location: BlockLocation): void {
  writeU64(target, at, location.firstLsn);
  writeU64(target, at + 8, location.fileOffset);
  writeI64(target, at + 16, location.recordedAt);
  target.writeUInt32LE(location.headerCrc, at + 24);
  target.writeUInt32LE(location.storedBytes, at + 28);
}

/** Entry `index` of a page whose CRC held. */
export function locationAt(page: Buffer, index: number): BlockLocation {
  const at = PAGE_HEADER_BYTES + index * ENTRY_BYTES;
  return {
    firstLsn: readU64(page, at),
    fileOffset: readU64(page, at + 8),
    recordedAt: readI64(page, at + 16),
    headerCrc: page.readUInt32LE(at + 24),
    storedBytes: page.readUInt32LE(at + 28),
  };
}

/** Makes the times of one whole page those of another with as many entries. */
export function takeTimes(page: Buffer, from: Buffer, storeCrc: number): void {
  const end = page.readUInt16LE(18); // of the content
  for (let at = PAGE_HEADER_BYTES; at < end; at += ENTRY_BYTES) from.copy(page, at + 16, at + 16, at + 24);
  sealPage(page, storeCrc);
}

/** One value of entry `index`: what a search compares. */
export function lsnOfEntry(page: Buffer, index: number): number {
  return readU64(page, PAGE_HEADER_BYTES + index * ENTRY_BYTES);
}

export function timeOfEntry(page: Buffer, index: number): number {
  return readI64(page, PAGE_HEADER_BYTES + index * ENTRY_BYTES + 16);
}

/** The last of `count` entries whose value is at most `value`; −1 when the first is greater. */
export function floorIndex(count: number, value: number, at: (index: number) => number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (at(middle) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The index while its segment is being made. */
export class LsnPages {
  #entries = Buffer.alloc(INITIAL_ENTRIES * ENTRY_BYTES);
  #count = 0;

  get blockCount(): number {
    return this.#count;
  }

  get pageCount(): number {
    return Math.ceil(this.#count / LSN_ENTRIES_PER_PAGE);
  }

  add(location: BlockLocation): void {
    const at = this.#count++ * ENTRY_BYTES;
    if (at === this.#entries.length) this.#entries = Buffer.concat([this.#entries], this.#entries.length * 2);
    encodeLocation(this.#entries, at, location);
  }

  /** All pages in order. Each is valid until the next one is asked for. */
  *pages(number: number, storeCrc: number): Generator<Buffer, void, undefined> {
    const page = Buffer.alloc(PAGE_BYTES);
    for (let index = 0; index < this.pageCount; index++) {
      const first = index * LSN_ENTRIES_PER_PAGE;
      const entryCount = Math.min(LSN_ENTRIES_PER_PAGE, this.#count - first);
      const contentEnd = PAGE_HEADER_BYTES + entryCount * ENTRY_BYTES;
      this.#entries.copy(page, PAGE_HEADER_BYTES, first * ENTRY_BYTES, (first + entryCount) * ENTRY_BYTES);
      finishPage(page, { kind: "lsns", page: index, number, entryCount, contentEnd, nextPage: NO_PAGE }, storeCrc);
      yield page;
    }
  }

  root(): Buffer {
    const root = Buffer.alloc(this.pageCount * ROOT_ENTRY_BYTES);
    for (let index = 0; index < this.pageCount; index++) {
      const at = index * LSN_ENTRIES_PER_PAGE * ENTRY_BYTES;
      this.#entries.copy(root, index * ROOT_ENTRY_BYTES, at, at + 8);
      this.#entries.copy(root, index * ROOT_ENTRY_BYTES + 8, at + 16, at + 24);
    }
    return root;
  }

  clear(): void {
    this.#count = 0;
  }
}
