/** What a simulated process does with the store that it has open: several callers at once, each one thing after the other. */

import type { AppendResult, Durability, Store } from "../../src/index.js";
import { isStoreError } from "../../src/index.js";
import type { Chance } from "./chance.js";
import { dataOf, EVENT_TYPE, type History, type Part } from "./history.js";
import { seenEvent } from "./read-log.js";
import type { SimulatedProcess } from "./simulated-process.js";

const STREAM_COUNT = 6;
const EVENTS_MAX = 4;
const PAUSE_MS_MAX = 6;

/** Nothing of the append is in the log, for good. */
const NOTHING_WRITTEN: ReadonlySet<string> = new Set([
  "ERR_EVENTS_VERSION_CONFLICT",
  "ERR_WAL_FULL",
  "ERR_WAL_BUSY",
  "ERR_WAL_FAILED",
  "ERR_WAL_BUFFER_FULL",
  "ERR_WAL_TOO_LARGE",
  "ERR_STORE_CLOSED",
  "ERR_STREAM_TOMBSTONED",
]);
/** After these the process has nothing more to do with this store. */
const ENDS_THE_STORE: ReadonlySet<string> = new Set(["ERR_WAL_FAILED", "ERR_WAL_OUTCOME_UNKNOWN", "ERR_STORE_CLOSED"]);

export interface CallerPlan {
  readonly steps: number;
  readonly checkpoints: number;
  /** Of appends that do not wait until they are durable. */
  readonly async: number;
}

/** What is no `StoreError` is a mistake, of the store or of this. */
export function thrownBy(what: string, error: unknown): Error {
  return new Error(`${what} threw ${String(error)}`, { cause: error });
}

export class Caller {
  readonly #process: SimulatedProcess;
  readonly #store: Store;
  readonly #history: History;
  readonly #chance: Chance;
  readonly #name: string;
  readonly #plan: CallerPlan;
  #appends = 0;

  constructor(
    process: SimulatedProcess,
    store: Store,
    history: History,
    chance: Chance,
    name: string,
    plan: CallerPlan,
  ) {
    this.#process = process;
    this.#store = store;
    this.#history = history;
    this.#chance = chance;
    this.#name = name;
    this.#plan = plan;
  }

  /** Ends early where the store takes no more. */
  async run(): Promise<void> {
    for (let step = 0; step < this.#plan.steps; step++) {
      if (!(await this.#step())) return;
      if (this.#chance.integer(3) === 0) await this.#process.sleep(this.#chance.next() * PAUSE_MS_MAX);
    }
  }

  async #step(): Promise<boolean> {
    const { happens, integer } = this.#chance;
    if (happens(this.#plan.checkpoints)) return this.#tolerate("checkpoint", () => this.#store.checkpoint());
    if (happens(0.06)) return this.#tolerate("readStream", () => this.#readStream());
    if (happens(0.03)) return this.#tolerate("readAll", () => this.#readLast());
    const isAsync = happens(this.#plan.async);
    return this.#append(isAsync || integer(5) > 0 ? this.#parts(1) : this.#parts(1 + integer(3)), isAsync);
  }

  #parts(count: number): Part[] {
    const streams = new Set(Array.from({ length: count }, () => `stream-${this.#chance.integer(STREAM_COUNT)}`));
    return [...streams].map((stream) => ({ stream, count: 1 + this.#chance.integer(EVENTS_MAX) }));
  }

  async #append(parts: readonly Part[], isAsync: boolean): Promise<boolean> {
    const { integer, pick } = this.#chance;
    const name = `${this.#name}.${this.#appends++}`;
    const total = parts.reduce((sum, { count }) => sum + count, 0);
    let index = 0;
    const appends = parts.map(({ stream, count }) => ({
      stream,
      events: Array.from({ length: count }, () => ({ type: EVENT_TYPE, data: dataOf(name, index++, total) })),
    }));
    const durability: Durability = isAsync ? pick(["async", "asyncBatched"]) : pick(["group", "group", "sync"]);
    this.#history.attempt(name, parts);
    try {
      const [first] = appends as [(typeof appends)[number]];
      let results: AppendResult[];
      if (isAsync) {
        await this.#appendAsync(name, first.stream, first.events, durability as "async");
        return true;
      }
      if (parts.length > 1) results = await this.#store.appendMany(appends, { durability });
      else {
        const expectedVersion = integer(4) > 0 ? "any" : await this.#store.streamVersion(first.stream);
        results = [await this.#store.append(first.stream, first.events, { durability, expectedVersion })];
      }
      this.#history.acknowledge(name, results);
      return true;
    } catch (error) {
      return this.#failed(name, error);
    }
  }

  async #appendAsync(
    name: string,
    stream: string,
    events: readonly { readonly type: string; readonly data: unknown }[],
    durability: "async" | "asyncBatched",
  ): Promise<void> {
    const { epoch } = await this.#store.append(stream, events, { durability });
    const durable = this.#store.whenDurable(epoch).then(
      ({ lsn }) => this.#history.becameDurable(name, lsn),
      () => this.#history.loseSight(name),
    );
    if (this.#chance.integer(2) === 0) await durable;
  }

  #failed(name: string, error: unknown): boolean {
    if (!isStoreError(error)) throw thrownBy("append", error);
    if (NOTHING_WRITTEN.has(error.code)) this.#history.refuse(name, error.code);
    else if (error.code === "ERR_WAL_OUTCOME_UNKNOWN" || error.code === "ERR_IO_FAILED") this.#history.loseSight(name);
    else throw error;
    return !ENDS_THE_STORE.has(error.code);
  }

  async #tolerate(what: string, run: () => Promise<unknown>): Promise<boolean> {
    try {
      await run();
      return true;
    } catch (error) {
      if (!isStoreError(error)) throw thrownBy(what, error);
      return !ENDS_THE_STORE.has(error.code);
    }
  }

  async #readStream(): Promise<void> {
    const stream = `stream-${this.#chance.integer(STREAM_COUNT)}`;
    let version = 0;
    for await (const event of this.#store.readStream(stream)) {
      this.#history.see(seenEvent(event));
      if (event.version !== version + 1) throw new Error(`${stream}: version ${event.version} follows ${version}`);
      version = event.version;
    }
  }

  /** The newest events of the log. */
  async #readLast(): Promise<void> {
    const after = Math.max(0, this.#store.watermark - 20);
    for await (const event of this.#store.readAll({ after })) this.#history.see(seenEvent(event));
  }
}
