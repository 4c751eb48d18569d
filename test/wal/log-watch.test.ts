/** When those who listen are told that a log is damaged, and when not. */

import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../../src/errors.js";
import { LogWatch } from "../../src/wal/log-watch.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("wal/log-watch");
/** Many looks that succeed, some that fail. */
const A_WHILE_MS = 800;
const WAIT_MS = 5000;

function damagedAt(offset: number, lastLostLsn = 9): StoreError {
  return new StoreError("ERR_WAL_CORRUPT", `damaged through ${lastLostLsn}`, { path: "/wal/1", offset, lastLostLsn });
}

const UNREADABLE = new StoreError("ERR_IO_FAILED", "EMFILE", {});

/** What the looks find, one after the other, and the last one on and on; null: nothing is wrong. */
function watch(findings: readonly (StoreError | null)[], { isTold = false } = {}) {
  const told: (Error | null)[] = [];
  const counts = { looks: 0, listeners: 1 };
  const watched = new LogWatch({
    look: async () => {
      const finding = findings[Math.min(counts.looks++, findings.length - 1)] ?? null;
      await delay(1);
      if (finding !== null) throw finding;
    },
    hasListeners: () => counts.listeners > 0,
    isTold: () => isTold,
    onFailure: () => told.push(watched.failure),
  });
  const looked = async (times: number): Promise<void> => {
    for (let waitedMs = 0; counts.looks < times && waitedMs < WAIT_MS; waitedMs += 5) await delay(5);
    assert.ok(counts.looks >= times, `${counts.looks} looks of ${times}`);
    await delay(10);
  };
  return { watched, told, counts, looked };
}

test("what two looks find in the same place is told, also when more is lost by then", async () => {
  const { watched, told, looked } = watch([damagedAt(4096, 9), damagedAt(4096, 12)]);
  watched.begin();
  await looked(1);
  assert.is(watched.failure, null);
  assert.equal(told, []);
  await looked(2);
  assert.is((watched.failure as StoreError).details["lastLostLsn"], 12);
  assert.is(told[0], watched.failure);
  watched.close();
});

test("what passes, or is elsewhere at the next look, is not told", async () => {
  const other = new StoreError("ERR_KEY_MISSING", "a key", { path: "/wal/1", offset: 4096 });
  for (const findings of [
    [damagedAt(4096), null, damagedAt(4096), null, damagedAt(4096), null],
    [damagedAt(4096), damagedAt(8192), damagedAt(4096), other, damagedAt(8192), null],
  ]) {
    const { watched, told, looked } = watch(findings);
    watched.begin();
    await looked(findings.length);
    assert.equal(told, []);
    watched.close();
  }
});

test("what the operating system refuses is tried again for as long as somebody listens", async () => {
  const { watched, told, counts } = watch([UNREADABLE]);
  watched.begin();
  await delay(A_WHILE_MS);
  assert.ok(counts.looks >= 3);
  assert.equal(told, []);
  watched.close();
});

test("looks that come at once are one: news of a writer that is in the middle of something make nothing certain", async () => {
  const { watched, told, counts, looked } = watch([damagedAt(4096), damagedAt(4096), damagedAt(4096), null], {
    isTold: true,
  });
  for (let news = 0; news < 3; news++) watched.hearNews();
  await looked(3);
  assert.equal(told, []);
  // A look that failed is followed by another one, though the writer tells of nothing.
  await looked(4);
  assert.equal([told.length, watched.failure], [0, null]);
  const { looks } = counts;
  await delay(A_WHILE_MS);
  assert.is(counts.looks, looks, "where writers tell and nothing is wrong nobody looks");
  watched.close();
});

test("when the log is whole again nothing is wrong any more, nor is it for who begins to listen", async () => {
  const { watched, looked } = watch([damagedAt(4096), damagedAt(4096), null]);
  watched.begin();
  await looked(2);
  assert.ok(watched.failure !== null);
  await looked(3);
  assert.is(watched.failure, null);
  watched.close();
  const again = watch([damagedAt(4096)]);
  again.watched.begin();
  await again.looked(2);
  assert.ok(again.watched.failure !== null);
  again.watched.begin();
  assert.is(again.watched.failure, null);
  again.watched.close();
});

test("of a log that stays damaged news are not looked at one by one", async () => {
  const { watched, counts, looked } = watch([damagedAt(4096)], { isTold: true });
  watched.hearNews();
  await looked(2);
  for (let news = 0; news < 100; news++) watched.hearNews();
  assert.ok(counts.looks < 5, `${counts.looks} looks`);
  watched.close();
});

test("closed, or with nobody who listens, it looks no more", async () => {
  const { watched, counts, looked } = watch([null]);
  watched.begin();
  await looked(1);
  counts.listeners = 0;
  await delay(A_WHILE_MS / 2);
  const { looks } = counts;
  await delay(A_WHILE_MS / 2);
  assert.is(counts.looks, looks);
  const closed = watch([damagedAt(4096)]);
  closed.watched.hearNews();
  closed.watched.close();
  closed.watched.hearNews();
  await delay(A_WHILE_MS / 2);
  assert.equal([closed.counts.looks, closed.told.length], [1, 0]);
});
