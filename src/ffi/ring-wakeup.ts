/**
 * How a thread's event loop learns that a ring has completions.
 *
 * - On the main thread: koffi's poll on the ring's descriptor.
 * - In worker threads that poll would abort the process when the worker is terminated while completions come. There the kernel writes
 *   one byte into a pipe, which a socket of node:net reads: an entry polls the ring's own descriptor, and linked behind it is the write.
 *   The pair stands beside the operations, not behind each: so no operation that fails, and no chain that breaks, can cost a wake-up.
 *   It is armed before each entry into the kernel while something is in flight; the poll looks at once whether there are completions,
 *   so none that came in between is missed. There is never more than one pair, so the pipe is never full.
 */

import { Socket } from "node:net";
import koffi from "koffi";
import { StoreError } from "../errors.js";
import { AlignedBuffer, BLOCK_BYTES } from "./aligned-buffer.js";
import { errnoName } from "./errno.js";
import { closeFd, openPipe } from "./libc.js";
import { cancelEntry, type Entry, PART_NOBODY, pipeByteEntry, pollEntry } from "./sqe.js";

export interface RingWakeup {
  /** Linked entries that must be submitted so that the next completion is heard of; none when that is seen to already. */
  arm(): readonly Entry[];
  /** What was armed did not reach the kernel whole. */
  disarm(): void;
  /** What ends the armed entries, or null: the kernel keeps a ring that polls itself, and writes to the pipe by its number. */
  cancel(): Entry | null;
  /** Whether waiting for completions keeps the process alive. */
  hold(isHeld: boolean): void;
  /** Listens no more, and gives everything back that the kernel no longer uses: after `cancel` all of it, else not the pipe's entrance. */
  close(isCancelled: boolean): void;
}

/** What `arm` gives at most. */
export const WAKEUP_ENTRY_COUNT = 2;
/** Its entries carry this instead of a slot, so that they can be cancelled. */
export const WAKEUP_SLOT = 0xffff_ffff;
const NOTHING: readonly Entry[] = [];

export function pollWakeup(ringFd: number, onCompletions: () => void): RingWakeup {
  // The handle must be kept: when it is collected, the poll ends.
  const poll = koffi.node.poll(ringFd, { readable: true, writable: false, disconnect: false }, onCompletions);
  poll.unref();
  return {
    arm: () => NOTHING,
    disarm: () => {},
    cancel: () => null,
    hold: (isHeld) => {
      if (isHeld) poll.ref();
      else poll.unref();
    },
    close: () => poll.close(),
  };
}

const READ_BYTES = 64;

/** The byte that is written. One page for the thread's life: the kernel may read it for as long as a ring of the thread lives. */
let source: AlignedBuffer | null = null;

/** @throws StoreError `ERR_IO_FAILED` when there is no descriptor left for a pipe */
export function pipeWakeup(ringFd: number, onCompletions: () => void): RingWakeup {
  const pipe = openPipe();
  if (typeof pipe === "number") {
    const errno = errnoName(pipe);
    throw new StoreError("ERR_IO_FAILED", `a pipe cannot be opened: ${errno}`, { operation: "pipe2", errno });
  }
  source ??= new AlignedBuffer(BLOCK_BYTES);
  const entries = [pollEntry(ringFd), pipeByteEntry(pipe.writeFd, source)];
  let isArmed = false;
  const callback = (): boolean => {
    isArmed = false;
    onCompletions();
    return true;
  };
  // `onread` is documented, and missing in the types of this constructor.
  const options = {
    fd: pipe.readFd,
    readable: true,
    writable: false,
    onread: { buffer: Buffer.alloc(READ_BYTES), callback },
  };
  const socket = new Socket(options);
  socket.unref();
  return {
    arm: () => {
      if (isArmed) return NOTHING;
      isArmed = true;
      return entries;
    },
    disarm: () => {
      isArmed = false;
    },
    cancel: () => cancelEntry(WAKEUP_SLOT, PART_NOBODY),
    hold: (isHeld) => {
      if (isHeld) socket.ref();
      else socket.unref();
    },
    close: (isCancelled) => {
      socket.destroy();
      if (isCancelled) closeFd(pipe.writeFd);
    },
  };
}
