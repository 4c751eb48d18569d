import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { StoreError } from "../../src/errors.js";
import { FileLock, openIo } from "../../src/ffi/index.js";
import type { ArchivedSegment } from "../../src/wal/log-removal.js";
import { LogView } from "../../src/wal/log-view.js";
import { currentManifest } from "../../src/wal/manifest-change.js";
import { sealLog } from "../../src/wal/seal-log.js";
import { sealInWorker } from "../../src/wal/seal-worker.js";
import type { Removal } from "../../src/wal/sealed/removal.js";
import { sealedDirectory, sealedPath } from "../../src/wal/sealed/sealed-name.js";
import { verifySegment } from "../../src/wal/sealed/verify-segment.js";
import type { Wal } from "../../src/wal/wal.js";
import type { WalOptions } from "../../src/wal/wal-options.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { type FaultyIo, faultyIo } from "./support/faulty-io.js";
import { append, copyStore, keyOf, openFiles, openLog, recordsOf, SEAL_WORKER } from "./support/log-fixture.js";

const test = suite("wal/log-removal");

const ENOSPC = 28;
const EIO = 5;
const STREAMS = 5;
/** Threads take their time to start. */
const SEAL_HERE: Partial<WalOptions> = { seal: (task, words) => sealLog(task, keyOf, words) };

/** LSN → record. */
type Contents = Map<number, string>;

async function readAll(log: Wal | LogView, after: number, through: number = log.watermark): Promise<Contents> {
  const read: Contents = new Map();
  for await (const frame of log.frames(after, through)) {
    for (const [index, record] of recordsOf(frame).entries()) {
      const lsn = frame.header.firstLsn + index;
      if (lsn > after && lsn <= through && record !== "") read.set(lsn, record);
    }
  }
  return read;
}

/** Appends so many records of streams a to e in turn, and "$keep", with rising versions, in frames of three. */
async function fill(wal: Wal, count: number): Promise<void> {
  const from = wal.watermark;
  const recordOf = (lsn: number): string => {
    const name = lsn % STREAMS === 0 ? "$keep" : "abcd".charAt((lsn % STREAMS) - 1);
    return `${name}@${Math.floor((lsn + STREAMS - 1) / STREAMS)} ${"x".repeat(200 + (lsn % 7))}`;
  };
  for (let lsn = from + 1; lsn <= from + count; lsn += 3) {
    const records = Array.from({ length: Math.min(3, from + count - lsn + 1) }, (_, index) => recordOf(lsn + index));
    await append(wal, records);
  }
}

/** A log with so many sealed segments of 100 records, and 20 more records, that seals in this thread. */
async function filled(directory: string, segments: number, options: Partial<WalOptions> = {}): Promise<Wal> {
  const { wal } = await openLog(directory, { ...SEAL_HERE, ...options });
  for (let segment = 0; segment < segments; segment++) {
    await fill(wal, 100);
    await wal.checkpoint();
  }
  await fill(wal, 20);
  return wal;
}

function nothingRemoved(): Removal {
  return { streams: new Map(), prefixes: [], sparedPrefix: null };
}

function cut(name: string, beforeVersion: number): Removal {
  return { ...nothingRemoved(), streams: new Map([[name, { beforeVersion, throughLsn: 0 }]]) };
}

async function verifyAll(directory: string): Promise<void> {
  const { sealed, storeId: hexadecimal, checkpointLsn } = await currentManifest(directory);
  const storeId = Buffer.from(hexadecimal, "hex");
  const io = openIo("auto", join(directory, "lock"));
  let hash: string | null = null;
  for (const { number } of sealed) {
    const trailer = await verifySegment(sealedPath(sealedDirectory(directory), number), { io, storeId, number, keyOf });
    if (hash !== null) assert.is(trailer.hashBefore.toString("hex"), hash);
    hash = trailer.hash.toString("hex");
  }
  await io.close();
  assert.is(sealed.at(-1)?.lastLsn, checkpointLsn);
}

function files(directory: string): string[] {
  return readdirSync(sealedDirectory(directory)).sort();
}

async function truncate(
  wal: Wal,
  beforeLsn: number,
  archive: (segment: ArchivedSegment) => Promise<void> | void = () => {},
  onArchived: (horizonLsn: number) => Promise<void> = async () => {},
): ReturnType<Wal["remover"]["truncate"]> {
  return wal.remover.truncate({ beforeLsn, sparedPrefix: "$", archive, onArchived });
}

test("a scavenge takes what the rules take, for all who have the log open, and after reopening", async () => {
  const directory = join(temporaryDirectory(), "store");
  const wal = await filled(directory, 3, { seal: (task, words) => sealInWorker(SEAL_WORKER, task, words) });
  const { wal: other } = await openLog(directory);
  const view = await LogView.open(directory, { onFrame: () => {} });
  const before = await readAll(wal, 0);
  const report = await wal.remover.scavenge(async () => cut("b", 40));
  assert.equal([report.lsn, report.removedRecords, report.rewrittenSegments], [320, 39, 2]);
  assert.ok(report.freedBytes > 0);
  await view.refresh();
  const left = new Map([...before].filter(([lsn]) => lsn % STREAMS !== 2 || lsn > 39 * STREAMS));
  assert.is(left.size, before.size - 39);
  for (const log of [wal, other, view]) assert.equal(await readAll(log, 0, 320), left);
  assert.equal(await wal.sealed.streamHead(Buffer.from("b")), { version: 64, lsn: 317 });
  assert.is(files(directory).length, (await currentManifest(directory)).sealed.length, "what was replaced is gone");
  await verifyAll(directory);
  const again = await wal.remover.scavenge(async () => cut("b", 40));
  assert.equal([again.removedRecords, again.rewrittenSegments, again.freedBytes], [0, 0, 0]);
  await view.close();
  await other.close();
  await wal.close();
  const { wal: reopened } = await openLog(directory, SEAL_HERE, () => {});
  assert.equal(await readAll(reopened, 0), left);
  await reopened.close();
});

test("a truncation drops what was archived, and readers from below hear of it", async () => {
  const directory = join(temporaryDirectory(), "store");
  const wal = await filled(directory, 4);
  const { wal: other } = await openLog(directory);
  const view = await LogView.open(directory, { onFrame: () => {} });
  const before = await readAll(wal, 0);
  const archived: ArchivedSegment[] = [];
  let toldHorizon = 0;
  const slow = view.frames(0, 400)[Symbol.asyncIterator]();
  await slow.next();
  const report = await truncate(
    wal,
    250,
    (segment) => {
      assert.is(readFileSync(segment.path).length, segment.byteLength);
      archived.push(segment);
    },
    async (horizon) => {
      toldHorizon = horizon;
      assert.is(archived.length, 2);
      assert.is((await currentManifest(directory)).horizonLsn, 0, "not yet");
    },
  );
  assert.equal([report.horizon, report.droppedSegments, report.removedRecords, toldHorizon], [200, 2, 160, 200]);
  assert.ok(report.freedBytes > 0);
  assert.equal(
    archived.map(({ firstLsn, lastLsn }) => [firstLsn, lastLsn]),
    [
      [1, 100],
      [101, 200],
    ],
  );
  await view.refresh();
  const left = new Map([...before].filter(([lsn]) => lsn > 200));
  for (const log of [wal, other, view]) {
    for (const after of [0, 1, 199]) {
      const error = (await rejects(readAll(log, after), "ERR_LOG_TRUNCATED")) as StoreError;
      assert.equal([error.details["horizon"], error.details["after"]], [200, after]);
    }
    assert.equal(await readAll(log, 200, 420), left);
    assert.is(log.horizonLsn, 200);
    const backwards: number[] = [];
    for await (const { header } of log.framesBackwards(420, 200)) backwards.push(header.firstLsn);
    assert.ok(backwards.every((lsn) => lsn > 198) && backwards.length > 60);
    const arriving = async (): Promise<void> => {
      for await (const { header } of log.framesBackwards(300)) assert.ok(header.firstLsn > 198);
    };
    await rejects(arriving, "ERR_LOG_TRUNCATED");
  }
  // Who was in the middle goes on where it was or hears of it: it passes over nothing.
  let last = 3;
  const goOn = async (): Promise<void> => {
    for (let next = await slow.next(); next.done !== true; next = await slow.next()) {
      assert.is(next.value.header.firstLsn, last + 1);
      last += next.value.header.recordCount;
    }
  };
  await goOn().catch((error: StoreError) => assert.is(error.code, "ERR_LOG_TRUNCATED"));
  assert.equal(await wal.sealed.streamHead(Buffer.from("a")), { version: 84, lsn: 416 });
  assert.is((await wal.sealed.streamLsns(Buffer.from("a"), 1, 99)).length, 44);
  assert.is((await wal.sealed.streamLsns(Buffer.from("$keep"), 1, 99)).length, 84, "spared");
  const spared = await wal.frameOf(5);
  assert.match(recordsOf(spared)[5 - spared.header.firstLsn] as string, /^\$keep@1 /);
  await verifyAll(directory);
  await view.close();
  await other.close();
  await wal.close();
  const { wal: reopened } = await openLog(directory, SEAL_HERE, () => {});
  assert.is(reopened.horizonLsn, 200);
  assert.equal(await readAll(reopened, 200), left);
  await fill(reopened, 100);
  for (let round = 0; round < 3; round++) await reopened.checkpoint();
  const second = await truncate(reopened, 1000);
  assert.is(second.horizon, 520);
  assert.is((await currentManifest(directory)).sealed.length, 1);
  assert.equal(await reopened.sealed.streamHead(Buffer.from("a")), { version: 104, lsn: 516 });
  await fill(reopened, 10);
  assert.is((await readAll(reopened, 520)).size, 10);
  await rejects(readAll(reopened, 519), "ERR_LOG_TRUNCATED");
  const nothing = await truncate(reopened, 100);
  assert.equal([nothing.horizon, nothing.droppedSegments], [520, 0]);
  await verifyAll(directory);
  await reopened.close();
});

test("a stream of which all was dropped keeps its version through compactions", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal } = await openLog(directory, SEAL_HERE);
  await append(wal, ["once@1 x", "once@2 x"]);
  await append(wal, ["$keep@1 x"]);
  await truncate(wal, 4);
  for (let round = 0; round < 20; round++) {
    await append(wal, [`many@${round + 1} x`]);
    await wal.checkpoint();
  }
  await wal.remover.scavenge(async () => cut("many", 100));
  for (let round = 0; round < 20; round++) {
    await append(wal, [`more@${round + 1} x`]);
    await wal.checkpoint();
  }
  await truncate(wal, 10);
  assert.equal(await wal.sealed.streamHead(Buffer.from("once")), { version: 2, lsn: 2 });
  assert.is((await wal.sealed.streamHead(Buffer.from("many")))?.version, 20);
  assert.equal(await wal.sealed.streamLsns(Buffer.from("many"), 1, 20), []);
  await verifyAll(directory);
  await wal.close();
});

test("nothing is dropped when an archive fails, or what follows it", async () => {
  const directory = join(temporaryDirectory(), "store");
  const wal = await filled(directory, 3);
  const before = await readAll(wal, 0);
  let count = 0;
  const failing = truncate(wal, 400, () => {
    if (++count === 2) throw new Error("the tape is full");
  });
  await rejects(failing, ({ message }) => message === "the tape is full");
  const unlogged = truncate(wal, 400, undefined, () => Promise.reject(new Error("no")));
  await rejects(unlogged, ({ message }) => message === "no");
  await rejects(
    wal.remover.scavenge(() => Promise.reject(new Error("no"))),
    ({ message }) => message === "no",
  );
  assert.is((await currentManifest(directory)).horizonLsn, 0);
  assert.equal(await readAll(wal, 0), before);
  assert.is((await truncate(wal, 400)).horizon, 320);
  await wal.close();
});

for (const [what, kind, result] of [
  ["a write", "write", -EIO],
  ["a sync", "dataSync", -EIO],
  ["a full disk", "write", -ENOSPC],
] as const) {
  test(`a removal that fails by ${what} changes nothing, and the next one is made`, async () => {
    const directory = join(temporaryDirectory(), "store");
    const fault = { decide: ((): null => null) as FaultyIo["decide"] };
    const wal = await filled(directory, 3, {
      seal: (task, words) =>
        sealLog(task, keyOf, words, (demand, path) => {
          const faulty = faultyIo(openIo(demand, path));
          faulty.decide = (operation) => (task.work === "merge" ? null : fault.decide(operation));
          return faulty.io;
        }),
    });
    await wal.checkpoint();
    const before = await readAll(wal, 0);
    const filesBefore = files(directory);
    fault.decide = (operation) => (operation.kind === kind ? { result } : null);
    await rejects(
      wal.remover.scavenge(async () => cut("c", 50)),
      "ERR_IO_FAILED",
    );
    await rejects(truncate(wal, 200), "ERR_IO_FAILED");
    assert.equal(files(directory), filesBefore, "nothing is left behind");
    assert.equal(await readAll(wal, 0), before);
    fault.decide = () => null;
    assert.is((await truncate(wal, 200)).horizon, 100);
    assert.is((await wal.remover.scavenge(async () => cut("c", 50))).removedRecords, 29);
    await verifyAll(directory);
    await wal.close();
  });
}

test("a crash at any step leaves all or nothing of a removal, and the next one leaves nothing behind", async () => {
  const directory = join(temporaryDirectory(), "store");
  const wal = await filled(directory, 4);
  const all = await readAll(wal, 0);
  const isLeft = (lsn: number): boolean => lsn % STREAMS !== 1 || lsn > 69 * STREAMS;
  const copies: string[] = [];
  const states = new Set<string>();
  let isOver = false;
  const work = (async (): Promise<void> => {
    await truncate(wal, 220);
    await wal.remover.scavenge(async () => cut("a", 70));
  })().finally(() => {
    isOver = true;
  });
  while (!isOver) {
    try {
      const state = [...files(directory), ...readdirSync(directory)].join();
      if (!states.has(state)) copies.push(copyStore(directory));
      states.add(state);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // removed while it was copied
    }
    await delay(1);
  }
  await work;
  copies.push(copyStore(directory));
  await wal.close();
  const seen = new Set<string>();
  for (const copy of copies) {
    const { wal: again } = await openLog(copy, SEAL_HERE, () => {});
    const horizon = again.horizonLsn;
    const found = await readAll(again, horizon);
    const isScavenged = !found.has(201);
    assert.equal(found, new Map([...all].filter(([lsn]) => lsn > horizon && (!isScavenged || isLeft(lsn)))));
    seen.add(`${horizon} ${isScavenged}`);
    assert.equal(await again.sealed.streamHead(Buffer.from("a")), headOf(again, "a"));
    await truncate(again, 220);
    await again.remover.scavenge(async () => cut("a", 70));
    assert.equal(await readAll(again, 200), new Map([...all].filter(([lsn]) => lsn > 200 && isLeft(lsn))));
    assert.equal(await again.sealed.streamHead(Buffer.from("a")), headOf(again, "a"));
    assert.is(files(copy).length, (await currentManifest(copy)).sealed.length);
    await verifyAll(copy);
    await again.close();
  }
  assert.ok(seen.has("0 false") && seen.has("200 true"), [...seen].join(", "));
});

/** Of what is sealed, counted from the LSN. */
function headOf(wal: Wal, name: string): { version: number; lsn: number } {
  const { lastLsn } = wal.sealed;
  const lsn = lastLsn - ((lastLsn - 1 - "abcd".indexOf(name)) % STREAMS);
  return { version: Math.floor((lsn + STREAMS - 1) / STREAMS), lsn };
}

test("removals and checkpoints of several writers take turns; who cannot wait so long hears of it", async () => {
  const directory = join(temporaryDirectory(), "store");
  const wal = await filled(directory, 3);
  const { wal: other } = await openLog(directory, { busyWaitMs: 50 });
  const before = await readAll(wal, 0);
  const lease = FileLock.tryTake(join(directory, "checkpoint.lock"));
  await rejects(
    other.remover.scavenge(async () => nothingRemoved()),
    "ERR_STORE_BUSY",
  );
  setTimeout(() => lease?.release(), 100);
  const reports = await Promise.all([
    wal.remover.scavenge(async () => cut("a", 10)),
    wal.remover.scavenge(async () => cut("a", 20)),
    wal.remover.scavenge(async () => cut("b", 10)),
  ]);
  assert.is(
    reports.reduce((sum, { removedRecords }) => sum + removedRecords, 0),
    19 + 9,
  );
  assert.is((await readAll(other, 0)).size, before.size - 28);
  await verifyAll(directory);
  await other.close();
  await wal.close();
});

test("a reading that is under way goes on over a scavenge", async () => {
  const directory = join(temporaryDirectory(), "store");
  const wal = await filled(directory, 4);
  const { wal: other } = await openLog(directory);
  const through = wal.watermark;
  const all = await readAll(wal, 0, through);
  const read: Contents = new Map();
  const reading = (async (): Promise<void> => {
    for await (const frame of other.frames(0, through)) {
      for (const [index, record] of recordsOf(frame).entries())
        if (record !== "") read.set(frame.header.firstLsn + index, record);
      await delay(1);
    }
  })();
  await delay(20);
  await wal.remover.scavenge(async () => cut("d", 70));
  await reading;
  for (const [lsn, record] of all) {
    if (lsn % STREAMS === 4 && lsn < 70 * STREAMS) continue;
    assert.is(read.get(lsn), record);
  }
  await other.close();
  await wal.close();
});

test("closing ends a removal, and gives everything back", async () => {
  const directory = join(temporaryDirectory(), "store");
  const filesBefore = openFiles();
  const wal = await filled(directory, 3);
  const removal = wal.remover.scavenge(async () => cut("a", 60)).catch((error: unknown) => error);
  await wal.close();
  const outcome = await removal;
  if (outcome instanceof Error) assert.is((outcome as StoreError).code, "ERR_STORE_CLOSED");
  assert.equal(openFiles(), filesBefore);
  await rejects(
    wal.remover.scavenge(async () => nothingRemoved()),
    "ERR_STORE_CLOSED",
  );
  const { wal: again } = await openLog(directory, SEAL_HERE, () => {});
  const { size } = await readAll(again, 0);
  assert.ok(size === 320 || size === 320 - 59);
  await again.close();
});

test("a manifest that says more is dropped than its segments hold is refused", async () => {
  const directory = join(temporaryDirectory(), "store");
  const wal = await filled(directory, 2);
  await truncate(wal, 150);
  await wal.close();
  const { sealed } = await currentManifest(directory);
  rmSync(sealedPath(sealedDirectory(directory), sealed[0]?.number ?? 0));
  await rejects(
    openLog(directory, SEAL_HERE, () => {}),
    "ERR_WAL_CORRUPT",
  );
});
