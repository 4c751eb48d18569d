/** Entries of the stream index: one stream in one segment. sealed-format.ts has the layout. */

import { VarintReader, varintBytes, writeVarint } from "./number-fields.js";
import { contentEndOf, PAGE_HEADER_BYTES } from "./page.js";
import type { StreamTable } from "./stream-table.js";

const ENTRY_HEADER_BYTES = 12;
const FLAG_POSTING_PAGES = 1;
/** Longer postings go into pages of their own. */
const INLINE_POSTING_BYTES_MAX = 768;
const VARINT_BYTES_MAX = 8;
/** So that every entry fits into a page. */
export const NAME_BYTES_MAX: number =
  contentEndOf(true) - PAGE_HEADER_BYTES - ENTRY_HEADER_BYTES - 4 * VARINT_BYTES_MAX - INLINE_POSTING_BYTES_MAX;

export interface StreamEntry {
  /** 0: all that the segment had of the stream were removed. */
  readonly count: number;
  /** Of those; without any, the version behind the last that was removed. */
  readonly firstVersion: number;
  /** Of the stream's last record in this segment, removed or not, less the segment's first LSN. */
  readonly lastLsnOffset: number;
  /** The first page with its postings; null when they are `inline`. */
  readonly postingPage: number | null;
  readonly inline: readonly number[];
}

/** Bytes of postings in an entry; null when they have no place there. */
export function inlineBytes(lsns: Uint32Array, start: number, end: number): number | null {
  if (end - start > INLINE_POSTING_BYTES_MAX) return null;
  let bytes = 0;
  let before = 0;
  for (let at = start; at < end; at++) {
    const lsn = lsns[at] as number;
    bytes += varintBytes(lsn - before);
    before = lsn;
  }
  return bytes <= INLINE_POSTING_BYTES_MAX ? bytes : null;
}

export function postingsPerPage(isEncrypted: boolean): number {
  return Math.floor((contentEndOf(isEncrypted) - PAGE_HEADER_BYTES) / 4);
}

function lastLsnOf(table: StreamTable, stream: number, lsns: Uint32Array, start: number, end: number): number {
  return end > start ? (lsns[end - 1] as number) : table.removedLsn(stream);
}

/** Bytes of a stream's entry whose postings are `lsns[start, end)` and take `inline` bytes in it; null: they are in pages of their own. */
export function entryBytesOf(
  table: StreamTable,
  stream: number,
  lsns: Uint32Array,
  start: number,
  end: number,
  inline: number | null,
): number {
  const nameBytes = table.nameLength(stream);
  const last = lastLsnOf(table, stream, lsns, start, end);
  const firstVersion = table.firstVersion(stream);
  const fields = varintBytes(nameBytes) + varintBytes(end - start) + varintBytes(firstVersion) + varintBytes(last);
  return ENTRY_HEADER_BYTES + fields + nameBytes + (inline ?? 4);
}

export interface EntryToWrite {
  readonly bytes: number;
  readonly table: StreamTable;
  readonly stream: number;
  readonly lsns: Uint32Array;
  readonly start: number;
  readonly end: number;
  readonly postingPage: number | null;
}

/** Writes an entry of `bytes` bytes. */
export function encodeEntry(target: Buffer, offset: number, entry: EntryToWrite): void {
  const { table, stream, lsns, start, end, postingPage } = entry;
  target.writeUInt16LE(entry.bytes, offset);
  target.writeUInt16LE(postingPage === null ? 0 : FLAG_POSTING_PAGES, offset + 2);
  target.writeUInt32LE(table.hashLow(stream), offset + 4);
  target.writeUInt32LE(table.hashHigh(stream), offset + 8);
  let at = writeVarint(target, offset + ENTRY_HEADER_BYTES, table.nameLength(stream));
  at = writeVarint(target, at, end - start);
  at = writeVarint(target, at, table.firstVersion(stream));
  at = writeVarint(target, at, lastLsnOf(table, stream, lsns, start, end));
  at = table.copyName(stream, target, at);
  if (postingPage !== null) {
    target.writeUInt32LE(postingPage, at);
    return;
  }
  let before = 0;
  for (let index = start; index < end; index++) {
    const lsn = lsns[index] as number;
    at = writeVarint(target, at, lsn - before);
    before = lsn;
  }
}

/** Where the entries of a page begin and end; null when they do not add up. The page's CRC held. */
export function* entryRanges(page: Buffer, contentEnd: number): Generator<readonly [number, number] | null> {
  for (let at = PAGE_HEADER_BYTES; at < contentEnd; ) {
    const end = at + page.readUInt16LE(at);
    if (end < at + ENTRY_HEADER_BYTES || end > contentEnd) {
      yield null;
      return;
    }
    yield [at, end];
    at = end;
  }
}

/** The entry with that name in a page whose CRC held; null when it is not there, `"damaged"` when the page makes no sense. */
export function findEntry(
  page: Buffer,
  contentEnd: number,
  hashLow: number,
  hashHigh: number,
  name: Uint8Array,
): StreamEntry | null | "damaged" {
  let at = PAGE_HEADER_BYTES;
  while (at + ENTRY_HEADER_BYTES <= contentEnd) {
    const end = at + page.readUInt16LE(at);
    if (end < at + ENTRY_HEADER_BYTES || end > contentEnd) return "damaged";
    if (page.readUInt32LE(at + 4) === hashLow && page.readUInt32LE(at + 8) === hashHigh) {
      // First: of an entry that makes no sense nobody knows where its name lies.
      const entry = decodeEntry(page, at, end);
      if (entry === null) return "damaged";
      const found = entryName(page, at);
      if (page.compare(name, 0, name.length, found.start, found.end) === 0) return entry;
    }
    at = end;
  }
  return at === contentEnd ? null : "damaged";
}

/** Where the name of an entry lies. */
export function entryName(page: Buffer, at: number): { readonly start: number; readonly end: number } {
  const fields = new VarintReader(page, at + ENTRY_HEADER_BYTES, page.length);
  const nameBytes = fields.next();
  for (let field = 0; field < 3; field++) fields.next();
  const end = Math.min(fields.at + nameBytes, page.length);
  return { start: Math.min(fields.at, end), end };
}

export function entryHash(page: Buffer, at: number): { readonly low: number; readonly high: number } {
  return { low: page.readUInt32LE(at + 4), high: page.readUInt32LE(at + 8) };
}

export function decodeEntry(page: Buffer, at: number, end: number): StreamEntry | null {
  const fields = new VarintReader(page, at + ENTRY_HEADER_BYTES, end);
  const nameBytes = fields.next();
  const count = fields.next();
  const firstVersion = fields.next();
  const lastLsnOffset = fields.next();
  fields.at += nameBytes;
  if (![nameBytes, count, firstVersion, lastLsnOffset].every(Number.isSafeInteger)) return null;
  const flags = page.readUInt16LE(at + 2);
  const head = { count, firstVersion, lastLsnOffset };
  if (flags === FLAG_POSTING_PAGES) {
    if (fields.at + 4 !== end) return null;
    return { ...head, postingPage: page.readUInt32LE(fields.at), inline: [] };
  }
  if (flags !== 0 || !(count <= end - fields.at)) return null;
  const inline: number[] = [];
  let lsn = 0;
  for (let index = 0; index < count; index++) {
    lsn += fields.next();
    inline.push(lsn);
  }
  const isWhole = fields.at === end && (count === 0 || lsn === lastLsnOffset);
  return isWhole ? { ...head, postingPage: null, inline } : null;
}
