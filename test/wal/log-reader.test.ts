/** Reading a log of many cores, as it lies there and while it is written. */

import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoreError } from "../../src/errors.js";
import { BufferPool } from "../../src/ffi/aligned-buffer.js";
import { openIo } from "../../src/ffi/open-io.js";
import type { CoreTail } from "../../src/wal/core-cursor.js";
import { findLog } from "../../src/wal/find-log.js";
import { LogIndex } from "../../src/wal/frame-index.js";
import type { Frame } from "../../src/wal/frame-stream.js";
import type { ScannedSegment } from "../../src/wal/log-facts.js";
import { LogReader, SealedAwayError } from "../../src/wal/log-reader.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { type FaultyIo, faultyIo } from "./support/faulty-io.js";
import {
  BLOCK,
  damage,
  type HandFrame,
  HandLog,
  type HandWriter,
  lose,
  recordOf,
  recordsThrough,
  STORE_ID,
} from "./support/hand-log.js";
import { planLog } from "./support/hand-log-plan.js";
import { KIBIBYTE, openFiles, recordsOf } from "./support/log-fixture.js";

const test = suite("wal/log-reader");

interface ReaderParts {
  readonly index?: LogIndex;
  readonly settled?: readonly ScannedSegment[];
  readonly tails?: () => readonly CoreTail[] | null;
  readonly bufferBytes?: number;
}

async function withReader<Result>(
  log: HandLog,
  parts: ReaderParts,
  work: (reader: LogReader, faulty: FaultyIo) => Promise<Result>,
): Promise<Result> {
  const filesBefore = openFiles();
  const faulty = faultyIo(openIo("buffered", join(log.directory, "lock")));
  const pool = new BufferPool(parts.bufferBytes ?? 64 * KIBIBYTE, 16);
  const reader = new LogReader({
    io: faulty.io,
    pool,
    directory: log.directory,
    storeId: STORE_ID,
    manifest: log.manifest,
    index: new LogIndex(),
    settled: [],
    tails: () => null,
    ...parts,
  });
  try {
    return await work(reader, faulty);
  } finally {
    await reader.close();
    assert.is(pool.leasedCount, 0, "memory was not given back");
    await faulty.io.close();
    pool.close();
    assert.equal(openFiles(), filesBefore, "files were left open");
  }
}

async function read(frames: AsyncGenerator<Frame, void, undefined>): Promise<Frame[]> {
  const found: Frame[] = [];
  for await (const frame of frames) found.push(frame);
  return found;
}

/** The records with LSNs in the range, as they should be. */
function recordsIn(log: HandLog, after: number, through: number): string[] {
  return recordsThrough(through, log.voids).slice(recordsThrough(after, log.voids).length);
}

/** Those that were read, without what the first and last frame hold beside the range. */
function recordsOfRange(frames: readonly Frame[], after: number, through: number): string[] {
  return frames.flatMap((frame) =>
    recordsOf(frame).filter((_, index) => {
      const lsn = frame.header.firstLsn + index;
      return lsn > after && lsn <= through;
    }),
  );
}

/** What recovery would tell a reader. */
async function knownOf(log: HandLog): Promise<Required<Pick<ReaderParts, "index" | "settled">> & { lastLsn: number }> {
  const io = openIo("buffered", join(log.directory, "lock"));
  const pool = new BufferPool(64 * KIBIBYTE, 16);
  const index = new LogIndex();
  const found = await findLog({ io, pool, directory: log.directory }, ({ header }, { core, segment, fileOffset }) =>
    index.of(core).add(header.firstLsn, segment, fileOffset),
  );
  await io.close();
  pool.close();
  if (found === "absent") throw new Error("there is no store");
  const newest = log.incarnation;
  const settled = found.facts.segments.filter(({ incarnation }) => incarnation < newest);
  return { index, settled, lastLsn: found.facts.lastLsn };
}

test(
  "any range of any log is read in order, forwards, backwards and record by record, with hints and without",
  async () => {
    const random = seededRandom();
    for (let round = 0; round < 12; round++) {
      const { log } = planLog(random);
      const { lastLsn, ...known } = await knownOf(log);
      for (const parts of [{}, known]) {
        await withReader(log, parts, async (reader) => {
          for (let range = 0; range < 12; range++) {
            const after = random.integer(lastLsn + 1);
            const through = after + random.integer(lastLsn - after + 1);
            const frames = await read(reader.frames(after, through));
            const what = `round ${round}, LSN ${after} to ${through}`;
            assert.equal(recordsOfRange(frames, after, through), recordsIn(log, after, through), what);
          }
          const backwards = (await read(reader.framesBackwards(lastLsn))).reverse();
          assert.equal(backwards.flatMap(recordsOf), recordsIn(log, 0, lastLsn), `round ${round}, backwards`);
          const isVoid = (lsn: number): boolean => log.voids.some(([from, end]) => lsn >= from && lsn <= end);
          for (let count = 0; count < 30; count++) {
            const lsn = 1 + random.integer(lastLsn);
            if (isVoid(lsn)) continue;
            const frame = await reader.frameOf(lsn);
            assert.is(recordsOf(frame)[lsn - frame.header.firstLsn], recordOf(lsn), `round ${round}, LSN ${lsn}`);
          }
        });
      }
    }
  },
  { timeoutMs: 60_000 },
);

test("where the index says that a range ends, no core is read further: the next range begins there", async () => {
  // A frame a segment. The first writer of core 0 dies with a batch that was to open its second segment.
  const log = new HandLog(2 * BLOCK);
  log.begin(1);
  const first = log.writer(0);
  const other = log.writer(1);
  first.data(1, 1);
  other.data(2, 1);
  first.data(3, 1, { isLost: true, durableLsn: 2 });
  log.void(3, 3);
  other.data(4, 1, { durableLsn: 2 });
  const next = log.writer(0, first);
  next.prepare(5);
  next.data(5, 1, { durableLsn: 4 });
  next.data(6, 1, { durableLsn: 5 });
  for (const writer of [next, other]) log.left(writer);
  log.writeManifest();
  const { lastLsn, ...known } = await knownOf(log);
  assert.is(lastLsn, 6);
  await withReader(log, known, async (reader) => {
    assert.equal((await read(reader.frames(0, 4))).flatMap(recordsOf), recordsIn(log, 0, 4));
    assert.equal((await read(reader.frames(4, 6))).flatMap(recordsOf), recordsIn(log, 4, 6));
  });
});

test(
  "a log that is written meanwhile is followed over new frames, segments, cores and writers, with tails and without",
  async () => {
    const random = seededRandom();
    for (const hasTails of [true, false]) {
      const log = new HandLog(5 * BLOCK);
      log.begin(1);
      let writers = [log.writer(0)];
      const latest: HandWriter[] = [...writers];
      const tails = (): CoreTail[] => writers.map(({ tail }) => tail);
      await withReader(log, { tails: () => (hasTails ? tails() : null) }, async (reader) => {
        let lastLsn = 0;
        let readLsn = 0;
        const records: string[] = [];
        for (let step = 0; step < 150; step++) {
          for (let more = 1 + random.integer(4); more > 0; more--) {
            const writer = random.pick(writers);
            const dice = random.integer(25);
            if (dice === 0 && writers.length < 6) {
              const core = random.integer(8);
              if (!writers.some((one) => one.core === core)) {
                const next = log.writer(core, latest.find((one) => one.core === core) ?? null);
                next.prepare(lastLsn + 1);
                latest.unshift(next);
                writers.push(next);
              }
            } else if (dice === 1 && writers.length > 1) {
              // It dies with a lost batch, and with one behind it that is whole.
              const lost = writer.data(lastLsn + 1, 2, { isLost: true });
              const other = random.pick(writers.filter((one) => one !== writer));
              other.data(lastLsn + 3, 1);
              writer.data(lastLsn + 4, 3);
              log.void(lost.firstLsn, lost.lastLsn);
              log.void(lastLsn + 4, lastLsn + 6);
              log.writeManifest();
              lastLsn += 6;
              writers = writers.filter((one) => one !== writer);
            } else {
              const count = 1 + random.integer(3);
              writer.data(lastLsn + 1, count);
              lastLsn += count;
              // The next segment is made before this one is full.
              if (dice === 2 && writer.tail.endOffset > 3 * BLOCK) writer.prepare(lastLsn + 1, writer.segment + 1);
            }
          }
          const frames = await read(reader.frames(readLsn, lastLsn));
          records.push(...frames.flatMap(recordsOf));
          readLsn = lastLsn;
          assert.equal(records, recordsThrough(lastLsn, log.voids), `step ${step}, LSN ${lastLsn}, tails ${hasTails}`);
        }
        const late = random.integer(lastLsn);
        const again = await read(reader.frames(late, lastLsn));
        assert.equal(recordsOfRange(again, late, lastLsn), recordsIn(log, late, lastLsn));
      });
    }
  },
  { timeoutMs: 60_000 },
);

test("who follows the tail reads what is new and no zeros behind it, and nothing of cores that are idle", async () => {
  const log = new HandLog(4096 * BLOCK);
  log.begin(1);
  const writers = [log.writer(0), log.writer(1), log.writer(2), log.writer(3)] as const;
  let lsn = 0;
  for (const writer of writers) for (let count = 0; count < 30; count++) writer.data(++lsn, 1);
  await withReader(log, { tails: () => writers.map(({ tail }) => tail) }, async (reader, faulty) => {
    await read(reader.frames(0, lsn));
    const before = faulty.operations.length;
    for (let step = 0; step < 20; step++) {
      const [a, b] = [writers[0].data(++lsn, 1), writers[2].data(++lsn, 1)];
      const frames = await read(reader.frames(lsn - 2, lsn));
      assert.equal(
        frames.map(({ header }) => [header.core, header.fileOffset]),
        [a, b].map(({ core, fileOffset }) => [core, fileOffset]),
      );
    }
    const reads = faulty.operations.slice(before);
    assert.is(reads.length, 40);
    assert.ok(reads.every(({ length }) => length === BLOCK));
  });
});

test("a single record of a core costs one small read where the index is close, whatever the other cores hold", async () => {
  const log = new HandLog(4096 * BLOCK);
  log.begin(1);
  const writers = [log.writer(0), log.writer(1), log.writer(2)] as const;
  for (let lsn = 1; lsn <= 300; lsn++) (writers[lsn % 3] as HandWriter).data(lsn, 1);
  const { index } = await knownOf(log);
  await withReader(log, { index, tails: () => writers.map(({ tail }) => tail) }, async (reader, faulty) => {
    for (let lsn = 1; lsn <= 300; lsn += 7) await reader.frameOf(lsn);
    const readBytes = faulty.operations.reduce((sum, { length }) => sum + length, 0);
    assert.ok(readBytes <= 43 * 3 * 64 * KIBIBYTE, `${readBytes} bytes`);
    const before = faulty.operations.length;
    await reader.frameOf(1 + 42 * 7);
    assert.is(faulty.operations.length, before);
  });
});

test("reads begin small and grow, for most who read want little", async () => {
  const log = new HandLog(1024 * BLOCK);
  log.begin(1);
  const writer = log.writer(0);
  for (let lsn = 1; lsn <= 1000; lsn++) writer.data(lsn, 1);
  const parts = { bufferBytes: 1024 * KIBIBYTE, ...(await knownOf(log)) };
  await withReader(log, parts, async (reader, faulty) => {
    assert.equal((await read(reader.frames(0, 1000))).flatMap(recordsOf), recordsThrough(1000));
    const lengths = faulty.operations.map(({ length }) => length / KIBIBYTE);
    assert.equal(lengths.slice(0, 6), [64, 128, 256, 512, 1024, 1024]);
  });
});

test("damage names the file and the place in the core that has it, and what is before it is read", async () => {
  const log = new HandLog();
  log.begin(1);
  const writers = [log.writer(0), log.writer(1), log.writer(2)] as const;
  const frames: HandFrame[] = [];
  for (let lsn = 1; lsn <= 12; lsn++) frames.push((writers[lsn % 3] as HandWriter).data(lsn, 1));
  const torn = frames[6] as HandFrame;
  damage(torn);
  await withReader(log, {}, async (reader) => {
    assert.equal((await read(reader.frames(0, 6))).flatMap(recordsOf), recordsThrough(6));
    const error = (await rejects(read(reader.frames(0, 12)), "ERR_WAL_CORRUPT")) as StoreError;
    assert.equal(error.details, { path: torn.path, offset: torn.fileOffset, lsn: 7 });
    await rejects(reader.frameOf(7), "ERR_WAL_CORRUPT");
    damage(torn); // whole again
    assert.equal((await read(reader.frames(0, 12))).flatMap(recordsOf), recordsThrough(12));
  });
});

test("frames that were fenced are not read, though they are whole and a later incarnation has their LSNs", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b] = [log.writer(0), log.writer(1)] as const;
  a.data(1, 2);
  lose(b.data(3, 1));
  const orphans = a.data(4, 5);
  log.left(a);
  log.left(b);
  log.begin(3, 2);
  const [c, d] = [log.writer(0), log.writer(1)] as const;
  d.data(3, 2, { durableLsn: 2 });
  c.data(5, 3, { durableLsn: 4 });
  log.writeManifest();
  for (const parts of [{}, await knownOf(log)])
    await withReader(log, parts, async (reader) => {
      const frames = await read(reader.frames(0, 7));
      assert.equal(frames.flatMap(recordsOf), recordsThrough(7));
      assert.ok(frames.every(({ header }) => header.incarnation === 2 || header.firstLsn !== orphans.firstLsn));
    });
});

test("second copies serve where the first ones are damaged", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b] = [log.writer(0), log.writer(1)] as const;
  a.data(1, 1);
  const torn = b.data(2, 1, { durableLsn: 1 });
  a.data(3, 1, { durableLsn: 1 });
  log.left(a);
  log.left(b);
  log.begin(2, 3);
  const c = log.writer(0);
  for (const lsn of [2, 3, 4]) c.data(lsn, 1, { durableLsn: lsn - 1 });
  log.writeManifest();
  damage(torn);
  for (const parts of [{}, await knownOf(log)])
    await withReader(log, parts, async (reader) => {
      assert.equal((await read(reader.frames(0, 4))).flatMap(recordsOf), recordsThrough(4));
      for (const lsn of [4, 3, 2, 1]) assert.equal(recordsOf(await reader.frameOf(lsn)), [recordOf(lsn)]);
    });
});

test("a whole frame that another chain left at its place is not read", async () => {
  const [log, other] = [new HandLog(), new HandLog()];
  for (const [one, recordedAt] of [
    [log, 1],
    [other, 2],
  ] as const) {
    one.begin(1);
    const writer = one.writer(0);
    writer.data(1, 1, { recordedAt });
    writer.data(2, 1);
  }
  const path = join("wal", "core-000", "0000000001.wal");
  const bytes = readFileSync(join(log.directory, path));
  readFileSync(join(other.directory, path)).copy(bytes, 2 * BLOCK, 2 * BLOCK);
  writeFileSync(join(log.directory, path), bytes);
  assert.is((await knownOf(log)).lastLsn, 1);
  await withReader(log, {}, async (reader) => {
    const error = (await rejects(read(reader.frames(0, 2)), "ERR_WAL_CORRUPT")) as StoreError;
    assert.is(error.details["offset"], 2 * BLOCK);
  });
});

test("a whole frame in a void is not read, also by who begins right there and knows only an older manifest", async () => {
  const log = new HandLog(2 * BLOCK);
  log.begin(1);
  const [a, dead] = [log.writer(0), log.writer(1)] as const;
  a.data(1, 1);
  dead.data(2, 1);
  const older = log.manifest;
  const lost = dead.data(3, 1, { isLost: true });
  a.data(4, 1);
  dead.data(5, 1); // in a segment of its own, and whole
  a.data(6, 1);
  log.void(lost.firstLsn, lost.lastLsn);
  log.void(5, 5);
  log.writeManifest();
  for (const after of [0, 3, 4]) {
    const io = openIo("buffered", join(log.directory, "lock"));
    const pool = new BufferPool(64 * KIBIBYTE, 16);
    const source = { io, pool, directory: log.directory, storeId: STORE_ID, settled: [], tails: () => null };
    const reader = new LogReader({ ...source, manifest: older, index: new LogIndex() });
    assert.equal((await read(reader.frames(after, 6))).flatMap(recordsOf), recordsIn(log, after, 6), `after ${after}`);
    await reader.close();
    await io.close();
    pool.close();
  }
});

test("files that a checkpoint drops while they are read: what follows is read, and what is sealed says so", async () => {
  const log = new HandLog(3 * BLOCK);
  log.begin(1);
  const writers = [log.writer(0), log.writer(1)] as const;
  const frames: HandFrame[] = [];
  for (let lsn = 1; lsn <= 24; lsn++) frames.push((writers[lsn % 2] as HandWriter).data(lsn, 1));
  await withReader(log, {}, async (reader) => {
    assert.equal((await read(reader.frames(0, 4))).flatMap(recordsOf), recordsThrough(4));
    log.checkpointLsn = 16;
    log.writeManifest();
    for (const { path, lastLsn } of frames) if (lastLsn <= 16) rmSync(path, { force: true });
    assert.equal((await read(reader.frames(16, 24))).flatMap(recordsOf), recordsThrough(24).slice(16));
    const error = (await rejects(read(reader.frames(8, 24)), "ERR_WAL_CORRUPT")) as StoreError;
    assert.ok(error instanceof SealedAwayError);
    assert.equal([error.checkpointLsn, error.details["lsn"]], [16, 9]);
    await rejects(reader.frameOf(3), (thrown) => thrown instanceof SealedAwayError);
    assert.equal(recordsOf(await reader.frameOf(20)), [recordOf(20)]);
    const backwards: Frame[] = [];
    const last = (await rejects(
      (async () => {
        for await (const frame of reader.framesBackwards(24)) backwards.push(frame);
      })(),
      "ERR_WAL_CORRUPT",
    )) as StoreError;
    assert.ok(last instanceof SealedAwayError);
    assert.equal(backwards.reverse().flatMap(recordsOf), recordsThrough(24).slice(16));
  });
});

test("an LSN that is nowhere is damage, also where there is no file at all", async () => {
  const log = new HandLog();
  log.begin(1);
  log.writer(0).data(1, 1);
  await withReader(log, {}, async (reader) => {
    const error = (await rejects(read(reader.frames(0, 2)), "ERR_WAL_CORRUPT")) as StoreError;
    assert.is(error.details["lsn"], 2);
  });
  const empty = new HandLog();
  empty.begin(1);
  await withReader(empty, {}, async (reader) => {
    await rejects(read(reader.frames(0, 1)), "ERR_WAL_CORRUPT");
  });
});

test("a file of another core in a core's directory, and files that are none of the log's, are not read", async () => {
  const log = new HandLog();
  log.begin(1);
  const [a, b] = [log.writer(0), log.writer(1)] as const;
  const first = a.data(1, 1);
  b.data(2, 1);
  cpSync(first.path, join(log.directory, "wal", "core-001", "0000000002.wal"));
  writeFileSync(join(log.directory, "wal", "core-001", "owner"), "");
  writeFileSync(join(log.directory, "wal", "notes"), "");
  await withReader(log, {}, async (reader) => {
    assert.equal((await read(reader.frames(0, 2))).flatMap(recordsOf), recordsThrough(2));
  });
});

test("who stops early, and who is closed meanwhile, leaves nothing open", async () => {
  const log = new HandLog();
  log.begin(1);
  const writers = [log.writer(0), log.writer(1), log.writer(2)] as const;
  for (let lsn = 1; lsn <= 30; lsn++) (writers[lsn % 3] as HandWriter).data(lsn, 1);
  await withReader(log, {}, async (reader) => {
    for await (const frame of reader.frames(0, 30)) if (frame.header.firstLsn === 7) break;
    const frames = reader.frames(0, 30);
    await frames.next();
    await reader.close();
    await rejects(read(frames), "ERR_STORE_CLOSED");
    await rejects(reader.frameOf(3), "ERR_STORE_CLOSED");
  });
});

test("a core whose writer dies and is followed by another while it is read is read to the end of the first", async () => {
  const log = new HandLog();
  log.begin(1);
  const first = log.writer(0);
  first.data(1, 1);
  const second = first.data(2, 1);
  const next = log.writer(0, first);
  next.data(3, 1);
  let tail: CoreTail = { core: 0, segment: second.segment, endOffset: second.fileOffset };
  await withReader(log, { tails: () => [tail] }, async (reader) => {
    const records: string[] = [];
    for await (const frame of reader.frames(0, 3)) {
      records.push(...recordsOf(frame));
      tail = next.tail;
    }
    assert.equal(records, recordsThrough(3));
  });
});

test("a reader that wants less than a segment's first frame does not pass over that segment when it goes on", async () => {
  const log = new HandLog();
  log.begin(1);
  const index = new LogIndex();
  const other = log.writer(1);
  let writer = log.writer(0);
  for (let lsn = 1; lsn <= 5; lsn++) {
    const { core, segment, fileOffset } = (lsn % 3 === 2 ? other : writer).data(lsn, 1);
    index.of(core).add(lsn, segment, fileOffset);
    if (core === 0) writer = log.writer(0, writer);
  }
  await withReader(log, { index }, async (reader) => {
    assert.equal((await read(reader.frames(0, 2))).flatMap(recordsOf), recordsThrough(2));
    assert.equal((await read(reader.frames(2, 5))).flatMap(recordsOf), recordsThrough(5).slice(2));
  });
});

test("a prepared file that a core's next writer has replaced is opened anew", async () => {
  const log = new HandLog();
  log.begin(1);
  const first = log.writer(0);
  const other = log.writer(1);
  const { path } = first.data(1, 1);
  other.data(2, 1);
  const prepared = path.replace("0000000001.wal", "0000000002.wal");
  writeFileSync(prepared, Buffer.alloc(4 * BLOCK));
  await withReader(log, {}, async (reader) => {
    assert.equal((await read(reader.frames(0, 2))).flatMap(recordsOf), recordsThrough(2));
    rmSync(prepared);
    const next = log.writer(0, first);
    assert.is(next.data(3, 1).path, prepared);
    assert.equal((await read(reader.frames(2, 3))).flatMap(recordsOf), [recordOf(3)]);
  });
});

test("a file with a preamble and no frame, which a core's next writer has replaced, is opened anew", async () => {
  const log = new HandLog();
  log.begin(1);
  const first = log.writer(0);
  const { path } = first.data(1, 1);
  log.writer(1).data(2, 1);
  const number = (path: string): string => path.replace("0000000001.wal", "0000000002.wal");
  const prepared = number(path);
  // As it is when it was prepared: what follows the preamble is zero.
  log.writer(0, first).data(3, 1);
  const block = readFileSync(prepared).subarray(0, BLOCK);
  rmSync(prepared);
  writeFileSync(prepared, Buffer.concat([block, Buffer.alloc(3 * BLOCK)]));
  await withReader(log, {}, async (reader) => {
    assert.equal((await read(reader.frames(0, 2))).flatMap(recordsOf), recordsThrough(2));
    rmSync(prepared);
    assert.is(log.writer(0, first).data(3, 1).path, prepared);
    assert.equal((await read(reader.frames(2, 3))).flatMap(recordsOf), [recordOf(3)]);
  });
});
