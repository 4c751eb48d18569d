/** What only a real file system does: it is full, it is slow, or it lets a file grow no further. */

import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openReader, openStore, type Store, type StoreError } from "../../src/index.js";
import { assert, rejects } from "../support/assert.js";
import { type LoopDisk, loopDiskProblem, makeLoopDisk, throttleProblem } from "../support/loop-disk.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { acknowledged, startWriter } from "./disk-writer-child.js";

const KIBIBYTE = 1024;
const MEBIBYTE = 1024 * 1024;

const test = suite("crash/real-disk");

async function lsnsOf(store: Store): Promise<number[]> {
  const lsns: number[] = [];
  for await (const { lsn } of store.readAll()) lsns.push(lsn);
  return lsns;
}

const problem = loopDiskProblem();
const disks: LoopDisk[] = [];
test.afterEach(() => {
  for (const disk of disks.splice(0)) disk.remove();
});
function newDisk(mebibytes: number): LoopDisk {
  const disk = makeLoopDisk(mebibytes);
  disks.push(disk);
  return disk;
}

const FULL = "a full disk refuses appends, loses nothing, goes on reading, and takes appends again when there is space";
const FULL_BUFFERED =
  "appends that were answered early and found no space are told by flush and whenDurable, and by nothing else";
const FULL_OPEN =
  "on a full disk a store can be read, opening it for writing says why not, and closing it is no failure";
const SLOW =
  "the writes that a killed writer left in flight on a slow disk are waited for, and nothing of them is lost";

if (problem === null) {
  test(
    FULL,
    async () => {
      const { directory } = newDisk(24);
      const ballast = join(directory, "ballast");
      writeFileSync(ballast, Buffer.alloc(8 * MEBIBYTE));
      const options = { segmentBytes: MEBIBYTE };
      const store = await openStore(join(directory, "store"), options);
      const data = "x".repeat(100_000);
      const append = (): Promise<unknown> => store.append("s", { type: "Large", data });
      let count = 0;
      const error = await rejects(async () => {
        for (;;) {
          await append();
          count++;
        }
      }, "ERR_WAL_FULL");
      assert.ok(count > 20, `${count} appends`);
      assert.match(error.message, /ENOSPC/);
      for (let again = 0; again < 3; again++) await rejects(append(), "ERR_WAL_FULL");
      assert.is(store.watermark, count);
      assert.is((await lsnsOf(store)).length, count);
      rmSync(ballast);
      for (let index = 0; index < 20; index++) await append();
      assert.is(store.watermark, count + 20);
      await store.close();
      const again = await openStore(join(directory, "store"), options);
      assert.equal(
        await lsnsOf(again),
        Array.from({ length: count + 20 }, (_, index) => index + 1),
      );
      await again.close();
    },
    { timeoutMs: 60_000 },
  );

  test(
    FULL_BUFFERED,
    async () => {
      const { directory } = newDisk(16);
      const store = await openStore(join(directory, "store"), { segmentBytes: MEBIBYTE });
      const data = "x".repeat(100_000);
      const append = (durability: "async" | "group") => store.append("s", { type: "Large", data }, { durability });
      await rejects(async () => {
        for (;;) await append("group");
      }, "ERR_WAL_FULL");
      const last = store.watermark;
      const { epoch } = (await append("async")) as unknown as { epoch: number };
      // The flush timer finds no space, and there is nobody left to tell.
      await new Promise((resolve) => setTimeout(resolve, 100));
      await rejects(store.flush(), "ERR_WAL_FULL");
      await store.flush();
      await rejects(store.whenDurable(epoch), "ERR_WAL_FULL");
      assert.is(store.watermark, last);
      assert.is(await store.streamVersion("s"), last);
      await store.close();
    },
    { timeoutMs: 60_000 },
  );

  test(
    FULL_OPEN,
    async () => {
      const { directory } = newDisk(16);
      const path = join(directory, "store");
      const store = await openStore(path, { segmentBytes: MEBIBYTE });
      for (let index = 0; index < 5; index++) await store.append("s", { type: "T", data: index });
      spawnSync("sh", ["-c", `dd if=/dev/zero of=${join(directory, "ballast")} bs=4k status=none`]);
      await store.close();
      const error = (await rejects(openStore(path, { segmentBytes: MEBIBYTE }), "ERR_WAL_FULL")) as StoreError;
      assert.match(error.message, /ENOSPC|no space/);
      const reader = await openReader(path);
      assert.is(reader.watermark, 5);
      await reader.close();
      rmSync(join(directory, "ballast"));
      const again = await openStore(path, { segmentBytes: MEBIBYTE });
      assert.equal(await lsnsOf(again), [1, 2, 3, 4, 5]);
      await again.close();
    },
    { timeoutMs: 60_000 },
  );

  const slowProblem = throttleProblem();
  if (slowProblem === null) {
    test(
      SLOW,
      async () => {
        const disk = newDisk(96);
        const directory = join(disk.directory, "store");
        const child = startWriter([], directory, String(16 * MEBIBYTE), String(MEBIBYTE));
        await child.whenSaid((line) => line === "ack 4");
        disk.throttle(child.process.pid as number, 2 * MEBIBYTE);
        await new Promise((resolve) => setTimeout(resolve, 700));
        const killedAt = performance.now();
        child.process.kill("SIGKILL");
        // Not waiting for its end: the kernel holds a dying process, and its owner lock, until its chains of write and wake have ended.
        const store = await openStore(directory, { segmentBytes: MEBIBYTE });
        const { lsn } = await store.append("after", { type: "Small", data: 1 });
        console.log(`an append behind them took ${Math.round(performance.now() - killedAt)} ms`);
        assert.is(await child.ended, "SIGKILL");
        await store.append("after", { type: "Small", data: 2 });
        const lsns = new Set(await lsnsOf(store));
        for (const acked of [...acknowledged(child), lsn]) assert.ok(lsns.has(acked), `LSN ${acked} was acknowledged`);
        const reader = await openReader(directory);
        for (const [first, last] of reader.voids) for (let at = first; at <= last; at++) lsns.add(at);
        await reader.close();
        assert.is(lsns.size, store.watermark, "neither an event nor a void");
        await store.close();
      },
      { timeoutMs: 60_000 },
    );
  } else {
    test.skip(SLOW, slowProblem);
  }
} else {
  for (const name of [FULL, FULL_BUFFERED, FULL_OPEN, SLOW]) test.skip(name, problem);
}

if (spawnSync("prlimit", ["--version"]).status === 0) {
  test("a limit on the size of files is an error of opening, not the end of the process", async () => {
    const directory = join(temporaryDirectory(), "store");
    const child = startWriter(["prlimit", `--fsize=${300 * KIBIBYTE}`], directory, String(MEBIBYTE), "100");
    assert.is(await child.ended, 0);
    assert.match(child.lines.join("\n"), /^failed ERR_WAL_FULL .*EFBIG/);
    const store = await openStore(directory);
    assert.is(store.watermark, 0);
    await store.close();
  });

  test("a limit that is lowered below the next segment refuses appends and keeps the log open", async () => {
    const directory = join(temporaryDirectory(), "store");
    // Each frame takes six blocks, so that none reaches into the last block of the segment.
    const child = startWriter([], directory, String(MEBIBYTE), "22000");
    await child.whenSaid((line) => line === "open");
    assert.is(spawnSync("prlimit", [`--pid=${child.process.pid}`, `--fsize=${MEBIBYTE - 4096}`]).status, 0);
    assert.is(await child.ended, 0);
    const last = acknowledged(child).length;
    assert.match(child.lines.join("\n"), /refused ERR_WAL_FULL/);
    // A small append still fits into what is left of the segment.
    assert.match(child.lines.join("\n"), new RegExp(`after ok\nread ${last + 1}\nclosed$`));
    const store = await openStore(directory);
    assert.is(store.watermark, last + 1);
    await store.close();
  });

  test("a write that the kernel cuts short stops the log, and nothing acknowledged is lost", async () => {
    const directory = join(temporaryDirectory(), "store");
    const child = startWriter([], directory, String(MEBIBYTE), "20000");
    await child.whenSaid((line) => line === "ack 4");
    // In the middle of a block of a frame that will come: its write is short, and so is the rest of it.
    assert.is(spawnSync("prlimit", [`--pid=${child.process.pid}`, `--fsize=${MEBIBYTE / 2 + 2048}`]).status, 0);
    assert.is(await child.ended, 0);
    const all = child.lines.join("\n");
    assert.match(all, /refused ERR_WAL_(OUTCOME_UNKNOWN|FAILED)/);
    assert.match(all, /after ERR_WAL_FAILED/);
    assert.match(all, /closed$/);
    const store = await openStore(directory);
    const lsns = await lsnsOf(store);
    for (const lsn of acknowledged(child)) assert.is(lsns[lsn - 1], lsn);
    await store.close();
  });
} else {
  for (const name of ["opening", "appending", "a write in the middle"])
    test.skip(`${name} under a limit on the size of files`, "prlimit is not installed");
}
