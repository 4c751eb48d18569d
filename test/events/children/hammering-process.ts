/** Opens the store, appends as it is told, closes it, and prints what became of it: one JSON line. */

import { type Hammering, hammer } from "../support/hammering.js";
import { openEventStore } from "../support/open-event-store.js";

const task = JSON.parse(process.argv[2] ?? "") as Hammering;
const store = await openEventStore({}, task.directory);
const tries = await hammer(store, task);
await store.close();
console.log(JSON.stringify(tries));
