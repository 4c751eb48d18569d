import { join } from "node:path";
import protobuf from "protobufjs";
import { isStoreError } from "../../../src/errors.js";
import {
  decodeGraphEvent,
  encodeGraphEvent,
  type GraphEventData,
  graphEventCodecs,
} from "../../../src/projections/graph/graph-event-codec.js";
import { GraphEventFields } from "../../../src/projections/graph/graph-event-fields.js";
import { GRAPH_EVENT_KINDS } from "../../../src/projections/graph/graph-event-kind.js";
import type { PropertyValue } from "../../../src/projections/graph/property.js";
import { assert, sameBytes } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { PROJECT_ROOT } from "../../support/source-file.js";
import { suite } from "../../support/suite.js";

const test = suite("projections/graph/graph-event-codec");
const random = seededRandom();
const schema = protobuf.loadSync(join(PROJECT_ROOT, "schemas/varve/v1/graph.proto"));
const TYPES = [...graphEventCodecs.keys()];
const MAX = Number.MAX_SAFE_INTEGER;
const IDS = [1, 127, 128, 16_384, 2 ** 31, 2 ** 32 + 1, MAX];
const TIMES = [0, -1, 1, -(2 ** 31), 2 ** 32, -(2 ** 32) - 5, MAX, -MAX];
const NUMBERS = [0, -0, 1, -1, 63, 64, -65, 2 ** 31, -(2 ** 40), MAX, -MAX, 2 ** 53, -(2 ** 53), 0.1, -1e300, 5e-324];
const TEXTS = ["", "a", "größe", "日本語", "🙂", "\u0000", "x".repeat(127), "x".repeat(128), "ü".repeat(9000)];
const KEYS = ["a", "", "__proto__", "constructor", "größe", "k".repeat(200)];
const BLOBS = [new Uint8Array(0), Uint8Array.of(0, 255), new Uint8Array(300).fill(7)];
const VECTORS = [Float32Array.of(0), Float32Array.of(-0, 1.5, 3.4e38, 1e-45), new Float32Array(384).fill(0.1)];
const VALUES: readonly PropertyValue[] = [
  null,
  true,
  false,
  ...NUMBERS,
  Number.NaN,
  Infinity,
  -Infinity,
  ...TEXTS,
  ...BLOBS,
  ...VECTORS,
];

type Data = Record<string, unknown>;

function randomData(type: string): Data {
  if (type.endsWith("GraphIdsReserved")) return { kind: random.pick(["node", "edge"]), through: random.pick(IDS) };
  if (type.endsWith("GraphPurged")) return { recordedBefore: random.pick(TIMES) };
  if (type.includes("Vectors")) {
    const reference = { label: random.pick(["A", "Größe"]), property: random.pick(["embedding", "__proto__"]) };
    if (type.endsWith("Removed")) return reference;
    const numbers = { connectivity: 16, expansionAdd: random.pick([1, 128, 10_000]), expansionSearch: 64 };
    const metric = random.pick(["cosine", "l2", "dot"]);
    return { ...reference, dimensions: random.pick([1, 384]), metric, storage: random.pick(["f32", "i8"]), ...numbers };
  }
  if (type.includes("Snapshot")) {
    const name = random.pick(["a", "größe", "__proto__", "x".repeat(256)]);
    if (type.endsWith("Removed")) return { name };
    return { name, validAt: random.pick(TIMES), lsn: random.pick([0, ...IDS]) };
  }
  if (type.includes("Constraint")) {
    const kind = random.pick(["unique", "required"]);
    const label = random.pick(["A", "größe"]);
    const property = random.pick(["a", "__proto__", ...(kind === "unique" ? [["__proto__", "a", "größe"]] : [])]);
    return { kind, ...(random.integer(2) === 0 && { entity: "edge" }), label, property };
  }
  if (type.endsWith("GraphBatch")) {
    const types = [...GRAPH_EVENT_KINDS.keys()];
    const items = Array.from({ length: 1 + random.integer(4) }, () => random.pick(types));
    return { items: items.map((each) => ({ type: each, data: randomData(each) })) };
  }
  const data: Data = { id: random.pick(IDS) };
  const isNode = type.includes(".Node");
  if (/Created|Put|Upserted/.test(type)) data["label"] = random.pick(["A", "__proto__", "Größe", "L".repeat(150)]);
  if (!/Deleted|Retracted/.test(type)) {
    const properties: Record<string, PropertyValue> = Object.create(null);
    for (let count = random.integer(5); count > 0; count -= 1) properties[random.pick(KEYS)] = random.pick(VALUES);
    data["properties"] = properties;
    if (type.endsWith("Upserted")) {
      data["key"] = random.pick(["a", "__proto__", "größe"]);
      properties[data["key"] as string] = random.pick(VALUES.filter((value) => value !== null));
    }
  }
  if (!/Created|Upserted/.test(type) && random.integer(2) === 0) data["expectedVersion"] = random.pick([0, ...IDS]);
  if (!type.endsWith("Retracted")) {
    const [from, to] = [random.pick(TIMES), random.pick(TIMES)].sort((a, b) => a - b) as [number, number];
    if (random.integer(2) === 0) data["validFrom"] = from;
    if (random.integer(2) === 0 && from < to) data["validTo"] = to;
  }
  if (isNode && /Deleted|Retracted/.test(type)) data["detach"] = random.integer(2) === 0;
  if (!isNode && /Created|Put/.test(type)) Object.assign(data, { source: random.pick(IDS), target: random.pick(IDS) });
  return data;
}

/** The data as protobufjs sees it: 64-bit numbers as strings, properties as a list, a value by its kind. */
function asMessage(type: string, data: Data): Data {
  if (type.endsWith("GraphIdsReserved"))
    return { kind: data["kind"] === "node" ? 0 : 1, through: String(data["through"]) };
  if (type.endsWith("GraphPurged")) return { recordedBefore: String(data["recordedBefore"]) };
  if (type.endsWith("VectorsRemoved")) return { ...data };
  if (type.endsWith("VectorsDefined")) {
    const { metric, storage, ...others } = data;
    return {
      ...others,
      ...(metric !== "cosine" && { metric: metric === "l2" ? 1 : 2 }),
      ...(storage === "i8" && { storage: 1 }),
    };
  }
  if (type.endsWith("SnapshotRemoved")) return { name: data["name"] };
  if (type.endsWith("SnapshotNamed")) {
    const { name, validAt, lsn } = data;
    return { name, validAt: String(validAt), ...(lsn !== 0 && { lsn: String(lsn) }) };
  }
  if (type.includes("Constraint")) {
    const [kind, entity] = [data["kind"] === "unique" ? 0 : 1, data["entity"] === "edge" ? 1 : 0];
    return { kind, entity, label: data["label"], property: [data["property"]].flat() };
  }
  if (type.endsWith("GraphBatch")) {
    const items = data["items"] as readonly { type: string; data: Data }[];
    return { items: items.map((item) => ({ [fieldOf(item.type)]: asMessage(item.type, item.data) })) };
  }
  const message: Data = { id: String(data["id"]) };
  if (data["key"] !== undefined) message["key"] = data["key"];
  if (data["label"] !== undefined) message["label"] = data["label"];
  if (data["properties"] !== undefined) {
    const entries = Object.entries(data["properties"] as Record<string, PropertyValue>);
    message["properties"] = entries.map(([key, value]) => ({ key, value: asValue(value) }));
  }
  for (const [key, field] of [
    ["validFrom", "validFrom"],
    ["validTo", "validTo"],
    ["source", "source"],
    ["target", "target"],
    ["expectedVersion", "expectedVersion"],
  ] as const) {
    if (data[key] !== undefined) message[field] = String(data[key]);
  }
  if (data["detach"] !== undefined) message["detach"] = data["detach"];
  return message;
}

/** The field of an item that has a change of this type, as protobufjs calls it. */
function fieldOf(type: string): string {
  const name = type.slice("varve.v1.".length);
  return name.charAt(0).toLowerCase() + name.slice(1);
}

function asValue(value: PropertyValue): Data {
  if (value === null) return { null: true };
  if (typeof value === "string") return { text: value };
  if (typeof value === "boolean") return { flag: value };
  if (value instanceof Uint8Array) return { blob: Buffer.from(value).toString("hex") };
  if (value instanceof Float32Array) return { vector: Buffer.from(value.buffer).toString("hex") };
  return Number.isSafeInteger(value) && !Object.is(value, -0)
    ? { integer: String(value) }
    : { number: String(numberText(value)) };
}

function numberText(value: number): string {
  return Object.is(value, -0) ? "-0" : String(value);
}

/** A decoded protobufjs message in the same shape as `asMessage` gives. */
function seenByReflection(type: string, bytes: Uint8Array): Data {
  const message = schema.lookupType(type);
  const object = message.toObject(message.decode(bytes), { longs: String, enums: Number, arrays: true, bytes: Array });
  if (type.endsWith("GraphIdsReserved")) return { kind: object["kind"] ?? 0, through: object["through"] };
  if (type.includes("Constraint")) return { kind: 0, entity: 0, ...object };
  if (type.endsWith("GraphBatch")) {
    const items = decodeGraphEvent(type, bytes) as { items: { type: string; data: object }[] };
    const read = message.decode(bytes) as unknown as { items: Record<string, { constructor: unknown }>[] };
    return {
      items: items.items.map((item, index) => {
        const field = fieldOf(item.type);
        const inner = schema.lookupType(item.type);
        const nested = inner.encode(inner.fromObject(read.items[index]?.[field] as object)).finish();
        return { [field]: seenByReflection(item.type, nested) };
      }),
    };
  }
  for (const property of (object["properties"] ?? []) as { key?: string; value: Data }[]) {
    property.key ??= "";
    const { value } = property;
    if (value["number"] !== undefined) value["number"] = numberText(value["number"] as number);
    for (const key of ["blob", "vector"])
      if (value[key] !== undefined) value[key] = Buffer.from(value[key] as number[]).toString("hex");
  }
  const hasProperties = message.fields["properties"] !== undefined;
  if (!hasProperties) delete object["properties"];
  return { ...(message.fields["detach"] !== undefined && { detach: false }), ...object };
}

function sorted(object: object): [string, unknown][] {
  return Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1));
}

test("writes what protobufjs reads by the schema", () => {
  for (let round = 0; round < 3000; round += 1) {
    const type = random.pick(TYPES);
    const data = randomData(type);
    assert.equal(sorted(seenByReflection(type, encodeGraphEvent(type, data))), sorted(asMessage(type, data)), type);
  }
});

test("reads what protobufjs writes by the schema", () => {
  for (let round = 0; round < 3000; round += 1) {
    const type = random.pick(TYPES);
    const data = randomData(type);
    const message = schema.lookupType(type);
    const object = asMessage(type, data);
    const messages = [object, ...((object["items"] ?? []) as Data[]).flatMap((item) => Object.values(item) as Data[])];
    for (const { value } of messages.flatMap((each) => (each["properties"] ?? []) as { value: Data }[])) {
      if (value["number"] !== undefined) value["number"] = Number(value["number"]);
      for (const key of ["blob", "vector"])
        if (value[key] !== undefined) value[key] = Buffer.from(value[key] as string, "hex");
    }
    const bytes = message.encode(message.fromObject(object)).finish();
    assert.is(plain(decodeGraphEvent(type, bytes)), plain(withDefaults(type, data)), type);
  }
});

test("gives back what it was given, also what JavaScript and protobuf see differently", () => {
  for (let round = 0; round < 3000; round += 1) {
    const type = random.pick(TYPES);
    const data = randomData(type);
    const decoded = decodeGraphEvent(type, encodeGraphEvent(type, data));
    assert.is(plain(decoded), plain(withDefaults(type, data)), type);
  }
});

/** The value as text, exactly: uvu's `equal` takes −0 for 0, and stumbles over a key "constructor". */
function plain(value: unknown): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (value instanceof Float32Array) return `v${Buffer.from(value.buffer).toString("hex")}`;
  if (typeof value === "number") return numberText(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${sorted(value).map(([key, item]) => `${JSON.stringify(key)}:${plain(item)}`)}}`;
}

// The decoder gives properties without a prototype, and the two defaults.
function withDefaults(type: string, data: Data): Data {
  if (type.endsWith("GraphBatch")) {
    const items = data["items"] as readonly { type: string; data: Data }[];
    return { items: items.map((item) => ({ ...item, data: withDefaults(item.type, item.data) })) };
  }
  return { ...data, ...(/Node(Deleted|Retracted)/.test(type) && { detach: data["detach"] ?? false }) };
}

test("decoded properties inherit nothing, so every key is only a key", () => {
  const properties = JSON.parse('{"__proto__": 1, "constructor": 2, "hasOwnProperty": 3}');
  const bytes = encodeGraphEvent("varve.v1.NodeCreated", { id: 1, label: "A", properties });
  const decoded = decodeGraphEvent("varve.v1.NodeCreated", bytes) as { properties: Data };
  assert.equal(
    ["toString", "valueOf", "isPrototypeOf"].filter((key) => key in decoded.properties),
    [],
  );
  assert.equal(Object.keys(decoded.properties), ["__proto__", "constructor", "hasOwnProperty"]);
  assert.equal(Object.values(decoded.properties), [1, 2, 3]);
});

test("an open end may be given as null, as it reads", () => {
  const open = encodeGraphEvent("varve.v1.NodeDeleted", { id: 1, validFrom: 5, validTo: null });
  sameBytes(open, encodeGraphEvent("varve.v1.NodeDeleted", { id: 1, validFrom: 5 }));
});

for (const [what, type, data] of [
  ["an unknown type", "NodeExploded", { id: 1 }],
  ["data that is no object", "NodeRetracted", 7],
  ["an unknown key", "NodeRetracted", { id: 1, validFrom: 1 }],
  ["no id", "NodeRetracted", {}],
  ["id 0", "NodeRetracted", { id: 0 }],
  ["a negative id", "NodeRetracted", { id: -1 }],
  ["an id above 2^53 − 1", "NodeRetracted", { id: 2 ** 53 }],
  ["an id that is text", "NodeRetracted", { id: "1" }],
  ["no label", "NodeCreated", { id: 1 }],
  ["an empty label", "NodeCreated", { id: 1, label: "" }],
  ["a label with a lone surrogate", "NodeCreated", { id: 1, label: "a\ud800" }],
  ["properties that are a list", "NodePut", { id: 1, label: "A", properties: [] }],
  ["a time that is text", "NodeDeleted", { id: 1, validFrom: "2020" }],
  ["detach that is a number", "NodeDeleted", { id: 1, detach: 1 }],
  ["no target", "EdgeCreated", { id: 1, label: "A", source: 1 }],
  ["a snapshot without a name", "GraphSnapshotNamed", { validAt: 1, lsn: 1 }],
  ["a snapshot with an empty name", "GraphSnapshotNamed", { name: "", validAt: 1, lsn: 1 }],
  ["a snapshot's name that is too long", "GraphSnapshotNamed", { name: "ü".repeat(129), validAt: 1, lsn: 1 }],
  ["a snapshot's name with a lone surrogate", "GraphSnapshotRemoved", { name: "a\ud800" }],
  ["a snapshot of no LSN", "GraphSnapshotNamed", { name: "a", validAt: 1 }],
  ["a snapshot with a time that is text", "GraphSnapshotNamed", { name: "a", validAt: "1", lsn: 1 }],
  ["a removal with a point", "GraphSnapshotRemoved", { name: "a", lsn: 1 }],
  ["a reservation of something else", "GraphIdsReserved", { kind: "NODE", through: 1 }],
] as const) {
  test(`refuses as misuse: ${what}`, () => {
    assert.throws(
      () => encodeGraphEvent(`varve.v1.${type}`, data),
      (error: unknown) => error instanceof TypeError,
    );
  });
}

for (const [what, code, data] of [
  ["undefined", "ERR_GRAPH_INVALID_PROPERTY", { properties: { a: undefined } }],
  ["a bigint", "ERR_GRAPH_INVALID_PROPERTY", { properties: { a: 1n } }],
  ["a list", "ERR_GRAPH_INVALID_PROPERTY", { properties: { a: [] } }],
  ["an object", "ERR_GRAPH_INVALID_PROPERTY", { properties: { a: {} } }],
  ["text with a lone surrogate", "ERR_GRAPH_INVALID_PROPERTY", { properties: { a: "\udc00" } }],
  ["a key with a lone surrogate", "ERR_GRAPH_INVALID_PROPERTY", { properties: { "\ud800": 1 } }],
  ["a reversed period", "ERR_GRAPH_INVALID_PERIOD", { validFrom: 2, validTo: 1 }],
  ["an empty period", "ERR_GRAPH_INVALID_PERIOD", { validFrom: 2, validTo: 2 }],
  ["a time above 2^53 − 1", "ERR_GRAPH_INVALID_PERIOD", { validFrom: 2 ** 53 }],
  ["a time that is no whole number", "ERR_GRAPH_INVALID_PERIOD", { validTo: 1.5 }],
] as const) {
  test(`refuses with ${code}: ${what}`, () => {
    const encode = () => encodeGraphEvent("varve.v1.NodeCreated", { id: 1, label: "A", ...data });
    assert.throws(encode, (error: unknown) => isStoreError(error, code));
  });
}

test("a getter that encodes another event does not disturb the first", () => {
  const inner = { id: 2, label: "B", properties: { b: 1 } };
  const properties = Object.defineProperty({}, "a", {
    enumerable: true,
    get: () => encodeGraphEvent("varve.v1.NodeCreated", inner).length,
  });
  const bytes = encodeGraphEvent("varve.v1.NodeCreated", { id: 1, label: "A", properties });
  const length = encodeGraphEvent("varve.v1.NodeCreated", inner).length;
  sameBytes(bytes, encodeGraphEvent("varve.v1.NodeCreated", { id: 1, label: "A", properties: { a: length } }));
});

test("bytes that were cut or changed are refused with a code or read as something else, and nothing around them is read", () => {
  const fields = new GraphEventFields();
  for (let round = 0; round < 4000; round += 1) {
    const type = random.pick([...GRAPH_EVENT_KINDS.keys()]);
    const kind = GRAPH_EVENT_KINDS.get(type);
    if (kind === undefined) throw new Error(type);
    const good = encodeGraphEvent(type, randomData(type)).slice(0, 400);
    const bytes = random.integer(2) === 0 ? good.slice(0, random.integer(good.length + 1)) : damaged(good);
    let outcome: string;
    try {
      outcome = JSON.stringify(decodeGraphEvent(type, bytes));
    } catch (error) {
      if (!isStoreError(error)) throw error;
      outcome = error.code;
    }
    // The same bytes amid others: what lies around must not matter.
    for (const filler of [0x00, 0x80, 0xff]) {
      const amid = new Uint8Array(bytes.length + 20).fill(filler);
      amid.set(bytes, 10);
      const code = fields.read(kind, amid, 10, 10 + bytes.length);
      assert.is(code, outcome.startsWith("ERR") ? outcome : null);
    }
  }
});

function damaged(good: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(good);
  for (let count = 1 + random.integer(3); count > 0; count -= 1)
    bytes[random.integer(bytes.length)] = random.integer(256);
  return bytes;
}

test("skips fields of the future, and takes properties in any order and place", () => {
  const property = (key: string, value: Uint8Array) =>
    message(0x1a, [...message(0x0a, Buffer.from(key)), ...message(0x12, value)]);
  const seven = property("seven", Uint8Array.of(0x19, ...new Uint8Array(new Float64Array([7]).buffer)));
  const empty = message(0x1a, [...message(0x12, []), ...message(0x0a, Buffer.from("empty"))]);
  const bytes = Uint8Array.of(
    ...seven,
    0x08,
    5,
    0xf8,
    0x3f,
    1,
    ...empty,
    0x12,
    1,
    0x41,
    0xfa,
    0x01,
    2,
    9,
    9,
    0x4d,
    1,
    2,
    3,
    4,
  );
  const decoded = decodeGraphEvent("varve.v1.NodeCreated", bytes) as unknown as Data;
  assert.is(decoded["id"], 5);
  assert.equal({ ...(decoded["properties"] as Data) }, { seven: 7, empty: null });
  // What another encoder wrote as 7.0 is the same 7.
  const fields = new GraphEventFields();
  const kind = GRAPH_EVENT_KINDS.get("varve.v1.NodeCreated");
  if (kind === undefined) throw new Error("no kind");
  assert.is(fields.read(kind, bytes, 0, bytes.length), null);
  const ours = encodeGraphEvent("varve.v1.NodeCreated", { id: 5, label: "A", properties: { seven: 7, empty: null } });
  sameBytes(fields.properties.subarray(fields.propertiesStart, fields.propertiesEnd), ours.subarray(5));
});

function message(tag: number, body: Iterable<number>): number[] {
  const bytes = [...body];
  return [tag, bytes.length, ...bytes];
}

test("refuses groups, a field with another wire type, field number 0 and numbers above 2^53 − 1", () => {
  for (const bytes of [
    [0x08, 1, 0x0b, 0x0c],
    [0x09, 0, 0, 0, 0, 0, 0, 0, 0],
    [0x08, 1, 0x00, 1],
    [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  ]) {
    const decode = () => decodeGraphEvent("varve.v1.NodeRetracted", Uint8Array.from(bytes));
    assert.throws(decode, (error: unknown) => isStoreError(error, "ERR_EVENTS_SCHEMA"));
  }
});

test("a vector is one or more finite numbers, and nothing else", () => {
  const withVector = (bytes: readonly number[]): Uint8Array => {
    const value = message(0x12, message(0x3a, bytes));
    return Uint8Array.from([0x08, 5, 0x12, 1, 0x41, ...message(0x1a, [...message(0x0a, Buffer.from("v")), ...value])]);
  };
  for (const bytes of [[], [0], [0, 0, 128, 63, 0], [0, 0, 128, 127], [0, 0, 128, 255], [1, 0, 192, 127]]) {
    const decode = () => decodeGraphEvent("varve.v1.NodeCreated", withVector(bytes));
    assert.throws(decode, (error: unknown) => isStoreError(error, "ERR_GRAPH_INVALID_PROPERTY"));
  }
  const { properties } = decodeGraphEvent("varve.v1.NodeCreated", withVector([0, 0, 128, 63])) as GraphEventData;
  assert.equal(properties?.["v"], Float32Array.of(1));
  for (const vector of [[], [Number.NaN], [1, Infinity], [1, -Infinity]]) {
    const encode = () =>
      encodeGraphEvent("varve.v1.NodePatched", { id: 1, properties: { v: Float32Array.from(vector) } });
    assert.throws(encode, (error: unknown) => isStoreError(error, "ERR_GRAPH_INVALID_PROPERTY"));
  }
});
