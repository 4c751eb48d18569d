/** Rows and events are two ways to read the same bytes: whatever the bytes are, the graph that comes of them is one. */

import fc from "fast-check";
import { encodeEnvelope, measure, streamField, typeField } from "../../../src/events/envelope.js";
import { RecordCursor } from "../../../src/events/record-cursor.js";
import { EventDecoder, StoredEvent } from "../../../src/events/recorded-event.js";
import { SchemaRegistry } from "../../../src/events/schema-registry.js";
import { encodeGraphEvent, graphEventCodecs } from "../../../src/projections/graph/graph-event-codec.js";
import { GRAPH_EVENT_KINDS } from "../../../src/projections/graph/graph-event-kind.js";
import { GRAPH_PROJECTION } from "../../../src/projections/graph/graph-projection.js";
import { GraphRows } from "../../../src/projections/graph/graph-rows.js";
import { GraphState } from "../../../src/projections/graph/graph-state.js";
import type { RawEvent } from "../../../src/projections/graph/raw-event.js";
import { RowBatch } from "../../../src/projections/row-reader.js";
import { Track } from "../../../src/projections/track.js";
import { type Frame, RECORD_HEADER_BYTES } from "../../../src/wal/index.js";
import { type Choices, randomHistory } from "../../model/model-history.js";
import { assert, sameBytes } from "../../support/assert.js";
import { forAll } from "../../support/property.js";
import { suite } from "../../support/suite.js";

const test = suite("projections/graph/row-bytes");

/** Some seconds of them. */
const RUNS = 800;

const decoder = new EventDecoder(SchemaRegistry.load([], graphEventCodecs, false), new Uint8Array(16));
const feed = {
  readRecords: (): never => {
    throw new Error("nothing is read from a log");
  },
  eventIn: (
    bytes: Buffer,
    start: number,
    end: number,
    header: { readonly lsn: number; readonly recordedAt: number },
  ): RawEvent => new StoredEvent(decoder, { body: bytes, header }, start, end, header.lsn),
};

/** An event as it is in the log. Removed: only its LSN is left. */
interface WrittenEvent {
  readonly type: string;
  readonly payload: Uint8Array;
  readonly recordedAt: number;
  readonly stream: string;
  readonly id: string | null;
  readonly metadata: string | null;
  readonly isRemoved: boolean;
  /** A frame begins with it. */
  readonly isFirst: boolean;
}

/** Choices that are the same for the same seed, and print nothing. */
function choices(seed: number): Choices {
  let state = seed;
  const integer = (maxExclusive: number): number => {
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return Math.floor((((word ^ (word >>> 14)) >>> 0) / 2 ** 32) * maxExclusive);
  };
  return { integer, pick: (items) => items[integer(items.length)] as (typeof items)[number] };
}

function recordOf(event: WrittenEvent, version: number): Buffer {
  if (event.isRemoved) return Buffer.alloc(RECORD_HEADER_BYTES);
  const prepared = {
    typeField: typeField(event.type),
    payload: event.payload,
    payloadBytes: event.payload.length,
    content: 1,
    id: event.id,
    metadata: event.metadata,
    subject: null,
    sealed: null,
    byteLengthMax: 0,
  };
  measure(prepared);
  const target = Buffer.alloc(RECORD_HEADER_BYTES + prepared.byteLengthMax + event.stream.length + 16);
  const end = encodeEnvelope(target, RECORD_HEADER_BYTES, streamField(event.stream), version, prepared);
  target.writeUInt32LE(end - RECORD_HEADER_BYTES, 0);
  return target.subarray(0, end);
}

function framesOf(events: readonly WrittenEvent[]): Frame[] {
  const frames: Frame[] = [];
  for (let first = 0; first < events.length; ) {
    let end = first + 1;
    while (end < events.length && events[end]?.isFirst === false) end += 1;
    const body = Buffer.concat(events.slice(first, end).map((event, at) => recordOf(event, 100 + first + at)));
    const recordedAt = events[first]?.recordedAt ?? 0;
    frames.push({ header: { firstLsn: first + 1, recordCount: end - first, recordedAt }, body });
    first = end;
  }
  return frames;
}

function trackOf(state: GraphState, lsn: number): Track<GraphState, RawEvent> {
  const start = { state, lsn, witness: null, skippedEvents: 0, parked: [] };
  return new Track(GRAPH_PROJECTION, start, "stop", () => undefined);
}

function applyEvents(track: Track<GraphState, RawEvent>, frames: readonly Frame[], through: number): void {
  const after = track.lsn;
  for (const { body, header } of frames) {
    const events: RawEvent[] = [];
    let at = 0;
    for (let lsn = header.firstLsn; lsn < header.firstLsn + header.recordCount; lsn += 1) {
      const start = at + RECORD_HEADER_BYTES;
      at = start + body.readUInt32LE(at);
      if (lsn > after && lsn <= through && at > start)
        events.push(new StoredEvent(decoder, { body, header }, start, at, lsn));
    }
    for (let index = 0; index < events.length; ) index = track.apply(events, index, Number.POSITIVE_INFINITY);
  }
  track.reach(through);
}

function applyRows(track: Track<GraphState, RawEvent>, frames: readonly Frame[], through: number): void {
  const after = track.lsn;
  const rows = new GraphRows();
  const batch = new RowBatch<RawEvent>(rows, feed);
  const records = new RecordCursor(decoder);
  const apply = (): void => {
    for (let index = 0; index < batch.length; ) index = track.apply(batch, index, Number.POSITIVE_INFINITY);
    rows.clear();
  };
  for (const frame of frames) {
    records.open(frame, after, through);
    for (let filling = rows.fill(records); filling !== "done"; filling = rows.fill(records)) {
      apply();
      if (filling === "too-large") rows.enlarge((records.nextEnd ?? 0) - records.nextStart);
    }
  }
  apply();
  track.reach(through);
}

const facts = (state: GraphState): unknown => ({
  lsn: state.lsn,
  recordedAt: state.recordedAt,
  counts: state.counts,
  rejected: state.rejectedCount,
  rejections: state.rejections,
});
const bytesOf = (state: GraphState): Buffer => Buffer.concat([...state.encode()]);

/** Both ways from the same beginning: the whole log from its start, and what is above a checkpoint in the middle of it. */
function check(events: readonly WrittenEvent[], middle: number): void {
  const frames = framesOf(events);
  const expected = trackOf(new GraphState(), 0);
  applyEvents(expected, frames, middle);
  const checkpoint = bytesOf(expected.state);
  applyEvents(expected, frames, events.length);

  const whole = trackOf(new GraphState(), 0);
  applyRows(whole, frames, events.length);
  const resumed = trackOf(GraphState.decode([checkpoint]), middle);
  applyRows(resumed, frames, events.length);
  for (const track of [whole, resumed]) {
    assert.equal(facts(track.state), facts(expected.state));
    sameBytes(bytesOf(track.state), bytesOf(expected.state));
    assert.is(track.lsn, expected.lsn);
  }
}

/** What is done to bytes: where, how, and with what. */
interface Mutation {
  readonly event: number;
  readonly at: number;
  readonly kind: number;
  readonly value: number;
  readonly field: Uint8Array;
}

const MUTATIONS: readonly ((bytes: Buffer, mutation: Mutation) => Buffer)[] = [
  (bytes, { at, value }) => spliced(bytes, at, 1, Buffer.of(value)),
  (bytes, { at, value }) => spliced(bytes, at, 1, Buffer.of((bytes[at] as number) ^ (1 << (value & 7)))),
  (bytes, { at, value }) => spliced(bytes, at, 0, Buffer.of(value)),
  (bytes, { at, value }) => spliced(bytes, at, 1 + (value & 3), Buffer.alloc(0)),
  (bytes, { at }) => bytes.subarray(0, at),
  (bytes, { field }) => Buffer.concat([bytes, field]),
  (bytes, { field }) => Buffer.concat([field, bytes]),
  (bytes, { at, field }) => spliced(bytes, at, 0, field),
  // Said once more, whole: the last of a field counts, and of messages too.
  (bytes) => Buffer.concat([bytes, bytes]),
  // A byte that ends a varint, made longer by zeros.
  (bytes, { at, value }) =>
    spliced(bytes, at, 1, Buffer.of((bytes[at] as number) | 0x80, ...new Uint8Array(value % 10).fill(0x80), 0)),
];

function spliced(bytes: Buffer, at: number, removed: number, added: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(Math.min(bytes.length, at + removed))]);
}

function mutated(payload: Uint8Array, mutation: Mutation): Buffer {
  const bytes = Buffer.from(payload);
  const at = bytes.length === 0 ? 0 : mutation.at % bytes.length;
  const mutate = MUTATIONS[mutation.kind % MUTATIONS.length] as (typeof MUTATIONS)[number];
  return mutate(bytes.length === 0 ? Buffer.of(0) : bytes, { ...mutation, at });
}

function varint(value: bigint, padding: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 0x80n && padding === 0) return Uint8Array.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 0x7fn) | 0x80);
    if (rest < 0x80n) return Uint8Array.from([...bytes, ...new Uint8Array(padding - 1).fill(0x80), 0]);
  }
}

const length = fc.constantFrom(0, 0, 0, 0, 0, 1, 3, 9);
const number = fc.oneof(
  fc.bigInt({ min: 0n, max: 5n }),
  fc.constantFrom(2n ** 28n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n),
);
const texts: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.constantFrom("P", "Q", "a", "größe", "\u{1f600}").map((text) => Buffer.from(text)),
  fc.constantFrom(Buffer.alloc(0), Buffer.of(0xff), Buffer.of(0xc0, 0x80), Buffer.of(0xed, 0xa0, 0x80)),
  fc.uint8Array({ maxLength: 4 }),
);
/** The value of a property in one of the ways in which it can be written, or in none. */
const value: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc
    .tuple(fc.constantFrom(0x08, 0x20, 0x28), number, length)
    .map(([tag, of, padding]) => Buffer.of(tag, ...varint(of, padding))),
  fc.tuple(fc.constantFrom(0x12, 0x32, 0x3a), texts).map(([tag, text]) => Buffer.of(tag, text.length, ...text)),
  fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Buffer.of(0x19, ...bytes)),
  fc.uint8Array({ maxLength: 9 }),
);
/** A property: a key and a value, now and then in the other order, twice, or with a longer length than it needs. */
const property: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.constantFrom("a", "b", "größe"),
    fc.array(value, { minLength: 1, maxLength: 2 }),
    fc.nat({ max: 7 }),
    length,
  )
  .map(([name, values, order, padding]) => {
    const key = Buffer.from(name);
    const parts: Uint8Array[] = [Buffer.of(0x0a, key.length, ...key)];
    for (const bytes of values)
      parts.push(Buffer.concat([Buffer.of(0x12), varint(BigInt(bytes.length), padding), bytes]));
    return Buffer.concat(order === 0 ? parts.reverse() : parts);
  });
/** One field as anybody may write it: with any number and wire type, in any length of its numbers. */
const field: fc.Arbitrary<Uint8Array> = fc
  .record({
    number: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.constantFrom(0, 11, 15, 16, 100, 2 ** 28)),
    wireType: fc.constantFrom(0, 0, 1, 2, 2, 2, 3, 4, 5, 7),
    value: number,
    paddings: fc.tuple(length, length),
    time: fc.oneof(fc.bigInt({ min: -30n, max: 30n }), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
    body: fc.oneof(texts, property, fc.uint8Array({ maxLength: 12 })),
  })
  .map(({ number, wireType, value, paddings: [tagPadding, valuePadding], time, body }) => {
    const tag = varint(BigInt(number * 8 + wireType), number < 16 ? tagPadding % 2 : tagPadding);
    if (wireType === 0) return Buffer.concat([tag, varint(value, valuePadding)]);
    if (wireType === 2) return Buffer.concat([tag, varint(BigInt(body.length), valuePadding), body]);
    const fixed = Buffer.alloc(8);
    fixed.writeBigInt64LE(time);
    if (wireType === 1) return Buffer.concat([tag, fixed]);
    return Buffer.concat([tag, wireType === 5 ? fixed.subarray(0, 4) : Buffer.alloc(0)]);
  });

/** Mostly properties: they are what is copied. */
const fields: fc.Arbitrary<readonly Uint8Array[]> = fc.array(
  fc.oneof(
    field,
    fc
      .tuple(property, length)
      .map(([body, padding]) => Buffer.concat([Buffer.of(0x1a), varint(BigInt(body.length), padding), body])),
  ),
  { maxLength: 6 },
);

const mutation: fc.Arbitrary<Mutation> = fc.record({
  event: fc.nat(),
  at: fc.nat(),
  kind: fc.nat({ max: 1000 }),
  value: fc.nat({ max: 255 }),
  field,
});

interface History {
  readonly seed: number;
  readonly count: number;
  /** Without them everything that is created goes the short way. */
  readonly hasConstraints: boolean;
  readonly middle: number;
}

const history: fc.Arbitrary<History> = fc.record({
  seed: fc.nat(),
  count: fc.integer({ min: 1, max: 60 }),
  hasConstraints: fc.boolean(),
  middle: fc.nat(),
});

/** A history that the model makes, written by one or two streams in frames of some events each. */
function written({ seed, count, hasConstraints }: History): WrittenEvent[] {
  const random = choices(seed);
  let recordedAt = 0;
  return randomHistory(random, count).map((event) => {
    const isOther = event.type === "Other" || (!hasConstraints && event.type.startsWith("GraphConstraint"));
    const type = isOther ? "Other" : `varve.v1.${event.type}`;
    const isFirst = random.integer(4) === 0;
    if (isFirst) ({ recordedAt } = event);
    return {
      type,
      payload: isOther ? Buffer.alloc(random.integer(300)) : encodeGraphEvent(type, event.data),
      recordedAt,
      stream: random.integer(4) === 0 ? "other" : "people",
      id: random.integer(6) === 0 ? `id-${event.lsn}` : null,
      metadata: random.integer(6) === 0 ? '{"by":"größe"}' : null,
      isRemoved: random.integer(12) === 0,
      isFirst,
    };
  });
}

test("events as they are written give the same graph by rows", () => {
  forAll(history, (each) => check(written(each), each.middle % (each.count + 1)), RUNS / 2);
});

test("events of which bytes are changed, lost, or said once more give the same graph and the same rejections", () => {
  forAll(
    fc.tuple(history, fc.array(mutation, { minLength: 1, maxLength: 12 })),
    ([each, mutations]) => {
      const events = written(each);
      for (const one of mutations) {
        const at = one.event % events.length;
        const event = events[at] as WrittenEvent;
        events[at] = { ...event, payload: mutated(event.payload, one) };
      }
      check(events, each.middle % (each.count + 1));
    },
    RUNS,
  );
});

test("events put together of any fields give the same graph and the same rejections", () => {
  const kinds = [...GRAPH_EVENT_KINDS.keys()];
  const type = fc.constantFrom("varve.v1.NodeCreated", "varve.v1.EdgeCreated", ...kinds);
  // Most begin with what an event needs, so that some of them are accepted.
  const needed = fc
    .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 6 }))
    .map(([id, source, target]) => Buffer.of(0x08, id, 0x12, 1, 0x50, 0x38, source, 0x40, target));
  const payload = fc
    .tuple(fc.oneof(needed, needed, fc.constant(Buffer.alloc(0))), fields)
    .map(([start, fields]) => Buffer.concat([start, ...fields]));
  forAll(
    fc.tuple(fc.array(fc.tuple(type, payload, fc.boolean()), { minLength: 1, maxLength: 40 }), fc.nat()),
    ([all, middle]) => {
      const events = all.map(
        ([type, payload, isFirst], at): WrittenEvent => ({
          ...{ type, payload, isFirst, recordedAt: at % 7 },
          ...{ stream: "people", id: null, metadata: null, isRemoved: false },
        }),
      );
      check(events, middle % (events.length + 1));
    },
    RUNS,
  );
});

test("properties that are not in the form that is stored are brought into it by rows, too", () => {
  const long = Buffer.of(0x1a, 0x8c, 0, 0x0a, 1, 0x61, 0x12, 0x86, 0, 0x12, 4, 0x74, 0x65, 0x78, 0x74);
  const events = [1, 2, 3].map(
    (id): WrittenEvent => ({
      ...{ type: "varve.v1.NodeCreated", payload: Buffer.concat([Buffer.of(0x08, id, 0x12, 1, 0x50), long]) },
      ...{ isFirst: false, recordedAt: 5, stream: "people", id: null, metadata: null, isRemoved: false },
    }),
  );
  check(events, 1);
  const track = trackOf(new GraphState(), 0);
  applyRows(track, framesOf(events), 3);
  assert.is(track.state.asOf({ validAt: 5 }).node(2)?.properties["a"], "text");
});
