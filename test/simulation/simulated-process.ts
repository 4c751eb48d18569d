/** A process of the simulated machine: its descriptors, its memory, its clock, and what it waits for. */

import { type Chance, chance } from "./chance.js";
import type { OperationKind } from "./faults.js";
import { type Life, type Machine, OpenFile, ProcessDied } from "./machine.js";
import { SimulatedDirectory } from "./simulated-disk.js";
import type { SimulatedFile } from "./simulated-file.js";
import { systemError, systemErrorOf } from "./system-error.js";
import type { Planned } from "./timeline.js";

const CALL_US_MAX = 80;
const FIRST_FD = 3;
const LOCKS_OUTLIVE_US_MAX = 16_000;
/** Buffers of 2 MiB and more are wanted on a boundary of theirs. */
const ADDRESS_STEP = 1n << 30n;
const EPOCH_US = 1_763_700_000_000_000;

/** Buffers that can be had again, by their size: to collect them as garbage would cost more than everything else. */
const freeMemories = new Map<number, ArrayBuffer[]>();

function takeMemory(byteLength: number): ArrayBuffer {
  const memory = freeMemories.get(byteLength)?.pop();
  if (memory === undefined) return new ArrayBuffer(byteLength);
  new Uint8Array(memory).fill(0);
  return memory;
}

function giveMemory(memory: ArrayBuffer): void {
  const free = freeMemories.get(memory.byteLength) ?? [];
  freeMemories.set(memory.byteLength, free);
  free.push(memory);
}

export class SimulatedProcess implements Life {
  readonly machine: Machine;
  readonly name: string;
  readonly pid: number;
  readonly chance: Chance;
  isDead = false;
  /** Resolves when it is killed, and never when it ends by itself or with the power. */
  readonly killed: Promise<void>;
  #tellKilled: () => void = () => {};
  readonly #files = new Map<number, OpenFile>();
  readonly #mappings = new Map<bigint, ArrayBuffer>();
  /** Those that are no file's. */
  readonly #anonymous = new Set<ArrayBuffer>();
  #nextAddress = ADDRESS_STEP;
  /** What its wall clock is ahead of the machine's. */
  wallOffsetUs = 0;
  /** So many accesses to shared memory from now it dies in the middle of one; 0: it does not. */
  touchesLeft = 0;
  /** Nothing of it happens before. */
  #stalledUntilUs = 0;

  constructor(machine: Machine, name: string, pid: number, seed: number) {
    this.machine = machine;
    this.name = name;
    this.pid = pid;
    this.chance = chance(seed, `process ${name} ${pid}`);
    this.killed = new Promise((resolve) => {
      this.#tellKilled = resolve;
    });
    machine.lives.add(this);
  }

  get nowUs(): number {
    return this.machine.timeline.nowUs;
  }

  get wallUs(): number {
    return EPOCH_US + this.nowUs + this.wallOffsetUs;
  }

  assertAlive(): void {
    if (this.isDead) throw new ProcessDied(`${this.name} is dead`);
  }

  /** It is about to change a word that others see, or has just done so. */
  touch(): void {
    if (this.touchesLeft > 0 && --this.touchesLeft === 0) this.kill();
    this.assertAlive();
  }

  stall(us: number): void {
    this.#stalledUntilUs = Math.max(this.#stalledUntilUs, this.nowUs + us);
  }

  /** Something that its event loop will do. */
  plan(delayUs: number, run: () => void): Planned {
    return this.machine.timeline.plan(delayUs, this, () => {
      const stallUs = this.#stalledUntilUs - this.nowUs;
      if (stallUs > 0) this.plan(stallUs, run);
      else run();
    });
  }

  /** A system call that the thread waits for. */
  call<Result>(kind: OperationKind, path: string, run: () => Result): Result {
    this.assertAlive();
    const errno = this.machine.before(kind, path);
    this.assertAlive();
    if (errno < 0) throw systemErrorOf(errno, kind, path);
    const result = run();
    this.machine.after(kind);
    this.assertAlive();
    return result;
  }

  /** One that a thread of the pool makes. */
  later<Result>(kind: OperationKind, path: string, run: () => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.plan(1 + this.chance.integer(CALL_US_MAX), () => {
        const errno = this.machine.before(kind, path);
        if (this.isDead) return;
        if (errno < 0) {
          reject(systemErrorOf(errno, kind, path));
          return;
        }
        let result: Result;
        try {
          result = run();
        } catch (error) {
          reject(error);
          return;
        }
        this.machine.after(kind);
        if (!this.isDead) resolve(result);
      });
    });
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.plan(ms * 1000, resolve));
  }

  // Descriptors.

  open(
    path: string,
    options: { readonly creates: boolean; readonly isNew: boolean; readonly truncates: boolean },
  ): number {
    const { disk } = this.machine;
    const { entry } = disk.find(path, "open");
    if (entry !== null && options.isNew) throw systemError("EEXIST", "open", path);
    if (entry === null && !options.creates) throw systemError("ENOENT", "open", path);
    const opened = entry ?? disk.createFile(path);
    if (options.truncates && !(opened instanceof SimulatedDirectory) && opened.size > 0) opened.truncate(0);
    let fd = FIRST_FD;
    while (this.#files.has(fd)) fd++;
    this.#files.set(fd, new OpenFile(path, opened));
    return fd;
  }

  openFile(fd: number, syscall: string): OpenFile {
    const open = this.#files.get(fd);
    if (open === undefined) throw systemError("EBADF", syscall, `fd ${fd}`);
    return open;
  }

  hasFd(fd: number): boolean {
    return this.#files.has(fd);
  }

  file(fd: number, syscall: string): SimulatedFile {
    return this.openFile(fd, syscall).file;
  }

  close(fd: number): void {
    const open = this.openFile(fd, "close");
    this.#files.delete(fd);
    this.machine.release(open);
  }

  // Memory.

  mapAnonymous(byteLength: number): bigint {
    const memory = takeMemory(byteLength);
    this.#anonymous.add(memory);
    return this.map(memory);
  }

  /** A file's memory. */
  map(memory: ArrayBuffer): bigint {
    const address = this.#nextAddress;
    this.#nextAddress += ADDRESS_STEP;
    this.#mappings.set(address, memory);
    return address;
  }

  unmap(address: bigint): void {
    const memory = this.#mappings.get(address);
    if (memory === undefined) throw new Error(`${this.name}: nothing is mapped at ${address}`);
    this.#mappings.delete(address);
    if (this.#anonymous.delete(memory)) giveMemory(memory);
  }

  /** When it is dead. */
  freeMemory(): void {
    for (const memory of this.#anonymous) giveMemory(memory);
    this.#anonymous.clear();
    this.#mappings.clear();
  }

  /** The memory that the address lies in, and where. */
  memoryAt(address: bigint): { readonly memory: ArrayBuffer; readonly offset: number } {
    const start = address - (address % ADDRESS_STEP);
    const memory = this.#mappings.get(start);
    if (memory === undefined) throw new Error(`${this.name}: segmentation fault at ${address}`);
    return { memory, offset: Number(address - start) };
  }

  // The end.

  kill(): void {
    if (this.isDead) return;
    this.#end();
    this.#tellKilled();
  }

  /** Ends as a process that has nothing to do any more. */
  exit(): void {
    if (!this.isDead) this.#end();
  }

  /** Its descriptors are closed some milliseconds after its death, as the kernel gets round to it. */
  #end(): void {
    this.machine.kill(this);
    const open = [...this.#files.values()];
    this.#files.clear();
    this.machine.timeline.plan(this.chance.integer(LOCKS_OUTLIVE_US_MAX), null, () => {
      for (const file of open) this.machine.release(file);
    });
  }
}
