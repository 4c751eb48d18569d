/**
 * How this writer shares the heads of streams with the others: through the head table, under a lock for each head.
 *
 * - A version that another writer has claimed and that is not visible yet is never answered from: it may be lost with its batch. Who needs
 *   it marks the head as wanted and waits.
 * - The owner of a wanted head goes on with it in the batch that it has claimed it in, and in no later one: it lets the other pass
 *   first, but for 10 ms at most, because the other may be gone.
 * - A claim that is refused is taken back before anything later of this writer can become durable.
 */

import type { Wal } from "../wal/index.js";
import type { StreamHead } from "./stream-index.js";

/** In the place of a version: there is none to judge by now. `obstacle` says why. */
export const BLOCKED: number = -1;
/** What a head with nobody waiting for it has in the place of a slot. */
const NOBODY = -1;
const YIELD_MS_MAX = 10;
const RETRY_MS = 1;
/** Each is a bounded wait; others hold a head's lock for about a microsecond. */
const LOCK_TRIES_MAX = 100;

/** What stands in the way of an append. */
export type Obstacle =
  /** Another writer's claim that is not visible yet. */
  | { readonly kind: "claimed"; readonly slot: number; readonly generation: number; readonly epoch: number }
  /** This writer's own batch, before another writer may pass. */
  | { readonly kind: "ownBatch" }
  /** Another writer, which may pass now. */
  | { readonly kind: "yielding" }
  /** Somebody holds the lock of a head, or that of making new ones. */
  | { readonly kind: "locked" };

export const LOCKED: Obstacle = { kind: "locked" };
const OWN_BATCH: Obstacle = { kind: "ownBatch" };
const YIELDING: Obstacle = { kind: "yielding" };

export class HeadClaims {
  readonly #wal: Wal;
  readonly #heads: Wal["heads"];
  readonly #slot: number;
  readonly #generation: number;
  #obstacle: Obstacle = LOCKED;

  constructor(wal: Wal) {
    this.#wal = wal;
    this.#heads = wal.heads;
    this.#slot = wal.slot;
    this.#generation = wal.generation;
  }

  /** Whether the stream has an entry in the table. */
  find(head: StreamHead): boolean {
    if (head.entry < 0) head.entry = this.#heads.find(Buffer.from(head.name));
    return head.entry >= 0;
  }

  /** Makes an entry for a stream that has none, with the version that it has in the sealed tier. False: somebody else makes one just now. */
  insert(head: StreamHead): boolean {
    head.entry = this.#heads.insert(Buffer.from(head.name), head.indexedVersion);
    return head.entry >= 0;
  }

  /** Whether nobody has the head's lock at this moment. */
  isFree(head: StreamHead): boolean {
    return this.#heads.isFree(head.entry);
  }

  lock(head: StreamHead): boolean {
    return this.#heads.tryLock(head.entry);
  }

  unlock(head: StreamHead): void {
    this.#heads.unlock(head.entry);
  }

  /** Locks them all, in an order that is the same for everybody, or none. */
  lockAll(heads: readonly StreamHead[]): boolean {
    const ordered = heads.length === 1 ? heads : [...heads].sort((a, b) => a.entry - b.entry);
    for (let index = 0; index < ordered.length; index++) {
      if (this.lock(ordered[index] as StreamHead)) continue;
      this.unlockAll(ordered.slice(0, index));
      return false;
    }
    return true;
  }

  unlockAll(heads: readonly StreamHead[]): void {
    for (const head of heads) this.unlock(head);
  }

  /** The version of a locked head, to judge an append by that would go into the batch `epoch`; or `BLOCKED`. */
  current(head: StreamHead, epoch: number): number {
    const heads = this.#heads;
    const { entry } = head;
    if (head.isClaimOwed) this.#tellClaim(head);
    const slot = heads.tentativeSlot(entry);
    let version: number;
    let isOwnPending = false;
    if (slot < 0) {
      version = heads.committedVersion(entry);
    } else if (slot === this.#slot && head.claimedEpoch > 0) {
      // Its own, as it knows without looking: whoever had the slot before is gone, and a claim of another would have replaced it.
      version = head.claimedVersion;
      if (head.claimedEpoch === epoch) return version;
      if (this.#wal.isCommitted(slot, this.#generation, head.claimedEpoch)) heads.raiseCommitted(entry, version);
      else isOwnPending = true;
    } else {
      const generation = heads.tentativeGeneration(entry);
      const claimedEpoch = heads.tentativeEpoch(entry);
      if (!this.#wal.isCommitted(slot, generation, claimedEpoch)) {
        this.#obstacle = { kind: "claimed", slot, generation, epoch: claimedEpoch };
        this.want(head);
        return BLOCKED;
      }
      version = heads.tentativeVersion(entry);
      heads.setCommitted(entry, version);
    }
    const wanted = heads.wantedBy(entry);
    if (wanted !== NOBODY && wanted !== this.#slot && !this.#hasYielded(head, isOwnPending)) return BLOCKED;
    if (head.yieldUntilMs !== 0) head.yieldUntilMs = 0;
    return version;
  }

  #hasYielded(head: StreamHead, isOwnPending: boolean): boolean {
    if (isOwnPending) {
      this.#obstacle = OWN_BATCH;
      return false;
    }
    const nowMs = performance.now();
    if (head.yieldUntilMs === 0) head.yieldUntilMs = nowMs + YIELD_MS_MAX;
    if (nowMs < head.yieldUntilMs) {
      this.#obstacle = YIELDING;
      return false;
    }
    this.#heads.setWanted(head.entry, NOBODY);
    return true;
  }

  /** Why `current` was `BLOCKED` just now. */
  get obstacle(): Obstacle {
    return this.#obstacle;
  }

  /**
   * Claims the next version of a stream that this writer was the last to claim, for the batch `epoch`. False, with nothing changed: it was
   * not, or the head cannot be had at once. `wasFree`: what `isFree` said a moment ago.
   */
  extend(head: StreamHead, epoch: number, wasFree: boolean): boolean {
    const { entry, claimedVersion, claimedEpoch } = head;
    if (claimedEpoch === epoch) {
      this.#heads.raiseTentative(entry, claimedVersion + 1);
      head.claimedVersion = claimedVersion + 1;
      return true;
    }
    if (!wasFree) return false;
    const isVisible = this.#wal.isCommitted(this.#slot, this.#generation, claimedEpoch);
    if (!this.#heads.extend(entry, claimedVersion, claimedVersion + 1, epoch, isVisible)) return false;
    head.claimedVersion = claimedVersion + 1;
    head.claimedEpoch = epoch;
    return true;
  }

  /** Marks a locked head as wanted by this writer, unless another waits already. */
  want(head: StreamHead): void {
    if (this.#heads.wantedBy(head.entry) === NOBODY) this.#heads.setWanted(head.entry, this.#slot);
  }

  /** This writer has had its turn with a locked head, whether it took it or not. */
  endTurn(head: StreamHead): void {
    if (this.#heads.wantedBy(head.entry) === this.#slot) this.#heads.setWanted(head.entry, NOBODY);
  }

  /**
   * Resolves when it is worth to look again.
   *
   * @throws StoreError `ERR_WAL_BUSY` when the other writer is alive but does not go on
   */
  async passed(obstacle: Obstacle): Promise<void> {
    if (obstacle.kind === "claimed") {
      const { slot, generation, epoch } = obstacle;
      await this.#wal.whenChanged(slot, generation, epoch);
    } else if (obstacle.kind === "ownBatch") {
      await this.#wal.flush();
    } else {
      await this.#wal.pause();
    }
  }

  /** Claims a locked head up to `version`, whose events lie in the batch `epoch`. */
  claim(head: StreamHead, version: number, epoch: number): void {
    this.#heads.setTentative(head.entry, version, epoch);
    head.claimedVersion = version;
    head.claimedEpoch = epoch;
    this.endTurn(head);
  }

  /** The versions above `version` were refused; that one lies in the batch `epoch`, or is visible when `epoch` is 0. */
  takeBack(head: StreamHead, version: number, epoch: number): void {
    head.claimedVersion = version;
    head.claimedEpoch = epoch;
    head.isClaimOwed = true;
    head.forgetIdsAbove(version);
    this.#settleClaim(head);
  }

  /** Nobody else changes a head with a claim that is not visible, so it is enough to get the lock, whenever that is. */
  #settleClaim(head: StreamHead): void {
    if (!head.isClaimOwed || this.#wal.status === "closed" || this.#wal.status === "failed") return;
    if (!this.#lockPatiently(head.entry)) {
      setTimeout(() => this.#settleClaim(head), RETRY_MS);
      return;
    }
    try {
      this.#tellClaim(head);
    } finally {
      this.unlock(head);
    }
  }

  #tellClaim(head: StreamHead): void {
    if (head.claimedEpoch === 0) this.#heads.setCommitted(head.entry, head.claimedVersion);
    else this.#heads.setTentative(head.entry, head.claimedVersion, head.claimedEpoch);
    head.isClaimOwed = false;
  }

  #lockPatiently(entry: number): boolean {
    for (let tries = 0; tries < LOCK_TRIES_MAX; tries++) if (this.#heads.tryLock(entry)) return true;
    return false;
  }

  /**
   * The stream is visible up to `version`, with which the batch `epoch` ended; a later batch has gone on with it, so that only the table's
   * committed version can tell. Where the lock cannot be had, the next batch tells.
   */
  noteVisible(head: StreamHead, version: number, epoch: number): void {
    if (version > head.visibleClaim) head.visibleClaim = version;
    if (head.claimedEpoch === epoch || !this.#heads.tryLock(head.entry)) return;
    try {
      if (this.#heads.committedVersion(head.entry) < version && this.#heads.tentativeVersion(head.entry) > version) {
        this.#heads.raiseCommitted(head.entry, version);
      }
    } finally {
      this.unlock(head);
    }
  }

  /**
   * The version that the stream has for readers, whoever wrote it. `head` is undefined for a stream that this process knows nothing of. Null:
   * nobody has written to it since the log was recovered, so that it has the version with which it is sealed. `LOCKED`: ask again.
   */
  visibleVersion(stream: string, head: StreamHead | undefined): number | null | typeof LOCKED {
    const known = head === undefined ? 0 : Math.max(head.indexedVersion, head.visibleClaim);
    const heads = this.#heads;
    const entry = head !== undefined && head.entry >= 0 ? head.entry : heads.find(Buffer.from(stream));
    if (entry < 0) return null;
    if (!this.#lockPatiently(entry)) return LOCKED;
    try {
      if (head?.isClaimOwed === true) this.#tellClaim(head);
      const claimed = heads.tentativeVersion(entry);
      const isVisible =
        claimed > 0 &&
        this.#wal.isCommitted(
          heads.tentativeSlot(entry),
          heads.tentativeGeneration(entry),
          heads.tentativeEpoch(entry),
        );
      return Math.max(known, isVisible ? claimed : heads.committedVersion(entry));
    } finally {
      heads.unlock(entry);
    }
  }
}
