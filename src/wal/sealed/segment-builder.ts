/** Writes one sealed segment: blocks as runs come, then the indexes and the trailer. */

import { crc32, deflateRawSync } from "node:zlib";
import type { DirectFile } from "../../ffi/index.js";
import { TAG_BYTES } from "../crypt/gcm.js";
import { FileSink, type SinkBuffers } from "./file-sink.js";
import type { HashChain } from "./hash-chain.js";
import type { LsnPages } from "./lsn-pages.js";
import { addToFilter, filterBytes } from "./name-filter.js";
import { encryptPage } from "./page.js";
import {
  BLOCK_AAD_BYTES,
  BLOCK_HEADER_BYTES,
  type BlockHeader,
  COMPRESSION_DEFLATE,
  COMPRESSION_NONE,
  type Compression,
  encodeBlockHeader,
  encodeRunHeader,
  encodeSealedPreamble,
  HASH_BYTES,
  PAGE_BYTES,
  RUN_HEADER_BYTES,
  runBytes,
  type SealedRun,
  storeCrcOf,
} from "./sealed-format.js";
import { encodeTrailer, partsOf } from "./sealed-trailer.js";
import type { SegmentCipher } from "./segment-cipher.js";
import { streamPages } from "./stream-pages.js";
import type { StreamTable } from "./stream-table.js";

/** Level 1: higher ones take several times as long for a few per cent. */
const DEFLATE_LEVEL = 1;
const RUN_HEADERS_BYTES = 64 * 1024;
const NO_BYTES = Buffer.alloc(0);

export interface SegmentPlan {
  readonly storeId: Uint8Array;
  readonly number: number;
  readonly firstLsn: number;
  readonly compression: Compression;
  /** Null: the segment is not encrypted. */
  readonly cipher: SegmentCipher | null;
  /** A block is ended when it has so many bytes. */
  readonly blockBytes: number;
}

/** Memory that one segment after the other uses. */
export interface BuilderMemory {
  readonly buffers: SinkBuffers;
  readonly table: StreamTable;
  readonly lsnPages: LsnPages;
}

export class SegmentBuilder {
  readonly #sink: FileSink;
  readonly #plan: SegmentPlan;
  readonly #memory: BuilderMemory;
  readonly #chain: HashChain;
  readonly #hashBefore: Buffer;
  readonly #storeCrc: number;
  /** What the open block's body will be: run headers, and bodies where they are. */
  #parts: Uint8Array[] = [];
  #runHeaders = Buffer.allocUnsafeSlow(RUN_HEADERS_BYTES);
  #runHeadersUsed = 0;
  #blockBytes = 0;
  #blockFirstLsn: number;
  #blockRecordedAt = 0;
  #blockRunCount = 0;
  #nextLsn: number;
  #blocksEnd = PAGE_BYTES;
  #plainBytes = 0;
  #runCount = 0;
  #removedCount = 0;
  #voidCount = 0;
  #lowestRecordedAt = Number.POSITIVE_INFINITY;
  #highestRecordedAt = Number.NEGATIVE_INFINITY;

  /** `chain` goes on from segment to segment. */
  constructor(file: DirectFile, plan: SegmentPlan, memory: BuilderMemory, chain: HashChain) {
    this.#sink = new FileSink(file, memory.buffers);
    this.#plan = plan;
    this.#memory = memory;
    this.#chain = chain;
    this.#hashBefore = chain.value;
    this.#storeCrc = storeCrcOf(plan.storeId);
    this.#blockFirstLsn = plan.firstLsn;
    this.#nextLsn = plan.firstLsn;
    memory.table.clear();
    memory.lsnPages.clear();
  }

  /** Bytes of the blocks so far, the open one included. */
  get byteLength(): number {
    return this.#blocksEnd + this.#blockBytes;
  }

  async start(): Promise<void> {
    const page = Buffer.alloc(PAGE_BYTES);
    const { storeId, number, firstLsn, cipher } = this.#plan;
    encodeSealedPreamble(page, { storeId, number, firstLsn, hashBefore: this.#hashBefore }, cipher);
    await this.#sink.write(page);
  }

  /** Adds the next run, whose records are in the table already. The promise, if there is one, must be awaited before the next call. */
  add(run: SealedRun, removedCount: number): Promise<void> | null {
    const { header, body, kind } = run;
    this.#chain.add(run);
    if (this.#blockRunCount === 0) {
      this.#blockFirstLsn = header.firstLsn;
      this.#blockRecordedAt = header.recordedAt;
    }
    if (this.#runHeadersUsed + RUN_HEADER_BYTES + HASH_BYTES > this.#runHeaders.length) {
      this.#runHeaders = Buffer.allocUnsafeSlow(RUN_HEADERS_BYTES);
      this.#runHeadersUsed = 0;
    }
    const start = this.#runHeadersUsed;
    this.#runHeadersUsed = encodeRunHeader(this.#runHeaders, start, run);
    this.#parts.push(this.#runHeaders.subarray(start, this.#runHeadersUsed));
    if (body.length > 0) this.#parts.push(body);
    this.#blockBytes += runBytes(run);
    this.#blockRunCount++;
    this.#runCount++;
    this.#nextLsn = header.firstLsn + header.recordCount;
    this.#removedCount += removedCount;
    if (kind === "void") this.#voidCount += header.recordCount;
    this.#lowestRecordedAt = Math.min(this.#lowestRecordedAt, header.recordedAt);
    this.#highestRecordedAt = Math.max(this.#highestRecordedAt, header.recordedAt);
    return this.#blockBytes >= this.#plan.blockBytes ? this.#endBlock() : null;
  }

  #endBlock(): Promise<void> | null {
    if (this.#blockRunCount === 0) return null;
    const plainBytes = this.#blockBytes;
    const packed = this.#compressed(plainBytes) ?? this.#parts;
    const fileOffset = this.#sink.fileOffset;
    const { cipher } = this.#plan;
    const packedBytes = packed.reduce((sum, part) => sum + part.length, 0);
    const fields = {
      compression: packed === this.#parts ? COMPRESSION_NONE : COMPRESSION_DEFLATE,
      keyId: cipher?.keyId ?? 0,
      firstLsn: this.#blockFirstLsn,
      lastLsn: this.#nextLsn - 1,
      fileOffset,
      number: this.#plan.number,
      runCount: this.#blockRunCount,
      storedBytes: packedBytes + (cipher === null ? 0 : TAG_BYTES),
      plainBytes,
      bodyCrc: 0,
    };
    const { firstLsn, storedBytes } = fields;
    const head = Buffer.allocUnsafe(BLOCK_HEADER_BYTES);
    const stored = cipher === null ? packed : this.#encrypted(packed, packedBytes, head, fields, cipher);
    const bodyCrc = stored.reduce((crc, part) => crc32(part, crc), 0);
    const headerCrc = encodeBlockHeader(head, { ...fields, bodyCrc }, this.#storeCrc);
    this.#memory.lsnPages.add({ firstLsn, fileOffset, recordedAt: this.#blockRecordedAt, headerCrc, storedBytes });
    this.#plainBytes += plainBytes;
    this.#blocksEnd = fileOffset + BLOCK_HEADER_BYTES + storedBytes;
    this.#parts = [];
    this.#runHeadersUsed = 0;
    this.#blockBytes = 0;
    this.#blockRunCount = 0;
    return this.#writeAll([head, ...stored], 0);
  }

  /** The block's body encrypted, and its tag. */
  #encrypted(
    parts: readonly Uint8Array[],
    byteLength: number,
    head: Buffer,
    fields: BlockHeader,
    cipher: SegmentCipher,
  ): Uint8Array[] {
    encodeBlockHeader(head, fields, this.#storeCrc);
    const body = Buffer.concat(parts, byteLength);
    const tag = cipher.encrypt(fields.fileOffset, head.subarray(0, BLOCK_AAD_BYTES), body);
    return [body, tag];
  }

  /** The open block's body deflated, where that saves an eighth or more. */
  #compressed(plainBytes: number): Uint8Array[] | null {
    if (this.#plan.compression === "none") return null;
    const deflated = deflateRawSync(Buffer.concat(this.#parts, plainBytes), { level: DEFLATE_LEVEL });
    return deflated.length <= plainBytes - plainBytes / 8 ? [deflated] : null;
  }

  #writeAll(parts: readonly Uint8Array[], from: number): Promise<void> | null {
    for (let index = from; index < parts.length; index++) {
      const pending = this.#sink.write(parts[index] as Uint8Array);
      if (pending !== null) return pending.then(() => this.#writeAll(parts, index + 1) ?? undefined);
    }
    return null;
  }

  /** Ends the file. It is written, and not yet durable. */
  async finish(): Promise<void> {
    await this.#endBlock();
    await this.#sink.pad();
    const { table, lsnPages } = this.#memory;
    const { storeId, number, firstLsn, cipher } = this.#plan;
    for (const page of lsnPages.pages(number, this.#storeCrc)) await this.#sink.write(page);
    const lsnPageCount = lsnPages.pageCount;
    const { bucketCount, pages } = streamPages(table, number, this.#storeCrc, cipher !== null);
    let streamPageCount = 0;
    for (const page of pages()) {
      if (cipher !== null) encryptPage(page, cipher, this.#sink.fileOffset, this.#storeCrc);
      const pending = this.#sink.write(page);
      if (pending !== null) await pending;
      streamPageCount++;
    }
    const filter = this.#filter();
    const filterTag = cipher?.encrypt(this.#sink.fileOffset, NO_BYTES, filter) ?? NO_BYTES;
    await this.#sink.write(filter);
    await this.#sink.pad();
    const root = lsnPages.root();
    await this.#sink.write(root);
    await this.#sink.pad();
    const blocksEnd = this.#blocksEnd;
    const counts = { blocksEnd, lsnPageCount, streamPageCount, filterBytes: filter.length };
    const page = Buffer.alloc(PAGE_BYTES);
    const trailer = {
      ...counts,
      storeId,
      number,
      firstLsn,
      lastLsn: this.#nextLsn - 1,
      lowestRecordedAt: this.#lowestRecordedAt,
      highestRecordedAt: this.#highestRecordedAt,
      fileBytes: partsOf(counts).trailer + PAGE_BYTES,
      recordCount: table.recordCount,
      removedCount: this.#removedCount,
      voidCount: this.#voidCount,
      plainBytes: this.#plainBytes,
      blockCount: lsnPages.blockCount,
      runCount: this.#runCount,
      streamCount: table.streamCount,
      bucketCount,
      filterCrc: crc32(filter),
      rootCrc: crc32(root),
      hashBefore: this.#hashBefore,
      hash: this.#chain.value,
    };
    encodeTrailer(page, trailer, cipher === null ? null : { cipher, filterTag });
    await this.#sink.write(page);
    await this.#sink.finish();
  }

  #filter(): Uint8Array {
    const { table } = this.#memory;
    const filter = new Uint8Array(filterBytes(table.streamCount));
    for (let stream = 0; stream < table.streamCount; stream++) {
      addToFilter(filter, table.hashLow(stream), table.hashHigh(stream));
    }
    return filter;
  }

  /** Waits for what is in flight; for a segment that is given up. */
  drain(): Promise<void> {
    return this.#sink.drain();
  }
}
