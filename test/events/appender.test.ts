/** Appending through the store: what is accepted, and what is refused before anything is taken. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AppendOptions, AppendResult, EventInput, EventStore, ExpectedVersion } from "../../src/events/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { collect, openEventStore } from "./support/open-event-store.js";

const test = suite("events/appender");

const A: EventInput = { type: "A", data: 1 };

let store: EventStore;

test.beforeEach(async () => {
  store = await openEventStore({ segmentBytes: 1024 * 1024 });
});

test.afterEach(() => store.close());

/** What a refused append must leave as it was. */
async function stateOf(of: EventStore): Promise<string> {
  await of.flush();
  const events = await collect(of.readAll());
  return JSON.stringify([of.watermark, of.stats().tailStreams, events.map(({ stream, version }) => [stream, version])]);
}

async function refuses(
  work: () => Promise<unknown>,
  expected: string | ((error: Error) => boolean),
  of: EventStore = store,
): Promise<Error> {
  const before = await stateOf(of);
  const error = await rejects(work, expected);
  assert.is(await stateOf(of), before, `after ${error.message}`);
  return error;
}

/** Without those that the log writes when it is idle. */
function dataFramesOf(of: EventStore): number {
  const { frames, attestations } = of.stats();
  return frames - attestations;
}

const isTypeError = (part: string) => (error: Error) => error instanceof TypeError && error.message.includes(part);

async function dataOf(data: unknown): Promise<unknown> {
  const { lsn } = (await store.append("data", { type: "A", data })) as AppendResult;
  const [event] = await collect(store.readAll({ after: lsn - 1 }));
  return event?.data;
}

test("answers with the stream's version, the last event's LSN and whether the stream is new", async () => {
  assert.equal(await store.append("a", A), { version: 1, lsn: 1, created: true, duplicate: false });
  assert.equal(await store.append("a", [A, A]), { version: 3, lsn: 3, created: false, duplicate: false });
  assert.equal(await store.append("b", [A, A]), { version: 2, lsn: 5, created: true, duplicate: false });
  assert.is(await store.streamVersion("a"), 3);
  assert.is(await store.streamVersion("c"), 0);
});

test("every form of expected version is kept where the stream is absent and where it exists", async () => {
  await store.append("there", [A, A]);
  const cases: [string, ExpectedVersion, boolean][] = [
    ["absent", "any", true],
    ["absent", "absent", true],
    ["absent", 0, true],
    ["absent", "exists", false],
    ["absent", 1, false],
    ["there", "any", true],
    ["there", "exists", true],
    ["there", 2, true],
    ["there", "absent", false],
    ["there", 0, false],
    ["there", 1, false],
    ["there", 3, false],
    ["there", Number.MAX_SAFE_INTEGER, false],
  ];
  for (const count of [1, 2]) {
    for (const [kind, expectedVersion, fits] of cases) {
      const stream = `${kind}-${count}-${expectedVersion}`;
      if (kind === "there") await store.append(stream, [A, A]);
      const actual = await store.streamVersion(stream);
      const append = () => store.append(stream, new Array<EventInput>(count).fill(A), { expectedVersion });
      if (fits) {
        assert.is((await append()).version, actual + count, stream);
        continue;
      }
      const error = await refuses(append, "ERR_EVENTS_VERSION_CONFLICT");
      assert.equal((error as Error & { details: unknown }).details, { stream, expected: expectedVersion, actual });
    }
  }
});

test("the expected version counts appends that are not durable yet", async () => {
  const first = store.append("s", [A, A], { expectedVersion: "absent" });
  const second = store.append("s", A, { expectedVersion: 2 });
  const wrong = store.append("s", A, { expectedVersion: "absent" });
  await rejects(wrong, "ERR_EVENTS_VERSION_CONFLICT");
  assert.is((await first).version, 2);
  assert.is((await second).version, 3);
});

test("un-awaited appends to one stream lie in the order of the calls, and resolve in it", async () => {
  const order: number[] = [];
  const appends = Array.from({ length: 3000 }, (_, index) =>
    store
      .append("s", { type: "A", data: index }, index % 7 === 0 ? { durability: "sync" } : undefined)
      .then(() => order.push(index)),
  );
  await Promise.all(appends);
  assert.equal(order, [...order.keys()]);
  assert.equal(
    (await collect(store.readStream("s"))).map((event) => event.data),
    order,
  );
});

test("an append must have an event", async () => {
  await refuses(() => store.append("s", []), isTypeError("at least one event"));
  assert.equal(await store.appendMany([]), []);
  await refuses(() => store.appendMany([{ stream: "s", events: [] }]), isTypeError("at least one event"));
});

test("wrong types and unknown names are TypeErrors that name them", async () => {
  const any = (value: unknown): never => value as never;
  const cases: [() => Promise<unknown>, string][] = [
    [() => store.append(any(5), A), "stream name"],
    [() => store.append(any(undefined), A), "stream name"],
    [() => store.append("s", any(null)), "event"],
    [() => store.append("s", any(undefined)), "event"],
    [() => store.append("s", any("A")), "event"],
    [() => store.append("s", any([A, 5])), "event"],
    [() => store.append("s", any(Object.assign(new Array(3), { 0: A, 2: A }))), "event"],
    [() => store.append("s", any({ data: 1 })), "type"],
    [() => store.append("s", any({ ...A, type: 5 })), "type"],
    [() => store.append("s", any({ ...A, version: 1 })), "version"],
    [() => store.append("s", any({ ...A, id: 5 })), "id"],
    [() => store.append("s", any({ ...A, id: null })), "id"],
    [() => store.append("s", any({ ...A, metadata: 5 })), "metadata"],
    [() => store.append("s", any({ ...A, metadata: null })), "metadata"],
    [() => store.append("s", any({ ...A, metadata: [] })), "metadata"],
    [() => store.append("s", A, any({ expectVersion: 1 })), "expectVersion"],
    [() => store.append("s", A, any(3)), "options"],
    [() => store.append("s", A, any(null)), "options"],
    [() => store.append("s", A, any("sync")), "options"],
    [() => store.append("s", A, any({ durability: "fast" })), "durability"],
    [() => store.append("s", A, any({ durability: null })), "durability"],
    ...[-1, 1.5, Number.NaN, 2 ** 53, null, "latest", 1n, {}].map(
      (expectedVersion): [() => Promise<unknown>, string] => [
        () => store.append("s", A, any({ expectedVersion })),
        "expectedVersion",
      ],
    ),
    [() => store.appendMany(any({ stream: "s", events: A })), "array"],
    [() => store.appendMany(any([null])), "appendMany"],
    [() => store.appendMany(any([{ stream: "s", event: A }])), "event"],
    [() => store.appendMany([{ stream: "s", events: A }], any({ expectedVersion: 1 })), "expectedVersion"],
    [() => store.appendMany([{ stream: "s", events: A }], any({ durability: "x" })), "durability"],
    [() => store.appendMany([{ stream: "s", events: A, expectedVersion: any("x") }]), "expectedVersion"],
    [
      () =>
        store.appendMany([
          { stream: "s", events: A },
          { stream: "s", events: A },
        ]),
      "once",
    ],
  ];
  await store.append("s", A);
  for (const [work, part] of cases) await refuses(work, isTypeError(part));
});

test("stream names have up to 1,024 bytes of UTF-8 and no lone surrogate", async () => {
  const longest = ["x".repeat(1024), "é".repeat(512), "勘".repeat(341)];
  for (const name of [...longest, " ", "a\u0000b", "__proto__", "constructor", "hasOwnProperty", "😀"]) {
    assert.is((await store.append(name, A)).version, 1);
    const [event] = await collect(store.readStream(name));
    assert.is(event?.stream, name);
  }
  for (const name of ["", "x".repeat(1025), "é".repeat(513), "a\ud800", "\udc00\ud800"]) {
    await refuses(() => store.append(name, A), "ERR_EVENTS_INVALID_STREAM");
    await refuses(
      () =>
        store.appendMany([
          { stream: "ok", events: A },
          { stream: name, events: A },
        ]),
      "ERR_EVENTS_INVALID_STREAM",
    );
  }
});

test("event types have up to 512 bytes, ids up to 256, none of them empty or with a lone surrogate", async () => {
  await store.append("s", { type: "é".repeat(256), data: 1, id: "勘".repeat(85) });
  for (const type of ["", "x".repeat(513), "\ud800"]) {
    await refuses(() => store.append("s", { type, data: 1 }), "ERR_EVENTS_INVALID_EVENT");
  }
  for (const id of ["", "x".repeat(257), "\ud800"]) {
    await refuses(() => store.append("s", { type: "A", data: 1, id }), "ERR_EVENTS_INVALID_EVENT");
  }
});

test("__proto__ and its friends are types, ids, metadata and data like others", async () => {
  const text = '{"__proto__":{"constructor":[{"hasOwnProperty":null}]},"toString":1}';
  for (const name of ["__proto__", "constructor", "hasOwnProperty", "toString"]) {
    await store.append(name, { type: name, id: name, data: JSON.parse(text), metadata: JSON.parse(text) });
    const [event] = await collect(store.readStream(name));
    assert.equal([event?.stream, event?.type, event?.id], [name, name, name]);
    assert.is(JSON.stringify(event?.data), text);
    assert.is(JSON.stringify(event?.metadata), text);
    assert.equal(({} as Record<string, unknown>)["toString"], Object.prototype.toString);
  }
});

test("data comes back as JSON has it", async () => {
  for (const value of [null, true, false, 0, -1.5, "", "text €", [], {}, [1, [2, { a: null }]], 2 ** 53]) {
    assert.equal(await dataOf(value), value);
  }
  assert.is(await dataOf(undefined), undefined);
  assert.is(await dataOf("\ud800 alone"), "\ud800 alone");
  assert.is(await dataOf(Number.NaN), null);
  assert.equal(
    await dataOf({ a: undefined, b: () => 1, c: Number.POSITIVE_INFINITY, d: new Date(0), e: new Map([[1, 2]]) }),
    {
      c: null,
      d: "1970-01-01T00:00:00.000Z",
      e: {},
    },
  );
});

test("data and metadata that JSON cannot hold are refused with what was thrown", async () => {
  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  const throwing = (value: unknown) => ({
    toJSON(): never {
      throw value;
    },
  });
  const getter = {
    get a(): never {
      throw new Error("from a getter");
    },
  };
  let deep: unknown = null;
  for (let depth = 0; depth < 100_000; depth++) deep = [deep];
  const hopeless = [
    1n,
    { a: [2n] },
    cyclic,
    () => 1,
    Symbol("s"),
    throwing(new Error("own")),
    throwing(null),
    throwing("x"),
    getter,
    deep,
  ];
  for (const data of hopeless) {
    const error = await refuses(() => store.append("s", { type: "Hopeless", data }), "ERR_EVENTS_INVALID_EVENT");
    assert.ok(error.message.includes("Hopeless"), error.message);
    await refuses(() => store.append("s", [A, { type: "A", data }]), "ERR_EVENTS_INVALID_EVENT");
  }
  for (const metadata of [{ a: 1n }, cyclic, throwing(new Error("own")), getter]) {
    await refuses(() => store.append("s", { ...A, metadata: metadata as never }), "ERR_EVENTS_INVALID_EVENT");
  }
});

test("a toJSON that appends another event disturbs neither", async () => {
  const inner: Promise<unknown>[] = [];
  const data = {
    toJSON(): string {
      inner.push(store.append("s", { type: "Inner", data: "inner", metadata: { of: "inner" } }));
      return "outer";
    },
  };
  await store.append("s", A);
  await store.append("s", { type: "Outer", data, metadata: { of: "outer" } });
  await Promise.all(inner);
  const events = await collect(store.readStream("s"));
  assert.equal(
    events.map(({ type, data: read, metadata }) => [type, read, metadata]),
    [
      ["A", 1, {}],
      ["Inner", "inner", { of: "inner" }],
      ["Outer", "outer", { of: "outer" }],
    ],
  );
});

test("what is changed after the call is not what is stored", async () => {
  const event = { type: "A", data: { list: [1], text: "before" }, metadata: { a: 1 } };
  const events = [event, { type: "B", data: 2 }];
  const options: { expectedVersion: ExpectedVersion } = { expectedVersion: "absent" };
  const done = store.append("s", events, options);
  event.data.list.push(2);
  event.data.text = "after";
  event.metadata.a = 2;
  event.type = "C";
  events.length = 0;
  options.expectedVersion = 99;
  assert.is((await done).version, 2);
  const [first, second] = await collect(store.readStream("s"));
  assert.equal([first?.type, first?.data, first?.metadata], ["A", { list: [1], text: "before" }, { a: 1 }]);
  assert.is(second?.type, "B");
});

test("an append larger than a frame is refused, whatever is in it", async () => {
  const small = await openEventStore({ segmentBytes: 64 * 1024 });
  await small.append("s", A);
  const large = { type: "L", data: "x".repeat(60_000) };
  await refuses(() => small.append("s", large), "ERR_WAL_TOO_LARGE", small);
  await refuses(() => small.append("s", [large, A]), "ERR_WAL_TOO_LARGE", small);
  await refuses(() => small.tryAppend("new", large), "ERR_WAL_TOO_LARGE", small);
  const many = [
    { stream: "s", events: A },
    { stream: "t", events: large },
  ];
  await refuses(() => small.appendMany(many), "ERR_WAL_TOO_LARGE", small);
  const fitting = { type: "L", data: "x".repeat(30_000) };
  await small.append("s", fitting);
  assert.equal((await collect(small.readStream("s"))).at(-1)?.data, fitting.data);
  await small.close();
});

test("appendMany writes to several streams in the order given, all in one frame", async () => {
  await store.append("b", A);
  const framesBefore = dataFramesOf(store);
  const results = await store.appendMany([
    { stream: "a", events: [A, A], expectedVersion: "absent" },
    { stream: "b", events: A, expectedVersion: 1 },
    { stream: "__proto__", events: [A] },
  ]);
  assert.equal(results, [
    { version: 2, lsn: 3, created: true, duplicate: false },
    { version: 2, lsn: 4, created: false, duplicate: false },
    { version: 1, lsn: 5, created: true, duplicate: false },
  ]);
  assert.is(dataFramesOf(store), framesBefore + 1);
});

test("appendMany with one conflict, one bad event or one bad name touches no stream", async () => {
  await store.append("b", A);
  const first = { stream: "a", events: [A, A], expectedVersion: "absent" as const };
  await refuses(
    () => store.appendMany([first, { stream: "b", events: A, expectedVersion: 5 }]),
    "ERR_EVENTS_VERSION_CONFLICT",
  );
  await refuses(
    () => store.appendMany([first, { stream: "b", events: { type: "A", data: 1n } }]),
    "ERR_EVENTS_INVALID_EVENT",
  );
  await refuses(() => store.appendMany([first, { stream: "", events: A }]), "ERR_EVENTS_INVALID_STREAM");
  assert.is(await store.streamVersion("a"), 0);
  const results = await store.appendMany([first, { stream: "b", events: A, expectedVersion: 1 }]);
  assert.equal(
    results.map(({ version }) => version),
    [2, 2],
  );
});

test("registered types are checked before anything is written, and strictSchemas refuses others", async () => {
  const directory = temporaryDirectory();
  const file = join(directory, "bank.proto");
  writeFileSync(file, 'syntax = "proto3"; package bank; message Deposited { int64 cents = 1; }');
  const strict = await openEventStore({ schemas: [file], strictSchemas: true });
  const deposited = (data: unknown): EventInput => ({ type: "bank.Deposited", data });
  await strict.append("s", deposited({ cents: 5 }));
  await refuses(() => strict.append("s", deposited({ cents: "much" })), "ERR_EVENTS_SCHEMA", strict);
  await refuses(() => strict.append("s", deposited({ euros: 5 })), "ERR_EVENTS_SCHEMA", strict);
  await refuses(() => strict.append("s", [deposited({ cents: 1 }), A]), "ERR_EVENTS_SCHEMA", strict);
  await refuses(() => strict.append("new", A), "ERR_EVENTS_SCHEMA", strict);
  await strict.append("s", { type: "Deposited", data: { cents: 2n ** 62n } });
  const events = await collect(strict.readStream("s"));
  assert.equal(
    events.map(({ type, data }) => [type, data]),
    [
      ["bank.Deposited", { cents: 5 }],
      ["Deposited", { cents: 2n ** 62n }],
    ],
  );
  await strict.close();
});

test("option objects may come from anywhere", async () => {
  const options = Object.create(null) as { -readonly [Key in keyof AppendOptions]: AppendOptions[Key] };
  options.expectedVersion = "absent";
  await store.append("s", A, options);
  await store.append("s", Object.freeze({ ...A }), Object.freeze({ expectedVersion: 1 }));
  class Deposited {
    readonly type = "Deposited";
    readonly data = { cents: 5 };
  }
  await store.append("s", new Deposited());
  assert.is(await store.streamVersion("s"), 3);
});

test("whenDurable and flush refuse what cannot be", async () => {
  for (const epoch of [0, -1, 1.5, Number.NaN, "1", null])
    await rejects(store.whenDurable(epoch as never), isTypeError("epoch"));
  await rejects(store.whenDurable(1_000_000), (error) => error instanceof RangeError);
  await store.flush();
});

test("an append of up to 32 MiB is one frame, and a larger one is refused", async () => {
  const own = await openEventStore();
  const mebibyte = 1024 * 1024;
  const events = Array.from({ length: 31 }, (_, index) => ({
    type: "M",
    data: `${index}-`.padEnd(mebibyte, "x"),
  }));
  const before = dataFramesOf(own);
  await own.append("s", events);
  assert.is(dataFramesOf(own), before + 1);
  await refuses(() => own.append("s", [...events, ...events.slice(0, 2)]), "ERR_WAL_TOO_LARGE", own);
  for await (const event of own.readStream("s")) assert.is(event.data, events[event.version - 1]?.data);
  await own.close();
});
