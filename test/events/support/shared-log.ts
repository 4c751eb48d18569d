/**
 * A log in memory that several writers share, each with an appender of its own over one real head table. The test says when a batch gets
 * its LSNs, when it is durable, and when its writer hears of it: in that order, and each as late as it likes.
 */

import { StoreError } from "../../../src/errors.js";
import { Appender } from "../../../src/events/appender.js";
import { EventSource } from "../../../src/events/event-source.js";
import type { AppendResult, EventInput, ExpectedVersion } from "../../../src/events/index.js";
import { LogFollower } from "../../../src/events/log-follower.js";
import { EventPreparer } from "../../../src/events/prepare-event.js";
import { EventDecoder } from "../../../src/events/recorded-event.js";
import { RETENTION_STREAM } from "../../../src/events/retention-event.js";
import { enterRetention, RetentionGate } from "../../../src/events/retention-gate.js";
import { SchemaRegistry } from "../../../src/events/schema-registry.js";
import { type SealedStreams, StreamHistory } from "../../../src/events/stream-history.js";
import { StreamIndex } from "../../../src/events/stream-index.js";
import { StreamReplay } from "../../../src/events/stream-replay.js";
import type { AlignedBuffer } from "../../../src/ffi/index.js";
import { Batch } from "../../../src/wal/batch.js";
import { FRAME_HEADER_BYTES } from "../../../src/wal/format.js";
import { HeadTable } from "../../../src/wal/head-table.js";
import type { Frame, Wal } from "../../../src/wal/index.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const BATCH_BYTES = 64 * 1024;
const BUSY_WAIT_MS = 300;
const GENERATION = 1;

interface SealedBatch {
  readonly writer: SharedWriter;
  readonly batch: Batch;
}

export class SharedLog {
  readonly directory: string = temporaryDirectory();
  readonly frames: Frame[] = [];
  readonly writers: SharedWriter[] = [];
  watermark = 0;
  #nextLsn = 1;
  /** In LSN order, not visible yet. */
  readonly #sealed: SealedBatch[] = [];
  #waiters: (() => void)[] = [];

  open(): SharedWriter {
    const slot = this.writers.length;
    const me = { slot, generation: GENERATION };
    const heads = slot === 0 ? HeadTable.create(this.directory, me) : HeadTable.attach(this.directory, me);
    const writer = new SharedWriter(this, slot, heads);
    this.writers.push(writer);
    return writer;
  }

  seal(writer: SharedWriter, batch: Batch): void {
    batch.status = "sealed";
    batch.firstLsn = this.#nextLsn;
    this.#nextLsn += batch.recordCount;
    this.#sealed.push({ writer, batch });
  }

  /** LSNs that nobody gets: what a writer took that died. */
  skip(count: number): void {
    this.#nextLsn += count;
    if (this.#sealed.length === 0) this.watermark = this.#nextLsn - 1;
  }

  /** W passes every durable batch that has none before it that is not. */
  advance(): void {
    for (
      let first = this.#sealed[0];
      first !== undefined && first.batch.status === "durable";
      first = this.#sealed[0]
    ) {
      const { batch, writer } = first;
      this.#sealed.shift();
      const body = Buffer.from(batch.bytes.subarray(FRAME_HEADER_BYTES, batch.used));
      const header = { firstLsn: batch.firstLsn, recordCount: batch.recordCount } as Frame["header"];
      this.frames.push({ header, body });
      this.watermark = batch.firstLsn + batch.recordCount - 1;
      writer.noteVisible(batch);
    }
    if (this.#sealed.length === 0) this.watermark = this.#nextLsn - 1;
    this.wake();
  }

  wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  whenChanged(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  close(): void {
    for (const { heads } of this.writers) heads.close();
  }
}

const NOTHING_SEALED: SealedStreams = {
  mayHold: () => false,
  streamHead: () => Promise.resolve(null),
  streamStart: () => Promise.resolve(1),
  streamLsns: () => Promise.resolve([]),
  async *framesOf() {},
  whenSealed: () => Promise.resolve(),
};

export class SharedWriter {
  readonly slot: number;
  readonly heads: HeadTable;
  readonly index: StreamIndex = new StreamIndex();
  readonly follower: LogFollower;
  readonly source: EventSource;
  readonly appender: Appender;
  /** Whether there are buffers. */
  hasRoom = true;
  /** Whether the writer hears at once of what is visible. */
  isTold = true;
  /** What `whenChanged` rejects with. */
  busyError: StoreError | null = null;
  visibleEpoch = 0;
  framesRead = 0;
  readonly #log: SharedLog;
  #open: Batch | null = null;
  /** Sealed, not durable yet. */
  readonly #written: Batch[] = [];
  /** Batches that are sealed and not visible. */
  #hiddenCount = 0;
  /** Visible, and this writer was not told. */
  readonly #untold: Batch[] = [];
  #roomWaiters: (() => void)[] = [];
  #nextEpoch = 1;

  constructor(log: SharedLog, slot: number, heads: HeadTable) {
    this.#log = log;
    this.slot = slot;
    this.heads = heads;
    const registry = SchemaRegistry.load([], new Map(), false);
    const wal = this.#wal();
    this.follower = new LogFollower(wal, this.index, new StreamReplay(this.index));
    const decoder = new EventDecoder(registry, new Uint8Array(16));
    const history = new StreamHistory(this.index, this.follower, NOTHING_SEALED);
    this.source = new EventSource(wal, history, decoder, () => false);
    const options = { durability: "group", busyWaitMs: BUSY_WAIT_MS } as const;
    enterRetention(heads);
    const gate = new RetentionGate({
      heads,
      follower: this.source.retention,
      watermark: () => log.watermark,
      version: () => this.visibleVersion(RETENTION_STREAM),
      assertOpen: () => {},
    });
    this.appender = new Appender(wal, this.index, new EventPreparer(registry), options, gate, {
      learnRetention: () => gate.learn(),
      mayBeSealed: () => false,
      findBase: (head) => history.findBase(head),
      catchUp: () => this.follower.catchUp(),
      loadIds: (head) => this.source.loadIds(head),
      readIds: (stream, firstVersion, count) => this.source.readIds(stream, firstVersion, count),
    });
  }

  async visibleVersion(stream: string): Promise<number> {
    return (await this.appender.visibleVersion(stream)) ?? 0;
  }

  #wal(): Wal {
    const log = this.#log;
    const self = this;
    const wal = {
      slot: this.slot,
      generation: GENERATION,
      heads: this.heads,
      status: "open",
      appendBytesMax: BATCH_BYTES / 2,
      get watermark() {
        return log.watermark;
      },
      assertWritable: () => {},
      batchFor: () => this.#batch(),
      demand: () => {},
      whenRoom: () => new Promise<void>((resolve) => this.#roomWaiters.push(resolve)),
      flush: () => this.flush(),
      isCommitted: (slot: number, _generation: number, epoch: number) =>
        (log.writers[slot] as SharedWriter).visibleEpoch >= epoch,
      pause: () => new Promise<void>((resolve) => setTimeout(resolve, 1)),
      whenChanged: (slot: number, _generation: number, epoch: number) => {
        if (this.busyError !== null) return Promise.reject(this.busyError);
        return wal.isCommitted(slot, GENERATION, epoch) ? Promise.resolve() : log.whenChanged();
      },
      async *frames(after: number, through: number) {
        for (const frame of log.frames) {
          const { firstLsn, recordCount } = frame.header;
          if (firstLsn + recordCount - 1 <= after || firstLsn > through) continue;
          await Promise.resolve();
          self.framesRead++;
          yield frame;
        }
      },
      frameOf: (lsn: number) =>
        log.frames.find(({ header }) => lsn >= header.firstLsn && lsn < header.firstLsn + header.recordCount),
    };
    return wal as unknown as Wal;
  }

  #batch(): Batch | null {
    if (!this.hasRoom) return null;
    if (this.#open !== null && this.#open.room > BATCH_BYTES / 2) return this.#open;
    this.seal();
    const buffer = { bytes: Buffer.alloc(BATCH_BYTES) } as AlignedBuffer;
    this.#open = new Batch(buffer, this.#nextEpoch++, () => {});
    return this.#open;
  }

  giveRoom(): void {
    this.hasRoom = true;
    for (const resolve of this.#roomWaiters.splice(0)) resolve();
  }

  /** The open batch gets its LSNs. */
  seal(): void {
    const batch = this.#open;
    if (batch === null || batch.recordCount === 0) return;
    this.#open = null;
    this.#written.push(batch);
    this.#hiddenCount++;
    this.#log.seal(this, batch);
  }

  /** The oldest batches that were sealed are durable. */
  write(count: number = this.#written.length): void {
    for (const batch of this.#written.splice(0, count)) batch.status = "durable";
    this.#log.advance();
  }

  /** Everything of this writer is durable. */
  commit(): void {
    this.seal();
    this.write();
  }

  noteVisible(batch: Batch): void {
    this.visibleEpoch = batch.epoch;
    this.#hiddenCount--;
    this.#untold.push(batch);
    if (this.isTold) this.tell();
  }

  /** The writer hears of what is visible. */
  tell(): void {
    for (const batch of this.#untold.splice(0)) {
      for (const ticket of batch.tickets) ticket.committed(batch.firstLsn, 0);
    }
  }

  /** The open batch is refused for lack of space. */
  refuse(): void {
    const batch = this.#open;
    this.#open = null;
    if (batch !== null) for (const ticket of batch.tickets) ticket.failed(new StoreError("ERR_WAL_FULL", "refused"));
    this.#log.wake();
  }

  async flush(): Promise<void> {
    this.commit();
    while (this.#hiddenCount > 0) await this.#log.whenChanged();
    this.tell();
  }

  append(
    stream: string,
    events: EventInput | readonly EventInput[],
    expectedVersion: ExpectedVersion = "any",
  ): Promise<AppendResult> {
    return this.appender.append(stream, events, { expectedVersion }, true) as Promise<AppendResult>;
  }
}
