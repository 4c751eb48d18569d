import { setTimeout as delay } from "node:timers/promises";
import { largeMemory } from "../../src/ffi/large-memory.js";
import { addressOf } from "../../src/ffi/libc.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("ffi/large memory");

for (const byteLength of [0, 1, 4096, 64 * 1024, 100_001, 2 * 1024 * 1024, 4 * 1024 * 1024 + 8]) {
  test(`${byteLength} bytes are as many, zeroed, and begin where 8 bytes can be read at once`, () => {
    const memory = largeMemory(byteLength);
    assert.is(memory.byteLength, byteLength);
    assert.is(memory.byteOffset % 8, 0);
    assert.ok(memory.every((byte) => byte === 0));
    memory.fill(0xff);
    assert.ok(memory.every((byte) => byte === 0xff));
  });
}

test("what is large begins on a boundary of cache lines, each time", () => {
  for (let count = 0; count < 20; count += 1) {
    const memory = largeMemory(64 * 1024 + count * 24);
    assert.is(addressOf(memory) % 64n, 0n);
  }
});

test("what was filled stays as it is while huge pages are put behind it, and may be written to", async () => {
  const memory = largeMemory(9 * 1024 * 1024 + 3, true);
  const valueAt = (index: number): number => (index * 31 + (index >>> 12)) & 0xff;
  for (let index = 0; index < memory.length; index += 1) memory[index] = valueAt(index);
  for (let written = 0; written < 40; written += 1) {
    memory[written * 200_000] = valueAt(written * 200_000);
    await delay(25);
  }
  assert.ok(memory.every((byte, index) => byte === valueAt(index)));
});
