import crc32c from "crc-32/crc32c.js";
import { checksum } from "../../src/wal/checksum.js";
import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";

const test = suite("wal/checksum");

test("is CRC-32C: the vectors of RFC 3720 § B.4", () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, index) => index);
  assert.is(checksum(new Uint8Array(32)), 0x8a9136aa);
  assert.is(checksum(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.is(checksum(ascending), 0x46dd794e);
  assert.is(checksum(ascending.toReversed()), 0x113fdb5c);
  assert.is(checksum(Buffer.from("123456789")), 0xe3069283);
  assert.is(checksum(new Uint8Array(0)), 0);
});

test("agrees with crc-32 on every length and alignment, from any seed", () => {
  const random = seededRandom(11);
  const bytes = random.bytes(4096);
  for (let length = 0; length < 100; length++) {
    const start = random.integer(64);
    const seed = random.integer(2 ** 32);
    const expected = crc32c.buf(bytes.subarray(start, start + length), seed | 0) >>> 0;
    assert.is(checksum(bytes, start, start + length, seed), expected, `${length} bytes from ${start}`);
  }
  for (let round = 0; round < 200; round++) {
    const start = random.integer(bytes.length);
    const end = start + random.integer(bytes.length - start + 1);
    const expected = crc32c.buf(bytes.subarray(start, end)) >>> 0;
    assert.is(checksum(bytes, start, end), expected, `[${start}, ${end})`);
  }
});

test("agrees with crc-32 on memory that it sees for the first time", () => {
  const bytes = seededRandom(13).bytes(3000);
  for (const length of [0, 1, 3, 4, 15, 16, 17, 1023, 1024, 1025, 2999]) {
    const fresh = bytes.slice(1);
    const expected = crc32c.buf(bytes.subarray(2, 1 + length)) >>> 0;
    assert.is(checksum(fresh, 1, Math.max(1, length)), length < 2 ? 0 : expected, `${length} bytes`);
  }
});

test("of two pieces is that of the whole, when the second is seeded with the first", () => {
  const bytes = seededRandom(12).bytes(1000);
  const whole = checksum(bytes);
  for (let cut = 0; cut <= bytes.length; cut += 37)
    assert.is(checksum(bytes, cut, bytes.length, checksum(bytes, 0, cut)), whole);
});
