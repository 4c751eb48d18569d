/**
 * Hears of what others do: sleeps on the word that will change next, without polling.
 *
 * While another core's batch holds W back it is that batch's done word, which the kernel stores and wakes; while nothing is pending it is
 * the turn, which rises with every range of LSNs taken. Only while an append waits for others does a timer look whether they are still
 * alive: a dead one would hold W, or a lock, for ever.
 */

import type { BlockIo, Completion } from "../ffi/index.js";
import type { ControlFile } from "./control-file.js";

const ALIVE_CHECK_MS = 25;

export interface WatchCallbacks {
  /** Something may have moved. */
  readonly onNews: () => void;
  /** Appends have waited for others for a while. */
  readonly onStall: () => void;
  /** Whether anybody wants to hear of what others do. */
  readonly hasListeners: () => boolean;
  /** Whether an append waits for what only others can do. */
  readonly hasWaiters: () => boolean;
}

export class ProgressWatch implements Completion {
  readonly #io: BlockIo;
  readonly #control: ControlFile;
  /** −1 for a reader without a slot. */
  readonly #slot: number;
  readonly #callbacks: WatchCallbacks;
  #isAsleep = false;
  #sleepsOnTurn = false;
  #stallTimer: NodeJS.Timeout | null = null;
  #status: "open" | "closed" = "open";

  constructor(io: BlockIo, control: ControlFile, slot: number, callbacks: WatchCallbacks) {
    this.#io = io;
    this.#control = control;
    this.#slot = slot;
    this.#callbacks = callbacks;
  }

  /** Call whenever somebody begins to wait or to listen. */
  arm(): void {
    if (this.#status === "closed") return;
    const hasWaiters = this.#callbacks.hasWaiters();
    if (hasWaiters) this.#stallTimer ??= setInterval(this.#stalled, ALIVE_CHECK_MS);
    if (this.#isAsleep || !(hasWaiters || this.#callbacks.hasListeners())) return;
    const control = this.#control;
    this.#setSleeping(true);
    const turn = control.turn;
    const watermark = control.lanes.watermark();
    const blocker = control.lanes.blockerOf(watermark, this.#slot);
    this.#isAsleep = true;
    this.#sleepsOnTurn = blocker === null;
    if (blocker === null) {
      this.#io.sleepOn(control.file, control.turnOffset, turn, this);
    } else {
      this.#setSleeping(false);
      this.#io.sleepOn(control.file, blocker.doneOffset, blocker.seen, this);
    }
    this.#io.submit();
  }

  /** What this thread does itself is news to others. */
  tellOthers(): void {
    if (this.#control.hasSleepers(this.#slot)) this.#io.wake(this.#control.file, this.#control.turnOffset);
  }

  complete(): void {
    if (this.#status === "closed") return; // the control file may be unmapped by now
    this.#isAsleep = false;
    if (this.#sleepsOnTurn) this.#setSleeping(false);
    this.#sleepsOnTurn = false;
    this.#callbacks.onNews();
    this.arm();
  }

  #setSleeping(isSleeping: boolean): void {
    if (this.#slot >= 0) this.#control.setSleeping(this.#slot, isSleeping);
    else this.#control.addSleepingReader(isSleeping ? 1 : -1);
  }

  readonly #stalled = (): void => {
    if (!this.#callbacks.hasWaiters()) {
      if (this.#stallTimer !== null) clearInterval(this.#stallTimer);
      this.#stallTimer = null;
      return;
    }
    this.#callbacks.onNews();
    if (this.#callbacks.hasWaiters()) this.#callbacks.onStall();
  };

  close(): void {
    this.#status = "closed";
    if (this.#stallTimer !== null) clearInterval(this.#stallTimer);
    this.#stallTimer = null;
    if (this.#isAsleep && this.#sleepsOnTurn) this.#setSleeping(false);
  }
}
