/** Repeated appends: the same ids answer as the first time, at any depth where the version says where to look. */

import type { AppendResult, EventInput, EventStore, ExpectedVersion } from "../../src/events/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { collect, openEventStore } from "./support/open-event-store.js";

const test = suite("events/append-request");
/** As README § Guarantees says. */
const REMEMBERED_IDS = 1000;

let store: EventStore;
test.beforeEach(async () => {
  store = await openEventStore();
});
test.afterEach(() => store.close());

function events(from: number, count: number): EventInput[] {
  return Array.from({ length: count }, (_, index) => ({ type: "T", data: from + index, id: `id-${from + index}` }));
}

function append(input: EventInput | readonly EventInput[], expectedVersion: ExpectedVersion = "any") {
  return store.append("s", input, { expectedVersion }) as Promise<AppendResult>;
}

async function storedData(): Promise<unknown[]> {
  await store.flush();
  return (await collect(store.readStream("s"))).map((event) => event.data);
}

function numbers(count: number): number[] {
  return [...new Array(count).keys()];
}

test("the same ids at the same expected version answer as the first time", async () => {
  const first = await append(events(0, 3), "absent");
  await append(events(3, 2), 3);
  for (const expected of ["absent", 0, "any", "exists"] as const) {
    assert.equal(await append(events(0, 3), expected), { ...first, duplicate: true }, String(expected));
  }
  assert.equal(await append(events(3, 2), 3), { version: 5, lsn: 5, created: false, duplicate: true });
  assert.equal(await append(events(4, 1)), { version: 5, lsn: 5, created: false, duplicate: true }, "a part of it");
  assert.equal(await storedData(), numbers(5));
});

test("ids in another order, with others between them, or only in part are refused", async () => {
  await append(events(0, 3));
  const [a, b, c] = events(0, 3) as [EventInput, EventInput, EventInput];
  const fresh: EventInput = { type: "T", data: "new", id: "new" };
  const anonymous: EventInput = { type: "T", data: "anonymous" };
  for (const input of [
    [b, a],
    [a, c],
    [a, b, c, fresh],
    [fresh, a],
    [a, fresh],
    [a, anonymous],
    [anonymous, c],
  ]) {
    await rejects(append(input), "ERR_EVENTS_DUPLICATE_ID");
    await rejects(append(input, "absent"), "ERR_EVENTS_DUPLICATE_ID");
  }
  for (const expected of [1, 2, 3, 99]) await rejects(append([a, b], expected), "ERR_EVENTS_DUPLICATE_ID");
  assert.equal(await storedData(), numbers(3));
});

test("the same id twice in one append is refused", async () => {
  const [a] = events(0, 1) as [EventInput];
  await rejects(append([a, a]), "ERR_EVENTS_DUPLICATE_ID");
  await rejects(append([a, { type: "T", data: 1 }, { ...a, data: 2 }]), "ERR_EVENTS_DUPLICATE_ID");
  assert.is(await store.streamVersion("s"), 0);
  assert.is(store.stats().tailStreams, 0);
});

test("new ids at a version that has passed are a conflict, not a repetition", async () => {
  await append(events(0, 3));
  await rejects(append(events(10, 1), 0), "ERR_EVENTS_VERSION_CONFLICT");
  await rejects(append(events(10, 3), "absent"), "ERR_EVENTS_VERSION_CONFLICT");
  await rejects(append({ type: "T", data: 0 }, 0), "ERR_EVENTS_VERSION_CONFLICT");
});

test("the same id in another stream is another event", async () => {
  await append(events(0, 1));
  const other = (await store.append("t", events(0, 1))) as AppendResult;
  assert.equal([other.duplicate, other.version], [false, 1]);
});

test("a repetition while the first append is in flight waits for it and answers the same", async () => {
  const calls = [append(events(0, 2)), append(events(0, 2)), append(events(0, 2), "absent"), append(events(1, 1), 1)];
  const after = append({ type: "T", data: 2 });
  const [first, ...others] = await Promise.all(calls);
  assert.equal(first, { version: 2, lsn: 2, created: true, duplicate: false });
  assert.equal(others, [
    { version: 2, lsn: 2, created: true, duplicate: true },
    { version: 2, lsn: 2, created: true, duplicate: true },
    { version: 2, lsn: 2, created: false, duplicate: true },
  ]);
  assert.is((await after).version, 3);
  assert.equal(await storedData(), numbers(3));
});

test("a repetition of an async append makes it durable", async () => {
  const own = await openEventStore({ durability: "async", flushIntervalMs: 60_000 });
  await own.append("s", events(0, 2));
  assert.is(own.watermark, 0);
  assert.equal(await own.append("s", events(0, 2)), { version: 2, lsn: 2, created: true, duplicate: true });
  assert.is(own.watermark, 2);
  await own.close();
});

test("an expected version finds a repetition at any depth, beyond the ids that are remembered", async () => {
  const first = await append(events(0, 2), "absent");
  const alone = await append(events(2, 1), 2);
  for (let from = 3; from < 3 + 2 * REMEMBERED_IDS; from += 100) await append(events(from, 100));
  assert.equal(await append(events(0, 2), "absent"), { ...first, duplicate: true });
  assert.equal(await append(events(0, 2), 0), { ...first, duplicate: true });
  assert.equal(await append(events(2, 1), 2), { ...alone, duplicate: true });
  await rejects(append(events(1, 2), 0), "ERR_EVENTS_VERSION_CONFLICT");
  await rejects(append([...events(0, 1), { type: "T", data: 1 }], 0), "ERR_EVENTS_VERSION_CONFLICT");
  assert.is(await store.streamVersion("s"), 3 + 2 * REMEMBERED_IDS);
});

test("under any the newest 1,000 ids are looked at, and an older one is new", async () => {
  await append(events(0, 2));
  await append(events(2, REMEMBERED_IDS - 1));
  assert.is((await append(events(1, 1))).duplicate, true, "the oldest that is remembered");
  const again = await append(events(0, 1));
  assert.equal([again.duplicate, again.version], [false, REMEMBERED_IDS + 2]);
});

test("an append of more events than ids are remembered is found again, whatever version is expected", async () => {
  const count = REMEMBERED_IDS + 500;
  const first = await append(events(0, count), "absent");
  for (const expected of ["absent", 0, "any", "exists"] as const) {
    assert.equal(await append(events(0, count), expected), { ...first, duplicate: true }, String(expected));
  }
  assert.is(await store.streamVersion("s"), count);
});

test("an append that lies across the edge of what is remembered is found again", async () => {
  const first = await append(events(0, 10), "absent");
  await append(events(10, REMEMBERED_IDS - 5), 10);
  assert.equal(await append(events(0, 10), "absent"), { ...first, duplicate: true });
  assert.equal(await append(events(0, 10)), { ...first, duplicate: true });
  const [a, ...others] = events(0, 10) as [EventInput, ...EventInput[]];
  await rejects(append([{ ...a, id: "other" }, ...others], "absent"), "ERR_EVENTS_DUPLICATE_ID");
  await rejects(append([{ ...a, id: "other" }, ...others]), "ERR_EVENTS_DUPLICATE_ID");
  await rejects(append(events(-3, 13)), "ERR_EVENTS_DUPLICATE_ID");
  assert.is(await store.streamVersion("s"), REMEMBERED_IDS + 5);
});

test("a conflict on a stream with ids is told at once where the ids would be remembered", async () => {
  const own = await openEventStore({ durability: "async", flushIntervalMs: 60_000 });
  await own.append("s", events(0, 5));
  await rejects(own.append("s", events(10, 1), { expectedVersion: 2 }), "ERR_EVENTS_VERSION_CONFLICT");
  assert.is(own.watermark, 0, "nothing had to be written to know it");
  await own.close();
});

test("repetitions are found after reopening, remembered or not", async () => {
  const directory = temporaryDirectory();
  const open = () => openEventStore({}, directory);
  let own = await open();
  const old = await own.append("s", events(0, 3), { expectedVersion: "absent" });
  const recent = await own.append("s", events(3, REMEMBERED_IDS));
  for (let round = 0; round < 2; round++) {
    await own.close();
    own = await open();
    assert.equal(await own.append("s", events(0, 3), { expectedVersion: "absent" }), { ...old, duplicate: true });
    assert.equal(await own.append("s", events(3, REMEMBERED_IDS)), { ...recent, duplicate: true });
    assert.is(await own.streamVersion("s"), REMEMBERED_IDS + 3);
  }
  await own.close();
});

test("the ids of a refused append can be used again", async () => {
  await append(events(0, 1), "absent");
  await rejects(append(events(1, 2), 5), "ERR_EVENTS_VERSION_CONFLICT");
  await rejects(
    store.appendMany([
      { stream: "s", events: events(1, 2) },
      { stream: "t", events: events(0, 1), expectedVersion: 9 },
    ]),
    "ERR_EVENTS_VERSION_CONFLICT",
  );
  assert.is((await append(events(1, 2), 1)).duplicate, false);
});

test("appendMany is a repetition as a whole or not at all", async () => {
  const both = [
    { stream: "s", events: events(0, 2), expectedVersion: "absent" as const },
    { stream: "t", events: events(0, 1), expectedVersion: "absent" as const },
  ];
  const first = (await store.appendMany(both)) as AppendResult[];
  await store.append("t", events(1, 1));
  assert.equal(
    await store.appendMany(both),
    first.map((result) => ({ ...result, duplicate: true })),
  );
  const half = [both[0] as (typeof both)[0], { stream: "u", events: events(0, 1) }];
  await rejects(store.appendMany(half), "ERR_EVENTS_DUPLICATE_ID");
  assert.is(await store.streamVersion("u"), 0);
  const inFlight = [
    store.appendMany([{ stream: "v", events: events(0, 2) }]),
    store.appendMany([{ stream: "v", events: events(0, 2) }]),
  ];
  const answers = (await Promise.all(inFlight)) as AppendResult[][];
  assert.equal(
    answers.flat().map(({ duplicate }) => duplicate),
    [false, true],
  );
});

test("an id that was given is the event's id, byte for byte", async () => {
  for (const id of ["x", "__proto__", "a b", "ключ", "x".repeat(256)]) {
    await append({ type: "T", data: id, id });
    assert.is((await append({ type: "T", data: id, id })).duplicate, true);
  }
  const stored = await collect(store.readStream("s"));
  assert.equal(
    stored.map((event) => event.id),
    stored.map((event) => event.data),
  );
});
