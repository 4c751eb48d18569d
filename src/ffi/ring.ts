/**
 * One io_uring: fills submission entries and reaps completions through views of the memory shared with the kernel.
 *
 * - At most `inFlightMax` entries are with the kernel, which is no more than the completion ring holds, so that it never overflows; what
 *   comes above waits in a backlog of at most `backlogMax` operations.
 * - Completions are all taken out first and told afterwards, in the order in which the kernel posted them, one at a time: who is told
 *   may start operations and ask for more completions, but is never told of another one in the middle of it.
 * - The event loop learns of completions through `ring-wakeup.ts`. It keeps the process alive only while an operation is in flight;
 *   sleepers are not counted among them.
 * - A refused `enter` (EINTR, EAGAIN, EBUSY, ENOMEM) is repeated; entries stay where they are and are never queued again.
 *
 * A published write is a chain of linked entries: the write, the copying of the mailbox to the done word, and, where the kernel has it, the
 * waking of those who sleep on that word. The kernel breaks the chain where the write fails or is short, so that the word changes when
 * and only when all bytes are durable. The first two always post a completion each, and the owner is told when both are there: only then
 * may it change the mailbox. The third posts one only when it fails, which means nothing to anybody.
 */

import { isMainThread } from "node:worker_threads";
import { assert } from "../assert.js";
import type { AlignedBuffer } from "./aligned-buffer.js";
import { EAGAIN, EBUSY, EINTR, ENOMEM } from "./errno.js";
import { openLiburingDriver } from "./liburing-driver.js";
import { assertWord, type MappedFile } from "./mapped-file.js";
import { assertPublication, type Publication, publishHere } from "./publication.js";
import type { RingAbilities } from "./ring-abilities.js";
import { RingCompletions } from "./ring-completions.js";
import type { RingDriver, RingRefusal } from "./ring-driver.js";
import { IOSQE_CQE_SKIP_SUCCESS, IOSQE_IO_LINK } from "./ring-layout.js";
import { type Operation, RingSlots } from "./ring-slots.js";
import { pipeWakeup, pollWakeup, type RingWakeup, WAKEUP_ENTRY_COUNT, WAKEUP_SLOT } from "./ring-wakeup.js";
import * as sqe from "./sqe.js";
import { openSyscallDriver } from "./syscall-driver.js";

/** Told once how an operation ended: the kernel's result, bytes or 0, or a negative errno. Reused by hot callers. */
export interface Completion {
  complete(result: number): void;
}

/** Entries that a driver must be set up with. */
export const ENTRY_COUNT = 128;
const IN_FLIGHT_MAX = ENTRY_COUNT - WAKEUP_ENTRY_COUNT;
const BACKLOG_MAX = 4096;
const RETRY_DELAY_MS = 1;

export class Ring {
  readonly inFlightMax: number = IN_FLIGHT_MAX;
  readonly backlogMax: number = BACKLOG_MAX;
  readonly #driver: RingDriver;
  readonly #wakeup: RingWakeup;
  readonly #skipSuccess: number;
  readonly #slots = new RingSlots(IN_FLIGHT_MAX);
  readonly #completions: RingCompletions;
  readonly #backlog: Operation[] = [];
  #inFlightCount = 0;
  #sleeperCount = 0;
  #sqTail = 0;
  #unsubmittedCount = 0;
  #retryTimer: NodeJS.Timeout | null = null;
  #status: "open" | "broken" | "closed" = "open";
  /** Why the ring is broken, a negative errno. */
  #brokenBy = 0;
  #isTelling = false;

  /** Opens a ring through liburing where it is installed, else, or when asked, through the system calls. */
  static open(
    driverName: "liburing" | "syscall",
    wakeupName: "poll" | "pipe" = isMainThread ? "poll" : "pipe",
  ): Ring | RingRefusal {
    const driver = driverName === "liburing" ? openLiburingDriver(ENTRY_COUNT) : openSyscallDriver(ENTRY_COUNT);
    return "errno" in driver ? driver : Ring.over(driver, wakeupName);
  }

  /** A ring over a driver that was set up with `ENTRY_COUNT` entries; it closes the driver. */
  static over(driver: RingDriver, wakeupName: "poll" | "pipe" = "poll"): Ring {
    return new Ring(driver, wakeupName === "poll" ? pollWakeup : pipeWakeup);
  }

  private constructor(driver: RingDriver, openWakeup: typeof pipeWakeup) {
    this.#driver = driver;
    this.#completions = new RingCompletions(driver, IN_FLIGHT_MAX);
    this.#skipSuccess = driver.abilities.skipsSuccess ? IOSQE_CQE_SKIP_SUCCESS : 0;
    try {
      this.#wakeup = openWakeup(driver.fd, () => this.#wokenUp());
    } catch (error) {
      driver.close();
      throw error;
    }
  }

  get driver(): "liburing" | "syscall" {
    return this.#driver.name;
  }

  get abilities(): RingAbilities {
    return this.#driver.abilities;
  }

  get isBroken(): boolean {
    return this.#status === "broken";
  }

  /** Operations started and not completed, without sleepers. */
  get inFlightCount(): number {
    return this.#inFlightCount;
  }

  get sleeperCount(): number {
    return this.#sleeperCount;
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
    this.#start(sqe.writeEntry(fd, buffer, bufferOffset, length, fileOffset, durable), completion);
  }

  /** A durable write that the kernel publishes, see above. */
  writePublished(
    fd: number,
    buffer: AlignedBuffer,
    bufferOffset: number,
    length: number,
    fileOffset: number,
    publication: Publication,
    completion: Completion,
  ): void {
    assert(bufferOffset + length <= buffer.byteLength, "write lies inside its buffer");
    assertPublication(publication);
    this.#start(sqe.writeEntry(fd, buffer, bufferOffset, length, fileOffset, true), completion, publication);
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
    this.#start(sqe.readEntry(fd, buffer, bufferOffset, length, fileOffset), completion);
  }

  /** fdatasync(2) of the file. */
  dataSync(fd: number, completion: Completion): void {
    this.#start(sqe.dataSyncEntry(fd), completion);
  }

  /** fallocate(2) with mode 0: reserves the blocks and sets the size. */
  allocate(fd: number, byteLength: number, completion: Completion): void {
    this.#start(sqe.allocateEntry(fd, byteLength), completion);
  }

  nop(completion: Completion): void {
    this.#start(sqe.nopEntry(), completion);
  }

  /** Sleeps on a word of the file; only where `abilities.hasFutex`. */
  sleepOn(file: MappedFile, offset: number, expected: number, completion: Completion): void {
    assert(this.abilities.hasFutex, "a sleep on a ring that cannot sleep");
    assertWord(file, offset, 4);
    this.#start(sqe.futexWaitEntry(file, offset, expected), completion, null, true);
  }

  #start(entry: sqe.Entry, completion: Completion, publication: Publication | null = null, isSleep = false): void {
    assert(this.#status !== "closed", "operation on a closed ring");
    if (this.#status === "broken") {
      queueMicrotask(() => completion.complete(this.#brokenBy));
      return;
    }
    const entryCount = publication === null ? 1 : this.abilities.hasFutex ? 3 : 2;
    const operation = { entry, publication, isSleep, entryCount, completion };
    // Also behind a backlog while there is room: that belongs to the operations that wait already.
    if (this.#backlog.length > 0 || !this.#slots.hasRoomFor(operation)) {
      assert(this.#backlog.length < BACKLOG_MAX, "the ring's users bound what they start");
      this.#backlog.push(operation);
    } else {
      this.#place(operation);
    }
    if (isSleep) this.#sleeperCount++;
    else if (this.#inFlightCount++ === 0) this.#wakeup.hold(true);
  }

  #place(operation: Operation): void {
    const { entry, publication } = operation;
    const slot = this.#slots.put(operation);
    if (publication === null) {
      this.#fill(entry, 0, slot, sqe.PART_OPERATION);
      return;
    }
    const { hasFutex } = this.abilities;
    this.#fill(entry, IOSQE_IO_LINK, slot, sqe.PART_OPERATION);
    this.#fill(sqe.mailboxEntry(publication), hasFutex ? IOSQE_IO_LINK : 0, slot, sqe.PART_MAILBOX);
    if (!hasFutex) return;
    this.#fill(sqe.futexWakeEntry(publication.file, publication.doneOffset), this.#skipSuccess, slot, sqe.PART_NOBODY);
  }

  /** There is always room: no more entries in flight than the ring has. */
  #fill(entry: sqe.Entry, flags: number, slot: number, part: number): void {
    const { entries, mask } = this.#driver.submission;
    sqe.fillEntry(entries, this.#sqTail & mask, entry, flags, slot, part);
    this.#sqTail = (this.#sqTail + 1) >>> 0;
    this.#unsubmittedCount++;
  }

  /** Hands what was filled in to the kernel, without waiting. */
  submit(): void {
    if (this.#unsubmittedCount === 0 || this.#status !== "open") return;
    this.#armWakeup();
    this.#enter(0);
  }

  /** Submits, then holds the thread until at least one operation has completed. Only for measuring what the loop costs. */
  waitBlocking(): void {
    if (this.#status !== "open") return;
    this.#enter(1);
    this.reap();
  }

  /** Tells of completions now. */
  collect(): void {
    if (this.#inFlightCount > 0) this.reap();
  }

  #armWakeup(): void {
    if (this.#inFlightCount + this.#sleeperCount === 0) return;
    if (this.#unsubmittedCount + WAKEUP_ENTRY_COUNT > ENTRY_COUNT) return; // after the next repetition, then
    const entries = this.#wakeup.arm();
    for (let index = 0; index < entries.length; index++) {
      const link = index + 1 < entries.length ? IOSQE_IO_LINK : 0;
      this.#fill(entries[index] as sqe.Entry, this.#skipSuccess | link, WAKEUP_SLOT, sqe.PART_NOBODY);
    }
  }

  #wokenUp(): void {
    this.reap();
    if (this.#status !== "open") return;
    this.#armWakeup();
    this.submit();
  }

  #enter(waitCount: number): void {
    this.#driver.publish(this.#sqTail);
    const result = this.#driver.enter(this.#unsubmittedCount, waitCount);
    if (result >= 0) {
      this.#unsubmittedCount -= Math.min(result, this.#unsubmittedCount);
      if (this.#unsubmittedCount === 0) return;
      const { entries, mask } = this.#driver.submission;
      const head = (this.#sqTail - this.#unsubmittedCount) >>> 0;
      if (sqe.defuseCutChain(entries, mask, head, this.#sqTail)) this.#wakeup.disarm();
      this.#retryLater();
    } else if (result === -EINTR || result === -EAGAIN || result === -EBUSY || result === -ENOMEM) {
      this.#retryLater();
    } else {
      this.#break(result);
    }
  }

  #retryLater(): void {
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = null;
      this.submit();
      this.reap(); // what would have woken this thread may be among what was refused
    }, RETRY_DELAY_MS);
  }

  /** The kernel no longer takes entries: everything in flight ends with that errno. Its outcome is not known. */
  #break(errno: number): void {
    this.#status = "broken";
    this.#brokenBy = errno;
    this.#wakeup.close(false);
    const waiting = [...this.#slots.abandon(), ...this.#backlog.splice(0)];
    this.#inFlightCount = 0;
    this.#sleeperCount = 0;
    for (const { completion } of waiting) queueMicrotask(() => completion.complete(errno));
  }

  /** Takes every completion out of the ring, then tells their owners. */
  reap(): void {
    if (this.#status !== "open" || this.#isTelling) return;
    const count = this.#completions.take();
    this.#isTelling = true;
    for (let index = 0; index < count && !this.#hasEnded(); index++) this.#finish(index);
    this.#isTelling = false;
    if (this.#hasEnded()) return;
    this.#startBacklog();
    if (this.#inFlightCount === 0) this.#wakeup.hold(false);
  }

  /** Who was told of a completion can have broken the ring by what it submitted; then all others were told as well. */
  #hasEnded(): boolean {
    return this.#status !== "open";
  }

  #finish(index: number): void {
    const { slots, parts, results } = this.#completions;
    const slot = slots[index] as number;
    if (!this.#slots.settle(slot, parts[index] as number, results[index] as number)) return;
    const result = this.#slots.resultOf(slot);
    const isUnpublished = this.#slots.isUnpublished(slot);
    const { publication, completion, isSleep } = this.#slots.release(slot);
    if (isUnpublished && publication !== null) publishHere(publication);
    if (isSleep) this.#sleeperCount--;
    else this.#inFlightCount--;
    try {
      completion.complete(result);
    } catch (error) {
      // The others must be told all the same; and whoever asked for completions did not make this error.
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #startBacklog(): void {
    if (this.#backlog.length === 0) return;
    let count = 0;
    for (const operation of this.#backlog) {
      if (!this.#slots.hasRoomFor(operation)) break;
      this.#place(operation);
      count++;
    }
    this.#backlog.splice(0, count);
    this.submit();
  }

  /** Ends those who sleep with −ECANCELED; they are told later. To be repeated until `sleeperCount` is 0. */
  cancelSleeps(): void {
    for (const slot of this.#slots.sleepingSlots()) {
      if (this.#unsubmittedCount === IN_FLIGHT_MAX) break;
      this.#fill(sqe.cancelEntry(slot, sqe.PART_OPERATION), this.#skipSuccess, slot, sqe.PART_NOBODY);
    }
    this.submit();
  }

  /** Ends the ring. Nothing may be in flight: the owner drains first. */
  close(): void {
    if (this.#status === "closed") return;
    assert(this.#inFlightCount + this.#sleeperCount === 0, "ring closed with operations in flight");
    const isCancelled = this.#status === "open" && this.#cancelWakeup();
    if (this.#status === "open") this.#wakeup.close(isCancelled);
    this.#status = "closed";
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#driver.close();
  }

  /** Whether nothing of the wake-up is with the kernel any more. */
  #cancelWakeup(): boolean {
    const cancel = this.#wakeup.cancel();
    if (cancel === null) return true;
    this.#fill(cancel, this.#skipSuccess, WAKEUP_SLOT, sqe.PART_NOBODY);
    this.#enter(0);
    return this.#unsubmittedCount === 0;
  }
}
