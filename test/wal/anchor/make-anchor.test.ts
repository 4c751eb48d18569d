import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { FileLock } from "../../../src/ffi/index.js";
import type { Anchor } from "../../../src/wal/anchor/anchor.js";
import { makeAnchor } from "../../../src/wal/anchor/make-anchor.js";
import { currentManifest } from "../../../src/wal/manifest-change.js";
import type { Wal } from "../../../src/wal/wal.js";
import { assert, rejects } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { HERE, openView } from "../backup/backup-fixture.js";
import { append, keyOf, openLog } from "../support/log-fixture.js";

const test = suite("wal/anchor/make-anchor");

function anchorOf(wal: Wal): Promise<Anchor> {
  const { directory } = wal;
  return makeAnchor({ directory, watermark: () => wal.watermark, checkpoint: () => wal.checkpoint() }, null);
}

/** Appends one frame after the other. */
async function fill(wal: Wal, count: number, what: string): Promise<void> {
  for (let index = 0; index < count; index++) await append(wal, [`${what} ${index}`]);
}

test("every anchor that was ever made holds, where segments end and in the middle of compacted ones", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal } = await openLog(directory, HERE);
  const anchors: Anchor[] = [await anchorOf(wal)];
  for (let round = 0; round < 20; round++) {
    await fill(wal, 3 + (round % 4), `round ${round}`);
    anchors.push(await anchorOf(wal));
  }
  assert.equal([anchors[0]?.lsn, anchors[0]?.hash], [0, "0".repeat(64)]);
  assert.ok(new Set(anchors.map(({ hash }) => hash)).size === anchors.length);
  await wal.checkpoint(true);
  assert.is((await currentManifest(directory)).sealed.length, 1, "compacted");
  const view = await openView(directory);
  for (const anchor of anchors) {
    const { anchor: verified } = await view.verifySealed(keyOf, { anchor });
    assert.equal(verified, { lsn: anchor.lsn, at: anchor.at, signedBy: null, isTrusted: false });
    const forged = { ...anchor, hash: `${"0".repeat(63)}1` };
    await rejects(
      view.verifySealed(keyOf, { anchor: forged }),
      anchor.lsn === 0 ? "ERR_ANCHOR_INVALID" : "ERR_ANCHOR_FORKED",
    );
  }
  await view.close();
  await wal.close();
});

test("an LSN in the middle of a frame has no value, for no anchor was ever made there", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal } = await openLog(directory, HERE);
  // The second frame is so long that it is sealed as several runs.
  await append(wal, ["first"]);
  await append(
    wal,
    Array.from({ length: 30 }, (_, index) => `${index} ${"x".repeat(1_500)}`),
  );
  const anchor = await anchorOf(wal);
  const view = await openView(directory);
  assert.is(anchor.lsn, 31);
  await view.verifySealed(keyOf, { anchor });
  for (let lsn = 2; lsn < 31; lsn++)
    await rejects(view.verifySealed(keyOf, { anchor: { ...anchor, lsn } }), "ERR_ANCHOR_FORKED");
  await view.close();
  await wal.close();
});

test("an anchor waits for another writer's checkpoint, and is of all that was acknowledged", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal } = await openLog(directory, HERE);
  await fill(wal, 5, "x");
  const lease = FileLock.tryTake(join(directory, "checkpoint.lock"));
  let isMade = false;
  const making = anchorOf(wal).then((anchor) => {
    isMade = true;
    return anchor;
  });
  await delay(100);
  assert.is(isMade, false);
  lease?.release();
  assert.is((await making).lsn, 5);
  await wal.close();
});

test("two at once are the same anchor, and closing in the middle ends one with its code", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal } = await openLog(directory, HERE);
  await fill(wal, 5, "x");
  const [one, two] = await Promise.all([anchorOf(wal), anchorOf(wal)]);
  assert.equal([one.lsn, one.hash], [two.lsn, two.hash]);
  await fill(wal, 5, "y");
  const lease = FileLock.tryTake(join(directory, "checkpoint.lock"));
  const waiting = rejects(anchorOf(wal), "ERR_STORE_CLOSED");
  await delay(30);
  await wal.close();
  await waiting;
  lease?.release();
  await rejects(anchorOf(wal), "ERR_STORE_CLOSED");
});

test("there is no anchor of what could not be sealed", async () => {
  for (const code of ["ENOSPC", "EIO"]) {
    const directory = join(temporaryDirectory(), "store");
    const fail = async (): Promise<never> => {
      throw Object.assign(new Error("no"), { syscall: "write", code });
    };
    const { wal } = await openLog(directory, { seal: fail });
    await fill(wal, 5, "x");
    await rejects(anchorOf(wal), "ERR_IO_FAILED");
    assert.is((await currentManifest(directory)).checkpointLsn, 0);
    await wal.close();
  }
});
