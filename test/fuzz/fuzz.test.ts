/** The corruption fuzz in short. `npm run fuzz` is the whole of it. */

import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { runFuzz } from "./fuzz-run.js";

const test = suite("fuzz/fuzz");
const EVERY = 2003;
const MEBIBYTE = 1024 * 1024;

test(
  "damage to any file ends in the same data, a refusal that says where, or a cut of what nobody attests",
  async () => {
    const only = ["closed", "crashed"] as const;
    const report = await runFuzz({ base: temporaryDirectory(), every: EVERY, writeEvery: 12, only });
    assert.equal(report.failures, []);
    assert.ok(report.done > 180, `only ${report.done} kinds of damage`);
    // No more than a file and the window in which it is read.
    assert.ok(report.largestAllocation <= 2 * MEBIBYTE, `${report.largestAllocation} bytes at once`);
  },
  { timeoutMs: 240_000 },
);
