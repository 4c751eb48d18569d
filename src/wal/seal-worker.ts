/**
 * The thread in which a checkpoint is made, so that the event loop of the writer stays free: both ends of it.
 *
 * The module of the worker calls `serveSealing` with what only the upper layers know of records. The thread ends by itself, and is never
 * terminated: it is asked to stop.
 */

import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { assert } from "../assert.js";
import { StoreError, type StoreErrorCode, type StoreErrorDetails } from "../errors.js";
import type { KeyOf } from "./record-key.js";
import { type SealWords, type SealWork, sealLog } from "./seal-log.js";
import type { SealedEntry } from "./sealed/sealed-entry.js";
import { asStoreError } from "./write-failure.js";

interface Order {
  readonly task: SealWork;
  readonly words: SealWords;
}

type Answer =
  | { readonly kind: "sealed"; readonly entries: readonly SealedEntry[] }
  | {
      readonly kind: "failed";
      readonly code: StoreErrorCode;
      readonly message: string;
      readonly details: StoreErrorDetails;
    };

/** Does what the thread was started for. To be called by the module of a worker, once. */
export async function serveSealing(keyOf: KeyOf): Promise<void> {
  const port = parentPort;
  assert(!isMainThread && port !== null, "sealing is served in a worker");
  const { task, words } = workerData as Order;
  let answer: Answer;
  try {
    answer = { kind: "sealed", entries: await sealLog(task, keyOf, words) };
  } catch (error) {
    const { code, message, details } = asStoreError(error);
    answer = { kind: "failed", code, message, details };
  }
  port.postMessage(answer);
}

/** Seals in a thread of its own, which has ended when this resolves or rejects. */
export function sealInWorker(module: URL, task: SealWork, words: SealWords): Promise<readonly SealedEntry[]> {
  const order: Order = { task, words };
  const worker = new Worker(module, { workerData: order, name: "varve-checkpoint" });
  return new Promise((resolve, reject) => {
    let answer: Answer | null = null;
    let failure: Error | null = null;
    worker.once("message", (message: Answer) => {
      answer = message;
    });
    worker.once("error", (error: Error) => {
      failure = error;
    });
    worker.once("exit", (code) => {
      if (answer?.kind === "sealed") resolve(answer.entries);
      else if (answer?.kind === "failed") reject(new StoreError(answer.code, answer.message, answer.details));
      else reject(failure ?? new Error(`the thread of a checkpoint ended with ${code}`));
    });
  });
}
