import { AlignedBuffer, BLOCK_BYTES, BufferPool } from "../../src/ffi/aligned-buffer.js";
import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";

const test = suite("ffi/aligned-buffer");

test("a new buffer is zero, and lies on a page boundary", () => {
  const buffer = new AlignedBuffer(3 * BLOCK_BYTES);
  assert.is(buffer.bytes.length, 3 * BLOCK_BYTES);
  assert.ok(buffer.bytes.every((byte) => byte === 0));
  assert.is(buffer.addressLow % BLOCK_BYTES, 0);
  assert.ok(buffer.addressHigh > 0 || buffer.addressLow > 0);
  buffer.unmap();
});

test("a buffer of anything but whole blocks is a bug of the caller", () => {
  for (const byteLength of [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES + 512, -BLOCK_BYTES])
    assert.throws(() => new AlignedBuffer(byteLength), /aligned buffer/);
});

test("memory that cannot be had is an error with a code", () => {
  try {
    new AlignedBuffer(2 ** 50);
    assert.unreachable();
  } catch (error) {
    assert.is((error as NodeJS.ErrnoException).code, "ERR_IO_FAILED");
    assert.match((error as Error).message, /ENOMEM/);
  }
});

test("a pool lends as many buffers as it may, and one more when one comes back", () => {
  const pool = new BufferPool(BLOCK_BYTES, 2);
  const one = pool.take();
  const two = pool.take();
  assert.ok(one !== null && two !== null && one !== two);
  assert.is(pool.take(), null);
  assert.is(pool.leasedCount, 2);
  pool.release(one as AlignedBuffer);
  assert.is(pool.leasedCount, 1);
  assert.is(pool.take(), one);
  assert.is(pool.take(), null);
  pool.release(one as AlignedBuffer);
  pool.release(two as AlignedBuffer);
  pool.close();
});

test("a pool takes back only what it lent", () => {
  const pool = new BufferPool(BLOCK_BYTES, 1);
  const stranger = new AlignedBuffer(2 * BLOCK_BYTES);
  assert.throws(() => pool.release(stranger), /the pool it came from/);
  stranger.unmap();
  pool.close();
});

test("a closed pool lends nothing, and unmaps what comes back late", () => {
  const pool = new BufferPool(BLOCK_BYTES, 2);
  const late = pool.take() as AlignedBuffer;
  pool.release(pool.take() as AlignedBuffer);
  pool.close();
  assert.throws(() => pool.take(), /closed pool/);
  late.bytes[0] = 1; // still mapped: I/O may be in flight
  assert.is(pool.leasedCount, 1);
  pool.release(late);
  assert.is(pool.leasedCount, 0);
});
