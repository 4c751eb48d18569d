/**
 * The heads of all streams, shared by threads and processes: an entry for each name, with its committed version and at most one tentative
 * version, which a writer has given to an append that is not committed yet.
 *
 * The table lies in mapped files, one for each level (`head-level.ts` has the format, and why death at any instruction leaves it whole). It
 * grows by another level; nothing ever moves, so an entry's number is good for as long as the table is. Looking up takes no lock. Inserting
 * takes the one insert lock; everything else of an entry is touched only under the entry's own lock.
 *
 * A lock is taken with a short, bounded spin: who holds one does a few stores and never waits, so somebody who holds it for longer is
 * stopped or dead, and the caller comes back later. Locks of the dead are broken by `settle` only.
 */

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { assert } from "../assert.js";
import { StoreError } from "../errors.js";
import {
  COMMITTED_DOUBLE,
  GENERATION_WORD,
  HeadLevel,
  hashName,
  INSERT_LOCK_WORD,
  LEVEL_0_PLACES,
  LEVEL_COUNT_MAX,
  LEVEL_COUNT_WORD,
  LOCK_WORD,
  levelOfEntry,
  NAME_BYTES_MAX,
  RECORD_A_DOUBLE,
  RECORD_B_DOUBLE,
  TENTATIVE_WORD,
  WANTED_WORD,
} from "./head-level.js";

const SLOT_COUNT_MAX = 64;
/** Looks at a lock that is held: about 2 µs (measured), some forty times what a holder needs. */
const SPIN_COUNT_MAX = 256;
/** In the word `tentative`. */
const OWNER_MASK = 0xff;
const IN_RECORD_B = 0x100;
const SMALL_INTEGER_MAX = 0x3fff_ffff;
const LEVEL_NAME = /^heads-\d+$/;

/** What the table has instead of a name, where that must not be read on the disk: 1 to 1,024 bytes, the same for the same name. */
export type NameVeil = (name: Uint8Array) => Uint8Array;

/** A writer: who attaches to a slot that was used before has a higher generation. */
export interface HeadOwner {
  readonly slot: number;
  readonly generation: number;
}

/** A version that was kept, in a batch of the dead writer that W has not passed yet: it can still be lost, and stays tentative. */
export interface KeptTentative {
  readonly version: number;
  readonly epoch: number;
}

/**
 * The stream's committed version once its dead writer is gone: the highest that was kept, `committedVersion` when nothing above it was. It can be asked for the
 * same entry again when the survivor dies too, or W has come further, with the answer as the committed or the tentative version.
 */
export type SettleDecision = (
  name: Buffer,
  committedVersion: number,
  tentativeVersion: number,
  epoch: number,
) => number | KeptTentative;

export class HeadTable {
  readonly #directory: string;
  readonly #generation: number;
  /** What my locks and tentatives say: slot + 1. */
  readonly #mark: number;
  readonly #root: HeadLevel;
  readonly #levels: HeadLevel[];

  readonly #veil: NameVeil | null;

  private constructor(directory: string, me: HeadOwner, root: HeadLevel, veil: NameVeil | null) {
    this.#veil = veil;
    this.#directory = directory;
    this.#generation = me.generation;
    this.#mark = me.slot + 1;
    this.#root = root;
    this.#levels = [root];
  }

  /**
   * Makes an empty table where there may be an old one. Only for the first opener, alone.
   *
   * @throws StoreError `ERR_WAL_FULL` when the disk has no room for it.
   */
  static create(directory: string, me: HeadOwner, veil: NameVeil | null = null): HeadTable {
    checkOwner(me);
    for (const name of readdirSync(directory)) if (LEVEL_NAME.test(name)) rmSync(join(directory, name));
    const root = HeadLevel.create(directory, 0);
    root.int32[LEVEL_COUNT_WORD] = 1;
    return new HeadTable(directory, me, root, veil);
  }

  /** @throws StoreError `ERR_WAL_VERSION` when the table there is of another format. */
  static attach(directory: string, me: HeadOwner, veil: NameVeil | null = null): HeadTable {
    checkOwner(me);
    return new HeadTable(directory, me, HeadLevel.open(directory, 0), veil);
  }

  /** A name as the table has it. */
  storedName(name: Uint8Array): Uint8Array {
    return this.#veil === null ? name : this.#veil(name);
  }

  /**
   * The entry of that name, or −1. Takes no lock.
   *
   * @throws StoreError `ERR_WAL_VERSION` when a level that somebody else has made is of another format.
   */
  find(name: Uint8Array): number {
    const stored = this.storedName(name);
    return this.#find(hashName(stored), stored);
  }

  /**
   * The entry of that name; when there is none yet, a new one with that committed version. −1 when somebody else is inserting: try later.
   *
   * @throws StoreError `ERR_WAL_FULL` when the disk has no room for another level; the table stays as it is.
   */
  insert(name: Uint8Array, committedVersion: number): number {
    assert(name.length > 0 && name.length <= NAME_BYTES_MAX, "a stream name of 1 to 1,024 bytes");
    assert(Number.isSafeInteger(committedVersion), "a version is a safe integer");
    const stored = this.storedName(name);
    const hash = hashName(stored);
    const known = this.#find(hash, stored);
    if (known !== -1) return known;
    if (!this.#tryLockWord(this.#root.int32, INSERT_LOCK_WORD)) return -1;
    try {
      return this.#insertLocked(hash, stored, committedVersion);
    } finally {
      Atomics.store(this.#root.int32, INSERT_LOCK_WORD, 0);
    }
  }

  /**
   * The highest version that is committed or claimed, without the lock: of a change that is made meanwhile it is either side. What somebody
   * changed before another lock was given back, that this writer has now, it tells for certain.
   */
  newestVersion(entry: number): number {
    const level = this.#levelOf(entry);
    const word = level.wordOf(entry);
    // A plain load: V8 makes a call of an atomic one, and a word does not tear.
    const tentative = level.int32[word + TENTATIVE_WORD] as number;
    const claimed = tentative === 0 ? 0 : (level.float64[recordOf(word, tentative)] as number);
    return Math.max(claimed, level.float64[(word >> 1) + COMMITTED_DOUBLE] as number);
  }

  /**
   * Whether nobody has the entry's lock at this moment. Asked some time before the lock is taken, it brings the entry into the cache while
   * the caller goes on with other things: an atomic operation would wait for it (measured: 80 ns).
   */
  isFree(entry: number): boolean {
    const level = this.#levelOf(entry);
    return level.int32[level.wordOf(entry) + LOCK_WORD] === 0;
  }

  /** False when another has it and did not give it back within about 2 µs: try later. */
  tryLock(entry: number): boolean {
    const level = this.#levelOf(entry);
    return this.#tryLockWord(level.int32, level.wordOf(entry) + LOCK_WORD);
  }

  unlock(entry: number): void {
    const level = this.#levelOf(entry);
    Atomics.store(level.int32, level.wordOf(entry) + LOCK_WORD, 0);
  }

  /** This and everything below, up to `settle`: only by who has the entry's lock. */
  committedVersion(entry: number): number {
    const level = this.#levelOf(entry);
    return versionOf(level.float64[(level.wordOf(entry) >> 1) + COMMITTED_DOUBLE] as number);
  }

  /** 0: there is no tentative version. */
  tentativeVersion(entry: number): number {
    const level = this.#levelOf(entry);
    const word = level.wordOf(entry);
    const tentative = level.int32[word + TENTATIVE_WORD] as number;
    return tentative === 0 ? 0 : versionOf(level.float64[recordOf(word, tentative)] as number);
  }

  /** The tentative version's owner; −1 when there is none. */
  tentativeSlot(entry: number): number {
    const level = this.#levelOf(entry);
    return ((level.int32[level.wordOf(entry) + TENTATIVE_WORD] as number) & OWNER_MASK) - 1;
  }

  /** Of the tentative version's owner; means nothing when there is none. */
  tentativeGeneration(entry: number): number {
    const level = this.#levelOf(entry);
    return level.int32[level.wordOf(entry) + GENERATION_WORD] as number;
  }

  /** The batch of the tentative version, in its owner's count; 0 when there is none. */
  tentativeEpoch(entry: number): number {
    const level = this.#levelOf(entry);
    const word = level.wordOf(entry);
    const tentative = level.int32[word + TENTATIVE_WORD] as number;
    return tentative === 0 ? 0 : (level.float64[recordOf(word, tentative) + 1] as number);
  }

  /** Says what is committed and that nothing is tentative. */
  setCommitted(entry: number, version: number): void {
    const level = this.#levelOf(entry);
    const word = level.wordOf(entry);
    level.float64[(word >> 1) + COMMITTED_DOUBLE] = version;
    Atomics.store(level.int32, word + TENTATIVE_WORD, 0);
  }

  /**
   * Says that at least this version is committed, and leaves the tentative one as it is. For a batch that was committed while a later one
   * of the same writer is tentative; without it, what takes over after that writer's death would have to search the log for this version.
   */
  raiseCommitted(entry: number, version: number): void {
    const level = this.#levelOf(entry);
    const double = (level.wordOf(entry) >> 1) + COMMITTED_DOUBLE;
    if (version > (level.float64[double] as number)) level.float64[double] = version;
  }

  /** Makes that version tentative, as mine, in place of an earlier one of mine if there is one. What is committed stays. */
  setTentative(entry: number, version: number, epoch: number): void {
    const level = this.#levelOf(entry);
    const word = level.wordOf(entry);
    const before = level.int32[word + TENTATIVE_WORD] as number;
    assert(before === 0 || (before & OWNER_MASK) === this.#mark, "the tentative version of another writer is replaced");
    const after = before === 0 ? this.#mark : before ^ IN_RECORD_B;
    const record = recordOf(word, after);
    level.float64[record] = version;
    level.float64[record + 1] = epoch;
    level.int32[word + GENERATION_WORD] = this.#generation;
    Atomics.store(level.int32, word + TENTATIVE_WORD, after);
  }

  /**
   * Raises my tentative version within its batch, which is not sealed yet. Without the lock: nobody else touches the tentative version of a
   * batch that is not committed, nor answers from it, and who settles for me after my death finds a batch that was never sealed.
   */
  raiseTentative(entry: number, version: number): void {
    const level = this.#levelOf(entry);
    const word = level.wordOf(entry);
    const tentative = level.int32[word + TENTATIVE_WORD] as number;
    assert((tentative & OWNER_MASK) === this.#mark, "the tentative version of another writer is raised");
    level.float64[recordOf(word, tentative)] = version;
  }

  /**
   * What a writer that is alone does for nearly every append, in one call (measured: 80 ns instead of 190 with lock, looks and unlock one by
   * one): puts `to`, in the batch `epoch`, in the place of my tentative version `from`. With `isCommitted` that one is committed.
   * False, with nothing changed: somebody has the lock, the tentative version is not mine, or another waits for it and `epoch` is later.
   */
  extend(entry: number, from: number, to: number, epoch: number, isCommitted: boolean): boolean {
    const level = this.#levelOf(entry);
    const { int32, float64 } = level;
    const word = level.wordOf(entry);
    const mark = this.#mark;
    if (Atomics.compareExchange(int32, word + LOCK_WORD, 0, mark) !== 0) return false;
    const before = int32[word + TENTATIVE_WORD] as number;
    const current = recordOf(word, before);
    const isWanted = int32[word + WANTED_WORD] !== 0;
    const isMine = (before & OWNER_MASK) === mark && float64[current] === from;
    const canExtend = isMine && (!isWanted || float64[current + 1] === epoch);
    if (canExtend) {
      const after = before ^ IN_RECORD_B;
      const record = recordOf(word, after);
      if (isCommitted) float64[(word >> 1) + COMMITTED_DOUBLE] = from;
      float64[record] = to;
      float64[record + 1] = epoch;
      // A survivor sees the stores of the dead in their order, and nobody else looks before the lock is free.
      int32[word + TENTATIVE_WORD] = after;
    }
    Atomics.store(int32, word + LOCK_WORD, 0);
    return canExtend;
  }

  /** The slot that waits for the entry, or −1. */
  wantedBy(entry: number): number {
    const level = this.#levelOf(entry);
    return (level.int32[level.wordOf(entry) + WANTED_WORD] as number) - 1;
  }

  /** −1: nobody waits. */
  setWanted(entry: number, slot: number): void {
    const level = this.#levelOf(entry);
    level.int32[level.wordOf(entry) + WANTED_WORD] = slot + 1;
  }

  /**
   * Ends what a dead writer had begun: breaks its locks, asks `decide` for each entry with a tentative version of it, stores the answer as
   * the committed version, clears the tentative or leaves what is answered instead, and forgets what it waited for. Only under the attach lock, after its frames were
   * judged for good. Doing it again changes nothing.
   *
   * @returns The slots of other writers that hold entries of the dead one, which therefore are not settled yet; when there is one, call
   *   again later (when that one is dead too, after its locks were broken). Empty: done.
   */
  settle(dead: HeadOwner, decide: SettleDecision): readonly number[] {
    // An insert that was begun has made nothing visible, and what it has touched is free to be used again.
    Atomics.compareExchange(this.#root.int32, INSERT_LOCK_WORD, dead.slot + 1, 0);
    this.#mapNewLevels();
    const holders = new Set<number>();
    for (const level of this.#levels) {
      const { firstEntry } = level;
      for (let entry = firstEntry; entry < firstEntry + level.entryCount; entry++) {
        if (!concerns(level, entry, dead)) continue;
        const lock = level.wordOf(entry) + LOCK_WORD;
        const isBroken = Atomics.compareExchange(level.int32, lock, dead.slot + 1, this.#mark) === dead.slot + 1;
        if (isBroken || this.tryLock(entry)) this.#settleLocked(level, entry, dead, decide);
        else holders.add(Atomics.load(level.int32, lock) - 1);
      }
    }
    return [...holders];
  }

  /** Unmaps the table. Nothing of it may be touched afterwards. */
  close(): void {
    for (const level of this.#levels.splice(0)) level.close();
  }

  #find(hash: number, name: Uint8Array): number {
    // The newest first: it holds, or will hold, half of all names.
    for (let level = this.#levels.length - 1; level >= 0; level--) {
      const entry = (this.#levels[level] as HeadLevel).find(hash, name);
      if (entry !== -1) return entry;
    }
    return this.#mapNewLevels() ? this.#find(hash, name) : -1;
  }

  #insertLocked(hash: number, name: Uint8Array, committedVersion: number): number {
    const meanwhile = this.#find(hash, name);
    if (meanwhile !== -1) return meanwhile;
    const entry = (this.#levels.at(-1) as HeadLevel).add(hash, name, committedVersion);
    return entry !== -1 ? entry : this.#grow().add(hash, name, committedVersion);
  }

  #grow(): HeadLevel {
    const levelCount = this.#levels.length;
    if (levelCount === LEVEL_COUNT_MAX) {
      throw new StoreError("ERR_WAL_FULL", "the table of stream heads holds as many streams as it can", { levelCount });
    }
    const level = HeadLevel.create(this.#directory, levelCount);
    this.#levels.push(level);
    Atomics.store(this.#root.int32, LEVEL_COUNT_WORD, levelCount + 1);
    return level;
  }

  /** Whether others had made levels that were not mapped here yet. */
  #mapNewLevels(): boolean {
    const levelCount = Atomics.load(this.#root.int32, LEVEL_COUNT_WORD);
    if (this.#levels.length === levelCount) return false;
    for (let level = this.#levels.length; level < levelCount; level++) {
      this.#levels.push(HeadLevel.open(this.#directory, level));
    }
    return true;
  }

  #levelOf(entry: number): HeadLevel {
    // Most entries lie in level 0, and not asking the array saves a sixth of what a locked change costs (measured).
    return entry < LEVEL_0_PLACES ? this.#root : (this.#levels[levelOfEntry(entry)] as HeadLevel);
  }

  #tryLockWord(int32: Int32Array, word: number): boolean {
    for (let spin = 0; spin < SPIN_COUNT_MAX; spin++) {
      if (Atomics.compareExchange(int32, word, 0, this.#mark) === 0) return true;
      // Only looking leaves the cache line with its holder.
      while (spin < SPIN_COUNT_MAX && Atomics.load(int32, word) !== 0) spin++;
    }
    assert(Atomics.load(int32, word) !== this.#mark, "a lock is taken by who has it");
    return false;
  }

  /** In the record that is not in use, as `setTentative` does: death in between leaves the one before. */
  #replaceTentative(entry: number, { version, epoch }: KeptTentative): void {
    const level = this.#levelOf(entry);
    const word = level.wordOf(entry);
    const after = (level.int32[word + TENTATIVE_WORD] as number) ^ IN_RECORD_B;
    const record = recordOf(word, after);
    level.float64[record] = version;
    level.float64[record + 1] = epoch;
    Atomics.store(level.int32, word + TENTATIVE_WORD, after);
  }

  #settleLocked(level: HeadLevel, entry: number, dead: HeadOwner, decide: SettleDecision): void {
    try {
      if (isTentativeOf(level, entry, dead)) {
        const committed = this.committedVersion(entry);
        const kept = decide(level.nameOf(entry), committed, this.tentativeVersion(entry), this.tentativeEpoch(entry));
        const version = typeof kept === "number" ? kept : kept.version;
        assert(Number.isSafeInteger(version) && version >= committed, "a committed version never falls");
        if (typeof kept === "number") this.setCommitted(entry, kept);
        else this.#replaceTentative(entry, kept);
      }
      if (this.wantedBy(entry) === dead.slot) this.setWanted(entry, -1);
    } finally {
      this.unlock(entry);
    }
  }
}

function checkOwner({ slot, generation }: HeadOwner): void {
  assert(Number.isInteger(slot) && slot >= 0 && slot < SLOT_COUNT_MAX, `slot ${slot}`);
  assert(Number.isInteger(generation) && generation >= 0 && generation <= 0x7fff_ffff, `generation ${generation}`);
}

/**
 * A version as V8 keeps small integers. What comes out of a Float64Array is kept as an object of its own by whoever keeps it, and those who
 * count on from it too: another miss of the cache for each append.
 */
function versionOf(double: number): number {
  return double <= SMALL_INTEGER_MAX ? double | 0 : double;
}

/** Where the record that `tentative` names begins in `float64`: its version, and then its epoch. */
function recordOf(word: number, tentative: number): number {
  return (word >> 1) + ((tentative & IN_RECORD_B) === 0 ? RECORD_A_DOUBLE : RECORD_B_DOUBLE);
}

function isTentativeOf(level: HeadLevel, entry: number, owner: HeadOwner): boolean {
  const word = level.wordOf(entry);
  return (
    ((level.int32[word + TENTATIVE_WORD] as number) & OWNER_MASK) === owner.slot + 1 &&
    level.int32[word + GENERATION_WORD] === owner.generation
  );
}

/** Without a lock: the dead writer adds nothing any more, and what others take away is looked at again under the lock. */
function concerns(level: HeadLevel, entry: number, dead: HeadOwner): boolean {
  const word = level.wordOf(entry);
  return (
    level.int32[word + LOCK_WORD] === dead.slot + 1 ||
    level.int32[word + WANTED_WORD] === dead.slot + 1 ||
    isTentativeOf(level, entry, dead)
  );
}
