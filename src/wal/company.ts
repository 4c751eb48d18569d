/**
 * The other writers of a store, as one of them sees them: hears of their progress, waits for what they hold, and takes over the dead.
 */

import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../errors.js";
import type { BlockIo } from "../ffi/index.js";
import type { AttachLock } from "./attach-lock.js";
import type { ControlFile } from "./control-file.js";
import type { HeadTable } from "./head-table.js";
import { OwnerLock } from "./owner-lock.js";
import { ProgressWatch } from "./progress-watch.js";
import type { KeyOf } from "./record-key.js";
import { isWorthTelling, type TakeoverReport, takeOver } from "./takeover.js";
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
  readonly sinceMs: number;
  readonly resolve: () => void;
  readonly reject: (error: StoreError) => void;
}

const PAUSE_MS = 1;

function keyOfBatch(core: number, generation: number, epoch: number): string {
  return `${core} ${generation} ${epoch}`;
}

export class Company {
  readonly #place: CompanyPlace;
  readonly #callbacks: CompanyCallbacks;
  readonly #watch: ProgressWatch;
  readonly #waiters = new Set<BatchWaiter>();
  /** Since when somebody waits for a batch, for those who were told to look and wait again. */
  #waitedSinceMs = new Map<string, number>();
  #pauseCount = 0;
  readonly #takeovers: TakeoverReport[] = [];
  /** The last takeover of those whose kept frames W has to pass before another one can end it. */
  readonly #unended = new Map<number, TakeoverReport>();
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
      hasWaiters: () =>
        callbacks.waitsForOthers() || this.#waiters.size > 0 || this.#pauseCount > 0 || this.#unended.size > 0,
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
   * @throws StoreError `ERR_WAL_BUSY` when it was waited for again and again, for `busyWaitMs` in all
   */
  whenChanged(core: number, generation: number, epoch: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const sinceMs = this.#waitedSinceMs.get(keyOfBatch(core, generation, epoch)) ?? performance.now();
      this.#waiters.add({ core, generation, epoch, sinceMs, resolve, reject });
      this.#watch.arm();
    });
  }

  /** A moment for somebody who holds a lock in shared memory; when moments follow each other for long, the dead are looked for. */
  async pause(): Promise<void> {
    this.#pauseCount++;
    this.#watch.arm();
    await delay(PAUSE_MS);
    this.#pauseCount--;
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
    this.#waitedSinceMs = new Map();
    for (const { core, generation, epoch, sinceMs, resolve, reject } of this.#waiters) {
      if (now - sinceMs < busyWaitMs) {
        this.#waitedSinceMs.set(keyOfBatch(core, generation, epoch), sinceMs);
        resolve();
      } else {
        const message = `a batch of core ${core} has not been committed for ${busyWaitMs} ms`;
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
    const watermark = control.lanes.watermark();
    const cores = Array.from({ length: control.attachedCount }, (_, core) => core);
    return OwnerLock.takeFree(
      directory,
      cores.filter((core) => core !== slot && control.isLive(core) && !this.#isToBePassed(core, watermark)),
    );
  }

  /** Nothing can be done for it until W has come further: its frames need not be read again and again. */
  #isToBePassed(core: number, watermark: number): boolean {
    const last = this.#unended.get(core);
    return last?.generation === this.#place.control.generationOf(core) && last.keptLsn > watermark;
  }

  #noteTakeovers(reports: readonly TakeoverReport[]): void {
    this.#takeovers.push(...reports.filter(isWorthTelling));
    for (const report of reports) if (!report.isEnded) this.#unended.set(report.core, report);
  }

  /** Those that somebody has ended. */
  #forgetEnded(): void {
    const { control } = this.#place;
    for (const [core, { generation }] of this.#unended)
      if (!control.isLive(core) || control.generationOf(core) !== generation) this.#unended.delete(core);
  }

  async #takeOverDead(): Promise<void> {
    this.#forgetEnded();
    const probes = this.#dead();
    if (probes.length === 0) return;
    // Taken again behind the attach lock, in the order that everybody keeps.
    for (const probe of probes) probe.release();
    const lock = await this.#callbacks.takeAttachLock();
    let owners: OwnerLock[] = [];
    try {
      owners = this.#dead(); // somebody else may have been faster
      const cores = owners.map(({ core }) => core);
      if (cores.length > 0) this.#noteTakeovers(await takeOver(this.#place, cores));
      this.#forgetEnded();
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
