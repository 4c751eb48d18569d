/** A process that rebuilds the read model of the rebuild benchmark, and says how far it is: it may be killed at any moment. */

import { type ProjectionReport, type RebuildReport, rebuildProjection } from "../index.js";
import { accountsAfter } from "./bench-rebuild-accounts.js";
import { servePeer } from "./peer-parent.js";

export interface RebuildJobTask {
  readonly store: string;
  readonly checkpointEveryEvents: number;
  /** Null: as fast as it goes. */
  readonly maxEventsPerSecond: number | null;
}

export type RebuildJobReport =
  | { readonly kind: "at"; readonly lsn: number }
  | ({ readonly kind: "done" } & RebuildReport);

await servePeer<RebuildJobTask, never, RebuildJobReport>(async (task, parent) => {
  let failure: unknown = null;
  const report = await rebuildProjection(task.store, accountsAfter, {
    checkpointEveryEvents: task.checkpointEveryEvents,
    ...(task.maxEventsPerSecond !== null && { maxEventsPerSecond: task.maxEventsPerSecond }),
    onProgress: ({ lsn }) => parent.tell({ kind: "at", lsn }),
    onReport: (event: ProjectionReport) => {
      if (event.kind === "checkpoint-failed") failure ??= event.error;
    },
  });
  if (failure !== null) throw failure;
  parent.tell({ kind: "done", ...report });
});
