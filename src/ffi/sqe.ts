/** Submission entries: what each operation is in the words of `struct io_uring_sqe`, linux/io_uring.h. */

import type { AlignedBuffer } from "./aligned-buffer.js";
import type { MappedFile } from "./mapped-file.js";
import { MAILBOX_BYTES, type Publication } from "./publication.js";
import {
  FUTEX_BITSET_MATCH_ANY,
  FUTEX_WAKE_ALL,
  FUTEX2_SIZE_U32,
  IORING_FSYNC_DATASYNC,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_FALLOCATE,
  IORING_OP_FSYNC,
  IORING_OP_FUTEX_WAIT,
  IORING_OP_FUTEX_WAKE,
  IORING_OP_NOP,
  IORING_OP_POLL_ADD,
  IORING_OP_READ,
  IORING_OP_WRITE,
  IOSQE_IO_LINK,
  POLLIN,
  RWF_DSYNC,
  SQE_BYTES,
} from "./ring-layout.js";

const SQE_WORDS = SQE_BYTES / 4;
const TWO_TO_32 = 0x1_0000_0000;
const USER_DATA_WORD = 8;

/** Whose completion it is: of an operation in a slot, of the copying link behind a write in a slot, or nobody's. */
export const PART_OPERATION = 0;
export const PART_MAILBOX = 1;
export const PART_NOBODY = 2;

/** What an operation is. All have one shape: put together by spreading objects they cost 3 µs each (measured). */
export class Entry {
  readonly opcode: number;
  readonly fd: number;
  readonly addressLow: number;
  readonly addressHigh: number;
  readonly length: number;
  /** Also the second value of operations without an offset in a file. */
  readonly offset: number;
  /** The operation's own flags: of the write, of the sync, the events of a poll. */
  readonly flags: number;
  readonly mask: number;

  constructor(
    opcode: number,
    fd: number,
    address: Address = NOWHERE,
    length: number = 0,
    offset: number = 0,
    flags: number = 0,
    mask: number = 0,
  ) {
    this.opcode = opcode;
    this.fd = fd;
    this.addressLow = address.low;
    this.addressHigh = address.high;
    this.length = length;
    this.offset = offset;
    this.flags = flags;
    this.mask = mask;
  }
}

/** 64 bits. */
interface Address {
  readonly low: number;
  readonly high: number;
}

const NOWHERE: Address = { low: 0, high: 0 };

interface NativeMemory {
  readonly addressLow: number;
  readonly addressHigh: number;
}

function addressIn(memory: NativeMemory, offset: number): Address {
  const low = memory.addressLow + offset;
  return { low: low % TWO_TO_32, high: memory.addressHigh + Math.floor(low / TWO_TO_32) };
}

export function writeEntry(
  fd: number,
  buffer: AlignedBuffer,
  bufferOffset: number,
  length: number,
  fileOffset: number,
  durable: boolean,
): Entry {
  const flags = durable ? RWF_DSYNC : 0;
  return new Entry(IORING_OP_WRITE, fd, addressIn(buffer, bufferOffset), length, fileOffset, flags);
}

export function readEntry(
  fd: number,
  buffer: AlignedBuffer,
  bufferOffset: number,
  length: number,
  fileOffset: number,
): Entry {
  return new Entry(IORING_OP_READ, fd, addressIn(buffer, bufferOffset), length, fileOffset);
}

/** fdatasync(2). */
export function dataSyncEntry(fd: number): Entry {
  return new Entry(IORING_OP_FSYNC, fd, NOWHERE, 0, 0, IORING_FSYNC_DATASYNC);
}

/** fallocate(2) with mode 0. Its length travels in the address field. */
export function allocateEntry(fd: number, byteLength: number): Entry {
  const lengthAsAddress = { low: byteLength % TWO_TO_32, high: Math.floor(byteLength / TWO_TO_32) };
  return new Entry(IORING_OP_FALLOCATE, fd, lengthAsAddress);
}

export function nopEntry(): Entry {
  return new Entry(IORING_OP_NOP, -1);
}

/**
 * Copies the mailbox to the done word: a read of the mapped file into its own mapping. It runs in the thread that submitted, which the
 * kernel interrupts for it, together with the write's completion. A buffered write to the file would go through a kernel thread, which on
 * a busy machine gets its turn milliseconds later (measured: one in ten).
 */
export function mailboxEntry({ file, mailboxOffset, doneOffset }: Publication): Entry {
  return new Entry(IORING_OP_READ, file.fd, addressIn(file, doneOffset), MAILBOX_BYTES, mailboxOffset);
}

export function futexWakeEntry(file: MappedFile, offset: number): Entry {
  return futexEntry(IORING_OP_FUTEX_WAKE, addressIn(file, offset), FUTEX_WAKE_ALL);
}

export function futexWaitEntry(file: MappedFile, offset: number, expected: number): Entry {
  return futexEntry(IORING_OP_FUTEX_WAIT, addressIn(file, offset), expected >>> 0);
}

function futexEntry(opcode: number, word: Address, value: number): Entry {
  return new Entry(opcode, FUTEX2_SIZE_U32, word, 0, value, 0, FUTEX_BITSET_MATCH_ANY);
}

export function pollEntry(fd: number): Entry {
  return new Entry(IORING_OP_POLL_ADD, fd, NOWHERE, 0, 0, POLLIN);
}

export function pipeByteEntry(fd: number, memory: NativeMemory): Entry {
  return new Entry(IORING_OP_WRITE, fd, addressIn(memory, 0), 1);
}

/** Ends the operation that was submitted with that user data. */
export function cancelEntry(slot: number, part: number): Entry {
  return new Entry(IORING_OP_ASYNC_CANCEL, -1, { low: slot, high: part });
}

/** Fills in the entry at `index`; its completion will carry `slot` and `part`. */
export function fillEntry(
  entries: Uint32Array,
  index: number,
  content: Entry,
  entryFlags: number,
  slot: number,
  part: number,
): void {
  const at = index * SQE_WORDS;
  entries[at] = content.opcode | (entryFlags << 8);
  entries[at + 1] = content.fd >>> 0;
  entries[at + 2] = content.offset % TWO_TO_32;
  entries[at + 3] = Math.floor(content.offset / TWO_TO_32);
  entries[at + 4] = content.addressLow;
  entries[at + 5] = content.addressHigh;
  entries[at + 6] = content.length;
  entries[at + 7] = content.flags;
  entries[at + USER_DATA_WORD] = slot;
  entries[at + USER_DATA_WORD + 1] = part;
  entries[at + 10] = 0;
  entries[at + 11] = 0;
  entries[at + 12] = content.mask;
  entries.fill(0, at + 13, at + SQE_WORDS);
}

function isLinked(entries: Uint32Array, index: number): boolean {
  return (((entries[index * SQE_WORDS] as number) >>> 8) & IOSQE_IO_LINK) !== 0;
}

/**
 * The kernel took entries up to `head` and stopped there. When that lies within a chain, the rest would start on its own the next time, as
 * if what it waits for had succeeded: it becomes operations that do nothing. Returns whether it was so.
 */
export function defuseCutChain(entries: Uint32Array, mask: number, head: number, tail: number): boolean {
  let wasLinked = isLinked(entries, (head - 1) & mask);
  const isCut = wasLinked && head !== tail;
  for (let position = head; wasLinked && position !== tail; position = (position + 1) >>> 0) {
    const index = position & mask;
    wasLinked = isLinked(entries, index);
    const at = index * SQE_WORDS;
    const slot = entries[at + USER_DATA_WORD] as number;
    const part = entries[at + USER_DATA_WORD + 1] as number;
    fillEntry(entries, index, nopEntry(), 0, slot, part);
  }
  return isCut;
}
