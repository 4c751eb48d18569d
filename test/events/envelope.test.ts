/** The hand-written codec against protobufjs reflection over the schema that says what it must be. */

import { join } from "node:path";
import protobuf from "protobufjs";
import { isStoreError } from "../../src/errors.js";
import {
  CONTENT_JSON,
  CONTENT_PROTOBUF,
  CONTENT_SEALED,
  EnvelopeView,
  encodeContent,
  encodeEnvelope,
  measure,
  type PreparedEvent,
  placeFields,
  streamField,
  typeField,
  varintBytes,
  writeVarint,
} from "../../src/events/envelope.js";
import { assert, sameBytes } from "../support/assert.js";
import { type SeededRandom, seededRandom } from "../support/seeded-random.js";
import { PROJECT_ROOT } from "../support/source-file.js";
import { suite } from "../support/suite.js";

const ROUNDS = 2000;
const VERSION_EDGES = [
  1,
  2,
  127,
  128,
  16_383,
  16_384,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 2,
  2 ** 53 - 1,
];
const NAMES = ["a", "konto-42", "ключ", "勘定", "👩‍🚀", "__proto__", "x".repeat(127), "x".repeat(128), "é".repeat(512)];
/** What lies around the envelope in its frame, to show a read or a write outside. */
const MARGIN_BYTES = 64;
const MARGIN_BYTE = 0xa5;
const SLACK_BYTES = 40;

interface Fields {
  readonly stream: string;
  readonly version: number;
  readonly type: string;
  readonly payload: string | Uint8Array;
  readonly content: number;
  readonly id: string | null;
  readonly metadata: string | null;
}

const EMPTY: PreparedEvent = {
  typeField: typeField("T"),
  payload: "",
  payloadBytes: 0,
  content: CONTENT_PROTOBUF,
  id: null,
  metadata: null,
  subject: null,
  sealed: null,
  byteLengthMax: 0,
};

const test = suite("events/envelope");
const Envelope = new protobuf.Root()
  .loadSync(join(PROJECT_ROOT, "schemas/varve/v1/envelope.proto"))
  .lookupType("varve.v1.Envelope");

function encode(fields: Fields): Uint8Array {
  const payload = asBytes(fields.payload);
  const prepared: PreparedEvent = {
    typeField: typeField(fields.type),
    // Encoded payloads come in memory that is longer than they are.
    payload:
      typeof fields.payload === "string" ? fields.payload : Buffer.concat([payload, Buffer.alloc(SLACK_BYTES, 1)]),
    payloadBytes: payload.length,
    content: fields.content,
    id: fields.id,
    metadata: fields.metadata,
    subject: null,
    sealed: null,
    byteLengthMax: 0,
  };
  measure(prepared);
  const field = streamField(fields.stream);
  const target = Buffer.alloc(MARGIN_BYTES + field.length + prepared.byteLengthMax, MARGIN_BYTE);
  const end = encodeEnvelope(target, MARGIN_BYTES, field, fields.version, prepared);
  assert.ok(end <= target.length, `${end} of at most ${target.length} bytes`);
  assert.ok(
    target.subarray(0, MARGIN_BYTES).every((byte) => byte === MARGIN_BYTE),
    "nothing is written in front",
  );
  return Uint8Array.prototype.slice.call(target, MARGIN_BYTES, end);
}

/** Decodes from the middle of a larger buffer, as replay does. */
function decode(bytes: Uint8Array): Fields {
  const frame = Buffer.alloc(bytes.length + 2 * MARGIN_BYTES, MARGIN_BYTE);
  frame.set(bytes, MARGIN_BYTES);
  const view = new EnvelopeView();
  view.decode(frame, MARGIN_BYTES, MARGIN_BYTES + bytes.length);
  for (const [start, end] of rangesOf(view)) {
    const isInside = start >= MARGIN_BYTES && end <= MARGIN_BYTES + bytes.length;
    assert.ok(start <= end && (isInside || (start === 0 && end === 0)), `a field lies at ${start} to ${end}`);
  }
  const text = (start: number, end: number): string => frame.toString("utf8", start, end);
  return {
    stream: text(view.streamStart, view.streamEnd),
    version: view.version,
    type: text(view.typeStart, view.typeEnd),
    payload: Uint8Array.from(frame.subarray(view.payloadStart, view.payloadEnd)),
    content: view.content,
    id: view.idEnd === 0 ? null : text(view.idStart, view.idEnd),
    metadata: view.metadataEnd === 0 ? null : text(view.metadataStart, view.metadataEnd),
  };
}

function rangesOf(view: EnvelopeView): [number, number][] {
  return [
    [view.streamStart, view.streamEnd],
    [view.typeStart, view.typeEnd],
    [view.payloadStart, view.payloadEnd],
    [view.idStart, view.idEnd],
    [view.metadataStart, view.metadataEnd],
  ];
}

function randomText(random: SeededRandom, codePoints: number): string {
  const ranges = [0x7f, 0x7ff, 0xd7ff, 0x1_ffff] as const;
  return Array.from({ length: codePoints }, () => {
    const code = random.integer(random.pick(ranges)) + 1;
    return String.fromCodePoint(code >= 0xd800 && code <= 0xdfff ? 0xfffd : code);
  }).join("");
}

function randomVersion(random: SeededRandom): number {
  return random.integer(3) === 0
    ? random.pick(VERSION_EDGES)
    : Math.floor(random.next() * 2 ** random.integer(54)) || 1;
}

function randomFields(random: SeededRandom): Fields {
  const name = (): string =>
    random.integer(3) === 0 ? random.pick(NAMES) : randomText(random, 1 + random.integer(40));
  const isProtobuf = random.integer(2) === 0;
  const length = random.pick([0, 1, 5, 63, 64, 65, 127, 128, 300, 20_000]);
  return {
    stream: name(),
    version: randomVersion(random),
    type: name(),
    payload: isProtobuf ? random.bytes(length) : randomText(random, length),
    content: isProtobuf ? CONTENT_PROTOBUF : CONTENT_JSON,
    id: random.integer(2) === 0 ? null : name(),
    metadata: random.integer(2) === 0 ? null : JSON.stringify({ [name()]: name() }),
  };
}

function asBytes(payload: string | Uint8Array): Uint8Array {
  return typeof payload === "string" ? Buffer.from(payload) : payload;
}

function assertSame(actual: Fields, expected: Fields, what: string): void {
  for (const key of ["stream", "version", "type", "content", "id", "metadata"] as const) {
    assert.is(actual[key], expected[key], `${what}: ${key}`);
  }
  sameBytes(asBytes(actual.payload), asBytes(expected.payload));
}

/** What protobufjs understands of the bytes. Long, because a number would round the versions that are looked for. */
function reflect(bytes: Uint8Array): Fields {
  const message = Envelope.toObject(Envelope.decode(bytes), { longs: String });
  return {
    stream: message["stream"] ?? "",
    version: Number(message["version"] ?? 0),
    type: message["type"] ?? "",
    payload: Uint8Array.from(message["payload"] ?? []),
    content: message["content"] ?? 0,
    id: message["id"] ?? null,
    metadata: message["metadata"] === undefined ? null : Buffer.from(message["metadata"]).toString(),
  };
}

function reflectedBytes(fields: Fields): Uint8Array {
  const { id, metadata, payload, version, ...others } = fields;
  const message = {
    ...others,
    version: long(version),
    payload: asBytes(payload),
    ...(id === null ? {} : { id }),
    ...(metadata === null ? {} : { metadata: Buffer.from(metadata) }),
  };
  return Envelope.encode(message).finish();
}

function assertMalformed(bytes: Uint8Array, what: string): void {
  let answer = "was accepted";
  try {
    decode(bytes);
  } catch (error) {
    if (isStoreError(error, "ERR_WAL_CORRUPT")) return;
    answer = String(error);
  }
  assert.unreachable(`${what} ${answer}`);
}

function isMalformed(bytes: Uint8Array): boolean {
  try {
    decode(bytes);
    return false;
  } catch (error) {
    if (isStoreError(error, "ERR_WAL_CORRUPT")) return true;
    throw error;
  }
}

test("payloads in memory that is used again and again are written whole, at every length and place", () => {
  const random = seededRandom();
  const target = Buffer.alloc(1024);
  const payloads = [new Uint8Array(200), Buffer.alloc(250).subarray(17)];
  for (let round = 0; round < 1000; round++) {
    const payload = payloads[round < 500 ? 0 : 1] as Uint8Array;
    const payloadBytes = random.integer(130);
    payload.set(random.bytes(payloadBytes));
    const prepared = { ...EMPTY, payload, payloadBytes };
    const start = random.integer(100);
    target.fill(MARGIN_BYTE);
    const end = encodeEnvelope(target, start, streamField("s"), 1, prepared);
    const view = new EnvelopeView();
    view.decode(target, start, end);
    sameBytes(target.subarray(view.payloadStart, view.payloadEnd), payload.subarray(0, payloadBytes));
    assert.ok(target.subarray(end).every((byte) => byte === MARGIN_BYTE));
  }
});

test("protobufjs reads what is written here", () => {
  const random = seededRandom();
  for (let round = 0; round < ROUNDS; round++) {
    const fields = randomFields(random);
    assertSame(reflect(encode(fields)), fields, `round ${round}`);
  }
});

test("what protobufjs writes is read here, byte for byte the same", () => {
  const random = seededRandom();
  for (let round = 0; round < ROUNDS; round++) {
    const fields = randomFields(random);
    const bytes = reflectedBytes(fields);
    assertSame(decode(bytes), fields, `round ${round}`);
    sameBytes(encode(fields), bytes);
  }
});

test("versions at the edges of a varint's bytes keep every bit", () => {
  for (const version of VERSION_EDGES) {
    const fields: Fields = { stream: "s", version, type: "t", payload: "", content: 0, id: null, metadata: null };
    assert.is(reflect(encode(fields)).version, version);
    assert.is(decode(reflectedBytes(fields)).version, version);
  }
});

test("a varint takes as many bytes as it says", () => {
  const target = new Uint8Array(16);
  for (const value of [0, ...VERSION_EDGES]) assert.is(writeVarint(target, 0, value), varintBytes(value), `${value}`);
});

test("an empty payload is left out, and absent id and metadata too", () => {
  const fields: Fields = { stream: "s", version: 1, type: "t", payload: "", content: 0, id: null, metadata: null };
  sameBytes(encode(fields), Buffer.from([0x0a, 1, 0x73, 0x10, 1, 0x1a, 1, 0x74]));
  assertSame(decode(encode(fields)), fields, "decoded");
});

test("unknown fields of every wire type are skipped, wherever they stand", () => {
  const known: Fields = { stream: "s", version: 300, type: "t", payload: "{}", content: 0, id: "i", metadata: "{}" };
  const writer = (): protobuf.Writer => protobuf.Writer.create();
  const unknown = [
    writer()
      .uint32((15 << 3) | 0)
      .uint64(long(2n ** 64n - 1n)),
    writer()
      .uint32((16 << 3) | 1)
      .fixed64(7),
    writer()
      .uint32((2000 << 3) | 2)
      .bytes(Buffer.alloc(200, 0x0a)),
    writer()
      .uint32((536_870_911 << 3) | 5)
      .fixed32(7),
  ].map((item) => item.finish());
  const bytes = encode(known);
  for (const field of unknown) {
    assertSame(decode(Buffer.concat([field, bytes])), known, "in front");
    assertSame(decode(Buffer.concat([bytes, field])), known, "behind");
  }
  assertSame(decode(Buffer.concat([...unknown, bytes, ...unknown])), known, "around");
});

test("sealed content is in fields of its own, and what it was sealed of, put behind, is what counts", () => {
  const keyId = new Uint8Array(16).fill(7);
  const plain: PreparedEvent = {
    ...EMPTY,
    content: CONTENT_JSON,
    payload: '{"a":1}',
    payloadBytes: 7,
    metadata: '{"b":2}',
  };
  const bytes = Buffer.alloc(300, 9);
  const sealed: PreparedEvent = { ...EMPTY, id: "i", content: CONTENT_SEALED, sealed: { keyId, bytes } };
  measure(sealed);
  const target = Buffer.alloc(sealed.byteLengthMax + 10);
  const record = target.subarray(0, encodeEnvelope(target, 0, streamField("s"), 5, sealed));
  const reflected = Envelope.toObject(Envelope.decode(record));
  assert.equal(Object.keys(reflected).sort(), ["content", "id", "sealed", "stream", "subjectKey", "type", "version"]);
  assert.is(reflected["content"], CONTENT_SEALED);
  sameBytes(reflected["subjectKey"] as Uint8Array, keyId);
  sameBytes(reflected["sealed"] as Uint8Array, bytes);
  const view = new EnvelopeView();
  view.decode(record, 0, record.length);
  assert.equal([view.payloadEnd, view.metadataEnd, view.sealedEnd - view.sealedStart], [0, 0, 300]);
  sameBytes(placeFields(record, view), Buffer.concat([streamField("s"), typeField("T")]));
  const opened = decode(Buffer.concat([record, encodeContent(plain)]));
  const expected = { stream: "s", version: 5, type: "T", payload: plain.payload as string, content: 0, id: "i" };
  assertSame(opened, { ...expected, metadata: plain.metadata }, "opened");
});

test("of a field that stands twice the last counts, as protobuf demands", () => {
  const first: Fields = { stream: "a", version: 1, type: "t", payload: "1", content: 0, id: "x", metadata: "{}" };
  const second: Fields = { stream: "b", version: 2, type: "u", payload: "2", content: 1, id: "y", metadata: "[]" };
  const bytes = Buffer.concat([encode(first), encode(second)]);
  assertSame(decode(bytes), second, "here");
  assertSame(reflect(bytes), second, "protobufjs");
});

test("an envelope cut at any byte is refused, or is the shorter envelope that it then is", () => {
  const fields: Fields = {
    stream: "stream",
    version: 2 ** 40,
    type: "type",
    payload: new Uint8Array(200),
    content: CONTENT_PROTOBUF,
    id: "id",
    metadata: '{"a":1}',
  };
  const bytes = encode(fields);
  let refusedCount = 0;
  for (let length = 0; length < bytes.length; length++) {
    const cut = bytes.subarray(0, length);
    // Between two fields a cut leaves a whole envelope with fewer fields; protobufjs is the judge.
    let isWhole = true;
    try {
      Envelope.decode(cut);
    } catch {
      isWhole = false;
    }
    assert.is(isMalformed(cut), !isWhole, `cut at ${length}`);
    if (!isWhole) refusedCount++;
  }
  assert.ok(refusedCount > bytes.length - 12);
});

test("lengths that lie beyond the envelope are refused, whatever their size", () => {
  const lengths = [3, 127, 128, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 2, 2 ** 53 - 1];
  for (const tag of [0x0a, 0x1a, 0x22, 0x32, 0x3a, (99 << 3) | 2]) {
    for (const length of lengths) {
      const bytes = new Uint8Array(32);
      const at = writeVarint(bytes, writeVarint(bytes, 0, tag), length);
      assertMalformed(bytes.subarray(0, at + 2), `a field with tag ${tag} of ${length} bytes, of which 2 are there,`);
    }
    const ten = Uint8Array.from([...varint(tag), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0]);
    assertMalformed(ten, `a field with tag ${tag} of 2^64 − 1 bytes`);
  }
});

test("varints of more than ten bytes, wire types that do not exist and numbers without their end are refused", () => {
  assertMalformed(Uint8Array.from([0x10, ...new Array<number>(10).fill(0xff), 1]), "a varint of 11 bytes");
  assertMalformed(Uint8Array.from([...new Array<number>(11).fill(0x80), 0]), "a tag of 12 bytes");
  for (const wireType of [3, 4, 6, 7]) {
    assertMalformed(Uint8Array.from([(9 << 3) | wireType, 0, 0, 0, 0, 0, 0, 0, 0]), `wire type ${wireType}`);
  }
  assertMalformed(Uint8Array.from([(9 << 3) | 1, 0, 0, 0, 0, 0, 0, 0]), "a fixed64 of 7 bytes");
  assertMalformed(Uint8Array.from([(9 << 3) | 5, 0, 0, 0]), "a fixed32 of 3 bytes");
  assertMalformed(Uint8Array.from([0x10]), "a version without its number");
  assertMalformed(Uint8Array.from([0x10, 0x80]), "a version that ends in its middle");
});

test("a version beyond the safe integers is refused instead of rounded", () => {
  const bytes = protobuf.Writer.create()
    .uint32(0x10)
    .uint64(long(2n ** 53n));
  assertMalformed(bytes.finish(), "version 2^53");
});

test("random bytes are refused or decoded, and never read beyond their end", () => {
  const random = seededRandom();
  let refusedCount = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes = random.bytes(random.integer(40));
    if (isMalformed(bytes)) refusedCount++;
  }
  assert.ok(refusedCount > 10_000 && refusedCount < 20_000, `${refusedCount} refused`);
});

test("an envelope with one byte changed is refused or decoded, and never read beyond its end", () => {
  const random = seededRandom();
  for (let round = 0; round < 500; round++) {
    const bytes = encode({ ...randomFields(random), payload: random.bytes(random.integer(20)) });
    for (let count = 0; count < 20; count++) {
      const changed = Uint8Array.from(bytes);
      changed[random.integer(bytes.length)] = random.integer(256);
      isMalformed(changed);
    }
  }
});

/** The form of 64-bit numbers that protobufjs takes without rounding. */
function long(value: number | bigint): { low: number; high: number; unsigned: boolean } {
  const bits = BigInt(value);
  return { low: Number(BigInt.asIntN(32, bits)), high: Number(BigInt.asIntN(32, bits >> 32n)), unsigned: true };
}

function varint(value: number): Uint8Array {
  const bytes = new Uint8Array(10);
  return bytes.subarray(0, writeVarint(bytes, 0, value));
}
