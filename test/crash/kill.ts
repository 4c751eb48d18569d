/** The kill test by itself, for as long as one likes: `npm run kill -- --rounds 500 [--seed N]`. */

import { parseArgs } from "node:util";
import { runKillRounds } from "./kill-rounds.js";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "500" }, seed: { type: "string" } },
});
const rounds = Number(values.rounds);
if (!Number.isSafeInteger(rounds) || rounds < 1) throw new TypeError(`--rounds takes a count, not "${values.rounds}"`);
const seed = values.seed === undefined ? {} : { seed: Number(values.seed) };

const report = await runKillRounds({
  rounds,
  ...seed,
  onRound: (round) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${round} of ${rounds} rounds`);
  },
});
if (process.stderr.isTTY) process.stderr.write("\n");
console.log(JSON.stringify(report));
