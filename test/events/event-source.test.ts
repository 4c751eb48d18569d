/** Reading streams and the whole store. */

import { setTimeout as delay } from "node:timers/promises";
import type { EventInput, EventStore, ReadAllOptions, ReadStreamOptions } from "../../src/events/index.js";
import { assert, rejects, sameBytes } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { collect, openEventStore } from "./support/open-event-store.js";

const test = suite("events/event-source");
const SEGMENT_BYTES = 64 * 1024;
const STREAMS = ["a", "b", "c"] as const;

/** A store of many frames and segments, and what is in it: [stream, data] by LSN. */
async function filledStore(): Promise<{ store: EventStore; written: [string, number][] }> {
  const store = await openEventStore({ segmentBytes: SEGMENT_BYTES });
  const random = seededRandom();
  const written: [string, number][] = [];
  while (store.stats().segments < 5) {
    const count = random.pick([1, 1, 2, 30]);
    const stream = random.pick(STREAMS);
    const events: EventInput[] = [];
    for (let index = 0; index < count; index++) {
      events.push({ type: "T", data: { number: written.length, padding: "x".repeat(random.integer(900)) } });
      written.push([stream, written.length]);
    }
    await store.append(stream, events);
  }
  return { store, written };
}

let store: EventStore;
let written: [string, number][];
let stores: EventStore[] = [];
test.beforeEach(async () => {
  ({ store, written } = await filledStore());
  stores = [store];
});
test.afterEach(async () => {
  for (const opened of stores) await opened.close();
});

async function numbersOf(items: AsyncIterable<{ readonly data: unknown }>): Promise<number[]> {
  return (await collect(items)).map((event) => (event.data as { number: number }).number);
}

function numbersIn(stream: string): number[] {
  return written.filter(([name]) => name === stream).map(([, number]) => number);
}

test("a stream is read in both directions from any version to any other, over all frames and segments", async () => {
  const random = seededRandom();
  for (const stream of STREAMS) {
    const all = numbersIn(stream);
    assert.equal(await numbersOf(store.readStream(stream)), all);
    assert.equal(await numbersOf(store.readStream(stream, { direction: "backwards" })), [...all].reverse());
    for (let round = 0; round < 15; round++) {
      const from = 1 + random.integer(all.length + 3);
      const to = 1 + random.integer(all.length + 3);
      const limit = random.integer(5) === 0 ? 0 : random.integer(all.length + 5);
      const forwards = all.slice(from - 1, to).slice(0, limit);
      assert.equal(
        await numbersOf(store.readStream(stream, { from, to, limit })),
        forwards,
        `${from} to ${to}, ${limit}`,
      );
      const backwards = all
        .slice(Math.max(0, to - 1), from)
        .reverse()
        .slice(0, limit);
      const options: ReadStreamOptions = { from, to, limit, direction: "backwards" };
      assert.equal(await numbersOf(store.readStream(stream, options)), backwards, `${from} down to ${to}, ${limit}`);
    }
  }
});

test("the whole store is read in both directions after any LSN", async () => {
  const random = seededRandom();
  const all = written.map(([, number]) => number);
  assert.equal(await numbersOf(store.readAll()), all);
  assert.equal(await numbersOf(store.readAll({ direction: "backwards" })), [...all].reverse());
  for (let round = 0; round < 30; round++) {
    const after = random.integer(all.length + 5);
    const limit = random.integer(4) === 0 ? random.integer(3) : random.integer(all.length + 5);
    assert.equal(
      await numbersOf(store.readAll({ after, limit })),
      all.slice(after, after + limit),
      `${after}, ${limit}`,
    );
    const backwards = all.slice(after).reverse().slice(0, limit);
    const options: ReadAllOptions = { after, limit, direction: "backwards" };
    assert.equal(await numbersOf(store.readAll(options)), backwards, `back to ${after}, ${limit}`);
  }
});

test("a stream that is absent, and versions and LSNs beyond the end, yield nothing", async () => {
  for (const direction of ["forwards", "backwards"] as const) {
    assert.equal(await collect(store.readStream("absent", { direction })), []);
    assert.equal(await collect(store.readStream("absent", { direction, from: 5, to: 7 })), []);
    assert.equal(await collect(store.readAll({ direction, after: 1_000_000 })), []);
    assert.equal(await collect(store.readAll({ direction, after: written.length })), []);
    assert.equal(await collect(store.readAll({ direction, limit: 0 })), []);
    assert.equal(await collect(store.readStream("a", { direction, limit: 0 })), []);
  }
  assert.equal(await collect(store.readStream("a", { from: 1_000_000 })), []);
  assert.is((await collect(store.readStream("a", { from: 1_000_000, direction: "backwards", limit: 1 }))).length, 1);
  const empty = await openEventStore();
  stores.push(empty);
  for (const direction of ["forwards", "backwards"] as const) {
    assert.equal(await collect(empty.readAll({ direction })), []);
    assert.equal(await collect(empty.readStream("a", { direction })), []);
  }
});

test("what is appended after the call is not read, whenever the reading begins", async () => {
  const count = written.length;
  const cursors = [
    store.readAll(),
    store.readAll({ direction: "backwards" }),
    store.readStream("a"),
    store.readStream("a", { direction: "backwards" }),
  ];
  await store.append("a", { type: "Late", data: { number: -1 } });
  const expected = [count, count, numbersIn("a").length, numbersIn("a").length];
  for (const [index, cursor] of cursors.entries()) assert.is((await collect(cursor)).length, expected[index]);
});

test("batches hold all events after an LSN in order, and end at the watermark of the call", async () => {
  const numbers: number[] = [];
  for await (const batch of store.readBatches(10)) {
    assert.ok(batch.length > 0);
    for (const event of batch) numbers.push((event.data as { number: number }).number);
  }
  assert.equal(
    numbers,
    written.slice(10).map(([, number]) => number),
  );
});

test("wrong options are TypeErrors and RangeErrors that name them", async () => {
  const any = (value: unknown): never => value as never;
  const cases: [() => unknown, string][] = [
    [() => store.readStream(any(5)), "stream"],
    [() => store.readStream("a", any({ form: 1 })), "form"],
    [() => store.readStream("a", any(5)), "options"],
    [() => store.readStream("a", { from: 0 }), "from"],
    [() => store.readStream("a", { from: 1.5 }), "from"],
    [() => store.readStream("a", { to: -1 }), "to"],
    [() => store.readStream("a", { limit: -1 }), "limit"],
    [() => store.readStream("a", { limit: Number.POSITIVE_INFINITY }), "limit"],
    [() => store.readStream("a", { direction: any("up") }), "direction"],
    [() => store.readStream("a", { signal: any(5) }), "signal"],
    [() => store.readAll(any({ from: 1 })), "from"],
    [() => store.readAll(any(5)), "options"],
    [() => store.readAll(any(null)), "options"],
    [() => store.readAll({ after: -1 }), "after"],
    [() => store.readAll({ after: any("1") }), "after"],
    [() => store.readAll({ after: any(1n) }), "after"],
    [() => store.readAll({ signal: any(null) }), "signal"],
    [() => store.subscribe(any({ from: 1 })), "from"],
    [() => store.subscribe(any("a")), "options"],
    [() => store.subscribe({ after: -1 }), "after"],
    [() => store.subscribe({ stream: any(5) }), "stream"],
    [() => store.subscribe({ signal: any({}) }), "signal"],
  ];
  for (const [work, part] of cases) {
    await rejects(
      work,
      (error) => (error instanceof TypeError || error instanceof RangeError) && error.message.includes(part),
    );
  }
  await rejects(() => store.readStream(""), "ERR_EVENTS_INVALID_STREAM");
  await rejects(() => store.subscribe({ stream: "\ud800" }), "ERR_EVENTS_INVALID_STREAM");
});

test("a stream with thousands of events in one frame is read some at a time, in both directions and from the middle", async () => {
  const large = await openEventStore();
  stores.push(large);
  const count = 3000;
  await large.append(
    "s",
    Array.from({ length: count }, (_, index) => ({ type: "T", data: { number: index + 1 } })),
  );
  const all = [...new Array(count).keys()].map((index) => index + 1);
  assert.equal(await numbersOf(large.readStream("s")), all);
  assert.equal(await numbersOf(large.readStream("s", { direction: "backwards" })), [...all].reverse());
  for (const from of [1, 2, 256, 257, 512, 2999, 3000]) {
    assert.equal(await numbersOf(large.readStream("s", { from, limit: 600 })), all.slice(from - 1, from + 599));
    const backwards = await numbersOf(large.readStream("s", { from, limit: 600, direction: "backwards" }));
    assert.equal(backwards, all.slice(Math.max(0, from - 600), from).reverse());
  }
});

test("thousands of readings that are broken off hold neither memory nor descriptors", async () => {
  const descriptors = (): number => process.getActiveResourcesInfo().length;
  const before = descriptors();
  const rssBefore = process.memoryUsage.rss();
  for (let round = 0; round < 1000; round++) {
    for await (const event of store.readAll({ after: round % 50 })) if (event.lsn > 0) break;
    for await (const event of store.readAll({ direction: "backwards" })) if (event.lsn > 0) break;
    for await (const event of store.readStream("a")) if (event.lsn > 0) break;
  }
  assert.ok(descriptors() <= before); // a timer of before can have ended
  // Each of the 3,000 held at least 64 KiB.
  const grownMiB = (process.memoryUsage.rss() - rssBefore) / 2 ** 20;
  assert.ok(grownMiB < 150, `${grownMiB} MiB more`);
  assert.is((await collect(store.readAll())).length, written.length);
});

test("a hundred readers whose consumers pause do not keep others from reading", async () => {
  const large = await openEventStore();
  stores.push(large);
  const data = "x".repeat(900_000);
  for (let index = 0; index < 12; index++) await large.append("s", { type: "T", data });
  const cursors = Array.from({ length: 100 }, () => large.readAll());
  for (const cursor of cursors) assert.is((await cursor.next()).value?.lsn, 1);
  assert.is((await collect(large.readAll())).length, 12);
  for (const cursor of cursors) {
    assert.is((await cursor.next()).value?.lsn, 2);
    await cursor.return();
  }
});

test("many readings at once deliver each its own events", async () => {
  const readings = Array.from({ length: 40 }, (_, index) =>
    index % 2 === 0
      ? numbersOf(store.readAll({ after: index }))
      : numbersOf(store.readStream(STREAMS[index % 3] as string)),
  );
  for (const [index, numbers] of (await Promise.all(readings)).entries()) {
    const expected =
      index % 2 === 0 ? written.slice(index).map(([, number]) => number) : numbersIn(STREAMS[index % 3] as string);
    assert.equal(numbers, expected);
  }
});

test("an abort ends a reading with its reason, before it begins and in its middle", async () => {
  const reason = new Error("enough");
  const open = [
    (signal: AbortSignal) => store.readAll({ signal }),
    (signal: AbortSignal) => store.readAll({ signal, direction: "backwards" }),
    (signal: AbortSignal) => store.readStream("a", { signal }),
    (signal: AbortSignal) => store.readStream("a", { signal, direction: "backwards" }),
  ];
  for (const read of open) {
    await rejects(collect(read(AbortSignal.abort(reason))), (error) => error === reason);
    const controller = new AbortController();
    let count = 0;
    const reading = (async () => {
      for await (const _ of read(controller.signal)) {
        count++;
        if (count === 5) controller.abort(reason);
      }
    })();
    await rejects(reading, (error) => error === reason);
    assert.is(count, 5, "nothing is delivered after the abort");
  }
  const batches = store.readBatches(0, { signal: AbortSignal.abort(reason) });
  await rejects(collect(batches), (error) => error === reason);
});

test("closing in the middle of a reading is an error, never a short result", async () => {
  const cursors = [
    store.readAll(),
    store.readAll({ direction: "backwards" }),
    store.readStream("a"),
    store.readStream("a", { direction: "backwards" }),
    store.readBatches(0),
  ];
  for (const cursor of cursors) assert.is((await cursor.next()).done, false);
  const unstarted = [store.readAll(), store.readStream("a"), store.readBatches(0)];
  await store.close();
  for (const cursor of [...cursors, ...unstarted])
    await rejects(collect(cursor as AsyncIterable<unknown>), "ERR_STORE_CLOSED");
});

test("closing while readers wait for the disk is an error for each of them, or its whole result", async () => {
  const outcomes = Array.from({ length: 30 }, (_, index) => {
    const direction = index % 2 === 0 ? "forwards" : "backwards";
    const cursor = index % 3 === 0 ? store.readStream("a", { direction }) : store.readAll({ direction });
    const whole = index % 3 === 0 ? numbersIn("a").length : written.length;
    return collect(cursor).then(
      (events) => assert.is(events.length, whole),
      (error: { code?: string }) => assert.is(error.code, "ERR_STORE_CLOSED", String(error)),
    );
  });
  await delay(2);
  await store.close();
  await Promise.all(outcomes);
});

test("events stay valid long after, whatever was read meanwhile and after the store was closed", async () => {
  const events = await collect(store.readAll());
  const payloads = events.map((event) => Uint8Array.from(event.payload));
  for (let round = 0; round < 5; round++) for await (const _ of store.readAll());
  await store.close();
  for (const [index, event] of events.entries()) {
    assert.is((event.data as { number: number }).number, index);
    assert.is(event.stream, written[index]?.[0]);
    sameBytes(event.payload, payloads[index] as Uint8Array);
  }
});

test("versions count each stream from 1, LSNs count all, and recordedAt never goes back", async () => {
  const versions = new Map<string, number>();
  let lsn = 0;
  let recordedAt = 0;
  for await (const event of store.readAll()) {
    assert.is(event.lsn, ++lsn);
    const version = (versions.get(event.stream) ?? 0) + 1;
    assert.is(event.version, version);
    versions.set(event.stream, version);
    assert.ok(Number.isSafeInteger(event.recordedAt) && event.recordedAt >= recordedAt);
    recordedAt = event.recordedAt;
  }
  assert.ok(Math.abs(recordedAt - Date.now() * 1000) < 60_000_000, "it is in microseconds since 1970");
  for (const stream of STREAMS) assert.is(await store.streamVersion(stream), versions.get(stream));
});
