/** The batches of one writer that are sealed and not yet acknowledged, in LSN order, and what became of those before them. */

import type { Batch } from "./batch.js";
import type { WriterStats } from "./writer-contract.js";

export class BatchesInFlight {
  /** Bounded by the buffers that batches lie in. */
  readonly #batches: Batch[] = [];
  readonly #counts = { frames: 0, records: 0, bytes: 0, pendingRecords: 0, attestations: 0, durableEpoch: 0 };

  get length(): number {
    return this.#batches.length;
  }

  get oldest(): Batch | undefined {
    return this.#batches[0];
  }

  /** Whether somebody else holds W back: the oldest is durable, and its LSNs are not below W. */
  get isBlocked(): boolean {
    return this.#batches[0]?.status === "durable";
  }

  /**
   * Whether an attestation is being written: nothing may be written behind it. It takes no LSN and so does not hold W back; what is
   * durable behind it would count as committed while the file still has a hole there, which is its end for whoever reads or recovers.
   */
  get isAttesting(): boolean {
    const last = this.#batches.at(-1);
    return last?.recordCount === 0 && last.status !== "durable";
  }

  /** The frames and records acknowledged, and how many records are not. The same object all the time: copy what is to stay. */
  get counts(): WriterStats {
    return this.#counts;
  }

  add(batch: Batch): void {
    this.#counts.pendingRecords += batch.recordCount;
    this.#batches.push(batch);
  }

  /** Takes out the oldest when it is durable and below W; null when it is not. */
  takeCommitted(watermark: number): Batch | null {
    const batch = this.#batches[0];
    if (batch?.status !== "durable" || batch.firstLsn + batch.recordCount - 1 > watermark) return null;
    this.#batches.shift();
    const counts = this.#counts;
    counts.durableEpoch = batch.epoch;
    counts.frames++;
    counts.records += batch.recordCount;
    counts.bytes += batch.byteLength;
    counts.pendingRecords -= batch.recordCount;
    if (batch.recordCount === 0) counts.attestations++;
    return batch;
  }

  /** Takes out all: the log has failed. */
  takeAll(): Batch[] {
    return this.#batches.splice(0);
  }
}
