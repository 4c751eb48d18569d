/** The power is cut at a few moments of real work; `npm run power-cut` cuts it at many more. */

import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { runPowerCuts } from "./power-cut-run.js";
import { recordingDiskProblem } from "./recording-disk.js";

const test = suite("power-cut/power-cut");

const problem = recordingDiskProblem("ext4");

for (const { work, states, name } of [
  {
    work: "appends",
    states: 20,
    name: "after a power cut on ext4 every acknowledged append and backup is there, and the store goes on",
  },
  {
    work: "subjects",
    states: 8,
    name: "after a power cut on ext4 who was forgotten stays so, and everybody else is read",
  },
] as const) {
  if (problem !== null) {
    test.skip(name, problem);
    continue;
  }
  test(
    name,
    async () => {
      const report = await runPowerCuts({ fileSystem: "ext4", work, states });
      assert.equal(report.failures, []);
      assert.is(report.states, states);
      assert.ok(report.acknowledged > 50 && report.flushes > 50 && report.possibleStates > 500);
    },
    { timeoutMs: 150_000 },
  );
}
