/** The graph's intervals against the naive model, on histories that fast-check makes and shrinks; and its checkpoint against lies. */

import fc from "fast-check";
import { isStoreError } from "../../../src/errors.js";
import { decodeGraphEvent, graphEventCodecs } from "../../../src/projections/graph/graph-event-codec.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import { assert } from "../../support/assert.js";
import { forAll, hostileBytes, orRefused } from "../../support/property.js";
import { suite } from "../../support/suite.js";
import { FIRST_TIME, LAST_TIME, NaiveGraph, POINTS } from "./naive-graph.js";
import { rawEvent, type TestEvent } from "./raw-events.js";

const test = suite("projections/graph/interval properties");

const NODES = [1, 2, 3];
const EDGES = [1, 2];
const clock = () => -1000;

/** From one time to a later one, or open on either side. */
const period = fc
  .tuple(fc.integer({ min: FIRST_TIME, max: LAST_TIME - 1 }), fc.nat({ max: LAST_TIME }), fc.nat({ max: 5 }))
  .map(([from, length, shape]) => ({
    ...(shape !== 1 && { validFrom: from }),
    ...(shape > 1 && { validTo: Math.min(LAST_TIME, from + 1 + length) }),
  }));
const properties = fc.dictionary(fc.constantFrom("name", "__proto__"), fc.constantFrom(1, "a", true), { maxKeys: 2 });

const nodeEvent = fc
  .tuple(
    fc.constantFrom("Created", "Put", "Patched", "Replaced", "Deleted"),
    fc.constantFrom(...NODES),
    period,
    properties,
    fc.boolean(),
  )
  .map(([verb, id, valid, given, detach]) => ({
    type: `Node${verb}`,
    data: {
      id,
      ...(/Created|Put/.test(verb) && { label: "Person" }),
      ...(verb === "Deleted" ? { detach } : { properties: given }),
      ...valid,
    },
  }));
const edgeEvent = fc
  .tuple(fc.constantFrom("Created", "Put", "Patched", "Deleted"), fc.constantFrom(...EDGES), period, properties)
  .map(([verb, id, valid, given]) => ({
    type: `Edge${verb}`,
    data: {
      id,
      ...(/Created|Put/.test(verb) && { label: "KNOWS", source: id, target: id + 1 }),
      ...(verb !== "Deleted" && { properties: given }),
      ...valid,
    },
  }));
const histories: fc.Arbitrary<TestEvent[]> = fc
  .array(fc.tuple(fc.oneof({ weight: 3, arbitrary: nodeEvent }, edgeEvent), fc.nat({ max: 3 })), { maxLength: 25 })
  .map((steps) => {
    let recordedAt = 0;
    return steps.map(([event, step], index) => {
      recordedAt = Math.min(LAST_TIME - 4, recordedAt + step);
      return { lsn: index + 1, recordedAt, ...event };
    });
  });

function stateOf(history: readonly TestEvent[]): { state: GraphState; model: NaiveGraph } {
  const state = new GraphState({ clock });
  const model = new NaiveGraph();
  for (const event of history) {
    state.apply(rawEvent(event));
    model.apply(event);
  }
  return { state, model };
}

test("at every point of both times each entity is what the naive model says", () => {
  forAll(
    histories,
    (history) => {
      const { state, model } = stateOf(history);
      for (const event of history)
        assert.is(state.rejectionAt(event.lsn)?.code, model.rejected.get(event.lsn), `LSN ${event.lsn} ${event.type}`);
      for (let lsn = 0; lsn <= history.length; lsn += 1 + (lsn % 4)) {
        for (const validAt of POINTS) {
          const view = state.asOf({ validAt, recordedAt: { lsn } });
          for (const id of NODES)
            assert.is(
              view.node(id)?.lsn,
              model.visibleAt("node", id, validAt, lsn)?.lsn,
              `node ${id} at (${validAt}, ${lsn})`,
            );
          for (const id of EDGES)
            assert.is(
              view.edge(id)?.lsn,
              model.visibleAt("edge", id, validAt, lsn)?.lsn,
              `edge ${id} at (${validAt}, ${lsn})`,
            );
        }
      }
    },
    60,
  );
});

test("a checkpoint in the middle of a history changes no byte of what follows", () => {
  forAll(
    fc.tuple(histories, fc.nat()),
    ([history, at]) => {
      const { state } = stateOf(history);
      const cut = at % (history.length + 1);
      const { state: before } = stateOf(history.slice(0, cut));
      const resumed = GraphState.decode(
        [...before.encode()].map((piece) => Uint8Array.from(piece)),
        { clock },
      );
      for (const event of history.slice(cut)) resumed.apply(rawEvent(event));
      const bytesOf = (of: GraphState): Buffer => Buffer.concat([...of.encode()].map((piece) => Buffer.from(piece)));
      assert.ok(bytesOf(resumed).equals(bytesOf(state)), "the same bytes");
    },
    60,
  );
});

test("hostile bytes are refused by every graph event's decoder", () => {
  const types = [...graphEventCodecs.keys()];
  const examples = [
    rawEvent({ lsn: 1, recordedAt: 1, type: "NodeCreated", data: { id: 1, label: "P", properties: { a: 1 } } }),
  ].map(({ bytes, payloadStart, payloadEnd }) => bytes.subarray(payloadStart, payloadEnd));
  forAll(
    fc.tuple(fc.constantFrom(...types), hostileBytes(examples, 200)),
    ([type, bytes]) => void orRefused(() => decodeGraphEvent(type, bytes)),
    2_000,
  );
});

test("a graph that hostile events are applied to rejects them and goes on", () => {
  const example = rawEvent({
    lsn: 1,
    recordedAt: 1,
    type: "NodeCreated",
    data: { id: 1, label: "P", properties: { a: 1 } },
  });
  const payload = example.bytes.subarray(example.payloadStart, example.payloadEnd);
  forAll(fc.array(hostileBytes([payload], 100), { maxLength: 5 }), (all) => {
    const state = new GraphState({ clock });
    for (const [index, bytes] of all.entries())
      state.apply({ ...example, lsn: index + 1, bytes, payloadStart: 0, payloadEnd: bytes.length });
    assert.is(state.lsn, all.length);
    state.asOf({ validAt: 0 }).node(1);
  });
});

test("a checkpoint of the graph that lies about its tables is refused, and takes no memory", () => {
  const { state } = stateOf([
    { lsn: 1, recordedAt: 0, type: "NodeCreated", data: { id: 1, label: "P", properties: { a: 1 } } },
    { lsn: 2, recordedAt: 0, type: "NodeCreated", data: { id: 2, label: "Q", properties: {} } },
  ]);
  const whole = Buffer.concat([...state.encode()].map((piece) => Buffer.from(piece)));
  const length = whole.readUInt32LE(12);
  const header = JSON.parse(whole.toString("utf8", 16, 16 + length)) as Record<string, unknown>;
  const lie = fc.oneof(fc.constantFrom(2 ** 31, 2 ** 40, -1, 1.5, null, "x", []), fc.nat());
  const lying = fc.tuple(fc.constantFrom(...Object.keys(header)), fc.nat(), lie).map(([name, at, value]) => {
    const copy = structuredClone(header);
    const field = copy[name];
    if (Array.isArray(field) && field.length > 0) field[at % field.length] = value;
    else if (typeof field === "object" && field !== null) {
      const keys = Object.keys(field);
      (field as Record<string, unknown>)[keys[at % keys.length] as string] = name === "arena" ? [value] : value;
    } else copy[name] = value;
    return copy;
  });
  const forged = fc.oneof(lying, fc.jsonValue()).map((json) => {
    const text = Buffer.from(JSON.stringify(json));
    const start = Buffer.from(whole.subarray(0, 16));
    start.writeUInt32LE(text.length, 12);
    return Buffer.concat([start, text, whole.subarray(16 + length)]);
  });
  forAll(
    fc.oneof(forged, hostileBytes([whole], 300)),
    (bytes) => {
      const before = process.memoryUsage().arrayBuffers;
      try {
        GraphState.decode([bytes]);
      } catch (error) {
        assert.ok(isStoreError(error, "ERR_PROJECTION_CHECKPOINT"), String((error as Error).stack));
      }
      assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024, "nothing large was asked for");
    },
    300,
  );
});
