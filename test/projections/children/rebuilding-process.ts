/** Opens the store, fills it, saves a state that is wrong by 7, and rebuilds slowly, until it is killed. */

import { openStore } from "../../../src/index.js";
import { once } from "./number-sum.js";

const store = await openStore(process.argv[2] ?? "");
const events = Array.from({ length: 500 }, () => ({ type: "Added", data: { value: 1 } }));
for (let appended = 0; appended < 20_000; appended += 500) await store.append("numbers", events);
const running = await store.project(once, { checkpointEveryEvents: 500 });
await running.whenCaughtUp();
running.state.sum += 7;
await running.close();
// Its own save was skipped, for nothing had come since: one event more.
const again = await store.project(once, { checkpointEveryEvents: 500 });
again.state.sum += 7;
await store.append("others", { type: "Ignored", data: {} });
await again.whenCaughtUp();
await again.checkpoint();
await again.rebuild({ maxEventsPerSecond: 4000 });
