/**
 * What a `Ring` needs of whatever set it up: the shared memory, and a way into the kernel.
 *
 * Set up without IORING_SETUP_COOP_TASKRUN: what is linked behind a write has to start also while this thread is busy in JavaScript, and
 * with that flag it would wait for the thread's next entry into the kernel, which may be the next tick of the clock.
 */

import type { RingAbilities } from "./ring-abilities.js";

/** One of the two rings of io_uring: views of memory shared with the kernel. */
export interface SubmissionMemory {
  readonly head: Uint32Array;
  readonly flags: Uint32Array;
  readonly mask: number;
  readonly entries: Uint32Array;
}

export interface CompletionMemory {
  readonly head: Uint32Array;
  readonly tail: Uint32Array;
  readonly mask: number;
  readonly entries: Int32Array;
}

export interface RingDriver {
  readonly name: "liburing" | "syscall";
  readonly fd: number;
  readonly abilities: RingAbilities;
  readonly submission: SubmissionMemory;
  readonly completion: CompletionMemory;
  /** Makes entries up to `tail` visible to the next `enter`. */
  publish(tail: number): void;
  /** Submits up to `count` entries and waits for `waitCount` completions: how many were taken, or a negative errno. */
  enter(count: number, waitCount: number): number;
  /** Lets the kernel move overflowed completions into the ring. */
  flushOverflow(): number;
  close(): void;
}

/** Why a ring could not be had, as a negative errno, with the step that failed. */
export interface RingRefusal {
  readonly errno: number;
  readonly step: string;
}
