/**
 * A computer: its disk, the processes on it, and what its kernel does for them: open files, locks, sleepers, shared memory.
 *
 * A lock (flock(2)) belongs to an open file, which lives for as long as a descriptor or an operation in flight refers to it, whether or not the
 * process that opened it is still alive.
 */

import type { Chance } from "./chance.js";
import type { Faults, OperationKind } from "./faults.js";
import { SimulatedDirectory, type SimulatedDisk } from "./simulated-disk.js";
import { type CrashKind, SimulatedFile } from "./simulated-file.js";
import type { Timeline } from "./timeline.js";

/** Whose life the machine ends. */
export interface Life {
  isDead: boolean;
  readonly name: string;
  /** Gives its memory back. */
  readonly freeMemory: () => void;
}

export class OpenFile {
  readonly path: string;
  readonly entry: SimulatedFile | SimulatedDirectory;
  /** Descriptors and operations in flight. */
  references = 1;
  hasLock = false;

  constructor(path: string, entry: SimulatedFile | SimulatedDirectory) {
    this.path = path;
    this.entry = entry;
  }

  get file(): SimulatedFile {
    if (this.entry instanceof SimulatedDirectory) throw new Error(`${this.path} is a directory`);
    return this.entry;
  }
}

export interface Sleeper {
  readonly memory: ArrayBuffer;
  readonly offset: number;
  readonly life: Life;
  /** Through which it sleeps. */
  readonly io: object;
  readonly wake: () => void;
  readonly cancel: () => void;
}

/** Thrown in the middle of a process that has just died, so that no line of it runs on. */
export class ProcessDied extends Error {}

export class Machine {
  readonly timeline: Timeline;
  readonly faults: Faults;
  readonly chance: Chance;
  readonly trace: (what: string) => void;
  disk: SimulatedDisk;
  readonly lives = new Set<Life>();
  readonly #lockHolders = new Map<SimulatedFile, OpenFile>();
  #sleepers: Sleeper[] = [];
  /** Shared memory as it was when a process died in the middle of a turn. */
  #memories: [memory: ArrayBuffer, bytes: Uint8Array][] | null = null;
  isDown = false;
  /**
   * Writes that have outlived their process, to land when somebody says so. Until then they hold the locks of their files, as the kernel
   * does it: a lock belongs to the open file, and an operation in flight keeps that open. Null: they land by themselves.
   */
  heldWrites: (() => void)[] | null = null;
  /** Told each manifest that gets its name. */
  onManifest: (bytes: Uint8Array) => void = () => {};

  constructor(
    disk: SimulatedDisk,
    parts: { timeline: Timeline; faults: Faults; chance: Chance; trace: (what: string) => void },
  ) {
    this.disk = disk;
    this.timeline = parts.timeline;
    this.faults = parts.faults;
    this.chance = parts.chance;
    this.trace = parts.trace;
  }

  // Locks.

  tryLock(open: OpenFile): boolean {
    const holder = this.#lockHolders.get(open.file);
    if (holder !== undefined && holder !== open) return false;
    this.#lockHolders.set(open.file, open);
    open.hasLock = true;
    return true;
  }

  release(open: OpenFile): void {
    open.references--;
    if (open.references > 0 || !open.hasLock) return;
    open.hasLock = false;
    this.#lockHolders.delete(open.file);
  }

  // Words of shared memory.

  sleep(sleeper: Sleeper): void {
    this.#sleepers.push(sleeper);
  }

  /** Those who sleep there, in all processes. */
  wake(memory: ArrayBuffer, offset: number): void {
    const woken = this.#sleepers.filter((sleeper) => sleeper.memory === memory && sleeper.offset === offset);
    if (woken.length === 0) return;
    this.#sleepers = this.#sleepers.filter((sleeper) => !woken.includes(sleeper));
    for (const sleeper of woken) if (!sleeper.life.isDead) sleeper.wake();
  }

  /** Ends the sleep of a process' sleepers, who are told. */
  endSleep(ends: (sleeper: Sleeper) => boolean): Sleeper[] {
    const ended = this.#sleepers.filter(ends);
    this.#sleepers = this.#sleepers.filter((sleeper) => !ends(sleeper));
    return ended;
  }

  // Operations.

  before(kind: OperationKind, path: string): number {
    if (this.isDown) return 0;
    this.trace(`${kind} ${path}`);
    return this.faults.before(kind, this.timeline.nowUs);
  }

  after(kind: OperationKind): void {
    if (!this.isDown) this.faults.after(kind);
  }

  rename(from: string, to: string): void {
    this.disk.rename(from, to);
    const { entry } = this.disk.find(to, "rename");
    if (!/\/manifest-\d+$/.test(to) || !(entry instanceof SimulatedFile)) return;
    const bytes = new Uint8Array(entry.size);
    entry.read(bytes, 0);
    this.onManifest(bytes);
  }

  // Ends.

  /** Ends a process at once, also in the middle of a turn: what it still does to shared memory in there is taken back afterwards. */
  kill(life: Life): void {
    if (life.isDead) return;
    this.trace(`death of ${life.name}`);
    if (this.timeline.running === life) this.#keepMemories();
    life.isDead = true;
    this.lives.delete(life);
    life.freeMemory();
    this.endSleep((sleeper) => sleeper.life === life);
  }

  #keepMemories(): void {
    this.#memories ??= this.disk
      .files()
      .flatMap(([, { memory }]) => (memory === null ? [] : [[memory, new Uint8Array(memory).slice()]]));
  }

  /** Whether somebody died in the middle of the present turn: its code still unwinds. */
  get isUnwinding(): boolean {
    return this.#memories !== null;
  }

  /** To be called between two turns. */
  restoreMemories(): void {
    for (const [memory, bytes] of this.#memories ?? []) new Uint8Array(memory).set(bytes);
    this.#memories = null;
  }

  /** Ends all at once. Returns the disk as it is when the power is back. */
  powerCut(kind: CrashKind, chance: Chance): SimulatedDisk {
    this.trace(`power cut ${kind}`);
    if (this.timeline.running !== null) this.#memories = [];
    this.isDown = true;
    for (const life of this.lives) {
      life.isDead = true;
      life.freeMemory();
    }
    this.lives.clear();
    this.#sleepers = [];
    return this.disk.afterPowerCut(kind, chance);
  }
}
