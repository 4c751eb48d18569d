/**
 * One core's writer: gathers records into batches, writes each batch as one frame, and tells the tickets when W has passed them.
 *
 * Group commit without a timer: an open batch is sealed at the end of the event-loop turn when fewer than `WRITES_IN_FLIGHT_MAX` writes
 * are in flight, else when one of them ends (`seal-schedule.ts`); meanwhile appends gather in it. A full batch is sealed at once.
 *
 * - LSNs are taken when a batch is sealed (`sealing-queue.ts`).
 * - Tickets are told in LSN order, only after every frame before theirs is durable.
 * - After a failed or impossible write nothing is written any more (status `failed`): what was in flight has an unknown outcome.
 *   When no segment can be had for lack of space, batches without LSNs are refused, and the writer goes on as soon as there is space.
 */

import { assert } from "../assert.js";
import { StoreError } from "../errors.js";
import { BLOCK_BYTES, type BlockIo } from "../ffi/index.js";
import { type AppendTicket, Batch } from "./batch.js";
import { BatchBuffers } from "./batch-buffers.js";
import { BatchesInFlight } from "./batches-in-flight.js";
import type { Clock } from "./clock.js";
import type { ControlFile } from "./control-file.js";
import { FRAME_HEADER_BYTES, frameBytes, lastRecordCrc, PREAMBLE_BYTES, RECORD_HEADER_BYTES } from "./format.js";
import { FrameSealer } from "./frame-sealer.js";
import type { WriterCondition } from "./health.js";
import { IdleTimer } from "./idle-timer.js";
import { SealSchedule } from "./seal-schedule.js";
import { SealingQueue } from "./sealing-queue.js";
import { type SegmentOwner, SegmentPipeline } from "./segment-pipeline.js";
import {
  failedEarlier,
  isLackOfSpace,
  logFull,
  neverWritten,
  noLsnLeft,
  outcomeUnknown,
  poisoned,
  writeFailed,
} from "./write-failure.js";
import type { SealDemand, WriterCallbacks, WriterStats, WriterStatus } from "./writer-contract.js";

/** More writes at once split the callers into smaller batches without reaching more of the device (measured). */
const WRITES_IN_FLIGHT_MAX = 2;
/** A batch of this size does not wait for the end of the turn when nothing is in flight. */
const EARLY_SEAL_BYTES = 32 * 1024;
const BATCH_BYTES = 2 * 1024 * 1024;
/** Batches in memory: open, waiting for their place, and in flight. */
const BATCH_COUNT_MAX = 8;
const ATTEST_AFTER_MS = 100;
/** Bytes of the records of one append; above it an append is refused. */
export const APPEND_BYTES_MAX: number = 32 * 1024 * 1024;

export class CoreWriter {
  readonly appendBytesMax: number;
  /** What a segment holds behind its preamble: a larger frame would find no place in any. */
  readonly #frameBytesMax: number;
  readonly #io: BlockIo;
  readonly #owner: SegmentOwner;
  readonly #control: ControlFile;
  readonly #sealer: FrameSealer;
  readonly #callbacks: WriterCallbacks;
  readonly #pipeline: SegmentPipeline;
  readonly #buffers = new BatchBuffers(BATCH_BYTES, BATCH_COUNT_MAX);
  #status: WriterStatus = "open";
  #failure: StoreError | null = null;
  #lackOfSpace: StoreError | null = null;
  #open: Batch | null = null;
  /** Closed for records. */
  readonly #full: SealingQueue;
  readonly #inFlight = new BatchesInFlight();
  #roomWaiters: (() => void)[] = [];
  #drainWaiters: (() => void)[] = [];
  readonly #schedule: SealSchedule;
  readonly #idleTimer = new IdleTimer(ATTEST_AFTER_MS, () => this.#attest());
  #nextEpoch = 1;
  /** W as this writer knows it. */
  #watermark: number;

  constructor(
    io: BlockIo,
    owner: SegmentOwner,
    control: ControlFile,
    firstSegment: number,
    options: { clock: Clock; flushIntervalMs: number },
    callbacks: WriterCallbacks,
  ) {
    this.#io = io;
    this.#owner = owner;
    this.#control = control;
    this.#callbacks = callbacks;
    this.#watermark = control.lanes.advanceWatermark();
    this.#schedule = new SealSchedule(
      options.flushIntervalMs,
      () => this.#turnEnded(),
      () => this.flush(),
    );
    this.#sealer = new FrameSealer(io, owner, control, options.clock, this.#watermark);
    this.#frameBytesMax = owner.segmentBytes - PREAMBLE_BYTES;
    // Half a segment, as documented: the rest is room for the record headers, and for what lies in the segment already.
    this.appendBytesMax = Math.min(APPEND_BYTES_MAX, owner.segmentBytes / 2);
    this.#pipeline = new SegmentPipeline(io, owner, firstSegment, this.#lsnBound, (error) =>
      this.#segmentsChanged(error),
    );
    this.#full = new SealingQueue({
      writer: this,
      control,
      pipeline: this.#pipeline,
      sealer: this.#sealer,
      inFlight: this.#inFlight,
      callbacks,
      onNoLsnLeft: () => this.#refuseUnsealed(noLsnLeft()),
    });
  }

  start(): Promise<void> {
    return this.#pipeline.start();
  }

  /** W as this writer knows it: every LSN up to it is durable. */
  get watermark(): number {
    return this.#watermark;
  }

  /** W as it is now, whoever moved it. */
  get currentWatermark(): number {
    const isMapped = this.#status === "open" || this.#status === "closing";
    return isMapped ? Math.max(this.#watermark, this.#control.lanes.advanceWatermark()) : this.#watermark;
  }

  /** Whether somebody else must act before this writer can go on: others hold W back, or the LSN lock. */
  get waitsForOthers(): boolean {
    return this.#inFlight.isBlocked || this.#full.waitsForLock;
  }

  /** The next batch takes no LSN below this one. */
  get #lsnBound(): number {
    return this.#control.counter + 1;
  }

  /** Every batch up to this epoch is durable, but for those that were refused. */
  get durableEpoch(): number {
    return this.#inFlight.counts.durableEpoch;
  }

  get status(): WriterStatus {
    return this.#status;
  }

  get stats(): WriterStats {
    return { ...this.#inFlight.counts };
  }

  /** What its health is judged by. */
  get condition(): WriterCondition {
    const { oldest } = this.#inFlight;
    const isBlocked = this.#inFlight.isBlocked && this.#status !== "failed";
    return {
      status: this.#status,
      failure: this.#failure,
      lackOfSpace: this.#lackOfSpace,
      // A batch that is closed has a buffer, however little is in it.
      bufferFill: (this.#full.length + this.#inFlight.length + (this.#open?.fill ?? 0)) / BATCH_COUNT_MAX,
      oldestPendingMs: oldest === undefined ? 0 : performance.now() - oldest.sealedAtMs,
      blockedBy: isBlocked ? (this.#control.lanes.blockerOf(this.#watermark, this.#owner.core)?.slot ?? null) : null,
    };
  }

  /** Throws what an append to this writer must be answered with, when it takes none. */
  assertWritable(): void {
    if (this.#failure !== null) throw failedEarlier(this.#failure);
    if (this.#status !== "open") throw new StoreError("ERR_STORE_CLOSED", "the store is closed");
  }

  /**
   * The open batch with room for records of `byteLength` bytes in all, or null when every buffer is taken.
   *
   * @throws StoreError `ERR_WAL_FAILED` when the log turns out to have failed meanwhile
   */
  batchFor(recordCount: number, byteLength: number, alone: boolean): Batch | null {
    const needed = byteLength + recordCount * RECORD_HEADER_BYTES;
    assert(frameBytes(needed) <= this.#frameBytesMax, "an append above appendBytesMax is refused before it comes here");
    const open = this.#open;
    if (open !== null) {
      const room = Math.min(open.room, this.#frameBytesMax - open.used);
      if (!alone && needed <= room) return open;
      if (open.recordCount > 0) this.#closeOpenBatch();
      else if (needed <= room) return open;
      else this.#dropEmptyBatch(open);
    }
    // A chain of promises that never lets the loop turn would otherwise fill every buffer before it hears of a completion.
    if (this.#inFlight.length > 0) {
      this.#io.collect();
      this.assertWritable(); // one of them can have failed
    }
    assert(this.#open === null, "nobody appends while completions are told");
    const buffer = this.#buffers.take(needed);
    if (buffer === null) return null;
    this.#open = new Batch(buffer, this.#nextEpoch++, this.#written);
    return this.#open;
  }

  /** Sees to it that the open batch, with what was just added to it, is sealed in time. */
  demand(batch: Batch, demand: SealDemand): void {
    assert(batch === this.#open, "records go into the open batch");
    if (demand === "now") {
      this.#closeOpenBatch();
    } else if (demand === "turn" && this.#inFlight.length === 0 && batch.used >= EARLY_SEAL_BYTES) {
      // The device would be idle until the turn ends: let it write these while the others are encoded.
      this.#closeOpenBatch();
    } else if (demand === "turn") {
      this.#schedule.atTurnEnd();
    } else {
      this.#schedule.withinInterval();
    }
  }

  /** Resolves when a buffer came back; then the caller tries again. */
  whenRoom(): Promise<void> {
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  /** Seals what is open now. */
  flush(): void {
    if (this.#open !== null && this.#open.recordCount > 0) this.#closeOpenBatch();
  }

  /** Seals what is open; resolves when nothing of what was appended so far waits or is in flight any more, whatever came later. */
  async drain(): Promise<void> {
    this.flush();
    const lastEpoch = this.#nextEpoch - 1;
    for (;;) {
      const oldest = this.#inFlight.oldest ?? this.#full.oldest;
      if (oldest === undefined || oldest.epoch > lastEpoch) return;
      await new Promise<void>((resolve) => this.#drainWaiters.push(resolve));
    }
  }

  /** Writes a frame that recovery found but nobody attested once more, with its own LSNs and time. */
  rewrite(firstLsn: number, recordCount: number, recordedAt: number, body: Buffer, ticket: AppendTicket): void {
    assert(firstLsn === this.#lsnBound && this.#open === null, "rewritten frames come first and in order");
    const buffer = this.#buffers.take(body.length);
    assert(buffer !== null, "frames are rewritten one at a time");
    const batch = new Batch(buffer, this.#nextEpoch++, this.#written);
    batch.bytes.set(body, FRAME_HEADER_BYTES);
    batch.used += body.length;
    batch.recordCount = recordCount;
    batch.firstRecordedAt = recordedAt;
    // The body is the one that was just checked; its last record's CRC is in front of the last record.
    batch.bodyCrc = lastRecordCrc(body);
    batch.tickets.push(ticket);
    this.#full.add(batch);
  }

  #turnEnded(): void {
    if (this.#open === null || this.#open.recordCount === 0) return;
    if (this.#inFlight.length < WRITES_IN_FLIGHT_MAX) this.#closeOpenBatch();
    else this.#schedule.onCompletion();
  }

  #closeOpenBatch(): void {
    const batch = this.#open;
    assert(batch !== null, "a batch is open");
    this.#open = null;
    this.#full.add(batch);
  }

  #dropEmptyBatch(batch: Batch): void {
    this.#open = null;
    this.#buffers.release(batch.buffer);
  }

  /** The write of a batch has ended. */
  readonly #written = (batch: Batch, result: number): void => {
    if (this.#status === "failed") {
      // Answered already. The buffer is not given back: of a ring that broke, nobody knows what the kernel still reads.
      if (batch.segment !== null) this.#pipeline.finished(batch.segment);
      return;
    }
    const { missingBytes } = batch;
    const outcome = batch.ended(result);
    if (outcome === "again") {
      this.#sealer.submit(batch);
      return;
    }
    if (batch.segment !== null) this.#pipeline.finished(batch.segment);
    if (outcome === "durable") {
      this.progress();
      if (batch.recordCount === 0) this.#full.proceed();
    } else this.fail(writeFailed(batch, result, missingBytes));
  };

  /** Looks how far W has come, whoever moved it, and tells the tickets that it has passed. */
  progress(): void {
    if (this.#status === "failed") return;
    if (this.#control.poisonedBy >= 0) {
      this.fail(poisoned(this.#control.poisonedBy));
      return;
    }
    const watermark = this.#control.lanes.advanceWatermark();
    const hasAdvanced = watermark > this.#watermark;
    this.#watermark = watermark;
    let acknowledged = 0;
    for (;;) {
      const batch = this.#inFlight.takeCommitted(watermark);
      if (batch === null) break;
      acknowledged++;
      if (batch.recordCount > 0) {
        this.#callbacks.onFrame(batch.firstLsn, batch.segment?.segment ?? 0, batch.fileOffset, batch.byteLength);
        const { tickets, firstLsn, recordedAt } = batch;
        for (let index = 0; index < tickets.length; index++)
          (tickets[index] as AppendTicket).committed(firstLsn, recordedAt);
      }
      this.#buffers.release(batch.buffer);
    }
    if (acknowledged > 0) {
      this.#control.setCounts(this.#owner.core, this.#inFlight.counts);
      this.#idleTimer.touch();
    }
    this.#schedule.completed();
    if (hasAdvanced) this.#callbacks.onAdvance(watermark);
    if (acknowledged > 0) this.#wake();
    if (this.#inFlight.isBlocked) this.#callbacks.onBlocked();
  }

  #wake(): void {
    if (this.#roomWaiters.length > 0) for (const resolve of this.#roomWaiters.splice(0)) resolve();
    if (this.#drainWaiters.length > 0) for (const resolve of this.#drainWaiters.splice(0)) resolve();
  }

  /**
   * After a while without a batch: one block that says how far the log is durable, so that damage cannot pass for a crash. False when
   * there is something to write first.
   */
  #attest(): boolean {
    if (this.#status !== "open" || this.#sealer.attestedLsn === this.#watermark) return true;
    const openRecords = this.#open?.recordCount ?? 0;
    if (openRecords > 0 || this.#full.length > 0 || this.#inFlight.length > 0) return false;
    // An empty batch left open has its epoch already, and epochs rise in the order of the writes.
    if (this.#open !== null) this.#dropEmptyBatch(this.#open);
    const buffer = this.#buffers.take(0);
    assert(buffer !== null, "an idle writer has buffers");
    this.#full.add(new Batch(buffer, this.#nextEpoch++, this.#written));
    return true;
  }

  #segmentsChanged(error: StoreError | null): void {
    if (this.#status === "failed" || this.#status === "closed") return;
    if (error === null) {
      this.#lackOfSpace = null;
      this.#full.proceed();
      this.#wake();
      return;
    }
    if (!isLackOfSpace(error)) {
      this.fail(error);
      return;
    }
    this.#lackOfSpace = logFull(error);
    // With nothing waiting it was work ahead of time; the next batch that needs it asks again.
    if (this.#full.length > 0) this.#refuseUnsealed(this.#lackOfSpace);
    this.#wake();
  }

  /** Fails every batch that has no LSNs yet, the newest first, so that owners can take back what they built upon it. */
  #refuseUnsealed(error: StoreError): void {
    const unsealed = this.#full.takeRefused();
    if (this.#open !== null) unsealed.push(this.#open);
    this.#open = null;
    for (const batch of unsealed.reverse()) {
      if (batch.segment !== null) this.#pipeline.finished(batch.segment);
      if (batch.lane >= 0) this.#control.lanes.settle(this.#owner.core, batch.lane, true);
      for (const ticket of batch.tickets.reverse()) ticket.failed(error);
      this.#buffers.release(batch.buffer);
    }
    this.#wake();
  }

  /** Fail-stop: a failed flush is forgotten by the kernel, so nothing after it can be trusted. */
  fail(error: StoreError): void {
    if (this.#status === "failed") return;
    this.#status = "failed";
    this.#failure = error;
    this.#control.poison(this.#owner.core);
    this.#stopTimers();
    this.#refuseUnsealed(neverWritten(error));
    const unknown = outcomeUnknown(error);
    // Their buffers are not given back: the kernel may still read them.
    for (const batch of this.#inFlight.takeAll().reverse()) {
      for (const ticket of batch.tickets.reverse()) ticket.failed(unknown);
    }
    this.#wake();
  }

  #stopTimers(): void {
    this.#schedule.stop();
    this.#idleTimer.stop();
    this.#full.stop();
  }

  /** Writes what is open, then a seal, and closes the files. False when the log had failed: then they stay as they are. */
  async close(): Promise<boolean> {
    if (this.#status === "open") this.#status = "closing";
    await this.drain();
    if (this.#open !== null) this.#dropEmptyBatch(this.#open);
    this.#stopTimers();
    const isSealed = this.#inFlight.counts.frames > 0 && this.#status === "closing" && (await this.#writeSeal());
    const isClean = this.#status === "closing";
    try {
      if (isClean) await this.#pipeline.finish(isSealed);
      else await this.#pipeline.abandon();
    } finally {
      if (isClean) this.#status = "closed";
      this.#buffers.close();
      this.#wake();
    }
    return isClean;
  }

  /** Closes the files as they are, without a seal: opening failed, and what is there is for the next recovery to judge. */
  async abandon(): Promise<void> {
    this.#status = "failed";
    this.#stopTimers();
    await this.#pipeline.abandon();
    this.#buffers.close();
  }

  /** Whether there was space for it, and it is durable. */
  async #writeSeal(): Promise<boolean> {
    const buffer = this.#buffers.take(0);
    assert(buffer !== null, "after draining there are buffers");
    const batch = new Batch(buffer, this.#nextEpoch++, this.#written);
    let hasPlace = this.#full.place(batch, BLOCK_BYTES);
    while (!hasPlace && this.#status === "closing") {
      await this.whenRoom();
      if (this.#lackOfSpace !== null) break; // the manifest will say what the seal would have said
      hasPlace = this.#full.place(batch, BLOCK_BYTES);
    }
    if (!hasPlace) {
      this.#buffers.release(buffer);
      return false;
    }
    this.#full.seal(batch, "SEAL");
    await this.drain();
    return this.#status === "closing";
  }
}
