/** A repair that is killed at each change of a name, and each sync: the store is damaged as before, or repaired, and repairing again ends it. */

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { openReader, openStore, repairStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { runChild } from "../support/child-process.js";
import { loopDiskProblem, makeLoopDisk } from "../support/loop-disk.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const test = suite("crash/repair-kill");
const OPTIONS = { segmentBytes: 64 * 1024, checkpointWalBytes: 0 } as const;
const CHILD = new URL("./children/repair-process.js", import.meta.url);
const CALLS = "rename,renameat,renameat2,unlink,unlinkat,link,linkat,mkdir,fsync,fdatasync";
const KILLS_MAX = 100;
const STEP = process.env["VARVE_FUZZ"] === "all" ? 1 : 3;

/** Sealed and hot, with LSN 5 damaged where it is hot. */
async function makeDamaged(): Promise<string> {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory, OPTIONS);
  for (let number = 1; number <= 6; number++) {
    await store.append(`s${number % 2}`, { type: "T", data: { number } });
    if (number === 3) await store.checkpoint();
  }
  await store.close();
  const path = join(directory, "wal/core-000/0000000001.wal");
  const at = readFileSync(path).indexOf('{"number":5}');
  writeSync(openSync(path, "r+"), "6", at + 10);
  return directory;
}

async function lsnsIn(directory: string): Promise<number[]> {
  const reader = await openReader(directory);
  try {
    const lsns: number[] = [];
    for await (const { lsn } of reader.readAll()) lsns.push(lsn);
    await reader.verifySealed();
    return lsns;
  } finally {
    await reader.close();
  }
}

const name =
  "a repair that is killed at any change of a name or sync leaves the store as it was or repaired, and the next one ends it";
if (spawnSync("strace", ["-V"]).status !== 0) test.skip(name, "strace is not installed");
else
  test(
    name,
    async () => {
      const damaged = await makeDamaged();
      const counts = { asItWas: 0, repaired: 0 };
      let ended = false;
      for (let kill = 1; !ended && kill <= KILLS_MAX; kill += STEP) {
        const base = temporaryDirectory();
        const directory = join(base, "store");
        cpSync(damaged, directory, { recursive: true });
        // What a repair leaves that died must not be taken for the store's, also where no manifest says what is.
        if (kill % 2 === 0)
          for (const file of readdirSync(directory)) if (file.startsWith("manifest-")) rmSync(join(directory, file));
        const inject = `inject=${CALLS}:signal=SIGKILL:when=${kill}`;
        const under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${CALLS}`, "-e", inject];
        // One thread, for each has a count of its own.
        const env = { UV_THREADPOOL_SIZE: "1" };
        const copy = join(base, "copy");
        const child = await runChild(CHILD, { under, env, arguments: [directory, copy], deadlineMs: 60_000 });
        ended = child.stdout === "repaired\n";
        const again = await repairStore(directory, { dryRun: false, backup: join(base, "second copy") });
        assert.ok(["clean", "repaired"].includes(again.status), `kill ${kill}: ${again.status} ${again.obstacle}`);
        if (again.status === "clean") counts.repaired++;
        else counts.asItWas++;
        if (again.status === "repaired") assert.equal(again.lost, [[5, 5]], `kill ${kill}`);
        assert.equal(await lsnsIn(directory), [1, 2, 3, 4, 6], `kill ${kill}`);
        rmSync(base, { recursive: true });
      }
      console.log(JSON.stringify(counts));
      assert.ok(ended, "some repair was not killed");
      assert.ok(counts.asItWas > 1 && counts.repaired > 1, JSON.stringify(counts));
    },
    { timeoutMs: 240_000 },
  );

const problem = loopDiskProblem();
const onFullDisk = "on a full disk a repair says so and leaves the store as it was, and with room it is made";
if (problem !== null) test.skip(onFullDisk, problem);
else
  test(onFullDisk, async () => {
    const disk = makeLoopDisk(8);
    try {
      const directory = join(disk.directory, "store");
      const store = await openStore(directory, OPTIONS);
      for (let number = 0; number < 60; number++) await store.append("s", { type: "T", data: "x".repeat(25_000) });
      await store.append("t", { type: "T", data: "the one" });
      await store.append("t", { type: "T", data: "the last" });
      await store.close();
      rmSync(join(directory, "manifest-0000000002"), { force: true });
      for (let sequence = 1; sequence < 10; sequence++)
        rmSync(join(directory, `manifest-${String(sequence).padStart(10, "0")}`), { force: true });
      const ballast = join(disk.directory, "ballast");
      const fill = (): void => {
        for (let size = 1024 * 1024; size >= 4096; size /= 2) {
          try {
            for (let count = 0; ; count++) writeFileSync(`${ballast}-${size}-${count}`, Buffer.alloc(size));
          } catch {
            // There is no room for so many more.
          }
        }
      };
      fill();
      const backup = join(temporaryDirectory(), "copy");
      const full = await repairStore(directory, { dryRun: false, backup }).catch((error: unknown) => error);
      assert.is((full as { code?: string }).code, "ERR_IO_FAILED", String(full));
      assert.is((full as { details?: { errno?: string } }).details?.errno, "ENOSPC");
      const plan = await repairStore(directory);
      assert.equal([plan.status, plan.keptEvents, plan.lostLsns], ["damaged", 62, 0]);
      spawnSync("sh", ["-c", `rm -f '${ballast}'-*`]);
      const done = await repairStore(directory, { dryRun: false, backup: join(temporaryDirectory(), "copy") });
      assert.equal([done.status, done.keptEvents], ["repaired", 62]);
      mkdirSync(join(disk.directory, "proof"));
    } finally {
      disk.remove();
    }
  });
