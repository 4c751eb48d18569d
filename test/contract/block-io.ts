/**
 * What every BlockIo must do, as one list of tests over whatever opens one: an operation completes exactly once, with the number of bytes
 * or a negative errno, and closing waits for all of them; a durable write is published when it is durable, and only then; who sleeps on a
 * word is woken.
 */

import { closeSync, constants, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { AlignedBuffer, BLOCK_BYTES } from "../../src/ffi/aligned-buffer.js";
import { type BlockIo, completionOf, type Publication } from "../../src/ffi/block-io.js";
import { MappedFile } from "../../src/ffi/mapped-file.js";
import { assert, sameBytes } from "../support/assert.js";
import { runChild } from "../support/child-process.js";
import type { Suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const EBADF = 9;
const EAGAIN = 11;
const ECANCELED = 125;
const NO_SUCH_FD = 1_000_000;
/** More than the ring has entries. */
const MANY = 700;
const FIVE_GIB = 5 * 1024 ** 3;

const CONTROL_BYTES = 4096;
/** How long a thread does nothing but look; a write takes far less. */
const SPIN_MS_MAX = 5000;
const wakeWord = new URL("../ffi/children/wake-word.js", import.meta.url);

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
  const mapped: MappedFile[] = [];

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

  const newControl = (): MappedFile => {
    const file = MappedFile.create(join(temporaryDirectory(), "control"), CONTROL_BYTES);
    mapped.push(file);
    return file;
  };
  /** One of many pairs of words in the file, with `value` in the mailbox. */
  const lane = (file: MappedFile, number: number, value: bigint): Publication => {
    const mailboxOffset = 16 * number;
    Atomics.store(file.bigint64, mailboxOffset / 8, value);
    return { file, mailboxOffset, doneOffset: mailboxOffset + 8 };
  };
  const doneOf = ({ file, doneOffset }: Publication): bigint => Atomics.load(file.bigint64, doneOffset / 8);
  const sleep = (io: BlockIo, file: MappedFile, offset: number, expected: number): Promise<number> => {
    const done = completionOf((completion) => io.sleepOn(file, offset, expected, completion));
    io.submit();
    return done;
  };

  test.afterEach(async () => {
    for (const io of opened.splice(0)) await io.close();
    for (const file of mapped.splice(0)) file.close();
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

  test("a published write sets its done word to all 8 bytes of its mailbox, and no other word", async () => {
    const io = openIo();
    const { fd } = newFile(io);
    const block = filledBuffer(3, 7);
    const control = newControl();
    const publication = lane(control, 5, 0x0123_4567_89ab_cdefn);
    const done = completionOf((completion) =>
      io.writePublished(fd, block, BLOCK_BYTES, 2 * BLOCK_BYTES, 4 * BLOCK_BYTES, publication, completion),
    );
    assert.is(io.inFlightCount, 1);
    io.submit();
    assert.is(await done, 2 * BLOCK_BYTES);
    assert.is(io.inFlightCount, 0);
    const expected = new BigInt64Array(CONTROL_BYTES / 8);
    expected[10] = expected[11] = 0x0123_4567_89ab_cdefn;
    assert.equal(control.bigint64, expected);
    const back = filledBuffer(2, 99);
    assert.is(await read(io, fd, back, 2 * BLOCK_BYTES, 4 * BLOCK_BYTES), 2 * BLOCK_BYTES);
    sameBytes(back.bytes, block.bytes.subarray(BLOCK_BYTES));
  });

  test("a write that fails publishes nothing and wakes nobody, and those beside it are published all the same", async () => {
    const io = openIo();
    const { fd, path } = newFile(io);
    const readOnly = openSync(path, constants.O_RDONLY);
    fds.push(readOnly);
    const block = filledBuffer(1, 8);
    const control = newControl();
    const targets = [fd, NO_SUCH_FD, fd, readOnly, fd];
    const publications = targets.map((_, number) => lane(control, number, BigInt(number + 1)));
    let isWoken = false;
    const sleeping = sleep(io, control, (publications[1] as Publication).doneOffset, 0).then((result) => {
      isWoken = true;
      return result;
    });
    const results = targets.map((target, number) =>
      completionOf((completion) =>
        io.writePublished(
          target,
          block,
          0,
          BLOCK_BYTES,
          number * BLOCK_BYTES,
          publications[number] as Publication,
          completion,
        ),
      ),
    );
    io.submit();
    assert.equal(await Promise.all(results), [BLOCK_BYTES, -EBADF, BLOCK_BYTES, -EBADF, BLOCK_BYTES]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(publications.map(doneOf), [1n, 0n, 3n, 0n, 5n]);
    assert.is(isWoken, false);
    assert.is(io.inFlightCount, 0);
    await io.close();
    assert.is(await sleeping, -ECANCELED);
  });

  test("where the kernel publishes it does so while the thread is busy; elsewhere before the owner is told", async () => {
    const io = openIo();
    const { fd } = newFile(io);
    const block = filledBuffer(1, 9);
    const publication = lane(newControl(), 0, 1n);
    let isTold = false;
    const done = completionOf((completion) =>
      io.writePublished(fd, block, 0, BLOCK_BYTES, 0, publication, completion),
    ).then(() => {
      isTold = true;
      assert.is(doneOf(publication), 1n);
    });
    io.submit();
    const spinMs = io.description.publishes ? SPIN_MS_MAX : 30;
    for (const until = performance.now() + spinMs; performance.now() < until && doneOf(publication) === 0n; );
    assert.is(doneOf(publication), io.description.publishes ? 1n : 0n);
    assert.is(isTold, false);
    await done;
  });

  test("each done word is there when its owner is told, so that a lane can be used again", async () => {
    const io = openIo();
    const { fd } = newFile(io);
    const block = filledBuffer(1, 10);
    const control = newControl();
    const roundCount = 40;
    const laneCount = 8;
    let leftCount = laneCount;
    await new Promise<void>((resolve, reject) => {
      const start = (number: number, round: number): void => {
        const publication = lane(control, number, BigInt(round));
        const complete = (result: number): void => {
          if (result !== BLOCK_BYTES) reject(new Error(`write ended with ${result}`));
          if (doneOf(publication) !== BigInt(round)) reject(new Error(`lane ${number}: told before it was published`));
          if (round < roundCount) start(number, round + 1);
          else if (--leftCount === 0) resolve();
        };
        const at = (number * roundCount + round) * BLOCK_BYTES;
        io.writePublished(fd, block, 0, BLOCK_BYTES, at, publication, { complete });
        io.submit();
      };
      for (let number = 0; number < laneCount; number++) start(number, 1);
    });
    assert.is(io.inFlightCount, 0);
  });

  test("many published writes started in one turn are all published and told, once each", async () => {
    const io = openIo();
    const { fd } = newFile(io);
    const block = filledBuffer(1, 11);
    const control = newControl();
    const count = 250;
    const toldCounts = new Uint8Array(count);
    const results = Array.from({ length: count }, (_, number) => {
      const publication = lane(control, number, BigInt(number + 1));
      return completionOf(({ complete }) => {
        const told = (result: number): void => {
          toldCounts[number] = (toldCounts[number] as number) + 1;
          complete(result);
        };
        io.writePublished(fd, block, 0, BLOCK_BYTES, number * BLOCK_BYTES, publication, { complete: told });
      });
    });
    assert.is(io.inFlightCount, count);
    io.submit();
    assert.ok((await Promise.all(results)).every((result) => result === BLOCK_BYTES));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(toldCounts.every((told) => told === 1));
    for (let number = 0; number < count; number++) assert.is(control.bigint64[2 * number + 1], BigInt(number + 1));
  });

  test("a word that is no longer what it should be lets nobody sleep on it", async () => {
    const io = openIo();
    const control = newControl();
    control.int32[3] = -7;
    let isTold = false;
    const complete = (result: number): void => {
      isTold = true;
      assert.is(result, -EAGAIN);
    };
    io.sleepOn(control, 12, 7, { complete });
    io.submit();
    assert.is(isTold, false);
    assert.is(io.inFlightCount, 0);
    assert.is(await sleep(io, control, 12, 0), -EAGAIN);
    assert.is(isTold, true);
  });

  test("all who sleep on a word are woken, of this I/O and of others, and those on other words sleep on", async () => {
    const io = openIo();
    const other = openIo();
    const control = newControl();
    const again = MappedFile.open(control.path);
    mapped.push(again);
    control.int32[4] = -1;
    let isOtherAwake = false;
    const onOther = sleep(io, control, 20, 0).then(() => {
      isOtherAwake = true;
    });
    const sleeping = [0, 1, 2].flatMap(() => [sleep(io, control, 16, -1), sleep(other, again, 16, -1)]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.is(io.inFlightCount, 0);
    Atomics.store(control.int32, 4, 1);
    io.wake(control, 16);
    // A timer cannot tell a wake-up from a word that had changed before.
    for (const result of await Promise.all(sleeping)) assert.ok(result === 0 || result === -EAGAIN, `${result}`);
    assert.is(isOtherAwake, false);
    await io.close();
    await onOther;
  });

  test("the done word of a published write wakes who sleeps on it, in another I/O too", async () => {
    const io = openIo();
    const other = openIo();
    const { fd } = newFile(io);
    const block = filledBuffer(1, 12);
    const publication = lane(newControl(), 2, 1n);
    const sleeping = [io, other].map((each) => sleep(each, publication.file, publication.doneOffset, 0));
    await new Promise((resolve) => setTimeout(resolve, 5));
    const done = completionOf((completion) => io.writePublished(fd, block, 0, BLOCK_BYTES, 0, publication, completion));
    io.submit();
    assert.equal(await Promise.all(sleeping), [0, 0]);
    await done;
  });

  test("a sleeper is woken from another process", async () => {
    const io = openIo();
    const control = newControl();
    const sleeping = sleep(io, control, 64, 0);
    const end = await runChild(wakeWord, { arguments: [control.path, "64", "5"] });
    assert.is(end.code, 0, end.stderr);
    assert.is(await sleeping, 0);
    assert.is(control.int32[16], 5);
  });

  test("closing ends those who sleep, once each, and lets nobody sleep any more", async () => {
    const io = openIo();
    const control = newControl();
    const told: number[] = [];
    const complete = (result: number): void => {
      told.push(result);
      // Who sleeps again at once must not hold up the end.
      if (told.length <= 100) io.sleepOn(control, 8, 0, { complete });
    };
    for (let number = 0; number < 100; number++) io.sleepOn(control, 8, 0, { complete });
    io.submit();
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(told, []);
    await io.close();
    assert.is(told.length, 200);
    assert.ok(told.every((result) => result === -ECANCELED));
  });

  test("words outside the file, or across its units, are bugs of the caller", () => {
    const io = openIo();
    const control = newControl();
    const block = filledBuffer(1, 13);
    const told = { complete: () => {} };
    for (const doneOffset of [-8, 4, CONTROL_BYTES, CONTROL_BYTES - 4]) {
      const publication = { file: control, mailboxOffset: 0, doneOffset };
      assert.throws(() => io.writePublished(NO_SUCH_FD, block, 0, BLOCK_BYTES, 0, publication, told), /no word/);
    }
    for (const offset of [-4, 2, CONTROL_BYTES]) {
      assert.throws(() => io.sleepOn(control, offset, 0, told), /no word/);
      assert.throws(() => io.wake(control, offset), /no word/);
    }
    const closed = MappedFile.open(control.path);
    closed.close();
    assert.throws(() => io.sleepOn(closed, 0, 0, told), /closed/);
    assert.is(io.inFlightCount, 0);
  });
}
