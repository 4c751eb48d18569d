/** What a ring does when the kernel refuses, interrupts or takes only a part. Its plain operations: test/contract/block-io.ts. */

import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { AlignedBuffer, BLOCK_BYTES } from "../../src/ffi/aligned-buffer.js";
import { completionOf, type Publication } from "../../src/ffi/block-io.js";
import { EAGAIN, EBUSY, EINTR, ENOMEM } from "../../src/ffi/errno.js";
import { closeFd, openPipe } from "../../src/ffi/libc.js";
import { MappedFile } from "../../src/ffi/mapped-file.js";
import { wakeSleepers } from "../../src/ffi/publication.js";
import { ENTRY_COUNT, Ring } from "../../src/ffi/ring.js";
import type { RingDriver } from "../../src/ffi/ring-driver.js";
import { IORING_SQ_CQ_OVERFLOW } from "../../src/ffi/ring-layout.js";
import { openSyscallDriver } from "../../src/ffi/syscall-driver.js";
import { assert } from "../support/assert.js";
import { runChild } from "../support/child-process.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const EBADF = 9;
const EBADFD = 77;
const NO_SUCH_FD = 1_000_000;

const test = suite("ffi/ring");
const first = openSyscallDriver(ENTRY_COUNT);
const refusal = "errno" in first ? `io_uring is refused here with ${first.errno}` : null;
if (!("errno" in first)) first.close();

const opened: Ring[] = [];
test.afterEach(() => {
  for (const ring of opened.splice(0)) ring.close();
});

/** A ring whose way into the kernel is `change`d. */
function ringOver(change: (driver: RingDriver) => Partial<RingDriver>, wakeup: "poll" | "pipe" = "poll"): Ring {
  const driver = openSyscallDriver(ENTRY_COUNT);
  if ("errno" in driver) throw new Error(`refused with ${driver.errno}`);
  const ring = Ring.over({ ...driver, ...change(driver) }, wakeup);
  opened.push(ring);
  return ring;
}

/** Starts that many operations that do nothing, submits them and waits for their results. */
function nops(ring: Ring, count: number): Promise<number[]> {
  const results = Array.from({ length: count }, () => completionOf((completion) => ring.nop(completion)));
  ring.submit();
  return Promise.all(results);
}

const declare = refusal === null ? test : (name: string) => test.skip(name, refusal);

declare("a refused entry into the kernel is repeated, and no operation is started twice", async () => {
  const refusals = [-EINTR, -EAGAIN, -EBUSY, -ENOMEM, -EINTR];
  let taken = 0;
  const ring = ringOver((driver) => ({
    enter: (count, waitCount) => {
      const refused = refusals.shift();
      if (refused !== undefined) return refused;
      const result = driver.enter(count, waitCount);
      taken += result;
      return result;
    },
  }));
  assert.equal(await nops(ring, 5), [0, 0, 0, 0, 0]);
  assert.equal(refusals, []);
  assert.is(taken, 5);
});

declare("what the kernel did not take at once is submitted later", async () => {
  const ring = ringOver((driver) => ({ enter: (count, waitCount) => driver.enter(Math.min(count, 2), waitCount) }));
  assert.equal(await nops(ring, 7), [0, 0, 0, 0, 0, 0, 0]);
  assert.is(ring.inFlightCount, 0);
});

/** Writes one block to each of the files in one turn, each with a done word of its own: the results, and the words at the end. */
async function writePublished(ring: Ring, fds: readonly number[]): Promise<{ results: number[]; words: bigint[] }> {
  const buffer = new AlignedBuffer(BLOCK_BYTES);
  const file = MappedFile.create(join(temporaryDirectory(), "control"), BLOCK_BYTES);
  const publications = fds.map((_, index): Publication => {
    file.bigint64[2 * index] = BigInt(index + 1);
    return { file, mailboxOffset: 16 * index, doneOffset: 16 * index + 8 };
  });
  const pending = fds.map((fd, index) =>
    completionOf((completion) =>
      ring.writePublished(
        fd,
        buffer,
        0,
        BLOCK_BYTES,
        index * BLOCK_BYTES,
        publications[index] as Publication,
        completion,
      ),
    ),
  );
  ring.submit();
  const results = await Promise.all(pending);
  await new Promise((resolve) => setTimeout(resolve, 10)); // what comes late would come now
  const words = publications.map(({ doneOffset }) => file.bigint64[doneOffset / 8] as bigint);
  file.close();
  buffer.unmap();
  return { results, words };
}

for (const wakeup of ["poll", "pipe"] as const) {
  for (const takenMax of [1, 2, 4, 5]) {
    const name = `a chain of which the kernel took only a part publishes what is durable, and only that: ${takenMax} at a time, ${wakeup}`;
    declare(name, async () => {
      const enter = (driver: RingDriver) => (count: number, waitCount: number) =>
        driver.enter(Math.min(count, takenMax), waitCount);
      const ring = ringOver((driver) => ({ enter: enter(driver) }), wakeup);
      const fd = openSync(join(temporaryDirectory(), "file"), "w+");
      const { results, words } = await writePublished(ring, [fd, NO_SUCH_FD, fd, NO_SUCH_FD, NO_SUCH_FD, fd]);
      assert.equal(results, [BLOCK_BYTES, -EBADF, BLOCK_BYTES, -EBADF, -EBADF, BLOCK_BYTES]);
      assert.equal(words, [1n, 0n, 3n, 0n, 0n, 6n]);
      assert.is(ring.inFlightCount, 0);
      closeSync(fd);
    });
  }
}

declare("a wake-up of which the kernel took only a part is armed again", async () => {
  let enterCount = 0;
  const ring = ringOver(
    (driver) => ({ enter: (count, waitCount) => driver.enter(enterCount++ === 0 ? count - 1 : count, waitCount) }),
    "pipe",
  );
  if (!ring.abilities.hasFutex) return;
  const file = MappedFile.create(join(temporaryDirectory(), "control"), BLOCK_BYTES);
  const sleeping = completionOf((completion) => ring.sleepOn(file, 0, 0, completion));
  ring.submit();
  // What was refused has been submitted by then, and nothing but the wake-up tells of what comes.
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(enterCount >= 2, `${enterCount} entries into the kernel`);
  wakeSleepers(file, 0);
  assert.is(await sleeping, 0);
  ring.close();
  file.close();
});

declare("a short write publishes nothing", async () => {
  const ring = ringOver(() => ({}));
  const pipe = openPipe();
  if (typeof pipe === "number") throw new Error(`no pipe: ${pipe}`);
  const buffer = new AlignedBuffer(1024 * 1024);
  const file = MappedFile.create(join(temporaryDirectory(), "control"), BLOCK_BYTES);
  file.bigint64[0] = 1n;
  const publication = { file, mailboxOffset: 0, doneOffset: 8 };
  const written = completionOf((completion) =>
    ring.writePublished(pipe.writeFd, buffer, 0, buffer.byteLength, 0, publication, completion),
  );
  ring.submit();
  const result = await written;
  assert.ok(result > 0 && result < buffer.byteLength, `${result} bytes`);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.is(file.bigint64[1], 0n);
  closeFd(pipe.readFd);
  closeFd(pipe.writeFd);
  file.close();
  buffer.unmap();
});

declare("who sleeps takes a place in the ring but is not in flight, and a ring that breaks ends it", async () => {
  let isBroken = false;
  const ring = ringOver((driver) => ({
    enter: (count, waitCount) => (isBroken ? -EBADFD : driver.enter(count, waitCount)),
  }));
  if (!ring.abilities.hasFutex) return;
  const file = MappedFile.create(join(temporaryDirectory(), "control"), BLOCK_BYTES);
  const sleeping = completionOf((completion) => ring.sleepOn(file, 0, 0, completion));
  ring.submit();
  assert.is(ring.inFlightCount, 0);
  assert.is(ring.sleeperCount, 1);
  assert.equal(await nops(ring, 2 * ENTRY_COUNT), new Array<number>(2 * ENTRY_COUNT).fill(0));
  assert.is(ring.sleeperCount, 1);
  assert.throws(() => ring.close(), /in flight/);
  isBroken = true;
  assert.equal(await nops(ring, 1), [-EBADFD]);
  assert.is(await sleeping, -EBADFD);
  assert.is(ring.sleeperCount, 0);
  ring.close();
  file.close();
});

declare("a ring that the kernel refuses for good ends everything with that errno, then and later", async () => {
  let isBroken = false;
  const ring = ringOver((driver) => ({
    enter: (count, waitCount) => (isBroken ? -EBADFD : driver.enter(count, waitCount)),
  }));
  assert.equal(await nops(ring, 2), [0, 0]);
  isBroken = true;
  const results = await nops(ring, ENTRY_COUNT + 10);
  assert.ok(results.every((result) => result === -EBADFD));
  assert.is(ring.isBroken, true);
  assert.is(ring.inFlightCount, 0);
  // Not left waiting for ever: whoever starts another operation is told too.
  assert.equal(await nops(ring, 3), [-EBADFD, -EBADFD, -EBADFD]);
});

declare("a ring that breaks while completions are told ends the others with the errno, once each", async () => {
  let isBroken = false;
  const ring = ringOver((driver) => ({
    enter: (count, waitCount) => (isBroken ? -EBADFD : driver.enter(count, waitCount)),
  }));
  const told: number[] = [];
  await new Promise<void>((resolve) => {
    const complete = (result: number): void => {
      told.push(result);
      if (told.length === 1) {
        isBroken = true;
        ring.nop({ complete });
        ring.submit();
      }
      if (told.length === 9) resolve();
    };
    for (let index = 0; index < 8; index++) ring.nop({ complete });
    ring.submit();
  });
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.is(told.length, 9);
  assert.is(told[0], 0);
  assert.is(told.at(-1), -EBADFD);
});

declare("overflowed completions are asked for before the ring is read", async () => {
  const flags = new Uint32Array(1);
  let flushCount = 0;
  const ring = ringOver((driver) => ({
    submission: { ...driver.submission, flags },
    flushOverflow: () => {
      flushCount++;
      flags[0] = 0;
      return driver.flushOverflow();
    },
  }));
  flags[0] = IORING_SQ_CQ_OVERFLOW;
  assert.equal(await nops(ring, 1), [0]);
  assert.is(flushCount, 1);
});

declare("operations behind the ring's capacity start in the order in which they came", async () => {
  const ring = ringOver(() => ({}));
  const order: number[] = [];
  await new Promise<void>((resolve) => {
    const total = 3 * ENTRY_COUNT;
    for (let index = 0; index < total; index++) {
      const complete = (): void => {
        order.push(index);
        // A late one must not overtake those that wait.
        if (index === 0) {
          ring.nop({
            complete: () => {
              order.push(total);
              resolve();
            },
          });
        }
      };
      ring.nop({ complete });
    }
    ring.submit();
  });
  assert.equal(
    order,
    Array.from({ length: 3 * ENTRY_COUNT + 1 }, (_, index) => index),
  );
});

declare("more operations than the named limit are a bug of the caller", async () => {
  const ring = ringOver(() => ({}));
  const all = ring.inFlightMax + ring.backlogMax;
  const results = Array.from({ length: all }, () => completionOf((completion) => ring.nop(completion)));
  assert.throws(() => ring.nop({ complete: () => {} }), /bound what they start/);
  ring.submit();
  await Promise.all(results);
});

declare("an error thrown by who is told reaches the process, and the others are told all the same", async () => {
  const ring = ringOver(() => ({}));
  const uncaught = new Promise<Error>((resolve) => process.once("uncaughtException", resolve));
  const told: string[] = [];
  ring.nop({
    complete: () => {
      told.push("first");
      throw new Error("of a listener");
    },
  });
  ring.nop({ complete: () => told.push("second") });
  ring.submit();
  assert.is((await uncaught).message, "of a listener");
  assert.equal(told, ["first", "second"]);
  assert.equal(await nops(ring, 1), [0]);
});

declare("operations outside their buffer and on a closed ring are bugs of the caller", async () => {
  const ring = ringOver(() => ({}));
  const buffer = new AlignedBuffer(BLOCK_BYTES);
  const told = { complete: () => {} };
  assert.throws(() => ring.write(0, buffer, BLOCK_BYTES, BLOCK_BYTES, 0, false, told), /inside its buffer/);
  assert.throws(() => ring.read(0, buffer, 0, 2 * BLOCK_BYTES, 0, told), /inside its buffer/);
  buffer.unmap();
  ring.nop(told);
  assert.throws(() => ring.close(), /in flight/);
  await nops(ring, 1);
  ring.close();
  ring.close();
  assert.throws(() => ring.nop(told), /closed ring/);
});

declare("waiting on the thread submits and tells before it returns", async () => {
  const ring = ringOver(() => ({}));
  let result: number | null = null;
  ring.nop({
    complete: (ended) => {
      result = ended;
    },
  });
  ring.waitBlocking();
  assert.is(result, 0);
});

declare("an open ring with nothing in flight lets its process end", async () => {
  const end = await runChild(new URL("./children/ring-lifetime.js", import.meta.url), { arguments: ["idle"] });
  assert.is(end.code, 0, end.stderr);
});

declare("an operation in flight keeps its process alive until it is told", async () => {
  const path = join(temporaryDirectory(), "file");
  const end = await runChild(new URL("./children/ring-lifetime.js", import.meta.url), { arguments: ["write", path] });
  assert.is(end.code, 0, end.stderr);
  assert.is(end.stdout, `wrote ${BLOCK_BYTES}\n`);
});
