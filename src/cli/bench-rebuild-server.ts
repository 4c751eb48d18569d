/**
 * The application of the rebuild benchmark: fills the store, serves the old version of a read model, and goes on appending and answering while
 * others rebuild it, until its state has gone over to the new version and it is told to stop.
 */

import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { openStore, type ProjectionReport, type Store } from "../index.js";
import { AppendWindow } from "./append-window.js";
import {
  type Account,
  accountsAfter,
  accountsBefore,
  BOOKED,
  bookingOf,
  bookingStreamOf,
  digestOf,
  isRight,
} from "./bench-rebuild-accounts.js";
import { type PeerParent, servePeer } from "./peer-parent.js";

export interface RebuildServerTask {
  readonly store: string;
  readonly events: number;
  readonly accounts: number;
  /** How many events it appends per second while the others rebuild. */
  readonly appendsPerSecond: number;
}

/** In ms. */
export interface LoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export type RebuildServerReport =
  | {
      readonly kind: "serving";
      readonly fillSeconds: number;
      /** While it served and appended, and nobody rebuilt. */
      readonly loopDelayBeforeMs: LoopDelay;
    }
  /** The new version has answered for a second. */
  | { readonly kind: "cut-over" }
  | {
      readonly kind: "done";
      readonly lsn: number;
      readonly appendedEvents: number;
      readonly answersBefore: number;
      readonly answersAfter: number;
      readonly wrongAnswers: number;
      /** From the first rebuild until a second after the cut-over. */
      readonly loopDelayMs: LoopDelay;
      /** Of the new version's state as of `lsn`. */
      readonly digest: string;
    };

const EVENTS_PER_APPEND_MAX = 100;
const APPENDS_IN_FLIGHT_MAX = 64;
const TICK_MS = 5;
const ANSWERS_PER_TICK = 10;
/** Coprime to most numbers of accounts: each answer is of another one. */
const STRIDE = 7_919;
const BASELINE_MS = 1_500;
const AFTER_CUT_OVER_MS = 1_000;
const NS_PER_MS = 1_000_000;

/** What it needs of the read model that it serves. */
interface Running {
  readonly state: ReadonlyMap<string, Account>;
  readonly lsn: number;
  readonly version: number;
}

/** Appends the events in the order of their numbers. */
class Booker {
  readonly #store: Store;
  readonly #accounts: number;
  #count = 0;

  constructor(store: Store, accounts: number) {
    this.#store = store;
    this.#accounts = accounts;
  }

  get count(): number {
    return this.#count;
  }

  async append(count: number): Promise<void> {
    const first = this.#count;
    this.#count += count;
    const events = Array.from({ length: count }, (_, index) => ({
      type: BOOKED,
      data: bookingOf(first + index, this.#accounts),
    }));
    const { lsn } = await this.#store.append(bookingStreamOf(first), events);
    if (lsn !== first + count) throw new Error(`event ${first + count - 1} has the LSN ${lsn}`);
  }

  async fill(events: number): Promise<void> {
    const window = new AppendWindow(APPENDS_IN_FLIGHT_MAX);
    while (this.#count < events) {
      await window.whenRoom();
      const count = Math.min(EVENTS_PER_APPEND_MAX, events - this.#count);
      window.add(this.append(count), count, (error) => error);
    }
    await window.whenEmpty();
  }
}

/** Reads the projection and appends, every few milliseconds, until it is stopped. */
class Application {
  readonly answers = { before: 0, after: 0, wrong: 0 };
  readonly #task: RebuildServerTask;
  readonly #running: Running;
  readonly #booker: Booker;
  #isStopping = false;
  readonly #serving: Promise<void>;

  constructor(task: RebuildServerTask, running: Running, booker: Booker, onFailure: (error: unknown) => void) {
    this.#task = task;
    this.#running = running;
    this.#booker = booker;
    this.#serving = this.#serve();
    this.#serving.catch(onFailure);
  }

  stop(): Promise<void> {
    this.#isStopping = true;
    return this.#serving;
  }

  async #serve(): Promise<void> {
    const { events, appendsPerSecond } = this.#task;
    const startedMs = performance.now();
    for (let turn = 0; !this.#isStopping; turn += ANSWERS_PER_TICK) {
      for (let count = 0; count < ANSWERS_PER_TICK; count += 1) this.#answer(turn + count);
      const due = Math.floor(((performance.now() - startedMs) * appendsPerSecond) / 1_000);
      const missing = Math.min(due - (this.#booker.count - events), EVENTS_PER_APPEND_MAX);
      if (missing > 0) await this.#booker.append(missing);
      await delay(TICK_MS);
    }
  }

  #answer(turn: number): void {
    const { accounts } = this.#task;
    const { state, lsn, version } = this.#running;
    if (!isRight(state, { lsn, version }, (turn * STRIDE) % accounts, accounts)) this.answers.wrong += 1;
    if (version === accountsBefore.version) this.answers.before += 1;
    else this.answers.after += 1;
  }
}

class LoopDelayMeter {
  readonly #histogram = monitorEventLoopDelay({ resolution: 1 });

  constructor() {
    this.#histogram.enable();
  }

  /** Of the time since the last call. */
  next(): LoopDelay {
    const inMs = (ns: number): number => Math.round((ns / NS_PER_MS) * 100) / 100;
    const { max } = this.#histogram;
    const summary = {
      p50: inMs(this.#histogram.percentile(50)),
      p99: inMs(this.#histogram.percentile(99)),
      max: inMs(max),
    };
    this.#histogram.reset();
    return summary;
  }

  stop(): void {
    this.#histogram.disable();
  }
}

async function serve(
  store: Store,
  booker: Booker,
  task: RebuildServerTask,
  parent: PeerParent<"stop", RebuildServerReport>,
  fillSeconds: number,
): Promise<void> {
  let failure: { readonly error: unknown } | null = null;
  const fail = (error: unknown): void => {
    failure ??= { error };
  };
  const onReport = (report: ProjectionReport): void => {
    if ("error" in report) fail(report.error);
  };
  const running = await store.project(accountsAfter, { previous: accountsBefore, rebuildIn: "job", onReport });
  const application = new Application(task, running, booker, fail);
  const meter = new LoopDelayMeter();
  await delay(BASELINE_MS);
  parent.tell({ kind: "serving", fillSeconds, loopDelayBeforeMs: meter.next() });
  while (running.version === accountsBefore.version && failure === null) await delay(TICK_MS);
  await delay(AFTER_CUT_OVER_MS);
  const loopDelayMs = meter.next();
  meter.stop();
  parent.tell({ kind: "cut-over" });
  await parent.next();
  await application.stop();
  await running.whenCaughtUp();
  if (failure !== null) throw (failure as { readonly error: unknown }).error;
  const { before, after, wrong } = application.answers;
  parent.tell({
    kind: "done",
    lsn: running.lsn,
    appendedEvents: booker.count - task.events,
    answersBefore: before,
    answersAfter: after,
    wrongAnswers: wrong,
    loopDelayMs,
    digest: digestOf((account) => running.state.get(String(account)), task.accounts),
  });
}

await servePeer<RebuildServerTask, "stop", RebuildServerReport>(async (task, parent) => {
  const store = await openStore(task.store);
  try {
    const startedMs = performance.now();
    const booker = new Booker(store, task.accounts);
    await booker.fill(task.events);
    const old = await store.project(accountsBefore);
    await old.whenCaughtUp();
    await old.close();
    await serve(store, booker, task, parent, (performance.now() - startedMs) / 1_000);
  } finally {
    await store.close();
  }
});
