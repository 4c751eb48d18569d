/** Repairs the store that its first argument names, keeping the copy where the second says. Says `done` when it is. */

import { writeSync } from "node:fs";
import { repairStore } from "../../../src/index.js";

const [directory = "", backup = ""] = process.argv.slice(2);
const { status } = await repairStore(directory, { dryRun: false, backup });
writeSync(1, `${status}\n`);
