/** The checkpoint of a projection that runs: when it is written, what is not believed, and what a start does then. */

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { startProjection } from "../../src/projections/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { MemoryFeed } from "./memory-feed.js";
import { checkpointOf, filesOf, filledFeed, range, reporting, startedAndCaughtUp } from "./runner-fixture.js";
import { hashOf, type RunningHash, runningHash } from "./running-hash.js";

const test = suite("projections/runner-checkpoint");

test("resumes from its checkpoint, and reads nothing below it twice", async () => {
  const feed = filledFeed(20);
  await (await startedAndCaughtUp(feed)).close();
  assert.equal(filesOf(feed), ["v1.checkpoint"]);
  feed.append("Counted", 5, 6);
  feed.reads.length = 0;
  const runner = await startProjection(feed, runningHash());
  assert.equal(runner.recovery, { from: "checkpoint", lsn: 20, servedByVersion: null, refused: [] });
  assert.equal(runner.state, hashOf(range(20)));
  await runner.whenCaughtUp();
  assert.equal(runner.state, hashOf([...range(20), 5, 6]));
  // One look at the last event that the checkpoint saw, to know the log again; then what is new.
  assert.equal(feed.reads, [19, 20]);
  await runner.close();
});

test("a temporary file that a crash left before the rename is not read, and is removed", async () => {
  const feed = filledFeed(20);
  const first = await startedAndCaughtUp(feed);
  await first.checkpoint();
  const older = readFileSync(checkpointOf(feed));
  feed.append("Counted", 5);
  await first.whenProcessed(21);
  await first.close();
  // As if the second write had been killed just before its rename, and a third in its midst.
  copyFileSync(checkpointOf(feed), `${checkpointOf(feed)}.0123456789abcdef.tmp`);
  writeFileSync(checkpointOf(feed), older);
  writeFileSync(`${checkpointOf(feed, 2)}.fedcba9876543210.tmp`, older.subarray(0, 50));
  // As versions before this one named it.
  writeFileSync(`${checkpointOf(feed)}.tmp`, older.subarray(0, 50));
  const runner = await startProjection(feed, runningHash());
  assert.equal(filesOf(feed), ["v1.checkpoint"]);
  assert.is(runner.recovery.lsn, 20);
  await runner.whenCaughtUp();
  assert.equal(runner.state, hashOf([...range(20), 5]));
  await runner.close();
});

test("damage anywhere in a checkpoint is reported, and the state is rebuilt from zero", async () => {
  const feed = filledFeed(12);
  await (await startedAndCaughtUp(feed)).close();
  const whole = readFileSync(checkpointOf(feed));
  for (let offset = 0; offset < whole.length; offset += 1) {
    const damaged = Buffer.from(whole);
    damaged[offset] = (damaged[offset] ?? 0) ^ 0x10;
    writeFileSync(checkpointOf(feed), damaged);
    const { options, reports } = reporting();
    const runner = await startProjection(feed, runningHash(), options);
    assert.is(runner.recovery.from, "zero", `offset ${offset}`);
    assert.is(runner.recovery.refused[0]?.reason, "damaged");
    await runner.whenCaughtUp();
    assert.equal(runner.state, hashOf(range(12)));
    assert.equal(
      reports.map((report) => report.kind),
      ["checkpoint-refused"],
    );
    await runner.close();
    assert.equal(readFileSync(checkpointOf(feed)), whole, "the rebuilt checkpoint is the undamaged one");
  }
});

test("a checkpoint above the watermark is not believed: the store is an older one", async () => {
  const feed = filledFeed(30);
  await (await startedAndCaughtUp(feed)).close();
  feed.restore(18);
  await assertRebuilt(feed, "above-watermark", range(18));
});

test("a checkpoint of a log that went on differently is not believed", async () => {
  const feed = filledFeed(30);
  await (await startedAndCaughtUp(feed)).close();
  feed.restore(18);
  feed.append("Counted", ...range(20));
  await assertRebuilt(feed, "other-history", [...range(18), ...range(20)]);
});

test("a checkpoint of another store is not believed", async () => {
  const directory = temporaryDirectory();
  const mine = new MemoryFeed(directory, { storeId: "mine" });
  mine.append("Counted", 1, 2, 3);
  await (await startedAndCaughtUp(mine)).close();
  const theirs = new MemoryFeed(directory, { storeId: "theirs" });
  theirs.append("Counted", 4, 5, 6);
  await assertRebuilt(theirs, "other-store", [4, 5, 6]);
});

test("a checkpoint of another projection, or under another version's name, is not believed", async () => {
  const feed = filledFeed(5);
  await (await startedAndCaughtUp(feed)).close();
  const { options } = reporting();
  const other = runningHash({ name: "other" });
  mkdirSync(join(feed.directory, "projections", "other"));
  copyFileSync(checkpointOf(feed), join(feed.directory, "projections", "other", "v1.checkpoint"));
  const second = await startProjection(feed, other, options);
  assert.is(second.recovery.refused[0]?.reason, "other-projection");
  await second.close();
  copyFileSync(checkpointOf(feed), checkpointOf(feed, 2));
  const third = await startProjection(feed, runningHash({ version: 2 }), options);
  assert.is(third.recovery.refused[0]?.reason, "other-version");
  await third.close();
});

test("a state that decode refuses is rebuilt", async () => {
  const feed = filledFeed(5);
  await (await startedAndCaughtUp(feed)).close();
  const { options } = reporting();
  const decode = (): never => {
    throw new Error("an old layout");
  };
  const runner = await startProjection(feed, runningHash({ decode }), options);
  assert.equal(
    runner.recovery.refused.map(({ reason, message }) => [reason, message]),
    [["not-decodable", "an old layout"]],
  );
  await runner.whenCaughtUp();
  assert.equal(runner.state, hashOf(range(5)));
  await runner.close();
});

test("writes a checkpoint after so many events, and not more often", async () => {
  const feed = filledFeed(0);
  const encoded: number[] = [];
  const plain = runningHash();
  const encode = (state: RunningHash): Uint8Array | Iterable<Uint8Array> => {
    encoded.push(state.count);
    return plain.encode(state);
  };
  const runner = await startProjection(feed, runningHash({ encode }), { checkpointEveryEvents: 25 });
  for (let round = 0; round < 10; round += 1) await runner.whenProcessed(feed.append("Counted", ...range(10)));
  await runner.whenCaughtUp();
  await nextTurn();
  assert.equal(encoded, [30, 60, 90]);
  await runner.close();
  assert.equal(encoded, [30, 60, 90, 100]);
});

test("checkpoint() resolves with the LSN it saved, and writes nothing when the state has not moved", async () => {
  const feed = filledFeed(10);
  let encodings = 0;
  const plain = runningHash();
  const encode = (state: RunningHash): Uint8Array | Iterable<Uint8Array> => {
    encodings += 1;
    return plain.encode(state);
  };
  const runner = await startedAndCaughtUp(feed, {}, runningHash({ encode }));
  assert.equal(await Promise.all([runner.checkpoint(), runner.checkpoint()]), [10, 10]);
  assert.is(await runner.checkpoint(), 10);
  await runner.close();
  assert.is(encodings, 1);
});

test("no event is applied while a checkpoint is written, so it holds the state of its LSN", async () => {
  const feed = filledFeed(10);
  let applying = true;
  const pieces = 200;
  const projection = runningHash({
    apply: (state, event) => {
      assert.ok(applying, `LSN ${event.lsn} was applied while the state was being written`);
      return runningHash().apply(state, event);
    },
    encode: function* (state) {
      applying = false;
      // Large enough that each piece is a write of its own, and events arrive between them.
      for (let piece = 0; piece < pieces; piece += 1) {
        if (piece % 10 === 0) feed.append("Counted", piece);
        yield new Uint8Array(1024 * 1024 + 1).fill(state.count);
      }
      applying = true;
    },
  });
  const runner = await startedAndCaughtUp(feed, {}, projection);
  const saved = runner.checkpoint();
  feed.append("Counted", 1);
  assert.is(await saved, 10);
  await runner.whenCaughtUp();
  assert.is(runner.lsn, 10 + 1 + pieces / 10);
  assert.is(runner.error, null);
});

test("a checkpoint that cannot be written is reported, and the projection goes on", async () => {
  const feed = filledFeed(0);
  const { options, reports } = reporting({ checkpointEveryEvents: 10 });
  const runner = await startProjection(feed, runningHash(), options);
  writeFileSync(join(feed.directory, "projections"), "a file where the directory should be");
  for (let round = 0; round < 4; round += 1) await runner.whenProcessed(feed.append("Counted", ...range(5)));
  await runner.whenCaughtUp();
  assert.is(runner.status, "live");
  assert.equal(runner.state.count, 20);
  const error = await rejects(runner.checkpoint(), "ERR_PROJECTION_CHECKPOINT");
  assert.ok(error.cause instanceof Error);
  await rejects(runner.close(), "ERR_PROJECTION_CHECKPOINT");
  assert.is(runner.status, "closed");
  // Tried when due, not with every batch.
  assert.equal(
    reports.map((report) => report.kind),
    ["checkpoint-failed", "checkpoint-failed"],
  );
});

test("a log that cannot be read when a checkpoint is checked rejects the start, and frees the name", async () => {
  const feed = filledFeed(10);
  await (await startedAndCaughtUp(feed)).close();
  feed.failReads(new Error("EIO"));
  for (let attempt = 0; attempt < 2; attempt += 1) {
    await rejects(startProjection(feed, runningHash()), (error) => error.message === "EIO");
  }
});

test("closing waits for the checkpoint that is being written, and saves what came after it", async () => {
  const feed = filledFeed(10);
  const runner = await startedAndCaughtUp(feed);
  const saving = runner.checkpoint();
  feed.append("Counted", 1);
  await runner.close();
  assert.is(await saving, 10);
  assert.equal(filesOf(feed), ["v1.checkpoint"]);
  const again = await startProjection(feed, runningHash());
  await again.whenCaughtUp();
  assert.equal(again.state, hashOf([...range(10), 1]));
  await again[Symbol.asyncDispose]();
  assert.is(again.status, "closed");
});

test("a read-only store's projection runs, uses the checkpoint that is there, and writes nothing", async () => {
  const directory = temporaryDirectory();
  const writable = filledFeed(10, directory);
  await (await startedAndCaughtUp(writable)).close();
  writeFileSync(`${checkpointOf(writable)}.tmp`, "left by a crash");
  const before = readFileSync(checkpointOf(writable));
  const feed = new MemoryFeed(directory, { readOnly: true });
  feed.append("Counted", ...range(10));
  feed.append("Counted", 11);
  const [first, second] = [await startedAndCaughtUp(feed), await startedAndCaughtUp(feed)];
  for (const runner of [first, second]) {
    assert.is(runner.recovery.from, "checkpoint");
    assert.equal(runner.state, hashOf([...range(10), 11]));
    await rejects(runner.checkpoint(), "ERR_STORE_READ_ONLY");
    await runner.close();
  }
  assert.equal(readFileSync(checkpointOf(feed)), before);
  assert.equal(filesOf(feed), ["v1.checkpoint", "v1.checkpoint.tmp"]);
});

async function assertRebuilt(feed: MemoryFeed, reason: string, values: readonly number[]): Promise<void> {
  const { options, reports } = reporting();
  const runner = await startProjection(feed, runningHash(), options);
  assert.is(runner.recovery.from, "zero");
  assert.equal(
    runner.recovery.refused.map((refused) => refused.reason),
    [reason],
  );
  await runner.whenCaughtUp();
  assert.equal(runner.state, hashOf(values));
  assert.is(reports.length, 1);
  await runner.close();
  const again = await startProjection(feed, runningHash());
  assert.is(again.recovery.from, "checkpoint");
  await again.close();
}
