/** Reading beside a writer, or without one: nothing is written, and nothing is served that the log does not attest. */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { StoreError } from "../../src/errors.js";
import { EventReader } from "../../src/events/index.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { collect, openEventReader, openEventStore } from "./support/open-event-store.js";

const test = suite("events/event-reader");
const WAIT_MS = 5000;
/** After this a writer has told what is durable. */
const ATTESTED_MS = 400;

/** Every file below a directory with its size, its time and its bytes. */
function snapshot(directory: string): unknown[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const path = join(directory, name);
      const { size, mtimeMs, ctimeMs } = statSync(path);
      const bytes = statSync(path).isFile() ? readFileSync(path).toString("base64") : "";
      return [name, size, mtimeMs, ctimeMs, bytes];
    });
}

async function refreshUntil(reader: EventReader, lsn: number): Promise<void> {
  for (let waitedMs = 0; reader.watermark < lsn && waitedMs < WAIT_MS; waitedMs += 10) {
    await reader.refresh();
    await delay(10);
  }
  assert.is(reader.watermark, lsn);
}

test("a directory without a store is not found, and not made", async () => {
  const parent = temporaryDirectory();
  const absent = join(parent, "absent");
  await rejects(openEventReader(absent), "ERR_STORE_NOT_FOUND");
  assert.is(existsSync(absent), false);
  const empty = join(parent, "empty");
  mkdirSync(empty);
  await rejects(openEventReader(empty), "ERR_STORE_NOT_FOUND");
  assert.equal(readdirSync(empty), []);
  const file = join(parent, "file");
  writeFileSync(file, "");
  await rejects(openEventReader(file), "ERR_STORE_NOT_FOUND");
  for (const name of ["", 5, null]) {
    await rejects(openEventReader(name as never), (error) => error instanceof TypeError);
  }
  await rejects(EventReader.open(empty, "a.proto" as never, new Map()), (error) => error instanceof TypeError);
});

test("a closed store is read whole, and no byte and no time of it changes", async () => {
  const directory = temporaryDirectory();
  const store = await openEventStore({ segmentBytes: 64 * 1024 }, directory);
  for (let index = 0; index < 60; index++) {
    await store.append(index % 2 === 0 ? "a" : "b", { type: "T", data: "x".repeat(3000), metadata: { index } });
  }
  const written = JSON.stringify(await collect(store.readAll()));
  await store.close();
  const before = snapshot(directory);
  const reader = await openEventReader(directory);
  assert.is(reader.watermark, 60);
  assert.is(JSON.stringify(await collect(reader.readAll())), written);
  assert.is((await collect(reader.readStream("a"))).length, 30);
  assert.equal(
    [await reader.streamVersion("a"), await reader.streamVersion("b"), await reader.streamVersion("c")],
    [30, 30, 0],
  );
  assert.equal([reader.stats().tailStreams, reader.stats().lastLsn, reader.readOnly], [2, 60, true]);
  assert.is(reader.storeId, store.storeId);
  assert.is(await reader.refresh(), false);
  await reader.close();
  assert.equal(snapshot(directory), before);
});

test("beside a writer it serves a prefix of what the writer has, and more after each refresh", async () => {
  const directory = temporaryDirectory();
  const store = await openEventStore({ segmentBytes: 64 * 1024 }, directory);
  const random = seededRandom();
  const reader = await openEventReader(directory);
  assert.equal(await collect(reader.readAll()), []);
  let isWriting = true;
  const writing = (async () => {
    for (let index = 0; index < 200; index++) {
      const count = 1 + random.integer(3);
      await store.append(
        `s${random.integer(3)}`,
        new Array(count).fill({ type: "T", data: "x".repeat(random.integer(900)) }),
      );
      if (random.integer(10) === 0) await delay(random.integer(5));
    }
    isWriting = false;
  })();
  let growthCount = 0;
  while (isWriting) {
    const before = reader.watermark;
    const hasGrown = await reader.refresh();
    assert.is(hasGrown, reader.watermark > before);
    if (hasGrown) growthCount++;
    assert.ok(reader.watermark <= store.watermark, "nothing that is not durable is served");
    const lsns = (await collect(reader.readAll())).map((event) => event.lsn);
    assert.equal(
      lsns,
      [...new Array(reader.watermark).keys()].map((index) => index + 1),
    );
    let versions = 0;
    for (const stream of ["s0", "s1", "s2"]) {
      versions += await reader.streamVersion(stream);
      assert.is((await collect(reader.readStream(stream))).length, await reader.streamVersion(stream));
    }
    assert.is(versions, reader.watermark);
    await delay(5);
  }
  await writing;
  assert.ok(growthCount > 2, `${growthCount} times more to read`);
  // When the writer is idle, or closes, the log attests the rest.
  await refreshUntil(reader, store.watermark);
  await store.append("s0", { type: "Last", data: 1 });
  await store.close();
  await refreshUntil(reader, store.watermark);
  await reader.close();
});

test("a subscription of a reader delivers what each refresh finds, and ends when it closes", async () => {
  const directory = temporaryDirectory();
  const store = await openEventStore({}, directory);
  await store.append("s", { type: "T", data: 0 });
  const reader = await openEventReader(directory);
  const lsns: number[] = [];
  const following = (async () => {
    for await (const event of reader.subscribe({ stream: "s" })) lsns.push(event.lsn);
  })();
  await refreshUntil(reader, 1);
  for (let index = 1; index <= 3; index++) {
    await store.append("s", { type: "T", data: index });
    await refreshUntil(reader, index + 1);
  }
  for (let waitedMs = 0; lsns.length < 4 && waitedMs < WAIT_MS; waitedMs += 5) await delay(5);
  assert.equal(lsns, [1, 2, 3, 4]);
  await reader.close();
  await following;
  await store.close();
});

test("a reader does not keep a writer out, nor a writer a reader, nor readers each other", async () => {
  const directory = temporaryDirectory();
  const store = await openEventStore({}, directory);
  await store.append("s", { type: "T", data: 0 });
  const readers = await Promise.all([openEventReader(directory), openEventReader(directory)]);
  await store.close();
  const again = await openEventStore({}, directory);
  await again.append("s", { type: "T", data: 1 });
  await again.close();
  for (const reader of readers) {
    await refreshUntil(reader, 2);
    await reader.close();
  }
});

test("who subscribes when the writer has gone on and is idle by then hears of it without waiting for more", async () => {
  const directory = temporaryDirectory();
  const store = await openEventStore({}, directory);
  const reader = await openEventReader(directory);
  await store.append("s", { type: "T", data: 1 });
  const lsns: number[] = [];
  const following = (async () => {
    for await (const event of reader.subscribe()) lsns.push(event.lsn);
  })();
  for (let waitedMs = 0; lsns.length < 1 && waitedMs < WAIT_MS; waitedMs += 5) await delay(5);
  assert.equal(lsns, [1]);
  await reader.close();
  await following;
  await store.close();
});

const BLOCK = 4096;

/** A log as a crash leaves it with its first event, and the bytes of its segment when there are three. */
async function twoMoments(): Promise<{ readonly directory: string; readonly path: string; readonly later: Buffer }> {
  const live = temporaryDirectory();
  const store = await openEventStore({ segmentBytes: 64 * 1024 }, live);
  await store.append("s", { type: "T", data: 1 });
  await delay(ATTESTED_MS);
  const directory = join(temporaryDirectory(), "copy");
  cpSync(live, directory, { recursive: true, filter: (path) => !path.endsWith("/control") });
  for (const data of [2, 3]) await store.append("s", { type: "T", data });
  await delay(ATTESTED_MS);
  const name = join("wal", "core-000");
  const [segment] = readdirSync(join(live, name)).filter((file) => file.endsWith(".wal"));
  const later = readFileSync(join(live, name, segment as string));
  await store.close();
  return { directory, path: join(directory, name, segment as string), later };
}

/** Where the second event's frame lies: behind the preamble, the first event and what attests that. */
const SECOND_EVENT = 3 * BLOCK;

test("a subscription behind damage ends with its place, once for each who subscribes, and nothing before it is kept back", async () => {
  const { directory, path, later } = await twoMoments();
  const reader = await openEventReader(directory);
  const lsns: number[] = [];
  const follow = async (stream?: string): Promise<void> => {
    for await (const event of reader.subscribe(stream === undefined ? {} : { stream })) lsns.push(event.lsn);
  };
  const following = [follow(), follow("s")];
  const damaged = Buffer.from(later);
  damaged.fill(0x77, SECOND_EVENT + 100, SECOND_EVENT + 110);
  writeFileSync(path, damaged);
  const errors = await Promise.all(following.map((ending) => rejects(ending, "ERR_WAL_CORRUPT")));
  for (const error of errors as StoreError[]) {
    assert.equal(error.details, { path, offset: SECOND_EVENT, firstLostLsn: 2, lastLostLsn: 3 });
  }
  assert.equal(lsns, [1, 1]);
  // Who begins now is told as well, and who begins when the file is whole again gets the rest.
  await rejects(follow(), "ERR_WAL_CORRUPT");
  writeFileSync(path, later);
  const stop = new AbortController();
  for await (const event of reader.subscribe({ after: 1, signal: stop.signal })) {
    lsns.push(event.lsn);
    if (event.lsn === 3) break;
  }
  assert.equal(lsns, [1, 1, 1, 2, 3]);
  await reader.close();
});

test("a subscription goes on over damage that the next look does not find any more", async () => {
  const { directory, path, later } = await twoMoments();
  const reader = await openEventReader(directory);
  const lsns: number[] = [];
  const following = (async () => {
    for await (const event of reader.subscribe()) lsns.push(event.lsn);
  })();
  const damaged = Buffer.from(later);
  damaged.fill(0x77, SECOND_EVENT + 100, SECOND_EVENT + 110);
  // As a file is that somebody is replacing: each time some look, at most one, finds it so.
  writeFileSync(path, damaged);
  await rejects(
    (async () => {
      for (;;) await reader.refresh();
    })(),
    "ERR_WAL_CORRUPT",
  );
  writeFileSync(path, later);
  for (let waitedMs = 0; lsns.length < 3 && waitedMs < WAIT_MS; waitedMs += 5) await delay(5);
  assert.equal(lsns, [1, 2, 3]);
  await reader.close();
  await following;
});
