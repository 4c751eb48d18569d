/** Projections from handlers: over the log, by stream, by key; what they keep, and what they refuse. */

import { join } from "node:path";
import {
  defineProjection,
  multiStream,
  openStore,
  type Projection,
  type Store,
  singleStream,
} from "../../src/index.js";
import { decodeDocuments, encodeDocuments } from "../../src/projections/document-codec.js";
import { jsonCodec } from "../../src/projections/state-codec.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("projections/define-projection");

type Shop = {
  Placed: { customer: string; item: string };
  Paid: { cents: number };
  Removed: undefined;
  Moved: { from: string; to: string };
};
type Order = { item: string; cents: number };

const orders = singleStream<Shop, Order>({
  name: "orders",
  version: 1,
  streams: ["order-", "ticket-"],
  initial: () => ({ item: "", cents: 0 }),
  on: {
    Placed: (order, { data }) => ({ ...order, item: data.item }),
    Paid: (order, { data }) => ({ ...order, cents: order.cents + data.cents }),
    Removed: () => null,
  },
});

let directory = "";
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
});

async function place(store: Store<Shop>, stream: string, item = "lamp", customer = "ann"): Promise<number> {
  return (await store.append(stream, { type: "Placed", data: { customer, item } })).lsn;
}

test("one state over the whole log is folded by the handlers of its types, and kept", async () => {
  const revenue = defineProjection<Shop, { cents: number; payments: number }>({
    name: "revenue",
    version: 1,
    initial: () => ({ cents: 0, payments: 0 }),
    on: { Paid: ({ cents, payments }, { data }) => ({ cents: cents + data.cents, payments: payments + 1 }) },
  });
  assert.equal(revenue.handles, ["Paid"]);
  for (const payments of [1, 2]) {
    const store = await openStore<Shop>(directory);
    await place(store, "order-1");
    const { lsn } = await store.append("order-1", { type: "Paid", data: { cents: 5 } });
    const running = await store.project(revenue);
    assert.is(running.recovery.from, payments === 1 ? "zero" : "checkpoint");
    await running.whenProcessed(lsn);
    assert.equal(running.state, { cents: payments * 5, payments });
    await store.close();
  }
});

test("a document for each stream that begins so, deleted by null and begun anew afterwards", async () => {
  const store = await openStore<Shop>(directory);
  const running = await store.project(orders);
  await place(store, "order-1");
  await place(store, "ticket-1", "opera");
  await place(store, "basket-1");
  await store.append("order-1", { type: "Paid", data: { cents: 7 } });
  await store.append("order-1", { type: "Paid", data: { cents: 1 } });
  await store.append("ticket-1", { type: "Removed", data: undefined });
  await place(store, "order-__proto__", "chair");
  await running.whenCaughtUp();
  const expected = [
    ["order-1", { item: "lamp", cents: 8 }],
    ["order-__proto__", { item: "chair", cents: 0 }],
  ];
  assert.equal([...running.state], expected);
  await store.append("ticket-1", { type: "Paid", data: { cents: 2 } });
  await running.whenCaughtUp();
  assert.equal(running.state.get("ticket-1"), { item: "", cents: 2 });
  await store.close();

  const again = await openStore<Shop>(directory);
  const resumed = await again.project(orders);
  assert.is(resumed.recovery.from, "checkpoint");
  assert.equal([...resumed.state], [...expected, ["ticket-1", { item: "", cents: 2 }]]);
  await again.close();
});

test("a document for each key, several for one event, none for null", async () => {
  const customers = multiStream<Shop, { items: string[] }>({
    name: "customers",
    version: 1,
    key: (event) => {
      if (event.type === "Placed") return event.data.customer === "" ? null : event.data.customer;
      return event.type === "Moved" ? [event.data.from, event.data.to, event.data.to] : null;
    },
    initial: () => ({ items: [] }),
    on: {
      Placed: ({ items }, { data }) => ({ items: [...items, data.item] }),
      Moved: ({ items }, { data }) => (items.length > 0 ? null : { items: [`from ${data.from}`] }),
    },
  });
  const store = await openStore<Shop>(directory);
  const running = await store.project(customers);
  await place(store, "order-1", "lamp", "ann");
  await place(store, "order-2", "chair", "bob");
  await place(store, "order-3", "table", "ann");
  await place(store, "order-4", "desk", "");
  await store.append("x", { type: "Paid", data: { cents: 1 } });
  await running.whenCaughtUp();
  assert.equal(Object.fromEntries(running.state), { ann: { items: ["lamp", "table"] }, bob: { items: ["chair"] } });
  await store.append("x", { type: "Moved", data: { from: "ann", to: "eve" } });
  await running.whenCaughtUp();
  assert.equal(Object.fromEntries(running.state), { bob: { items: ["chair"] }, eve: { items: ["from ann"] } });
  await store.close();
});

test("an event for several documents whose handler throws changes none of them", async () => {
  const both = multiStream<Shop, { count: number }>({
    name: "both",
    version: 1,
    key: (event) => (event.type === "Moved" ? [event.data.from, event.data.to] : null),
    initial: () => ({ count: 0 }),
    on: {
      Moved: ({ count }, { data, version }) => {
        if (version === 2 && count === 0) throw new Error(`no ${data.to} yet`);
        return { count: count + 1 };
      },
    },
  });
  const store = await openStore<Shop>(directory);
  const running = await store.project(both, { onError: "park" });
  await store.append("m", { type: "Moved", data: { from: "a", to: "b" } });
  await store.append("m", { type: "Moved", data: { from: "a", to: "c" } });
  await store.append("m", { type: "Moved", data: { from: "a", to: "b" } });
  await running.whenCaughtUp();
  assert.equal(Object.fromEntries(running.state), { a: { count: 2 }, b: { count: 2 } });
  assert.equal(
    running.parked.map(({ lsn, message }) => [lsn, message]),
    [[2, "no c yet"]],
  );
  await store.close();
});

test("what is no document or no key stops the projection with its reason", async () => {
  const wrong = (name: string, key: unknown, document: unknown): Projection<ReadonlyMap<string, object>, never> =>
    multiStream<Shop, object>({
      name,
      version: 1,
      key: () => key as string,
      initial: () => ({}),
      on: { Placed: () => (document === "a promise" ? Promise.reject(new Error("late")) : (document as object)) },
    }) as never;
  const store = await openStore<Shop>(directory);
  await place(store, "order-1");
  const cases: readonly (readonly [unknown, unknown, RegExp])[] = [
    ["k", undefined, /the handler of Placed returned undefined/],
    ["k", "a promise", /the handler of Placed returned a promise/],
    [undefined, {}, /key must return a string, an array of strings or null, not undefined/],
    [7, {}, /key must return a string, an array of strings or null, not number/],
    [["k", 7], {}, /the key of a document must be a string, not number/],
    ["\ud800", {}, /lone surrogate/],
  ];
  for (const [index, [key, document, message]] of cases.entries()) {
    const running = await store.project(wrong(`wrong-${index}`, key, document), { onReport: () => {} });
    const error = await rejects(running.whenCaughtUp(), "ERR_PROJECTION_FAILED");
    assert.match(error.message, message);
    assert.is(running.state.size, 0);
  }
  await store.close();
});

test("a document that its codec cannot hold fails the checkpoint, and the projection goes on", async () => {
  const dates = singleStream<Shop, { at: Date }>({
    name: "dates",
    version: 1,
    streams: "order-",
    initial: () => ({ at: new Date(0) }),
    on: { Placed: (document) => document },
  });
  const store = await openStore<Shop>(directory);
  const running = await store.project(dates);
  await place(store, "order-1");
  await running.whenCaughtUp();
  const error = await rejects(running.checkpoint(), "ERR_PROJECTION_CHECKPOINT");
  assert.match(error.message, /the state\.at is a Date, which JSON does not keep/);
  await place(store, "order-2");
  await running.whenCaughtUp();
  assert.is(running.state.size, 2);
  await rejects(store.close(), "ERR_PROJECTION_CHECKPOINT");

  const kept = singleStream<Shop, { at: Date }>({
    name: "dates",
    version: 2,
    streams: "order-",
    initial: () => ({ at: new Date(5) }),
    on: { Placed: (document) => document },
    codec: {
      encode: ({ at }) => Buffer.from(String(at.getTime())),
      decode: (bytes) => ({ at: new Date(Number(Buffer.from(bytes).toString())) }),
    },
  });
  for (const from of ["zero", "checkpoint"]) {
    const again = await openStore<Shop>(directory);
    const resumed = await again.project(kept);
    await resumed.whenCaughtUp();
    assert.equal([resumed.recovery.from, resumed.state.get("order-1")], [from, { at: new Date(5) }]);
    await again.close();
  }
});

test("documents beyond one piece come back, and a piece that lies about its lengths is refused", async () => {
  const codec = jsonCodec<{ text: string }>();
  const many = new Map<string, { text: string }>();
  for (let index = 0; index < 2000; index++) many.set(`ü${index}`, { text: "x".repeat(index % 700) });
  many.set("", { text: "y".repeat(600_000) });
  const pieces = [...encodeDocuments(many, codec)];
  assert.ok(pieces.length >= 3);
  async function* given(list: readonly Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
    yield* list;
  }
  assert.equal(await decodeDocuments(given(pieces), codec), many);
  assert.equal([...encodeDocuments(new Map(), codec)], []);
  assert.is((await decodeDocuments(given([]), codec)).size, 0);
  const [piece] = [...encodeDocuments(new Map([["k", { text: "t" }]]), codec)];
  for (const length of [3, 9, 12]) {
    await rejects(
      decodeDocuments(given([(piece as Uint8Array).subarray(0, length)]), codec),
      (error) => error instanceof RangeError,
    );
  }
  assert.throws(
    () => [...encodeDocuments(new Map([["k", 1]]), { encode: () => "no" as never, decode: () => 1 })],
    /Uint8Array/,
  );
});

test("wrong definitions are named", () => {
  const good = { name: "n", version: 1, initial: () => ({}), on: { Paid: () => ({}) } };
  const misuse: readonly (readonly [() => unknown, RegExp])[] = [
    [() => defineProjection(null as never), /the definition must be an object/],
    [() => defineProjection({ ...good, initial: {} } as never), /definition\.initial must be a function/],
    [() => defineProjection({ ...good, on: null } as never), /definition\.on must be an object/],
    [() => defineProjection({ ...good, on: {} } as never), /no handler/],
    [() => defineProjection({ ...good, on: { Paid: 1 } } as never), /definition\.on\.Paid must be a function/],
    [() => defineProjection({ ...good, codec: {} } as never), /definition\.codec\.encode/],
    [() => defineProjection({ ...good, handles: [] } as never), /unknown option "handles"/],
    [() => singleStream(good as never), /definition\.streams/],
    [() => singleStream({ ...good, streams: "" }), /definition\.streams/],
    [() => singleStream({ ...good, streams: [] }), /definition\.streams/],
    [() => singleStream({ ...good, streams: ["a", 1] } as never), /definition\.streams/],
    [() => multiStream(good as never), /definition\.key must be a function/],
  ];
  for (const [work, message] of misuse) {
    assert.throws(work, (error: Error) => error instanceof TypeError && message.test(error.message));
  }
});
