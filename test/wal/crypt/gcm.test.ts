import { createDecipheriv } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { decrypt, encryptInPlace, TAG_BYTES } from "../../../src/wal/crypt/gcm.js";
import { assert } from "../../support/assert.js";
import { suite } from "../../support/suite.js";

const test = suite("wal/crypt/gcm");
const key = Buffer.alloc(32, 3);
const aad = Buffer.from("header");
const text = Buffer.from("the quick brown fox");

function encrypted(position: number): { bytes: Buffer; tag: Buffer } {
  const [bytes, tag] = [Buffer.from(text), Buffer.alloc(TAG_BYTES)];
  encryptInPlace(key, position, aad, bytes, tag);
  return { bytes, tag };
}

test("what was encrypted comes back, and any other AES-256-GCM reads it with the documented nonce", () => {
  const position = 2 ** 40 + 4096;
  const { bytes, tag } = encrypted(position);
  assert.not.ok(bytes.equals(text));
  assert.ok(decrypt(key, position, aad, bytes, tag)?.equals(text));
  const nonce = Buffer.alloc(12);
  nonce.writeBigUInt64LE(BigInt(position), 0);
  const other = createDecipheriv("aes-256-gcm", key, nonce).setAAD(aad).setAuthTag(tag);
  assert.is(Buffer.concat([other.update(bytes), other.final()]).toString(), text.toString());
});

test("another place, header, key or bit is refused", () => {
  const { bytes, tag } = encrypted(8192);
  assert.is(decrypt(key, 4096, aad, bytes, tag), null);
  assert.is(decrypt(key, 8192, Buffer.from("Header"), bytes, tag), null);
  assert.is(decrypt(Buffer.alloc(32, 4), 8192, aad, bytes, tag), null);
  for (let bit = 0; bit < (bytes.length + tag.length) * 8; bit++) {
    const both = Buffer.concat([bytes, tag]);
    both[bit >> 3] = (both[bit >> 3] as number) ^ (1 << (bit & 7));
    assert.is(decrypt(key, 8192, aad, both.subarray(0, bytes.length), both.subarray(bytes.length)), null, `bit ${bit}`);
  }
});

test("nothing at all can be authenticated too", () => {
  const tag = Buffer.alloc(TAG_BYTES);
  encryptInPlace(key, 4096, aad, Buffer.alloc(0), tag);
  assert.is(decrypt(key, 4096, aad, Buffer.alloc(0), tag)?.length, 0);
  assert.is(decrypt(key, 4096, text, Buffer.alloc(0), tag), null);
});

test("each pair of key and nonce is told of, and not the key", () => {
  const told: unknown[] = [];
  const listener = (message: unknown): void => void told.push(message);
  subscribe("varve:nonce", listener);
  encrypted(4096);
  encrypted(8192);
  unsubscribe("varve:nonce", listener);
  encrypted(12_288);
  const nonces = (told as { nonce: string; keyFingerprint: string }[]).map(({ nonce }) => nonce);
  assert.equal(nonces, ["001000000000000000000000", "002000000000000000000000"]);
  assert.not.ok(JSON.stringify(told).includes(key.toString("hex")));
});
