/** What a simulated process does with the store that it has open: several callers at once, each one thing after the other. */

import type { AppendResult, BackupReport, Durability, EventInput, Store, StoreError } from "../../src/index.js";
import { isStoreError } from "../../src/index.js";
import type { Chance } from "./chance.js";
import { dataOf, EVENT_TYPE, type History, type Part } from "./history.js";
import type { Keyring } from "./keyring.js";
import { seenEvent } from "./read-log.js";
import { BACKUP_DIRECTORIES } from "./seed-plan.js";
import type { SimulatedProcess } from "./simulated-process.js";
import { idOf } from "./subject-oracle.js";

export const STREAM_COUNT = 6;
const EVENTS_MAX = 4;
const SUBJECT_COUNT = 4;
const PAUSE_MS_MAX = 6;
/** Behind every simulated clock. */
export const LATER_US = 9e15;

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
  "ERR_STORE_BUSY", // the file of subject keys
]);
/** These may come only where something was damaged. */
export const SAYS_DAMAGED: ReadonlySet<string> = new Set([
  "ERR_WAL_CORRUPT",
  "ERR_WAL_TAMPERED",
  "ERR_KEY_MISSING",
  "ERR_KEY_WRONG",
  "ERR_BACKUP_DIVERGED",
  "ERR_STORE_EXISTS",
  "ERR_WAL_FOREIGN",
]);
/** After these the process has nothing more to do with this store. */
const ENDS_THE_STORE: ReadonlySet<string> = new Set(["ERR_WAL_FAILED", "ERR_WAL_OUTCOME_UNKNOWN", "ERR_STORE_CLOSED"]);

export interface CallerPlan {
  readonly hasRetention: boolean;
  readonly hasGraph: boolean;
  readonly steps: number;
  readonly checkpoints: number;
  /** Of appends that do not wait until they are durable. */
  readonly async: number;
  readonly rotations: number;
  readonly backups: number;
  readonly subjects: number;
  readonly forgettings: number;
}

export interface CallerParts {
  readonly history: History;
  readonly chance: Chance;
  readonly name: string;
  readonly plan: CallerPlan;
  readonly keyring: Keyring;
  readonly onRotated: () => void;
  readonly onBackedUp: (directory: string, report: BackupReport) => void;
  readonly onCorrupt: (error: StoreError) => void;
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
  readonly #parts: CallerParts;
  #appends = 0;

  constructor(process: SimulatedProcess, store: Store, parts: CallerParts) {
    const { history, chance, name, plan } = parts;
    this.#parts = parts;
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
    if (this.#plan.hasRetention && happens(0.15)) return this.#tolerate("retention", () => this.#forget());
    if (this.#plan.hasGraph && happens(0.2)) return this.#tolerate("graph", () => this.#changeGraph());
    if (happens(this.#plan.rotations)) return this.#tolerate("rotateKey", () => this.#rotateKey());
    if (happens(this.#plan.backups)) return this.#tolerate("backup", () => this.#backUp());
    if (happens(this.#plan.forgettings)) return this.#tolerate("forget", () => this.#forgetSubject());
    if (happens(0.06)) return this.#tolerate("readStream", () => this.#readStream());
    if (happens(0.03)) return this.#tolerate("readAll", () => this.#readLast());
    const isAsync = happens(this.#plan.async);
    return this.#append(isAsync || integer(5) > 0 ? this.#streams(1) : this.#streams(1 + integer(3)), isAsync);
  }

  #streams(count: number): Part[] {
    // Of an append to a stream that forgets a part may be gone, so it is to that stream only.
    const isShort = this.#plan.hasRetention && count === 1 && this.#chance.integer(2) === 0;
    const prefix = isShort ? "short" : "stream";
    const streams = new Set(Array.from({ length: count }, () => `${prefix}-${this.#chance.integer(STREAM_COUNT)}`));
    return [...streams].map((stream) => ({ stream, count: 1 + this.#chance.integer(EVENTS_MAX) }));
  }

  async #append(parts: readonly Part[], isAsync: boolean): Promise<boolean> {
    const { integer, pick } = this.#chance;
    const name = `${this.#name}.${this.#appends++}`;
    const total = parts.reduce((sum, { count }) => sum + count, 0);
    let index = 0;
    const appends = parts.map(({ stream, count }) => ({
      stream,
      events: Array.from({ length: count }, () => this.#event(name, index++, total)),
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

  #event(name: string, index: number, count: number): EventInput {
    const { happens, integer } = this.#chance;
    const event = { type: EVENT_TYPE, data: dataOf(name, index, count) };
    if (!happens(this.#plan.subjects)) return event;
    const subject = `person-${integer(SUBJECT_COUNT)}`;
    return { ...event, subject, id: idOf({ name, index, count }, subject) };
  }

  async #forgetSubject(): Promise<void> {
    const subject = `person-${this.#chance.integer(SUBJECT_COUNT)}`;
    const acknowledge = this.#history.subjects.ask(subject);
    await this.#store.forget(subject);
    acknowledge();
  }

  async #appendAsync(
    name: string,
    stream: string,
    events: readonly EventInput[],
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
    else {
      this.#parts.onCorrupt(error); // found while a stream's state was read: whether something was written is not said
      this.#history.loseSight(name);
      return false;
    }
    return !ENDS_THE_STORE.has(error.code);
  }

  async #tolerate(what: string, run: () => Promise<unknown>): Promise<boolean> {
    try {
      await run();
      return true;
    } catch (error) {
      if (!isStoreError(error)) throw thrownBy(what, error);
      if (SAYS_DAMAGED.has(error.code)) this.#parts.onCorrupt(error);
      return !ENDS_THE_STORE.has(error.code);
    }
  }

  async #readStream(): Promise<void> {
    const stream = `stream-${this.#chance.integer(STREAM_COUNT)}`;
    const { horizon } = this.#store;
    let version = 0;
    for await (const event of this.#store.readStream(stream)) {
      this.#history.see(seenEvent(event));
      if (event.version !== version + 1 && !(version === 0 && horizon + this.#store.horizon > 0))
        throw new Error(`${stream}: version ${event.version} follows ${version}`);
      version = event.version;
    }
  }

  async #backUp(): Promise<void> {
    const directory = this.#chance.pick(BACKUP_DIRECTORIES);
    this.#parts.onBackedUp(directory, await this.#store.backup(directory));
  }

  async #rotateKey(): Promise<void> {
    await this.#store.rotateKey(this.#parts.keyring.anyKey(this.#process));
    this.#parts.onRotated();
  }

  /** One wish, or its carrying out. */
  async #forget(): Promise<void> {
    const { integer } = this.#chance;
    const store = this.#store;
    const stream = `short-${integer(STREAM_COUNT)}`;
    const version = await store.streamVersion(stream);
    const what = integer(9);
    if (what === 0) await store.scavenge();
    else if (what === 1) await store.compact();
    else if (what === 2 && integer(4) === 0) await this.#truncate();
    else if (what < 5 && version > 0) {
      const before = 1 + integer(version + 1);
      this.#history.mayForget(stream, before - 1);
      await store.truncateStream(stream, { before });
      await this.#checkStart(stream, before);
    } else if (what < 7 && version > 0) {
      this.#history.mayForget(stream, Number.POSITIVE_INFINITY);
      await store.deleteStream(stream);
      await this.#checkStart(stream, version + 1);
    } else if (what === 7) {
      this.#history.mayForget(stream, Number.POSITIVE_INFINITY);
      await store.retainStream(stream, { maxCount: 1 + integer(6) });
    } else if (integer(6) === 0) {
      this.#history.mayForget(stream, Number.POSITIVE_INFINITY);
      await store.tombstoneStream(stream);
      await this.#checkTombstone(stream);
    }
  }

  async #truncate(): Promise<void> {
    const lsn = 1 + this.#chance.integer(this.#store.watermark + 1);
    this.#history.mayDrop(lsn - 1);
    await this.#store.truncateBefore(lsn, { archive: "none" });
  }

  /** What was acknowledged as forgotten is not seen any more. */
  async #checkStart(stream: string, first: number): Promise<void> {
    for await (const { version } of this.#store.readStream(stream)) {
      if (version < first) throw new Error(`${stream}@${version} is read, and was forgotten below ${first}`);
    }
  }

  async #checkTombstone(stream: string): Promise<void> {
    try {
      for await (const { version } of this.#store.readStream(stream)) throw new Error(`${stream}@${version} is read`);
      throw new Error(`${stream} is read, and has a tombstone`);
    } catch (error) {
      if (!isStoreError(error)) throw error;
    }
  }

  async #changeGraph(): Promise<void> {
    const { integer } = this.#chance;
    const graph = await this.#store.graph();
    const properties = { n: integer(1000), text: `${this.#name}-${integer(9)}` };
    const ids = [...graph.asOf({ validAt: LATER_US }).find({ label: "Thing" })].map((node) => node.id);
    const id = ids[integer(ids.length)] ?? 1;
    const what = integer(5);
    if (ids.length < 3 || what === 0)
      this.#history.acknowledgeLsn((await graph.createNode({ label: "Thing", properties })).lsn);
    else if (what < 3) this.#history.acknowledgeLsn((await graph.patchNode(id, properties)).lsn);
    else if (what === 3) {
      const ends = { source: id, target: ids[integer(ids.length)] as number };
      this.#history.acknowledgeLsn((await graph.createEdge({ label: "to", ...ends, properties })).lsn);
    } else this.#history.acknowledgeLsn((await graph.putNode(id, { label: "Thing", properties })).lsn);
  }

  /** The newest events of the log. */
  async #readLast(): Promise<void> {
    const after = Math.max(this.#store.horizon, this.#store.watermark - 20);
    for await (const event of this.#store.readAll({ after })) this.#history.see(seenEvent(event));
  }
}
