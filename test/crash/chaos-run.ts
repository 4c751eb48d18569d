/**
 * Several processes with several writers each append to one store, while their parent kills processes, terminates worker threads and has
 * stores closed and opened again, at random moments from a seed. `disturb`, `settle` and `stop` one after the other, by `chaos-rounds.ts`.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { SeededRandom } from "../support/seeded-random.js";
import { ChaosChild } from "./chaos-child.js";
import type { ChaosOracle } from "./chaos-oracle.js";
import type { LeaveOrder, WriterTask } from "./chaos-plan.js";

const CALLERS_PER_WRITER = 4;
const BUSY_WAIT_MS = 10_000;
/** A writer that is open and has no append acknowledged for so long is stuck. */
const STUCK_MS = 20_000;
/** Coming, going and being terminated take so long at most. */
const CHANGE_MS = 60_000;
const READY_MS = 30_000;
const LAST_LOOK_MS = 2_000;
const POLL_MS = 10;
const AFTERMATH_MS = 500;
/** Every so many acts all are killed at once, and half way between them all close and open again. */
const ACTS_PER_CYCLE = 14;
const REST_MS_MAX = 120;
/** A sixth of the acts follow the one before within this time, while others still take over or recover. */
const QUICK_MS_MAX = 80;

export interface ChaosSetting {
  readonly directory: string;
  readonly processes: number;
  readonly threads: number;
  readonly seconds: number;
  readonly killEveryMs: number;
  /** What all callers together aim at: the log stays small enough to be read again and again. */
  readonly appendsPerSecond: number;
  readonly segmentBytes: number;
}

export interface ChaosTally {
  /** Processes that were ended by SIGKILL, also those that were killed together. */
  kills: number;
  terminations: number;
  killsOfAll: number;
  /** Processes that terminating one of their threads has ended. */
  aborts: number;
  closings: number;
  /** Writers that were ended with their store open while another one had it open, so that a survivor had to take over. */
  takeovers: number;
  /** Openings that found nobody and recovered the log. */
  recoveries: number;
  openings: number;
  openMsMax: number;
  conflicts: number;
  busyRefusals: number;
  openRetries: number;
  /** Of the writers that were left: the longest time one went without an acknowledgement while it waited for one. */
  stallMsMax: number;
  /** The same of all writers, also of those that were killed later. */
  stallMsMaxOfAll: number;
}

type WriterStatus = "coming" | "open" | "leaving" | "terminating" | "gone";

/** A writer's place, and the writer that has it now. */
interface Place {
  readonly name: string;
  readonly thread: number;
  status: WriterStatus;
  sinceMs: number;
  acknowledged: number;
  acknowledgedAtMs: number;
  stallMsMax: number;
}

/** A process's place. Vacant: what was there was killed, and the next one is not there yet. */
interface Seat {
  readonly index: number;
  readonly places: readonly Place[];
  child: ChaosChild | null;
}

export class ChaosRun {
  readonly #setting: ChaosSetting;
  readonly #random: SeededRandom;
  readonly #oracle: ChaosOracle;
  readonly #seats: readonly Seat[];
  readonly #children = new Set<ChaosChild>();
  /** Those whose end is no surprise. */
  readonly #condemned = new Set<ChaosChild>();
  readonly #tally: ChaosTally = {
    kills: 0,
    terminations: 0,
    killsOfAll: 0,
    aborts: 0,
    closings: 0,
    takeovers: 0,
    recoveries: 0,
    openings: 0,
    openMsMax: 0,
    conflicts: 0,
    busyRefusals: 0,
    openRetries: 0,
    stallMsMax: 0,
    stallMsMaxOfAll: 0,
  };
  /** Has loaded its modules already: the next life begins at once. */
  #spare: ChaosChild | null = null;
  #lives = 0;
  /** The first one ends the run; what others say of it soon after can be the cause. */
  readonly #failures: Error[] = [];

  constructor(setting: ChaosSetting, random: SeededRandom, oracle: ChaosOracle) {
    this.#setting = setting;
    this.#random = random;
    this.#oracle = oracle;
    this.#seats = Array.from({ length: setting.processes }, (_, index) => ({
      index,
      places: Array.from({ length: setting.threads }, (_, thread) => ({
        name: `${index}-${thread}`,
        thread,
        status: "gone" as const,
        sinceMs: 0,
        acknowledged: 0,
        acknowledgedAtMs: 0,
        stallMsMax: 0,
      })),
      child: null,
    }));
  }

  get tally(): ChaosTally {
    return this.#tally;
  }

  /** All that went wrong, for a file beside the store: one writer's failure is often another's consequence. */
  async failures(): Promise<readonly Error[]> {
    await delay(AFTERMATH_MS);
    return this.#failures;
  }

  /** What all processes said on their standard error. */
  get stderr(): string {
    return [...this.#children].map(({ stderr }) => stderr).join("");
  }

  /** Starts everybody, and lets nobody in peace for the time that is set. */
  async disturb(onAct: () => void): Promise<void> {
    for (const seat of this.#seats) this.#occupy(seat);
    await this.#untilAllOpen();
    const endMs = performance.now() + this.#setting.seconds * 1000;
    for (let act = 1; ; act++) {
      const { killEveryMs } = this.#setting;
      const isQuick = this.#random.integer(6) === 0;
      const waitMs = isQuick ? this.#random.next() * QUICK_MS_MAX : killEveryMs * (0.3 + 1.4 * this.#random.next());
      await this.#pause(Math.min(waitMs, Math.max(0, endMs - performance.now())));
      if (performance.now() >= endMs) return;
      this.#act(act);
      onAct();
    }
  }

  /** When all are open again, each must get on. */
  async settle(): Promise<void> {
    await this.#untilAllOpen();
    const before = this.#places().map(({ acknowledged }) => acknowledged);
    await this.#pause(LAST_LOOK_MS);
    // Who came last may have to read the log first; one that never gets on is found stuck.
    await this.#until("every writer to get on", () =>
      this.#places().every(({ acknowledged }, index) => acknowledged > (before[index] as number)),
    );
    for (const { stallMsMax } of this.#places()) this.#tally.stallMsMax = Math.max(this.#tally.stallMsMax, stallMsMax);
  }

  /** All writers close their store, and their processes end. */
  async stop(): Promise<void> {
    const children = this.#seats.map(({ child }) => child as ChaosChild);
    for (const child of children) this.#condemned.add(child);
    for (const { places, child } of this.#seats) {
      for (const place of places) {
        setStatus(place, "leaving");
        child?.order({
          order: "leave",
          thread: place.thread,
          how: { leave: "stop", drain: this.#random.integer(2) === 0, restMs: 0 },
        });
      }
    }
    await this.#until("all processes to end", () => children.every(({ ending }) => ending !== null));
    for (const child of children) {
      if (child.ending !== "exited with 0")
        throw new Error(`a process was told to stop and ${child.ending}\n${child.stderr}`);
    }
    await this.kill();
  }

  /** Ends all that is left. */
  async kill(): Promise<void> {
    for (const child of this.#children) {
      this.#condemned.add(child);
      if (child.ending === null) child.kill();
    }
    await Promise.all([...this.#children].map(({ ended }) => ended));
  }

  #places(): readonly Place[] {
    return this.#seats.flatMap(({ places }) => places);
  }

  #fail(error: unknown): void {
    this.#failures.push(error instanceof Error ? error : new Error(String(error)));
  }

  /** Throws what has gone wrong meanwhile. */
  #check(): void {
    const now = performance.now();
    for (const { name, status, sinceMs, acknowledgedAtMs } of this.#places()) {
      if (status === "gone") continue;
      if (status === "open" && now - acknowledgedAtMs > STUCK_MS) {
        this.#fail(new Error(`writer ${name} is stuck: it had no append acknowledged for ${STUCK_MS} ms`));
      }
      if (status !== "open" && now - sinceMs > CHANGE_MS) {
        this.#fail(new Error(`writer ${name} is stuck: it has been ${status} for ${CHANGE_MS} ms`));
      }
    }
    const [failure] = this.#failures;
    if (failure !== undefined) throw failure;
  }

  async #pause(ms: number): Promise<void> {
    const endMs = performance.now() + ms;
    do {
      await delay(Math.max(0, Math.min(POLL_MS, endMs - performance.now())));
      this.#check();
    } while (performance.now() < endMs);
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    const deadlineMs = performance.now() + READY_MS + CHANGE_MS;
    while (!condition()) {
      await this.#pause(POLL_MS);
      if (performance.now() > deadlineMs) throw new Error(`waited too long for ${what}`);
    }
  }

  #untilAllOpen(): Promise<void> {
    return this.#until("all writers to be open", () => this.#places().every(({ status }) => status === "open"));
  }

  #spawn(): ChaosChild {
    const child = new ChaosChild(this.#setting.threads);
    this.#children.add(child);
    void child.ended.then(() => {
      const seat = this.#seats.find((one) => one.child === child);
      if (this.#condemned.has(child)) this.#forget(child);
      else if (seat !== undefined && isAbortOfTermination(child)) this.#mourn(seat);
      else this.#fail(new Error(`a process ${child.ending} by itself\n${child.stderr}`));
    });
    return child;
  }

  /** Of hundreds of processes, only those that had something to say are kept. */
  #forget(child: ChaosChild): void {
    if (child.stderr === "") this.#children.delete(child);
  }

  #task(place: Place): WriterTask {
    const { directory, processes, threads, appendsPerSecond, segmentBytes } = this.#setting;
    return {
      directory,
      writer: place.name,
      life: String(++this.#lives),
      seed: this.#random.integer(2 ** 32),
      callers: CALLERS_PER_WRITER,
      pauseMs: (1000 * CALLERS_PER_WRITER * processes * threads) / appendsPerSecond,
      segmentBytes,
      busyWaitMs: BUSY_WAIT_MS,
      onceVersions: Object.fromEntries(this.#oracle.onceVersions),
    };
  }

  #start(child: ChaosChild, place: Place): void {
    setStatus(place, "coming");
    place.stallMsMax = 0;
    child.order({ order: "start", thread: place.thread, task: this.#task(place) });
  }

  /** Gives the seat a new process, whose writers begin as soon as it is ready. */
  #occupy(seat: Seat): void {
    const child = this.#spare ?? this.#spawn();
    this.#spare = null;
    child.onLine((thread, line) => {
      try {
        this.#hear(seat, child, seat.places[thread] as Place, line);
      } catch (error) {
        this.#fail(error);
      }
    });
    for (const place of seat.places) setStatus(place, "coming");
    child.whenReady(READY_MS).then(
      () => {
        if (child.ending !== null) return;
        seat.child = child;
        for (const place of seat.places) this.#start(child, place);
        this.#spare ??= this.#spawn();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  /** Judges the words of a process, also of one that was killed meanwhile: what it said before is true. */
  #hear(seat: Seat, child: ChaosChild, place: Place, line: string): void {
    const space = line.indexOf(" ");
    const word = line.slice(0, space);
    const rest = line.slice(space + 1);
    const words = rest.split(" ");
    const isPresent = seat.child === child;
    switch (word) {
      case "ack":
        this.#oracle.acknowledge(rest);
        hearProgress(place);
        return;
      case "durable":
        this.#oracle.durable(words[0] as string, Number(words[1]));
        hearProgress(place);
        return;
      case "refused":
        if (words[0] === "ERR_WAL_BUSY") this.#tally.busyRefusals++;
        else this.#tally.conflicts++;
        if (words[1] !== undefined) this.#oracle.refuse(words[1], words[0] as string);
        return;
      case "stall":
        if (isPresent) place.stallMsMax = Number(rest);
        this.#tally.stallMsMaxOfAll = Math.max(this.#tally.stallMsMaxOfAll, Number(rest));
        return;
      case "opening":
        if (isPresent && place.status !== "terminating") setStatus(place, "coming");
        return;
      case "retry":
        this.#tally.openRetries++;
        return;
      case "open":
        this.#tally.openings++;
        this.#tally.openMsMax = Math.max(this.#tally.openMsMax, Number(words[1]));
        if (words[2] === "recovered") this.#tally.recoveries++;
        // A worker that is being terminated can have said it before.
        if (isPresent && place.status === "coming") setStatus(place, "open");
        return;
      case "closed":
        return;
      case "terminated": {
        const terminated = seat.places[Number(rest)] as Place;
        if (isPresent) this.#start(child, terminated);
        return;
      }
      case "fail": {
        const { stack, details } = JSON.parse(rest) as { readonly stack: string; readonly details: unknown };
        throw new Error(`writer ${place.name} failed: ${stack} ${JSON.stringify(details ?? {})}\n${child.stderr}`);
      }
      default:
        throw new Error(`writer ${place.name} said: ${line}\n${child.stderr}`);
    }
  }

  #act(act: number): void {
    const seats = this.#seats.filter(({ child }) => child !== null);
    if (seats.length === 0) return;
    if (act % ACTS_PER_CYCLE === ACTS_PER_CYCLE - 1) {
      this.#tally.killsOfAll++;
      this.#killSeats(seats);
      return;
    }
    if (act % ACTS_PER_CYCLE === ACTS_PER_CYCLE / 2) {
      const restMs = this.#random.next() * 2 * REST_MS_MAX;
      for (const seat of seats) for (const place of seat.places) this.#reopen(seat, place, restMs);
      return;
    }
    const seat = this.#random.pick(seats);
    const chance = this.#random.integer(100);
    if (chance < 15) {
      this.#reopen(seat, this.#random.pick(seat.places), this.#random.next() * REST_MS_MAX);
      return;
    }
    const workers = seat.places.filter(({ thread, status }) => thread > 0 && status !== "terminating");
    if (chance < 55 && workers.length > 0) {
      this.#terminate(seat, this.#random.pick(workers));
      return;
    }
    this.#killSeats(chance < 92 ? [seat] : seats.filter((other) => other === seat || this.#random.integer(2) === 0));
  }

  #reopen(seat: Seat, place: Place, restMs: number): void {
    if (place.status !== "open") return;
    this.#tally.closings++;
    const how: LeaveOrder = { leave: "reopen", drain: this.#random.integer(2) === 0, restMs };
    setStatus(place, "leaving");
    seat.child?.order({ order: "leave", thread: place.thread, how });
  }

  #countTakeovers(victims: readonly Place[]): void {
    const hasStoreOpen = ({ status }: Place): boolean => status === "open" || status === "leaving";
    const survivors = this.#places().filter((place) => hasStoreOpen(place) && !victims.includes(place));
    if (survivors.length > 0) this.#tally.takeovers += victims.filter(hasStoreOpen).length;
  }

  #terminate(seat: Seat, place: Place): void {
    this.#tally.terminations++;
    this.#countTakeovers([place]);
    setStatus(place, "terminating");
    seat.child?.order({ order: "terminate", thread: place.thread });
  }

  #mourn(seat: Seat): void {
    this.#tally.aborts++;
    this.#vacate(seat, seat.child as ChaosChild);
  }

  #killSeats(seats: readonly Seat[]): void {
    this.#countTakeovers(seats.flatMap(({ places }) => places));
    for (const seat of seats) {
      const child = seat.child as ChaosChild;
      this.#tally.kills++;
      this.#condemned.add(child);
      child.kill();
      this.#vacate(seat, child);
    }
  }

  #vacate(seat: Seat, child: ChaosChild): void {
    seat.child = null;
    for (const place of seat.places) setStatus(place, "gone");
    void child.ended.then(() => {
      if (this.#failures.length === 0) this.#occupy(seat);
    });
  }
}

/**
 * Node ends the process when a native module has to throw in a thread that is being terminated, as koffi may while it loads a library. For
 * the store that is a kill like any other.
 */
function isAbortOfTermination(child: ChaosChild): boolean {
  return child.ending?.includes("SIGABRT") === true && child.stderr.includes("ThrowAsJavaScriptException napi_throw");
}

function setStatus(place: Place, status: WriterStatus): void {
  place.status = status;
  place.sinceMs = performance.now();
  place.acknowledgedAtMs = place.sinceMs;
}

function hearProgress(place: Place): void {
  place.acknowledged++;
  place.acknowledgedAtMs = performance.now();
}
