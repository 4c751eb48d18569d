import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Manifest, readManifest, writeManifest } from "../../src/wal/manifest.js";
import { addVoids, changeManifest, currentManifest, endIncarnation } from "../../src/wal/manifest-change.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("wal/manifest-change");

const MANIFEST: Manifest = {
  sequence: 3,
  storeId: "00112233445566778899aabbccddeeff",
  createdAt: 1_763_700_000_000_000,
  checkpointLsn: 0,
  horizonLsn: 0,
  sealed: [],
  incarnations: [
    { incarnation: 1, firstLsn: 1, lastLsn: 10, firstSegments: [1], voids: [] },
    { incarnation: 2, firstLsn: 11, lastLsn: null, firstSegments: [3], voids: [] },
  ],
};

let directory = "";
test.beforeEach(async () => {
  directory = temporaryDirectory();
  await writeManifest(directory, MANIFEST);
});

test("a change is made to the newest manifest, whoever wrote it, and becomes the next one", async () => {
  await addVoids(directory, 2, [[12, 14]]);
  const voidsAndCheckpoint = await changeManifest(directory, (manifest) => ({ ...manifest, checkpointLsn: 5 }));
  const ended = await endIncarnation(directory, 20);
  assert.equal([voidsAndCheckpoint.sequence, ended.sequence], [5, 6]);
  assert.equal(await currentManifest(directory), ended);
  assert.is(ended.checkpointLsn, 5);
  assert.equal(ended.incarnations.at(-1), {
    ...MANIFEST.incarnations[1],
    lastLsn: 20,
    voids: [[12, 14]],
  });
  assert.is(ended.incarnations[0]?.lastLsn, 10);
});

test("no change writes no manifest", async () => {
  const before = await currentManifest(directory);
  assert.equal(await changeManifest(directory, (manifest) => manifest), before);
});

test("voids are joined and kept in order, and telling them twice changes nothing", async () => {
  await addVoids(directory, 2, [[20, 22]]);
  await addVoids(directory, 2, [
    [30, 31],
    [11, 11],
  ]);
  const { sequence, incarnations } = await addVoids(directory, 2, [[23, 25]]);
  assert.equal(incarnations.at(-1)?.voids, [
    [11, 11],
    [20, 25],
    [30, 31],
  ]);
  const again = await addVoids(directory, 2, [
    [30, 31],
    [21, 24],
  ]);
  assert.is(again.sequence, sequence);
  const found = await readManifest(directory);
  assert.equal(found.kind === "manifest" ? found.manifest : null, again);
});

test("voids of an incarnation that has ended, or was never begun, are a bug", async () => {
  await rejects(addVoids(directory, 1, [[2, 3]]), () => true);
  await rejects(addVoids(directory, 7, [[12, 13]]), () => true);
  assert.is((await currentManifest(directory)).sequence, 3);
});

test("without a manifest that can be believed nothing is changed, and it says why", async () => {
  const path = join(directory, "manifest-0000000003");
  writeFileSync(path, "?");
  await rejects(endIncarnation(directory, 20), "ERR_WAL_CORRUPT");
  rmSync(path);
  const missing = await rejects(endIncarnation(directory, 20), "ERR_WAL_CORRUPT");
  assert.match((missing as Error).message, /missing/);
});
