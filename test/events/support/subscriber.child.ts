/** Subscribes and waits; with "end" it breaks off and closes the store, and must then end by itself. */

import { openEventStore } from "./open-event-store.js";

const [directory = "", mode] = process.argv.slice(2);
const store = await openEventStore({}, directory);
await store.append("s", { type: "T", data: 1 });
const cursor = store.subscribe();
await cursor.next();
const waiting = cursor.next();
console.log("subscribed");
if (mode === "end") {
  await cursor.return();
  await waiting;
  await store.close();
}
