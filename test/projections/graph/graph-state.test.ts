import { isStoreError } from "../../../src/errors.js";
import { decodeGraphEvent, encodeGraphEvent } from "../../../src/projections/graph/graph-event-codec.js";
import type { HistoryOptions } from "../../../src/projections/graph/graph-history.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import { NODE_IDS, randomHistory } from "../../model/model-history.js";
import { assert, rejects, sameBytes } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";
import { rawEvent, rawPayload } from "./raw-events.js";

const test = suite("projections/graph/graph-state");

const random = seededRandom();
// The clock of the tests stands where no event is.
const clock = () => -1000;

test("an iterator left lying while events are applied gives what its view held", () => {
  for (let round = 0; round < 30; round += 1) {
    // A purge may take something from a view, which says so.
    const history = randomHistory(random, 60, (time) => time).filter(({ type }) => type !== "GraphPurged");
    const state = new GraphState({ clock });
    for (const event of history.slice(0, 40)) state.apply(rawEvent(event));
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
    for (const event of history.slice(40)) state.apply(rawEvent(event));
    for (const [index, iterator] of begun.entries()) {
      const all = parts[index] === undefined ? [] : [parts[index], ...iterator];
      assert.is(JSON.stringify(all), expected[index]);
    }
  }
});

test("the same events give the same bytes, and a checkpoint taken anywhere goes on as straight replay does", () => {
  for (let round = 0; round < 40; round += 1) {
    const history = randomHistory(random, 20 + random.integer(60));
    const straight = new GraphState({ clock });
    const cut = random.integer(history.length);
    let resumed = new GraphState({ clock });
    for (const [index, event] of history.entries()) {
      straight.apply(rawEvent(event));
      resumed.apply(rawEvent(event));
      if (index === cut) resumed = GraphState.decode(inPieces(bytesOf(resumed)), { clock });
    }
    sameBytes(bytesOf(resumed), bytesOf(straight));
    assert.equal(resumed.rejections, straight.rejections);
  }
});

function bytesOf(state: GraphState): Buffer {
  return Buffer.concat([...state.encode()]);
}

function* inPieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const size = random.integer(50);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

test("the state of an empty log is a checkpoint too", () => {
  const decoded = GraphState.decode(new GraphState().encode());
  assert.is(decoded.lsn, 0);
  assert.is(decoded.asOf().node(1), undefined);
});

test("refuses bytes that are no whole checkpoint of this version", () => {
  const state = new GraphState({ clock });
  for (const event of randomHistory(random, 40)) state.apply(rawEvent(event));
  const good = bytesOf(state);
  const ofVersion = (version: number): Buffer =>
    Buffer.from(good.toString("latin1").replace('"version":5', `"version":${version}`), "latin1");
  const swapped = Buffer.from(good);
  swapped.subarray(8, 12).reverse();
  for (const bytes of [
    Buffer.alloc(0),
    good.subarray(0, 10),
    good.subarray(0, good.length - 1),
    ofVersion(4),
    ofVersion(6),
    swapped,
    Buffer.concat([good, Buffer.alloc(1)]),
  ]) {
    assert.throws(
      () => GraphState.decode([bytes]),
      (error: unknown) => isStoreError(error, "ERR_PROJECTION_CHECKPOINT"),
    );
  }
});

test("an event whose bytes are none of its type is rejected and changes nothing", () => {
  const state = new GraphState({ clock });
  const good = encodeGraphEvent("varve.v1.NodeCreated", { id: 7, label: "A", properties: { a: "text" }, validFrom: 1 });
  // Cut between two fields, the message is whole: another one, but one.
  const lengths = Array.from(good.keys()).filter((length) => !decodes(good.subarray(0, length)));
  assert.ok(lengths.length >= good.length - 3);
  for (const length of lengths) {
    state.apply(rawPayload(state.lsn + 1, 1, "varve.v1.NodeCreated", good.subarray(0, length)));
    assert.match(state.rejectionAt(state.lsn)?.code ?? "", /ERR_EVENTS_SCHEMA|ERR_GRAPH_INVALID_PROPERTY/);
  }
  assert.equal(state.counts, { nodes: 0, edges: 0 });
});

function decodes(payload: Uint8Array): boolean {
  try {
    decodeGraphEvent("varve.v1.NodeCreated", payload);
    return true;
  } catch {
    return false;
  }
}

test("events of other types move the LSN and the time and nothing else", () => {
  const state = new GraphState({ clock });
  state.apply(rawPayload(1, 50, "Deposited", Uint8Array.of(1, 2, 3)));
  state.apply(rawEvent({ lsn: 2, recordedAt: 20, type: "NodeCreated", data: { id: 1, label: "A" } }));
  assert.is(state.lsn, 2);
  // The clock went back; effective time did not.
  assert.is(state.asOf({ validAt: 50 }).node(1)?.recordedFrom, 50);
  assert.is(state.asOf({ validAt: 49 }).node(1), undefined);
});

// Found by the model: the time of events of others, which came after the time that was asked for, was that of the view.
test("a view as of a time is not recorded after it, whatever events of others came later", () => {
  const state = new GraphState({ clock });
  state.apply(rawEvent({ lsn: 1, recordedAt: 20, type: "Other", data: {} }));
  assert.equal([state.asOf({ recordedAt: 19 }).recordedAt, state.asOf({ recordedAt: 19 }).validAt], [-Infinity, -1000]);
  state.apply(rawEvent({ lsn: 2, recordedAt: 30, type: "NodeCreated", data: { id: 1, label: "A" } }));
  state.apply(rawEvent({ lsn: 3, recordedAt: 50, type: "Other", data: {} }));
  assert.equal([state.asOf({ recordedAt: 40 }).recordedAt, state.asOf({ recordedAt: 40 }).validAt], [30, 30]);
  assert.equal(
    [state.asOf().recordedAt, state.asOf().validAt, state.asOf({ recordedAt: 50 }).recordedAt],
    [50, 50, 50],
  );
});

test("what was just written is visible although the wall clock was set back", () => {
  const state = new GraphState({ clock: () => 10 });
  state.apply(rawEvent({ lsn: 1, recordedAt: 1000, type: "NodeCreated", data: { id: 1, label: "A" } }));
  assert.is(state.asOf().node(1)?.validFrom, 1000);
});

test("a fact of the future appears when its time comes, without an event, but not in a view made before", () => {
  let now = 10;
  const state = new GraphState({ clock: () => now });
  state.apply(rawEvent({ lsn: 1, recordedAt: 5, type: "NodeCreated", data: { id: 1, label: "A", validFrom: 20 } }));
  const early = state.asOf();
  assert.is(early.node(1), undefined);
  now = 20;
  assert.is(state.asOf().node(1)?.id, 1);
  assert.is(early.node(1), undefined);
});

test("LSNs of one recordedAt are told apart by { lsn } only", () => {
  const state = new GraphState({ clock });
  state.apply(
    rawEvent({ lsn: 1, recordedAt: 5, type: "NodeCreated", data: { id: 1, label: "A", properties: { n: 1 } } }),
  );
  state.apply(rawEvent({ lsn: 2, recordedAt: 5, type: "NodePatched", data: { id: 1, properties: { n: 2 } } }));
  const at = (recordedAt: number | { lsn: number }) => state.asOf({ validAt: 5, recordedAt }).node(1)?.properties["n"];
  assert.equal([at(4), at(5), at({ lsn: 0 }), at({ lsn: 1 }), at({ lsn: 2 })], [undefined, 2, undefined, 1, 2]);
  const [first] = state.history("node", 1).toArray();
  assert.equal([first?.recordedFrom, first?.recordedTo, first?.lsn, first?.supersededBy], [5, 5, 1, 2]);
});

test("history on one axis, and joined on request", () => {
  const state = new GraphState({ clock: () => 15 });
  const put = (lsn: number, n: number, validFrom: number, validTo: number) =>
    state.apply(
      rawEvent({
        lsn,
        recordedAt: lsn,
        type: "NodePut",
        data: { id: 1, label: "A", properties: { n }, validFrom, validTo },
      }),
    );
  put(1, 1, 0, 10);
  put(2, 1, 10, 20);
  put(3, 2, 20, 30);
  put(4, 1, 10, 20);
  const shown = (options?: HistoryOptions) =>
    state
      .history("node", 1, options)
      .toArray()
      .map((each) => `${each.properties["n"]} [${each.validFrom},${each.validTo}) ${each.lsn}-${each.supersededBy}`);
  assert.equal(shown(), ["1 [0,10) 1-null", "1 [10,20) 2-4", "2 [20,30) 3-null", "1 [10,20) 4-null"]);
  assert.equal(shown({ coalesce: true }), ["1 [0,10) 1-null", "1 [10,20) 2-null", "2 [20,30) 3-null"]);
  assert.equal(shown({ at: "valid" }), ["1 [0,10) 1-null", "2 [20,30) 3-null", "1 [10,20) 4-null"]);
  assert.equal(shown({ at: "valid", coalesce: true }), ["2 [20,30) 3-null", "1 [0,20) 4-null"]);
  assert.equal(shown({ at: "recorded" }), ["1 [10,20) 2-4", "1 [10,20) 4-null"]);
  assert.equal(shown({ at: "recorded", coalesce: true }), ["1 [10,20) 2-null"]);
});

test("a rejection tells how many edges are in the way, and is kept by its LSN", () => {
  const state = new GraphState({ clock });
  const apply = (lsn: number, type: string, data: Record<string, unknown>) =>
    state.apply(rawEvent({ lsn, recordedAt: 1, type, data }));
  apply(1, "NodeCreated", { id: 1, label: "A" });
  apply(2, "EdgeCreated", { id: 1, label: "SELF", source: 1, target: 1 });
  apply(3, "NodeDeleted", { id: 1 });
  assert.equal(state.rejectionAt(3), { lsn: 3, code: "ERR_GRAPH_HAS_EDGES", kind: "node", id: 1, edges: 1 });
  apply(4, "NodeRetracted", { id: 1, detach: true });
  assert.is(state.asOf({ validAt: 9 }).edge(1), undefined);
  assert.is(state.asOf({ validAt: 9, recordedAt: { lsn: 3 } }).edge(1)?.label, "SELF");
});

test("keeps only the most recent rejections, and counts them all", () => {
  const state = new GraphState({ clock });
  for (let lsn = 1; lsn <= 20_000; lsn += 1)
    state.apply(rawPayload(lsn, 1, "varve.v1.NodeRetracted", Uint8Array.of(0x08, 1)));
  assert.is(state.rejectedCount, 20_000);
  assert.is(state.rejections.length, 16_384);
  assert.is(state.rejectionAt(1), undefined);
  assert.is(state.rejectionAt(20_000)?.code, "ERR_GRAPH_NOT_FOUND");
});

test("refuses misuse by name", async () => {
  const state = new GraphState({ clock });
  const view = state.asOf();
  const wrong = (value: unknown) => value as never;
  for (const misuse of [
    () => state.asOf(wrong({ validat: 1 })),
    () => state.asOf({ validAt: wrong("2020") }),
    () => state.asOf({ recordedAt: wrong({ LSN: 1 }) }),
    () => state.history(wrong("vertex"), 1).toArray(),
    () => state.history("node", 0).toArray(),
    () => state.history("node", 1, wrong({ at: "both" })).toArray(),
    () => state.diff(view, new GraphState().asOf()),
    () => view.node(wrong("1")),
    () => view.edges(1, wrong({ direction: "up" })),
    () => view.edges(1, wrong({ labels: "A" })),
    () => view.find(wrong({ kind: "A" })),
    () => view.find({ label: "" }),
    () => view.traverse(1, wrong({ direction: "out" })),
    () => view.traverse(1, { maxDepth: 0 }),
  ]) {
    await rejects(misuse, (error) => error instanceof TypeError);
  }
  await rejects(() => state.asOf({ validAt: 2 ** 53 }), "ERR_GRAPH_INVALID_PERIOD");
  await rejects(
    () => state.asOf({ recordedAt: { lsn: 1 } }),
    (error) => error instanceof RangeError,
  );
  await rejects(() => view.find({ where: { a: wrong([]) } }), "ERR_GRAPH_INVALID_PROPERTY");
});
