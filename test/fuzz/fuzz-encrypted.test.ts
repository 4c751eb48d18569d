/** The corruption fuzz in short, of an encrypted store. */

import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { temporaryDirectory } from "../support/temporary-directory.js";
import { runFuzz } from "./fuzz-run.js";

const test = suite("fuzz/fuzz-encrypted");
const EVERY = 4001;
const MEBIBYTE = 1024 * 1024;

test(
  "damage to an encrypted store ends as in any other, and never looks like tampering",
  async () => {
    const only = ["encrypted"] as const;
    const report = await runFuzz({ base: temporaryDirectory(), every: EVERY, writeEvery: 4, only });
    assert.equal(report.failures, []);
    assert.ok(report.done > 60, `only ${report.done} kinds of damage`);
    assert.ok(report.largestAllocation <= 2 * MEBIBYTE, `${report.largestAllocation} bytes at once`);
  },
  { timeoutMs: 120_000 },
);
