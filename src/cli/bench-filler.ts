/** The process that fills the store for the recovery benchmark, by as many writer threads as there are to be cores. */

import type { FillReport, FillTask } from "./bench-fill-writer.js";
import { Peer } from "./peer.js";
import { servePeer } from "./peer-parent.js";

await servePeer<readonly FillTask[], never, FillReport>(async (tasks, parent) => {
  const module = new URL("./bench-fill-writer.js", import.meta.url);
  const { signal } = new AbortController();
  const writers = tasks.map((task) => new Peer<FillTask, never, FillReport>("thread", module, task, signal));
  const reports = await Promise.all(writers.map((writer) => writer.next()));
  parent.tell({
    events: reports.reduce((sum, { events }) => sum + events, 0),
    lsnSum: reports.reduce((sum, { lsnSum }) => sum + lsnSum, 0n),
  });
  // Its parent kills it, and with it the threads that have the store open.
  await parent.next();
});
