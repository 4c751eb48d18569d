import { assert } from "../support/assert.js";
import { seededRandom } from "../support/seeded-random.js";
import { suite } from "../support/suite.js";
import { killRounds } from "./kill-rounds.js";

const ROUNDS = Number(process.env["KILL_ROUNDS"] ?? 20);
const ROUND_MS_MAX = 5_000;

const test = suite("crash/kill");

test(
  "a process killed at random moments loses nothing it acknowledged and leaves nothing half done",
  async () => {
    const { acknowledged, rounds } = await killRounds(ROUNDS, seededRandom().seed, () => {});
    assert.ok(acknowledged > rounds, `${acknowledged} appends were acknowledged: the kills found something to hurt`);
  },
  { timeoutMs: 30_000 + ROUNDS * ROUND_MS_MAX },
);
