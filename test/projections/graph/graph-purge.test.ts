import type { StoreErrorCode } from "../../../src/errors.js";
import { encodeGraphEvent } from "../../../src/projections/graph/graph-event-codec.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import type { RawEvent } from "../../../src/projections/graph/raw-event.js";
import { NODE_IDS, randomHistory } from "../../model/model-history.js";
import { assert } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { rawEvent, rawPayload, type TestEvent } from "./raw-events.js";

const test = suite("projections/graph/graph-purge");

const PURGED = "varve.v1.GraphPurged";
const random = seededRandom();
const clock = () => -1000;

function bytesOf(state: GraphState): Buffer {
  return Buffer.concat(Array.from(state.encode(), (piece) => Buffer.from(piece)));
}

/** Nodes that are patched again and again, each time at a later time. */
function patched(nodes: number, rounds: number, text = "x".repeat(200)): RawEvent[] {
  const events: RawEvent[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    for (let id = 1; id <= nodes; id += 1) {
      const lsn = events.length + 1;
      const properties = { text: `${round} ${id} ${text}` };
      const [type, label] = round === 0 ? ["NodeCreated", { label: "P" }] : ["NodePatched", {}];
      events.push(
        rawEvent({ lsn, recordedAt: round, type: type as string, data: { id, ...label, properties, validFrom: 0 } }),
      );
    }
  }
  return events;
}

function purgeEvent(lsn: number, recordedAt: number, recordedBefore: number): RawEvent {
  return rawEvent({ lsn, recordedAt, type: "GraphPurged", data: { recordedBefore } });
}

test("a purge gives memory back: rows, and the bytes of properties", () => {
  const [nodes, rounds] = [100, 50];
  const state = new GraphState({ clock });
  for (const event of patched(nodes, rounds)) state.apply(event);
  const before = bytesOf(state).length;
  state.apply(purgeEvent(state.lsn + 1, rounds, rounds));
  assert.is(state.purgedVersions, nodes * rounds);
  const after = bytesOf(state).length;
  const fresh = new GraphState({ clock });
  for (const event of patched(nodes, 0)) fresh.apply(event);
  assert.ok(before > 40 * bytesOf(fresh).length);
  // The anchors of the clock stay: 16 bytes for each time.
  assert.ok(after < bytesOf(fresh).length + 16 * rounds + 2000, `${after} against ${bytesOf(fresh).length}`);
  assert.is(state.asOf({ validAt: 1 }).node(7)?.properties["text"], `${rounds} 7 ${"x".repeat(200)}`);
  state.apply(purgeEvent(state.lsn + 1, rounds, rounds));
  assert.is(state.purgedVersions, nodes * rounds, "nothing is left to purge");
});

test("versions that share their properties go on sharing them", () => {
  const state = new GraphState({ clock });
  const text = "shared ".repeat(100);
  const data = { id: 1, label: "P", properties: { text }, validFrom: 0 };
  state.apply(rawEvent({ lsn: 1, recordedAt: 1, type: "NodeCreated", data }));
  // A hole in the middle: two rectangles of one assertion.
  state.apply(rawEvent({ lsn: 2, recordedAt: 2, type: "NodeDeleted", data: { id: 1, validFrom: 5, validTo: 9 } }));
  const before = bytesOf(state).length;
  state.apply(purgeEvent(3, 3, 3));
  assert.ok(bytesOf(state).length < before);
  for (const validAt of [1, 12]) assert.is(state.asOf({ validAt }).node(1)?.properties["text"], text, `at ${validAt}`);
  assert.is(state.asOf({ validAt: 6 }).node(1), undefined);
});

test("a horizon in the future, or before the last one, is refused at the event's own LSN, and foreseen", () => {
  const state = new GraphState({ clock: () => 10 });
  for (const event of patched(2, 5)) state.apply(event);
  const foreseen = (recordedBefore: number): StoreErrorCode | null =>
    state.foresee(PURGED, encodeGraphEvent(PURGED, { recordedBefore }))?.code ?? null;
  assert.equal([foreseen(10), foreseen(11), foreseen(-5)], [null, "ERR_GRAPH_HORIZON", null]);
  const before = bytesOf(state).length;
  state.apply(purgeEvent(20, 5, 6));
  assert.equal(state.rejectionAt(20), { lsn: 20, code: "ERR_GRAPH_HORIZON", kind: "graph", id: 0, edges: 0 });
  assert.is(state.truncatedBefore, null);
  assert.ok(bytesOf(state).length >= before);
  state.apply(purgeEvent(21, 5, 4));
  assert.is(state.truncatedBefore, 4);
  assert.equal([foreseen(3), foreseen(4), foreseen(10)], ["ERR_GRAPH_HORIZON", null, null]);
  state.apply(purgeEvent(22, 5, 3));
  assert.is(state.rejectionAt(22)?.code, "ERR_GRAPH_HORIZON");
  assert.is(state.truncatedBefore, 4);
});

test("a purge whose bytes are none is rejected and changes nothing", () => {
  const state = new GraphState({ clock });
  for (const event of patched(2, 5)) state.apply(event);
  const payloads: [Uint8Array, StoreErrorCode][] = [
    [new Uint8Array(0), "ERR_EVENTS_SCHEMA"],
    [Uint8Array.of(9, 1, 2, 3), "ERR_EVENTS_SCHEMA"],
    [Uint8Array.of(8, 1), "ERR_EVENTS_SCHEMA"],
    [Uint8Array.of(9, 255, 255, 255, 255, 255, 255, 255, 127), "ERR_GRAPH_INVALID_PERIOD"],
  ];
  for (const [payload, code] of payloads) {
    const lsn = state.lsn + 1;
    assert.is(state.foresee(PURGED, payload)?.code, code);
    state.apply(rawPayload(lsn, 5, PURGED, payload));
    assert.is(state.rejectionAt(lsn)?.code, code);
  }
  assert.equal([state.truncatedBefore, state.purgedVersions], [null, 0]);
  // A field of the future is passed over.
  const more = Uint8Array.of(...encodeGraphEvent(PURGED, { recordedBefore: 2 }), 0x10, 1);
  state.apply(rawPayload(state.lsn + 1, 5, PURGED, more));
  assert.is(state.truncatedBefore, 2);
});

test("a node that bears a label again is found once, by what it bears", () => {
  const state = new GraphState({ clock });
  const put = (label: string): void => {
    const lsn = state.lsn + 1;
    const data = { id: 1, label, properties: {}, validFrom: 0 };
    state.apply(rawEvent({ lsn, recordedAt: lsn, type: "NodePut", data }));
  };
  const found = (label: string): number => [...state.asOf({ validAt: 1 }).find({ label })].length;
  put("Draft");
  put("Letter");
  state.apply(purgeEvent(3, 3, 3));
  assert.equal([found("Draft"), found("Letter")], [0, 1]);
  put("Draft");
  assert.equal([found("Draft"), found("Letter")], [1, 0]);
  put("Letter");
  state.apply(purgeEvent(6, 6, 6));
  assert.equal([found("Draft"), found("Letter")], [0, 1]);
});

test("an entity that is gone stays known: its id, and an edge's label and ends", () => {
  const state = new GraphState({ clock });
  const apply = (type: string, data: object): void => {
    const lsn = state.lsn + 1;
    state.apply(rawEvent({ lsn, recordedAt: lsn, type, data: data as TestEvent["data"] }));
  };
  for (const id of [1, 2]) apply("NodeCreated", { id, label: "P", validFrom: 0 });
  apply("EdgeCreated", { id: 1, label: "KNOWS", source: 1, target: 2, validFrom: 0 });
  apply("EdgeRetracted", { id: 1 });
  apply("GraphPurged", { recordedBefore: 4 });
  assert.equal([state.counts, state.purgedVersions], [{ nodes: 2, edges: 1 }, 1]);
  assert.is(state.history("edge", 1).toArray().length, 0);
  apply("EdgeCreated", { id: 1, label: "KNOWS", source: 2, target: 1, validFrom: 0 });
  assert.is(state.rejectionAt(state.lsn)?.code, "ERR_GRAPH_EDGE_FIXED");
  apply("EdgeCreated", { id: 1, label: "KNOWS", source: 1, target: 2, validFrom: 0 });
  assert.is(state.asOf({ validAt: 1 }).edge(1)?.lsn, state.lsn);
});

test("an iterator left lying over a purge gives what its view held, when that is not before the horizon", () => {
  for (let round = 0; round < 30; round += 1) {
    const state = new GraphState({ clock });
    for (const event of randomHistory(random, 60, (time) => time)) state.apply(rawEvent(event));
    const view = state.asOf({ validAt: random.integer(28) - 4 });
    const starts = [
      () => view.find({}),
      () => view.find({ label: "Person" }),
      ...NODE_IDS.flatMap((id) => [
        () => view.edges(id),
        () => view.neighbors(id),
        () => view.traverse(id, { maxDepth: 4 }),
      ]),
    ];
    const expected = starts.map((start) => JSON.stringify([...start()]));
    const begun = starts.map((start): Generator<unknown, void, undefined> => start()[Symbol.iterator]());
    const parts = begun.map((iterator): unknown => iterator.next().value);
    state.apply(purgeEvent(61, state.recordedAt, state.recordedAt));
    assert.is(view.truncatedBefore, null);
    for (const [index, iterator] of begun.entries()) {
      const all = parts[index] === undefined ? [] : [parts[index], ...iterator];
      assert.is(JSON.stringify(all), expected[index]);
    }
  }
});
