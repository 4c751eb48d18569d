/** Streams whose events are sealed, in part or wholly: read, written to and looked up as if they were not. */

import { randomUUID } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isStoreError, type StoreError } from "../../src/errors.js";
import type { EventInput, EventReader, EventStore, ExpectedVersion } from "../../src/events/index.js";
import { StreamIndex } from "../../src/events/stream-index.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { collect, openEventReader, openEventStore } from "./support/open-event-store.js";

const test = suite("events/sealed-streams");

const SMALL = { segmentBytes: 64 * 1024 };
const E: EventInput = { type: "T", data: { text: "x" } };
const DEADLINE_MS = 30_000;

function withId(id: string): EventInput {
  return { type: "T", data: id, id };
}

function events(from: number, count: number): EventInput[] {
  return Array.from({ length: count }, (_, index) => ({ type: "T", data: from + index }));
}

async function checkpoint(store: EventStore): Promise<void> {
  const report = await store.checkpoint();
  assert.is(report?.lsn, store.watermark);
}

type Readable = Pick<EventStore | EventReader, "readAll" | "readStream" | "streamVersion">;

/** Everything that can be read of the store, in every way. */
async function readings(store: Readable, streams: readonly string[]): Promise<string> {
  const all = await collect(store.readAll());
  const text: unknown[] = [all, (await collect(store.readAll({ direction: "backwards" }))).length];
  for (const stream of streams) {
    const own = await collect(store.readStream(stream));
    assert.equal(
      own.map(({ lsn }) => lsn),
      all.filter((event) => event.stream === stream).map(({ lsn }) => lsn),
    );
    const backwards = await collect(store.readStream(stream, { direction: "backwards" }));
    assert.equal(
      backwards.reverse().map(({ lsn }) => lsn),
      own.map(({ lsn }) => lsn),
    );
    const middle = Math.ceil((own.length + 1) / 2);
    const part = await collect(store.readStream(stream, { from: middle, to: middle + 2 }));
    const last = await collect(store.readStream(stream, { direction: "backwards", limit: 2 }));
    text.push([own, part, last, await store.streamVersion(stream)]);
  }
  return JSON.stringify(text);
}

test(
  "what is read is the same before a checkpoint, after it, behind it, reopened, attached, and by a reader",
  async () => {
    const directory = temporaryDirectory();
    const store = await openEventStore(SMALL, directory);
    const random = seededRandom();
    const streams = Array.from({ length: 40 }, (_, index) => `s${index}`);
    const readers: EventReader[] = [await openEventReader(directory)];
    for (let round = 0; round < 4; round++) {
      for (let count = 0; count < 60; count++) {
        const list = Array.from({ length: 1 + random.integer(3) }, () => ({
          type: "T",
          data: "x".repeat(random.integer(700)),
          ...(random.integer(3) === 0 ? { id: randomUUID() } : {}),
        }));
        await store.append(random.pick(streams), list);
      }
      const before = await readings(store, [...streams, "none"]);
      await checkpoint(store);
      assert.is(await readings(store, [...streams, "none"]), before);
      readers.push(await openEventReader(directory, [], round % 2 === 1));
      for (const reader of readers) {
        await reader.refresh();
        assert.is(await readings(reader, [...streams, "none"]), before);
      }
      const attached = await openEventStore(SMALL, directory);
      assert.is(await readings(attached, [...streams, "none"]), before);
      await attached.close();
    }
    for (const stream of streams.slice(0, 20)) await store.append(stream, E);
    const whole = await readings(store, streams);
    await store.close();
    for (const reader of readers) {
      await reader.refresh();
      assert.is(await readings(reader, streams), whole);
      await reader.close();
    }
    const again = await openEventStore(SMALL, directory);
    assert.ok(again.recovery.bytesRead > 0 && again.stats().tailStreams <= 20, "only the tail was read");
    assert.is(await readings(again, streams), whole);
    await again.close();
  },
  { timeoutMs: DEADLINE_MS },
);

/** The same appends, to streams that are sealed, by whoever is given. */
async function appendsToSealed(store: EventStore): Promise<void> {
  assert.is(await store.streamVersion("three"), 3);
  assert.is(await store.streamVersion("none"), 0);
  const cases: readonly [stream: string, expected: ExpectedVersion, version: number | null][] = [
    ["three", "absent", null],
    ["three", 0, null],
    ["three", 2, null],
    ["three", 4, null],
    ["three", 3, 4],
    ["three", 4, 5],
    ["one", "absent", null],
    ["one", "exists", 2],
    ["two", "any", 3],
    ["fresh", "exists", null],
    ["fresh", 1, null],
    ["fresh", "absent", 1],
    ["fresh", "absent", null],
  ];
  for (const [stream, expectedVersion, version] of cases) {
    const before = await store.streamVersion(stream);
    if (version === null) {
      const error = await rejects(store.append(stream, E, { expectedVersion }), "ERR_EVENTS_VERSION_CONFLICT");
      assert.is((error as { details?: { actual?: number } }).details?.actual, before);
      assert.is(await store.streamVersion(stream), before);
    } else {
      const result = await store.append(stream, E, { expectedVersion });
      assert.equal([result.version, "created" in result && result.created], [version, before === 0]);
      assert.is(await store.streamVersion(stream), version);
    }
  }
  await rejects(
    store.appendMany([
      { stream: "many", events: E, expectedVersion: "absent" },
      { stream: "four", events: E, expectedVersion: 3 },
    ]),
    "ERR_EVENTS_VERSION_CONFLICT",
  );
  assert.is(await store.streamVersion("many"), 0);
  const results = await store.appendMany([
    { stream: "many", events: E, expectedVersion: "absent" },
    { stream: "four", events: [E, E], expectedVersion: 4 },
    { stream: "three", events: E, expectedVersion: 5 },
    { stream: "five", events: E },
  ]);
  assert.equal(
    results.map(({ version }) => version),
    [1, 6, 6, 6],
  );
  const lsns = (await collect(store.readAll())).map(({ lsn }) => lsn);
  assert.equal(
    lsns,
    lsns.map((_, index) => index + 1),
  );
  for (const [stream, version] of [
    ["three", 6],
    ["one", 2],
    ["four", 6],
    ["five", 6],
  ] as const) {
    const read = await collect(store.readStream(stream));
    assert.equal(
      read.map((event) => event.version),
      Array.from({ length: version }, (_, index) => index + 1),
    );
  }
}

async function sealedDirectory(): Promise<{ directory: string; store: EventStore }> {
  const directory = temporaryDirectory();
  const store = await openEventStore(SMALL, directory);
  for (const [index, stream] of ["one", "two", "three", "four", "five"].entries()) {
    await store.append(stream, events(0, index + 1));
  }
  await checkpoint(store);
  return { directory, store };
}

test("appends are judged by the sealed version: by who sealed it, by who reopens, and by who attaches", async () => {
  const own = await sealedDirectory();
  await appendsToSealed(own.store);
  await own.store.close();
  const reopened = await sealedDirectory();
  await reopened.store.close();
  const again = await openEventStore(SMALL, reopened.directory);
  await appendsToSealed(again);
  await again.close();
  const shared = await sealedDirectory();
  await shared.store.close();
  const first = await openEventStore(SMALL, shared.directory);
  const attached = await openEventStore(SMALL, shared.directory);
  await appendsToSealed(attached);
  assert.is(await first.streamVersion("three"), 6);
  await first.close();
  await attached.close();
});

test("ids are recognised across the seal, at their version and under any, and refused where they are not the same append", async () => {
  const directory = temporaryDirectory();
  let store = await openEventStore(SMALL, directory);
  const first = await store.append("s", [withId("a"), withId("b")], { expectedVersion: "absent" });
  await store.append("s", E);
  const last = await store.append("s", withId("c"));
  const check = async (): Promise<void> => {
    const before = store.watermark;
    const absent = { expectedVersion: "absent" } as const;
    assert.equal(await store.append("s", [withId("a"), withId("b")], absent), { ...first, duplicate: true });
    assert.equal(await store.append("s", [withId("a"), withId("b")]), { ...first, duplicate: true });
    assert.equal(await store.append("s", withId("c"), { expectedVersion: 3 }), { ...last, duplicate: true });
    assert.equal(await store.append("s", withId("c")), { ...last, duplicate: true });
    for (const [list, expectedVersion] of [
      [[withId("b"), withId("a")], "any"],
      [[withId("a"), withId("new")], "any"],
      [[withId("c")], 4],
      [[withId("a")], 1],
    ] as const) {
      await rejects(store.append("s", list, { expectedVersion }), "ERR_EVENTS_DUPLICATE_ID");
    }
    assert.is(store.watermark, before, "nothing was written");
  };
  await check();
  await checkpoint(store);
  await check();
  await store.close();
  store = await openEventStore(SMALL, directory);
  await check();
  const across = await store.append("s", [withId("d"), withId("e")], { expectedVersion: 4 });
  assert.is(across.version, 6);
  await check();
  assert.is((await store.append("s", [withId("d"), withId("e")])).version, 6);
  await checkpoint(store);
  await check();
  assert.equal(await store.append("s", withId("e"), { expectedVersion: 5 }), {
    version: 6,
    lsn: store.watermark,
    created: false,
    duplicate: true,
  });
  await store.close();
});

test("of a long sealed stream the newest 1,000 ids are recognised under any, all of them at their version", async () => {
  const directory = temporaryDirectory();
  const before = await openEventStore({}, directory);
  await before.append(
    "s",
    Array.from({ length: 1500 }, (_, index) => withId(`${index + 1}`)),
  );
  await checkpoint(before);
  await before.close();
  const store = await openEventStore({}, directory);
  const duplicate = async (id: number, expectedVersion: ExpectedVersion): Promise<boolean> => {
    const result = await store.append("s", withId(`${id}`), { expectedVersion });
    return "duplicate" in result && result.duplicate;
  };
  assert.equal([await duplicate(1500, "any"), await duplicate(501, "any")], [true, true]);
  assert.equal([await duplicate(1, "absent"), await duplicate(500, 499)], [true, true]);
  assert.is(await store.streamVersion("s"), 1500);
  assert.is(await duplicate(500, "any"), false, "it is forgotten");
  assert.is(await store.streamVersion("s"), 1501);
  await store.close();
});

test("many writers that race for sealed streams get one version each", async () => {
  const directory = temporaryDirectory();
  const first = await openEventStore(SMALL, directory);
  const streams = Array.from({ length: 30 }, (_, index) => `s${index}`);
  for (const stream of streams) await first.append(stream, [E, E]);
  await checkpoint(first);
  await first.close();
  const stores = await Promise.all(Array.from({ length: 4 }, () => openEventStore(SMALL, directory)));
  const races = streams.flatMap((stream) =>
    stores.flatMap((store) => [
      store.append(stream, E, { expectedVersion: 2 }).then(
        ({ version }) => version,
        (error) => error.code,
      ),
      store.append(stream, E).then(({ version }) => version),
    ]),
  );
  const outcomes = await Promise.all(races);
  for (const [index, stream] of streams.entries()) {
    const own = outcomes.slice(index * 8, index * 8 + 8);
    const versions = own.filter((outcome) => typeof outcome === "number").sort((a, b) => a - b);
    assert.ok(own.every((outcome) => typeof outcome === "number" || outcome === "ERR_EVENTS_VERSION_CONFLICT"));
    assert.equal(
      versions,
      versions.map((_, at) => at + 3),
    );
    for (const store of stores) assert.is(await store.streamVersion(stream), versions.at(-1));
  }
  for (const store of stores) await store.close();
});

test("two appends to one sealed stream look for it once, and wait in order", async () => {
  const { directory, store } = await sealedDirectory();
  await store.close();
  const again = await openEventStore(SMALL, directory);
  const versions = await Promise.all([1, 2, 3, 4].map(() => again.append("three", E).then(({ version }) => version)));
  assert.equal(versions, [4, 5, 6, 7]);
  await again.close();
});

test(
  "appends and reads go on while checkpoints are made, by this writer and by another",
  async () => {
    const directory = temporaryDirectory();
    const store = await openEventStore(SMALL, directory);
    const other = await openEventStore(SMALL, directory);
    const reader = await openEventReader(directory);
    const streams = Array.from({ length: 200 }, (_, index) => `s${index}`);
    const random = seededRandom();
    let isDone = false;
    const versions = new Map<string, number>();
    const write = async (by: EventStore, own: readonly string[]): Promise<void> => {
      while (!isDone) {
        const stream = random.pick(own);
        const expectedVersion = versions.get(stream) ?? 0;
        const id = `${stream}-${expectedVersion + 1}`;
        const result = await by.append(
          stream,
          { ...withId(id), data: "x".repeat(random.integer(600)) },
          { expectedVersion },
        );
        assert.is(result.version, expectedVersion + 1);
        versions.set(stream, result.version);
        if (random.integer(8) === 0) {
          assert.is((await by.append(stream, withId(id))).version, result.version, "the same again");
        }
      }
    };
    const read = async (from: Readable & { refresh?: () => Promise<boolean> }): Promise<void> => {
      while (!isDone) {
        await new Promise(setImmediate); // what is in memory is read without a turn of the loop
        const stream = random.pick(streams);
        await from.refresh?.();
        const least = from === reader ? 0 : (versions.get(stream) ?? 0);
        const direction = random.pick(["forwards", "backwards"] as const);
        const list = (await collect(from.readStream(stream, { direction }))).map(({ version }) => version);
        if (direction === "backwards") list.reverse();
        assert.equal(
          list,
          list.map((_, index) => index + 1),
        );
        assert.ok(list.length >= least, `${stream} has ${list.length} of ${least}`);
        assert.ok((await from.streamVersion(stream)) >= list.length);
      }
    };
    const seen: number[] = [];
    const subscription = store.subscribe();
    const subscribed = (async () => {
      for await (const { lsn } of subscription) seen.push(lsn);
    })();
    const ownSeen: number[] = [];
    const ownSubscription = store.subscribe({ stream: "s0" });
    const ownSubscribed = (async () => {
      for await (const { version } of ownSubscription) ownSeen.push(version);
    })();
    const works = [
      write(store, streams.slice(0, 60)),
      write(store, streams.slice(60, 100)),
      write(other, streams.slice(100)),
      read(store),
      read(other),
      read(reader),
    ];
    for (let round = 0; round < 8; round++) {
      await new Promise((resolve) => setTimeout(resolve, 150));
      const report = await (round % 2 === 0 ? store : other).checkpoint();
      assert.ok(report !== null && report.sealedRecords > 0);
    }
    isDone = true;
    await Promise.all(works);
    await checkpoint(store);
    const whole = await readings(store, streams);
    assert.is(await readings(other, streams), whole);
    for (const [stream, version] of versions) assert.is(await store.streamVersion(stream), version);
    await other.close();
    await store.close();
    await subscribed;
    await ownSubscribed;
    assert.equal(
      seen,
      seen.map((_, index) => index + 1),
    );
    assert.equal(
      ownSeen,
      ownSeen.map((_, index) => index + 1),
    );
    await reader.refresh();
    assert.is(await readings(reader, streams), whole);
    await reader.close();
  },
  { timeoutMs: DEADLINE_MS },
);

test("memory goes with the tail: a checkpoint lets go of the streams below it, of the maker and of others", async () => {
  const directory = temporaryDirectory();
  const store = await openEventStore({}, directory);
  const other = await openEventStore({}, directory);
  await Promise.all(Array.from({ length: 5000 }, (_, index) => store.append(`s${index}`, E)));
  await collect(other.readStream("s1"));
  assert.equal([store.stats().tailStreams, other.stats().tailStreams], [5000, 5000]);
  await checkpoint(store);
  await store.append("s7", E);
  await other.append("s8", E);
  for (const tries of Array.from({ length: 100 }).keys()) {
    if (store.stats().tailStreams <= 2 && other.stats().tailStreams <= 2) break;
    assert.ok(tries < 99, `${store.stats().tailStreams} and ${other.stats().tailStreams} streams are kept`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.equal([await store.streamVersion("s7"), await other.streamVersion("s9")], [2, 1]);
  await other.close();
  await store.close();
});

test("ids that others write while the older ones are read back are known as well", async () => {
  const directory = temporaryDirectory();
  const first = await openEventStore(SMALL, directory);
  for (let index = 0; index < 40; index++) await first.append("s", withId(`${index}`));
  await checkpoint(first);
  await first.close();
  const [a, b] = [await openEventStore(SMALL, directory), await openEventStore(SMALL, directory)] as const;
  for (let round = 0; round < 20; round++) {
    const writes = [b, a, b, a, b].map((by, index) => by.append("s", withId(`new-${round}-${index}`)));
    const reads = [a, b].map((by) => collect(by.readStream("s", { direction: "backwards", limit: 1 })));
    await Promise.all([...writes, ...reads]);
    const repeated = await Promise.all([a, b].map((by) => by.append("s", withId(`new-${round}-4`))));
    assert.ok(repeated.every((result) => "duplicate" in result && result.duplicate));
    if (round % 5 === 4) await checkpoint(a);
  }
  assert.is(await a.streamVersion("s"), 140);
  await a.close();
  await b.close();
});

test("an index knows the ids of a stream only when they were read up to its newest event", () => {
  const index = new StreamIndex();
  index.trim(10);
  const head = index.add("s");
  head.enter(6, 11);
  assert.equal([head.baseVersion, head.indexedVersion, head.idsKnownThrough], [5, 6, -1]);
  head.enter(7, 12);
  head.rememberIds(6, new Map([["a", 6]]));
  assert.is(head.idsKnownThrough, -1, "version 7 would be missing for good");
  head.rememberIds(7, new Map([["a", 6]]));
  assert.equal([head.idsKnownThrough, head.recentIds?.get("a"), head.idsForgottenThrough], [7, 6, 0]);
});

test("a store makes checkpoints by itself, and its events are read as before", async () => {
  const directory = temporaryDirectory();
  const options = { ...SMALL, checkpointEntries: 200, checkpointWalBytes: 0 };
  const store = await openEventStore(options, directory);
  const other = await openEventStore(options, directory);
  for (let index = 0; index < 250; index++) await other.append(`s${index % 20}`, E);
  const before = await readings(store, ["s0", "s19"]);
  // On a busy machine it is made before the last of them.
  for (let tries = 0; store.stats().checkpointLsn < 200; tries++) {
    assert.ok(tries < 1500, "no checkpoint was made");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.is(await readings(store, ["s0", "s19"]), before);
  await other.append("s0", E);
  assert.is(store.stats().checkpointFailures, 0);
  await store.close();
  await other.close();
  const never = await openEventStore({ checkpointEntries: 0, checkpointWalBytes: 0 }, directory);
  assert.ok(never.stats().checkpointLsn >= 200);
  await never.close();
});

test("a checkpoint that the store makes by itself and that fails is told of, and appends go on", async () => {
  const directory = temporaryDirectory();
  const errors: StoreError[] = [];
  const onCheckpointError = (error: StoreError): void => void errors.push(error);
  const store = await openEventStore({ ...SMALL, checkpointEntries: 10, onCheckpointError }, directory);
  writeFileSync(join(directory, "log"), "in the way of the sealed segments");
  for (let index = 0; index < 20; index++) await store.append("s", E);
  for (let tries = 0; errors.length === 0; tries++) {
    assert.ok(tries < 500, "no checkpoint was tried");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.ok(isStoreError(errors[0]) && store.stats().checkpointFailures >= 1);
  await store.append("s", E);
  assert.is((await collect(store.readStream("s"))).length, 21);
  rmSync(join(directory, "log"));
  await checkpoint(store);
  await store.close();
});

test("an index that a checkpoint overtakes begins anew, and knows nothing that it has not read", () => {
  const index = new StreamIndex();
  const head = index.add("s");
  head.waitingCount = 1;
  index.enterBatch(1, 2, [head, head], [1, 2]);
  assert.equal([head.indexedVersion, head.lsnOf(2), index.indexedThrough], [2, 2, 2]);
  index.trim(10);
  assert.equal([index.indexedThrough, index.sealedThrough], [10, 10]);
  assert.equal([index.get("s")?.isBaseKnown, index.get("s")?.lsnOf(2), head.idsKnownThrough], [false, undefined, -1]);
  index.enterBatch(11, 1, [head], [8]);
  assert.equal([head.indexedVersion, head.lsnOf(8), head.lsnOf(7), head.versionAt(11)], [8, 11, undefined, 8]);
  assert.ok(head.idsKnownThrough < 8, "its ids were not read");
  index.trim(9);
  assert.is(index.sealedThrough, 10);
});
