import {
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { isStoreError, openStore, type SalvagedEvent, type SalvageReport, salvageStore } from "../../src/index.js";
import { inspectSegment } from "../../src/wal/inspect-segment.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { copyStore, snapshot } from "../wal/support/log-fixture.js";

const test = suite("projections/salvage-store");
const OPTIONS = { segmentBytes: 64 * 1024, checkpointWalBytes: 0 } as const;
const BATCHES = 6;

/** Two events in each of some frames; `sealed` says behind which of them a checkpoint is made. */
async function makeStore(sealed: number | null = null): Promise<string> {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory, OPTIONS);
  for (let batch = 1; batch <= BATCHES; batch++) {
    await store.append(`s${batch % 2}`, [
      { type: "T", data: { batch }, metadata: { hop: batch } },
      { type: "T", data: null, id: `id-${batch}` },
    ]);
    if (batch === sealed) await store.checkpoint();
  }
  await store.close();
  return directory;
}

async function salvage(directory: string): Promise<{ events: SalvagedEvent[]; report: SalvageReport }> {
  const events: SalvagedEvent[] = [];
  const report = await salvageStore(directory, { onEvent: (event) => void events.push(event) });
  assert.is(report.events, events.length);
  return { events, report };
}

function lsnsOf(events: readonly SalvagedEvent[]): (number | null)[] {
  return events.map(({ lsn }) => lsn);
}

function upTo(lsn: number): number[] {
  return Array.from({ length: lsn }, (_, index) => index + 1);
}

function flip(path: string, offset: number): void {
  const byte = (readFileSync(path)[offset] as number) ^ 0x10;
  writeSync(openSync(path, "r+"), Buffer.of(byte), 0, 1, offset);
}

async function framesIn(path: string): Promise<{ offset: number; firstLsn: number }[]> {
  const found = [];
  for await (const item of inspectSegment(path))
    if (item.kind === "frame" && item.header.kind === "DATA")
      found.push({ offset: item.fileOffset, firstLsn: item.header.firstLsn });
  return found;
}

test("of a whole store everything is read, as its reader reads it, and nothing is written", async () => {
  for (const sealed of [null, 3, BATCHES]) {
    const directory = await makeStore(sealed);
    const store = await openStore(directory, OPTIONS);
    const expected = [];
    for await (const { lsn, stream, version, type, data, metadata, id, recordedAt } of store.readAll())
      expected.push({ lsn, stream, version, type, data, metadata, id, recordedAt });
    await store.close();
    const before = snapshot(directory);
    const { events, report } = await salvage(directory);
    assert.equal(snapshot(directory), before);
    assert.equal(events, expected);
    const { lost, damage, gaps, manifest, unattestedEvents, lastLsn } = report;
    assert.equal(
      { lost, damage, gaps, manifest, unattestedEvents, lastLsn },
      {
        lost: [],
        damage: [],
        gaps: [],
        manifest: "manifest",
        unattestedEvents: 0,
        lastLsn: 2 * BATCHES,
      },
    );
  }
});

test("without any manifest all events are found, and the store is known by what its files say", async () => {
  for (const sealed of [null, 3, BATCHES]) {
    const directory = await makeStore(sealed);
    for (const name of readdirSync(directory)) if (name.startsWith("manifest-")) rmSync(join(directory, name));
    const { events, report } = await salvage(directory);
    assert.equal(lsnsOf(events), upTo(2 * BATCHES));
    assert.is(report.manifest, "absent");
    assert.match(String(report.storeId), /^[0-9a-f]{32}$/);
  }
});

test("a record that is damaged is lost alone, and its stream is said to lack it", async () => {
  const directory = await makeStore();
  const path = join(directory, "wal/core-000/0000000001.wal");
  const frame = (await framesIn(path)).find(({ firstLsn }) => firstLsn === 3);
  flip(path, (frame?.offset ?? 0) + 192 + 8 + 5);
  const { events, report } = await salvage(directory);
  assert.equal(lsnsOf(events), [1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  assert.equal([report.lost, report.lostLsns], [[[3, 3]], 1]);
  assert.equal(report.gaps, [{ stream: "s0", fromVersion: 1, throughVersion: 1 }]);
  assert.equal(report.damage, [
    { path, offset: frame?.offset, kind: "damaged", what: "a frame whose body does not hold its checksums" },
  ]);
});

test("where a frame's header is damaged its events are read without their LSNs, last", async () => {
  const directory = await makeStore();
  const path = join(directory, "wal/core-000/0000000001.wal");
  const frame = (await framesIn(path)).find(({ firstLsn }) => firstLsn === 5);
  flip(path, (frame?.offset ?? 0) + 70);
  const { events, report } = await salvage(directory);
  assert.equal(lsnsOf(events), [1, 2, 3, 4, 7, 8, 9, 10, 11, 12, null, null]);
  assert.equal(
    events.slice(-2).map(({ version, stream, id, recordedAt }) => [version, stream, id, recordedAt]),
    [
      [3, "s1", null, null],
      [4, "s1", "id-3", null],
    ],
  );
  assert.equal([report.eventsWithoutLsn, report.lost], [2, [[5, 6]]]);
});

test("what a sealed segment has lost is read from the core's file, where that is still there", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory, OPTIONS);
  for (let batch = 1; batch <= BATCHES; batch++) await store.append("s", { type: "T", data: { batch } });
  const before = copyStore(directory);
  await store.checkpoint();
  await store.close();
  const file = "wal/core-000/0000000001.wal";
  mkdirSync(join(directory, "wal/core-000"), { recursive: true });
  copyFileSync(join(before, file), join(directory, file));
  const [name = ""] = readdirSync(join(directory, "log"));
  flip(join(directory, "log", name), 4096 + 64 + 32 + 20);
  const { events, report } = await salvage(directory);
  assert.equal(lsnsOf(events), upTo(BATCHES));
  assert.is(report.lostLsns, 0);
  assert.is(report.damage.length, 1);
});

test("behind a block that is damaged the next one is found, with and without a trailer", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory, OPTIONS);
  // Blocks have about 16 KiB.
  for (let batch = 1; batch <= 12; batch++) await store.append("s", { type: "T", data: "x".repeat(5_000) });
  await store.checkpoint();
  await store.close();
  const path = join(directory, "log", readdirSync(join(directory, "log"))[0] as string);
  const second = readFileSync(path).indexOf("VRVB", 4097);
  flip(path, second + 9);
  for (const hasTrailer of [true, false]) {
    if (!hasTrailer) truncateSync(path, statSync(path).size - 4096);
    const { events, report } = await salvage(directory);
    const [[from, through] = [0, 0]] = report.lost;
    assert.ok(from > 1 && through < 12, `lost ${from} to ${through}`);
    assert.equal(
      lsnsOf(events),
      upTo(12).filter((lsn) => lsn < from || lsn > through),
    );
  }
});

test("what a recovery has cut is not read, with a manifest and without one", async () => {
  const directory = await makeStore();
  const store = await openStore(directory, OPTIONS);
  await store.append("s1", { type: "T", data: "kept" });
  const crashed = copyStore(directory);
  await store.append("s1", { type: "T", data: "lost" });
  const later = copyStore(directory);
  await store.close();
  // The crash took the last frame; recovery ended the log before it; then its file came back.
  const next = await openStore(crashed, OPTIONS);
  await next.append("s1", { type: "T", data: "another" });
  await next.close();
  const file = "wal/core-000/0000000002.wal";
  copyFileSync(join(later, file), join(crashed, file));
  for (const hasManifest of [true, false]) {
    if (!hasManifest)
      for (const name of readdirSync(crashed)) if (name.startsWith("manifest-")) rmSync(join(crashed, name));
    const { events, report } = await salvage(crashed);
    assert.equal(lsnsOf(events), upTo(14));
    assert.equal(
      events.slice(-2).map(({ data }) => data),
      ["kept", "another"],
    );
    // Without a manifest the copy of "kept" that recovery wrote once more is the one that counts.
    assert.is(report.fencedFrames, hasManifest ? 1 : 2);
  }
});

test("records that are no events are counted and passed over, and files of another store too", async () => {
  const directory = await makeStore();
  const other = await makeStore();
  copyFileSync(join(other, "wal/core-000/0000000001.wal"), join(directory, "wal/core-000/0000000009.wal"));
  const { events, report } = await salvage(directory);
  assert.equal(lsnsOf(events), upTo(2 * BATCHES));
  assert.equal(report.foreignFiles, [join(directory, "wal/core-000/0000000009.wal")]);
});

test("nothing is found where nothing is, misuse is told, and what onEvent throws comes through", async () => {
  const empty = temporaryDirectory();
  for (const directory of [empty, join(empty, "absent")]) {
    const error = await salvageStore(directory).catch((thrown: unknown) => thrown);
    assert.ok(isStoreError(error, "ERR_STORE_NOT_FOUND"), String(error));
  }
  const wrong = [{ onEvent: 1 }, { schemas: "x" }, { signal: {} }, { unknown: true }];
  for (const options of wrong) {
    const error = await salvageStore(empty, options as never).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof TypeError, String(error));
  }
  const directory = await makeStore();
  const mine = new Error("enough");
  const onEvent = (): void => {
    throw mine;
  };
  assert.is(await salvageStore(directory, { onEvent }).catch((thrown: unknown) => thrown), mine);
  const aborted = await salvageStore(directory, { signal: AbortSignal.abort(mine) }).catch((thrown: unknown) => thrown);
  assert.is(aborted, mine);
});

test("what the device does not give back is passed over, and named", async () => {
  const directory = await makeStore();
  // Reading a directory fails as reading a bad block does.
  const path = join(directory, "wal/core-000/0000000009.wal");
  mkdirSync(path);
  const { events, report } = await salvage(directory);
  assert.equal(lsnsOf(events), upTo(2 * BATCHES));
  assert.ok(report.damage.some((note) => note.path === path && note.what.includes("does not give back")));
});

test("garbage in the place of every file is survived", async () => {
  const directory = await makeStore(3);
  for (const [name, { bytes }] of snapshot(directory)) {
    if (bytes.length === 0) continue;
    writeFileSync(join(directory, name), Buffer.alloc(bytes.length, 0x5a));
  }
  const { events, report } = await salvage(directory);
  assert.equal([events.length, report.storeId, report.manifest], [0, null, "damaged"]);
});
