/**
 * Batches that are closed for records and have no LSNs yet, in their order: each gets its place in a segment, then its LSNs, and is in flight.
 * Bounded by the writer's pool of buffers. LSNs are taken with buffer and place in hand, so that none is ever left unused.
 */

import type { Batch } from "./batch.js";
import type { BatchesInFlight } from "./batches-in-flight.js";
import type { ControlFile } from "./control-file.js";
import { FRAME_HEADER_BYTES, type FrameKind, frameBytes } from "./format.js";
import type { FrameSealer } from "./frame-sealer.js";
import type { SegmentPipeline } from "./segment-pipeline.js";
import type { WriterCallbacks, WriterStatus } from "./writer-contract.js";

export interface SealingQueueParts {
  /** Whose batches they are. */
  readonly writer: { readonly status: WriterStatus; readonly watermark: number };
  readonly control: ControlFile;
  readonly pipeline: SegmentPipeline;
  readonly sealer: FrameSealer;
  readonly inFlight: BatchesInFlight;
  readonly callbacks: Pick<WriterCallbacks, "onSealed" | "onBlocked">;
  /** The log has no LSNs for the oldest batch. */
  readonly onNoLsnLeft: () => void;
}

export class SealingQueue {
  readonly #parts: SealingQueueParts;
  readonly #batches: Batch[] = [];
  #retry: NodeJS.Immediate | null = null;

  constructor(parts: SealingQueueParts) {
    this.#parts = parts;
  }

  get length(): number {
    return this.#batches.length;
  }

  get oldest(): Batch | undefined {
    return this.#batches[0];
  }

  /** Somebody has the LSN lock, and it is tried again. */
  get waitsForLock(): boolean {
    return this.#retry !== null;
  }

  add(batch: Batch): void {
    this.#batches.push(batch);
    this.proceed();
  }

  /** Seals batches in order for as long as there is a place for them. */
  proceed(): void {
    const { writer, inFlight, callbacks } = this.#parts;
    while (this.#batches.length > 0 && writer.status !== "failed") {
      const batch = this.#batches[0] as Batch;
      if (inFlight.isAttesting || (batch.segment === null && !this.#findPlace(batch))) return;
      if (!this.seal(batch, batch.recordCount === 0 ? "ATTEST" : "DATA")) {
        // Somebody who holds the LSN lock was interrupted, or is dead and will be taken over.
        this.#retry ??= setImmediate(this.#proceedAgain);
        callbacks.onBlocked();
        return;
      }
      this.#batches.shift();
    }
  }

  readonly #proceedAgain = (): void => {
    this.#retry = null;
    this.proceed();
  };

  #findPlace(batch: Batch): boolean {
    if (this.#parts.control.counter + 1 > Number.MAX_SAFE_INTEGER - batch.recordCount) {
      this.#parts.onNoLsnLeft();
      return false;
    }
    return this.place(batch, frameBytes(batch.used - FRAME_HEADER_BYTES));
  }

  /** Gives a batch its place, where there is one now. */
  place(batch: Batch, byteLength: number): boolean {
    const { pipeline, control } = this.#parts;
    const placement = pipeline.place(byteLength, control.counter + 1);
    if (placement === null) return false;
    batch.segment = placement.segment;
    batch.fileOffset = placement.fileOffset;
    batch.byteLength = byteLength;
    return true;
  }

  /** Has a batch that has its place take LSNs and be written. False when the LSN lock was not to be had; then it is tried again. */
  seal(batch: Batch, kind: FrameKind): boolean {
    const { sealer, writer, inFlight, callbacks } = this.#parts;
    if (!sealer.seal(batch, kind, writer.watermark)) return false;
    inFlight.add(batch);
    callbacks.onSealed();
    return true;
  }

  /** Takes out what can be refused. */
  takeRefused(): Batch[] {
    // One that has its place and waits for the LSN lock only keeps it: a hole would be the end of the file for whoever reads it.
    const isKept = this.#parts.writer.status !== "failed" && (this.#batches[0]?.lane ?? -1) >= 0;
    return this.#batches.splice(isKept ? 1 : 0);
  }

  /** The lock is not tried for again. */
  stop(): void {
    if (this.#retry !== null) clearImmediate(this.#retry);
    this.#retry = null;
  }
}
