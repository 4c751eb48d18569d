/**
 * One frame in the making: records are encoded straight into its aligned buffer behind the space for the header.
 *
 * open → sealed (LSNs taken, write submitted) → durable, or failed. A batch that was never sealed has taken no LSN.
 */

import { assert } from "../assert.js";
import type { StoreError } from "../errors.js";
import { type AlignedBuffer, BLOCK_BYTES, type Completion, EAGAIN, EINTR } from "../ffi/index.js";
import { checksum } from "./checksum.js";
import { FRAME_HEADER_BYTES, RECORD_HEADER_BYTES } from "./format.js";
import type { OpenSegment } from "./segment-pipeline.js";

/** Whoever put records into a batch is told once what became of them, in LSN order. */
export interface AppendTicket {
  /** The records are durable on every core below them: `firstLsn` is the LSN of the batch's first record. */
  committed(firstLsn: number, recordedAt: number): void;
  failed(error: StoreError): void;
}

export class Batch implements Completion {
  readonly buffer: AlignedBuffer;
  readonly bytes: Buffer;
  readonly epoch: number;
  readonly tickets: AppendTicket[] = [];
  status: "open" | "sealed" | "durable" = "open";
  recordCount = 0;
  /** Bytes of the buffer in use, the header's space included. */
  used: number = FRAME_HEADER_BYTES;
  /** The CRC of the last record, which covers all before it. */
  bodyCrc = 0;
  /** The time of the first copy, when this is a second one: both are to be the same. */
  firstRecordedAt: number | null = null;
  /** Set when sealed. */
  sealedAtMs = 0;
  firstLsn = 0;
  recordedAt = 0;
  segment: OpenSegment | null = null;
  fileOffset = 0;
  byteLength = 0;
  /** Of the control file, where it is published; −1 before. */
  lane = -1;
  /** Bytes of the frame that are durable; more than 0 only after a short write. */
  writtenBytes = 0;
  shortWriteCount = 0;
  readonly #onWrite: (batch: Batch, result: number) => void;

  constructor(buffer: AlignedBuffer, epoch: number, onWrite: (batch: Batch, result: number) => void) {
    this.buffer = buffer;
    this.bytes = buffer.bytes;
    this.epoch = epoch;
    this.#onWrite = onWrite;
  }

  /** Bytes that records and their headers can still take. */
  get room(): number {
    return this.bytes.length - this.used;
  }

  /** How much of the buffer is in use, 0 to 1. */
  get fill(): number {
    return this.used / this.bytes.length;
  }

  /** Where the next record's bytes go. At least its bytes and 8 more must be free. */
  get recordOffset(): number {
    return this.used + RECORD_HEADER_BYTES;
  }

  /** Ends the record whose bytes lie from `recordOffset` up to `end`. */
  addRecord(end: number): void {
    const start = this.used + RECORD_HEADER_BYTES;
    assert(this.status === "open" && end >= start && end <= this.bytes.length, "record lies within its open batch");
    const { bytes } = this;
    const length = end - start;
    this.bodyCrc = checksum(bytes, start, end, this.bodyCrc);
    bytes.writeUInt32LE(length, this.used);
    bytes.writeUInt32LE(this.bodyCrc, this.used + 4);
    this.used = end;
    this.recordCount++;
  }

  /** Bytes of the frame that are not durable yet, of a sealed batch. */
  get missingBytes(): number {
    return this.byteLength - this.writtenBytes;
  }

  /** What follows from the end of its write: it is durable, what is missing must be written again, or the log has failed. */
  ended(result: number): "durable" | "again" | "failed" {
    if (result === this.missingBytes) {
      this.status = "durable";
      return "durable";
    }
    if (result === -EAGAIN || result === -EINTR) return "again"; // the same bytes to the same place
    if (result < BLOCK_BYTES || this.shortWriteCount > 0) return "failed";
    this.shortWriteCount++;
    this.writtenBytes += Math.floor(result / BLOCK_BYTES) * BLOCK_BYTES;
    return "again";
  }

  complete(result: number): void {
    this.#onWrite(this, result);
  }
}
