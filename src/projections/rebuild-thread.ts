/** A rebuild in a thread of its own: the end that does it. */

import { setPriority } from "node:os";
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { assert } from "../assert.js";
import { isStoreError } from "../errors.js";
import { loadProjection, rebuildProjection } from "./rebuild-job.js";
import type { RebuildThreadAnswer, RebuildThreadOrder } from "./rebuild-worker.js";

const NICENESS = 10;

const port = parentPort;
assert(!isMainThread && port !== null, "a rebuild is served in a worker");
// On Linux this is of the calling thread alone: where cores are scarce, the loop that appends and serves comes first.
setPriority(0, NICENESS);
const { storeDirectory, module, name, version, ...options } = workerData as RebuildThreadOrder;
const aborting = new AbortController();
port.on("message", () => aborting.abort());
const say = (answer: RebuildThreadAnswer): void => port.postMessage(answer);
try {
  const projection = await loadProjection(new URL(module), { name, version });
  const report = await rebuildProjection(storeDirectory, projection, {
    ...options,
    // Whether it stays is for the asking end to say.
    keepOnAbort: true,
    signal: aborting.signal,
    onProgress: (progress) => say({ kind: "progress", progress }),
  });
  say({ kind: "done", report });
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  const known = isStoreError(error) ? error : null;
  say({ kind: "failed", code: known?.code ?? null, message, details: known?.details ?? {} });
}
port.close();
