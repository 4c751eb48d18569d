/** Inline projections: when an append resolves, their states reflect it; and they undo none. */

import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../../src/errors.js";
import {
  type Aggregate,
  type Decider,
  defineProjection,
  openStore,
  type RecordedEvent,
  type Store,
} from "../../src/index.js";
import { InlineProjections } from "../../src/projections/inline-projections.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("projections/store-inline");

type Bank = { Deposited: { cents: number }; Broken: undefined };

const total = defineProjection<Bank, { cents: number }>({
  name: "total",
  version: 1,
  initial: () => ({ cents: 0 }),
  on: {
    Deposited: ({ cents }, { data }) => ({ cents: cents + data.cents }),
    Broken: () => {
      throw new Error("broken");
    },
  },
});
const deposited = (cents: number) => ({ type: "Deposited", data: { cents } }) as const;

let directory = "";
let store: Store<Bank>;
test.beforeEach(async () => {
  directory = join(temporaryDirectory(), "store");
  store = await openStore<Bank>(directory);
});
test.afterEach(() => store.close());

test("whoever appends sees it in the state at once, by whichever way and however many at once", async () => {
  await store.append("a", deposited(1));
  const running = await store.project(total, { inline: true });
  assert.is(running.state.cents, 1);
  await store.append("a", deposited(2));
  assert.is(running.state.cents, 3);
  await store.tryAppend("a", deposited(4));
  assert.is(running.state.cents, 7);
  await store.appendMany([
    { stream: "a", events: deposited(8) },
    { stream: "b", events: [deposited(16), deposited(32)] },
  ]);
  assert.is(running.state.cents, 63);
  const decider: Decider<null, number, Bank> = {
    initial: () => null,
    evolve: (state) => state,
    decide: (cents) => deposited(cents),
  };
  await store.handle("c", decider, 64);
  assert.is(running.state.cents, 127);
  let sum = 127;
  await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      const { lsn } = await store.append(`s${index % 3}`, deposited(1));
      sum++;
      assert.ok(running.lsn >= lsn);
    }),
  );
  assert.is(running.state.cents, sum);
});

test("an append in an async mode waits for nothing, and one that is refused is refused", async () => {
  const running = await store.project(total, { inline: true });
  const { epoch } = await store.append("a", deposited(1), { durability: "async" });
  await rejects(store.append("a", deposited(1), { expectedVersion: 7 }), "ERR_EVENTS_VERSION_CONFLICT");
  const { lsn } = await store.whenDurable(epoch);
  await running.whenProcessed(lsn);
  assert.is(running.state.cents, 1);
});

test("a projection that fails or is closed holds up and refuses no append", async () => {
  const running = await store.project(total, { inline: true, onReport: () => {} });
  const { lsn } = await store.append("a", { type: "Broken", data: undefined });
  assert.equal([lsn, running.status], [1, "failed"]);
  await store.append("a", deposited(1));
  assert.is(running.state.cents, 0);
  await running.close();
  await store.append("a", deposited(1));
  const other = await store.project({ ...total, name: "other" }, { inline: true, onError: "skip" });
  await other.close();
  await store.append("a", deposited(1));
  assert.is(store.watermark, 4);
});

test("one that cannot begin is refused and does not run", async () => {
  await store.append("a", { type: "Broken", data: undefined });
  await rejects(store.project(total, { inline: true, onReport: () => {} }), "ERR_PROJECTION_FAILED");
  const running = await store.project(total, { inline: true, onError: "park" });
  await store.append("a", deposited(1));
  assert.is(running.state.cents, 1);
  await rejects(store.project(total, { inline: true }), "ERR_PROJECTION_RUNNING");
  await rejects(
    store.project({ ...total, name: "other" }, { inline: "yes" as never }),
    (error) => error instanceof TypeError && /option inline/.test(error.message),
  );
});

test("closing the store in the middle lets the appends go that wait", async () => {
  let isHeld = false;
  const slow: typeof total = {
    ...total,
    apply: (state, event) => {
      isHeld = true;
      const endMs = performance.now() + 20;
      while (performance.now() < endMs);
      return total.apply(state, event);
    },
  };
  await store.project(slow, { inline: true });
  const appends = Array.from({ length: 10 }, () => store.append("a", deposited(1)));
  while (!isHeld) await delay(1);
  await store.close();
  assert.equal(
    (await Promise.all(appends)).map(({ version }) => version),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
  );
});

test("an aggregate and an inline projection agree after every append", async () => {
  const running = await store.project(total, { inline: true });
  const account: Aggregate<number, RecordedEvent<Bank>> = {
    initial: () => 0,
    evolve: (cents, event) => (event.type === "Deposited" ? cents + event.data.cents : cents),
  };
  for (let cents = 1; cents <= 20; cents++) {
    await store.append("a", deposited(cents));
    assert.is((await store.aggregateStream("a", account)).state, running.state.cents);
  }
});

test("of several the slowest is waited for, and of several answers the last", async () => {
  const asked: number[] = [];
  const inline = new InlineProjections();
  assert.ok(inline.isEmpty);
  const lets: (() => void)[] = [];
  const projection = {
    status: "live" as const,
    whenProcessed: (lsn: number) => {
      asked.push(lsn);
      return lsn === 0 ? Promise.resolve() : new Promise<void>((resolve) => lets.push(resolve));
    },
    close: async () => {},
  };
  await inline.begin(projection, 0);
  await inline.begin({ ...projection }, 0);
  let isDone = false;
  const appending = inline.behind(Promise.resolve([{ lsn: 5 }, { lsn: 9 }])).then(() => {
    isDone = true;
  });
  await delay(1);
  lets[0]?.();
  await delay(1);
  assert.equal([asked, isDone], [[0, 0, 9, 9], false]);
  lets[1]?.();
  await appending;
});

test("an append waits for no projection that is paused, nor for one that is paused while it waits", async () => {
  const running = await store.project(total, { inline: true });
  await running.pause();
  await store.append("a", deposited(1));
  assert.is(running.state.cents, 0);
  await running.resume();
  await store.append("a", deposited(2));
  assert.is(running.state.cents, 3);

  const inline = new InlineProjections();
  const stopped = { status: "live" as "live" | "paused", asked: 0 };
  const projection = {
    get status() {
      return stopped.status;
    },
    whenProcessed: (lsn: number, { timeoutMs = 0 }: { readonly timeoutMs?: number } = {}) => {
      if (lsn === 0) return Promise.resolve();
      stopped.status = "paused";
      return delay(timeoutMs).then(() => {
        throw new StoreError("ERR_PROJECTION_TIMEOUT", "not yet");
      });
    },
    close: async () => {},
  };
  await inline.begin(projection, 0);
  await inline.behind(Promise.resolve({ lsn: 7 }));
  assert.not.ok(inline.isEmpty);
});
