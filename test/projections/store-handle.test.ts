/** Commands: decided by the stream's state, appended at its version, once more when somebody else was faster. */

import { join } from "node:path";
import { type Decider, openStore, type Store, type StoreError } from "../../src/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("projections/store-handle");

type Bank = { Deposited: { cents: number }; Withdrawn: { cents: number } };
type Command = { readonly deposit: number } | { readonly withdraw: number } | "nothing";

const account: Decider<{ cents: number }, Command, Bank> = {
  initial: () => ({ cents: 0 }),
  evolve: ({ cents }, { type, data }) => ({ cents: type === "Deposited" ? cents + data.cents : cents - data.cents }),
  decide: (command, { cents }) => {
    if (command === "nothing") return [];
    if ("deposit" in command) return [{ type: "Deposited", data: { cents: command.deposit } }];
    if (command.withdraw > cents) throw new Error(`only ${cents} are there`);
    return { type: "Withdrawn", data: { cents: command.withdraw } };
  },
};

let directory = "";
let store: Store<Bank>;
test.beforeEach(async () => {
  directory = join(temporaryDirectory(), "store");
  store = await openStore<Bank>(directory);
});
test.afterEach(() => store.close());

const balance = async (): Promise<number> => (await store.aggregateStream("a", account)).state.cents;

test("a command is decided by what has happened, and its events are there when it resolves", async () => {
  assert.equal(await store.handle("a", account, { deposit: 500 }), {
    events: [{ type: "Deposited", data: { cents: 500 } }],
    version: 1,
    lsn: 1,
  });
  assert.equal(await store.handle("a", account, { withdraw: 200 }, { durability: "sync" }), {
    events: [{ type: "Withdrawn", data: { cents: 200 } }],
    version: 2,
    lsn: 2,
  });
  assert.equal(await store.handle("a", account, "nothing"), { events: [], version: 2, lsn: null });
  assert.is(await balance(), 300);
});

test("a command that is refused writes nothing, and the next is handled", async () => {
  await store.handle("a", account, { deposit: 100 });
  await rejects(store.handle("a", account, { withdraw: 101 }), (error) => error.message === "only 100 are there");
  assert.is(store.watermark, 1);
  await store.handle("a", account, { withdraw: 100 });
  assert.is(await balance(), 0);
});

test("an expected version is judged before deciding, and is not tried again", async () => {
  await store.handle("a", account, { deposit: 1 }, { expectedVersion: "absent" });
  await store.handle("a", account, { deposit: 1 }, { expectedVersion: 1 });
  let decided = 0;
  const counting: typeof account = {
    ...account,
    decide: () => {
      decided++;
      return [];
    },
  };
  for (const expectedVersion of [1, 3, "absent"] as const) {
    const error = await rejects(
      store.handle("a", counting, "nothing", { expectedVersion }),
      "ERR_EVENTS_VERSION_CONFLICT",
    );
    assert.is((error as StoreError).details["actual"], 2);
  }
  assert.is(decided, 0);
});

test("many commands at once, of two writers, lose none: money is neither made nor lost", async () => {
  const other = await openStore<Bank>(directory);
  await store.handle("a", account, { deposit: 100 });
  const outcomes = await Promise.allSettled(
    Array.from({ length: 60 }, (_, index) =>
      (index % 2 === 0 ? store : other).handle("a", account, { withdraw: 3 }, { attempts: 100 }),
    ),
  );
  const done = outcomes.filter(({ status }) => status === "fulfilled").length;
  assert.is(done, 33);
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") assert.match((outcome.reason as Error).message, /only 1 are there/);
  }
  await other.close();
  assert.is(await balance(), 1);
  assert.is(await store.streamVersion("a"), 34);
});

test("when somebody else is faster the command is decided once more, up to the attempts", async () => {
  await store.handle("a", account, { deposit: 100 });
  const rivals: Promise<unknown>[] = [];
  const seen: number[] = [];
  /** While it decides, somebody else appends. */
  const slow = (rivalCount: number): typeof account => ({
    ...account,
    decide: (command, state) => {
      seen.push(state.cents);
      if (rivals.length < rivalCount) rivals.push(store.append("a", { type: "Withdrawn", data: { cents: 10 } }));
      return account.decide(command, state);
    },
  });
  await store.handle("a", slow(2), { withdraw: 50 }, { attempts: 3 });
  assert.equal(seen, [100, 90, 80]);
  assert.is(await balance(), 30);
  rivals.length = 0;
  seen.length = 0;
  await rejects(store.handle("a", slow(2), { deposit: 50 }, { attempts: 2 }), "ERR_EVENTS_VERSION_CONFLICT");
  assert.equal(seen, [30, 20]);
  await Promise.all(rivals);
  assert.is(await balance(), 10);
});

test("an abort ends it before it is decided", async () => {
  const stop = new AbortController();
  stop.abort(new Error("enough"));
  await rejects(
    store.handle("a", account, { deposit: 1 }, { signal: stop.signal }),
    (error) => error.message === "enough",
  );
  assert.is(store.watermark, 0);
});

test("what is no decision is refused, and so are the store's own streams and a closed store", async () => {
  const deciding = (decided: () => unknown): Promise<unknown> =>
    store.handle("a", { ...account, decide: decided } as never, "nothing" as never);
  for (const [decided, message] of [
    [() => undefined, /decide must return an event/],
    [() => "Deposited", /decide must return an event/],
    [async () => Promise.reject(new Error("late")), /decide returned a promise/],
    [() => [{ tpye: "T" }], /an event has no field "tpye"/],
  ] as const) {
    await rejects(deciding(decided), (error) => error instanceof TypeError && message.test(error.message));
  }
  await rejects(
    deciding(() => [{ type: "", data: 1 }]),
    "ERR_EVENTS_INVALID_EVENT",
  );
  await rejects(store.handle("$mine", account, { deposit: 1 }), "ERR_EVENTS_INVALID_STREAM");
  const misuse: readonly (readonly [() => Promise<unknown>, RegExp])[] = [
    [() => store.handle("a", null as never, "nothing"), /must be an object/],
    [() => store.handle("a", { ...account, decide: 1 } as never, "nothing" as never), /decider\.decide/],
    [() => store.handle("a", account, "nothing", { attempts: 0 }), /attempts/],
    [() => store.handle("a", account, "nothing", { durability: "async" as never }), /durability/],
    [() => store.handle("a", account, "nothing", { retries: 1 } as never), /unknown option "retries"/],
  ];
  for (const [work, message] of misuse) {
    await rejects(
      work,
      (error) => (error instanceof TypeError || error instanceof RangeError) && message.test(error.message),
    );
  }
  assert.is(store.watermark, 0);
  await store.close();
  await rejects(store.handle("a", account, { deposit: 1 }), "ERR_STORE_CLOSED");
});
