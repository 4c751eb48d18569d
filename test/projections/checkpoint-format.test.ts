import { crc32 } from "node:zlib";
import {
  CHUNK_HEADER_BYTES,
  CHUNK_KIND,
  type CheckpointFacts,
  decodeChunkHeader,
  decodeFacts,
  decodePreamble,
  decodeSecret,
  encodeChunkHeader,
  encodeFacts,
  encodePreamble,
  encodeSecret,
} from "../../src/projections/checkpoint-format.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("projections/checkpoint-format");

const facts: CheckpointFacts = {
  name: "balances",
  version: 3,
  lsn: 7,
  witness: { lsn: 6, recordedAt: -5 },
  storeId: "a1",
  skippedEvents: 1,
  parked: [{ lsn: 4, type: "Deposited", message: "no such account" }],
};

test("the preamble is the documented bytes", () => {
  const { bytes, chain } = encodePreamble();
  assert.is(Buffer.from(bytes.subarray(0, 12)).toString("latin1"), "VARVEPRJ\x01\0\0\0");
  assert.equal(decodePreamble(bytes), { kind: "current", chain, isEncrypted: false });
  const encrypted = encodePreamble(true);
  assert.is(Buffer.from(encrypted.bytes.subarray(0, 12)).toString("latin1"), "VARVEPRJ\x02\0\0\0");
  assert.equal(decodePreamble(encrypted.bytes), { kind: "current", chain: encrypted.chain, isEncrypted: true });
});

test("a flipped bit anywhere in the preamble is damage", () => {
  for (let bit = 0; bit < 16 * 8; bit += 1) {
    const { bytes } = encodePreamble();
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.is(decodePreamble(bytes).kind, "damaged", `bit ${bit}`);
  }
});

test("a whole preamble of another format is told apart from damage", () => {
  // 3, and the CRC-32 of "VARVEPRJ" with it.
  const bytes = Buffer.from("VARVEPRJ\x03\0\0\0\0\0\0\0", "latin1");
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 12)), 12);
  assert.is(decodePreamble(bytes).kind, "newer-format");
});

test("the key and salt of an encrypted file come back, and a flipped bit is damage", () => {
  const salt = Uint8Array.from({ length: 32 }, (_, index) => index);
  const { bytes, chain } = encodeSecret({ keyId: 7, salt }, 99);
  assert.equal(decodeSecret(bytes, 99), { kind: "secret", keyId: 7, salt, chain });
  assert.is(decodeSecret(bytes, 98).kind, "damaged");
  assert.is(decodeSecret(bytes.subarray(1), 99).kind, "damaged");
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const flipped = Uint8Array.from(bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.is(decodeSecret(flipped, 99).kind, "damaged", `bit ${bit}`);
  }
});

test("a chunk header comes back, and only after the header it was written after", () => {
  const target = new Uint8Array(CHUNK_HEADER_BYTES);
  const payload = Uint8Array.of(1, 2, 3);
  const chain = encodeChunkHeader(target, { kind: CHUNK_KIND.state, payload, chain: 99 });
  const reading = decodeChunkHeader(target, 99);
  if (reading.kind !== "header") throw new Error(reading.message);
  assert.is(reading.header.kind, CHUNK_KIND.state);
  assert.is(reading.header.payloadBytes, 3);
  assert.is(reading.header.chain, chain);
  assert.is(decodeChunkHeader(target, 98).kind, "damaged");
});

test("a header of an unknown kind is damage even when its checksum is right", () => {
  const target = new Uint8Array(CHUNK_HEADER_BYTES);
  for (const kind of [0, 4]) {
    encodeChunkHeader(target, { kind: kind as 1, payload: new Uint8Array(0), chain: 0 });
    assert.is(decodeChunkHeader(target, 0).kind, "damaged");
  }
});

test("facts come back as they were", () => {
  for (const given of [facts, { ...facts, witness: null, storeId: null, parked: [] }]) {
    const reading = decodeFacts(encodeFacts(given));
    assert.equal(reading, { kind: "facts", facts: given });
  }
});

test("facts of the wrong shape are damage", () => {
  for (const wrong of [
    { lsn: -1 },
    { lsn: 2 ** 53 },
    { lsn: "7" },
    { name: null },
    { version: 1.5 },
    { witness: 3 },
    { witness: { lsn: 1 } },
    { storeId: 4 },
    { skippedEvents: undefined },
    { parked: {} },
    { parked: [null] },
    { parked: [{ lsn: 1, type: "A" }] },
  ]) {
    const bytes = new TextEncoder().encode(JSON.stringify({ ...facts, ...wrong }));
    assert.is(decodeFacts(bytes).kind, "damaged", JSON.stringify(wrong));
  }
  for (const text of ["", "null", "[]", "{", "7"]) {
    assert.is(decodeFacts(new TextEncoder().encode(text)).kind, "damaged", text);
  }
  assert.is(decodeFacts(Uint8Array.of(0x22, 0xff, 0x22)).kind, "damaged");
});
