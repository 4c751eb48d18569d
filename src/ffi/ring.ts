/**
 * One io_uring: fills submission entries and reaps completions through views of the memory shared with the kernel.
 *
 * - At most `inFlightMax` operations are with the kernel, which is no more than the completion ring holds, so that it
 *   never overflows; what comes above waits in a backlog of at most `backlogMax`.
 * - Completions are all taken out first and told afterwards, in the order in which the kernel posted them, one at a time: who is told
 *   may start operations and ask for more completions, but is never told of another one in the middle of it.
 * - The event loop learns of completions through a poll on the ring's descriptor. It keeps the process alive only while
 *   something is in flight.
 * - A refused `enter` (EINTR, EAGAIN, EBUSY, ENOMEM) is repeated; entries stay where they are and are never queued again.
 */

import koffi from "koffi";
import { assert } from "../assert.js";
import type { AlignedBuffer } from "./aligned-buffer.js";
import { EAGAIN, EBUSY, EINTR, ENOMEM } from "./errno.js";
import { openLiburingDriver } from "./liburing-driver.js";
import type { RingDriver, RingRefusal } from "./ring-driver.js";
import {
  IORING_FSYNC_DATASYNC,
  IORING_OP_FALLOCATE,
  IORING_OP_FSYNC,
  IORING_OP_NOP,
  IORING_OP_READ,
  IORING_OP_WRITE,
  IORING_SQ_CQ_OVERFLOW,
  RWF_DSYNC,
  SQE_BYTES,
} from "./ring-layout.js";
import { openSyscallDriver } from "./syscall-driver.js";

/** Told once how an operation ended: the kernel's result, bytes or 0, or a negative errno. Reused by hot callers. */
export interface Completion {
  complete(result: number): void;
}

interface Operation {
  readonly opcode: number;
  readonly fd: number;
  readonly addressLow: number;
  readonly addressHigh: number;
  readonly length: number;
  readonly fileOffset: number;
  readonly flags: number;
  readonly completion: Completion;
}

/** Entries that a driver must be set up with. */
export const ENTRY_COUNT = 128;
const BACKLOG_MAX = 4096;
const RETRY_DELAY_MS = 1;
const TWO_TO_32 = 0x1_0000_0000;
const SQE_WORDS = SQE_BYTES / 4;

export class Ring {
  readonly inFlightMax: number = ENTRY_COUNT;
  readonly backlogMax: number = BACKLOG_MAX;
  readonly #driver: RingDriver;
  readonly #completions: (Completion | null)[] = new Array<Completion | null>(ENTRY_COUNT).fill(null);
  readonly #freeSlots: Uint32Array = Uint32Array.from({ length: ENTRY_COUNT }, (_, slot) => slot);
  #freeSlotCount = ENTRY_COUNT;
  readonly #reapedSlots = new Uint32Array(ENTRY_COUNT);
  readonly #reapedResults = new Int32Array(ENTRY_COUNT);
  readonly #backlog: Operation[] = [];
  #sqTail = 0;
  #unsubmittedCount = 0;
  #retryTimer: NodeJS.Timeout | null = null;
  #poll: ReturnType<typeof koffi.node.poll> | null;
  #status: "open" | "broken" | "closed" = "open";
  /** Why the ring is broken, a negative errno. */
  #brokenBy = 0;
  #isTelling = false;

  /** Opens a ring through liburing where it is installed, else, or when asked, through the system calls. */
  static open(driverName: "liburing" | "syscall"): Ring | RingRefusal {
    const driver = driverName === "liburing" ? openLiburingDriver(ENTRY_COUNT) : openSyscallDriver(ENTRY_COUNT);
    return "errno" in driver ? driver : Ring.over(driver);
  }

  /** A ring over a driver that was set up with `ENTRY_COUNT` entries. */
  static over(driver: RingDriver): Ring {
    return new Ring(driver);
  }

  private constructor(driver: RingDriver) {
    this.#driver = driver;
    // The handle must be kept: when it is collected, the poll ends.
    this.#poll = koffi.node.poll(driver.fd, { readable: true, writable: false, disconnect: false }, () => this.reap());
    this.#poll.unref();
  }

  get driver(): "liburing" | "syscall" {
    return this.#driver.name;
  }

  get isBroken(): boolean {
    return this.#status === "broken";
  }

  /** Operations started and not completed. */
  get inFlightCount(): number {
    return ENTRY_COUNT - this.#freeSlotCount + this.#backlog.length;
  }

  write(
    fd: number,
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    durable: boolean,
    completion: Completion,
  ): void {
    assert(bufferOffset + length <= buffer.byteLength, "write lies inside its buffer");
    const flags = durable ? RWF_DSYNC : 0;
    this.#add(IORING_OP_WRITE, fd, buffer, bufferOffset, length, fileOffset, flags, completion);
  }

  read(
    fd: number,
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    completion: Completion,
  ): void {
    assert(bufferOffset + length <= buffer.byteLength, "read lies inside its buffer");
    this.#add(IORING_OP_READ, fd, buffer, bufferOffset, length, fileOffset, 0, completion);
  }

  /** fdatasync(2) of the file. */
  dataSync(fd: number, completion: Completion): void {
    this.#add(IORING_OP_FSYNC, fd, null, 0, 0, 0, IORING_FSYNC_DATASYNC, completion);
  }

  /** fallocate(2) with mode 0: reserves the blocks and sets the size. */
  allocate(fd: number, byteLength: number, completion: Completion): void {
    // The length travels in the address field, linux/io_uring.h.
    this.#start(
      IORING_OP_FALLOCATE,
      fd,
      byteLength % TWO_TO_32,
      Math.floor(byteLength / TWO_TO_32),
      0,
      0,
      0,
      completion,
    );
  }

  nop(completion: Completion): void {
    this.#add(IORING_OP_NOP, -1, null, 0, 0, 0, 0, completion);
  }

  #add(
    opcode: number,
    fd: number,
    buffer: AlignedBuffer | null,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    flags: number,
    completion: Completion,
  ): void {
    let addressLow = 0;
    let addressHigh = 0;
    if (buffer !== null) {
      const low = buffer.addressLow + bufferOffset;
      addressLow = low % TWO_TO_32;
      addressHigh = buffer.addressHigh + (low >= TWO_TO_32 ? 1 : 0);
    }
    this.#start(opcode, fd, addressLow, addressHigh, length, fileOffset, flags, completion);
  }

  #start(
    opcode: number,
    fd: number,
    addressLow: number,
    addressHigh: number,
    length: number,
    fileOffset: number,
    flags: number,
    completion: Completion,
  ): void {
    assert(this.#status !== "closed", "operation on a closed ring");
    if (this.#status === "broken") {
      queueMicrotask(() => completion.complete(this.#brokenBy));
    } else if (this.#freeSlotCount === 0 || this.#backlog.length > 0) {
      // Also behind a backlog while there are free slots: those belong to the operations that wait already.
      assert(this.#backlog.length < BACKLOG_MAX, "the ring's users bound what they start");
      this.#backlog.push({ opcode, fd, addressLow, addressHigh, length, fileOffset, flags, completion });
    } else {
      this.#fill(opcode, fd, addressLow, addressHigh, length, fileOffset, flags, completion);
    }
  }

  #fill(
    opcode: number,
    fd: number,
    addressLow: number,
    addressHigh: number,
    length: number,
    fileOffset: number,
    flags: number,
    completion: Completion,
  ): void {
    if (this.#freeSlotCount === ENTRY_COUNT) this.#poll?.ref();
    const slot = this.#freeSlots[--this.#freeSlotCount] as number;
    this.#completions[slot] = completion;

    // struct io_uring_sqe, in 32-bit words. There is always room: no more slots than entries.
    const { entries, mask } = this.#driver.submission;
    const at = (this.#sqTail & mask) * SQE_WORDS;
    entries.fill(0, at, at + SQE_WORDS);
    entries[at] = opcode;
    entries[at + 1] = fd >>> 0;
    entries[at + 2] = fileOffset % TWO_TO_32;
    entries[at + 3] = Math.floor(fileOffset / TWO_TO_32);
    entries[at + 4] = addressLow;
    entries[at + 5] = addressHigh;
    entries[at + 6] = length;
    entries[at + 7] = flags;
    entries[at + 8] = slot;
    this.#sqTail = (this.#sqTail + 1) >>> 0;
    this.#unsubmittedCount++;
  }

  /** Hands what was filled in to the kernel, without waiting. */
  submit(): void {
    if (this.#unsubmittedCount > 0) this.#enter(0);
  }

  /** Submits, then holds the thread until at least one operation has completed. Only for measuring what the loop costs. */
  waitBlocking(): void {
    this.#enter(1);
    this.reap();
  }

  /** Tells of completions now. The call into the kernel is what makes it post them (IORING_SETUP_COOP_TASKRUN). */
  collect(): void {
    if (this.#status !== "open" || this.inFlightCount === 0) return;
    this.#driver.flushOverflow();
    this.reap();
  }

  #enter(waitCount: number): void {
    if (this.#status === "broken") return;
    this.#driver.publish(this.#sqTail);
    const result = this.#driver.enter(this.#unsubmittedCount, waitCount);
    if (result >= 0) {
      this.#unsubmittedCount -= Math.min(result, this.#unsubmittedCount);
      if (this.#unsubmittedCount > 0) this.#retryLater();
    } else if (result === -EINTR || result === -EAGAIN || result === -EBUSY || result === -ENOMEM) {
      this.#retryLater();
    } else {
      this.#break(result);
    }
  }

  #retryLater(): void {
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = null;
      if (this.#status === "open") this.submit();
    }, RETRY_DELAY_MS);
  }

  /** The kernel no longer takes entries: everything in flight ends with that errno. Its outcome is not known. */
  #break(errno: number): void {
    this.#status = "broken";
    this.#brokenBy = errno;
    this.#poll?.stop();
    this.#poll?.unref();
    const waiting = this.#completions.filter((completion) => completion !== null);
    waiting.push(...this.#backlog.splice(0).map((operation) => operation.completion));
    this.#completions.fill(null);
    this.#freeSlotCount = ENTRY_COUNT;
    for (const completion of waiting) queueMicrotask(() => completion.complete(errno));
  }

  /** Takes every completion out of the ring, then tells their owners. */
  reap(): void {
    if (this.#status !== "open" || this.#isTelling) return;
    const { head, tail, mask, entries } = this.#driver.completion;
    const { flags } = this.#driver.submission;
    if ((Atomics.load(flags, 0) & IORING_SQ_CQ_OVERFLOW) !== 0) this.#driver.flushOverflow();
    let position = head[0] as number;
    const end = Atomics.load(tail, 0);
    let count = 0;
    while (position !== end) {
      const at = (position & mask) * 4;
      this.#reapedSlots[count] = entries[at] as number;
      this.#reapedResults[count] = entries[at + 2] as number;
      count++;
      position = (position + 1) >>> 0;
    }
    Atomics.store(head, 0, position);

    this.#isTelling = true;
    for (let index = 0; index < count && !this.#hasEnded(); index++) this.#finish(index);
    this.#isTelling = false;
    if (this.#hasEnded()) return;
    this.#startBacklog();
    if (this.#freeSlotCount === ENTRY_COUNT) this.#poll?.unref();
  }

  /** Who was told of a completion can have broken the ring by what it submitted; then all others were told as well. */
  #hasEnded(): boolean {
    return this.#status !== "open";
  }

  #finish(index: number): void {
    const slot = this.#reapedSlots[index] as number;
    const completion = this.#completions[slot];
    assert(completion !== null && completion !== undefined, `completion for idle slot ${slot}`);
    this.#completions[slot] = null;
    this.#freeSlots[this.#freeSlotCount++] = slot;
    try {
      completion.complete(this.#reapedResults[index] as number);
    } catch (error) {
      // The others must be told all the same; and whoever asked for completions did not make this error.
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #startBacklog(): void {
    if (this.#backlog.length === 0) return;
    for (const o of this.#backlog.splice(0, this.#freeSlotCount)) {
      this.#fill(o.opcode, o.fd, o.addressLow, o.addressHigh, o.length, o.fileOffset, o.flags, o.completion);
    }
    this.submit();
  }

  /** Ends the ring. Nothing may be in flight: the owner drains first. */
  close(): void {
    if (this.#status === "closed") return;
    assert(this.#status === "broken" || this.inFlightCount === 0, "ring closed with operations in flight");
    this.#status = "closed";
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#poll?.close();
    this.#poll = null;
    this.#driver.close();
  }
}
