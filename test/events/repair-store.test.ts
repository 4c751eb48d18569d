import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { isStoreError, openReader, openStore, type RepairReport, repairStore, salvageStore } from "../../src/index.js";
import { checksum } from "../../src/wal/checksum.js";
import { decodeFrameHeader } from "../../src/wal/format.js";
import { inspectSegment } from "../../src/wal/inspect-segment.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { snapshot } from "../wal/support/log-fixture.js";

const test = suite("events/repair-store");
const OPTIONS = { segmentBytes: 64 * 1024, checkpointWalBytes: 0 } as const;
const STREAMS = ["a", "b", "c"] as const;
const EVENTS = 12;

/** Event n is of stream n mod 3, alone in its frame; the store is sealed behind the nth. */
async function makeStore(sealed = 0): Promise<string> {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory, OPTIONS);
  for (let number = 1; number <= EVENTS; number++) {
    await store.append(STREAMS[number % 3] as string, { type: "T", data: { number } });
    if (number === sealed) await store.checkpoint();
  }
  await store.close();
  return directory;
}

async function numbersIn(directory: string): Promise<number[]> {
  const reader = await openReader(directory);
  try {
    const numbers: number[] = [];
    for await (const event of reader.readAll({ after: reader.horizon }))
      numbers.push((event.data as { number: number }).number);
    await reader.verifySealed();
    return numbers;
  } finally {
    await reader.close();
  }
}

function flip(path: string, offset: number): void {
  const byte = (readFileSync(path)[offset] as number) ^ 0x10;
  writeSync(openSync(path, "r+"), Buffer.of(byte), 0, 1, offset);
}

/** Zeros behind the first frame with records of an incarnation. Returns its last LSN. */
function keepFirstFrame(directory: string, incarnation: number): number {
  let lastLsn = 0;
  for (const name of readdirSync(join(directory, "wal"), { recursive: true, encoding: "utf8" })) {
    const path = join(directory, "wal", name);
    if (!name.endsWith(".wal")) continue;
    const bytes = readFileSync(path);
    for (let at = 4096; at < bytes.length; at += 4096) {
      const decoded = decodeFrameHeader(bytes.subarray(at, at + 4096));
      if (decoded.kind !== "frame" || decoded.header.incarnation !== incarnation) continue;
      const { kind, firstLsn, recordCount } = decoded.header;
      if (lastLsn === 0 && kind === "DATA") lastLsn = firstLsn + recordCount - 1;
      else writeSync(openSync(path, "r+"), Buffer.alloc(4096), 0, 4096, at);
    }
  }
  return lastLsn;
}

function numbers(...left: readonly (readonly [from: number, through: number])[]): number[] {
  return left.flatMap(([from, through]) => Array.from({ length: through - from + 1 }, (_, index) => from + index));
}

/** One byte of the body of the frame with that LSN is another. */
async function damageFrame(directory: string, lsn: number): Promise<string> {
  const core = join(directory, "wal/core-000");
  for (const name of readdirSync(core).sort()) {
    if (!name.endsWith(".wal")) continue;
    for await (const item of inspectSegment(join(core, name))) {
      if (item.kind !== "frame" || item.header.kind !== "DATA" || item.header.firstLsn !== lsn) continue;
      flip(join(core, name), item.fileOffset + 192 + 8 + 3);
      return join("wal/core-000", name);
    }
  }
  throw new Error(`no frame with LSN ${lsn}`);
}

async function repaired(directory: string): Promise<RepairReport> {
  const before = snapshot(directory);
  const plan = await repairStore(directory);
  assert.equal(snapshot(directory), before, "a dry run changes nothing");
  assert.is(plan.status, "damaged");
  const report = await repairStore(directory, { dryRun: false });
  assert.is(report.status, "repaired", String(report.obstacle));
  const { status: _, backup, quarantined, ...told } = report;
  const { status: __, backup: ___, quarantined: ____, ...planned } = plan;
  assert.equal(told, planned, "it does what the dry run said");
  assert.is((await repairStore(directory)).status, "clean");
  // The copy is what the store was.
  const copied = snapshot(backup ?? "");
  for (const [name, { bytes }] of before)
    if (/\.(wal|seal|checkpoint)$|manifest/.test(name)) assert.ok(copied.get(name)?.bytes.equals(bytes), name);
  for (const path of quarantined) assert.ok(existsSync(join(directory, path)), path);
  return report;
}

test("of a store with nothing wrong nothing is done", async () => {
  for (const sealed of [0, 5, EVENTS]) {
    const directory = await makeStore(sealed);
    const before = snapshot(directory);
    for (const dryRun of [true, false]) assert.is((await repairStore(directory, { dryRun })).status, "clean");
    const data = (found: typeof before): unknown[] => [...found].filter(([name]) => !/^lock$|owner$/.test(name));
    assert.equal(data(snapshot(directory)), data(before));
    assert.equal(readdirSync(dirname(directory)), [basename(directory)]);
  }
});

test("a lost event costs its stream what lies before it, by name, and nothing of the others", async () => {
  const directory = await makeStore();
  const file = await damageFrame(directory, 7); // version 3 of b
  const report = await repaired(directory);
  assert.equal(
    [report.lost, report.dropped, report.keptEvents, report.lastLsn],
    [[[7, 7]], [{ stream: "b", fromVersion: 1, throughVersion: 3, events: 2 }], 9, EVENTS],
  );
  assert.equal(await numbersIn(directory), [2, 3, 5, 6, 8, 9, 10, 11, 12]);
  const store = await openStore(directory, OPTIONS);
  const versions = [];
  for await (const { lsn, version } of store.readStream("b")) versions.push([lsn, version]);
  assert.equal(versions, [[10, 4]]);
  const done = await store.append("b", { type: "T", data: { number: 13 } }, { expectedVersion: 4 });
  assert.equal([done.version, "lsn" in done ? done.lsn : 0], [5, EVENTS + 1]);
  await store.close();
  assert.is(report.quarantined.length, 1);
  assert.match(report.quarantined[0] ?? "", file);
  const note = JSON.parse(
    readFileSync(join(directory, dirname(dirname(dirname(report.quarantined[0] ?? ""))), "report.json"), "utf8"),
  );
  assert.equal([note.lost, note.dropped, note.damage[0].offset > 0], [report.lost, report.dropped, true]);
});

test("what only the manifests or the indexes had is made anew, and nothing is lost", async () => {
  for (const sealed of [0, 5, EVENTS]) {
    const directory = await makeStore(sealed);
    for (const name of readdirSync(directory)) if (name.startsWith("manifest-")) rmSync(join(directory, name));
    const report = await repaired(directory);
    assert.equal([report.lostLsns, report.droppedEvents, report.keptEvents], [0, 0, EVENTS]);
    assert.equal(await numbersIn(directory), numbers([1, EVENTS]));
  }
  const directory = await makeStore(EVENTS);
  const path = join(directory, "log", readdirSync(join(directory, "log"))[0] as string);
  flip(path, readFileSync(path).indexOf("VRVN") + 100);
  const report = await repaired(directory);
  assert.equal([report.lostLsns, report.keptEvents, report.quarantined.length], [0, EVENTS, 1]);
  assert.equal(await numbersIn(directory), numbers([1, EVENTS]));
});

test("with the newest manifest gone, what an incarnation had behind the next one's beginning is named", async () => {
  const directory = join(temporaryDirectory(), "store");
  const [one, two] = [await openStore(directory, OPTIONS), await openStore(directory, OPTIONS)];
  await one.append("a", { type: "T", data: { number: 1 } });
  // Two frames, of two cores: nothing attests either.
  await Promise.all(
    [one, two].map((store, core) => store.append(`b${core}`, { type: "T", data: { number: 2 + core } })),
  );
  const crashed = `${directory}-crashed`;
  cpSync(directory, crashed, { recursive: true });
  const manifests = readdirSync(crashed).filter((name) => name.startsWith("manifest-"));
  const contents = manifests.map((name) => readFileSync(join(crashed, name)));
  await one.close();
  await two.close();
  // The recovery writes both once more, and dies behind the first; then its manifest rots.
  await (await openStore(crashed, OPTIONS)).close();
  assert.is(keepFirstFrame(crashed, 2), 2);
  for (const name of readdirSync(crashed)) if (name.startsWith("manifest-")) rmSync(join(crashed, name));
  for (const [index, name] of manifests.entries()) writeFileSync(join(crashed, name), contents[index] as Buffer);
  const newest = Math.max(...manifests.map((name) => Number(name.slice("manifest-".length)))) + 1;
  writeFileSync(join(crashed, `manifest-${String(newest).padStart(10, "0")}`), "rotten");
  const report = await repaired(crashed);
  assert.equal([report.lost, report.lastLsn, report.keptEvents], [[[3, 3]], 3, 2]);
  const store = await openStore(crashed, OPTIONS);
  assert.is((await store.append("a", { type: "T", data: { number: 4 } })).lsn, 4);
  await store.close();
});

test("a sealed segment that is gone is lost where no core's file has the same, and versions are kept", async () => {
  const directory = await makeStore(6);
  const segment = join(directory, "log", readdirSync(join(directory, "log"))[0] as string);
  const bytes = readFileSync(segment);
  rmSync(segment);
  const whole = await repaired(directory);
  assert.equal([whole.lost, whole.keptEvents], [[], EVENTS]);

  // Once more, with a checkpoint that has removed the core's file.
  const second = await makeStore(6);
  const store = await openStore(second, OPTIONS);
  await store.append("a", { type: "T", data: { number: 13 } });
  await store.checkpoint();
  await store.close();
  const [first = ""] = readdirSync(join(second, "log")).sort();
  assert.is(readFileSync(join(second, "log", first)).length, bytes.length);
  rmSync(join(second, "log", first));
  const report = await repaired(second);
  assert.equal(report.lost, [[1, 6]]);
  assert.equal(await numbersIn(second), numbers([7, 13]));
  const again = await openStore(second, OPTIONS);
  assert.equal([await again.streamVersion("a"), await again.streamVersion("b")], [5, 4]);
  await again.close();
});

test("the newest events of a log that were durable are lost, and their LSNs are not given again", async () => {
  const directory = await makeStore();
  await damageFrame(directory, EVENTS);
  const report = await repaired(directory);
  assert.equal([report.lost, report.lastLsn], [[[EVENTS, EVENTS]], EVENTS]);
  const store = await openStore(directory, OPTIONS);
  const done = await store.append("new", { type: "T", data: { number: 13 } });
  assert.is("lsn" in done ? done.lsn : 0, EVENTS + 1);
  await store.close();
});

test("a horizon stays, and the versions of streams that were emptied are not forgotten", async () => {
  const directory = await makeStore(4);
  const store = await openStore(directory, OPTIONS);
  await store.truncateBefore(5, { archive: "none" });
  await store.deleteStream("a");
  await store.scavenge();
  const { horizon } = store;
  await store.append("b", { type: "T", data: { number: 20 } });
  await store.close();
  assert.is(horizon, 4);
  const before = await numbersInRest(directory);
  const lsn = (await lastFrameLsn(directory)) ?? 0;
  await damageFrame(directory, lsn);
  const report = await repaired(directory);
  assert.equal(report.lost, [[lsn, lsn]]);
  const again = await openStore(directory, OPTIONS);
  assert.is(again.horizon, horizon);
  assert.is(await again.streamVersion("a"), 4);
  const done = await again.append("a", { type: "T", data: { number: 21 } });
  assert.is(done.version, 5);
  await again.close();
  assert.equal((await numbersInRest(directory)).slice(0, -1), before.slice(0, -1));
});

async function numbersInRest(directory: string): Promise<unknown[]> {
  const reader = await openReader(directory);
  const found = [];
  for await (const { lsn, stream, data } of reader.readAll({ after: reader.horizon }))
    if (!stream.startsWith("$")) found.push([lsn, (data as { number: number }).number]);
  await reader.close();
  return found;
}

async function lastFrameLsn(directory: string): Promise<number | null> {
  let lsn: number | null = null;
  const core = join(directory, "wal/core-000");
  for (const name of readdirSync(core).sort()) {
    if (!name.endsWith(".wal")) continue;
    for await (const item of inspectSegment(join(core, name)))
      if (item.kind === "frame" && item.header.kind === "DATA") lsn = item.header.firstLsn;
  }
  return lsn;
}

test("wishes of retention behind a lost one count, and those before it are forgotten", async () => {
  const directory = await makeStore();
  const store = await openStore(directory, OPTIONS);
  await store.truncateStream("a", { before: 3 });
  await store.truncateStream("b", { before: 3 });
  await store.truncateStream("c", { before: 3 });
  await store.close();
  await damageFrame(directory, EVENTS + 2);
  const report = await repaired(directory);
  assert.equal(report.dropped, [{ stream: "$retention", fromVersion: 1, throughVersion: 2, events: 1 }]);
  const again = await openStore(directory, OPTIONS);
  const firstVersions = [];
  for (const stream of STREAMS) {
    for await (const { version } of again.readStream(stream, { limit: 1 })) firstVersions.push(version);
  }
  assert.equal(firstVersions, [1, 1, 3]);
  await again.truncateStream("a", { before: 4 });
  await again.scavenge();
  for await (const { version } of again.readStream("a", { limit: 1 })) assert.is(version, 4);
  await again.close();
});

test("a repair that is interrupted at any LSN leaves the store as it was, and the next one does it", async () => {
  const directory = await makeStore(6);
  await damageFrame(directory, 9);
  const data = (): unknown[] => [...snapshot(directory)].filter(([name]) => /\.wal$|manifest/.test(name));
  const before = data();
  const enough = new Error("enough");
  for (let step = 1; step <= 2 * EVENTS; step += 3) {
    let steps = 0;
    const onProgress = (): void => {
      if (++steps === step) throw enough;
    };
    const backup = `${directory}-backup-${step}`;
    const thrown = await repairStore(directory, { dryRun: false, backup, onProgress }).catch((error: unknown) => error);
    assert.is(thrown, enough);
    assert.equal(data(), before);
    assert.is((await repairStore(directory)).status, "damaged");
  }
  await repaired(directory);
});

test("a repair that died behind its commit has left a store that opens and forgets what it left", async () => {
  const directory = await makeStore(6);
  const old = `${directory}-old`;
  await damageFrame(directory, 9);
  cpSync(directory, old, { recursive: true });
  await repaired(directory);
  const left = await numbersIn(directory);
  for (const part of ["wal", "log"]) cpSync(join(old, part), join(directory, part), { recursive: true });
  assert.equal(await numbersIn(directory), left);
  const store = await openStore(directory, OPTIONS);
  await store.append("a", { type: "T", data: { number: 30 } });
  await store.checkpoint();
  await store.close();
  assert.equal(await numbersIn(directory), [...left, 30]);
  assert.is((await repairStore(directory)).status, "clean");
});

test("while a writer has the store open, or the copy's place is taken, nothing is touched", async () => {
  const directory = await makeStore();
  const store = await openStore(directory, OPTIONS);
  const locked = await repairStore(directory, { dryRun: false }).catch((error: unknown) => error);
  assert.ok(isStoreError(locked, "ERR_STORE_LOCKED") || isStoreError(locked, "ERR_STORE_BUSY"), String(locked));
  await store.close();
  await damageFrame(directory, 9);
  const backup = `${directory}-backup`;
  mkdirSync(backup);
  const before = [...snapshot(directory)].filter(([name]) => !/lock|owner/.test(name));
  const taken = await repairStore(directory, { dryRun: false, backup }).catch((error: unknown) => error);
  assert.ok(isStoreError(taken, "ERR_STORE_EXISTS"), String(taken));
  assert.equal(
    [...snapshot(directory)].filter(([name]) => !/lock|owner/.test(name)),
    before,
  );
});

test("a newer version's files and a backup are left alone, and it is said why", async () => {
  const directory = await makeStore();
  const newer = readdirSync(directory).find((name) => name.startsWith("manifest-")) ?? "";
  const backup = join(dirname(directory), "backup");
  const store = await openStore(directory, OPTIONS);
  await store.backup(backup);
  await store.close();
  const segment = join(backup, "log", readdirSync(join(backup, "log"))[0] as string);
  flip(segment, 4096 + 100);
  const refused = await repairStore(backup, { dryRun: false });
  assert.equal([refused.status, refused.backup], ["unrepairable", null]);
  assert.match(String(refused.obstacle), "it is a backup");
  assert.ok(newer !== "");
});

test("files of another store are set aside", async () => {
  const directory = await makeStore();
  const other = await makeStore();
  const strange = join(directory, "wal/core-000/0000000007.wal");
  copyFileSync(join(other, "wal/core-000/0000000001.wal"), strange);
  const report = await repaired(directory);
  assert.equal([report.foreignFiles, report.lostLsns, report.keptEvents], [[strange], 0, EVENTS]);
  assert.is(report.problem?.code, "ERR_WAL_FOREIGN");
  assert.not(existsSync(strange));
  assert.equal(await numbersIn(directory), numbers([1, EVENTS]));
});

test("where nothing is left that says which store it is, nothing is done", async () => {
  const directory = await makeStore();
  for (const [name, { bytes }] of snapshot(directory))
    if (bytes.length > 0) writeFileSync(join(directory, name), Buffer.alloc(bytes.length, 0x5a));
  const report = await repairStore(directory, { dryRun: false });
  assert.equal(readdirSync(dirname(directory)), ["store"], "no copy was made");
  assert.equal([report.status, report.obstacle], ["unrepairable", "no file says which store it is"]);
  const empty = temporaryDirectory();
  for (const path of [join(empty, "absent"), empty]) {
    for (const dryRun of [true, false]) {
      const error = await repairStore(path, { dryRun }).catch((thrown: unknown) => thrown);
      assert.ok(isStoreError(error, "ERR_STORE_NOT_FOUND"), String(error));
    }
    assert.equal(readdirSync(empty), []);
  }
});

test("projections that know what is lost begin anew, and the copy can still be salvaged", async () => {
  const directory = await makeStore();
  const store = await openStore(directory, OPTIONS);
  const graph = await store.graph();
  await graph.createNode({ label: "P", properties: {}, validFrom: 0 });
  await store.checkpoint();
  await store.close();
  const segment = join(directory, "log", readdirSync(join(directory, "log"))[0] as string);
  flip(segment, 4096 + 64 + 32 + 12);
  const report = await repaired(directory);
  assert.ok(report.quarantined.some((path) => path.endsWith("/projections")));
  assert.not(existsSync(join(directory, "projections")));
  const again = await openStore(directory, OPTIONS);
  assert.is([...(await again.graph()).asOf({ validAt: 1 }).find({ label: "P" })].length, report.keptEvents > 0 ? 1 : 0);
  await again.close();
  const salvaged = await salvageStore(report.backup ?? "");
  assert.ok(salvaged.events > report.keptEvents, "records of the damaged block");
});

// Found by the fuzz's lies: the LSNs that it says are lost were more than a run can count, and ended in a RangeError.
test("where a header that holds its checksum attests what no log can have lost, nothing is done", async () => {
  const directory = await makeStore();
  const path = join(directory, "wal/core-000/0000000001.wal");
  const bytes = readFileSync(path);
  bytes.writeUInt32LE(0x1_0000, 4096 + 100);
  bytes.writeUInt32LE(checksum(bytes, 4096, 4096 + 188), 4096 + 188);
  writeFileSync(path, bytes);
  const report = await repairStore(directory, { dryRun: false });
  assert.equal([report.status, report.backup], ["unrepairable", null]);
  assert.match(String(report.obstacle), "attests LSN");
  assert.is((await salvageStore(directory)).events, EVENTS);
});

test("misuse is told", async () => {
  const directory = await makeStore();
  const wrong = [{ dryRun: 1 }, { backup: "" }, { onProgress: true }, { unknown: 1 }];
  for (const options of wrong) {
    const error = await repairStore(directory, options as never).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof TypeError, String(error));
  }
  const inside = await repairStore(directory, { dryRun: false, backup: join(directory, "copy") }).catch(
    (e: unknown) => e,
  );
  assert.ok(inside instanceof TypeError, String(inside));
});
