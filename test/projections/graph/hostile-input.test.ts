/** The graph's decoders, its state and its checkpoint against bytes that lie. */

import fc from "fast-check";
import { isStoreError } from "../../../src/errors.js";
import { decodeGraphEvent, graphEventCodecs } from "../../../src/projections/graph/graph-event-codec.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import { assert } from "../../support/assert.js";
import { forAll, hostileBytes, orRefused } from "../../support/property.js";
import { suite } from "../../support/suite.js";
import { rawEvent } from "./raw-events.js";

const test = suite("projections/graph/hostile-input");

const clock = () => -1000;

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
  const state = new GraphState({ clock });
  for (const [index, label] of ["P", "Q"].entries()) {
    const data = { id: index + 1, label, properties: index === 0 ? { a: 1 } : {} };
    state.apply(rawEvent({ lsn: index + 1, recordedAt: 0, type: "NodeCreated", data }));
  }
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
