/** What a specification of a projection lets pass, what it finds, and how it tells it. */

import { AssertionError } from "node:assert";
import { defineProjection, multiStream, type Projection, type RecordedEvent, singleStream } from "../../src/index.js";
import { specifyProjection } from "../../src/specification/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("specification/projection-specification");

type Shop = { Placed: { customer: string }; Paid: { cents: number } };

const customers = multiStream<Shop, { orders: number }>({
  name: "customers",
  version: 1,
  key: (event) => (event.type === "Placed" ? event.data.customer : null),
  initial: () => ({ orders: 0 }),
  on: { Placed: ({ orders }) => ({ orders: orders + 1 }) },
});
const placed = (customer: string, stream?: string) =>
  ({ type: "Placed", data: { customer }, ...(stream !== undefined && { stream }) }) as const;

test("the state after the events, by stream, version, LSN and time", async () => {
  const spec = specifyProjection(customers);
  await spec.given([]).expectState(new Map());
  await spec.given([placed("ann"), placed("bob"), { type: "Paid", data: { cents: 1 } }, placed("ann")]).expectState(
    new Map([
      ["ann", { orders: 2 }],
      ["bob", { orders: 1 }],
    ]),
  );
  const places = singleStream<Shop, { at: (number | string)[][] }>({
    name: "places",
    version: 1,
    streams: "order-",
    initial: () => ({ at: [] }),
    on: {
      Placed: ({ at }, { stream, version, lsn, recordedAt, payload, id }) => ({
        at: [...at, [stream, version, lsn, recordedAt, payload.length, id]],
      }),
    },
  });
  await specifyProjection(places)
    .given([
      placed("a", "order-1"),
      placed("b", "basket-1"),
      { ...placed("c", "order-1"), recordedAt: 7, id: "given" },
      placed("d", "order-2"),
    ])
    .expectState((state) => {
      assert.equal(state.get("order-1")?.at, [
        ["order-1", 1, 1, 1_577_836_800_000_001, 16, "specified-1"],
        ["order-1", 2, 3, 7, 16, "given"],
      ]);
      assert.equal(state.get("order-2")?.at, [["order-2", 1, 4, 8, 16, "specified-4"]]);
    });
});

test("another state fails with the situation and the difference", async () => {
  const error = await rejects(
    specifyProjection(customers)
      .given(placed("ann"))
      .expectState(new Map([["ann", { orders: 2 }]])),
    (thrown) => thrown instanceof AssertionError,
  );
  assert.match(error.message, /^given Placed:\nExpected values to be strictly deep-equal/);
  assert.match(error.message, /\+.*orders: 1/);
  assert.match(error.message, /-.*orders: 2/);
});

test("a state that a checkpoint does not give back is found, and after how many events", async () => {
  const forgetful: Projection<{ count: number; last?: string }, RecordedEvent<Shop>> = {
    name: "forgetful",
    version: 1,
    handles: ["Placed"],
    init: () => ({ count: 0 }),
    apply: (state, event) => ({ count: state.count + (event.data as { customer: string }).customer.length, last: "x" }),
    encode: (state) => [Buffer.from(String(state.count)), Buffer.from("!")],
    decode: async (chunks) => {
      let text = "";
      for await (const chunk of chunks) text += Buffer.from(chunk).toString();
      return { count: Number.parseInt(text, 10) };
    },
  };
  const error = await rejects(
    specifyProjection(forgetful)
      .given([placed("ann"), placed("bob")])
      .expectState({ count: 6, last: "x" }),
    (thrown) => thrown instanceof AssertionError,
  );
  assert.match(error.message, /with a checkpoint after 2 of 2 events the state is another/);
  const dates = defineProjection<Shop, { at: Date | null }>({
    name: "dates",
    version: 1,
    initial: () => ({ at: null }),
    on: { Placed: () => ({ at: new Date(0) }) },
  });
  await rejects(
    specifyProjection(dates)
      .given(placed("ann"))
      .expectState({ at: new Date(0) }),
    (thrown) => /the state\.at is a Date/.test(thrown.message),
  );
});

test("what apply throws is expected, or fails", async () => {
  const strict = defineProjection<Shop, number>({
    name: "strict",
    version: 1,
    initial: () => 0,
    on: {
      Paid: (state, { data }) => {
        if (data.cents < 0) throw new RangeError("less than nothing");
        return state + data.cents;
      },
    },
  });
  const bad = specifyProjection(strict).given({ type: "Paid", data: { cents: -1 } });
  bad.expectThrows();
  bad.expectThrows(RangeError);
  assert.throws(
    () => bad.expectThrows(/other/),
    /expected an error like \/other\/, but got RangeError: less than nothing/,
  );
  const good = specifyProjection(strict).given({ type: "Paid", data: { cents: 1 } });
  assert.throws(() => good.expectThrows(), /expected an error, but got a state/);
  await rejects(bad.expectState(0), (thrown) => /expected no error, but got RangeError/.test(thrown.message));
});
