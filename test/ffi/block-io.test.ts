/**
 * The contract of test/contract/block-io.ts over all of them: the ring by either driver and woken in either way, the ring of a kernel that
 * can do less, the thread pool, and buffered files.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkDirectIo } from "../../src/ffi/open-io.js";
import { poolIo } from "../../src/ffi/pool-io.js";
import { ENTRY_COUNT, Ring } from "../../src/ffi/ring.js";
import { openSyscallDriver } from "../../src/ffi/syscall-driver.js";
import { uringIo } from "../../src/ffi/uring-io.js";
import { declareBlockIoContract } from "../contract/block-io.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";

const probe = join(temporaryDirectory(), "probe");
writeFileSync(probe, "");
const isDirect = checkDirectIo(probe) === true;

function ringBy(driver: "liburing" | "syscall", wakeup: "poll" | "pipe"): Ring {
  const ring = Ring.open(driver, wakeup);
  if (ring instanceof Ring) return ring;
  throw new Error(`${ring.step} refused with ${ring.errno}`);
}

/** As before Linux 5.17, which had neither. */
function ringOfOldKernel(wakeup: "poll" | "pipe"): Ring {
  const driver = openSyscallDriver(ENTRY_COUNT);
  if ("errno" in driver) throw new Error(`refused with ${driver.errno}`);
  return Ring.over({ ...driver, abilities: { hasFutex: false, skipsSuccess: false } }, wakeup);
}

for (const driver of ["liburing", "syscall"] as const) {
  const first = Ring.open(driver);
  if (first instanceof Ring) first.close();
  for (const wakeup of ["poll", "pipe"] as const) {
    const test = suite(`ffi/block-io: uring by ${driver}, woken by a ${wakeup}`);
    if (first instanceof Ring) declareBlockIoContract(test, () => uringIo(ringBy(driver, wakeup), isDirect, null));
    else test.skip("the whole contract", `${first.step} is refused here with ${first.errno}`);
  }
}

const ring = Ring.open("syscall");
if (ring instanceof Ring) ring.close();
for (const wakeup of ["poll", "pipe"] as const) {
  const test = suite(`ffi/block-io: uring of an old kernel, woken by a ${wakeup}`);
  if (ring instanceof Ring) declareBlockIoContract(test, () => uringIo(ringOfOldKernel(wakeup), isDirect, null));
  else test.skip("the whole contract", `${ring.step} is refused here with ${ring.errno}`);
}

const pool = suite("ffi/block-io: threadpool");
if (isDirect) declareBlockIoContract(pool, () => poolIo(true, "a test"));
else pool.skip("the whole contract", "the test directory's file system has no direct I/O");

declareBlockIoContract(suite("ffi/block-io: buffered"), () => poolIo(false, "a test"));
