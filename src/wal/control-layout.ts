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
 *        448  i64   LSN of the last checkpoint of this incarnation, 0 when there was none: the manifest has the truth
 *        456  i64   sequence number of the manifest that this incarnation last changed by what is sealed, 0 when it has not
 *
 *     A slot:
 *          0  i32   status: 0 free, 1 live
 *          4  i32   generation: rises with each attach
 *          8  i32   whether it sleeps on the turn
 *         16  i64   highest epoch sealed
 *         64  f64   frames, 72 records, 80 bytes acknowledged, 88 records sealed and not acknowledged, 96 process id,
 *               104 highest epoch acknowledged
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

import { BLOCK_BYTES } from "../ffi/index.js";

export const CONTROL_MAGIC = 0x43565256; // "VRVC"
export const CONTROL_VERSION = 1;
export const SLOT_COUNT_MAX = 64;
const SLOTS_AT = 4096;
const SLOT_BYTES = 2048;
const LANES_AT = 256;
const LANE_BYTES = 64;
/**
 * Twice the batches that a writer can have outstanding, and a few more: a survivor needs the lanes of the batches that were outstanding
 * when the oldest lost one was made, to know what its streams were before.
 */
export const LANE_COUNT = 24;
const PLACE_UNIT = 2 ** 21;

/** Indices into the views of the file: of i32 words, and of words of 8 bytes. */
export const WORD = {
  version: 1,
  slotCount: 8,
  lsnLock: 16,
  poison: 48,
  turn: 64,
  sleepingReaders: 65,
  status: 80,
  attached: 96,
} as const;
export const LONG = { incarnation: 3, counter: 9, recordedAt: 10, watermark: 16, checkpoint: 56, sealing: 57 } as const;
export const STORE_ID_AT = 8;
export const STATUS_OPEN = 1;
export const STATUS_ENDED = 2;

/** Of a slot, from its first i32 word and from its first word of 8 bytes. */
export const SLOT_WORD = { status: 0, generation: 1, isSleeping: 2 } as const;
export const SLOT_LONG = {
  sealedEpoch: 2,
  frames: 8,
  records: 9,
  bytes: 10,
  pendingRecords: 11,
  pid: 12,
  durableEpoch: 13,
} as const;
/** Of a lane. */
export const LANE_WORD = { sequence: 0, done: 2 } as const;
export const LANE_LONG = {
  done: 1,
  mailbox: 2,
  epoch: 3,
  firstLsn: 4,
  recordCount: 5,
  place: 6,
  byteLength: 7,
} as const;
/** From one lane to the next. */
export const LANE_WORDS: number = LANE_BYTES / 4;

export function controlBytes(slotCount: number): number {
  return SLOTS_AT + slotCount * SLOT_BYTES;
}

export function slotOffset(slot: number): number {
  return SLOTS_AT + slot * SLOT_BYTES;
}

export function laneOffset(slot: number, lane: number): number {
  return slotOffset(slot) + LANES_AT + lane * LANE_BYTES;
}

/** A place in a core's files as one number: a double holds any segment below 2^32. */
export function packPlace(segment: number, fileOffset: number): number {
  return segment * PLACE_UNIT + fileOffset / BLOCK_BYTES;
}

export function segmentOf(place: number): number {
  return Math.floor(place / PLACE_UNIT);
}

export function fileOffsetOf(place: number): number {
  return (place % PLACE_UNIT) * BLOCK_BYTES;
}
