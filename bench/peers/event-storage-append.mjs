/** event-storage's `commit` to one stream with `syncOnFlush`, whose callback runs after the write was synced. */

import EventStore from "event-storage";
import { payloadOf, run } from "./driver.mjs";

await run({
  name: "event-storage",
  open: async (directory) => {
    const store = new EventStore("bench", { storageDirectory: directory, storageConfig: { syncOnFlush: true } });
    await new Promise((resolve, reject) => store.once("ready", resolve).once("error", reject));
    return {
      // Its documents are JSON, so the bytes travel as text.
      put: (sequence) =>
        new Promise((resolve) => store.commit("bench", [{ payload: payloadOf(sequence).toString("latin1") }], resolve)),
      close: async () => store.close(),
      *readBack() {
        for (const { payload } of store.getEventStream("bench")) yield Buffer.from(payload, "latin1");
      },
    };
  },
});
