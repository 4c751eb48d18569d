/** An appender over a real writer whose disk obeys the test: writes can be held back, and writes and allocations can fail. */

import { randomFillSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Appender } from "../../../src/events/appender.js";
import type { Durability } from "../../../src/events/index.js";
import { EventPreparer } from "../../../src/events/prepare-event.js";
import { RetentionFollower } from "../../../src/events/retention-follower.js";
import { enterRetention, RetentionGate } from "../../../src/events/retention-gate.js";
import { SchemaRegistry } from "../../../src/events/schema-registry.js";
import { StreamIndex } from "../../../src/events/stream-index.js";
import { type BlockIo, openIo } from "../../../src/ffi/index.js";
import { ControlFile } from "../../../src/wal/control-file.js";
import { CoreWriter } from "../../../src/wal/core-writer.js";
import { HeadTable } from "../../../src/wal/head-table.js";
import type { Wal } from "../../../src/wal/index.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

/** What the disk does with the frames that are written to it. */
export class DiskControl {
  /** Whether writes wait for `release`. */
  isHeld = false;
  /** A negative errno that writes end with instead of being done. */
  writeErrno: number | null = null;
  /** A negative errno that the allocation of another segment ends with. */
  allocateErrno: number | null = null;
  readonly #held: (() => void)[] = [];

  get heldCount(): number {
    return this.#held.length;
  }

  run(write: () => void): void {
    if (this.isHeld) this.#held.push(write);
    else write();
  }

  /** Lets held writes go on, the oldest first. */
  release(count: number = this.#held.length): void {
    for (const write of this.#held.splice(0, count)) write();
  }
}

function controlledIo(io: BlockIo, control: DiskControl): BlockIo {
  return {
    description: io.description,
    get inFlightCount() {
      return io.inFlightCount + control.heldCount;
    },
    openFlags: (mode) => io.openFlags(mode),
    write: (fd, buffer, bufferOffset, length, fileOffset, durable, completion) => {
      const isFrame = durable && fileOffset > 0;
      const write = (): void => {
        const { writeErrno } = control;
        if (isFrame && writeErrno !== null) setImmediate(() => completion.complete(writeErrno));
        else io.write(fd, buffer, bufferOffset, length, fileOffset, durable, completion);
      };
      if (isFrame) control.run(write);
      else write();
    },
    writePublished: (fd, buffer, bufferOffset, length, fileOffset, publication, completion) =>
      control.run(() => {
        const { writeErrno } = control;
        if (writeErrno !== null) setImmediate(() => completion.complete(writeErrno));
        else io.writePublished(fd, buffer, bufferOffset, length, fileOffset, publication, completion);
      }),
    read: (fd, buffer, bufferOffset, length, fileOffset, completion) =>
      io.read(fd, buffer, bufferOffset, length, fileOffset, completion),
    dataSync: (fd, completion) => io.dataSync(fd, completion),
    allocate: (fd, byteLength, completion) => {
      const { allocateErrno } = control;
      if (allocateErrno !== null) setImmediate(() => completion.complete(allocateErrno));
      else io.allocate(fd, byteLength, completion);
    },
    sleepOn: (file, offset, expected, completion) => io.sleepOn(file, offset, expected, completion),
    wake: (file, offset) => io.wake(file, offset),
    submit: () => io.submit(),
    collect: () => io.collect(),
    close: () => io.close(),
  };
}

export interface ControlledLog {
  readonly appender: Appender;
  readonly index: StreamIndex;
  readonly writer: CoreWriter;
  readonly disk: DiskControl;
  /** LSNs by the order in which W passed them. */
  readonly watermarks: readonly number[];
  close(): Promise<void>;
}

export async function openControlledLog(
  segmentBytes: number,
  durability: Durability = "group",
): Promise<ControlledLog> {
  const directory = temporaryDirectory();
  const probe = join(directory, "probe");
  writeFileSync(probe, "");
  const io = openIo("buffered", probe);
  const disk = new DiskControl();
  const owner = {
    directory,
    storeId: randomFillSync(new Uint8Array(16)),
    core: 0,
    incarnation: 1,
    generation: 1,
    segmentBytes,
  };
  const start = { storeId: owner.storeId, incarnation: 1, durableLsn: 0, lastRecordedAt: 0, slotCount: 1 };
  const control = ControlFile.create(directory, start);
  control.attach(0, process.pid);
  const watermarks: number[] = [];
  const writer = new CoreWriter(
    controlledIo(io, disk),
    owner,
    control,
    1,
    { clock: () => Date.now() * 1000, flushIntervalMs: 60_000 },
    {
      onFrame: () => {},
      onAdvance: (watermark) => watermarks.push(watermark),
      onSealed: () => {},
      onBlocked: () => {},
    },
  );
  await writer.start();
  const me = { slot: 0, generation: 1 };
  const heads = HeadTable.create(directory, me);
  const wal = {
    ...me,
    heads,
    get status() {
      return writer.status;
    },
    pause: () => new Promise((resolve) => setTimeout(resolve, 1)),
    isCommitted: (_slot: number, _generation: number, epoch: number) => epoch <= writer.durableEpoch,
    get appendBytesMax() {
      return writer.appendBytesMax;
    },
    assertWritable: () => writer.assertWritable(),
    batchFor: (...args: Parameters<CoreWriter["batchFor"]>) => writer.batchFor(...args),
    demand: (...args: Parameters<CoreWriter["demand"]>) => writer.demand(...args),
    whenRoom: () => writer.whenRoom(),
    flush: () => writer.drain(),
  } as unknown as Wal;
  const index = new StreamIndex();
  const preparer = new EventPreparer(SchemaRegistry.load([], new Map(), false));
  const unread = (): Promise<never> => Promise.reject(new Error("the log is not read"));
  const nothing = (): Promise<number> => Promise.resolve(0);
  const follower = new RetentionFollower({ versionAt: nothing, async *streamEvents() {} });
  enterRetention(heads);
  const gate = new RetentionGate({ heads, follower, watermark: () => 0, version: nothing, assertOpen: () => {} });
  const ids = {
    learnRetention: unread,
    mayBeSealed: () => false,
    findBase: unread,
    catchUp: () => Promise.resolve(),
    loadIds: () => Promise.resolve(),
    readIds: unread,
  };
  const appender = new Appender(wal, index, preparer, { durability, busyWaitMs: 1000 }, gate, ids);
  const close = async (): Promise<void> => {
    disk.isHeld = false;
    disk.release();
    await writer.close();
    await io.close();
    control.close();
    heads.close();
  };
  return { appender, index, writer, disk, watermarks, close };
}
