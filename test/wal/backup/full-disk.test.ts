import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoreError } from "../../../src/errors.js";
import { restoreLog } from "../../../src/wal/backup/restore.js";
import { assert, rejects } from "../../support/assert.js";
import { loopDiskProblem, makeLoopDisk } from "../../support/loop-disk.js";
import { suite } from "../../support/suite.js";
import { temporaryDirectory } from "../../support/temporary-directory.js";
import { append, keyOf, openLog } from "../support/log-fixture.js";
import { HERE, openView, recordsIn } from "./backup-fixture.js";

const test = suite("wal/backup/full-disk");
const problem = loopDiskProblem();
const name = "on a full disk the former backup stays, nothing is restored, and with room both are made";

if (problem !== null) test.skip(name, problem);
else
  test(name, async () => {
    const disk = makeLoopDisk(16);
    try {
      const store = join(temporaryDirectory(), "store");
      const backup = join(disk.directory, "backup");
      const { wal } = await openLog(store, HERE);
      const records = [`small@1${"s".repeat(100)}`];
      await append(wal, records);
      await wal.backup(backup);
      for (let number = 0; number < 200; number++) {
        records.push(`${number}@1${"x".repeat(25_000)}`);
        await append(wal, records.slice(-1));
      }
      const ballast = join(disk.directory, "ballast");
      writeFileSync(ballast, Buffer.alloc(10 * 1024 * 1024));
      const full = (await rejects(wal.backup(backup), "ERR_IO_FAILED")) as StoreError;
      assert.is(full.details["errno"], "ENOSPC");
      assert.equal(await recordsIn(backup), records.slice(0, 1));
      rmSync(ballast);
      assert.is((await wal.backup(backup)).lsn, records.length);
      assert.equal(await recordsIn(backup), records);
      await wal.close();

      const kept = join(temporaryDirectory(), "backup");
      const { wal: again } = await openLog(store, HERE, () => {});
      await again.backup(kept);
      await again.close();
      rmSync(backup, { recursive: true });
      writeFileSync(ballast, Buffer.alloc(10 * 1024 * 1024));
      const target = join(disk.directory, "restored");
      const options = { keyOf, dryRun: false, busyWaitMs: 2_000 };
      const stopped = (await rejects(restoreLog(kept, target, options), "ERR_IO_FAILED")) as StoreError;
      assert.is(stopped.details["errno"], "ENOSPC");
      await rejects(openView(target), "ERR_STORE_NOT_FOUND");
      rmSync(ballast);
      await restoreLog(kept, target, options);
      assert.equal(await recordsIn(target), records);
    } finally {
      disk.remove();
    }
  });
