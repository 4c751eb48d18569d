/**
 * The other writers of a store, as one of them sees them: hears of their progress, waits for what they hold, and takes over the dead.
 */

import { StoreError } from "../errors.js";
import type { BlockIo } from "../ffi/index.js";
import type { AttachLock } from "./attach-lock.js";
import type { ControlFile } from "./control-file.js";
import type { HeadTable } from "./head-table.js";
import { OwnerLock } from "./owner-lock.js";
import { ProgressWatch } from "./progress-watch.js";
import type { KeyOf } from "./record-key.js";
import { type TakeoverReport, takeOver } from "./takeover.js";
import { asStoreError } from "./write-failure.js";

export interface CompanyPlace {
  readonly directory: string;
  readonly storeId: Uint8Array;
  readonly io: BlockIo;
  readonly control: ControlFile;
  readonly heads: HeadTable;
  readonly slot: number;
  readonly keyOf: KeyOf;
  readonly busyWaitMs: number;
  readonly onWaiting: (path: string) => void;
}

/** What the writer among the others does itself. */
export interface CompanyCallbacks {
  /** Looks how far W has come. */
  readonly progress: () => void;
  readonly isCommitted: (core: number, generation: number, epoch: number) => boolean;
  readonly hasListeners: () => boolean;
  /** Whether its batches wait for what only others can do. */
  readonly waitsForOthers: () => boolean;
  readonly takeAttachLock: () => Promise<AttachLock | null>;
  /** A dead writer could not be taken over: nobody can go on. */
  readonly fail: (error: StoreError) => void;
}

/** Somebody who waits until a batch of another core is committed. */
interface BatchWaiter {
  readonly core: number;
  readonly generation: number;
  readonly epoch: number;
  readonly deadlineMs: number;
  readonly resolve: () => void;
  readonly reject: (error: StoreError) => void;
}

export class Company {
  readonly #place: CompanyPlace;
  readonly #callbacks: CompanyCallbacks;
  readonly #watch: ProgressWatch;
  readonly #waiters = new Set<BatchWaiter>();
  readonly #takeovers: TakeoverReport[] = [];
  #takingOver: Promise<void> | null = null;
  #status: "open" | "closed" = "open";

  constructor(place: CompanyPlace, callbacks: CompanyCallbacks) {
    this.#place = place;
    this.#callbacks = callbacks;
    this.#watch = new ProgressWatch(place.io, place.control, place.slot, {
      onNews: () => {
        callbacks.progress();
        this.wakeCommitted();
      },
      onStall: () => this.#stalled(),
      hasListeners: callbacks.hasListeners,
      hasWaiters: () => callbacks.waitsForOthers() || this.#waiters.size > 0,
    });
  }

  /** Dead writers that this one took over. */
  get takeovers(): readonly TakeoverReport[] {
    return this.#takeovers;
  }

  /** Somebody has begun to listen or to wait. */
  watch(): void {
    this.#watch.arm();
  }

  /** This writer has done something that others may wait for. */
  tell(): void {
    this.#watch.tellOthers();
  }

  /**
   * Resolves when the batch is committed, or it is worth a look whether it was taken back.
   *
   * @throws StoreError `ERR_WAL_BUSY` when the caller has waited for `busyWaitMs` since `sinceMs`, of `performance.now`
   */
  whenChanged(core: number, generation: number, epoch: number, sinceMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const deadlineMs = sinceMs + this.#place.busyWaitMs;
      this.#waiters.add({ core, generation, epoch, deadlineMs, resolve, reject });
      this.#watch.arm();
    });
  }

  /** Tells those whose batch is committed, and all when it is over. */
  wakeCommitted(): void {
    for (const waiter of this.#waiters) {
      const { core, generation, epoch } = waiter;
      if (this.#status === "open" && !this.#callbacks.isCommitted(core, generation, epoch)) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  /** Others hold something up: the dead are taken over, and who has waited for the living long enough is told. */
  #stalled(): void {
    const now = performance.now();
    const { busyWaitMs } = this.#place;
    for (const { core, deadlineMs, resolve, reject } of this.#waiters) {
      if (deadlineMs > now) {
        resolve();
      } else {
        const message = `core ${core} is alive and has not committed a batch for ${busyWaitMs} ms`;
        reject(new StoreError("ERR_WAL_BUSY", message, { core, waitMs: busyWaitMs }));
      }
    }
    this.#waiters.clear();
    this.#takingOver ??= this.#takeOverDead().then(
      () => {
        this.#takingOver = null;
        if (this.#status === "closed") return;
        this.#callbacks.progress();
        this.wakeCommitted();
        this.#watch.arm();
      },
      (error: unknown) => this.#callbacks.fail(asStoreError(error)),
    );
  }

  #dead(): OwnerLock[] {
    const { control, directory, slot } = this.#place;
    const dead: OwnerLock[] = [];
    for (let core = 0; core < control.attachedCount; core++) {
      if (core === slot || !control.isLive(core)) continue;
      const owner = OwnerLock.tryTake(directory, core);
      if (owner !== null) dead.push(owner);
    }
    return dead;
  }

  async #takeOverDead(): Promise<void> {
    const probes = this.#dead();
    if (probes.length === 0) return;
    // Taken again behind the attach lock, in the order that everybody keeps.
    for (const probe of probes) probe.release();
    const lock = await this.#callbacks.takeAttachLock();
    const owners = this.#dead(); // somebody else may have been faster
    try {
      const cores = owners.map(({ core }) => core);
      if (cores.length > 0) this.#takeovers.push(...(await takeOver(this.#place, cores)));
    } finally {
      for (const owner of owners) owner.release();
      lock?.release();
    }
  }

  /** Nobody is waited for any more; a takeover that has begun is ended. */
  async close(): Promise<void> {
    this.#status = "closed";
    this.#watch.close();
    this.wakeCommitted();
    await this.#takingOver;
  }
}
