import { hkdfSync } from "node:crypto";
import { deriveKey } from "../../../src/wal/crypt/hkdf.js";
import { assert } from "../../support/assert.js";
import { suite } from "../../support/suite.js";

const test = suite("wal/crypt/hkdf");

test("the first 32 bytes of RFC 5869's first two cases", () => {
  const sequence = (from: number, count: number): Buffer =>
    Buffer.from(Array.from({ length: count }, (_, at) => from + at));
  const target = Buffer.alloc(32);
  deriveKey(target, Buffer.alloc(22, 0x0b), sequence(0, 13), sequence(0xf0, 10));
  assert.is(target.toString("hex"), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
  deriveKey(target, sequence(0, 80), sequence(0x60, 80), sequence(0xb0, 80));
  assert.is(target.toString("hex"), "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c");
});

test("it is what Node's own gives", () => {
  const target = Buffer.alloc(32);
  for (let salt = 0; salt < 16; salt++) {
    const key = Buffer.alloc(32, salt + 1);
    deriveKey(target, key, Buffer.alloc(32, salt), Buffer.from(`purpose ${salt}`));
    const expected = Buffer.from(hkdfSync("sha256", key, Buffer.alloc(32, salt), `purpose ${salt}`, 32));
    assert.is(target.toString("hex"), expected.toString("hex"));
  }
});
