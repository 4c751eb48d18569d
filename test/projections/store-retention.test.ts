import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { StoreError } from "../../src/errors.js";
import {
  openReader,
  openStore,
  type RecordedEvent,
  restoreStore,
  type Store,
  type StoreReader,
} from "../../src/index.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("projections/store-retention");

type Reading = Store | StoreReader;

async function append(store: Store, stream: string, count: number): Promise<void> {
  const version = await store.streamVersion(stream);
  const numbers = Array.from({ length: count }, (_, index) => version + 1 + index);
  await store.append(
    stream,
    numbers.map((number) => ({ type: "T", data: number })),
  );
}

async function collect(events: AsyncIterable<RecordedEvent>): Promise<RecordedEvent[]> {
  const found: RecordedEvent[] = [];
  for await (const event of events) found.push(event);
  return found;
}

/** The versions that readers of the stream see, forwards; backwards they must be the same. */
async function versionsOf(store: Reading, stream: string): Promise<number[]> {
  const forwards = await collect(store.readStream(stream));
  for (const { version, data, stream: name } of forwards) assert.equal([data, name], [version, stream]);
  const backwards = await collect(store.readStream(stream, { direction: "backwards" }));
  assert.equal(
    backwards.map(({ lsn }) => lsn).reverse(),
    forwards.map(({ lsn }) => lsn),
  );
  return forwards.map(({ version }) => version);
}

function from(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}

/** The events of users. */
async function allOf(store: Reading): Promise<RecordedEvent[]> {
  return (await collect(store.readAll({ after: store.horizon }))).filter(({ stream }) => !stream.startsWith("$"));
}

test("what is forgotten is hidden at once from all who read the stream, and gone from the disk after a scavenge", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory);
  const other = await openStore(directory);
  const reader = await openReader(directory);
  for (const name of ["cut", "gone", "dead", "few", "whole", "p-1", "p-2", "q-1"]) await append(store, name, 20);
  await store.truncateStream("cut", { before: 8 });
  await other.deleteStream("gone");
  await store.tombstoneStream("dead");
  await store.retainStream("few", { maxCount: 5 });
  await other.deleteStreams("p-");
  await store.tombstoneStreams("q-");
  await append(other, "p-2", 3);
  await append(other, "few", 2);
  const check = async (reading: Reading): Promise<void> => {
    assert.equal(await versionsOf(reading, "cut"), from(8, 20));
    assert.equal(await versionsOf(reading, "gone"), []);
    assert.equal(await versionsOf(reading, "few"), from(18, 22));
    assert.equal(await versionsOf(reading, "whole"), from(1, 20));
    assert.equal(await versionsOf(reading, "p-1"), []);
    assert.equal(await versionsOf(reading, "p-2"), from(21, 23));
    for (const name of ["dead", "q-1", "q-never-written"]) {
      for (const options of [{}, { direction: "backwards" as const }]) {
        const error = (await rejects(
          collect(reading.readStream(name, options)),
          "ERR_STREAM_TOMBSTONED",
        )) as StoreError;
        assert.is(error.details["stream"], name);
      }
      await rejects(collect(reading.subscribe({ stream: name })), "ERR_STREAM_TOMBSTONED");
    }
    assert.equal(
      (await collect(reading.readStream("cut", { from: 3, limit: 4 }))).map(({ version }) => version),
      from(8, 11),
    );
    assert.equal(await collect(reading.readStream("cut", { from: 5, to: 2, direction: "backwards" })), []);
    for (const name of ["cut", "gone", "dead", "few"]) {
      assert.is(await reading.streamVersion(name), name === "few" ? 22 : 20, "versions stay");
    }
  };
  await reader.refresh();
  for (const reading of [store, other, reader]) await check(reading);
  const before = await allOf(store);
  assert.is(before.length, 8 * 20 + 5, "the log still has them all");
  const report = await store.scavenge();
  const left = before.filter(
    ({ stream, version }) =>
      stream === "whole" ||
      (stream === "cut" && version >= 8) ||
      (stream === "few" && version >= 18) ||
      (stream === "p-2" && version > 20),
  );
  assert.is(report.removedRecords, before.length - left.length);
  await reader.refresh();
  for (const reading of [store, other, reader]) {
    await check(reading);
    const found = await allOf(reading);
    assert.equal(
      found.map(({ lsn, id, data }) => [lsn, id, data]),
      left.map(({ lsn, id, data }) => [lsn, id, data]),
    );
    for (const [index, { payload }] of found.entries())
      assert.ok(payload.every((byte, at) => byte === left[index]?.payload[at]));
  }
  assert.is((await store.scavenge()).removedRecords, 0);
  assert.ok((await reader.verifySealed()).removedLsns === report.removedRecords);
  await reader.close();
  await other.close();
  await store.close();
  const again = await openStore(directory);
  await check(again);
  await rejects(again.append("q-2", { type: "T", data: 1 }), "ERR_STREAM_TOMBSTONED");
  const log = await collect(again.readStream("$retention"));
  assert.equal(
    log.map(({ type }) => type.replace("varve.v1.", "")),
    [
      "StreamTruncated",
      "StreamDeleted",
      "StreamTombstoned",
      "StreamRetentionSet",
      "StreamsDeleted",
      "StreamsTombstoned",
      "LogScavenged",
    ],
  );
  await again.close();
});

test("a deleted stream can be written to again and goes on with its versions, before a scavenge and after it", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory);
  for (const isScavenged of [false, true]) {
    const name = `s-${isScavenged}`;
    await append(store, name, 5);
    await store.deleteStream(name, { expectedVersion: 5 });
    if (isScavenged) await store.scavenge();
    await rejects(
      store.append(name, { type: "T", data: 6 }, { expectedVersion: "exists" }),
      "ERR_EVENTS_VERSION_CONFLICT",
    );
    await rejects(store.append(name, { type: "T", data: 6 }, { expectedVersion: 4 }), "ERR_EVENTS_VERSION_CONFLICT");
    await rejects(store.deleteStream(name), "ERR_EVENTS_VERSION_CONFLICT");
    const options = { expectedVersion: "absent" } as const;
    const done = await store.append(name, { type: "T", data: 6, id: "six" }, options);
    assert.equal([done.version, done.created], [6, false]);
    const repeated = await store.append(name, { type: "T", data: 6, id: "six" }, options);
    assert.equal([repeated.version, repeated.lsn, repeated.duplicate], [6, done.lsn, true]);
    await rejects(store.append(name, { type: "T", data: 7 }, options), "ERR_EVENTS_VERSION_CONFLICT");
    await store.append(name, { type: "T", data: 7 }, { expectedVersion: "exists" });
    assert.equal(await versionsOf(store, name), [6, 7]);
    await store.deleteStream(name);
    await store.append(name, { type: "T", data: 8 }, { expectedVersion: 7 });
    assert.equal(await versionsOf(store, name), [8]);
  }
  await store.close();
  const again = await openStore(directory);
  for (const name of ["s-false", "s-true"]) {
    assert.equal(await versionsOf(again, name), [8]);
    assert.is((await again.append(name, { type: "T", data: 9 })).version, 9);
  }
  await again.close();
});

test("no append is placed behind a tombstone, whoever makes it and however many there are", async () => {
  const directory = join(temporaryDirectory(), "store");
  const stores = [await openStore(directory), await openStore(directory), await openStore(directory)];
  for (let round = 0; round < 8; round++) {
    const name = `stream-${round}`;
    const placed: number[] = [];
    const writers = stores.map(async (store) => {
      for (;;) {
        try {
          placed.push((await store.append(name, { type: "T", data: 1 })).lsn);
        } catch (error) {
          assert.is((error as StoreError).code, "ERR_STREAM_TOMBSTONED");
          return;
        }
      }
    });
    await delay(5 + round * 3);
    const { lsn } = await (stores[round % 3] as Store).tombstoneStream(name);
    await Promise.all(writers);
    assert.ok(
      placed.every((each) => each < lsn),
      `${Math.max(...placed)} behind ${lsn}`,
    );
    const all = (await collect((stores[0] as Store).readAll())).filter(({ stream }) => stream === name);
    assert.is(all.length, placed.length);
    assert.ok(all.every((event) => event.lsn < lsn));
  }
  for (const store of stores) await store.close();
});

test("a tombstone or a deletion that expects another version is refused", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory);
  await append(store, "s", 3);
  for (const expectedVersion of [2, "absent"] as const) {
    await rejects(store.tombstoneStream("s", { expectedVersion }), "ERR_EVENTS_VERSION_CONFLICT");
  }
  await rejects(store.deleteStream("s", { expectedVersion: 2 }), "ERR_EVENTS_VERSION_CONFLICT");
  await rejects(store.deleteStream("never"), "ERR_EVENTS_VERSION_CONFLICT");
  await store.tombstoneStream("never", { expectedVersion: "absent" });
  await rejects(store.append("never", { type: "T", data: 1 }), "ERR_STREAM_TOMBSTONED");
  await rejects(
    store.appendMany([
      { stream: "s", events: { type: "T", data: 4 } },
      { stream: "never", events: { type: "T", data: 1 } },
    ]),
    "ERR_STREAM_TOMBSTONED",
  );
  await store.tombstoneStream("s", { expectedVersion: 3 });
  for (const work of [
    () => store.tombstoneStream("s"),
    () => store.deleteStream("s"),
    () => store.truncateStream("s", { before: 1 }),
    () => store.retainStream("s", {}),
  ]) {
    await rejects(work, "ERR_STREAM_TOMBSTONED");
  }
  assert.equal(await store.streamRetention("s"), {
    firstVersion: 1,
    deletedThrough: 0,
    isTombstoned: true,
    maxAgeMs: null,
    maxCount: null,
    deletedLsn: 0,
  });
  await store.close();
});

test("maxAge goes by when events were recorded, and can be taken back while they are on disk", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory);
  await append(store, "s", 3);
  await delay(700);
  await append(store, "s", 2);
  await store.retainStream("s", { maxAgeMs: 600 });
  assert.equal(await versionsOf(store, "s"), [4, 5]);
  await store.retainStream("s", {});
  assert.equal(await versionsOf(store, "s"), from(1, 5));
  await store.retainStream("s", { maxAgeMs: 650, maxCount: 4 });
  const { removedRecords } = await store.scavenge();
  assert.ok(removedRecords === 3 || removedRecords === 5, `${removedRecords}`);
  await store.retainStream("s", {});
  assert.equal(await versionsOf(store, "s"), from(removedRecords + 1, 5));
  assert.is((await store.append("s", { type: "T", data: 6 })).version, 6);
  await store.close();
});

test("a truncated log begins behind its horizon, and its streams go on with their versions", async () => {
  const directory = join(temporaryDirectory(), "store");
  const archive = join(temporaryDirectory(), "archive");
  mkdirSync(archive);
  const store = await openStore(directory);
  const ids = await store.reserveNodeIds(10);
  await append(store, "old", 5);
  await append(store, "both", 5);
  await store.deleteStream("old");
  await store.checkpoint();
  const cut = store.watermark;
  await append(store, "both", 5);
  await append(store, "new", 5);
  const state = { count: 0 };
  const counting = {
    name: "counting",
    handles: "all" as const,
    version: 1,
    init: () => ({ ...state }),
    apply: (before: { count: number }) => ({ count: before.count + 1 }),
    encode: (each: { count: number }) => Buffer.from(JSON.stringify(each)),
    decode: async (chunks: AsyncIterable<Uint8Array>) => {
      const parts: Uint8Array[] = [];
      for await (const chunk of chunks) parts.push(chunk);
      return JSON.parse(Buffer.concat(parts).toString()) as { count: number };
    },
  };
  const running = await store.project(counting);
  await running.whenProcessed(store.watermark);
  const report = await store.truncateBefore(cut + 3, {
    archive: ({ path }) => copyFileSync(path, join(archive, basename(path))),
  });
  assert.equal([report.horizon, store.horizon], [cut, cut]);
  assert.is(readdirSync(archive).length, report.droppedSegments);
  for (const work of [
    () => collect(store.readAll()),
    () => collect(store.readAll({ after: cut - 1 })),
    () => collect(store.readAll({ direction: "backwards" })),
    () => collect(store.subscribe({ after: 0 })),
    async () => {
      for await (const _ of store.readBatches(1));
    },
  ]) {
    const error = (await rejects(work, "ERR_LOG_TRUNCATED")) as StoreError;
    assert.is(error.details["horizon"], cut);
  }
  assert.equal((await collect(store.readAll({ after: cut, limit: 2, direction: "backwards" }))).length, 2);
  assert.equal(await versionsOf(store, "both"), from(6, 10));
  assert.equal(await versionsOf(store, "new"), from(1, 5));
  assert.equal(await versionsOf(store, "old"), []);
  const { version } = await store.append("old", { type: "T", data: 6 }, { expectedVersion: "absent" });
  assert.is(version, 6);
  const seen = running.state.count;
  await running.whenProcessed(store.watermark);
  assert.ok(running.state.count > seen, "a projection that was beyond the horizon goes on");
  await store.close();
  const again = await openStore(directory);
  assert.is(again.horizon, cut);
  assert.equal(await versionsOf(again, "old"), [6]);
  assert.ok((await again.reserveNodeIds(1)) >= ids + 10, "ids are not given twice");
  assert.is((await again.append("both", { type: "T", data: 11 }, { expectedVersion: 10 })).version, 11);
  const resumed = await again.project(counting);
  await resumed.whenProcessed(again.watermark);
  assert.ok(resumed.state.count > seen);
  const rebuilt = await again.project({ ...counting, name: "another" }).catch((error: StoreError) => error);
  const failure = rebuilt instanceof Error ? rebuilt : await rejects(rebuilt.whenCaughtUp(), "ERR_PROJECTION_FAILED");
  assert.equal((failure as StoreError).code, "ERR_PROJECTION_FAILED");
  assert.is((failure as StoreError).details["horizon"], cut);
  await again.close();
});

test("a backup of a store that was scavenged and truncated is the same store, restored to its end or cut behind the horizon", async () => {
  const place = temporaryDirectory();
  const store = await openStore(join(place, "store"));
  for (const name of ["old", "cut", "both"]) await append(store, name, 10);
  await store.truncateStream("cut", { before: 4 });
  await store.checkpoint();
  const horizon = store.watermark;
  await append(store, "both", 5);
  await store.scavenge();
  await store.truncateBefore(horizon + 1, { archive: "none" });
  assert.is(store.horizon, horizon);
  await append(store, "both", 5);
  const cutLsn = store.watermark;
  await append(store, "new", 5);
  await store.backup(join(place, "backup"));
  await store.close();
  for (const [name, toLsn, both, added] of [
    ["all", undefined, 20, 5],
    ["part", cutLsn, 20, 0],
  ] as const) {
    const directory = join(place, name);
    await restoreStore(join(place, "backup"), directory, toLsn === undefined ? {} : { toLsn });
    const restored = await openStore(directory);
    assert.is(restored.horizon, horizon);
    assert.equal(await versionsOf(restored, "both"), from(11, both));
    assert.equal(await versionsOf(restored, "new"), from(1, added));
    assert.equal([await versionsOf(restored, "cut"), await versionsOf(restored, "old")], [[], []]);
    for (const stream of ["old", "cut"]) {
      assert.is((await restored.append(stream, { type: "T", data: 11 }, { expectedVersion: 10 })).version, 11);
    }
    await restored.close();
  }
  const before = restoreStore(join(place, "backup"), join(place, "before"), { toLsn: horizon - 1 });
  assert.is(((await rejects(before, "ERR_BACKUP_RANGE")) as StoreError).details["horizonLsn"], horizon);
  assert.not.ok(readdirSync(place).includes("before"));
});

test("the store's own streams are read by all and written by nobody else", async () => {
  const store = await openStore(join(temporaryDirectory(), "store"));
  const event = { type: "T", data: 1 };
  for (const work of [
    () => store.append("$retention", event),
    () => store.tryAppend("$mine", event),
    () =>
      store.appendMany([
        { stream: "a", events: event },
        { stream: "$b", events: event },
      ]),
    () => store.truncateStream("$retention", { before: 1 }),
    () => store.deleteStream("$graph-ids"),
    () => store.tombstoneStream("$retention"),
    () => store.retainStream("$retention", { maxCount: 1 }),
    () => store.deleteStreams("$"),
    () => store.tombstoneStreams(""),
  ]) {
    await rejects(work, "ERR_EVENTS_INVALID_STREAM");
  }
  assert.is(await store.streamVersion("a"), 0);
  assert.equal(await collect(store.readStream("$retention")), []);
  await store.close();
});

test("wrong arguments are named and change nothing", async () => {
  const store = await openStore(join(temporaryDirectory(), "store"));
  await append(store, "s", 3);
  const misuse: readonly (readonly [() => Promise<unknown>, RegExp])[] = [
    [() => store.truncateStream("s", {} as never), /needs the option before/],
    [() => store.truncateStream("s", { before: 5 }), /before must be at most 4/],
    [() => store.truncateStream("s", { before: 0 }), /before/],
    [() => store.truncateStream("s", { upTo: 1 } as never), /unknown option "upTo"/],
    [() => store.retainStream("s", { maxAgeMs: 0 }), /maxAgeMs/],
    [() => store.retainStream("s", { maxCount: 1.5 }), /maxCount/],
    [() => store.deleteStream("s", { expectedVersion: "any" as never }), /expectedVersion/],
    [() => store.truncateBefore(5, { archive: "none" }), /from 1 to the watermark/],
    [() => store.truncateBefore(1, {} as never), /archive must be/],
    [() => store.tombstoneStream(7 as never), /stream name must be a string/],
  ];
  for (const [work, message] of misuse) {
    await rejects(
      work,
      (error) => (error instanceof TypeError || error instanceof RangeError) && message.test(error.message),
    );
  }
  assert.is(store.watermark, 3);
  await store.close();
  await rejects(store.deleteStream("s"), "ERR_STORE_CLOSED");
  await rejects(store.scavenge(), "ERR_STORE_CLOSED");
});

test("a subscription to a stream passes over what was forgotten", async () => {
  const store = await openStore(join(temporaryDirectory(), "store"));
  await append(store, "s", 10);
  await store.truncateStream("s", { before: 4 });
  const stop = new AbortController();
  const seen: number[] = [];
  const following = (async (): Promise<void> => {
    for await (const { version } of store.subscribe({ stream: "s", signal: stop.signal })) {
      seen.push(version);
      if (version === 12) stop.abort();
    }
  })().catch(() => {});
  await delay(20);
  await store.scavenge();
  await append(store, "s", 2);
  await following;
  assert.equal(seen, from(4, 12));
  const late: number[] = [];
  for await (const { version } of store.subscribe({ stream: "s", after: 2 })) {
    late.push(version);
    if (version === 12) break;
  }
  assert.equal(late, from(4, 12));
  await store.close();
});
