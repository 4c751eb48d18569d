/** Memory for keys: what keeps it from the swap, from dumps, and from whoever maps memory next. */

import { readFileSync } from "node:fs";
import { SecretMemory } from "../../src/ffi/secret-memory.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("ffi/secret-memory");

/** What the kernel says of the mapping at an address. */
function flagsOf(address: bigint): string[] {
  const start = address.toString(16).padStart(8, "0");
  const maps = readFileSync("/proc/self/smaps", "latin1");
  const entry = maps.slice(maps.indexOf(`\n${start}-`) + 1);
  return (/^VmFlags: (.*)$/m.exec(entry)?.[1] ?? "").trim().split(" ");
}

test("it is zeros, locked, and left out of dumps", () => {
  const memory = new SecretMemory(4096);
  assert.ok(memory.bytes.every((byte) => byte === 0));
  const flags = flagsOf(memory.address);
  assert.ok(flags.includes("dd"), `not dumped: ${flags}`);
  assert.is(flags.includes("lo"), memory.isLocked, `locked: ${flags}`);
  memory.close();
});

test("another piece of memory can be copied without a look at it", () => {
  const source = new SecretMemory(4096);
  const target = new SecretMemory(8192);
  source.bytes.fill(7);
  target.copyFrom(source.address, 32);
  assert.is(target.bytes.subarray(0, 32).toString("hex"), "07".repeat(32));
  assert.ok(target.bytes.subarray(32).every((byte) => byte === 0));
  source.close();
  target.close();
});

test("after closing nobody has a view of it, and closing again does nothing", () => {
  const memory = new SecretMemory(4096);
  assert.is(memory.isOpen, true);
  memory.close();
  memory.close();
  assert.is(memory.isOpen, false);
  assert.throws(() => memory.bytes);
});
