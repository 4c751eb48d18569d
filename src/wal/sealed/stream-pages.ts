/** Makes the pages of a segment's stream index from its table of streams: buckets, postings, and where buckets go on. */

import { contentEndOf, finishPage, NO_PAGE, PAGE_HEADER_BYTES } from "./page.js";
import { PAGE_BYTES } from "./sealed-format.js";
import { encodeEntry, entryBytesOf, inlineBytes, postingsPerPage } from "./stream-page.js";
import type { StreamTable } from "./stream-table.js";

/** How full the average bucket is: with some sixty entries in each, about one in a hundred goes on in another page. */
const BUCKET_FILL = 0.75;
const TWO_TO_32 = 0x1_0000_0000;

export function bucketOf(hashHigh: number, bucketCount: number): number {
  return Math.floor((hashHigh * bucketCount) / TWO_TO_32);
}

export interface StreamPages {
  readonly bucketCount: number;
  /** All pages in order. Each is valid until the next one is asked for. */
  pages(): Generator<Buffer, void, undefined>;
}

/** With a cipher pages leave room for its tag. */
export function streamPages(
  table: StreamTable,
  number: number,
  storeCrc: number,
  isEncrypted: boolean = false,
): StreamPages {
  const lsns = table.sortedLsns();
  const capacity = { contentEnd: contentEndOf(isEncrypted), postings: postingsPerPage(isEncrypted) };
  const sizes = measure(table, lsns, capacity);
  const bucketCount = Math.ceil(sizes.totalBytes / ((capacity.contentEnd - PAGE_HEADER_BYTES) * BUCKET_FILL));
  const stamp = { number, storeCrc, bucketCount, capacity };
  return { bucketCount, pages: () => makePages(table, lsns, sizes, stamp) };
}

/** Of a page. */
interface Capacity {
  readonly contentEnd: number;
  readonly postings: number;
}

interface Sizes {
  readonly entryBytes: Uint16Array;
  /** Where each stream's postings begin in the sorted LSNs, and where the last one's end. */
  readonly starts: Uint32Array;
  readonly totalBytes: number;
  /** Stream → its first page of postings, counted from the first one of the segment; in the order of streams. */
  readonly posted: ReadonlyMap<number, number>;
  readonly postingPageCount: number;
}

function measure(table: StreamTable, lsns: Uint32Array, capacity: Capacity): Sizes {
  const entryBytes = new Uint16Array(table.streamCount);
  const starts = new Uint32Array(table.streamCount + 1);
  const posted = new Map<number, number>();
  let totalBytes = 0;
  let postingPageCount = 0;
  let start = 0;
  for (let stream = 0; stream < table.streamCount; stream++) {
    const count = table.count(stream);
    const inline = inlineBytes(lsns, start, start + count);
    const bytes = entryBytesOf(table, stream, lsns, start, start + count, inline);
    if (inline === null) {
      posted.set(stream, postingPageCount);
      postingPageCount += Math.ceil(count / capacity.postings);
    }
    entryBytes[stream] = bytes;
    totalBytes += bytes;
    start += count;
    starts[stream + 1] = start;
  }
  return { entryBytes, starts, totalBytes, posted, postingPageCount };
}

interface Stamp {
  readonly number: number;
  readonly storeCrc: number;
  readonly bucketCount: number;
  readonly capacity: Capacity;
}

/** The streams in the order of their buckets, and where each bucket's begin. */
function byBucket(table: StreamTable, bucketCount: number): { streams: Uint32Array; starts: Uint32Array } {
  const starts = new Uint32Array(bucketCount + 1);
  for (let stream = 0; stream < table.streamCount; stream++) {
    const bucket = bucketOf(table.hashHigh(stream), bucketCount) + 1;
    starts[bucket] = (starts[bucket] as number) + 1;
  }
  for (let bucket = 0; bucket < bucketCount; bucket++) {
    starts[bucket + 1] = (starts[bucket + 1] as number) + (starts[bucket] as number);
  }
  const streams = new Uint32Array(table.streamCount);
  const next = starts.slice();
  for (let stream = 0; stream < table.streamCount; stream++) {
    const bucket = bucketOf(table.hashHigh(stream), bucketCount);
    const at = next[bucket] as number;
    streams[at] = stream;
    next[bucket] = at + 1;
  }
  return { streams, starts };
}

function* makePages(table: StreamTable, lsns: Uint32Array, sizes: Sizes, stamp: Stamp): Generator<Buffer> {
  const { bucketCount, capacity } = stamp;
  const { streams, starts } = byBucket(table, bucketCount);
  const firstSpilledPage = bucketCount + sizes.postingPageCount;
  const spilled: Buffer[] = [];
  const bucketPage = Buffer.alloc(PAGE_BYTES);
  // One object for all: there can be millions.
  const entry = { bytes: 0, table, stream: 0, lsns, start: 0, end: 0, postingPage: null as number | null };
  for (let bucket = 0; bucket < bucketCount; bucket++) {
    let page = bucketPage;
    let pageNumber = bucket;
    let entryCount = 0;
    let at = PAGE_HEADER_BYTES;
    const finish = (nextPage: number): void => {
      const header = { kind: "names", page: pageNumber, number: stamp.number, entryCount, contentEnd: at } as const;
      finishPage(page, { ...header, nextPage }, stamp.storeCrc);
    };
    for (let index = starts[bucket] as number; index < (starts[bucket + 1] as number); index++) {
      const stream = streams[index] as number;
      const bytes = sizes.entryBytes[stream] as number;
      if (at + bytes > capacity.contentEnd) {
        finish(firstSpilledPage + spilled.length);
        pageNumber = firstSpilledPage + spilled.length;
        page = Buffer.alloc(PAGE_BYTES);
        spilled.push(page);
        entryCount = 0;
        at = PAGE_HEADER_BYTES;
      }
      entry.bytes = bytes;
      entry.stream = stream;
      entry.start = sizes.starts[stream] as number;
      entry.end = sizes.starts[stream + 1] as number;
      const posted = sizes.posted.size === 0 ? undefined : sizes.posted.get(stream);
      entry.postingPage = posted === undefined ? null : bucketCount + posted;
      encodeEntry(page, at, entry);
      at += bytes;
      entryCount++;
    }
    finish(NO_PAGE);
    yield bucketPage;
  }
  yield* makePostingPages(lsns, sizes, stamp);
  yield* spilled;
}

function* makePostingPages(lsns: Uint32Array, sizes: Sizes, stamp: Stamp): Generator<Buffer> {
  const page = Buffer.alloc(PAGE_BYTES);
  let pageNumber = stamp.bucketCount;
  for (const stream of sizes.posted.keys()) {
    const end = sizes.starts[stream + 1] as number;
    for (let start = sizes.starts[stream] as number; start < end; start += stamp.capacity.postings) {
      const entryCount = Math.min(stamp.capacity.postings, end - start);
      let at = PAGE_HEADER_BYTES;
      for (let index = 0; index < entryCount; index++, at += 4) page.writeUInt32LE(lsns[start + index] as number, at);
      const header = { kind: "postings", page: pageNumber, number: stamp.number, nextPage: NO_PAGE } as const;
      finishPage(page, { ...header, entryCount, contentEnd: at }, stamp.storeCrc);
      pageNumber++;
      yield page;
    }
  }
}
