import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { runChaos } from "./chaos-rounds.js";

const SECONDS = 8;
const KILL_EVERY_MS = 300;

const test = suite("crash/chaos");

test(
  `writers in 2 processes with 2 threads each that are killed and terminated for ${SECONDS} s lose nothing that was acknowledged`,
  async () => {
    const report = await runChaos({
      seconds: SECONDS,
      processes: 2,
      threads: 2,
      killEveryMs: KILL_EVERY_MS,
      appendsPerSecond: 2_000,
      segmentBytes: 256 * 1024,
    });
    console.log(JSON.stringify(report));
    // A run in which nothing happens would prove nothing.
    assert.ok(report.acknowledged > 200, `${report.acknowledged} acknowledgements`);
    assert.ok(report.kills > 3, `${report.kills} kills`);
    assert.ok(report.terminations > 0, `${report.terminations} terminations`);
    assert.ok(report.takeovers > 0, `${report.takeovers} takeovers`);
  },
  { timeoutMs: 240_000 },
);
