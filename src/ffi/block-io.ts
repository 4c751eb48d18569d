/**
 * Block I/O with completions, whatever carries it: io_uring, libuv's thread pool with direct I/O, or buffered files.
 *
 * All three keep the same contract (test/contract/block-io.ts): an operation completes exactly once, with the number of bytes or a
 * negative errno; a durable write that completes with its full length survives a power cut; nothing is retried here.
 */

import type { AlignedBuffer } from "./aligned-buffer.js";
import type { MappedFile } from "./mapped-file.js";
import type { Completion } from "./ring.js";

export interface Publication {
  readonly file: MappedFile;
  readonly mailboxOffset: number;
  readonly doneOffset: number;
}

export type IoBackend = "uring" | "threadpool" | "buffered";

/** Which I/O a store uses, and why not a better one. */
export interface IoDescription {
  readonly backend: IoBackend;
  /** What drives io_uring; null where it is not used. */
  readonly driver: "liburing" | "syscall" | null;
  /** Whether the page cache is bypassed, as the kernel itself says. */
  readonly direct: boolean;
  /** Whether the kernel publishes durability. */
  readonly publishes: boolean;
  /** Why this is not io_uring with direct I/O; null when it is. */
  readonly reason: string | null;
}

export interface BlockIo {
  readonly description: IoDescription;
  /** Operations started and not completed. */
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
  read(
    fd: number,
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    completion: Completion,
  ): void;
  writePublished(
    fd: number,
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    publication: Publication,
    completion: Completion,
  ): void;
  sleepOn(file: MappedFile, offset: number, expected: number, completion: Completion): void;
  wake(file: MappedFile, offset: number): void;
  /** fdatasync(2). */
  dataSync(fd: number, completion: Completion): void;
  /** Gives the file its full size, with the blocks reserved where that is possible without blocking. */
  allocate(fd: number, byteLength: number, completion: Completion): void;
  /** Hands what was started since the last call to the kernel. */
  submit(): void;
  /**
   * Tells now what has completed, without waiting for the event loop: for callers whose promise chains do not let the loop turn.
   * Does nothing where completions only come through the loop.
   */
  collect(): void;
  /** Waits for what is in flight, then gives everything back. */
  close(): Promise<void>;
}

/** One operation as a promise; for everything that is not the hot path. */
export function completionOf(start: (completion: Completion) => void): Promise<number> {
  return new Promise((resolve) => start({ complete: resolve }));
}

/** Placeholders until the ffi part lands. */
export function publishing(
  write: BlockIo["write"],
): Pick<BlockIo, "writePublished" | "sleepOn" | "wake"> {
  return {
    writePublished: (fd, buffer, bufferOffset, length, fileOffset, p, completion) =>
      write(fd, buffer, bufferOffset, length, fileOffset, true, {
        complete: (result) => {
          if (result === length) Atomics.store(p.file.bigint64, p.doneOffset / 8, p.file.bigint64[p.mailboxOffset / 8] as bigint);
          completion.complete(result);
        },
      }),
    sleepOn: (file, offset, expected, completion) => {
      const timer = setInterval(() => {
        if (Atomics.load(file.int32, offset / 4) === expected) return;
        clearInterval(timer);
        completion.complete(0);
      }, 2);
      timer.unref();
    },
    wake: () => {},
  };
}
