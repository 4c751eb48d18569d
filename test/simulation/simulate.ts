/**
 * Runs seeds until one fails: `npm run simulate -- --seeds 2000 [--first 1]`. `SEED=17 npm run simulate` replays one and tells what happened.
 */

import { parseArgs } from "node:util";
import { runSeed, SeedFailure } from "./scenario.js";
import { planOf } from "./seed-plan.js";
import { loadStores } from "./world.js";

const { values } = parseArgs({
  options: { seeds: { type: "string", default: "200" }, first: { type: "string", default: "1" } },
});
await loadStores();

const replayed = process.env["SEED"];
if (replayed === undefined) await runMany(Number(values.first), Number(values.seeds));
else await replay(Number(replayed));

async function runMany(first: number, count: number): Promise<void> {
  const failures: SeedFailure[] = [];
  for (let seed = first; seed < first + count; seed++) {
    try {
      await runSeed(seed);
    } catch (error) {
      if (!(error instanceof SeedFailure)) throw error;
      console.log(`FAIL ${error.message}`);
      failures.push(error);
    }
  }
  console.log(`${failures.length} of ${count} failed`);
}

async function replay(seed: number): Promise<void> {
  console.log(JSON.stringify(planOf(seed)));
  try {
    const report = await runSeed(seed, true);
    console.log({ ...report, faults: Object.fromEntries(report.faults) });
  } catch (error) {
    if (!(error instanceof SeedFailure)) throw error;
    console.log(error.lines.join("\n"));
    console.log(error.cause);
    process.exitCode = 1;
  }
}
