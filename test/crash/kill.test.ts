import { assert } from "../support/assert.js";
import { suite } from "../support/suite.js";
import { runKillRounds } from "./kill-rounds.js";

const ROUNDS = Number(process.env["KILL_ROUNDS"] ?? 25);
const FALLBACK_ROUNDS = Math.ceil(ROUNDS / 5);
const ROUND_DEADLINE_MS = 3_000;

const test = suite("crash/kill");

test(
  `${ROUNDS} writers killed at random moments lose nothing that was acknowledged and leave no append half there`,
  async () => {
    const report = await runKillRounds({ rounds: ROUNDS });
    console.log(JSON.stringify(report));
    // A run that kills before anything happens would prove nothing.
    assert.ok(report.acknowledged > ROUNDS / 4, `${report.acknowledged} acknowledgements in ${ROUNDS} rounds`);
    assert.ok(report.verifications > ROUNDS / 3);
  },
  { timeoutMs: 30_000 + ROUNDS * ROUND_DEADLINE_MS },
);

for (const io of ["threadpool", "buffered"] as const) {
  test(
    `the same on ${io} I/O, ${FALLBACK_ROUNDS} times`,
    async () => {
      const report = await runKillRounds({ rounds: FALLBACK_ROUNDS, io });
      assert.is(report.rounds, FALLBACK_ROUNDS);
      assert.ok(report.verifications > 0);
    },
    { timeoutMs: 30_000 + FALLBACK_ROUNDS * ROUND_DEADLINE_MS },
  );
}
