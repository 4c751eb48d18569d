/** A thread of the process that writes the history: a writer that takes the steps it is told to, and reads. */

import { parentPort, workerData } from "node:worker_threads";
import { openStore, type Store } from "../../../src/index.js";
import { describeLog, describeStore, takeStep } from "../same-bytes-history.js";

export type ThreadOrder =
  | { readonly kind: "open" }
  | { readonly kind: "step"; readonly step: number }
  | { readonly kind: "checkpoint" }
  | { readonly kind: "read" };

export interface ThreadAnswer {
  readonly text: string;
  readonly storeText: string;
}

const port = parentPort;
const { directory } = workerData as { readonly directory: string };
let store: Store | null = null;

async function obey(order: ThreadOrder): Promise<ThreadAnswer> {
  store ??= await openStore(directory);
  switch (order.kind) {
    case "open":
      return { text: "", storeText: "" };
    case "step":
      return { text: await takeStep(store, order.step), storeText: "" };
    case "checkpoint": {
      const { log } = await store.checkpoint();
      return { text: `${log?.sealedRecords ?? 0}`, storeText: "" };
    }
    case "read":
      return { text: await describeLog(store.readAll()), storeText: await describeStore(store.readAll()) };
  }
}

// One at a time: the next order comes after the answer. A rejection ends the thread, and its process with it.
port?.on("message", (order: ThreadOrder) => {
  void obey(order).then((answer) => port.postMessage(answer));
});
