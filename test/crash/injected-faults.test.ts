/** Faults below Varve: a device that fails writes, flushes or reads, system calls that end otherwise, a clock that is set back. */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { openReader, openStore, type Store } from "../../src/index.js";
import { RecordingDisk, recordingDiskProblem } from "../power-cut/recording-disk.js";
import { assert, rejects } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { acknowledged, type Child, startWriter } from "./disk-writer-child.js";

const MEBIBYTE = 1024 * 1024;
const TEXT_CHARACTERS = "3000";
const FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
const DAY_US = 24 * 3600 * 1_000_000;

const test = suite("crash/injected-faults");

/** Every acknowledged LSN is there, there is no hole, and the log goes on. */
async function assertWhole(directory: string, children: readonly Child[]): Promise<void> {
  const store = await openStore(directory, { segmentBytes: MEBIBYTE });
  try {
    const lsns: number[] = [];
    for await (const { lsn } of store.readAll()) lsns.push(lsn);
    assert.equal(
      lsns,
      lsns.map((_, index) => index + 1),
    );
    const last = Math.max(0, ...children.flatMap(acknowledged));
    assert.ok(lsns.length >= last, `LSN ${last} was acknowledged, the log ends with ${lsns.length}`);
    await store.append("again", { type: "Small", data: 1 });
  } finally {
    await store.close();
  }
}

async function countOf(store: Store): Promise<number> {
  let count = 0;
  for await (const _ of store.readAll()) count++;
  return count;
}

/** Kills what runs under a command that watches it, and resolves when both are gone. */
async function killBelow({ process: watcher, ended }: Child): Promise<void> {
  const children = readFileSync(`/proc/${watcher.pid}/task/${watcher.pid}/children`, "utf8");
  for (const pid of children.trim().split(" ")) process.kill(Number(pid), "SIGKILL");
  await ended;
}

const diskProblem = recordingDiskProblem("ext4");
for (const operation of ["writes", "flushes"] as const) {
  const name = `a device that fails ${operation} stops the log at once, and nothing acknowledged is lost`;
  if (diskProblem !== null) {
    test.skip(name, diskProblem);
    continue;
  }
  test(
    name,
    async () => {
      const disk = new RecordingDisk("ext4");
      try {
        const directory = join(disk.mountPoint, "store");
        const child = startWriter([], directory, String(MEBIBYTE), TEXT_CHARACTERS);
        await child.whenSaid((line) => line === "ack 8");
        disk.fail(operation);
        assert.is(await child.ended, 0);
        const said = child.lines.join("\n");
        assert.match(said, /refused ERR_WAL_(OUTCOME_UNKNOWN|FAILED)/);
        assert.match(said, /after ERR_WAL_FAILED/);
        disk.fail("none");
        disk.unmount();
        disk.mount();
        await assertWhole(directory, [child]);
      } finally {
        disk.fail("none");
        disk.close();
      }
    },
    { timeoutMs: 60_000 },
  );
}

const READS = "a device that fails reads is told as that, is no damage, and when it reads again everything is there";
if (diskProblem === null) {
  test(
    READS,
    async () => {
      const disk = new RecordingDisk("ext4");
      try {
        const directory = join(disk.mountPoint, "store");
        const store = await openStore(directory, { segmentBytes: MEBIBYTE });
        try {
          for (let index = 0; index < 50; index++) await store.append("s", { type: "T", data: "x".repeat(3000) });
          disk.fail("reads");
          await rejects(countOf(store), "ERR_IO_FAILED");
          await rejects(openReader(directory), "ERR_IO_FAILED");
          disk.fail("none");
          assert.is(await countOf(store), 50);
          assert.is((await store.append("s", { type: "T", data: 1 })).lsn, 51);
        } finally {
          disk.fail("none");
          await store.close();
        }
      } finally {
        disk.fail("none");
        disk.close();
      }
    },
    { timeoutMs: 60_000 },
  );
} else {
  test.skip(READS, diskProblem);
}

const strace = spawnSync("strace", ["-qq", "-o", "/dev/null", "true"]);
const hasStrace = strace.status === 0;

function under(inject: string): string[] {
  const call = inject.split(":")[0] as string;
  return ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`, "-e", `inject=${inject}`];
}

const KILLED_AT = [1, 2, 3, 5, 8, 13, 21, 34, 55, 89];
const KILLS = `killed at its n-th entry into the kernel's ring, for n from ${KILLED_AT[0]} to ${KILLED_AT.at(-1)}, a writer loses nothing it acknowledged`;
if (hasStrace) {
  test(
    KILLS,
    async () => {
      const directory = join(temporaryDirectory(), "store");
      const children: Child[] = [];
      for (const count of KILLED_AT) {
        const child = startWriter(
          under(`io_uring_enter:signal=SIGKILL:when=${count}`),
          directory,
          String(MEBIBYTE),
          TEXT_CHARACTERS,
        );
        assert.is(await child.ended, "SIGKILL");
        children.push(child);
        await assertWhole(directory, children);
        // What this store appended itself counts as acknowledged from here on: the log never gets shorter.
      }
      assert.ok(children.some((child) => acknowledged(child).length > 3));
    },
    { timeoutMs: 120_000 },
  );
} else {
  test.skip(KILLS, "strace is not installed or not allowed");
}

for (const errno of ["EINTR", "EAGAIN", "EBUSY", "ENOMEM"]) {
  const name = `the kernel's ring says ${errno} now and then, and every append is acknowledged`;
  if (!hasStrace) {
    test.skip(name, "strace is not installed or not allowed");
    continue;
  }
  test(
    name,
    async () => {
      const directory = join(temporaryDirectory(), "store");
      const child = startWriter(
        under(`io_uring_enter:error=${errno}:when=3+7`),
        directory,
        String(MEBIBYTE),
        TEXT_CHARACTERS,
      );
      await child.whenSaid((line) => line === "ack 40");
      await killBelow(child);
      assert.ok(!child.lines.some((line) => line.startsWith("refused")));
      await assertWhole(directory, [child]);
    },
    { timeoutMs: 60_000 },
  );
}

const CLOCK = "a clock that is set back two days changes no order: time never goes back in the log";
if (existsSync(FAKETIME)) {
  test(CLOCK, async () => {
    const directory = join(temporaryDirectory(), "store");
    const store = await openStore(directory);
    await store.append("s", { type: "T", data: "today" });
    await store.close();
    const child = startWriter(
      ["env", `LD_PRELOAD=${FAKETIME}`, "FAKETIME=-2d", "FAKETIME_DONT_FAKE_MONOTONIC=1"],
      directory,
      String(MEBIBYTE),
      TEXT_CHARACTERS,
    );
    await child.whenSaid((line) => line.startsWith("ack"));
    child.process.kill("SIGTERM");
    await child.ended;
    const reader = await openReader(directory);
    const times: number[] = [];
    for await (const { recordedAt } of reader.readAll()) times.push(recordedAt);
    await reader.close();
    assert.ok(times.length > 1);
    assert.equal(
      times,
      times.toSorted((a, b) => a - b),
    );
    assert.ok((times.at(-1) as number) - (times[0] as number) < DAY_US / 2);
  });
} else {
  test.skip(CLOCK, "libfaketime is not installed");
}
