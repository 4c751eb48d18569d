/**
 * A rebuild in a thread of its own, so that the event loop of who runs the projection stays free: the end that asks for it.
 *
 * The thread opens the store as a reader. It is asked to stop, and never terminated: it closes what it has open, and frees the lock.
 */

import { Worker } from "node:worker_threads";
import { StoreError, type StoreErrorCode, type StoreErrorDetails } from "../errors.js";
import type { EncryptionOptions } from "../events/index.js";
import type { ProjectionProgress } from "./projection-progress.js";
import type { ProjectionModule, RebuildReport } from "./rebuild-options.js";
import type { FailurePolicy, ProjectionReport } from "./runner-options.js";

const MODULE = new URL("./rebuild-thread.js", import.meta.url);

/** What the thread is given. */
export interface RebuildThreadOrder {
  readonly storeDirectory: string;
  readonly module: string;
  readonly name: string;
  readonly version: number;
  readonly schemas: readonly string[];
  readonly encryption: EncryptionOptions | null;
  readonly onError: FailurePolicy;
  readonly checkpointEveryEvents: number;
  readonly maxEventsPerSecond: number;
  readonly fresh: boolean;
}

/** What it says. */
export type RebuildThreadAnswer =
  | { readonly kind: "progress"; readonly progress: ProjectionProgress }
  | { readonly kind: "done"; readonly report: RebuildReport }
  | {
      readonly kind: "failed";
      /** Null: no `StoreError`. */
      readonly code: StoreErrorCode | null;
      readonly message: string;
      readonly details: StoreErrorDetails;
    };

interface RebuildOrder {
  readonly storeDirectory: string;
  readonly module: ProjectionModule;
  readonly projection: { readonly name: string; readonly version: number };
  readonly settings: Pick<RebuildThreadOrder, "onError" | "checkpointEveryEvents" | "maxEventsPerSecond" | "fresh"> & {
    readonly report: (report: ProjectionReport) => void;
  };
}

/**
 * Resolves when the new state lies ready and the thread has ended. Rejects with the signal's reason, or with what the thread failed with: what was
 * built by an abort is kept.
 */
export function rebuildInThread(
  { storeDirectory, module, projection, settings }: RebuildOrder,
  signal: AbortSignal,
  tellProgress: (progress: ProjectionProgress) => void,
): Promise<RebuildReport> {
  const { onError, checkpointEveryEvents, maxEventsPerSecond, fresh } = settings;
  const order: RebuildThreadOrder = {
    storeDirectory,
    module: module.module.href,
    name: projection.name,
    version: projection.version,
    schemas: module.schemas ?? [],
    encryption: module.encryption ?? null,
    onError,
    checkpointEveryEvents,
    maxEventsPerSecond,
    fresh,
  };
  const worker = new Worker(MODULE, { workerData: order, name: "varve-rebuild" });
  const stop = (): void => worker.postMessage("stop");
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  return new Promise<RebuildReport>((resolve, reject) => {
    let end: Exclude<RebuildThreadAnswer, { kind: "progress" }> | null = null;
    let failure: Error | null = null;
    worker.on("message", (answer: RebuildThreadAnswer) => {
      if (answer.kind === "progress") tellProgress(answer.progress);
      else end = answer;
    });
    worker.once("error", (error: Error) => {
      failure = error;
    });
    worker.once("exit", (code) => {
      signal.removeEventListener("abort", stop);
      if (end?.kind === "done" && !signal.aborted) resolve(end.report);
      else if (signal.aborted) reject(signal.reason);
      else
        reject(
          end?.kind === "failed" ? asError(end) : (failure ?? new Error(`the thread of a rebuild ended with ${code}`)),
        );
    });
  });
}

function asError({ code, message, details }: Extract<RebuildThreadAnswer, { kind: "failed" }>): Error {
  return code === null ? new Error(message) : new StoreError(code, message, details);
}
