/** The long form: `npm run kill -- --rounds 500 [--seed N]`. */

import { parseArgs } from "node:util";
import { killRounds } from "./kill-rounds.js";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "500" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});
process.stdout.write(`seed ${values.seed}\n`);
const summary = await killRounds(Number(values.rounds), Number(values.seed), (round) => {
  if (process.stderr.isTTY) process.stderr.write(`\rround ${round + 1} of ${values.rounds}`);
});
process.stdout.write(`${JSON.stringify(summary)}\n`);
