/**
 * Makes a batch that has its place a frame on its way: publishes it in a lane, takes its LSNs, stamps its header, submits its write.
 *
 * In this order, so that death at any step leaves something a survivor can judge (control-layout.ts).
 */

import { crc32 } from "node:zlib";
import { assert } from "../assert.js";
import type { BlockIo } from "../ffi/index.js";
import type { Batch } from "./batch.js";
import type { Clock } from "./clock.js";
import type { ControlFile } from "./control-file.js";
import { LANE_COUNT } from "./control-layout.js";
import { encryptFrame, segmentKey } from "./crypt/frame-cipher.js";
import type { StoreKeys } from "./crypt/store-keys.js";
import {
  encodeFrameFields,
  encodeFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameKind,
  type FrameStamp,
  finishFrameHeader,
} from "./format.js";
import type { OpenSegment, SegmentOwner } from "./segment-pipeline.js";

export class FrameSealer {
  readonly #io: BlockIo;
  readonly #owner: SegmentOwner;
  readonly #control: ControlFile;
  readonly #clock: Clock;
  readonly #keys: StoreKeys | null;
  #nextLane = 0;
  #chainCrc = 0;
  #attestedLsn: number;
  #lastRecordedAt: number;

  constructor(io: BlockIo, owner: SegmentOwner, control: ControlFile, clock: Clock, watermark: number) {
    this.#keys = owner.keys ?? null;
    this.#io = io;
    this.#owner = owner;
    this.#control = control;
    this.#clock = clock;
    this.#attestedLsn = watermark;
    this.#lastRecordedAt = control.latestRecordedAt;
  }

  /** The W that the newest frame says. */
  get attestedLsn(): number {
    return this.#attestedLsn;
  }

  /** False when the LSN lock was not to be had; then it is tried again. `watermark` is what the frame attests. */
  seal(batch: Batch, kind: FrameKind, watermark: number): boolean {
    assert(batch.segment !== null && batch.status === "open", "only a placed, open batch is sealed");
    if (batch.lane < 0) this.#publish(batch, batch.segment.segment);
    if (!this.#takeLsns(batch, watermark)) return false;
    this.#control.lanes.sealed(this.#owner.core, batch.epoch);
    batch.status = "sealed";
    batch.sealedAtMs = performance.now();
    this.#lastRecordedAt = batch.recordedAt;
    batch.bytes.fill(0, batch.used, batch.byteLength); // no bytes of an earlier batch reach the disk
    const { core, storeId, incarnation, generation } = this.#owner;
    const stamp = {
      kind,
      core,
      storeId,
      incarnation,
      segment: batch.segment.segment,
      fileOffset: batch.fileOffset,
      generation,
      firstLsn: batch.firstLsn,
      recordCount: batch.recordCount,
      storedBytes: batch.used - FRAME_HEADER_BYTES,
      previousCrc: this.#chainCrc,
      recordedAt: batch.recordedAt,
      durableLsn: watermark,
      bodyCrc: batch.bodyCrc,
    };
    this.#chainCrc =
      this.#keys === null
        ? encodeFrameHeader(batch.bytes, stamp)
        : this.#encrypt(batch, batch.segment, stamp, this.#keys);
    this.#attestedLsn = watermark;
    this.submit(batch);
    return true;
  }

  /** Encrypts the batch where it lies, once: what is written again after a short write are the same bytes. */
  #encrypt(batch: Batch, segment: OpenSegment, stamp: FrameStamp, keys: StoreKeys): number {
    const { bytes, used, fileOffset } = batch;
    const keyId = keys.currentId;
    if (segment.key?.keyId !== keyId) segment.key = segmentKey(stamp, keyId, segment.salt);
    encodeFrameFields(bytes, stamp, segment.key);
    encryptFrame(keys, segment.key, bytes, used, fileOffset);
    return finishFrameHeader(bytes, crc32(bytes.subarray(FRAME_HEADER_BYTES, used)));
  }

  #publish(batch: Batch, segment: number): void {
    batch.lane = this.#nextLane;
    this.#nextLane = (this.#nextLane + 1) % LANE_COUNT;
    const { lane, epoch, recordCount, fileOffset, byteLength } = batch;
    this.#control.lanes.begin(this.#owner.core, { lane, epoch, recordCount, segment, fileOffset, byteLength });
  }

  #takeLsns(batch: Batch, watermark: number): boolean {
    const { lanes } = this.#control;
    const now = this.#clock();
    if (batch.recordCount === 0) {
      batch.firstLsn = watermark + 1;
      batch.recordedAt = Math.max(this.#lastRecordedAt, now);
      return true;
    }
    const firstLsn = lanes.takeLsns(this.#owner.core, batch.lane, batch.recordCount, now);
    if (firstLsn < 0) return false;
    batch.firstLsn = firstLsn;
    batch.recordedAt = batch.firstRecordedAt ?? lanes.takenRecordedAt;
    return true;
  }

  /** Writes what of the frame is not durable yet; the kernel publishes it when all of that is. */
  submit(batch: Batch): void {
    assert(batch.segment !== null, "a sealed batch has its place");
    const { lanes, file } = this.#control;
    const { core } = this.#owner;
    const { fd } = batch.segment.file;
    const from = batch.writtenBytes;
    const publication = {
      file,
      mailboxOffset: lanes.mailboxOffset(core, batch.lane),
      doneOffset: lanes.doneOffset(core, batch.lane),
    };
    this.#io.writePublished(
      fd,
      batch.buffer,
      from,
      batch.byteLength - from,
      batch.fileOffset + from,
      publication,
      batch,
    );
    this.#io.submit();
  }
}
