/** Several writers and one head table: what each is answered while the others' batches are on their way. */

import { setTimeout as delay } from "node:timers/promises";
import { StoreError } from "../../src/errors.js";
import { EnvelopeView } from "../../src/events/envelope.js";
import type { AppendResult, EventInput, ExpectedVersion } from "../../src/events/index.js";
import { RECORD_HEADER_BYTES } from "../../src/wal/format.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { SharedLog, type SharedWriter } from "./support/shared-log.js";

const test = suite("events/head-claims");
const E: EventInput = { type: "T", data: 0 };
/** Long after everything that waits for nothing has been answered. */
const SETTLED_MS = 30;

let log: SharedLog;
let a: SharedWriter;
let b: SharedWriter;
test.beforeEach(() => {
  log = new SharedLog();
  a = log.open();
  b = log.open();
});
test.afterEach(() => log.close());

function withId(id: string): EventInput {
  return { ...E, id };
}

/** What a promise came to so far: "waiting", the version, or the error's code. */
function watch(work: Promise<AppendResult | readonly AppendResult[]>): { outcome: unknown } {
  const watched: { outcome: unknown } = { outcome: "waiting" };
  work.then(
    (result) => {
      watched.outcome = "version" in result ? result.version : result.map(({ version }) => version);
    },
    (error: { code?: string }) => {
      watched.outcome = error.code ?? String(error);
    },
  );
  return watched;
}

function appendMany(writer: SharedWriter, ...streams: string[]): Promise<AppendResult[]> {
  const appends = streams.map((stream) => ({ stream, events: E }));
  return writer.appender.appendMany(appends, undefined) as Promise<AppendResult[]>;
}

function settled(): Promise<void> {
  return delay(SETTLED_MS);
}

/** Makes everything durable until nothing changes any more. */
async function commitAll(...writers: SharedWriter[]): Promise<void> {
  for (let round = 0; round < 20; round++) {
    for (const writer of writers) writer.commit();
    await delay(2);
  }
}

/** Stream and version of every event in the log. */
function events(): [string, number][] {
  const view = new EnvelopeView();
  return log.frames.flatMap(({ header, body }) => {
    const found: [string, number][] = [];
    for (let at = 0, index = 0; index < header.recordCount; index++) {
      const start = at + RECORD_HEADER_BYTES;
      at = start + body.readUInt32LE(at);
      view.decode(body, start, at);
      found.push([body.toString("utf8", view.streamStart, view.streamEnd), view.version]);
    }
    return found;
  });
}

test("another writer's version is not answered from before it is visible, whether it would fit or not", async () => {
  const first = watch(a.append("s", E));
  const cases: [ExpectedVersion, unknown][] = [
    [0, "ERR_EVENTS_VERSION_CONFLICT"],
    [1, 2],
    ["absent", "ERR_EVENTS_VERSION_CONFLICT"],
    ["exists", 3],
    ["any", 4],
  ];
  const waiting = cases.map(([expected]) => watch(b.append("s", E, expected)));
  await settled();
  a.seal();
  await settled();
  assert.equal(
    [first, ...waiting].map(({ outcome }) => outcome),
    new Array(6).fill("waiting"),
  );
  a.write();
  await settled();
  b.commit();
  await settled();
  assert.is(first.outcome, 1);
  assert.equal(
    waiting.map(({ outcome }) => outcome),
    cases.map(([, outcome]) => outcome),
  );
});

test("a claim grows within its batch, also while another has the lock, and in the next batch only with it", async () => {
  const mine = [watch(a.append("s", E))];
  const entry = b.heads.find(Buffer.from("s"));
  assert.ok(b.heads.tryLock(entry));
  mine.push(watch(a.append("s", E)), watch(a.append("s", E)));
  assert.is(b.heads.tentativeVersion(entry), 3);
  assert.is(b.heads.tentativeEpoch(entry), 1);
  b.heads.unlock(entry);
  const waiting = watch(b.append("s", E));
  await settled();
  assert.is(waiting.outcome, "waiting");
  a.commit();
  await settled();
  assert.equal(
    mine.map(({ outcome }) => outcome),
    [1, 2, 3],
  );
  await settled();
  b.commit();
  await settled();
  assert.is(waiting.outcome, 4);
  assert.equal(
    events(),
    [1, 2, 3, 4].map((version) => ["s", version]),
  );
});

test("when another writer's version is refused, the waiting append goes on from the one before", async () => {
  void watch(a.append("s", E));
  const cases: [ExpectedVersion, unknown][] = [
    [1, "ERR_EVENTS_VERSION_CONFLICT"],
    ["absent", 1],
  ];
  const waiting = cases.map(([expected]) => watch(b.append("s", E, expected)));
  await settled();
  a.refuse();
  await settled();
  b.commit();
  await settled();
  assert.equal(
    waiting.map(({ outcome }) => outcome),
    cases.map(([, outcome]) => outcome),
  );
  assert.equal(events(), [["s", 1]]);
});

test("an append that waits for a stream holds up the stream's next ones, in order, and no others", async () => {
  void watch(a.append("s", E));
  const waiting = ["any", "any", 3].map((expected) => watch(b.append("s", E, expected as ExpectedVersion)));
  const many = watch(appendMany(b, "s", "t"));
  const behindMany = watch(b.append("t", E));
  const other = watch(b.append("u", E));
  await settled();
  b.commit();
  await settled();
  assert.is(other.outcome, 1);
  assert.equal([many.outcome, behindMany.outcome], ["waiting", "waiting"]);
  a.commit();
  await settled();
  b.commit();
  await settled();
  assert.equal(
    waiting.map(({ outcome }) => outcome),
    [2, 3, 4],
  );
  assert.equal([many.outcome, behindMany.outcome], [[5, 1], 2]);
});

test("a writer goes on with a stream that another wants in its batch, but not in a later one", async () => {
  void watch(a.append("s", E));
  const waiting = watch(b.append("s", E));
  await settled();
  const inBatch = watch(a.append("s", E));
  a.seal();
  const later = watch(a.append("s", E));
  a.write();
  await settled();
  assert.is(inBatch.outcome, 2, "it was put into the batch that the claim is in");
  b.commit();
  await settled();
  assert.is(waiting.outcome, 3, "the one that wanted it comes next");
  assert.is(later.outcome, "waiting");
  await commitAll(a, b);
  assert.is(later.outcome, 4);
  assert.is(a.heads.wantedBy(a.heads.find(Buffer.from("s"))), -1);
});

test("a writer that wants a stream and never comes is waited for in vain, and shortly", async () => {
  void watch(a.append("s", E));
  a.commit();
  const entry = b.heads.find(Buffer.from("s"));
  assert.ok(b.heads.tryLock(entry));
  b.heads.setWanted(entry, b.slot);
  b.heads.unlock(entry);
  const appended = watch(a.append("s", E));
  assert.is(appended.outcome, "waiting");
  await delay(5);
  a.commit();
  await commitAll(a);
  assert.is(appended.outcome, 2);
});

test("neither of two writers that want one stream keeps the other from it", async () => {
  const counts = [0, 0];
  const results: number[] = [];
  const end = performance.now() + 300;
  const run = async (writer: SharedWriter, at: number): Promise<void> => {
    while (performance.now() < end) {
      results.push((await writer.append("s", E)).version);
      counts[at] = (counts[at] as number) + 1;
    }
  };
  const runs = [run(a, 0), run(b, 1)];
  let isRunning = true;
  void Promise.all(runs).then(() => {
    isRunning = false;
  });
  while (isRunning) {
    a.commit();
    b.commit();
    await new Promise(setImmediate);
  }
  const [ofA, ofB] = counts as [number, number];
  assert.ok(Math.min(ofA, ofB) > Math.max(ofA, ofB) / 4, `${ofA} and ${ofB} appends`);
  assert.equal(
    results.sort((x, y) => x - y),
    results.map((_, index) => index + 1),
  );
});

test("appendMany claims all of its streams or none, and lets go of those it could have", async () => {
  void watch(a.append("t", E));
  const many = watch(appendMany(b, "s", "t", "u"));
  await settled();
  assert.is(many.outcome, "waiting");
  const between = [watch(a.append("s", E)), watch(a.append("u", E))];
  a.commit();
  assert.equal([await a.visibleVersion("s"), await a.visibleVersion("u")], [1, 1]);
  await settled();
  b.commit();
  await settled();
  assert.equal(
    between.map(({ outcome }) => outcome),
    [1, 1],
  );
  assert.equal(many.outcome, [2, 2, 2]);
});

test("appendMany over the same streams in any order, by several writers, is made everywhere", async () => {
  const works = [
    appendMany(a, "s", "t"),
    appendMany(b, "t", "s"),
    appendMany(a, "t", "u", "s"),
    appendMany(b, "u", "s"),
    appendMany(a, "u"),
  ].map(watch);
  await commitAll(a, b);
  assert.ok(
    works.every(({ outcome }) => Array.isArray(outcome)),
    JSON.stringify(works),
  );
  for (const [stream, version] of [
    ["s", 4],
    ["t", 3],
    ["u", 3],
  ] as const) {
    assert.equal([await a.visibleVersion(stream), await b.visibleVersion(stream)], [version, version]);
  }
});

test("appendMany whose one stream is in conflict changes none, and leaves none claimed", async () => {
  void watch(a.append("t", E));
  a.commit();
  const appends = ["s", "t", "u"].map((stream) => ({ stream, events: E, expectedVersion: "absent" as const }));
  await rejects(b.appender.appendMany(appends, undefined), "ERR_EVENTS_VERSION_CONFLICT");
  const others = ["s", "t", "u"].map((stream) => watch(a.append(stream, E)));
  a.commit();
  await settled();
  assert.equal(
    others.map(({ outcome }) => outcome),
    [1, 2, 1],
  );
});

test("what is refused is taken back to the batch before it, while that one is not visible", async () => {
  void watch(a.append("s", [E, E]));
  a.seal();
  const refused = watch(a.append("s", E));
  void watch(a.append("new", E));
  a.refuse();
  const waiting = watch(b.append("s", E));
  await settled();
  assert.equal([refused.outcome, waiting.outcome], ["ERR_WAL_FULL", "waiting"]);
  assert.equal(await Promise.all([a, b].map((writer) => writer.visibleVersion("s"))), [0, 0]);
  a.write();
  await settled();
  void watch(a.append("new", E, "absent"));
  await commitAll(a, b);
  assert.is(waiting.outcome, 3);
  assert.equal(events(), [
    ["s", 1],
    ["s", 2],
    ["new", 1],
    ["s", 3],
  ]);
});

test("what is refused is taken back to what is visible, also when others had gone on meanwhile", async () => {
  a.isTold = false;
  void watch(a.append("s", E));
  a.commit();
  void watch(b.append("s", E));
  b.commit();
  void watch(a.append("s", [E, E]));
  a.refuse();
  a.tell();
  assert.equal([await a.visibleVersion("s"), await b.visibleVersion("s")], [2, 2]);
  const next = watch(b.append("s", E));
  b.commit();
  await settled();
  assert.is(next.outcome, 3);
});

test("a repetition of what another writer has appended answers as the first time did, seen or not", async () => {
  const ids = [withId("x"), withId("y")];
  const first = a.append("s", ids);
  const repetitions = (["any", "absent", 0] as const).map((expected) => b.append("s", ids, expected));
  await settled();
  a.commit();
  const { version, lsn } = await first;
  for (const repetition of repetitions) {
    assert.equal(await repetition, { version, lsn, created: true, duplicate: true });
  }
  assert.equal(await b.append("s", withId("y"), 1), { version: 2, lsn: 2, created: false, duplicate: true });
  await rejects(b.append("s", [withId("y"), withId("z")]), "ERR_EVENTS_DUPLICATE_ID");
  const next = watch(b.append("s", withId("z")));
  await commitAll(a, b);
  assert.is(next.outcome, 3);
  assert.is((await a.append("s", withId("z"), 2)).duplicate, true);
});

test("ids are found across writers who take turns, also behind events without one, and further back than is remembered", async () => {
  for (let turn = 0; turn < 30; turn++) {
    const writer = turn % 2 === 0 ? a : b;
    const work = writer.append("s", turn % 3 === 0 ? E : withId(`${turn}`));
    await commitAll(writer);
    assert.is((await work).version, turn + 1);
  }
  for (const writer of [a, b]) {
    for (const turn of [1, 2, 28, 29]) {
      const expected = { version: turn + 1, lsn: turn + 1, created: false, duplicate: true };
      assert.equal(await writer.append("s", withId(`${turn}`)), expected, `${turn} by ${writer.slot}`);
    }
  }
  for (let more = 0; more < 12; more++) {
    void watch(
      a.append(
        "s",
        Array.from({ length: 100 }, (_, index) => withId(`more ${more}-${index}`)),
      ),
    );
    a.commit();
  }
  assert.is((await b.append("s", withId("28"), 28)).duplicate, true);
  const again = watch(b.append("s", withId("28")));
  await commitAll(b);
  assert.is(again.outcome, 1231, "under any it is forgotten");
});

test("readers see a stream's version as soon as it is visible and not before, whoever wrote it and in how many batches", async () => {
  const versions = (): Promise<number[]> => Promise.all([a, b].map((writer) => writer.visibleVersion("s")));
  assert.equal(await versions(), [0, 0]);
  void watch(a.append("s", [E, E]));
  assert.equal(await versions(), [0, 0]);
  a.seal();
  void watch(a.append("s", E));
  a.seal();
  void watch(a.append("s", E));
  assert.equal(await versions(), [0, 0]);
  a.write(1);
  assert.equal(await versions(), [2, 2]);
  a.write(1);
  assert.equal(await versions(), [3, 3]);
  a.commit();
  assert.equal(await versions(), [4, 4]);
  for (const [writer, events] of [
    [a, E],
    [b, E],
    [b, [E, E]],
    [a, [E, E]],
    [a, [E, E]],
  ] as const) {
    const [before] = (await versions()) as [number];
    void watch(writer.append("s", events));
    assert.equal(await versions(), [before, before]);
    writer.commit();
    const after = before + (Array.isArray(events) ? 2 : 1);
    assert.equal(await versions(), [after, after]);
  }
});

test("a head whose lock is not given back is waited for, and then given up without anything written", async () => {
  void watch(a.append("s", E));
  a.commit();
  const entry = b.heads.find(Buffer.from("s"));
  assert.ok(b.heads.tryLock(entry));
  const short = watch(a.append("s", E));
  await settled();
  assert.is(short.outcome, "waiting");
  b.heads.unlock(entry);
  await commitAll(a);
  assert.is(short.outcome, 2);
  assert.ok(b.heads.tryLock(entry));
  await rejects(a.append("s", E), "ERR_WAL_BUSY");
  const streams = ["r", "t", "u", "v", "w", "x"];
  await rejects(appendMany(a, "s", ...streams), "ERR_WAL_BUSY");
  for (const stream of streams) {
    const other = b.heads.find(Buffer.from(stream));
    assert.ok(b.heads.tryLock(other), `${stream} was let go of`);
    b.heads.unlock(other);
  }
  b.heads.unlock(entry);
  const after = watch(appendMany(a, "s", ...streams));
  await commitAll(a);
  assert.equal(after.outcome, [3, 1, 1, 1, 1, 1, 1]);
});

test("an append that waits for a writer which does not go on is refused with its reason, and the next one is made", async () => {
  void watch(a.append("s", E));
  b.busyError = new StoreError("ERR_WAL_BUSY", "core 0 does not go on");
  await rejects(b.append("s", E), "ERR_WAL_BUSY");
  b.busyError = null;
  const next = watch(b.append("s", E));
  await settled();
  await commitAll(a, b);
  assert.is(next.outcome, 2);
});

test("appends that wait for a buffer keep their order, and what waits for a stream beside them is made when it can be", async () => {
  void watch(a.append("s", E));
  const foreign = watch(b.append("s", E));
  b.hasRoom = false;
  const waiting = ["t", "u", "t"].map((stream) => watch(b.append(stream, E)));
  await rejects(b.appender.append("v", E, undefined, false), "ERR_WAL_BUFFER_FULL");
  a.commit();
  await settled();
  assert.is(foreign.outcome, "waiting");
  b.giveRoom();
  await settled();
  b.commit();
  await settled();
  assert.equal(
    [foreign, ...waiting].map(({ outcome }) => outcome),
    [2, 1, 1, 2],
  );
});

test("whatever several writers do, and whatever is refused, versions have no gaps and every answer is true", async () => {
  const random = seededRandom();
  const c = log.open();
  const writers = [a, b, c];
  const stored: { stream: string; count: number; result: AppendResult }[] = [];
  const outcomes: Promise<void>[] = [];
  const tally = { conflicts: 0, refused: 0, duplicates: 0 };
  const streams = ["p", "q", "r"];
  const note = (stream: string, count: number, result: AppendResult): void => {
    if (result.duplicate) tally.duplicates++;
    else stored.push({ stream, count, result });
  };
  const failed = ({ code }: { code?: string }): void => {
    if (code === "ERR_EVENTS_VERSION_CONFLICT") tally.conflicts++;
    else if (code === "ERR_WAL_FULL") tally.refused++;
    else assert.is(code, "ERR_EVENTS_DUPLICATE_ID");
  };
  for (let step = 0; step < 1500; step++) {
    const writer = random.pick(writers);
    const action = random.integer(14);
    if (action === 0) writer.seal();
    else if (action <= 2) writer.write(1 + random.integer(2));
    else if (action === 3) writer.refuse();
    else if (action === 4) writer.isTold = !writer.isTold;
    else if (action === 5) writer.tell();
    else if (action === 6) await new Promise(setImmediate);
    else if (action === 7) await delay(random.integer(3));
    else if (action === 8) {
      const many = streams.slice(random.integer(2)).map((stream) => ({ stream, events: [E, E] }));
      const work = writer.appender.appendMany(many, undefined) as Promise<AppendResult[]>;
      const each = (results: AppendResult[]): void => {
        for (const [index, result] of results.entries()) note((many[index] as { stream: string }).stream, 2, result);
      };
      outcomes.push(work.then(each, failed));
    } else {
      const stream = random.pick(streams);
      const count = 1 + random.integer(2);
      const id = `${random.integer(60)}`;
      const list = Array.from({ length: count }, (_, index) =>
        random.integer(2) === 0 ? withId(`${id}-${index}`) : E,
      );
      const expected = random.pick(["any", "exists", await writer.visibleVersion(stream)] as const);
      outcomes.push(writer.append(stream, list, expected).then((result) => note(stream, count, result), failed));
    }
  }
  let isDone = false;
  void Promise.all(outcomes).then(() => {
    isDone = true;
  });
  while (!isDone) {
    for (const writer of writers) {
      writer.commit();
      writer.tell();
    }
    await delay(1);
  }
  await Promise.all(outcomes);
  const inLog = events();
  const versions = new Map<string, number>();
  for (const [stream, version] of inLog) {
    assert.is(version, (versions.get(stream) ?? 0) + 1, stream);
    versions.set(stream, version);
  }
  let count = 0;
  for (const { stream, count: eventCount, result } of stored) {
    assert.equal(inLog[result.lsn - 1], [stream, result.version]);
    count += eventCount;
  }
  assert.is(count, inLog.length, "nothing is in the log that nobody was told of");
  for (const writer of writers) {
    await writer.follower.catchUp();
    for (const stream of streams) {
      const version = versions.get(stream) ?? 0;
      assert.equal([await writer.visibleVersion(stream), writer.index.get(stream)?.indexedVersion], [version, version]);
    }
  }
  assert.ok(tally.conflicts > 0 && tally.refused > 0 && tally.duplicates > 0, JSON.stringify(tally));
});
