/** Opening and closing: options, and every public method in every state. */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type EventReader, EventStore, type EventStoreOptions } from "../../src/events/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { collect, openEventReader, openEventStore } from "./support/open-event-store.js";

const test = suite("events/event-store");
const EVENT = { type: "T", data: 1 };

/** What a method does: its code or error name when it is refused, else "done". */
async function answerOf(call: () => unknown): Promise<string> {
  const answer = (async () => {
    const result: unknown = await call();
    if (isAsyncIterable(result)) await collect(result);
  })().then(
    () => "done",
    (error: Error & { code?: string }) => error.code ?? error.name,
  );
  const late = new Promise<string>((resolve) => {
    setTimeout(() => resolve("hangs"), 5000).unref();
  });
  return Promise.race([answer, late]);
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

type Methods<Subject> = Record<
  string,
  readonly [call: (subject: Subject) => unknown, open: string, closing: string, closed: string]
>;

const CLOSED = "ERR_STORE_CLOSED";
const READS: Methods<EventStore | EventReader> = {
  directory: [(store) => store.directory, "done", "done", "done"],
  storeId: [(store) => store.storeId, "done", "done", "done"],
  watermark: [(store) => store.watermark, "done", "done", "done"],
  io: [(store) => store.io, "done", "done", "done"],
  recovery: [(store) => store.recovery, "done", "done", "done"],
  stats: [(store) => store.stats(), "done", "done", "done"],
  streamVersion: [(store) => store.streamVersion("s"), "done", "", CLOSED],
  onAdvance: [(store) => store.onAdvance(() => {})(), "done", "done", "done"],
};
const STORE_METHODS: Methods<EventStore> = {
  ...READS,
  append: [(store) => store.append("s", EVENT), "done", CLOSED, CLOSED],
  "append of several": [(store) => store.append("s", [EVENT, EVENT]), "done", CLOSED, CLOSED],
  "append in an async mode": [(store) => store.append("s", EVENT, { durability: "async" }), "done", CLOSED, CLOSED],
  tryAppend: [(store) => store.tryAppend("s", EVENT), "done", CLOSED, CLOSED],
  appendMany: [(store) => store.appendMany([{ stream: "s", events: EVENT }]), "done", CLOSED, CLOSED],
  flush: [(store) => store.flush(), "done", CLOSED, CLOSED],
  checkpoint: [(store) => store.checkpoint(), "done", CLOSED, CLOSED],
  compact: [(store) => store.compact(), "done", CLOSED, CLOSED],
  "whenDurable of a durable epoch": [(store) => store.whenDurable(1), "done", "done", "done"],
  "whenDurable of no epoch": [(store) => store.whenDurable(1e9), "RangeError", CLOSED, CLOSED],
  // Reading that begins while the store closes may still come through.
  readStream: [(store) => store.readStream("s", { limit: 1 }), "done", "", CLOSED],
  "readStream backwards": [(store) => store.readStream("s", { limit: 1, direction: "backwards" }), "done", "", CLOSED],
  readAll: [(store) => store.readAll({ limit: 1 }), "done", "", CLOSED],
  "readAll backwards": [(store) => store.readAll({ limit: 1, direction: "backwards" }), "done", "", CLOSED],
  readBatches: [(store) => store.readBatches(0), "done", "", CLOSED],
  "subscribe, one event": [(store) => store.subscribe().next(), "done", "done", CLOSED],
  "subscribe to the end": [(store) => store.subscribe({ after: 1e9 }).next(), "hangs", "done", CLOSED],
  close: [(store) => store.close(), "", "done", "done"],
};

async function answersOf<Subject>(subject: Subject, methods: Methods<Subject>, state: 1 | 2 | 3): Promise<void> {
  const calls = Object.entries(methods).filter(
    ([, method]) => method[state] !== "hangs" && (state > 1 || method[state] !== ""),
  );
  // All at once, so that those which come while it closes come in the same state.
  const answers = await Promise.all(calls.map(([, [call]]) => answerOf(() => call(subject))));
  for (const [index, [name, method]] of calls.entries()) {
    const expected = method[state] === "" ? ["done", CLOSED] : [method[state]];
    assert.ok(
      expected.includes(answers[index] as string),
      `${name} answers ${answers[index]}, not ${expected.join(" or ")}`,
    );
  }
}

test("every method of an open, closing and closed store answers as it should, and none hangs", async () => {
  const store = await openEventStore();
  await store.append("s", EVENT);
  await answersOf(store, STORE_METHODS, 1);
  const closing = store.close();
  await answersOf(store, STORE_METHODS, 2);
  await closing;
  await answersOf(store, STORE_METHODS, 3);
  await store.close();
  await answersOf(store, STORE_METHODS, 3);
});

test("every method of an open and a closed reader answers as it should, and none hangs", async () => {
  const directory = temporaryDirectory();
  const store = await openEventStore({}, directory);
  await store.append("s", EVENT);
  await store.close();
  const methods: Methods<EventReader> = {
    ...READS,
    refresh: [(reader) => reader.refresh(), "done", "done", "done"],
    readStream: [(reader) => reader.readStream("s", { limit: 1 }), "done", "", CLOSED],
    readAll: [(reader) => reader.readAll({ limit: 1 }), "done", "", CLOSED],
    "readAll backwards": [(reader) => reader.readAll({ direction: "backwards" }), "done", "", CLOSED],
    readBatches: [(reader) => reader.readBatches(0), "done", "", CLOSED],
    "subscribe, one event": [(reader) => reader.subscribe().next(), "done", "", CLOSED],
    close: [(reader) => reader.close(), "", "done", "done"],
  };
  const reader = await openEventReader(directory);
  await answersOf(reader, methods, 1);
  const closing = reader.close();
  await answersOf(reader, methods, 2);
  await closing;
  await answersOf(reader, methods, 3);
  await reader.close();
});

test("closing twice at once waits for the same end", async () => {
  const directory = temporaryDirectory();
  const store = await openEventStore({}, directory);
  const append = store.append("s", EVENT);
  await Promise.all([store.close(), store.close()]);
  assert.is((await append).version, 1);
  await (await openEventStore({}, directory)).close();
});

test("beside an exclusive opener a store is refused in a moment, and nothing of it is touched", async () => {
  const store = await openEventStore({ exclusive: true });
  await store.append("s", EVENT);
  const startedMs = performance.now();
  await rejects(openEventStore({}, store.directory), "ERR_STORE_LOCKED");
  assert.ok(performance.now() - startedMs < 1000);
  await store.append("s", EVENT);
  assert.is(await store.streamVersion("s"), 2);
  await store.close();
});

test("wrong options are TypeErrors and RangeErrors that name them, and no store is made", async () => {
  const any = (value: unknown): never => value as never;
  const cases: [EventStoreOptions, string][] = [
    [any(5), "options"],
    [any(null), "options"],
    [any({ durable: true }), "durable"],
    [{ durability: any("fast") }, "durability"],
    [{ io: any("mmap") }, "io"],
    [{ flushIntervalMs: 0 }, "flushIntervalMs"],
    [{ flushIntervalMs: any("10") }, "flushIntervalMs"],
    [{ segmentBytes: 1000 }, "segmentBytes"],
    [{ segmentBytes: 65_537 }, "segmentBytes"],
    [{ segmentBytes: any(1n) }, "segmentBytes"],
    [{ busyWaitMs: -1 }, "busyWaitMs"],
    [{ checkpointWalBytes: -1 }, "checkpointWalBytes"],
    [{ checkpointEntries: any("many") }, "checkpointEntries"],
    [{ checkpointIntervalMs: 0.5 }, "checkpointIntervalMs"],
    [{ onCheckpointError: any(true) }, "onCheckpointError"],
    [{ schemas: any("a.proto") }, "schemas"],
    [{ schemas: any([5]) }, "schemas"],
    [{ strictSchemas: any(1) }, "strictSchemas"],
    [{ onWaiting: any("warn") }, "onWaiting"],
  ];
  const directory = join(temporaryDirectory(), "store");
  for (const [options, name] of cases) {
    await rejects(
      EventStore.open(directory, options, new Map()),
      (error) => (error instanceof TypeError || error instanceof RangeError) && error.message.includes(name),
    );
  }
  for (const name of ["", 5, null, undefined]) {
    await rejects(EventStore.open(any(name), {}, new Map()), (error) => error instanceof TypeError);
  }
  await rejects(openEventStore({ schemas: [join(directory, "none.proto")] }, directory), "ERR_EVENTS_SCHEMA");
  assert.is(existsSync(directory), false);
});

test("stats, watermark and io tell of the store", async () => {
  const store = await openEventStore({ io: "buffered" });
  assert.equal(
    [store.io.backend, store.io.direct, store.watermark, store.stats().tailStreams],
    ["buffered", false, 0, 0],
  );
  await store.append("a", [EVENT, EVENT]);
  await store.append("b", EVENT);
  const { lastLsn, tailStreams, records, segments } = store.stats();
  assert.equal([store.watermark, lastLsn, tailStreams, records, segments], [3, 3, 2, 3, 1]);
  assert.match(store.storeId, /^[0-9a-f]{32}$/);
  assert.ok(readdirSync(store.directory).includes("wal"));
  await store.close();
});

test("streamVersion takes stream names only", async () => {
  const store = await openEventStore();
  await rejects(
    () => store.streamVersion(5 as never),
    (error) => error instanceof TypeError,
  );
  await rejects(() => store.streamVersion(""), "ERR_EVENTS_INVALID_STREAM");
  assert.is(await store.streamVersion("__proto__"), 0);
  await store.close();
});

test("flush right before close is no error", async () => {
  const store = await openEventStore({ durability: "async", flushIntervalMs: 60_000 });
  await store.append("s", EVENT);
  const flushing = store.flush();
  const closing = store.close();
  await flushing;
  await closing;
});
