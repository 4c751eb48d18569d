/** Everything that one seed moves: time, the machine that is running, the processes in their realms, and a hash over what happened. */

import { setImmediate as nextTurn } from "node:timers/promises";
import { type Chance, chance } from "./chance.js";
import { Faults } from "./faults.js";
import { Machine, ProcessDied } from "./machine.js";
import { enterRealm, loadRealms, type Varve, varveOf } from "./realms.js";
import { SimulatedDisk } from "./simulated-disk.js";
import { SimulatedProcess } from "./simulated-process.js";
import { Timeline } from "./timeline.js";

const STEPS_MAX = 3_000_000;
const LIMIT_US = 600_000_000;
/** Processes at once. */
export const REALM_COUNT = 4;
const TRACE_LINES_MAX = 400;

/** Something that no process may do: it fails the seed, not only the process. */
let reportStray: ((error: unknown) => void) | null = null;
let isListening = false;

function listenForStrays(): void {
  if (isListening) return;
  isListening = true;
  const report = (error: unknown): void => {
    if (reportStray === null) throw error;
    reportStray(error);
  };
  process.on("unhandledRejection", report);
  process.on("uncaughtException", report);
}

/** To be called once before anything is simulated. */
export function loadStores(): Promise<void> {
  const world = new World(0, new SimulatedDisk());
  return loadRealms(REALM_COUNT, new SimulatedProcess(world.machine, "nobody", 1, 0));
}

function isOfTheDead(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (cause instanceof ProcessDied) return true;
  return false;
}

export class World {
  readonly seed: number;
  readonly timeline = new Timeline();
  readonly faults: Faults;
  readonly chance: Chance;
  machine: Machine;
  #pid = 100;
  #machineCount = 0;
  #hash = 0x811c9dc5;
  readonly #lines: string[] = [];
  #stray: unknown = null;
  readonly #keepsLines: boolean;

  constructor(seed: number, disk: SimulatedDisk, keepsLines = false) {
    listenForStrays();
    this.seed = seed;
    this.#keepsLines = keepsLines;
    this.chance = chance(seed, "world");
    this.faults = new Faults(chance(seed, "faults"));
    this.faults.onFault = (name) => this.trace(`fault: ${name}`);
    this.machine = this.boot(disk);
  }

  /** A machine with this disk, in the place of the one before. */
  boot(disk: SimulatedDisk): Machine {
    const { faults, timeline } = this;
    const trace = (what: string): void => this.trace(what);
    this.machine = new Machine(disk, {
      faults,
      timeline,
      chance: chance(this.seed, `machine ${this.#machineCount++}`),
      trace,
    });
    return this.machine;
  }

  /** Starts a process in a realm whose process before is dead. */
  start(realm: number, name: string): { readonly process: SimulatedProcess; readonly varve: Varve } {
    const process = new SimulatedProcess(this.machine, name, this.#pid++, this.seed);
    enterRealm(realm, process);
    this.trace(`start of ${name}`);
    return { process, varve: varveOf(realm) };
  }

  /** Goes into the hash of what happened. */
  trace(what: string): void {
    let hash = this.#hash ^ this.timeline.nowUs;
    for (let index = 0; index < what.length; index++) hash = Math.imul(hash ^ what.charCodeAt(index), 0x01000193);
    this.#hash = hash;
    if (!this.#keepsLines) return;
    this.#lines.push(`${(this.timeline.nowUs / 1000).toFixed(3)} #${this.faults.operationCount} ${what}`);
    if (this.#lines.length > 2 * TRACE_LINES_MAX) this.#lines.splice(0, TRACE_LINES_MAX);
  }

  /** The same for the same seed. */
  get traceHash(): string {
    return `${(this.#hash >>> 0).toString(16)}-${this.timeline.eventCount}`;
  }

  get lastLines(): readonly string[] {
    return this.#lines.slice(-TRACE_LINES_MAX);
  }

  /** Lets time go on until the promise is settled. */
  async until<Result>(promise: Promise<Result>, what: string): Promise<Result> {
    const { timeline } = this;
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    const limitUs = timeline.nowUs + LIMIT_US;
    reportStray = (error) => {
      if (!isOfTheDead(error) && !this.machine.isUnwinding) this.#stray ??= error;
    };
    try {
      await nextTurn();
      for (let steps = 0; !isSettled; steps++) {
        const hasMore = await timeline.step();
        if (this.#stray !== null) throw this.#stray;
        this.machine.restoreMemories();
        if (!hasMore && !isSettled) throw new Error(`nothing happens any more, while ${what}`);
        if (steps > STEPS_MAX || timeline.nowUs > limitUs) {
          throw new Error(`no end after ${(timeline.nowUs / 1e6).toFixed(1)} s and ${steps} steps, while ${what}`);
        }
      }
    } finally {
      reportStray = null;
    }
    return promise;
  }
}
