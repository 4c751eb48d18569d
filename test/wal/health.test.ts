/** What a writer's health is told to be. */

import { constants } from "node:os";
import { join } from "node:path";
import { StoreError } from "../../src/errors.js";
import { healthOf, type WriterCondition } from "../../src/wal/health.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { isFrame } from "./support/faulty-io.js";
import { append, openFaulty } from "./support/log-fixture.js";

const test = suite("wal/health");
const { EIO } = constants.errno;

const WELL: WriterCondition = {
  status: "open",
  failure: null,
  lackOfSpace: null,
  bufferFill: 0,
  oldestPendingMs: 0,
  blockedBy: null,
};

test("the worst of what is known counts", () => {
  const error = new StoreError("ERR_WAL_FULL", "no space");
  const statusOf = (condition: Partial<WriterCondition>): string => healthOf({ ...WELL, ...condition }, 0).status;
  assert.is(statusOf({}), "healthy");
  assert.is(statusOf({ bufferFill: 0.84 }), "healthy");
  assert.is(statusOf({ bufferFill: 0.85 }), "throttled");
  assert.is(statusOf({ bufferFill: 0.95 }), "suspended");
  assert.is(statusOf({ bufferFill: 1, oldestPendingMs: 1000 }), "stalled");
  assert.is(statusOf({ oldestPendingMs: 1000, lackOfSpace: error }), "full");
  assert.is(statusOf({ status: "closing", lackOfSpace: error }), "closed");
  assert.is(statusOf({ status: "failed", failure: error, lackOfSpace: error }), "failed");
  assert.is(healthOf({ ...WELL, failure: error }, 0).reason, "no space");
  assert.is(healthOf({ ...WELL, bufferFill: 3 }, 0).bufferFill, 1);
});

test("buffers that fill up are told before and while appends have to wait, and all is well when they are written", async () => {
  const { wal, faulty } = await openFaulty(join(temporaryDirectory(), "store"));
  assert.equal(wal.health(0), {
    status: "healthy",
    bufferFill: 0,
    waitingAppends: 0,
    oldestPendingMs: 0,
    blockedBy: null,
    reason: null,
  });
  faulty.decide = (operation) => (isFrame(operation) ? "doLater" : null);
  const appended: Promise<number>[] = [];
  const statuses: string[] = [];
  while (wal.batchFor(1, 10, true) !== null) {
    appended.push(append(wal, ["x"], "now"));
    statuses.push(wal.health(0).status);
  }
  assert.equal(statuses.slice(-3), ["healthy", "throttled", "suspended"]);
  assert.is(wal.health(2).waitingAppends, 2);
  faulty.decide = () => null;
  for (const entry of [...faulty.withheld]) entry.release();
  await Promise.all(appended);
  assert.is(wal.health(0).status, "healthy");
  await wal.close();
  assert.is(wal.health(0).status, "closed");
});

test("a batch whose write does not end is a stall, and who waits for another writer's is told whose", async () => {
  const directory = join(temporaryDirectory(), "store");
  const { wal: a, faulty } = await openFaulty(directory);
  const { wal: b } = await openFaulty(directory);
  faulty.decide = (operation) => (isFrame(operation) ? "doLater" : null);
  const first = append(a, ["late"], "now");
  const second = append(b, ["waits"], "now");
  while (b.health(0).blockedBy === null) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.is(b.health(0).blockedBy, 0);
  assert.is(a.health(0).blockedBy, null);
  while (a.health(0).status !== "stalled") await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(a.health(0).oldestPendingMs >= 1000);
  faulty.decide = () => null;
  for (const entry of [...faulty.withheld]) entry.release();
  assert.equal(await Promise.all([first, second]), [1, 2]);
  assert.is(b.health(0).status, "healthy");
  await a.close();
  await b.close();
});

test("a failed write is told with its reason", async () => {
  const { wal, faulty } = await openFaulty(join(temporaryDirectory(), "store"));
  faulty.decide = (operation) => (isFrame(operation) ? { result: -EIO } : null);
  await rejects(append(wal, ["x"], "now"), "ERR_WAL_OUTCOME_UNKNOWN");
  assert.is(wal.health(0).status, "failed");
  assert.match(wal.health(0).reason ?? "", /EIO/);
  await wal.close();
});
