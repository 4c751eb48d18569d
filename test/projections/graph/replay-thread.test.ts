/** The thread that reads for a replay is a help and no need: where there is none, or where it dies, nothing is missing and nothing comes twice. */

import { join } from "node:path";
import { EventReader } from "../../../src/events/index.js";
import { type EventInput, openStore } from "../../../src/index.js";
import type { RowsFactory } from "../../../src/projections/event-rows.js";
import { GRAPH_PROJECTION } from "../../../src/projections/graph/graph-projection.js";
import { GRAPH_ROWS, type GraphRows } from "../../../src/projections/graph/graph-rows.js";
import type { GraphState } from "../../../src/projections/graph/graph-state.js";
import type { RawEvent } from "../../../src/projections/graph/raw-event.js";
import { eventsFor, RowBatch } from "../../../src/projections/row-reader.js";
import { rowsFromThread } from "../../../src/projections/row-worker.js";
import { Track } from "../../../src/projections/track.js";
import { assert, sameBytes } from "../../support/assert.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";

const test = suite("projections/graph/replay-thread");

const NODES = 12_000;
const never = new AbortController().signal;

let directory = "";
let reader: EventReader;
let expected: Uint8Array;

test.beforeEach(async () => {
  directory = join(temporaryDirectory(), "store");
  const events = Array.from({ length: NODES }, (_, index): EventInput => {
    const data = { id: index + 1, label: "Person", properties: { weight: index }, validFrom: 0 };
    return { type: "varve.v1.NodeCreated", data };
  });
  await using store = await openStore(directory);
  for (let at = 0; at < NODES; at += 1_000) await store.append("people", events.slice(at, at + 1_000));
  reader = await EventReader.open(directory, [], new Map());
  const state = GRAPH_PROJECTION.init();
  for await (const batch of reader.readBatches(0)) for (const event of batch) state.apply(event);
  expected = bytesOf(state);
});

test.afterEach(() => reader.close());

const bytesOf = (state: GraphState): Uint8Array => Buffer.concat([...state.encode()]);

async function replay(factory: RowsFactory<GraphRows>): Promise<{ readonly wasAll: boolean; readonly lsn: number }> {
  const start = { state: GRAPH_PROJECTION.init(), lsn: 0, witness: null, skippedEvents: 0, parked: [] };
  const track = new Track(GRAPH_PROJECTION, start, "stop", () => undefined);
  const { records, storeId, watermark } = reader;
  assert.ok(records);
  const given = rowsFromThread({ directory, storeId }, { after: 0, through: watermark }, factory, never);
  let next = await given.next();
  for (; next.done !== true; next = await given.next()) {
    const batch = new RowBatch<RawEvent>(next.value, records);
    for (let index = 0; index < batch.length; ) index = track.apply(batch, index, Number.POSITIVE_INFINITY);
  }
  const { lsn } = track;
  for await (const batch of eventsFor(track, reader, watermark, never))
    for (let index = 0; index < batch.length; ) index = track.apply(batch, index, Number.POSITIVE_INFINITY);
  sameBytes(bytesOf(track.state), expected);
  return { wasAll: next.value, lsn };
}

test("a thread that dies in the middle has given what it gave, and the rest is read without it", async () => {
  const thread = new URL("./children/dying-rows.js", import.meta.url);
  const { wasAll, lsn } = await replay({ ...GRAPH_ROWS, thread });
  assert.is(wasAll, false);
  assert.is(lsn, 2 * 2048);
});

for (const [what, thread] of [
  ["whose module is missing, as where a bundler left it out", new URL("./no-such-thread.js", import.meta.url)],
  ["that cannot be started at all", new URL("https://example.org/rows.js")],
] as const) {
  test(`without a thread ${what} all is read by this one`, async () => {
    assert.equal(await replay({ ...GRAPH_ROWS, thread }), { wasAll: false, lsn: 0 });
  });
}

test("without memory to share all is read by this one", async () => {
  assert.equal(await replay({ ...GRAPH_ROWS, byteLength: 2 ** 53 - 8 }), { wasAll: false, lsn: 0 });
});
