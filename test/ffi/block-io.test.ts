/** The contract of test/contract/block-io.ts over all four: the ring by either driver, the thread pool, and buffered files. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkDirectIo } from "../../src/ffi/open-io.js";
import { poolIo } from "../../src/ffi/pool-io.js";
import { Ring } from "../../src/ffi/ring.js";
import { uringIo } from "../../src/ffi/uring-io.js";
import { declareBlockIoContract } from "../contract/block-io.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const probe = join(temporaryDirectory(), "probe");
writeFileSync(probe, "");
const isDirect = checkDirectIo(probe) === true;

for (const driver of ["liburing", "syscall"] as const) {
  const test = suite(`ffi/block-io: uring by ${driver}`);
  const first = Ring.open(driver);
  if (first instanceof Ring) {
    first.close();
    declareBlockIoContract(test, () => {
      const ring = Ring.open(driver);
      if (!(ring instanceof Ring)) throw new Error(`${ring.step} refused with ${ring.errno}`);
      return uringIo(ring, isDirect, null);
    });
  } else {
    test.skip("the whole contract", `${first.step} is refused here with ${first.errno}`);
  }
}

const pool = suite("ffi/block-io: threadpool");
if (isDirect) declareBlockIoContract(pool, () => poolIo(true, "a test"));
else pool.skip("the whole contract", "the test directory's file system has no direct I/O");

declareBlockIoContract(suite("ffi/block-io: buffered"), () => poolIo(false, "a test"));
