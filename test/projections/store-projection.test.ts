/** Projections over a real store and a real reader: that both are feeds, and that what is read back is what was appended. */

import { EventReader, EventStore, type StoredEvent } from "../../src/events/index.js";
import { type EventFeed, type Projection, startProjection } from "../../src/projections/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("projections/store-projection");

const balances: Projection<Map<string, number>, StoredEvent> = {
  name: "balances",
  version: 1,
  handles: ["Deposited"],
  init: () => new Map(),
  apply: (state, event) => {
    const { cents } = event.data as { cents: number };
    return state.set(event.stream, (state.get(event.stream) ?? 0) + cents);
  },
  encode: (state) => Buffer.from(JSON.stringify([...state])),
  decode: async (chunks) => {
    let text = "";
    for await (const chunk of chunks) text += Buffer.from(chunk).toString();
    return new Map(JSON.parse(text) as [string, number][]);
  },
};

function openStore(directory: string): Promise<EventStore> {
  return EventStore.open(directory, {}, new Map());
}

test("a projection over a store follows appends, and resumes after the store was reopened", async () => {
  const directory = temporaryDirectory();
  let store = await openStore(directory);
  let runner = await startProjection(store, balances);
  for (let round = 1; round <= 100; round += 1) {
    await store.append("__proto__", [{ type: "Deposited", data: { cents: round } }]);
    await store.append("account-1", [
      { type: "Deposited", data: { cents: 1 } },
      { type: "Renamed", data: {} },
    ]);
  }
  await runner.whenProcessed(300, { timeoutMs: 5000 });
  assert.is(runner.lsn, store.watermark);
  assert.equal(
    [...runner.state],
    [
      ["__proto__", 5050],
      ["account-1", 100],
    ],
  );
  await runner.close();
  await store.close();

  store = await openStore(directory);
  runner = await startProjection(store, balances);
  assert.is(runner.recovery.from, "checkpoint");
  assert.is(runner.recovery.lsn, 300);
  await store.append("account-1", [{ type: "Deposited", data: { cents: 7 } }]);
  await runner.whenCaughtUp({ timeoutMs: 5000 });
  assert.is(runner.state.get("account-1"), 107);

  const reader = await EventReader.open(directory, [], new Map());
  const reading = await startProjection(reader, balances);
  assert.is(reading.recovery.from, "checkpoint");
  await rejects(reading.checkpoint(), "ERR_STORE_READ_ONLY");
  await reading.close();
  await reader.close();
  await runner.close();
  await store.close();
});

test("many events are folded in order, batch by batch", async () => {
  const store = await openStore(temporaryDirectory());
  const feed: EventFeed<StoredEvent> = store;
  const appends: Promise<unknown>[] = [];
  for (let index = 0; index < 20_000; index += 1) {
    appends.push(store.append(`stream-${index % 7}`, [{ type: "Deposited", data: { cents: index } }]));
  }
  const lsns: number[] = [];
  const apply = (state: Map<string, number>, event: StoredEvent): Map<string, number> => {
    lsns.push(event.lsn);
    return balances.apply(state, event);
  };
  const runner = await startProjection(feed, { ...balances, apply });
  await Promise.all(appends);
  await runner.whenCaughtUp({ timeoutMs: 10_000 });
  assert.is(lsns.length, 20_000);
  assert.ok(lsns.every((lsn, index) => lsn === index + 1));
  let sum = 0;
  for (const cents of runner.state.values()) sum += cents;
  assert.is(sum, (20_000 * 19_999) / 2);
  await runner.close();
  await store.close();
});

test("a store that is closed under a projection fails it, and it can still be closed", async () => {
  const store = await openStore(temporaryDirectory());
  const runner = await startProjection(store, balances, { onReport: () => undefined });
  await store.append("a", [{ type: "Deposited", data: { cents: 1 } }]);
  await runner.whenCaughtUp({ timeoutMs: 5000 });
  await store.close();
  await runner.close();
  assert.is(runner.status, "closed");
});
