/**
 * Blocks of the file of subject keys. Each is there twice, because devices read, change and write 4096 bytes as a whole: a power cut can take all that
 * is in the block that was being written. So one copy is written while the other is durable, in turns, and of two the later one counts.
 *
 *     a copy, 4096 bytes; copy C (0 or 1) of block N is at 4096 + (2 * N + C) * 4096
 *        0  3840  15 records
 *     3840     4  N
 *     3844     4  sequence: of the copies that hold their checksum, the one with the higher one counts
 *     3848   244  zeros
 *     4092     4  checksum of bytes 0 to 4091
 *
 * Adding a record writes the earlier copy. Destroying a key writes the earlier copy, flushes it, and then writes the other one the same: before
 * that the key is still in it. A copy of zeros was never written; the first that is written is copy 0. So of a block of which neither copy
 * holds its checksum, and copy 1 is zeros, the first record was never finished; any other one is damaged.
 *
 * A record in the copy that does not count says one thing all the same: a key that is destroyed there, in a copy that a power cut tore, is. So
 * says who looks at ids and state words alone (`SubjectFile.isLiveAt`), and both must say the same.
 */

import { crc32 } from "node:zlib";
import { assert } from "../../assert.js";
import { decodeSubjectRecord, SUBJECT_RECORD_BYTES } from "./subject-format.js";

export const SUBJECT_BLOCK_BYTES = 4096;
export const RECORDS_PER_BLOCK = 15;
/** Of both copies. */
export const SUBJECT_PAIR_BYTES: number = 2 * SUBJECT_BLOCK_BYTES;
const RECORDS_BYTES: number = RECORDS_PER_BLOCK * SUBJECT_RECORD_BYTES;
const NUMBER_AT = RECORDS_BYTES;
const SEQUENCE_AT: number = NUMBER_AT + 4;
const CRC_AT: number = SUBJECT_BLOCK_BYTES - 4;
assert(SEQUENCE_AT + 4 <= CRC_AT, "the records leave room for the rest");

export type SubjectCopy = 0 | 1;

export interface SubjectBlock {
  readonly number: number;
  /** 15, of which those that are not used are zeros. */
  readonly records: Buffer;
  /** 0: it was never written. */
  readonly sequence: number;
  /** The one that counts. */
  readonly copy: SubjectCopy;
}

export function subjectCopyOffset(number: number, copy: SubjectCopy): number {
  return SUBJECT_BLOCK_BYTES + number * SUBJECT_PAIR_BYTES + copy * SUBJECT_BLOCK_BYTES;
}

export function subjectRecordOffset(index: number, copy: SubjectCopy): number {
  return subjectCopyOffset(subjectBlockOf(index), copy) + subjectPlaceOf(index);
}

export function subjectBlockOf(index: number): number {
  return Math.floor(index / RECORDS_PER_BLOCK);
}

/** Where in its block a record begins. */
export function subjectPlaceOf(index: number): number {
  return (index % RECORDS_PER_BLOCK) * SUBJECT_RECORD_BYTES;
}

/** The same block with other records, to be written to the copy that does not count, which then does. */
export function nextSubjectBlock(block: SubjectBlock, records: Buffer): SubjectBlock {
  return { number: block.number, records, sequence: block.sequence + 1, copy: block.copy === 0 ? 1 : 0 };
}

export function encodeSubjectBlock({ number, records, sequence }: SubjectBlock): Buffer {
  const bytes = Buffer.alloc(SUBJECT_BLOCK_BYTES);
  bytes.set(records);
  bytes.writeUInt32LE(number, NUMBER_AT);
  bytes.writeUInt32LE(sequence, SEQUENCE_AT);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT);
  return bytes;
}

/** `pair`: both copies, as far as the file reaches. Null: it is damaged, or was written while it was read. */
export function decodeSubjectBlock(number: number, pair: Buffer): SubjectBlock | null {
  const copies = [pair.subarray(0, SUBJECT_BLOCK_BYTES), pair.subarray(SUBJECT_BLOCK_BYTES)] as const;
  const sequences = copies.map((bytes) => sequenceIn(bytes, number)) as [number, number];
  const copy = sequences[1] > sequences[0] ? 1 : 0;
  const sequence = sequences[copy];
  if (sequence > 0) {
    const records = withDestroyed(copies[copy].subarray(0, RECORDS_BYTES), copies[copy === 0 ? 1 : 0]);
    return { number, records, sequence, copy };
  }
  if (copies[1].some((byte) => byte !== 0)) return null;
  return { number, records: Buffer.alloc(RECORDS_BYTES), sequence, copy: 1 };
}

/** 0: it does not hold its checksum, or is another's. */
function sequenceIn(bytes: Buffer, number: number): number {
  if (bytes.length < SUBJECT_BLOCK_BYTES || bytes.readUInt32LE(NUMBER_AT) !== number) return 0;
  return bytes.readUInt32LE(CRC_AT) === crc32(bytes.subarray(0, CRC_AT)) ? bytes.readUInt32LE(SEQUENCE_AT) : 0;
}

function withDestroyed(records: Buffer, other: Buffer): Buffer {
  let result = records;
  for (let at = 0; at < RECORDS_BYTES; at += SUBJECT_RECORD_BYTES) {
    const bytes = other.subarray(at, at + SUBJECT_RECORD_BYTES);
    const place = records.subarray(at, at + SUBJECT_RECORD_BYTES);
    if (bytes.equals(place)) continue;
    const [said, counts] = [decodeSubjectRecord(bytes), decodeSubjectRecord(place)];
    if (said === null || said.isLive || counts === null || !counts.id.equals(said.id)) continue;
    if (result === records) result = Buffer.from(records);
    result.set(bytes, at);
  }
  return result;
}

/** What a file has behind its header: all blocks, both copies. */
export function* packedSubjectRecords(records: Iterable<Buffer>): Generator<Buffer, void, undefined> {
  let block: SubjectBlock = { number: 0, records: Buffer.alloc(RECORDS_BYTES), sequence: 1, copy: 0 };
  let count = 0;
  for (const record of records) {
    block.records.set(record, subjectPlaceOf(count));
    count++;
    if (count % RECORDS_PER_BLOCK > 0) continue;
    yield* bothCopies(block);
    block = { ...block, number: subjectBlockOf(count), records: Buffer.alloc(RECORDS_BYTES) };
  }
  if (count % RECORDS_PER_BLOCK > 0) yield* bothCopies(block);
}

function* bothCopies(block: SubjectBlock): Generator<Buffer, void, undefined> {
  yield encodeSubjectBlock(block);
  yield encodeSubjectBlock(nextSubjectBlock(block, block.records));
}
