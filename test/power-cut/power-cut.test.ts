/** The power is cut at a few moments of real work; `npm run power-cut` cuts it at many more. */

import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { runPowerCuts } from "./power-cut-run.js";
import { recordingDiskProblem } from "./recording-disk.js";

const STATES = 20;
const test = suite("power-cut/power-cut");

const name = "after a power cut on ext4 every acknowledged append and backup is there, and the store goes on";
const problem = recordingDiskProblem("ext4");
if (problem !== null) {
  test.skip(name, problem);
} else {
  test(
    name,
    async () => {
      const report = await runPowerCuts({ fileSystem: "ext4", states: STATES });
      assert.equal(report.failures, []);
      assert.is(report.states, STATES);
      assert.ok(report.acknowledged > 50 && report.flushes > 50 && report.possibleStates > 500);
    },
    { timeoutMs: 150_000 },
  );
}
