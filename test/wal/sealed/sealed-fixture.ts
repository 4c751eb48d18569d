/** Sealed segments as the tests use them: frames of plain records "name\0version:payload", and what the log must say of them. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type BlockIo, BufferPool, openIo } from "../../../src/ffi/index.js";
import { checksum } from "../../../src/wal/checksum.js";
import { RECORD_HEADER_BYTES } from "../../../src/wal/format.js";
import type { RecordKey } from "../../../src/wal/record-key.js";
import { CHAIN_START } from "../../../src/wal/sealed/hash-chain.js";
import { type MergeOptions, mergeFrames } from "../../../src/wal/sealed/merge-frames.js";
import type { NameHasher } from "../../../src/wal/sealed/name-hash.js";
import type { SealedEntry } from "../../../src/wal/sealed/sealed-entry.js";
import type { LogFrame } from "../../../src/wal/sealed/sealed-format.js";
import { SealedLog } from "../../../src/wal/sealed/sealed-log.js";
import type { SeededRandom } from "../../support/seeded-random.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { type FaultyIo, faultyIo } from "../support/faulty-io.js";

export const STORE_ID: Uint8Array = new Uint8Array(16).fill(5);

/** The key of a record "name\0version:payload". */
export function keyOf(body: Buffer, start: number, end: number): RecordKey {
  const nameEnd = body.indexOf(0, start);
  const version = Number.parseInt(body.toString("latin1", nameEnd + 1, end), 10);
  return { nameStart: start, nameEnd, version };
}

/** All names share one hash, or one of two. */
export const collidingHasher: NameHasher = (hash, bytes, start, end) => {
  hash.low = 7;
  hash.high = end > start && (bytes[end - 1] as number) % 2 === 0 ? 0x8000_0000 : 7;
};

export function bodyOf(records: readonly string[]): Buffer {
  const body = Buffer.alloc(records.reduce((sum, record) => sum + RECORD_HEADER_BYTES + Buffer.byteLength(record), 0));
  let at = 0;
  let crc = 0;
  for (const record of records) {
    const start = at + RECORD_HEADER_BYTES;
    const end = start + body.write(record, start);
    crc = checksum(body, start, end, crc);
    body.writeUInt32LE(end - start, at);
    body.writeUInt32LE(crc, at + 4);
    at = end;
  }
  return body;
}

export function frameOf(firstLsn: number, recordedAt: number, records: readonly string[]): LogFrame {
  return { header: { firstLsn, recordCount: records.length, recordedAt }, body: bodyOf(records) };
}

export function recordsIn(frame: LogFrame): string[] {
  const records: string[] = [];
  for (let at = 0; at < frame.body.length; ) {
    const end = at + RECORD_HEADER_BYTES + frame.body.readUInt32LE(at);
    records.push(frame.body.toString("utf8", at + RECORD_HEADER_BYTES, end));
    at = end;
  }
  return records;
}

/** A log that was made up: its frames, its voids, and what is in which stream. */
export interface MadeLog {
  readonly frames: LogFrame[];
  readonly voids: [number, number][];
  readonly lastLsn: number;
  /** Name → LSNs of versions 1, 2, … */
  readonly streams: Map<string, number[]>;
  /** LSN → record. */
  readonly records: Map<number, string>;
}

export interface LogShape {
  readonly frames: number;
  readonly streams: number;
  readonly recordsMax: number;
  readonly payloadMax: number;
  readonly voidEvery?: number;
}

const PAYLOADS = ["", "x", "äöü ", "0123456789", "varve"];

export function makeLog(random: SeededRandom, shape: LogShape): MadeLog {
  const made: MadeLog & { lastLsn: number } = {
    frames: [],
    voids: [],
    lastLsn: 0,
    streams: new Map(),
    records: new Map(),
  };
  let recordedAt = 1_700_000_000_000_000;
  for (let index = 0; index < shape.frames; index++) {
    if (shape.voidEvery !== undefined && random.integer(shape.voidEvery) === 0) {
      const through = made.lastLsn + 1 + random.integer(3);
      made.voids.push([made.lastLsn + 1, through]);
      made.lastLsn = through;
    }
    recordedAt += random.integer(1000);
    const firstLsn = made.lastLsn + 1;
    const records: string[] = [];
    for (let count = 1 + random.integer(shape.recordsMax); count > 0; count--) {
      const stream = random.integer(shape.streams);
      const name = stream % 10 === 3 ? `${"long-name-".repeat(stream % 90)}${stream}` : `stream-${stream}`;
      const lsns = made.streams.get(name) ?? [];
      made.streams.set(name, lsns);
      made.lastLsn++;
      lsns.push(made.lastLsn);
      const payload = random.pick(PAYLOADS).repeat(random.integer(shape.payloadMax + 1));
      records.push(`${name}\0${lsns.length}:${payload}`);
      made.records.set(made.lastLsn, records.at(-1) as string);
    }
    made.frames.push(frameOf(firstLsn, recordedAt, records));
  }
  return made;
}

export interface Bench {
  readonly directory: string;
  readonly faulty: FaultyIo;
  readonly io: BlockIo;
  readonly pool: BufferPool;
  merge(made: MadeLog, options?: Partial<MergeOptions>): Promise<readonly SealedEntry[]>;
  open(
    entries: readonly SealedEntry[],
    options?: { hasher?: NameHasher; cacheBytesMax?: number; isMapped?: boolean },
  ): Promise<SealedLog>;
  close(): Promise<void>;
}

/** A directory of sealed segments, and the I/O for it. */
export function sealedBench(): Bench {
  const directory = join(temporaryDirectory(), "log");
  mkdirSync(directory);
  const probe = join(directory, "probe");
  writeFileSync(probe, "?");
  const faulty = faultyIo(openIo("auto", probe));
  const pool = new BufferPool(64 * 1024, 8);
  return {
    directory,
    faulty,
    io: faulty.io,
    pool,
    merge: (made, options = {}) =>
      mergeFrames(toAsync(made.frames), {
        io: faulty.io,
        pool,
        directory,
        storeId: STORE_ID,
        firstNumber: 1,
        after: { lsn: 0, hash: CHAIN_START },
        keyOf,
        through: made.lastLsn,
        voids: made.voids,
        ...options,
      }),
    open: (entries, options = {}) =>
      SealedLog.open({ io: faulty.io, pool, directory, storeId: STORE_ID, ...options }, entries),
    close: async () => {
      await faulty.io.close();
      if (pool.leasedCount > 0) throw new Error("buffers were not given back");
      pool.close();
    },
  };
}

export async function* toAsync<Item>(items: Iterable<Item>): AsyncGenerator<Item, void, undefined> {
  yield* items;
}
