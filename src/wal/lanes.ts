/**
 * The lanes of the control file: what each core has in flight. control-layout.ts has the words, and why they are stored in this order.
 *
 * The first half is for the lanes' owner, the second for everybody who looks at them, the third for who takes over a dead owner.
 */

import { assert } from "../assert.js";
import type { MappedFile } from "../ffi/index.js";
import {
  fileOffsetOf,
  LANE_COUNT,
  LANE_LONG,
  LANE_WORD,
  LANE_WORDS,
  LONG,
  laneOffset,
  packPlace,
  SLOT_LONG,
  SLOT_WORD,
  segmentOf,
  slotOffset,
  WORD,
} from "./control-layout.js";

/** Looks at the LSN lock while somebody else holds it for a microsecond, before it is worth doing something else. */
const SPINS_MAX = 2000;

/** A batch as others find it in its lane. */
export interface LaneState {
  readonly lane: number;
  readonly epoch: number;
  /** 0 when it has no records. */
  readonly firstLsn: number;
  readonly recordCount: number;
  readonly segment: number;
  readonly fileOffset: number;
  readonly byteLength: number;
}

/** The pending batch that holds W back. */
export interface Blocker {
  readonly slot: number;
  readonly doneOffset: number;
  /** The done word's low 32 bits as they were. */
  readonly seen: number;
}

/** The control file, or memory that threads share in its place. */
export type SharedWords = Pick<MappedFile, "int32" | "float64" | "bigint64">;

export class Lanes {
  /** Of the last `takeLsns` of this thread: the time given, or the latest of all cores if that is later. */
  takenRecordedAt = 0;
  readonly #file: SharedWords;

  constructor(file: SharedWords) {
    this.#file = file;
  }

  // The owner.

  mailboxOffset(slot: number, lane: number): number {
    return laneOffset(slot, lane) + LANE_LONG.mailbox * 8;
  }

  doneOffset(slot: number, lane: number): number {
    return laneOffset(slot, lane) + LANE_LONG.done * 8;
  }

  /** Publishes a batch before it takes its LSNs: from here on W stays below what it will take. */
  begin(slot: number, state: Omit<LaneState, "firstLsn">): void {
    const { int32, float64, bigint64 } = this.#file;
    const word = laneOffset(slot, state.lane) >> 2;
    const long = word >> 1;
    const sequence = state.epoch | 0;
    assert(int32[word] === int32[word + LANE_WORD.done], "a lane is used again when its batch is durable");
    float64[long + LANE_LONG.epoch] = state.epoch;
    float64[long + LANE_LONG.firstLsn] = -(Number(Atomics.load(bigint64, LONG.counter)) + 1);
    float64[long + LANE_LONG.recordCount] = state.recordCount;
    float64[long + LANE_LONG.place] = packPlace(state.segment, state.fileOffset);
    float64[long + LANE_LONG.byteLength] = state.byteLength;
    bigint64[long + LANE_LONG.mailbox] = BigInt(sequence >>> 0);
    Atomics.store(int32, word, sequence);
  }

  /**
   * Takes the LSNs of a batch that was begun: the first, or −1 when somebody else held the lock all the time; then none was taken.
   * `recordedAt` comes back in `takenRecordedAt`.
   */
  takeLsns(slot: number, lane: number, recordCount: number, recordedAt: number): number {
    const { int32, float64, bigint64 } = this.#file;
    for (let spins = 0; Atomics.compareExchange(int32, WORD.lsnLock, 0, slot + 1) !== 0; spins++) {
      if (spins === SPINS_MAX) return -1;
    }
    const first = Number(bigint64[LONG.counter]) + 1;
    const latest = Math.max(recordedAt, float64[LONG.recordedAt] as number);
    float64[LONG.recordedAt] = latest;
    this.takenRecordedAt = latest;
    float64[(laneOffset(slot, lane) >> 3) + LANE_LONG.firstLsn] = first;
    Atomics.store(bigint64, LONG.counter, BigInt(first + recordCount - 1));
    Atomics.store(int32, WORD.lsnLock, 0);
    return first;
  }

  /** The batch has its LSNs: others may judge whether it is committed. */
  sealed(slot: number, epoch: number): void {
    const { bigint64 } = this.#file;
    const at = (slotOffset(slot) >> 3) + SLOT_LONG.sealedEpoch;
    assert(Number(bigint64[at]) < epoch, "epochs rise in the order of the writes");
    Atomics.store(bigint64, at, BigInt(epoch));
    Atomics.add(this.#file.int32, WORD.turn, 1);
  }

  // Everybody.

  /** W as it is now. The counter first, then the lanes. */
  watermark(): number {
    const { bigint64, float64, int32 } = this.#file;
    let watermark = Number(Atomics.load(bigint64, LONG.counter));
    const slotEnd = Atomics.load(int32, WORD.attached);
    for (let slot = 0; slot < slotEnd; slot++) {
      const end = (laneOffset(slot, LANE_COUNT) >> 2) - LANE_WORDS;
      for (let word = laneOffset(slot, 0) >> 2; word <= end; word += LANE_WORDS) {
        for (;;) {
          const sequence = Atomics.load(int32, word);
          if (sequence === Atomics.load(int32, word + LANE_WORD.done)) break;
          const first = Math.abs(float64[(word >> 1) + LANE_LONG.firstLsn] as number);
          const recordCount = float64[(word >> 1) + LANE_LONG.recordCount] as number;
          if (sequence !== Atomics.load(int32, word)) continue; // the lane has gone on meanwhile
          if (recordCount > 0 && first <= watermark) watermark = first - 1;
          break;
        }
      }
    }
    return Math.max(watermark, Number(Atomics.load(bigint64, LONG.watermark)));
  }

  /** Computes W, and publishes it when it has risen. */
  advanceWatermark(): number {
    const { bigint64 } = this.#file;
    const watermark = this.watermark();
    let published = Atomics.load(bigint64, LONG.watermark);
    while (Number(published) < watermark) {
      const seen = Atomics.compareExchange(bigint64, LONG.watermark, published, BigInt(watermark));
      if (seen === published) return watermark;
      published = seen;
    }
    return Number(published);
  }

  /** The pending batch of another slot that holds W back; null when none does. */
  blockerOf(watermark: number, ownSlot: number): Blocker | null {
    const { float64, int32 } = this.#file;
    const slotEnd = Atomics.load(int32, WORD.attached);
    let found: Blocker | null = null;
    let lowest = Number.POSITIVE_INFINITY;
    for (let slot = 0; slot < slotEnd; slot++) {
      if (slot === ownSlot) continue;
      for (let lane = 0; lane < LANE_COUNT; lane++) {
        const word = laneOffset(slot, lane) >> 2;
        const seen = Atomics.load(int32, word + LANE_WORD.done);
        if (Atomics.load(int32, word) === seen || float64[(word >> 1) + LANE_LONG.recordCount] === 0) continue;
        const first = Math.abs(float64[(word >> 1) + LANE_LONG.firstLsn] as number);
        if (first <= watermark || first >= lowest) continue;
        lowest = first;
        found = { slot, doneOffset: this.doneOffset(slot, lane), seen };
      }
    }
    return found;
  }

  /** Whether the batch is durable with everything before it, W being as given. */
  isCommitted(slot: number, generation: number, epoch: number, watermark: number): boolean {
    const { int32, float64, bigint64 } = this.#file;
    const slotWord = slotOffset(slot) >> 2;
    // It ended in order, or was settled by a survivor.
    if (Atomics.load(int32, slotWord + SLOT_WORD.generation) !== generation) return true;
    const sealedEpoch = Number(Atomics.load(bigint64, (slotWord >> 1) + SLOT_LONG.sealedEpoch));
    if (sealedEpoch < epoch) return Atomics.load(int32, slotWord + SLOT_WORD.status) === 0;
    const sequence = epoch | 0;
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      const word = laneOffset(slot, lane) >> 2;
      const long = word >> 1;
      if (Atomics.load(int32, word) !== sequence || float64[long + LANE_LONG.epoch] !== epoch) continue;
      const lastLsn =
        (float64[long + LANE_LONG.firstLsn] as number) + (float64[long + LANE_LONG.recordCount] as number) - 1;
      return lastLsn <= watermark || Atomics.load(int32, word) !== sequence;
    }
    return true; // its lane is in use again
  }

  /** Behind the last durable frame that the core tells of: durable frames of its lie below it. Null when it tells of none. */
  tailOf(slot: number): { readonly segment: number; readonly endOffset: number } | null {
    const { int32, float64 } = this.#file;
    let tail = 0;
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      const word = laneOffset(slot, lane) >> 2;
      const long = word >> 1;
      const sequence = Atomics.load(int32, word);
      if (sequence !== Atomics.load(int32, word + LANE_WORD.done)) continue;
      const place = float64[long + LANE_LONG.place] as number;
      const end = packPlace(segmentOf(place), fileOffsetOf(place) + (float64[long + LANE_LONG.byteLength] as number));
      if (sequence === Atomics.load(int32, word) && end > tail) tail = end;
    }
    return tail === 0 ? null : { segment: segmentOf(tail), endOffset: fileOffsetOf(tail) };
  }

  // Whoever takes over a dead owner, or refuses a batch of its own.

  /** The batches of the slot's present generation, by epoch. */
  statesOf(slot: number): LaneState[] {
    const { int32, float64 } = this.#file;
    const states: LaneState[] = [];
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      const word = laneOffset(slot, lane) >> 2;
      const long = word >> 1;
      const epoch = float64[long + LANE_LONG.epoch] as number;
      if (epoch === 0 || (epoch | 0) !== int32[word]) continue; // none, or death came before it was published
      const recordCount = float64[long + LANE_LONG.recordCount] as number;
      const place = float64[long + LANE_LONG.place] as number;
      states.push({
        lane,
        epoch,
        firstLsn: recordCount === 0 ? 0 : (float64[long + LANE_LONG.firstLsn] as number),
        recordCount,
        segment: segmentOf(place),
        fileOffset: fileOffsetOf(place),
        byteLength: float64[long + LANE_LONG.byteLength] as number,
      });
    }
    return states.sort((a, b) => a.epoch - b.epoch);
  }

  /** What the dead slot was about to take LSNs for never took any. While nobody else can take them. */
  clearUntaken(slot: number): void {
    const { int32, float64, bigint64 } = this.#file;
    const counter = Number(Atomics.load(bigint64, LONG.counter));
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      const word = laneOffset(slot, lane) >> 2;
      if (int32[word] === int32[word + LANE_WORD.done]) continue;
      const first = float64[(word >> 1) + LANE_LONG.firstLsn] as number;
      const recordCount = float64[(word >> 1) + LANE_LONG.recordCount] as number;
      const isTaken = recordCount === 0 || (first > 0 && first + recordCount - 1 <= counter);
      if (!isTaken) this.settle(slot, lane, true);
    }
  }

  /** Frees the LSN lock if the dead slot holds it. */
  breakLsnLock(slot: number): void {
    Atomics.compareExchange(this.#file.int32, WORD.lsnLock, slot + 1, 0);
  }

  /** The lane holds W back no longer. `isLost`: there is no such batch in the log. */
  settle(slot: number, lane: number, isLost: boolean): void {
    const { int32, float64, bigint64 } = this.#file;
    const word = laneOffset(slot, lane) >> 2;
    if (isLost) float64[(word >> 1) + LANE_LONG.epoch] = 0;
    Atomics.store(bigint64, (word >> 1) + LANE_LONG.done, BigInt((int32[word] as number) >>> 0));
  }

  /** A new owner begins with empty lanes. */
  clear(slot: number): void {
    const { int32, float64, bigint64 } = this.#file;
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      const word = laneOffset(slot, lane) >> 2;
      assert(int32[word] === int32[word + LANE_WORD.done], "a free slot has nothing pending");
      float64[(word >> 1) + LANE_LONG.epoch] = 0;
      // Its batches are numbered from 1 again, in files of their own.
      int32[word] = 0;
      bigint64[(word >> 1) + LANE_LONG.done] = 0n;
      float64[(word >> 1) + LANE_LONG.place] = 0;
      float64[(word >> 1) + LANE_LONG.byteLength] = 0;
    }
    bigint64[(slotOffset(slot) >> 3) + SLOT_LONG.sealedEpoch] = 0n;
  }
}
