/** The stream index of one writer among several: what it enters itself, and what it reads. */

import type { EventInput } from "../../src/events/index.js";
import { LogFollower } from "../../src/events/log-follower.js";
import { StreamIndex } from "../../src/events/stream-index.js";
import { StreamReplay } from "../../src/events/stream-replay.js";
import { truncated } from "../../src/wal/log-horizon.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { collect } from "./support/open-event-store.js";
import { SharedLog, type SharedWriter } from "./support/shared-log.js";

const test = suite("events/log-follower");
const E: EventInput = { type: "T", data: 0 };

let log: SharedLog;
let a: SharedWriter;
let b: SharedWriter;
test.beforeEach(() => {
  log = new SharedLog();
  a = log.open();
  b = log.open();
});
test.afterEach(() => log.close());

async function append(writer: SharedWriter, stream: string, count = 1): Promise<void> {
  const work = writer.append(stream, new Array<EventInput>(count).fill(E));
  for (let isDone = false; !isDone; ) {
    writer.commit();
    isDone = await Promise.race([
      work.then(() => true),
      new Promise<boolean>((resolve) => setImmediate(resolve, false)),
    ]);
  }
}

async function versionsRead(writer: SharedWriter, stream: string): Promise<number[]> {
  return (await collect(writer.source.readStream(stream))).map(({ version }) => version);
}

test("what another writer has truncated while it is read is passed over, and nothing else is", async () => {
  const index = new StreamIndex();
  const asked: number[] = [];
  const followed = (sealedThrough: number): LogFollower => {
    async function* frames(after: number): AsyncGenerator<never> {
      asked.push(after);
      yield* [] as never[];
      if (after >= 20) return;
      index.trim(sealedThrough); // as a reader does when it hears of a checkpoint
      throw truncated(after, 20);
    }
    return new LogFollower({ watermark: 40, frames }, index, new StreamReplay(index));
  };
  await rejects(followed(0).catchUp(), "ERR_LOG_TRUNCATED");
  await followed(30).catchUp();
  assert.equal([asked, index.indexedThrough], [[0, 0, 30], 40]);
});

test("a writer that is alone reads nothing", async () => {
  for (let index = 0; index < 20; index++) await append(a, `s${index % 3}`, 2);
  assert.equal(
    await versionsRead(a, "s0"),
    [...new Array(14).keys()].map((at) => at + 1),
  );
  assert.equal([a.framesRead, a.index.indexedThrough], [0, 40]);
});

test("what others wrote is read when a stream is asked for, each frame once, and own batches count again from then on", async () => {
  await append(b, "s", 2);
  await append(a, "s");
  await append(b, "t");
  assert.is(a.framesRead, 0);
  assert.is(a.index.indexedThrough, 0);
  assert.equal(await versionsRead(a, "s"), [1, 2, 3]);
  assert.is(a.framesRead, 3);
  await append(a, "t");
  assert.equal(await versionsRead(a, "t"), [1, 2]);
  assert.equal([a.framesRead, a.index.indexedThrough], [3, 5]);
});

test("who asks while the log is read waits for the same reading", async () => {
  for (let index = 0; index < 10; index++) await append(b, "s");
  const reads = await Promise.all([versionsRead(a, "s"), versionsRead(a, "s"), a.follower.catchUp(4)]);
  assert.equal([reads[0].length, reads[1].length, a.framesRead], [10, 10, 10]);
});

test("a stream is read up to where it was when reading was asked for", async () => {
  await append(b, "s", 2);
  const cursor = a.source.readStream("s");
  const backwards = a.source.readStream("s", { direction: "backwards", limit: 1 });
  await append(b, "s", 2);
  assert.is((await collect(cursor)).length, 2);
  assert.equal(
    (await collect(backwards)).map(({ version }) => version),
    [2],
  );
});

test("a subscription to a stream delivers what others write to it", async () => {
  const cursor = a.source.subscribe({ stream: "s" });
  const versions: number[] = [];
  for (let version = 1; version <= 6; version++) {
    await append(version % 2 === 0 ? a : b, "other");
    await append(version % 3 === 0 ? a : b, "s");
    versions.push((await cursor.next()).value?.version ?? 0);
  }
  assert.equal(versions, [1, 2, 3, 4, 5, 6]);
  await cursor.return();
});

test("LSNs that nobody gets are passed over", async () => {
  await append(a, "s");
  log.skip(5);
  await append(a, "s");
  assert.is(a.index.indexedThrough, 1);
  assert.equal(await versionsRead(a, "s"), [1, 2]);
  log.skip(3);
  assert.equal(await versionsRead(b, "s"), [1, 2]);
  assert.equal([b.index.indexedThrough, b.index.get("s")?.lsnOf(2)], [10, 7]);
  await append(b, "s");
  assert.is(b.index.indexedThrough, 11, "after that its own batches are entered at once again");
});

test("in whatever order batches are entered and read, the index is what the log holds", async () => {
  const random = seededRandom();
  const streams = ["p", "q", "r"];
  const lsns = new Map<string, number[]>(streams.map((stream) => [stream, []]));
  const reading: Promise<void>[] = [];
  for (let step = 0; step < 600; step++) {
    const writer = random.pick([a, a, b]);
    const action = random.integer(6);
    if (action === 0) reading.push(writer.follower.catchUp());
    else if (action === 1) writer.isTold = !writer.isTold;
    else if (action === 2) writer.tell();
    else if (action === 3) await Promise.resolve();
    else {
      const stream = random.pick(streams);
      const other = writer === a ? b : a;
      other.tell();
      const work = writer.append(stream, new Array<EventInput>(1 + random.integer(4)).fill(E));
      writer.commit();
      writer.tell();
      const { lsn, version } = await work;
      const list = lsns.get(stream) as number[];
      for (let at = list.length + 1; at <= version; at++) list.push(lsn - version + at);
    }
  }
  await Promise.all(reading);
  for (const writer of [a, b]) {
    writer.tell();
    await writer.follower.catchUp();
    assert.is(writer.index.indexedThrough, log.watermark);
    for (const stream of streams) {
      const head = writer.index.get(stream);
      const expected = lsns.get(stream) as number[];
      assert.is(head?.indexedVersion, expected.length);
      assert.equal(
        expected.map((_, index) => head?.lsnOf(index + 1)),
        expected,
      );
    }
  }
});
