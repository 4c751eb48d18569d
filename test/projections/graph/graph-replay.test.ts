/** A long replay by rows, here and in a thread of its own: the same graph as event by event, whatever happens on the way. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EventReader, sideRecords } from "../../../src/events/index.js";
import { type EncryptionOptions, type EventInput, openReader, openStore, type Store } from "../../../src/index.js";
import { GRAPH_PROJECTION } from "../../../src/projections/graph/graph-projection.js";
import { GRAPH_ROWS } from "../../../src/projections/graph/graph-rows.js";
import type { GraphState } from "../../../src/projections/graph/graph-state.js";
import type { RawEvent } from "../../../src/projections/graph/raw-event.js";
import { eventsFor, RowBatch } from "../../../src/projections/row-reader.js";
import { rowsFromThread } from "../../../src/projections/row-worker.js";
import { Track } from "../../../src/projections/track.js";
import { keyOf } from "../../encryption/support.js";
import { HistoryInMemory } from "../../model/history-in-memory.js";
import { someEvent } from "../../model/model-history.js";
import { assert, rejects, sameBytes } from "../../support/assert.js";
import { type SeededRandom, seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/graph-replay");

/** Above what a thread is started for. */
const LONG = 260_000;
const EVENTS_PER_APPEND = 1_000;
const never = new AbortController().signal;

let directory = "";
test.beforeEach(() => {
  directory = join(temporaryDirectory(), "store");
});

const bytesOf = (state: GraphState): Uint8Array => Buffer.concat([...state.encode()]);

function newTrack(): Track<GraphState, RawEvent> {
  const start = { state: GRAPH_PROJECTION.init(), lsn: 0, witness: null, skippedEvents: 0, parked: [] };
  return new Track(GRAPH_PROJECTION, start, "stop", () => undefined);
}

/** What is created for the first time in long runs, and between whatever the model knows. */
function* mixedEvents(random: SeededRandom, count: number): Generator<EventInput, void, undefined> {
  for (let made = 0, id = 1_000; made < count; ) {
    for (let run = random.integer(80); run > 0 && made < count; run -= 1, id += 1, made += 1) {
      const ends = { source: random.integer(id) + 1, target: 1_000 + random.integer(id - 999) };
      const properties = {
        name: `größe ${id}`,
        weight: id,
        "a long key of a property": "x".repeat(random.integer(200)),
      };
      const label = random.pick(["Person", "Ort", "KNOWS"]);
      if (random.integer(3) > 0) yield { type: "varve.v1.NodeCreated", data: { id, label, properties, validFrom: 0 } };
      else yield { type: "varve.v1.EdgeCreated", data: { id, label, ...ends } };
    }
    for (let others = random.integer(8); others > 0 && made < count; others -= 1, made += 1) {
      const { type, data } = someEvent(random, (time) => time, 10);
      if (type === "Other") yield { type: "Other", data: { text: "y".repeat(random.integer(3_000)) } };
      else yield { type: `varve.v1.${type}`, data };
    }
  }
}

async function write(
  events: Iterable<EventInput>,
  random: SeededRandom,
  encryption?: EncryptionOptions,
): Promise<void> {
  await using store = await openStore(directory, encryption === undefined ? {} : { encryption });
  let pending: EventInput[] = [];
  for (const event of events) {
    pending.push(event);
    if (random.integer(40) > 0 && pending.length < EVENTS_PER_APPEND) continue;
    await store.append(random.pick(["a", "some-other-stream"]), pending, { durability: "async" });
    pending = [];
  }
  if (pending.length > 0) await store.append("a", pending);
  await store.flush();
}

async function eventByEvent(reader: EventReader): Promise<GraphState> {
  const state = GRAPH_PROJECTION.init();
  for await (const events of reader.readBatches(0)) for (const event of events) state.apply(event);
  return state;
}

/** Applies the rows that a thread gives, and gives whether they were all. */
async function applyFromThread(track: Track<GraphState, RawEvent>, reader: EventReader): Promise<boolean> {
  const { records } = reader;
  assert.ok(records);
  const place = { directory, storeId: reader.storeId };
  const rows = rowsFromThread(place, { after: 0, through: reader.watermark }, GRAPH_ROWS, never);
  for (;;) {
    const { value, done } = await rows.next();
    if (done === true) return value;
    const batch = new RowBatch<RawEvent>(value, records);
    for (let index = 0; index < batch.length; ) index = track.apply(batch, index, Number.POSITIVE_INFINITY);
  }
}

function* nodes(count: number): Generator<EventInput, void, undefined> {
  for (let id = 1; id <= count; id += 1)
    yield { type: "varve.v1.NodeCreated", data: { id, label: "Person", properties: { weight: id }, validFrom: 0 } };
}

async function appendAll(store: Store, events: Iterable<EventInput>): Promise<void> {
  let pending: EventInput[] = [];
  for (const event of events) {
    pending.push(event);
    if (pending.length < EVENTS_PER_APPEND) continue;
    await store.append("people", pending, { durability: "async" });
    pending = [];
  }
  if (pending.length > 0) await store.append("people", pending, { durability: "async" });
  await store.flush();
}

/** Spoils a byte in the middle of what was written last but one. */
function damage(): void {
  const files = readdirSync(join(directory, "wal/core-000")).filter((name) => name.endsWith(".wal"));
  const path = join(directory, "wal/core-000", files.sort()[0] as string);
  const bytes = readFileSync(path);
  const end = bytes.findLastIndex((byte) => byte !== 0);
  const middle = Math.floor(end / 2);
  bytes[middle] = (bytes[middle] as number) ^ 0x10;
  writeFileSync(path, bytes);
}

/** Few nodes, and one correction of them after the other, in the middle of which others are created. */
function* correctedEvents(random: SeededRandom, count: number): Generator<EventInput, void, undefined> {
  yield* nodes(40);
  for (let made = 0; made < count; made += 1) {
    const id = random.integer(40) + 1;
    const data = { id, properties: { weight: made }, validFrom: random.integer(10) };
    if (random.integer(30) > 0) yield { type: "varve.v1.NodePatched", data };
    else
      yield { type: "varve.v1.NodeCreated", data: { id: 1_000 + made, label: "Person", properties: {}, validFrom: 0 } };
  }
}

test("history that moves to files between rows leaves the answers as they are", async () => {
  const random = seededRandom(11);
  await write(correctedEvents(random, 3_000), random);
  const reader = await EventReader.open(directory, [], new Map());
  try {
    const expected = await eventByEvent(reader);
    const own = newTrack();
    const files = new HistoryInMemory();
    let moves = 0;
    for await (const events of eventsFor(own, reader, reader.watermark, never)) {
      for (let index = 0; index < events.length; ) {
        // A time that is over: a slice ends after some rows, as it does where a checkpoint comes between.
        index = own.apply(events, index, 0);
        if (random.integer(4) === 0 && files.move(own.state, own.state.lsn)) moves += 1;
      }
    }
    assert.ok(moves > 2 && own.state.memory.supersededInFiles > 0, `${moves} moves`);
    assert.is(own.state.lsn, expected.lsn);
    assert.equal(own.state.counts, expected.counts);
    assert.equal(own.state.rejections, expected.rejections);
    const historyIn = (state: GraphState): unknown =>
      Array.from({ length: 40 }, (_, at) => state.history("node", at + 1).toArray());
    assert.equal(historyIn(own.state), historyIn(expected));
    assert.equal(own.state.chronicle.changes({}).toArray(), expected.chronicle.changes({}).toArray());
  } finally {
    await reader.close();
  }
});

for (const seed of [1, 2, 3, 4]) {
  test(`rows give the state that events give, from a thread too (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    await write(mixedEvents(random, 6_000), random);
    const reader = await EventReader.open(directory, [], new Map());
    try {
      const expected = bytesOf(await eventByEvent(reader));
      const own = newTrack();
      let batches = 0;
      for await (const events of eventsFor(own, reader, reader.watermark, never)) {
        assert.instance(events, RowBatch);
        batches += 1;
        for (let index = 0; index < events.length; ) index = own.apply(events, index, Number.POSITIVE_INFINITY);
      }
      assert.ok(batches > 1);
      sameBytes(bytesOf(own.state), expected);
      const threaded = newTrack();
      assert.is(await applyFromThread(threaded, reader), true);
      sameBytes(bytesOf(threaded.state), expected);
      assert.is(threaded.lsn, own.lsn);
    } finally {
      await reader.close();
    }
  });
}

test("the records of a log are the same as its events", async () => {
  const random = seededRandom(9);
  await write(mixedEvents(random, 3_000), random);
  const reader = await EventReader.open(directory, [], new Map());
  try {
    const expected: string[] = [];
    for await (const events of reader.readBatches(500))
      for (const { lsn, type, recordedAt, payload } of events)
        expected.push(`${lsn} ${type} ${recordedAt} ${Buffer.from(payload).toString("hex")}`);
    const found: string[] = [];
    for await (const records of sideRecords({ directory, storeId: reader.storeId }, 500, reader.watermark)) {
      while (records.nextEnd !== null) {
        records.advance();
        const { lsn, type, recordedAt, bytes, payloadStart, payloadEnd } = records;
        found.push(`${lsn} ${type} ${recordedAt} ${bytes.toString("hex", payloadStart, payloadEnd)}`);
      }
    }
    assert.is(found.length, reader.watermark - 500);
    for (const [index, record] of found.entries()) assert.is(record, expected[index]);
  } finally {
    await reader.close();
  }
});

test("a record that is larger than the rows is applied all the same, and ends what a thread gives", async () => {
  const random = seededRandom(5);
  const large = { id: 1, label: "Person", properties: { text: "z".repeat(600_000) }, validFrom: 0 };
  await write(
    [...nodesFrom(10, 5_000), { type: "varve.v1.NodeCreated", data: large }, ...nodesFrom(6_000, 500)],
    random,
  );
  const reader = await EventReader.open(directory, [], new Map());
  try {
    const expected = bytesOf(await eventByEvent(reader));
    const own = newTrack();
    for await (const events of eventsFor(own, reader, reader.watermark, never))
      for (let index = 0; index < events.length; ) index = own.apply(events, index, Number.POSITIVE_INFINITY);
    sameBytes(bytesOf(own.state), expected);
    const threaded = newTrack();
    assert.is(await applyFromThread(threaded, reader), false);
    assert.is(threaded.lsn, 5_000);
  } finally {
    await reader.close();
  }
});

function* nodesFrom(first: number, count: number): Generator<EventInput, void, undefined> {
  for (let id = first; id < first + count; id += 1)
    yield { type: "varve.v1.NodeCreated", data: { id, label: "Person", properties: { weight: id }, validFrom: 0 } };
}

test("an encrypted store is replayed by rows, and never read by another thread", async () => {
  const random = seededRandom(6);
  const encryption = { key: keyOf(1) };
  await write(mixedEvents(random, 6_000), random, encryption);
  const reader = await EventReader.open(directory, [], new Map(), encryption);
  try {
    const expected = bytesOf(await eventByEvent(reader));
    const own = newTrack();
    for await (const events of eventsFor(own, reader, reader.watermark, never))
      for (let index = 0; index < events.length; ) index = own.apply(events, index, Number.POSITIVE_INFINITY);
    sameBytes(bytesOf(own.state), expected);
    const threaded = newTrack();
    assert.is(await applyFromThread(threaded, reader), false);
    assert.is(threaded.lsn, 0);
  } finally {
    await reader.close();
  }
});

test("who stops wanting rows ends the thread, by returning or by its signal", async () => {
  const random = seededRandom(7);
  await write(nodes(20_000), random);
  const reader = await EventReader.open(directory, [], new Map());
  try {
    const place = { directory, storeId: reader.storeId };
    const range = { after: 0, through: reader.watermark };
    // More than all places of the ring are wanted: the thread sleeps when it is asked to stop.
    const returning = rowsFromThread(place, range, GRAPH_ROWS, never);
    assert.is((await returning.next()).done, false);
    assert.is((await returning.return(false)).done, true);
    const aborting = new AbortController();
    const aborted = rowsFromThread(place, range, GRAPH_ROWS, aborting.signal);
    await aborted.next();
    aborting.abort(new Error("enough"));
    await rejects(
      () => aborted.next(),
      ({ message }) => message === "enough",
    );
  } finally {
    await reader.close();
  }
});

test("a long log is replayed while it grows", async () => {
  await using store = await openStore(directory);
  await appendAll(store, nodes(LONG));
  const growing = appendAll(store, nodesFrom(LONG + 1, 20_000));
  const graph = await store.graph();
  await growing;
  await graph.whenApplied((await store.append("people", [...nodesFrom(LONG + 20_001, 1)])).lsn);
  assert.equal(graph.counts, { nodes: LONG + 20_001, edges: 0 });
  assert.is(graph.rejectedCount, 0);
  const view = graph.asOf();
  for (let id = 1; id <= LONG + 20_001; id += 7_919) assert.is(view.node(id)?.properties["weight"], id);
});

test("closing in the middle of a long replay ends it, and damage in the middle of a long log stops it with its code", async () => {
  {
    await using store = await openStore(directory);
    await appendAll(store, nodes(LONG));
  }
  for (const waitMs of [0, 30, 90]) {
    const reader = await openReader(directory);
    const outcome = reader.graph().then(
      () => "there",
      (error: NodeJS.ErrnoException) => error.code,
    );
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    await reader.close();
    assert.ok(["there", "ERR_PROJECTION_CLOSED", "ERR_STORE_CLOSED"].includes(String(await outcome)));
  }
  await using reader = await openReader(directory);
  damage();
  await rejects(
    () => reader.graph(),
    ({ cause, ...error }) =>
      (error as NodeJS.ErrnoException).code === "ERR_PROJECTION_FAILED" &&
      (cause as NodeJS.ErrnoException).code === "ERR_WAL_CORRUPT",
  );
});
