import { readdirSync } from "node:fs";
import type { StoreError } from "../../../src/errors.js";
import { type Cut, type Removal, removalThrough } from "../../../src/wal/sealed/removal.js";
import {
  compactSegments,
  dropRecords,
  type RewriteOptions,
  scavengeSegments,
} from "../../../src/wal/sealed/rewrite-segments.js";
import type { SealedEntry } from "../../../src/wal/sealed/sealed-entry.js";
import type { SealedLog } from "../../../src/wal/sealed/sealed-log.js";
import { nextSealedNumber, sealedPath } from "../../../src/wal/sealed/sealed-name.js";
import type { SealedTrailer } from "../../../src/wal/sealed/sealed-trailer.js";
import { verifySegment } from "../../../src/wal/sealed/verify-segment.js";
import { assert, rejects } from "../../support/assert.js";
import { type SeededRandom, seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { type Bench, keyOf, type MadeLog, makeLog, recordsIn, STORE_ID, sealedBench } from "./sealed-fixture.js";

const test = suite("wal/sealed/rewrite-segments");

const SHAPE = { frames: 400, streams: 60, recordsMax: 12, payloadMax: 8, voidEvery: 60 };
const ENOSPC = 28;

function latin1(name: string): string {
  return Buffer.from(name).toString("latin1");
}

function removal(streams: ReadonlyMap<string, Partial<Cut>>, others: Partial<Removal> = {}): Removal {
  const cuts = [...streams].map(([name, cut]) => [latin1(name), { beforeVersion: 0, throughLsn: 0, ...cut }] as const);
  return { streams: new Map(cuts), prefixes: [], sparedPrefix: null, ...others };
}

async function optionsOf(bench: Bench, entries: readonly SealedEntry[]): Promise<RewriteOptions> {
  const { io, pool, directory } = bench;
  return { io, pool, directory, storeId: STORE_ID, firstNumber: await nextSealedNumber(directory, entries), keyOf };
}

async function scavenge(
  bench: Bench,
  entries: readonly SealedEntry[],
  what: Removal,
  options: Partial<RewriteOptions> = {},
) {
  return scavengeSegments(entries, what, { ...(await optionsOf(bench, entries)), ...options });
}

/** LSN → record, of what the log must still have: what the removals leave. */
function leftOf(made: MadeLog, removals: readonly Removal[]): Map<number, string> {
  const left = new Map(made.records);
  for (const [name, lsns] of made.streams) {
    const key = latin1(name);
    for (const { streams, prefixes, sparedPrefix } of removals) {
      if (sparedPrefix !== null && key.startsWith(sparedPrefix)) continue;
      const cut = streams.get(key) ?? { beforeVersion: 0, throughLsn: 0 };
      const through = Math.max(
        cut.throughLsn,
        ...prefixes.filter(({ prefix }) => key.startsWith(prefix)).map(({ throughLsn }) => throughLsn),
      );
      for (const [index, lsn] of lsns.entries()) if (index + 1 < cut.beforeVersion || lsn <= through) left.delete(lsn);
    }
  }
  return left;
}

async function readLeft(log: SealedLog): Promise<Map<number, string>> {
  const read = new Map<number, string>();
  for await (const frame of log.frames(0, log.lastLsn)) {
    for (const [index, record] of recordsIn(frame).entries()) {
      if (record !== "") read.set(frame.header.firstLsn + index, record);
    }
  }
  return read;
}

async function verify(bench: Bench, entries: readonly SealedEntry[]): Promise<SealedTrailer[]> {
  const { io } = bench;
  const trailers: SealedTrailer[] = [];
  for (const { number } of entries) {
    trailers.push(await verifySegment(sealedPath(bench.directory, number), { io, storeId: STORE_ID, number, keyOf }));
  }
  return trailers;
}

/** Everything that the log says must be what is left, and no stream may forget its version. */
async function checkLeft(
  bench: Bench,
  entries: readonly SealedEntry[],
  made: MadeLog,
  left: ReadonlyMap<number, string>,
): Promise<void> {
  const trailers = await verify(bench, entries);
  const counts = { left: 0, gone: 0 };
  for (const { recordCount, removedCount } of trailers) {
    counts.left += recordCount;
    counts.gone += removedCount;
  }
  assert.is(counts.left, left.size);
  assert.ok(counts.gone >= made.records.size - left.size && counts.gone <= made.lastLsn - left.size);
  const log = await bench.open(entries);
  try {
    assert.equal(
      [...(await readLeft(log))],
      [...left].sort(([a], [b]) => a - b),
    );
    for (const [name, lsns] of made.streams) {
      const bytes = Buffer.from(name);
      const head = await log.streamHead(bytes);
      assert.equal(head, { version: lsns.length, lsn: lsns.at(-1) }, name);
      const expected = lsns.filter((lsn) => left.has(lsn));
      assert.equal(await log.streamLsns(bytes, 1, lsns.length), expected, name);
      assert.equal(
        await log.streamLsns(bytes, lsns.length, lsns.length),
        expected.slice(-1).filter((lsn) => lsn === lsns.at(-1)),
      );
      for (const lsn of [lsns[0] as number, lsns.at(-1) as number]) {
        const frame = await log.frameOf(lsn);
        assert.is(recordsIn(frame)[lsn - frame.header.firstLsn], left.get(lsn) ?? "");
      }
    }
    assert.is(await log.streamHead(Buffer.from("no such stream")), null);
    const backwards: number[] = [];
    for await (const frame of log.framesBackwards(log.lastLsn)) backwards.push(frame.header.firstLsn);
    assert.equal(
      backwards,
      [...backwards].sort((a, b) => b - a),
    );
  } finally {
    await log.close();
  }
}

function randomRemoval(random: SeededRandom, made: MadeLog): Removal {
  const streams = new Map<string, Partial<Cut>>();
  for (const [name, lsns] of made.streams) {
    const lot = random.integer(4);
    if (lot === 0) streams.set(name, { beforeVersion: 1 + random.integer(lsns.length + 2) });
    if (lot === 1) streams.set(name, { throughLsn: random.integer(made.lastLsn) });
    if (lot === 2 && random.integer(2) === 0) streams.set(name, { beforeVersion: Number.MAX_SAFE_INTEGER });
  }
  return removal(streams, {
    prefixes: [
      { prefix: "stream-1", throughLsn: random.integer(made.lastLsn) },
      { prefix: "stream-11", throughLsn: random.integer(made.lastLsn) },
      { prefix: "long-name-long", throughLsn: random.integer(made.lastLsn) },
    ],
  });
}

test("what the rules take is gone, the rest is there byte for byte, and every stream knows its version", async () => {
  const bench = sealedBench();
  const random = seededRandom();
  for (let round = 0; round < 6; round++) {
    const made = makeLog(random, SHAPE);
    const firstNumber = 1 + round * 1000;
    let entries = await bench.merge(made, { firstNumber, segmentBytes: 12_000, blockBytes: 1024 });
    assert.ok(entries.length > 5);
    const hash = entries.at(-1)?.hash;
    const removals: Removal[] = [];
    for (let time = 0; time < 3; time++) {
      const compression = random.pick(["none", "deflate"] as const);
      removals.push(randomRemoval(random, made));
      const left = leftOf(made, removals);
      const before = leftOf(made, removals.slice(0, -1));
      const done = await scavenge(bench, entries, removals.at(-1) as Removal, {
        compression,
        segmentBytes: 6000 + random.integer(40_000),
        blockBytes: 1024,
      });
      assert.is(done.removedRecords, before.size - left.size);
      entries = done.entries;
      assert.is(entries.at(-1)?.hash, hash, "the chain stays");
      await checkLeft(bench, entries, made, left);
      const again = await scavenge(bench, entries, removals.at(-1) as Removal);
      assert.equal(again, { entries, removedRecords: 0 }, "nothing more to remove, nothing is written");
    }
    const compacted = await compactSegments(entries, { ...(await optionsOf(bench, entries)), segmentBytes: 50_000 });
    assert.is(compacted.at(-1)?.hash, hash);
    await checkLeft(bench, compacted, made, leftOf(made, removals));
  }
  await bench.close();
});

test("only segments that lose something are written anew, neighbours together", async () => {
  const bench = sealedBench();
  const made = makeLog(seededRandom(), { ...SHAPE, streams: 6, voidEvery: 1000 });
  const entries = await bench.merge(made, { segmentBytes: 12_000, blockBytes: 1024 });
  assert.ok(entries.length > 6);
  const [, , third, fourth] = entries as [SealedEntry, SealedEntry, SealedEntry, SealedEntry];
  const first = (name: string, from: SealedEntry): number =>
    made.streams.get(name)?.findIndex((lsn) => lsn >= from.firstLsn) ?? 0;
  const name = "stream-1";
  const all = await scavenge(bench, entries, removal(new Map([[name, { beforeVersion: first(name, third) + 1 }]])));
  assert.equal(all.entries.slice(-(entries.length - 2)), entries.slice(2));
  assert.is(all.entries.length, entries.length - 1, "two neighbours became one");
  const later = await scavenge(bench, all.entries, removal(new Map([[name, { throughLsn: fourth.firstLsn - 1 }]])));
  assert.equal(later.entries[0], all.entries[0]);
  assert.equal(later.entries.slice(2), all.entries.slice(2));
  assert.is.not(later.entries[1]?.number, third.number);
  const none = await scavenge(bench, entries, removal(new Map([["never-written", { beforeVersion: 9 }]])));
  assert.equal(none, { entries, removedRecords: 0 });
  await bench.close();
});

test("a stream with pages of postings, in frames that fill several blocks, is cut where it should be", async () => {
  const bench = sealedBench();
  const made = makeLog(seededRandom(), { frames: 60, streams: 2, recordsMax: 200, payloadMax: 30 });
  let entries = await bench.merge(made, { blockBytes: 2048, segmentBytes: 200_000 });
  const removals: Removal[] = [];
  for (const part of [0.3, 0.31, 0.8, 2]) {
    const cuts = [...made.streams].map(
      ([name, lsns]) => [name, { beforeVersion: 1 + Math.floor(lsns.length * part) }] as const,
    );
    removals.push(removal(new Map(cuts)));
    ({ entries } = await scavenge(bench, entries, removals.at(-1) as Removal, { blockBytes: 2048 }));
    await checkLeft(bench, entries, made, leftOf(made, removals));
    assert.is((await scavenge(bench, entries, removals.at(-1) as Removal)).removedRecords, 0);
  }
  assert.is(leftOf(made, removals).size, 0);
  await bench.close();
});

test("dropped segments take next to no room, and keep the versions, the chain and the streams that are spared", async () => {
  const bench = sealedBench();
  const random = seededRandom();
  const made = makeLog(random, { ...SHAPE, frames: 3000, streams: 20, payloadMax: 20 });
  let entries = await bench.merge(made, { segmentBytes: 100_000, blockBytes: 2048 });
  const hash = entries.at(-1)?.hash;
  const spared = "stream-7";
  const removals: Removal[] = [];
  for (const count of [2, 3]) {
    const dropped = entries.slice(0, count);
    const what = removalThrough(dropped.at(-1)?.lastLsn ?? 0, spared);
    removals.push(what);
    const done = await dropRecords(dropped, what, await optionsOf(bench, entries));
    assert.is(done.entries.length, 1);
    const byteLength = dropped.reduce((sum, entry) => sum + entry.byteLength, 0);
    assert.ok(
      (done.entries[0]?.byteLength ?? 0) < byteLength / 2,
      `${done.entries[0]?.byteLength} of ${byteLength} bytes`,
    );
    entries = [...done.entries, ...entries.slice(count)];
    await checkLeft(bench, entries, made, leftOf(made, removals));
  }
  assert.is(entries.at(-1)?.hash, hash);
  const compacted = await compactSegments(entries, await optionsOf(bench, entries));
  await checkLeft(bench, compacted, made, leftOf(made, removals));
  const rest = await scavenge(bench, compacted, removal(new Map([[spared, { beforeVersion: 3 }]])));
  removals.push(removal(new Map([[spared, { beforeVersion: 3 }]])));
  await checkLeft(bench, rest.entries, made, leftOf(made, removals));
  const everything = await dropRecords(
    rest.entries,
    removalThrough(made.lastLsn, "\0"),
    await optionsOf(bench, rest.entries),
  );
  await checkLeft(bench, everything.entries, made, new Map());
  assert.is(everything.entries.at(-1)?.hash, hash);
  await bench.close();
});

test("a full disk, a failed read and being stopped leave the segments as they were", async () => {
  const bench = sealedBench();
  const made = makeLog(seededRandom(), SHAPE);
  const entries = await bench.merge(made, { segmentBytes: 12_000, blockBytes: 1024 });
  const what = removal(new Map(), { prefixes: [{ prefix: "stream-2", throughLsn: made.lastLsn }] });
  bench.faulty.decide = ({ kind }) => (kind === "write" ? { result: -ENOSPC } : null);
  const full = (await rejects(() => scavenge(bench, entries, what), "ERR_IO_FAILED")) as StoreError;
  assert.is(full.details["errno"], "ENOSPC");
  bench.faulty.decide = () => null;
  await rejects(
    () =>
      scavenge(bench, entries, what, {
        onProgress: (removed) => {
          if (removed > 50) throw new Error("stopped");
        },
      }),
    ({ message }) => message === "stopped",
  );
  assert.not(readdirSync(bench.directory).some((name) => name.endsWith(".tmp")));
  await checkLeft(bench, entries, made, made.records);
  await bench.close();
});
