/** Opening a log with files that are missing, of another store, of another version, or leftovers. */

import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { checksum } from "../../src/wal/checksum.js";
import { decodePreamble, encodePreamble } from "../../src/wal/format.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import {
  BLOCK,
  change,
  flipBit,
  newestManifest,
  options,
  recover,
  refuses,
  writeAndCrash,
} from "./support/damaged-log.js";
import { append, copyStore, openLog, segmentFiles, snapshot } from "./support/log-fixture.js";

const test = suite("wal/open-log-files");

let directory = "";

test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
});

const write = (names: readonly string[], from = directory): Promise<string> => writeAndCrash(from, names);

test("a store without one of its files refuses and names it, but for a spare manifest and the lock", async () => {
  await write(["a", "b", "c", "d", "e", "f", "g"]);
  await write(["h"]);
  const expected = ["a", "b", "c", "d", "e", "f", "g", "h"];
  const spare = [join(directory, "lock"), newestManifest(directory).path];
  const files = [...snapshot(directory).keys()].filter((name) => existsSync(join(directory, name)));
  for (const name of files) {
    const damaged = join(temporaryDirectory(), "store");
    cpSync(directory, damaged, { recursive: true, preserveTimestamps: true });
    if (!name.includes(".") && !name.startsWith("manifest-") && name !== "lock") continue; // a directory
    rmSync(join(damaged, name));
    if (name.endsWith(".wal")) {
      const error = await refuses(damaged, "ERR_WAL_CORRUPT");
      const missing = join(damaged, name);
      const before = segmentFiles(directory)[segmentFiles(directory).indexOf(join(directory, name)) - 1];
      const names = [missing, before === undefined ? "" : join(damaged, "wal", "core-000", basename(before))];
      assert.ok(names.includes(String(error.details["path"])), `${name}: ${error.message}`);
      assert.is(error.details["lastLostLsn"], 8);
    } else {
      const { records } = await recover(damaged);
      assert.equal(records, expected, `without ${name}`);
    }
  }
  assert.ok(spare.every((path) => existsSync(path)));
  const none = join(temporaryDirectory(), "store");
  cpSync(directory, none, { recursive: true });
  for (const name of readdirSync(none)) if (name.startsWith("manifest-")) rmSync(join(none, name));
  await refuses(none, "ERR_WAL_CORRUPT");
});

test("a segment of another store refuses by name", async () => {
  await write(["a"]);
  const other = join(temporaryDirectory(), "other");
  await write(["x"], other);
  cpSync(segmentFiles(other)[0] as string, segmentFiles(directory)[0] as string);
  const error = await refuses(directory, "ERR_WAL_FOREIGN");
  assert.is(error.details["path"], segmentFiles(directory)[0]);
});

test("a file that the manifest does not know refuses, and is not removed", async () => {
  await write(["a"]);
  await write(["b"]);
  const [first] = segmentFiles(directory) as [string];
  renameSync(first, first.replace("0000000001", "0000000000"));
  await refuses(directory, "ERR_WAL_CORRUPT");
});

test("an older manifest put back is not believed when the log is newer", async () => {
  await write(["a"]);
  const older = newestManifest(directory);
  const copy = readFileSync(older.path);
  await write(["b"]);
  for (const name of readdirSync(directory)) if (name.startsWith("manifest-")) rmSync(join(directory, name));
  writeFileSync(older.path, copy);
  const error = await refuses(directory, "ERR_WAL_CORRUPT");
  assert.match(error.message, /newer than its manifest/);
});

test("behind a damaged manifest the one before serves, and the report names the damaged one", async () => {
  await write(["a", "b"]);
  const { path } = newestManifest(directory);
  change(path, (bytes) => bytes.fill(0, 40, 50));
  const { records, recovery } = await recover(directory);
  assert.equal(records, ["a", "b"]);
  assert.equal(recovery.damagedManifests, [path]);
});

test("what a newer version wrote refuses as such: manifest, segment or frame, wherever the run ended", async () => {
  const crashed = await write(["a", "b", "c"]);
  const variants: [string, (from: string) => void][] = [
    [
      "manifest",
      (from) => {
        const { path } = newestManifest(from);
        const body = "{}";
        const start = "varve-manifest 4 ";
        const crc = checksum(Buffer.from(start + body))
          .toString(16)
          .padStart(8, "0");
        writeFileSync(path, `${start}${crc}\n${body}\n`);
      },
    ],
    [
      "segment",
      (from) =>
        change(segmentFiles(from)[0] as string, (bytes) => {
          bytes.writeUInt16LE(2, 4);
          bytes.writeUInt32LE(checksum(bytes, 0, 88), 88);
        }),
    ],
    ["frame", (from) => change(segmentFiles(from)[0] as string, (bytes) => makeNewer(bytes, 2 * BLOCK))],
    [
      "frame behind a torn one",
      (from) =>
        change(segmentFiles(from)[0] as string, (bytes) => {
          bytes.fill(0xee, 2 * BLOCK, 2 * BLOCK + 10);
          makeNewer(bytes, 3 * BLOCK);
        }),
    ],
  ];
  for (const [what, edit] of variants) {
    const newer = join(temporaryDirectory(), "store");
    cpSync(crashed, newer, { recursive: true, preserveTimestamps: true });
    edit(newer);
    const error = await refuses(newer, "ERR_WAL_VERSION");
    assert.match(error.message, /newer/, what);
  }
});

function makeNewer(bytes: Buffer, at: number): void {
  bytes.writeUInt16LE(9, at + 4);
  bytes.writeUInt32LE(checksum(bytes, at, at + 188), at + 188);
}

test("a preamble that is damaged in front of frames is damage, one that was torn before its first frame is not", async () => {
  const crashed = await write(["a"]);
  const damaged = join(temporaryDirectory(), "store");
  cpSync(crashed, damaged, { recursive: true, preserveTimestamps: true });
  flipBit(segmentFiles(damaged)[0] as string, 300);
  const error = await refuses(damaged, "ERR_WAL_CORRUPT");
  assert.match(error.message, /preamble/);
  const torn = join(temporaryDirectory(), "store");
  cpSync(crashed, torn, { recursive: true });
  change(segmentFiles(torn)[0] as string, (bytes) => bytes.fill(0, BLOCK));
  flipBit(segmentFiles(torn)[0] as string, 300);
  assert.equal((await recover(torn)).records, []);
});

test("a segment without a preamble in front of another one is damage, at the end it is a writer that was killed", async () => {
  const crashed = await write(["a", "b", "c", "d"]);
  const [, second] = segmentFiles(crashed) as [string, string];
  for (const later of segmentFiles(crashed).slice(2)) rmSync(later);
  const whole = readFileSync(second);
  writeFileSync(second, "");
  const third = second.replace("0000000002", "0000000003");
  writeFileSync(third, "");
  const error = await refuses(crashed, "ERR_WAL_CORRUPT");
  assert.is(error.details["path"], second);
  writeFileSync(second, whole);
  assert.equal((await recover(crashed)).records, ["a", "b", "c", "d"]);
});

test("leftover files of a killed writer are removed when they never held a frame, and only then", async () => {
  const { wal } = await openLog(directory, options);
  for (const name of ["a", "b"]) await append(wal, [name], "now");
  while (segmentFiles(directory).length < 2) await new Promise((resolve) => setTimeout(resolve, 2));
  await new Promise((resolve) => setTimeout(resolve, 20));
  const crashed = copyStore(directory);
  await wal.close();
  const [used, prepared] = segmentFiles(crashed) as [string, string];
  assert.is(decodePreamble(readFileSync(prepared).subarray(0, BLOCK)).kind, "preamble");
  const next = await openLog(crashed, options);
  assert.equal(next.recovered, ["a", "b"]);
  assert.ok(existsSync(used));
  // The new incarnation may take the number again, but not the file.
  const decoded = decodePreamble(readFileSync(prepared).subarray(0, BLOCK));
  assert.is(decoded.kind === "preamble" ? decoded.preamble.incarnation : 0, 2);
  await next.wal.close();
});

test("a file with bytes in it that the log does not know is never removed", async () => {
  const crashed = await write(["a"]);
  const stray = join(crashed, "wal", "core-000", "0000000002.wal");
  const block = Buffer.alloc(4 * BLOCK);
  const { manifest } = newestManifest(crashed);
  encodePreamble(block, {
    core: 0,
    storeId: Buffer.from(manifest.storeId, "hex"),
    incarnation: 0,
    segment: 2,
    firstPossibleLsn: 1,
    generation: 1,
    segmentBytes: 4 * BLOCK,
    salt: new Uint8Array(32),
  });
  block.fill(0x55, 2 * BLOCK, 2 * BLOCK + 10);
  writeFileSync(stray, block);
  const { records, recovery } = await recover(crashed);
  assert.equal(records, ["a"]);
  assert.is(recovery.tornAt?.path, stray);
  assert.ok(readFileSync(stray).equals(block));
});
