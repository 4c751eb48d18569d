/**
 * What goes wrong on a machine, and when it is hit: decided by a seed, or by a plan of one operation.
 *
 * Every operation that changes what is on the disk, or makes it durable, has a number. At a planned number the power fails or the process dies,
 * before it or after it. Of the faults each has a probability of its own, most often 0: a seed has some of them, so that they do not hide
 * each other.
 */

import type { Attestation } from "./attestation.js";
import type { Chance } from "./chance.js";
import { type ErrnoName, errnoOf } from "./system-error.js";

export type OperationKind =
  | "open"
  | "create"
  | "mkdir"
  | "rename"
  | "unlink"
  | "list"
  | "stat"
  | "read"
  | "write"
  | "truncate"
  | "sync"
  | "sync-directory"
  | "allocate"
  | "map"
  | "block-read"
  | "block-write"
  | "block-sync"
  | "publish";

/** Those that a power cut can come before and after with different outcomes. */
const COUNTED: ReadonlySet<OperationKind> = new Set([
  "create",
  "mkdir",
  "rename",
  "unlink",
  "write",
  "truncate",
  "sync",
  "sync-directory",
  "allocate",
  "map",
  "block-write",
  "block-sync",
  "publish",
]);
const TAKES_SPACE: ReadonlySet<OperationKind> = new Set(["create", "mkdir", "write", "allocate", "map"]);

/** Probabilities by operation. */
export interface FaultRates {
  readonly shortWrite: number;
  /** −EAGAIN and −EINTR, of which nothing follows. */
  readonly again: number;
  readonly writeError: number;
  readonly syncError: number;
  readonly readError: number;
  /** That from some operation on, for a while, nothing that takes space succeeds. */
  readonly fullDisk: number;
  /** The device says that it wrote, and did not. */
  readonly lostWrite: number;
  /** It wrote, elsewhere in the same file. */
  readonly misdirectedWrite: number;
  /** A write takes up to seconds. */
  readonly slowWrite: number;
  /** A process stands still for a while. */
  readonly stall: number;
  /** Bits of what is durable, by power cut or death. */
  readonly bitRot: number;
}

export const NO_FAULTS: FaultRates = {
  shortWrite: 0,
  again: 0,
  writeError: 0,
  syncError: 0,
  readError: 0,
  fullDisk: 0,
  lostWrite: 0,
  misdirectedWrite: 0,
  slowWrite: 0,
  stall: 0,
  bitRot: 0,
};

/** What is to happen at the operation of that number. */
export interface Blow {
  readonly at: number;
  readonly when: "before" | "after";
  readonly strike: () => void;
}

export type FaultName = keyof FaultRates;

const FULL_DISK_US = 400_000;
const SLOW_WRITE_US_MAX = 1_500_000;
const STALL_US_MAX = 300_000;

export class Faults {
  rates: FaultRates = NO_FAULTS;
  readonly #chance: Chance;
  /** Of all machines' operations so far. */
  operationCount = 0;
  blows: Blow[] = [];
  /** How often each fault happened. */
  readonly counts = new Map<FaultName, number>();
  /** Why what was durable may be gone: then a store may refuse, and must not where this is empty. */
  readonly damages: string[] = [];
  /** Called at each moment at which the power could fail. */
  onMoment: () => void = () => {};
  onFault: (name: FaultName) => void = () => {};
  /** Hears what reaches the device. */
  attestation: Attestation | null = null;
  #fullUntilUs = 0;
  #fullErrno: ErrnoName = "ENOSPC";

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  #count(name: FaultName): void {
    this.onFault(name);
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  #hits(name: FaultName): boolean {
    if (!this.#chance.happens(this.rates[name])) return false;
    this.#count(name);
    return true;
  }

  /** A quiet machine: nothing fails any more. */
  calm(): void {
    this.rates = NO_FAULTS;
    this.blows = [];
    this.#fullUntilUs = 0;
  }

  /** Before an operation. Returns 0 or the errno that it fails with. */
  before(kind: OperationKind, nowUs: number): number {
    if (COUNTED.has(kind)) {
      this.operationCount++;
      this.#strike("before");
    }
    if (TAKES_SPACE.has(kind) && this.isFull(nowUs)) return errnoOf(this.#fullErrno);
    switch (kind) {
      case "write":
      case "rename":
        return this.#hits("writeError") ? errnoOf("EIO") : 0;
      case "sync":
      case "sync-directory":
        return this.#hits("syncError") ? errnoOf("EIO") : 0;
      case "read":
        return this.#hits("readError") ? errnoOf("EIO") : 0;
      case "open":
        return this.#hits("readError") ? errnoOf(this.#chance.pick(["EMFILE", "EIO"])) : 0;
      default:
        return 0;
    }
  }

  after(kind: OperationKind): void {
    if (COUNTED.has(kind)) this.#strike("after");
  }

  #strike(when: Blow["when"]): void {
    this.onMoment();
    const due = this.blows.find((blow) => blow.when === when && this.operationCount >= blow.at);
    if (due === undefined) return;
    this.blows = this.blows.filter((blow) => blow !== due);
    due.strike();
  }

  isFull(nowUs: number): boolean {
    if (nowUs < this.#fullUntilUs) return true;
    if (!this.#hits("fullDisk")) return false;
    this.#fullUntilUs = nowUs + this.#chance.integer(FULL_DISK_US);
    this.#fullErrno = this.#chance.pick(["ENOSPC", "EDQUOT"]);
    return true;
  }

  /** How a block write ends. */
  ofWrite(length: number): {
    readonly kind: "done" | "short" | "lost" | "misdirected" | "failed";
    readonly result: number;
  } {
    if (this.#hits("again")) return { kind: "failed", result: errnoOf(this.#chance.pick(["EAGAIN", "EINTR"])) };
    if (this.#hits("writeError")) return { kind: "failed", result: errnoOf("EIO") };
    if (length > 512 && this.#hits("shortWrite")) {
      return { kind: "short", result: 512 * (1 + this.#chance.integer(length / 512 - 1)) };
    }
    if (this.#hits("lostWrite")) return { kind: "lost", result: length };
    if (this.#hits("misdirectedWrite")) return { kind: "misdirected", result: length };
    return { kind: "done", result: length };
  }

  ofSync(): number {
    return this.#hits("syncError") ? errnoOf("EIO") : 0;
  }

  ofRead(): number {
    if (this.#hits("again")) return errnoOf(this.#chance.pick(["EAGAIN", "EINTR"]));
    return this.#hits("readError") ? errnoOf("EIO") : 0;
  }

  /** What a write takes on top of what it always does. */
  extraWriteUs(): number {
    return this.#hits("slowWrite") ? this.#chance.integer(SLOW_WRITE_US_MAX) : 0;
  }

  stallUs(): number {
    return this.#hits("stall") ? this.#chance.integer(STALL_US_MAX) : 0;
  }

  rotsBits({ bitRot }: FaultRates): boolean {
    if (!this.#chance.happens(bitRot)) return false;
    this.#count("bitRot");
    return true;
  }
}
