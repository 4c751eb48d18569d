/** Reads the whole stream index of a sealed segment in order: which streams it has, and from where on. */

import type { BufferPool, DirectFile } from "../../ffi/index.js";
import { ByteStream } from "./byte-stream.js";
import { checkPage, decryptPage, PAGE_HEADER_BYTES, type PageHeader } from "./page.js";
import { type SealedPlace, sealedDamage } from "./sealed-damage.js";
import { PAGE_BYTES, storeCrcOf } from "./sealed-format.js";
import { partsOf, type SealedTrailer } from "./sealed-trailer.js";
import type { SegmentCipher } from "./segment-cipher.js";
import { decodeEntry, entryName, entryRanges } from "./stream-page.js";

/** A stream of a segment. The name lies in `bytes[nameStart, nameEnd)`, valid until the next one. */
export interface ScannedStream {
  readonly bytes: Buffer;
  readonly nameStart: number;
  readonly nameEnd: number;
  /** 0: all of its records here were removed. */
  readonly count: number;
  readonly firstVersion: number;
  /** LSN of its first record that is left; null when that stands in postings that were not read yet: then ask `firstPosting`. */
  readonly firstLsn: number | null;
  readonly lastLsn: number;
  /** The page of its postings, where those are in pages of their own. */
  readonly postingPage: number | null;
}

export class StreamScan {
  readonly #file: DirectFile;
  readonly #pool: BufferPool;
  readonly #storeCrc: number;
  readonly #trailer: SealedTrailer;
  readonly #cipher: SegmentCipher | null;
  /** By page of postings, the first LSN in it. */
  readonly #firstPostings = new Map<number, number>();

  constructor(file: DirectFile, pool: BufferPool, trailer: SealedTrailer, cipher: SegmentCipher | null) {
    this.#cipher = cipher;
    this.#file = file;
    this.#pool = pool;
    this.#storeCrc = storeCrcOf(trailer.storeId);
    this.#trailer = trailer;
  }

  /** The first LSN in a page of postings; when all streams were read, it is known of every page. */
  firstPosting(page: number): number | null {
    return this.#firstPostings.get(page) ?? null;
  }

  /** @throws StoreError `ERR_WAL_CORRUPT` naming the page that is damaged */
  async *streams(): AsyncGenerator<ScannedStream, void, undefined> {
    const { streamPageCount, number, firstLsn } = this.#trailer;
    const start = partsOf(this.#trailer).streamPages;
    const stream = new ByteStream(this.#file, this.#pool, start, start + streamPageCount * PAGE_BYTES);
    const page = Buffer.alloc(PAGE_BYTES);
    try {
      for (let index = 0; index < streamPageCount; index++) {
        if (!(await stream.fill(page))) throw this.#damage(index, "the file ends");
        const header =
          checkPage(page, "names", index, number, this.#storeCrc) ??
          checkPage(page, "postings", index, number, this.#storeCrc);
        if (header === null) throw this.#damage(index, "no page of the stream index");
        if (this.#cipher !== null) decryptPage(page, header, this.#cipher, this.#place(index));
        if (header.kind === "names") yield* this.#entries(page, header);
        else this.#firstPostings.set(index, firstLsn + page.readUInt32LE(PAGE_HEADER_BYTES));
      }
    } finally {
      await stream.close();
    }
  }

  *#entries(page: Buffer, header: PageHeader): Generator<ScannedStream, void, undefined> {
    const { firstLsn } = this.#trailer;
    for (const range of entryRanges(page, header.contentEnd)) {
      const entry = range === null ? null : decodeEntry(page, range[0], range[1]);
      if (range === null || entry === null) throw this.#damage(header.page, "no entries of streams");
      const name = entryName(page, range[0]);
      const { count, firstVersion, lastLsnOffset, postingPage, inline } = entry;
      const first = postingPage === null ? firstLsn + (inline[0] ?? lastLsnOffset) : this.firstPosting(postingPage);
      yield {
        bytes: page,
        nameStart: name.start,
        nameEnd: name.end,
        count,
        firstVersion,
        firstLsn: first,
        lastLsn: firstLsn + lastLsnOffset,
        postingPage,
      };
    }
  }

  #place(page: number): SealedPlace {
    const offset = partsOf(this.#trailer).streamPages + page * PAGE_BYTES;
    const { firstLsn, lastLsn } = this.#trailer;
    return { path: this.#file.path, offset, firstLsn, lastLsn };
  }

  #damage(page: number, what: string): Error {
    return sealedDamage(this.#place(page), what);
  }
}
