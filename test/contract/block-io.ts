/**
 * What every BlockIo must do, as one list of tests over whatever opens one: an operation completes exactly once, with the number of bytes
 * or a negative errno, and closing waits for all of them.
 */

import { closeSync, constants, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { AlignedBuffer, BLOCK_BYTES } from "../../src/ffi/aligned-buffer.js";
import { type BlockIo, completionOf } from "../../src/ffi/block-io.js";
import { assert, sameBytes } from "../support/assert.js";
import type { Suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const EBADF = 9;
const NO_SUCH_FD = 1_000_000;
/** More than the ring has entries. */
const MANY = 700;
const FIVE_GIB = 5 * 1024 ** 3;

interface OpenedFile {
  readonly path: string;
  readonly fd: number;
}

/** Bytes that differ from seed to seed and from block to block. */
function pattern(seed: number, byteLength: number): Uint8Array {
  return Uint8Array.from({ length: byteLength }, (_, at) => (seed * 31 + at * 7 + (at >> 12) * 13) & 0xff);
}

/** Declares the contract's tests. `open` gives a new BlockIo each time. */
export function declareBlockIoContract(test: Suite, open: () => BlockIo): void {
  const fds: number[] = [];
  const buffers: AlignedBuffer[] = [];
  const opened: BlockIo[] = [];

  const openIo = (): BlockIo => {
    const io = open();
    opened.push(io);
    return io;
  };
  const newFile = (io: BlockIo): OpenedFile => {
    const path = join(temporaryDirectory(), "file");
    const fd = openSync(path, io.openFlags("write") | constants.O_CREAT, 0o600);
    fds.push(fd);
    return { path, fd };
  };
  const filledBuffer = (blockCount: number, seed: number): AlignedBuffer => {
    const buffer = new AlignedBuffer(blockCount * BLOCK_BYTES);
    buffers.push(buffer);
    buffer.bytes.set(pattern(seed, buffer.byteLength));
    return buffer;
  };
  const write = (
    io: BlockIo,
    fd: number,
    buffer: AlignedBuffer,
    from: number,
    length: number,
    at: number,
    durable = false,
  ): Promise<number> => {
    const done = completionOf((completion) => io.write(fd, buffer, from, length, at, durable, completion));
    io.submit();
    return done;
  };
  const read = (io: BlockIo, fd: number, buffer: AlignedBuffer, length: number, at: number): Promise<number> => {
    const done = completionOf((completion) => io.read(fd, buffer, 0, length, at, completion));
    io.submit();
    return done;
  };

  test.afterEach(async () => {
    for (const io of opened.splice(0)) await io.close();
    for (const fd of fds.splice(0)) closeSync(fd);
    for (const buffer of buffers.splice(0)) buffer.unmap();
  });

  test("what is written at an offset is read back from there, above 4 GiB too", async () => {
    const io = openIo();
    const { fd } = newFile(io);
    const offsets = [0, BLOCK_BYTES, 3 * BLOCK_BYTES, 2 ** 31 - BLOCK_BYTES, 2 ** 32 - BLOCK_BYTES, 2 ** 32, FIVE_GIB];
    for (const [index, offset] of offsets.entries()) {
      const blocks = filledBuffer(3, index + 1);
      // From the middle of the buffer, durable every second time.
      const written = await write(io, fd, blocks, BLOCK_BYTES, BLOCK_BYTES, offset, index % 2 === 0);
      assert.is(written, BLOCK_BYTES);
    }
    for (const [index, offset] of offsets.entries()) {
      const back = filledBuffer(1, 99);
      assert.is(await read(io, fd, back, BLOCK_BYTES, offset), BLOCK_BYTES);
      const expected = pattern(index + 1, 3 * BLOCK_BYTES);
      sameBytes(back.bytes, expected.subarray(BLOCK_BYTES, 2 * BLOCK_BYTES));
    }
  });

  test("a read that reaches the end of the file is short, and one behind it has no bytes", async () => {
    const io = openIo();
    const { fd } = newFile(io);
    await write(io, fd, filledBuffer(2, 1), 0, 2 * BLOCK_BYTES, 0);
    const back = filledBuffer(4, 2);
    assert.is(await read(io, fd, back, 4 * BLOCK_BYTES, 0), 2 * BLOCK_BYTES);
    assert.is(await read(io, fd, back, 4 * BLOCK_BYTES, 2 * BLOCK_BYTES), 0);
  });

  test("an operation that fails ends with its negative errno", async () => {
    const io = openIo();
    const buffer = filledBuffer(1, 1);
    assert.is(await write(io, NO_SUCH_FD, buffer, 0, BLOCK_BYTES, 0, true), -EBADF);
    assert.is(await read(io, NO_SUCH_FD, buffer, BLOCK_BYTES, 0), -EBADF);
    const synced = completionOf((completion) => io.dataSync(NO_SUCH_FD, completion));
    const allocated = completionOf((completion) => io.allocate(NO_SUCH_FD, BLOCK_BYTES, completion));
    io.submit();
    assert.is(await synced, -EBADF);
    assert.is(await allocated, -EBADF);
    assert.is(io.inFlightCount, 0);
  });

  test("allocating gives the file its full size, with zeros in it, and syncing ends with 0", async () => {
    const io = openIo();
    const { fd, path } = newFile(io);
    const byteLength = 16 * BLOCK_BYTES;
    const allocated = completionOf((completion) => io.allocate(fd, byteLength, completion));
    io.submit();
    assert.is(await allocated, 0);
    assert.is(statSync(path).size, byteLength);
    const synced = completionOf((completion) => io.dataSync(fd, completion));
    io.submit();
    assert.is(await synced, 0);
    const back = filledBuffer(1, 1);
    assert.is(await read(io, fd, back, BLOCK_BYTES, byteLength - BLOCK_BYTES), BLOCK_BYTES);
    sameBytes(back.bytes, new Uint8Array(BLOCK_BYTES));
  });

  test("many operations started in one turn all complete, once each", async () => {
    const io = openIo();
    const { fd } = newFile(io);
    const blocks = filledBuffer(8, 3);
    const toldCounts = new Uint32Array(MANY);
    await new Promise<void>((resolve, reject) => {
      let toldCount = 0;
      for (let index = 0; index < MANY; index++) {
        const complete = (result: number): void => {
          toldCounts[index] = (toldCounts[index] as number) + 1;
          if (result !== BLOCK_BYTES) reject(new Error(`operation ${index} ended with ${result}`));
          if (++toldCount === MANY) resolve();
        };
        io.write(fd, blocks, (index % 8) * BLOCK_BYTES, BLOCK_BYTES, index * BLOCK_BYTES, false, { complete });
      }
      assert.is(io.inFlightCount, MANY);
      io.submit();
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(
      toldCounts.every((count) => count === 1),
      "an operation was told twice",
    );
    assert.is(io.inFlightCount, 0);
    const back = filledBuffer(1, 4);
    for (const index of [0, 127, 128, 511, MANY - 1]) {
      await read(io, fd, back, BLOCK_BYTES, index * BLOCK_BYTES);
      sameBytes(back.bytes, blocks.bytes.subarray((index % 8) * BLOCK_BYTES, ((index % 8) + 1) * BLOCK_BYTES));
    }
  });

  test("who is told of a completion can start the next operation, and is not told of others meanwhile", async () => {
    const io = openIo();
    const { fd } = newFile(io);
    const block = filledBuffer(1, 5);
    let depth = 0;
    let leftCount = 64;
    await new Promise<void>((resolve, reject) => {
      const complete = (): void => {
        if (depth > 0) reject(new Error("a completion was told in the middle of another"));
        depth++;
        // By now the others have ended too.
        if (leftCount % 16 === 0) for (const until = performance.now() + 3; performance.now() < until; );
        io.collect();
        if (leftCount > 0) start(leftCount--);
        depth--;
        if (leftCount === 0 && io.inFlightCount === 0) resolve();
      };
      const start = (at: number): void => {
        io.write(fd, block, 0, BLOCK_BYTES, at * BLOCK_BYTES, false, { complete });
        io.submit();
      };
      for (let index = 0; index < 4; index++) start(100 + index);
    });
    assert.is(io.inFlightCount, 0);
  });

  test("closing waits for what is in flight, what waits for a place in the ring included", async () => {
    const io = openIo();
    const { fd } = newFile(io);
    const block = filledBuffer(1, 6);
    let toldCount = 0;
    const complete = (): void => {
      toldCount++;
    };
    for (let index = 0; index < MANY; index++)
      io.write(fd, block, 0, BLOCK_BYTES, index * BLOCK_BYTES, true, { complete });
    await io.close();
    assert.is(toldCount, MANY);
  });
}
