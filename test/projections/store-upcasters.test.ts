/** Events of older versions, by every way in which events are read, and what the log has of them. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Aggregate,
  defineProjection,
  openReader,
  openStore,
  type RecordedEvent,
  type Store,
  type StoreError,
  type Upcasters,
} from "../../src/index.js";
import { keyOf } from "../encryption/support.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("projections/store-upcasters");

type Placed = { cents: number; currency: string; from: number };
type Shop = { Placed: Placed };

const upcasters: Upcasters = {
  Placed: [
    (data: { euros: number }) => ({ cents: data.euros * 100, from: 1 }),
    (data: { cents: number; from?: number }, { metadata }) => ({
      ...data,
      currency: metadata["currency"] ?? "EUR",
      from: data.from ?? 2,
    }),
  ],
};
const atVersion2: Upcasters = { Placed: upcasters["Placed"]?.slice(0, 1) ?? [] };

let directory = "";
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
});

/** A stream with an event of each version, written by the programs of their times. */
async function history(): Promise<void> {
  const writes: readonly (readonly [Upcasters | undefined, object])[] = [
    [undefined, { euros: 1 }],
    [atVersion2, { cents: 200 }],
    [upcasters, { cents: 300, currency: "CHF", from: 3 }],
  ];
  for (const [then, data] of writes) {
    const store = await openStore(directory, then === undefined ? {} : { upcasters: then });
    await store.append("order-1", { type: "Placed", data, metadata: { currency: "USD" } });
    await store.close();
  }
}

const NEWEST: readonly Placed[] = [
  { cents: 100, from: 1, currency: "USD" },
  { cents: 200, currency: "USD", from: 2 },
  { cents: 300, currency: "CHF", from: 3 },
];

async function shown(events: AsyncIterable<RecordedEvent>, count = Number.POSITIVE_INFINITY): Promise<unknown[]> {
  const list: unknown[] = [];
  for await (const { type, data } of events) {
    assert.is(type, "Placed");
    list.push(data);
    if (list.length === count) break;
  }
  return list;
}

test("whoever reads sees the newest version, by whichever way", async () => {
  await history();
  const store = await openStore<Shop>(directory, { upcasters });
  const reader = await openReader<Shop>(directory, { upcasters });
  for (const source of [store, reader] as const) {
    assert.equal(await shown(source.readStream("order-1")), NEWEST);
    assert.equal(await shown(source.readAll()), NEWEST);
    assert.equal(await shown(source.readStream("order-1", { direction: "backwards" })), [...NEWEST].reverse());
    assert.equal(await shown(source.subscribe({ after: 0 }), 3), NEWEST);
    assert.equal(
      (await source.readAllPage()).events.map(({ data }) => data),
      NEWEST,
    );
    for await (const batch of source.readBatches(0)) assert.ok(batch.every(({ type }) => type === "Placed"));
  }
  const all: Aggregate<Placed[], RecordedEvent<Shop>> = {
    initial: () => [],
    evolve: (state, event) => [...state, event.data],
  };
  assert.equal((await store.aggregateStream("order-1", all)).state, NEWEST);
  const placed = defineProjection<Shop, Placed[]>({
    name: "placed",
    version: 1,
    initial: () => [],
    on: { Placed: (state, event) => [...state, event.data] },
  });
  const running = await store.project(placed);
  await running.whenCaughtUp();
  assert.equal(running.state, NEWEST);
  await store.checkpoint();
  assert.equal(await shown(store.readStream("order-1")), NEWEST, "from the sealed tier");
  await reader.close();
  await store.close();
});

test("the log has what was stored: without upcasters the names with their versions, and the payload of whoever reads", async () => {
  await history();
  const raw = await openReader(directory);
  const stored = [];
  for await (const { type, data } of raw.readAll()) stored.push([type, data]);
  await raw.close();
  assert.equal(stored, [
    ["Placed", { euros: 1 }],
    ["Placed.v2", { cents: 200 }],
    ["Placed.v3", { cents: 300, currency: "CHF", from: 3 }],
  ]);
  const reader = await openReader(directory, { upcasters });
  const payloads = [];
  for await (const { payload } of reader.readAll()) payloads.push(JSON.parse(Buffer.from(payload).toString()));
  await reader.close();
  assert.equal(
    payloads,
    stored.map(([, data]) => data),
  );
});

test("an event of a newer version is refused where its data is read, and a projection stops there whatever its policy", async () => {
  await history();
  const store = await openStore<Shop>(directory, { upcasters: atVersion2 });
  const seen: unknown[] = [];
  const error = await rejects(async () => {
    for await (const event of store.readStream("order-1")) seen.push(event.data);
  }, "ERR_EVENTS_UNKNOWN_VERSION");
  assert.equal((error as StoreError).details, { lsn: 3, stream: "order-1", type: "Placed", version: 3 });
  assert.is(seen.length, 2);
  const counting = defineProjection<Shop, number>({
    name: "counting",
    version: 1,
    initial: () => 0,
    on: { Placed: (state, event) => state + event.data.cents },
  });
  const running = await store.project(counting, { onError: "skip", onReport: () => {} });
  const failure = await rejects(running.whenCaughtUp(), "ERR_PROJECTION_FAILED");
  assert.is((failure as StoreError).details["lsn"], 3);
  assert.equal([running.state, running.skippedEvents], [300, 0]);
  await store.close();

  const newer = await openStore<Shop>(directory, { upcasters });
  const resumed = await newer.project(counting, { onError: "skip" });
  await resumed.whenCaughtUp();
  assert.is(resumed.state, 600);
  await newer.close();
});

test("an upcaster that throws names the event, and its projection's policy decides", async () => {
  await history();
  const broken = {
    Placed: [
      () => {
        throw new Error("no euros");
      },
      (data: unknown) => data,
    ],
  };
  const store = await openStore<Shop>(directory, { upcasters: broken });
  const error = await rejects(shown(store.readStream("order-1")), "ERR_EVENTS_UPCAST");
  assert.equal((error as StoreError).details, { lsn: 1, stream: "order-1", type: "Placed", version: 1 });
  const counting = defineProjection<Shop, number>({
    name: "counting",
    version: 1,
    initial: () => 0,
    on: { Placed: (state, event) => state + event.data.cents },
  });
  const running = await store.project(counting, { onError: "park" });
  await running.whenCaughtUp();
  assert.equal([running.state, running.parked.map(({ lsn }) => lsn)], [500, [1]]);
  await store.close();
});

test("a name with a version is not appended, and the limit of names holds with it", async () => {
  const long = "x".repeat(510);
  const store: Store = await openStore(directory, { upcasters: { ...upcasters, [long]: [(data: unknown) => data] } });
  await rejects(store.append("s", { type: "Placed.v1", data: {} }), "ERR_EVENTS_INVALID_EVENT");
  await rejects(store.append("s", { type: long, data: {} }), "ERR_EVENTS_INVALID_EVENT");
  assert.is(await store.streamVersion("s"), 0);
  await store.append("s", { type: "Placed", data: { cents: 1, currency: "EUR", from: 3 }, id: "once" });
  const again = await store.append("s", { type: "Placed", data: { cents: 1, currency: "EUR", from: 3 }, id: "once" });
  assert.ok(again.duplicate);
  await store.close();
  for (const work of [openStore, openReader]) {
    await rejects(work(directory, { upcasters: { T: 1 } } as never), (error) => error instanceof TypeError);
  }
});

test("events of protobuf are decoded by the type's schema first, and those of a subject are upcast, too", async () => {
  const schema = join(temporaryDirectory(), "shop.proto");
  writeFileSync(schema, 'syntax = "proto3"; package shop; message Placed { int32 euros = 1; int32 cents = 2; }');
  const encryption = { key: keyOf(1), subjectKeys: join(temporaryDirectory(), "subjects") };
  const options = { schemas: [schema], strictSchemas: true, encryption };
  const first = await openStore(directory, options);
  await first.append("s", { type: "shop.Placed", data: { euros: 5 }, subject: "ann" });
  await first.append("s", { type: "shop.Placed", data: { euros: 6 }, subject: "bob" });
  await first.close();
  const chain = { "shop.Placed": [(data: { euros: number }) => ({ cents: data.euros * 100 })] };
  const store = await openStore(directory, { ...options, upcasters: chain });
  await store.append("s", { type: "shop.Placed", data: { cents: 7 } });
  await store.forget("bob");
  const read = [];
  for await (const { type, data } of store.readStream("s")) read.push([type, data]);
  assert.equal(read, [
    ["shop.Placed", { cents: 500 }],
    ["shop.Placed", undefined],
    ["shop.Placed", { euros: 0, cents: 7 }],
  ]);
  await store.close();
});
