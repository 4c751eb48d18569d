/**
 * Block I/O with completions, whatever carries it: io_uring, libuv's thread pool with direct I/O, or buffered files.
 *
 * All three keep the same contract (test/contract/block-io.ts): an operation completes exactly once, with the number of bytes or a
 * negative errno; a durable write that completes with its full length survives a power cut; nothing is retried here.
 */

import type { AlignedBuffer } from "./aligned-buffer.js";
import type { MappedFile } from "./mapped-file.js";
import type { Publication } from "./publication.js";
import type { Completion } from "./ring.js";

export type { Publication } from "./publication.js";

export type IoBackend = "uring" | "threadpool" | "buffered";

/** Which I/O a store uses, and why not a better one. */
export interface IoDescription {
  readonly backend: IoBackend;
  /** What drives io_uring; null where it is not used. */
  readonly driver: "liburing" | "syscall" | null;
  /** Whether the page cache is bypassed, as the kernel itself says. */
  readonly direct: boolean;
  /** Why this is not io_uring with direct I/O; null when it is. */
  readonly reason: string | null;
  /** Whether the kernel publishes that a write is durable, also while the thread that wrote is busy. */
  readonly publishes: boolean;
}

export interface BlockIo {
  readonly description: IoDescription;
  /** Operations started and not completed; sleeping is none. */
  readonly inFlightCount: number;
  /** open(2) flags for a file that is read, or read and written, through this I/O. */
  openFlags(mode: "read" | "write"): number;
  write(
    fd: number,
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    durable: boolean,
    completion: Completion,
  ): void;
  /**
   * Like `write` with `durable`, and when (and only when) all `length` bytes are durable, the mailbox is copied to the done word and its
   * sleepers are woken: by the kernel where `description.publishes`, else just before `completion` is told. A write that fails or is short
   * publishes nothing. Until `completion` is told, the mailbox must not change.
   */
  writePublished(
    fd: number,
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    publication: Publication,
    completion: Completion,
  ): void;
  read(
    fd: number,
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    completion: Completion,
  ): void;
  /** fdatasync(2). */
  dataSync(fd: number, completion: Completion): void;
  /** Gives the file its full size, with the blocks reserved where that is possible without blocking. */
  allocate(fd: number, byteLength: number, completion: Completion): void;
  /**
   * Completes with 0 when somebody wakes the 32-bit word at `offset` (a multiple of 4), or −EAGAIN when it is not `expected` to begin with.
   * It can also end for no reason: look at the word. Does not keep the process alive. Where the kernel cannot do this a timer looks
   * every 2 to 20 ms, which sees a changed word only. `close` ends it with −ECANCELED; to be submitted like any operation.
   */
  sleepOn(file: MappedFile, offset: number, expected: number, completion: Completion): void;
  /** Wakes all who sleep on that word, in all processes. */
  wake(file: MappedFile, offset: number): void;
  /** Hands what was started since the last call to the kernel. */
  submit(): void;
  /**
   * Tells now what has completed, without waiting for the event loop: for callers whose promise chains do not let the loop turn.
   * Does nothing where completions only come through the loop.
   */
  collect(): void;
  /** Waits for what is in flight, ends those who sleep, then gives everything back. */
  close(): Promise<void>;
}

/** One operation as a promise; for everything that is not the hot path. */
export function completionOf(start: (completion: Completion) => void): Promise<number> {
  return new Promise((resolve) => start({ complete: resolve }));
}
