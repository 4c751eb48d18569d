import { join } from "node:path";
import protobuf from "protobufjs";
import {
  type RetentionEventName,
  type RetentionEvents,
  retentionCodecs,
  retentionEventName,
  retentionType,
} from "../../src/events/retention-event.js";
import { RetentionState } from "../../src/events/retention-state.js";
import { assert, rejects } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { PROJECT_ROOT } from "../support/source-file.js";
import { suite } from "../support/suite.js";

const test = suite("events/retention-state");
const schema = protobuf.loadSync(join(PROJECT_ROOT, "schemas/varve/v1/retention.proto"));
const NUMBERS = [1, 127, 128, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
const NAMES = ["a", "größe", "🙂", "x".repeat(1024)];

const SAMPLES: { readonly [Name in RetentionEventName]: RetentionEvents[Name] } = {
  StreamTruncated: { stream: "a", beforeVersion: 3 },
  StreamDeleted: { stream: "a", throughVersion: 5 },
  StreamTombstoned: { stream: "b" },
  StreamsDeleted: { prefix: "c-", throughLsn: 70 },
  StreamsTombstoned: { prefix: "d-" },
  StreamRetentionSet: { stream: "e", maxAgeMs: 1000, maxCount: 2 },
  LogTruncated: { throughLsn: 9 },
  LogScavenged: { throughLsn: 9, removedRecords: 4 },
  SubjectKeysCreated: {},
  SubjectForgotten: { keyIds: ["00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"] },
};

test("the types are those of retention.proto, and what they encode protobufjs reads, and the other way round", () => {
  const random = seededRandom();
  const messages = (schema.lookup("varve.v1") as protobuf.Namespace).nestedArray.map(({ name }) => name);
  assert.equal([...retentionCodecs.keys()].sort(), messages.map((name) => `varve.v1.${name}`).sort());
  for (const name of Object.keys(SAMPLES) as RetentionEventName[]) {
    const message = schema.lookupType(retentionType(name));
    const codec = retentionCodecs.get(retentionType(name));
    assert.is(retentionEventName(retentionType(name)), name);
    for (let round = 0; round < 50; round++) {
      const data = Object.fromEntries(
        Object.entries(SAMPLES[name]).map(([field, value]) => [
          field,
          Array.isArray(value) ? value : typeof value === "string" ? random.pick(NAMES) : random.pick(NUMBERS),
        ]),
      );
      if (name === "StreamRetentionSet" && random.integer(2) === 0) delete data["maxCount"];
      const bytes = codec?.encode(data) as Uint8Array;
      const read = message.toObject(message.decode(bytes), { longs: Number, defaults: false });
      const plain = Object.entries(data).map(([field, value]) => [
        field,
        Array.isArray(value) ? value.map((id) => Buffer.from(id, "hex")) : value,
      ]);
      assert.equal(read, Object.fromEntries(plain));
      assert.equal(codec?.decode(message.encode(message.fromObject(Object.fromEntries(plain))).finish()), data);
      const later = protobuf.Writer.create()
        .uint32(15 * 8)
        .uint32(7)
        .finish();
      assert.equal(codec?.decode(Buffer.concat([bytes, later])), data, "fields of later versions are passed over");
    }
    const zeroOf = (value: unknown): unknown => (Array.isArray(value) ? [] : typeof value === "string" ? "" : 0);
    const zero = Object.fromEntries(Object.entries(SAMPLES[name]).map(([field, value]) => [field, zeroOf(value)]));
    assert.equal(codec?.decode(codec.encode(zero)), zero);
    assert.throws(() => codec?.decode(Uint8Array.of(0x0a, 5, 1)), /no event of type/);
    const wrong = { stream: 1, prefix: 1, throughLsn: -1 };
    if (name !== "SubjectKeysCreated") assert.throws(() => codec?.encode(wrong), /must be/); // that one has no fields
  }
  for (const type of ["varve.v1.NodeCreated", "StreamDeleted", "varve.v1.toString"])
    assert.is(retentionEventName(type), null);
});

function stateOf(events: readonly (readonly [RetentionEventName, object])[]): RetentionState {
  const state = new RetentionState();
  for (const [name, data] of events) state.apply(name, data as never);
  return state;
}

test("cuts move forwards only, in whatever order they are told", () => {
  const events = [
    ["StreamTruncated", { stream: "a", beforeVersion: 5 }],
    ["StreamTruncated", { stream: "a", beforeVersion: 3 }],
    ["StreamDeleted", { stream: "a", throughVersion: 9 }],
    ["StreamDeleted", { stream: "a", throughVersion: 2 }],
    ["StreamsDeleted", { prefix: "a", throughLsn: 70 }],
    ["StreamsDeleted", { prefix: "a", throughLsn: 60 }],
    ["StreamTombstoned", { stream: "b" }],
    ["LogTruncated", { throughLsn: 1 }],
  ] as const;
  for (const order of [events, events.toReversed()]) {
    const state = stateOf(order);
    assert.equal(state.of("a"), {
      firstVersion: 10,
      deletedThrough: 9,
      isTombstoned: false,
      maxAgeMs: null,
      maxCount: null,
      deletedLsn: 70,
    });
    assert.is(state.of("ab").deletedLsn, 70);
    assert.is(state.of("ba").deletedLsn, 0);
    assert.ok(state.isTombstoned("b") && state.of("b").isTombstoned);
    assert.not(state.isTombstoned("a"));
  }
});

test("what is set for a stream replaces what was set before", () => {
  const state = stateOf([
    ["StreamRetentionSet", { stream: "a", maxAgeMs: 5, maxCount: 7 }],
    ["StreamRetentionSet", { stream: "a", maxCount: 3 }],
  ]);
  assert.equal([state.of("a").maxAgeMs, state.of("a").maxCount], [null, 3]);
  state.apply("StreamRetentionSet", { stream: "a" });
  assert.equal([state.of("a").maxAgeMs, state.of("a").maxCount], [null, null]);
});

test("nothing that is said reaches the store's own streams", () => {
  const state = stateOf([
    ["StreamsTombstoned", { prefix: "" }],
    ["StreamsDeleted", { prefix: "$", throughLsn: 70 }],
    ["StreamTombstoned", { stream: "$graph-ids" }],
  ]);
  assert.not(state.isTombstoned("$graph-ids"));
  assert.is(state.of("$retention").deletedLsn, 0);
  assert.ok(state.isTombstoned("any other"));
});

test("what is to be removed follows from the versions and the times of now", async () => {
  const state = stateOf([
    ["StreamTruncated", { stream: "größe", beforeVersion: 5 }],
    ["StreamTombstoned", { stream: "b" }],
    ["StreamRetentionSet", { stream: "count", maxCount: 4 }],
    ["StreamRetentionSet", { stream: "few", maxCount: 40 }],
    ["StreamRetentionSet", { stream: "age", maxAgeMs: 2 }],
    ["StreamsDeleted", { prefix: "p", throughLsn: 70 }],
    ["StreamsTombstoned", { prefix: "q" }],
  ]);
  const removal = await state.removal(
    10_000,
    async () => 10,
    async (timeUs) => timeUs / 100,
  );
  assert.equal(
    [...removal.streams],
    [
      [Buffer.from("größe").toString("latin1"), { beforeVersion: 5, throughLsn: 0 }],
      ["b", { beforeVersion: Number.MAX_SAFE_INTEGER, throughLsn: 0 }],
      ["count", { beforeVersion: 7, throughLsn: 0 }],
      ["age", { beforeVersion: 1, throughLsn: 79.99 }],
    ],
  );
  assert.equal(removal.prefixes, [
    { prefix: "p", throughLsn: 70 },
    { prefix: "q", throughLsn: Number.MAX_SAFE_INTEGER },
  ]);
  assert.is(removal.sparedPrefix, "$");
  const failing = state.removal(
    0,
    () => Promise.reject(new Error("no")),
    async () => 0,
  );
  await rejects(failing, ({ message }) => message === "no");
  assert.ok(new RetentionState().isEmpty && !state.isEmpty);
});
