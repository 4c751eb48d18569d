/** Every wrong build against what must notice it: `npm run zoo [-- --only NAME]`. Exit code 1 when one gets away. */

import { parseArgs } from "node:util";
import { BUGS } from "./bugs.js";
import { tryBug } from "./wrong-build.js";

const { values } = parseArgs({ options: { only: { type: "string" }, verbose: { type: "boolean", default: false } } });
const chosen = BUGS.filter(({ name }) => values.only === undefined || name === values.only);
if (chosen.length === 0) throw new TypeError(`--only takes one of ${BUGS.map(({ name }) => name).join(", ")}`);

let caughtCount = 0;
for (const bug of chosen) {
  const { isCaught, by, elapsedMs, said } = await tryBug(bug);
  if (isCaught) caughtCount++;
  console.log(
    `${isCaught ? "caught " : "MISSED "} ${bug.name} by ${by} (${(elapsedMs / 1000).toFixed(1)} s): ${bug.what}`,
  );
  if (!isCaught || values.verbose) console.log(said);
}
console.log(`${caughtCount} of ${chosen.length} caught`);
process.exitCode = caughtCount === chosen.length ? 0 : 1;
