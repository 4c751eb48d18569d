/** Opening what a crash, a failing disk or a careless hand has left: the data, a refusal that says where, or a reported cut. */

import { cpSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { StoreError } from "../../src/errors.js";
import { ENOSPC } from "../../src/ffi/errno.js";
import { openIo } from "../../src/ffi/open-io.js";
import { encodeManifest } from "../../src/wal/manifest.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import {
  BLOCK,
  change,
  flipBit,
  framesOf,
  newestManifest,
  options,
  recover,
  refuses,
  SECTOR,
  writeAndCrash,
} from "./support/damaged-log.js";
import { faultyIo, isFrame } from "./support/faulty-io.js";
import { append, copyStore, KIBIBYTE, openLog, readLog, segmentFiles } from "./support/log-fixture.js";

const test = suite("wal/open-log");

let directory = "";

test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
});

const write = (names: readonly string[], from = directory): Promise<string> => writeAndCrash(from, names);

/** Writes that were started are on the disk by then. */
const LANDED_AFTER_MS = 150;

/** What a crash leaves that happens when all these appends are on the device and none of them has been told. */
async function crashInFlight(names: readonly string[], clock?: () => number): Promise<string> {
  let crashed = "";
  const { wal } = await openLog(directory, {
    segmentBytes: 64 * KIBIBYTE,
    ...(clock === undefined ? {} : { clock }),
    openIo: (demand, path) => {
      const faulty = faultyIo(openIo(demand, path));
      faulty.decide = (operation) => (isFrame(operation) ? "tellLater" : null);
      const crash = (): void => {
        crashed = copyStore(directory);
        faulty.decide = () => null;
        for (const entry of [...faulty.withheld]) entry.release();
      };
      const look = setInterval(() => {
        if (faulty.withheld.length < names.length) return;
        clearInterval(look);
        setTimeout(crash, LANDED_AFTER_MS);
      }, 5);
      return faulty.io;
    },
  });
  await Promise.all(names.map((name) => append(wal, [name], "now")));
  await wal.close();
  return crashed;
}

test("a new store is empty, and again when nothing was written", async () => {
  const first = await recover(directory);
  assert.equal(first.records, []);
  assert.is(first.recovery.row, "@A");
  const second = await recover(directory);
  assert.equal(second.records, []);
  assert.equal(segmentFiles(directory), []);
});

test("a closed store serves without a doubt, a crashed one after its last records were written once more", async () => {
  const crashed = await write(["a", "b", "c"]);
  assert.equal(await recover(directory).then(({ records, recovery }) => [records, recovery.row]), [
    ["a", "b", "c"],
    "@I",
  ]);
  const { records, recovery } = await recover(crashed);
  assert.equal(records, ["a", "b", "c"]);
  assert.is(recovery.row, "@L");
  // Each frame attests the ones before it, so only the last is in doubt.
  assert.is(recovery.attestedLsn, 2);
  assert.is(recovery.rewrittenRecords, 1);
  assert.is(recovery.tornAt, null);
});

test(
  "a frame torn at any sector is cut, reported, and stays away for three generations",
  async () => {
    const { wal } = await openLog(directory, options);
    await append(wal, ["a"], "now");
    await append(wal, ["b".repeat(6000)], "now");
    const crashed = copyStore(directory);
    await wal.close();
    const [path] = segmentFiles(crashed) as [string];
    const last = framesOf(path).at(-1) as { offset: number; byteLength: number };
    assert.is(last.byteLength, 2 * BLOCK);
    const whole = readFileSync(path);
    for (let kept = 0; kept < last.byteLength; kept += SECTOR) {
      const torn = join(temporaryDirectory(), "store");
      cpSync(crashed, torn, { recursive: true });
      const [tornPath] = segmentFiles(torn) as [string];
      change(tornPath, (bytes) => bytes.fill(0, last.offset + kept, last.offset + last.byteLength));
      const records: string[] = ["a"];
      const first = await recover(torn);
      const isWhole = 192 + 8 + 6000 <= kept;
      if (isWhole) records.push("b".repeat(6000));
      assert.equal(first.records, records, `${kept} bytes kept`);
      if (!isWhole && kept > 0) assert.equal(first.recovery.tornAt, { path: tornPath, offset: last.offset });
      // The lost bytes come back, as a device may do it: they must not be believed any more.
      change(tornPath, (bytes) => whole.copy(bytes, last.offset, last.offset, last.offset + last.byteLength));
      for (const name of ["c", "d"]) {
        records.push(name);
        await write([name], torn);
        change(tornPath, (bytes) => whole.copy(bytes, last.offset, last.offset, last.offset + last.byteLength));
        assert.equal((await recover(torn)).records, records, `${kept} bytes kept, then ${name}`);
      }
    }
  },
  { timeoutMs: 60_000 },
);

test("a frame lost behind one that follows it is an orphan's end: both are cut and counted, and LSNs are taken anew", async () => {
  // Two writes in flight at once: the second lands, the first does not.
  let crashed = "";
  const { wal } = await openLog(directory, {
    ...options,
    openIo: (demand, path) => {
      const faulty = faultyIo(openIo(demand, path));
      let frameCount = 0;
      const crash = (): void => {
        crashed = copyStore(directory);
        for (const entry of [...faulty.withheld]) entry.release();
      };
      faulty.decide = (operation) => {
        if (!isFrame(operation)) return null;
        frameCount++;
        // By then the third has landed.
        if (frameCount === 3) setTimeout(crash, 300);
        return frameCount === 2 ? "doLater" : null;
      };
      return faulty.io;
    },
  });
  await append(wal, ["a"], "now");
  await Promise.all([append(wal, ["lost"], "now"), append(wal, ["orphan"], "now")]);
  await wal.close();
  const { records, recovery } = await recover(crashed);
  assert.equal(records, ["a"]);
  assert.is(recovery.orphanFrames, 1);
  assert.ok(recovery.tornAt !== null);
  await write(["new"], crashed);
  assert.equal((await recover(crashed)).records, ["a", "new"]);
});

test("damage below what is attested refuses, says where and which records, and changes nothing", async () => {
  const crashed = await write(["a", "b", "c", "d"]);
  const [first, second] = segmentFiles(crashed) as [string, string];
  const frames = framesOf(first);
  for (const [index, { offset }] of frames.entries()) {
    const damaged = join(temporaryDirectory(), "store");
    cpSync(crashed, damaged, { recursive: true, preserveTimestamps: true });
    const [path] = segmentFiles(damaged) as [string];
    flipBit(path, (offset + 192 + 8) * 8 + 3);
    const error = await refuses(damaged, "ERR_WAL_CORRUPT");
    assert.equal(error.details, { path, offset, firstLostLsn: index + 1, lastLostLsn: 3 });
    for (const fact of [path, `offset ${offset}`, `LSN ${index + 1} to 3`])
      assert.ok(error.message.includes(fact), fact);
  }
  assert.is(frames.length, 3);
  assert.is(framesOf(second).length, 1);
});

test("damage in a closed store refuses, in every incarnation, and names the file where it is", async () => {
  await write(["a", "b"]);
  await write(["c"]);
  await write(["d", "e"]);
  const paths = segmentFiles(directory);
  assert.is(paths.length, 3);
  const lost = [
    [0, 1],
    [1, 3],
    [2, 4],
  ] as const;
  for (const [segment, firstLostLsn] of lost) {
    const damaged = join(temporaryDirectory(), "store");
    cpSync(directory, damaged, { recursive: true, preserveTimestamps: true });
    const path = segmentFiles(damaged)[segment] as string;
    flipBit(path, (BLOCK + 150) * 8);
    const error = await refuses(damaged, "ERR_WAL_CORRUPT");
    assert.is(error.details["path"], path);
    assert.is(error.details["offset"], BLOCK);
    assert.is(error.details["firstLostLsn"], firstLostLsn);
    assert.is(error.details["lastLostLsn"], 5);
  }
});

test("recovery that is killed at any step comes to the same when it is done again", async () => {
  const crashed = await write(["a", "b", "c", "d", "e"]);
  const states = new Map<string, string>();
  // Every operation of the recovering writer is a step; a copy of the directory is what a kill there leaves.
  let step = 0;
  const { wal } = await openLog(crashed, {
    ...options,
    openIo: (demand, path) => {
      const faulty = faultyIo(openIo(demand, path));
      faulty.decide = (operation) => {
        if (operation.kind !== "read")
          states.set(`${step++} ${operation.kind} at ${operation.fileOffset}`, copyStore(crashed));
        return null;
      };
      return faulty.io;
    },
  });
  states.set("open", copyStore(crashed));
  await wal.close();
  states.set("closed", copyStore(crashed));
  assert.ok(states.size >= 6, [...states.keys()].join());
  for (const [what, state] of states) {
    for (let again = 0; again < 3; again++)
      assert.equal((await recover(state)).records, ["a", "b", "c", "d", "e"], `${what}, time ${again + 1}`);
  }
});

test("recovery that cannot write its manifest leaves everything as it was, and succeeds when it can", async () => {
  const crashed = await write(["a", "b"]);
  const { manifest } = newestManifest(crashed);
  const inTheWay = join(crashed, `manifest-${String(manifest.sequence + 1).padStart(10, "0")}.tmp`);
  cpSync(join(crashed, "wal"), inTheWay, { recursive: true }); // a directory, which cannot be written to
  const error = (await rejects(openLog(crashed, options), "ERR_IO_FAILED")) as StoreError;
  assert.is(error.details["errno"], "EISDIR");
  assert.is(newestManifest(crashed).manifest.sequence, manifest.sequence);
  rmSync(inTheWay, { recursive: true });
  assert.equal((await recover(crashed)).records, ["a", "b"]);
});

test("records written once more keep their LSNs and their time, and come back from either copy", async () => {
  // Three frames in flight at once, so that nobody attests the first two.
  const times = [1, 100, 200, 300, 400, 500];
  const clock = (): number => times.shift() ?? 999;
  const crashed = await crashInFlight(["a", "b", "c"], clock);
  const first = await openLog(crashed, { ...options, segmentBytes: 64 * KIBIBYTE });
  assert.is(first.wal.recovery.row, "@L");
  assert.is(first.wal.recovery.rewrittenRecords, 3);
  const firstTimes = first.frames.map(({ header }) => header.recordedAt);
  assert.equal(firstTimes, [100, 200, 300]);
  await append(first.wal, ["d"], "now");
  await first.wal.close();
  // The first copies are damaged: the second ones serve, with the same times.
  const [oldest] = segmentFiles(crashed) as [string];
  for (const { offset } of framesOf(oldest)) flipBit(oldest, (offset + 200) * 8);
  const second = await openLog(crashed, options);
  assert.equal(second.recovered, ["a", "b", "c", "d"]);
  assert.equal(
    second.frames.slice(0, 3).map(({ header }) => header.recordedAt),
    firstTimes,
  );
  assert.equal(await readLog(second.wal), ["a", "b", "c", "d"]);
  await second.wal.close();
});

test("a torn tail behind records that nobody attests: those are kept, written once more, and the tail is reported", async () => {
  const crashed = await crashInFlight(["a", "b", "c"]);
  const [path] = segmentFiles(crashed) as [string];
  flipBit(path, (3 * BLOCK + 200) * 8);
  const { records, recovery } = await recover(crashed);
  assert.equal(records, ["a", "b"]);
  assert.is(recovery.row, "@M");
  assert.is(recovery.rewrittenRecords, 2);
  assert.equal(recovery.tornAt, { path, offset: 3 * BLOCK });
});

test("no space to write once more what nobody attests: opening says so, and loses nothing then or later", async () => {
  const crashed = await crashInFlight(["a", "b", "c"]);
  // The preamble and one block fit; then the disk is full.
  let allocations = 0;
  const full = openLog(crashed, {
    segmentBytes: 8 * KIBIBYTE,
    openIo: (demand, path) => {
      const faulty = faultyIo(openIo(demand, path));
      faulty.decide = ({ kind }) => (kind === "allocate" && ++allocations > 1 ? { result: -ENOSPC } : null);
      return faulty.io;
    },
  });
  await rejects(full, "ERR_WAL_FULL");
  for (let again = 0; again < 2; again++) assert.equal((await recover(crashed)).records, ["a", "b", "c"]);
});

test("what nobody attests cannot be written once more: opening fails for that reason, and loses nothing", async () => {
  const crashed = await crashInFlight(["a", "b", "c"]);
  const short = openLog(crashed, {
    ...options,
    openIo: (demand, path) => {
      const faulty = faultyIo(openIo(demand, path));
      faulty.decide = (operation) => (isFrame(operation) ? { onlyBytes: 512 } : null);
      return faulty.io;
    },
  });
  // Not ERR_WAL_OUTCOME_UNKNOWN: nobody has appended anything.
  await rejects(short, "ERR_IO_FAILED");
  assert.equal((await recover(crashed)).records, ["a", "b", "c"]);
});

test("a manifest that is rolled back by one opening serves the same records as before", async () => {
  await write(["a"]);
  await recover(directory);
  const { path, manifest } = newestManifest(directory);
  assert.ok(encodeManifest(manifest).equals(readFileSync(path)));
  rmSync(path);
  assert.equal((await recover(directory)).records, ["a"]);
});
