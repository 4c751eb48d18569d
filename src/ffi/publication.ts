/**
 * Publishing that a write is durable: the 8 bytes at `mailboxOffset`, which the caller stored before, are copied to `doneOffset`, in one
 * mapped file. Who looks must test for equality with what is awaited: the kernel may copy byte by byte, and a half-copied word is no value.
 */

import { futexWakeAll } from "./libc.js";
import { assertWord, type MappedFile } from "./mapped-file.js";

export const MAILBOX_BYTES = 8;

export interface Publication {
  readonly file: MappedFile;
  /** A multiple of 8. What lies there must not change until the write was told. */
  readonly mailboxOffset: number;
  /** A multiple of 8. Sleepers are woken on its low 32 bits. */
  readonly doneOffset: number;
}

export function assertPublication({ file, mailboxOffset, doneOffset }: Publication): void {
  assertWord(file, mailboxOffset, MAILBOX_BYTES);
  assertWord(file, doneOffset, MAILBOX_BYTES);
}

/** Publishes from this thread: where the kernel does not, or could not. */
export function publishHere({ file, mailboxOffset, doneOffset }: Publication): void {
  const mailbox = Atomics.load(file.bigint64, mailboxOffset / MAILBOX_BYTES);
  Atomics.store(file.bigint64, doneOffset / MAILBOX_BYTES, mailbox);
  wakeSleepers(file, doneOffset);
}

/** Wakes all who sleep on that word in the kernel, in all processes. */
export function wakeSleepers(file: MappedFile, offset: number): void {
  assertWord(file, offset, 4);
  futexWakeAll(file.addressAt(offset));
}
