/** When appends answer, and in what order they become durable: by their mode, their size, and the buffers that are free. */

import { setTimeout as delay } from "node:timers/promises";
import type { AppendResult, BufferedResult, Durability, EventInput, EventStore } from "../../src/events/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { collect, openEventStore } from "./support/open-event-store.js";

const test = suite("events/appender-durability");

const A: EventInput = { type: "A", data: 1 };

const DURABILITIES: readonly Durability[] = ["sync", "group", "async", "asyncBatched"];

let store: EventStore;

test.beforeEach(async () => {
  store = await openEventStore({ segmentBytes: 1024 * 1024 });
});

test.afterEach(() => store.close());

test("each durability answers in its own way, by the store's option and by the append's", async () => {
  for (const durability of DURABILITIES) {
    const own = await openEventStore({ durability });
    const isBuffered = durability.startsWith("async");
    for (const answer of [await own.append("s", A), await store.append("s", A, { durability })]) {
      assert.is("epoch" in answer, isBuffered, durability);
      assert.is("lsn" in answer, !isBuffered, durability);
    }
    assert.is("epoch" in (await own.append("s", [A, A])), isBuffered);
    const many = await own.appendMany([{ stream: "t", events: A }]);
    assert.is("epoch" in (many[0] as object), isBuffered);
    assert.is("lsn" in (await own.append("s", A, { durability: "group" })), true, "the append's own durability wins");
    await own.close();
  }
});

test("sync and group are durable when they answer; async is not yet, and whenDurable says when", async () => {
  for (const durability of ["sync", "group"] as const) {
    const { lsn } = (await store.append("s", A, { durability })) as AppendResult;
    assert.is(store.watermark, lsn);
  }
  const slow = await openEventStore({ flushIntervalMs: 60_000 });
  const { version, epoch } = (await slow.append("s", [A, A], { durability: "async" })) as BufferedResult;
  assert.is(version, 2);
  assert.is(slow.watermark, 0);
  assert.is(await slow.streamVersion("s"), 0);
  const { lsn } = await slow.whenDurable(epoch);
  assert.ok(lsn >= 2 && slow.watermark >= 2);
  assert.equal(await slow.whenDurable(epoch), { lsn: slow.watermark });
  await slow.close();
});

test("async appends are written within the flush interval without anybody asking", async () => {
  const own = await openEventStore({ flushIntervalMs: 20, durability: "async" });
  await own.append("s", A);
  const startedMs = performance.now();
  while (own.watermark === 0 && performance.now() - startedMs < 5000) await delay(5);
  assert.is(own.watermark, 1);
  await own.close();
});

test("a later sync or group append, flush and close make earlier async ones durable", async () => {
  const directory = temporaryDirectory();
  let own = await openEventStore({ flushIntervalMs: 60_000, durability: "async" }, directory);
  for (const durability of ["sync", "group"] as const) {
    await own.append("s", [A, A]);
    const { lsn, version } = (await own.append("s", A, { durability })) as AppendResult;
    assert.equal([own.watermark, await own.streamVersion("s")], [lsn, version]);
  }
  await own.append("s", A);
  await own.flush();
  assert.is(own.watermark, 7);
  await own.append("s", A);
  await own.close();
  own = await openEventStore({}, directory);
  assert.is(await own.streamVersion("s"), 8);
  await own.close();
});

test("the appends of one turn spread over small segments", async () => {
  const small = await openEventStore({ segmentBytes: 64 * 1024 });
  const data = "x".repeat(200);
  await Promise.all(Array.from({ length: 3000 }, () => small.append("s", { type: "T", data })));
  assert.is(await small.streamVersion("s"), 3000);
  assert.ok(small.stats().segments >= 9, `${small.stats().segments} segments`);
  assert.is((await collect(small.readAll())).length, 3000);
  await small.close();
});

test("when every buffer is taken tryAppend refuses, append waits, and all is stored in the order of the calls", async () => {
  const own = await openEventStore({ segmentBytes: 4 * 1024 * 1024 });
  const data = "x".repeat(100_000);
  const order: number[] = [];
  const accepted: Promise<unknown>[] = [];
  let refusedCount = 0;
  for (let index = 0; index < 400; index++) {
    const event = { type: "T", data: { index, data } };
    if (index % 2 === 0) accepted.push(own.append(`s${index % 3}`, event).then(() => order.push(index)));
    else
      accepted.push(
        own.tryAppend(`s${index % 3}`, event).then(
          () => order.push(index),
          (error: { code: string }) => {
            assert.is(error.code, "ERR_WAL_BUFFER_FULL");
            refusedCount++;
          },
        ),
      );
  }
  await Promise.all(accepted);
  assert.ok(refusedCount > 50 && refusedCount < 200, `${refusedCount} refused`);
  assert.is(order.length, 400 - refusedCount);
  assert.equal(
    order,
    [...order].sort((a, b) => a - b),
  );
  const stored = (await collect(own.readAll())).map((event) => (event.data as { index: number }).index);
  assert.equal(stored, order);
  await own.close();
});

test("an append that waits is judged when its turn has come", async () => {
  const own = await openEventStore({ segmentBytes: 4 * 1024 * 1024 });
  const large = { type: "T", data: "x".repeat(900_000) };
  const filling = Array.from({ length: 12 }, () => own.append("s", large));
  const right = own.append("s", A, { expectedVersion: 12 });
  const wrong = own.append("s", A, { expectedVersion: 12 });
  const next = own.append("s", A, { expectedVersion: 13 });
  const created = own.append("fresh", A, { expectedVersion: "absent" });
  await rejects(wrong, "ERR_EVENTS_VERSION_CONFLICT");
  assert.is((await right).version, 13);
  assert.is((await next).version, 14);
  assert.equal(await created, { version: 1, lsn: 15, created: true, duplicate: false });
  await Promise.all(filling);
  await own.close();
});

test("close ends appends that wait with ERR_STORE_CLOSED, and makes the others durable", async () => {
  const directory = temporaryDirectory();
  const own = await openEventStore({ segmentBytes: 4 * 1024 * 1024 }, directory);
  const large = { type: "T", data: "x".repeat(900_000) };
  const outcomes = Array.from({ length: 30 }, (_, index) =>
    own.append(`s${index}`, large).then(
      () => "stored",
      (error: { code: string }) => error.code,
    ),
  );
  const closing = own.close();
  await rejects(own.append("s", A), "ERR_STORE_CLOSED");
  await closing;
  const answers = await Promise.all(outcomes);
  const stored = answers.filter((answer) => answer === "stored").length;
  assert.ok(stored > 0 && stored < 30, `${stored} stored`);
  assert.ok(
    answers.every((answer) => answer === "stored" || answer === "ERR_STORE_CLOSED"),
    answers.join(" "),
  );
  const again = await openEventStore({ segmentBytes: 4 * 1024 * 1024 }, directory);
  assert.is(again.watermark, stored);
  assert.equal(
    await Promise.all(answers.map((_, index) => again.streamVersion(`s${index}`))),
    answers.map((answer) => (answer === "stored" ? 1 : 0)),
  );
  await again.close();
});

test("a listener that appends while another append looks for a buffer disturbs neither", async () => {
  const answers: Promise<unknown>[] = [];
  let remaining = 200;
  store.onAdvance(() => {
    if (remaining-- > 0) answers.push(store.append("heard", { type: "Heard", data: "heard" }, { durability: "sync" }));
  });
  for (let round = 0; round < 200; round++) {
    answers.push(store.append("said", { type: "Said", data: round }, { durability: "sync", expectedVersion: round }));
    if (round % 3 === 0) await answers.at(-1);
  }
  while (remaining > 0) await store.append("more", A);
  await Promise.all(answers);
  const said = await collect(store.readStream("said"));
  assert.equal(
    said.map(({ type, data }) => [type, data]),
    Array.from({ length: 200 }, (_, round) => ["Said", round]),
  );
  const heard = await collect(store.readStream("heard"));
  assert.equal([heard.length, heard.every(({ data }) => data === "heard")], [200, true]);
});

test("asyncBatched is written without waiting for the interval, async waits for it", async () => {
  const slow = await openEventStore({ flushIntervalMs: 60_000 });
  try {
    const durable = new Promise<number>((resolve) => slow.onAdvance(resolve));
    await slow.append("s", A, { durability: "async" });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.is(slow.watermark, 0, "the interval is far off");
    await slow.append("s", A, { durability: "asyncBatched" });
    assert.is(await durable, 2, "and what was buffered before is written with it");
  } finally {
    await slow.close();
  }
});
