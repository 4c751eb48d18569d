/** The same as hammering-process.ts in a worker thread. */

import { parentPort, workerData } from "node:worker_threads";
import { type Hammering, hammer } from "../support/hammering.js";
import { openEventStore } from "../support/open-event-store.js";

const task = workerData as Hammering;
const store = await openEventStore({}, task.directory);
const tries = await hammer(store, task);
await store.close();
parentPort?.postMessage(tries);
