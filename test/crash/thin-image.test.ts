/** A disk that promised more than what is below it has: space that was reserved, and that is not there when it is written to. */

import { join } from "node:path";
import { openStore } from "../../src/index.js";
import { assert } from "../support/assert.js";
import { loopDiskProblem, MemoryDisk, makeLoopDisk } from "../support/loop-disk.js";
import { suite } from "../support/suite.js";
import { acknowledged, startWriter } from "./disk-writer-child.js";

const test = suite("crash/thin-image");
const MEBIBYTE = 1024 * 1024;
const PROMISED_MEBIBYTES = 192;
const THERE_MEBIBYTES = 40;
const ROOMY_MEBIBYTES = 256;

const NAME = "a thin image that is full below the file system stops the log, and nothing acknowledged is lost";
const problem = loopDiskProblem();
if (problem === null) {
  test(
    NAME,
    async () => {
      const below = new MemoryDisk(THERE_MEBIBYTES);
      const disk = makeLoopDisk(PROMISED_MEBIBYTES, below.directory);
      try {
        const directory = join(disk.directory, "store");
        const child = startWriter([], directory, String(16 * MEBIBYTE), String(MEBIBYTE / 4));
        assert.is(await child.ended, 0);
        const said = child.lines.join("\n");
        assert.match(said, /refused ERR_WAL_(OUTCOME_UNKNOWN|FAILED|FULL)/);
        assert.ok(acknowledged(child).length > 4, said.slice(-500));
        // The file system may have turned read-only: for the store that is the same.
        below.resize(ROOMY_MEBIBYTES);
        disk.remount();
        const store = await openStore(directory, { segmentBytes: MEBIBYTE });
        try {
          const lsns: number[] = [];
          for await (const { lsn } of store.readAll()) lsns.push(lsn);
          for (const lsn of acknowledged(child)) assert.ok(lsns.includes(lsn), `LSN ${lsn} was acknowledged`);
          await store.append("again", { type: "Small", data: 1 });
        } finally {
          await store.close();
        }
      } finally {
        disk.remove();
        below.remove();
      }
    },
    { timeoutMs: 60_000 },
  );
} else {
  test.skip(NAME, problem);
}
