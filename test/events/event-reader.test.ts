/** Reading beside a writer, or without one: nothing is written, and nothing is served that the log does not attest. */

import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { EventReader } from "../../src/events/index.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { collect, openEventReader, openEventStore } from "./support/open-event-store.js";

const test = suite("events/event-reader");
const WAIT_MS = 5000;

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
