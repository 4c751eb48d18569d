/**
 * The control file: the words that all writers of one store share, mapped by each.
 *
 * Version 1. Numbers are little-endian; i32 words are touched with Atomics, f64 words by one side only and published by an i32 or i64
 * word that is stored after them. Made anew by each recovery under a temporary name, then renamed: it never changes its size. What it
 * says counts while a writer of its incarnation is alive; recovery believes nothing in it.
 *
 *     offset  type  word
 *          0  i32   magic "VRVC"
 *          4  i32   version
 *          8  16 B  store id
 *         24  f64   incarnation
 *         32  i32   slots, each of 2,048 bytes from offset 4,096 on
 *         64  i32   LSN lock: 0, or 1 + the slot that takes LSNs at this moment
 *         72  i64   LSN counter: the highest LSN taken
 *         80  f64   highest recordedAt, under the LSN lock
 *        128  i64   W as far as anybody has computed it: a lower bound of the true one
 *        192  i32   poison: 0, or 1 + the slot whose write or sync failed; nothing is acknowledged after it
 *        256  i32   turn: rises with every range of LSNs taken, every attach and every end; who waits for news sleeps on it
 *        260  i32   readers without a slot that sleep on the turn
 *        320  i32   status: 1 open, 2 ended (the last writer closed, or a later recovery replaced the file)
 *        384  i32   slots that were ever attached: 1 + the highest
 *
 *     A slot:
 *          0  i32   status: 0 free, 1 live
 *          4  i32   generation: rises with each attach
 *          8  i32   whether it sleeps on the turn
 *         16  i64   highest epoch sealed
 *         64  f64   frames, 72 records, 80 bytes acknowledged, 88 records sealed and not acknowledged, 96 process id
 *        256  …     24 lanes of 64 bytes
 *
 *     A lane, one for each batch in flight; those of acknowledged batches stay until they are the oldest and needed again:
 *          0  i32   sequence: the batch's epoch, its low 32 bits
 *          8  i64   done word: the kernel copies the mailbox here when the batch is durable. Pending while its low 32 bits ≠ sequence
 *         16  i64   mailbox: the sequence
 *         24  f64   epoch
 *         32  f64   first LSN; negative: the bound below which it will not lie, and no LSN is taken yet
 *         40  f64   records
 *         48  f64   place: segment × 2^21 + offset in blocks of 4,096 bytes
 *         56  f64   bytes of the frame
 *
 * Taking LSNs is a step that a death cannot blur. The bound is published first; then, under the lock, the lane's first LSN, then the
 * counter. Whoever finds the lock of a dead slot finds either a counter that does not reach the lane's last LSN (nothing was taken) or
 * one that does (it was).
 *
 * W: the counter is read first, then all lanes; W is below every pending one. The order matters (writers.md, rule 2): a range taken after
 * the counter was read lies above it, one taken before shows in its lane. test/wal/writers-model.test.ts checks all interleavings.
 */

import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../assert.js";
import { StoreError } from "../errors.js";
import { BLOCK_BYTES, MappedFile } from "../ffi/index.js";
import { STORE_ID_BYTES } from "./format.js";

const MAGIC = 0x43565256; // "VRVC"
const VERSION = 1;
const SLOTS_AT = 4096;
const SLOT_BYTES = 2048;
export const SLOT_COUNT_MAX = 64;
const LANES_AT = 256;
const LANE_BYTES = 64;
/**
 * Twice the batches that a writer can have outstanding, and a few more: a survivor needs the lanes of the batches that were outstanding
 * when the oldest lost one was made, to know what its streams were before.
 */
export const LANE_COUNT = 24;
const PLACE_UNIT = 2 ** 21;
const SPINS_MAX = 2000;

// Indices of i32 words.
const LSN_LOCK = 64 / 4;
const POISON = 192 / 4;
const TURN = 256 / 4;
const SLEEPING_READERS = 260 / 4;
const STATUS = 320 / 4;
const ATTACHED = 384 / 4;
// Indices of 8-byte words.
const COUNTER = 72 / 8;
const RECORDED_AT = 80 / 8;
const WATERMARK = 128 / 8;

const OPEN = 1;
const ENDED = 2;

/** One lane as somebody else finds it. */
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

/** What a core tells of itself. */
export interface CoreState {
  readonly core: number;
  readonly generation: number;
  readonly isLive: boolean;
  readonly pid: number;
  readonly frames: number;
  readonly records: number;
  readonly bytes: number;
  readonly pendingRecords: number;
}

export class ControlFile {
  readonly file: MappedFile;
  readonly incarnation: number;
  readonly slotCount: number;

  static path(directory: string): string {
    return join(directory, "control");
  }

  /** Makes the control file of a new incarnation in the place of an older one. Alone, under the attach lock. */
  static create(
    directory: string,
    start: {
      readonly storeId: Uint8Array;
      readonly incarnation: number;
      readonly durableLsn: number;
      readonly lastRecordedAt: number;
      readonly slotCount: number;
    },
  ): ControlFile {
    const path = ControlFile.path(directory);
    rmSync(`${path}.tmp`, { force: true }); // of an opener that died
    const file = MappedFile.create(`${path}.tmp`, SLOTS_AT + start.slotCount * SLOT_BYTES);
    const { int32, float64, bigint64 } = file;
    file.bytes.set(start.storeId, 8);
    float64[24 / 8] = start.incarnation;
    int32[32 / 4] = start.slotCount;
    bigint64[COUNTER] = BigInt(start.durableLsn);
    bigint64[WATERMARK] = BigInt(start.durableLsn);
    float64[RECORDED_AT] = start.lastRecordedAt;
    int32[STATUS] = OPEN;
    int32[1] = VERSION;
    Atomics.store(int32, 0, MAGIC);
    renameSync(`${path}.tmp`, path);
    return new ControlFile(file);
  }

  /** @throws StoreError `ERR_WAL_VERSION`, `ERR_WAL_FOREIGN`, `ERR_WAL_CORRUPT` */
  static open(directory: string, storeId: Uint8Array | null, mode: "read" | "write"): ControlFile {
    const path = ControlFile.path(directory);
    const file = MappedFile.open(path, mode);
    try {
      const { bytes, int32 } = file;
      if (file.byteLength < SLOTS_AT || int32[0] !== MAGIC) {
        throw new StoreError("ERR_WAL_CORRUPT", `${path} is no control file`, { path });
      }
      if (int32[1] !== VERSION) {
        const version = int32[1] as number;
        throw new StoreError("ERR_WAL_VERSION", `${path} has version ${version}`, { path, version });
      }
      if (storeId !== null && Buffer.compare(bytes.subarray(8, 8 + STORE_ID_BYTES), storeId) !== 0) {
        throw new StoreError("ERR_WAL_FOREIGN", `${path} belongs to another store`, { path });
      }
      if (file.byteLength !== SLOTS_AT + (int32[32 / 4] as number) * SLOT_BYTES) {
        throw new StoreError("ERR_WAL_CORRUPT", `${path} has ${file.byteLength} bytes`, { path });
      }
    } catch (error) {
      file.close();
      throw error;
    }
    return new ControlFile(file);
  }

  private constructor(file: MappedFile) {
    this.file = file;
    this.incarnation = file.float64[24 / 8] as number;
    this.slotCount = file.int32[32 / 4] as number;
  }

  close(): void {
    this.file.close();
  }

  // The whole store.

  get isEnded(): boolean {
    return Atomics.load(this.file.int32, STATUS) === ENDED;
  }

  end(): void {
    Atomics.store(this.file.int32, STATUS, ENDED);
    this.#turn();
  }

  /** The slot whose write or sync failed; −1 when none did. */
  get poisonedBy(): number {
    return Atomics.load(this.file.int32, POISON) - 1;
  }

  poison(slot: number): void {
    Atomics.compareExchange(this.file.int32, POISON, 0, slot + 1);
    this.#turn();
  }

  /** The highest LSN taken. */
  get counter(): number {
    return Number(Atomics.load(this.file.bigint64, COUNTER));
  }

  /** The highest recordedAt given to a batch so far. */
  get latestRecordedAt(): number {
    return this.file.float64[RECORDED_AT] as number;
  }

  /** W as somebody computed it last. */
  get publishedWatermark(): number {
    return Number(Atomics.load(this.file.bigint64, WATERMARK));
  }

  /** Computes W, and publishes it when it has risen. */
  advanceWatermark(): number {
    const { bigint64, float64, int32 } = this.file;
    let watermark = Number(Atomics.load(bigint64, COUNTER));
    const laneEnd = this.attachedCount;
    for (let slot = 0; slot < laneEnd; slot++) {
      for (let lane = 0, at = laneOffset(slot, 0); lane < LANE_COUNT; lane++, at += LANE_BYTES) {
        for (;;) {
          const sequence = Atomics.load(int32, at >> 2);
          if (sequence === Atomics.load(int32, (at + 8) >> 2)) break;
          const first = Math.abs(float64[(at + 32) >> 3] as number);
          const recordCount = float64[(at + 40) >> 3] as number;
          if (sequence !== Atomics.load(int32, at >> 2)) continue; // the lane has gone on meanwhile
          if (recordCount > 0 && first <= watermark) watermark = first - 1;
          break;
        }
      }
    }
    let published = Atomics.load(bigint64, WATERMARK);
    while (Number(published) < watermark) {
      const seen = Atomics.compareExchange(bigint64, WATERMARK, published, BigInt(watermark));
      if (seen === published) return watermark;
      published = seen;
    }
    return Number(published);
  }

  /** The pending lane of another slot that holds W back: where its done word is, and its value. Null when none does. */
  blockerOf(watermark: number, ownSlot: number): { slot: number; doneOffset: number; seen: number } | null {
    const { float64, int32 } = this.file;
    let found: { slot: number; doneOffset: number; seen: number } | null = null;
    let lowest = Number.POSITIVE_INFINITY;
    for (let slot = 0; slot < this.attachedCount; slot++) {
      if (slot === ownSlot) continue;
      for (let lane = 0, at = laneOffset(slot, 0); lane < LANE_COUNT; lane++, at += LANE_BYTES) {
        const seen = Atomics.load(int32, (at + 8) >> 2);
        if (Atomics.load(int32, at >> 2) === seen || (float64[(at + 40) >> 3] as number) === 0) continue;
        const first = Math.abs(float64[(at + 32) >> 3] as number);
        if (first > watermark && first < lowest) {
          lowest = first;
          found = { slot, doneOffset: at + 8, seen };
        }
      }
    }
    return found;
  }

  // News.

  get turn(): number {
    return Atomics.load(this.file.int32, TURN);
  }

  get turnOffset(): number {
    return TURN * 4;
  }

  #turn(): void {
    Atomics.add(this.file.int32, TURN, 1);
  }

  /** Says that there is news; who sleeps must still be woken. */
  announce(): void {
    this.#turn();
  }

  /** Whether anybody but `ownSlot` sleeps on the turn. */
  hasSleepers(ownSlot: number): boolean {
    const { int32 } = this.file;
    if (Atomics.load(int32, SLEEPING_READERS) > 0) return true;
    for (let slot = 0; slot < this.attachedCount; slot++) {
      if (slot !== ownSlot && Atomics.load(int32, (slotOffset(slot) + 8) >> 2) !== 0) return true;
    }
    return false;
  }

  setSleeping(slot: number, isSleeping: boolean): void {
    Atomics.store(this.file.int32, (slotOffset(slot) + 8) >> 2, isSleeping ? 1 : 0);
  }

  addSleepingReader(count: 1 | -1): void {
    Atomics.add(this.file.int32, SLEEPING_READERS, count);
  }

  // Slots.

  /** Slots below this number have been attached at some time. */
  get attachedCount(): number {
    return Atomics.load(this.file.int32, ATTACHED);
  }

  isLive(slot: number): boolean {
    return Atomics.load(this.file.int32, slotOffset(slot) >> 2) !== 0;
  }

  generationOf(slot: number): number {
    return Atomics.load(this.file.int32, (slotOffset(slot) + 4) >> 2);
  }

  /** Makes the slot live with the next generation, which it returns. Under the attach lock. */
  attach(slot: number, pid: number): number {
    const { int32, float64, bigint64 } = this.file;
    const at = slotOffset(slot);
    assert(!this.isLive(slot), "a slot is attached when it is free");
    for (let lane = 0, offset = laneOffset(slot, 0); lane < LANE_COUNT; lane++, offset += LANE_BYTES) {
      assert(int32[offset >> 2] === int32[(offset + 8) >> 2], "a free slot has nothing pending");
      float64[(offset + 24) >> 3] = 0;
    }
    bigint64[(at + 16) >> 3] = 0n;
    for (let word = 64; word <= 88; word += 8) float64[(at + word) >> 3] = 0;
    float64[(at + 96) >> 3] = pid;
    int32[(at + 8) >> 2] = 0;
    const generation = Atomics.add(int32, (at + 4) >> 2, 1) + 1;
    Atomics.store(int32, at >> 2, 1);
    if (slot >= this.attachedCount) Atomics.store(int32, ATTACHED, slot + 1);
    this.#turn();
    return generation;
  }

  /** Nothing of the slot is pending any more. */
  detach(slot: number): void {
    Atomics.store(this.file.int32, slotOffset(slot) >> 2, 0);
    this.setSleeping(slot, false);
    this.#turn();
  }

  coreState(slot: number): CoreState {
    const { float64 } = this.file;
    const at = slotOffset(slot) >> 3;
    return {
      core: slot,
      generation: this.generationOf(slot),
      isLive: this.isLive(slot),
      pid: float64[at + 12] as number,
      frames: float64[at + 8] as number,
      records: float64[at + 9] as number,
      bytes: float64[at + 10] as number,
      pendingRecords: float64[at + 11] as number,
    };
  }

  /** Behind the last durable frame that the core tells of; null when it tells of none. Durable frames of its lie below it. */
  tailOf(slot: number): { readonly segment: number; readonly endOffset: number } | null {
    const { int32, float64 } = this.file;
    let place = 0;
    for (let lane = 0, at = laneOffset(slot, 0); lane < LANE_COUNT; lane++, at += LANE_BYTES) {
      const sequence = Atomics.load(int32, at >> 2);
      if (sequence !== Atomics.load(int32, (at + 8) >> 2)) continue;
      const end = (float64[(at + 48) >> 3] as number) + (float64[(at + 56) >> 3] as number) / BLOCK_BYTES;
      if (sequence === Atomics.load(int32, at >> 2) && end > place) place = end;
    }
    return place === 0 ? null : { segment: Math.floor(place / PLACE_UNIT), endOffset: (place % PLACE_UNIT) * BLOCK_BYTES };
  }

  setCounts(slot: number, frames: number, records: number, bytes: number, pendingRecords: number): void {
    const { float64 } = this.file;
    const at = slotOffset(slot) >> 3;
    float64[at + 8] = frames;
    float64[at + 9] = records;
    float64[at + 10] = bytes;
    float64[at + 11] = pendingRecords;
  }

  // Lanes: the owner's side.

  /** Publishes a batch before it takes its LSNs: from here on W stays below what it will take. */
  beginBatch(slot: number, lane: number, epoch: number, segment: number, fileOffset: number, byteLength: number, recordCount: number): void {
    const { int32, float64, bigint64 } = this.file;
    const at = laneOffset(slot, lane);
    const sequence = epoch | 0;
    assert(int32[at >> 2] === int32[(at + 8) >> 2], "a lane is used again when its batch is durable");
    float64[(at + 24) >> 3] = epoch;
    float64[(at + 32) >> 3] = -(Number(Atomics.load(bigint64, COUNTER)) + 1);
    float64[(at + 40) >> 3] = recordCount;
    float64[(at + 48) >> 3] = packPlace(segment, fileOffset);
    float64[(at + 56) >> 3] = byteLength;
    bigint64[(at + 16) >> 3] = BigInt(sequence >>> 0);
    Atomics.store(int32, at >> 2, sequence);
  }

  /**
   * Takes `recordCount` LSNs for a batch that was begun: the first, or −1 when somebody else held the lock all the time; then nothing was
   * taken. `recordedAt` comes back through `takenRecordedAt`: the time given, or the latest so far if that is later.
   */
  takeLsns(slot: number, lane: number, recordCount: number, recordedAt: number): number {
    const { int32, float64, bigint64 } = this.file;
    for (let spins = 0; Atomics.compareExchange(int32, LSN_LOCK, 0, slot + 1) !== 0; spins++) {
      if (spins === SPINS_MAX) return -1;
    }
    const first = Number(bigint64[COUNTER]) + 1;
    const latest = Math.max(recordedAt, float64[RECORDED_AT] as number);
    float64[RECORDED_AT] = latest;
    this.takenRecordedAt = latest;
    float64[(laneOffset(slot, lane) + 32) >> 3] = first;
    Atomics.store(bigint64, COUNTER, BigInt(first + recordCount - 1));
    Atomics.store(int32, LSN_LOCK, 0);
    return first;
  }

  /** Of the last `takeLsns` of this thread. */
  takenRecordedAt = 0;

  /** The batch has its LSNs and its place: others may judge whether it is committed. */
  sealed(slot: number, epoch: number): void {
    Atomics.store(this.file.bigint64, (slotOffset(slot) + 16) >> 3, BigInt(epoch));
    this.#turn();
  }

  mailboxOffset(slot: number, lane: number): number {
    return laneOffset(slot, lane) + 16;
  }

  doneOffset(slot: number, lane: number): number {
    return laneOffset(slot, lane) + 8;
  }

  // Lanes: what others see.

  /** Whether the batch is durable with everything before it, W being as given. */
  isCommitted(slot: number, generation: number, epoch: number, watermark: number): boolean {
    if (this.generationOf(slot) !== generation) return true; // ended in order, or settled by a survivor
    const { int32, float64, bigint64 } = this.file;
    if (Number(Atomics.load(bigint64, (slotOffset(slot) + 16) >> 3)) < epoch) return !this.isLive(slot);
    const sequence = epoch | 0;
    for (let lane = 0, at = laneOffset(slot, 0); lane < LANE_COUNT; lane++, at += LANE_BYTES) {
      if (Atomics.load(int32, at >> 2) !== sequence || float64[(at + 24) >> 3] !== epoch) continue;
      const last = (float64[(at + 32) >> 3] as number) + (float64[(at + 40) >> 3] as number) - 1;
      if (Atomics.load(int32, at >> 2) !== sequence) return true;
      return last <= watermark;
    }
    return true; // its lane was used again
  }

  /** The lanes that hold a batch of the slot's present generation, by epoch. For whoever takes over a dead writer. */
  lanesOf(slot: number): LaneState[] {
    const { int32, float64 } = this.file;
    const lanes: LaneState[] = [];
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      const at = laneOffset(slot, lane);
      const epoch = float64[(at + 24) >> 3] as number;
      if (epoch === 0 || (epoch | 0) !== int32[at >> 2]) continue; // none, or death came before it was published
      const recordCount = float64[(at + 40) >> 3] as number;
      const place = float64[(at + 48) >> 3] as number;
      lanes.push({
        lane,
        epoch,
        firstLsn: recordCount === 0 ? 0 : (float64[(at + 32) >> 3] as number),
        recordCount,
        segment: Math.floor(place / PLACE_UNIT),
        fileOffset: (place % PLACE_UNIT) * BLOCK_BYTES,
        byteLength: float64[(at + 56) >> 3] as number,
      });
    }
    return lanes.sort((a, b) => a.epoch - b.epoch);
  }

  /** For a survivor: what the dead slot was about to take LSNs for never took any. While nobody else can take them. */
  clearUntaken(slot: number): void {
    const { int32, float64 } = this.file;
    const counter = this.counter;
    for (let lane = 0, at = laneOffset(slot, 0); lane < LANE_COUNT; lane++, at += LANE_BYTES) {
      if (int32[at >> 2] === int32[(at + 8) >> 2]) continue;
      const first = float64[(at + 32) >> 3] as number;
      const recordCount = float64[(at + 40) >> 3] as number;
      const isTaken = recordCount === 0 || (first > 0 && first + recordCount - 1 <= counter);
      if (!isTaken) this.settleLane(slot, lane, true);
    }
  }

  /** For a survivor, or for who refuses a batch: the lane holds W back no longer. `isLost`: there is no such batch in the log. */
  settleLane(slot: number, lane: number, isLost: boolean): void {
    const { int32, float64, bigint64 } = this.file;
    const at = laneOffset(slot, lane);
    if (isLost) float64[(at + 24) >> 3] = 0;
    Atomics.store(bigint64, (at + 8) >> 3, BigInt((int32[at >> 2] as number) >>> 0));
  }

  /** The slot that takes LSNs at this moment; −1 when none does. */
  get lsnLockHolder(): number {
    return Atomics.load(this.file.int32, LSN_LOCK) - 1;
  }

  /** For a survivor: frees the LSN lock of a dead slot. */
  breakLsnLock(slot: number): void {
    Atomics.compareExchange(this.file.int32, LSN_LOCK, slot + 1, 0);
  }
}

function slotOffset(slot: number): number {
  return SLOTS_AT + slot * SLOT_BYTES;
}

function laneOffset(slot: number, lane: number): number {
  return SLOTS_AT + slot * SLOT_BYTES + LANES_AT + lane * LANE_BYTES;
}

function packPlace(segment: number, fileOffset: number): number {
  return segment * PLACE_UNIT + fileOffset / BLOCK_BYTES;
}
