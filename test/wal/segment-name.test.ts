import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { coreDirectory, listCores, listLog, listSegments, segmentPath } from "../../src/wal/segment-name.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("wal/segment-name");

test("the names are those that the format says", () => {
  assert.is(coreDirectory("/s", 0), "/s/wal/core-000");
  assert.is(coreDirectory("/s", 64), "/s/wal/core-064");
  assert.is(segmentPath("/s/wal/core-000", 1), "/s/wal/core-000/0000000001.wal");
});

test("segments are listed in the order of their numbers, and nothing else is", async () => {
  const directory = temporaryDirectory();
  for (const segment of [10, 2, 9_999_999_999, 1]) writeFileSync(segmentPath(directory, segment), "");
  for (const other of ["1.wal", "0000000003.wal.tmp", "x0000000003.wal", "0000000004.WAL", "00000000011.wal"])
    writeFileSync(join(directory, other), "");
  const listed = await listSegments(directory);
  assert.equal(
    listed.map(({ segment }) => segment),
    [1, 2, 10, 9_999_999_999],
  );
  assert.is(listed[1]?.path, join(directory, "0000000002.wal"));
});

test("a directory that is not there has no segments; one that cannot be listed is an error", async () => {
  const directory = temporaryDirectory();
  assert.equal(await listSegments(join(directory, "absent")), []);
  mkdirSync(join(directory, "d"));
  writeFileSync(join(directory, "file"), "");
  await rejects(listSegments(join(directory, "file")), "ENOTDIR");
});

test("cores are listed in the order of their numbers, and nothing else is", async () => {
  const directory = temporaryDirectory();
  assert.equal(await listCores(directory), []);
  assert.equal(await listLog(directory, 0), []);
  for (const name of [
    "core-010",
    "core-002",
    "core-063",
    "core-064",
    "core-1",
    "core-0003",
    "xcore-004",
    "core-005.old",
  ])
    mkdirSync(join(directory, "wal", name), { recursive: true });
  assert.equal(await listCores(directory), [2, 10, 63]);
  writeFileSync(segmentPath(coreDirectory(directory, 10), 7), "");
  const listed = await listLog(directory, 3);
  assert.equal(
    listed.map(({ core, segments }) => [core, segments.map(({ segment }) => segment)]),
    [
      [0, []],
      [1, []],
      [2, []],
      [10, [7]],
      [63, []],
    ],
  );
});
