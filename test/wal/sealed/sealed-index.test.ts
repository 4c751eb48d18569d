/** The small parts of sealed segments: numbers, names' hashes and filters, the cache. */

import { ByteLru } from "../../../src/wal/sealed/byte-lru.js";
import { addToFilter, filterBytes, mayContain } from "../../../src/wal/sealed/name-filter.js";
import { hashName } from "../../../src/wal/sealed/name-hash.js";
import {
  readI64,
  readU64,
  VarintReader,
  varintBytes,
  writeI64,
  writeU64,
  writeVarint,
} from "../../../src/wal/sealed/number-fields.js";
import { StreamTable } from "../../../src/wal/sealed/stream-table.js";
import { assert } from "../../support/assert.js";
import { seededRandom } from "../../support/seeded-random.js";
import { suite } from "../../support/suite.js";

const test = suite("wal/sealed/index");

const NUMBERS = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 2 ** 32 - 1, 2 ** 32, 2 ** 49, 2 ** 53 - 1];

test("numbers come back from their fields and their varints, and what is no safe integer is none", () => {
  const random = seededRandom();
  const numbers = [...NUMBERS, ...Array.from({ length: 500 }, () => Math.floor(2 ** (random.next() * 53)))];
  const bytes = Buffer.alloc(16);
  for (const value of numbers) {
    writeU64(bytes, 3, value);
    assert.is(readU64(bytes, 3), value);
    for (const signed of [value, 0 - value]) {
      writeI64(bytes, 3, signed);
      assert.is(readI64(bytes, 3), signed);
      assert.is(bytes.readBigInt64LE(3), BigInt(signed));
    }
    const end = writeVarint(bytes, 1, value);
    assert.is(end - 1, varintBytes(value));
    assert.is(new VarintReader(bytes, 1, bytes.length).next(), value);
    assert.ok(Number.isNaN(new VarintReader(bytes, 1, end - 1).next()));
  }
  bytes.fill(0xff);
  assert.ok(Number.isNaN(readU64(bytes, 0)));
  assert.ok(Number.isNaN(new VarintReader(bytes, 0, bytes.length).next()));
});

test("the hash of a name is what the format says for ever", () => {
  const hash = { low: 0, high: 0 };
  const found = ["", "a", "account-42", "ä".repeat(100)].map((name) => {
    const bytes = Buffer.from(`?${name}!`);
    hashName(hash, bytes, 1, bytes.length - 1);
    return `${hash.high.toString(16)} ${hash.low.toString(16)}`;
  });
  assert.equal(found, ["488bdcb8 1aee8d83", "1213124e da4555df", "a643b68c f60ef168", "90c54233 b0d6259"]);
});

test("the filter knows every name that was added, and takes about one absent name in a hundred for one of them", () => {
  const hash = { low: 0, high: 0 };
  const hashOf = (name: string): { low: number; high: number } => {
    const bytes = Buffer.from(name);
    hashName(hash, bytes, 0, bytes.length);
    return hash;
  };
  const filter = new Uint8Array(filterBytes(10_000));
  assert.ok(filter.length <= 12_600);
  for (let index = 0; index < 10_000; index++) addToFilter(filter, hashOf(`n-${index}`).low, hashOf(`n-${index}`).high);
  let mistaken = 0;
  for (let index = 0; index < 10_000; index++) {
    assert.ok(mayContain(filter, hashOf(`n-${index}`).low, hashOf(`n-${index}`).high));
    if (mayContain(filter, hashOf(`absent-${index}`).low, hashOf(`absent-${index}`).high)) mistaken++;
  }
  assert.ok(mistaken < 300, `${mistaken} of 10,000`);
  assert.not(mayContain(new Uint8Array(0), 1, 1));
});

test("the table keeps streams apart, long names too, and its LSNs in the order of streams", () => {
  const random = seededRandom();
  const table = new StreamTable();
  for (let round = 0; round < 3; round++) {
    const expected = new Map<string, number[]>();
    for (let lsn = 0; lsn < 20_000; lsn++) {
      const stream = random.integer(3000);
      const name = Buffer.from(`${stream}`.padEnd(stream % 120, "-"));
      const lsns = expected.get(name.toString()) ?? [];
      expected.set(name.toString(), lsns);
      lsns.push(lsn);
      table.queue(name, 0, name.length, 2 ** 33 + lsns.length, lsn);
      // The queue holds one frame's names: here each is a frame.
      assert.is(table.enter(name), null);
    }
    assert.is(table.streamCount, expected.size);
    assert.is(table.recordCount, 20_000);
    const sorted = table.sortedLsns();
    const target = Buffer.alloc(200);
    let start = 0;
    for (let stream = 0; stream < table.streamCount; stream++) {
      const name = target.toString("utf8", 0, table.copyName(stream, target, 0));
      const count = table.count(stream);
      assert.equal([...sorted.subarray(start, start + count)], expected.get(name));
      assert.is(table.firstVersion(stream), 2 ** 33 + 1);
      assert.is(table.find(Buffer.from(name), 0, Buffer.byteLength(name)), stream);
      start += count;
    }
    assert.is(table.find(Buffer.from("absent"), 0, 6), null);
    table.clear();
    assert.is(table.find(Buffer.from("1"), 0, 1), null);
  }
});

test("what was used lately stays in the cache, what was not goes, and its bytes are bounded", () => {
  const cache = new ByteLru<{ readonly memoryBytes: number; readonly key: number }>(1000);
  for (let key = 0; key < 1000; key++) {
    cache.set(key, { memoryBytes: 100, key });
    assert.is(cache.get(key)?.key, key);
    assert.is(cache.get(0)?.key, 0, "used in every round");
    assert.ok(cache.byteLength <= 1000);
  }
  assert.is(cache.get(500), undefined);
  cache.set(7777, { memoryBytes: 501, key: 7777 });
  assert.is(cache.get(7777), undefined, "larger than a generation");
  cache.clear();
  assert.is(cache.byteLength, 0);
  assert.is(cache.get(0), undefined);
});
