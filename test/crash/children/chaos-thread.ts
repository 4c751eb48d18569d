/** A worker thread of a process of the chaos test: one writer, which says its lines on the thread's own descriptor. */

import { parentPort, workerData } from "node:worker_threads";
import { type LeaveOrder, outputOf, type WriterTask } from "../chaos-plan.js";
import { ChaosWriter, failureLine, sayOn } from "./chaos-writer.js";

type ThreadOrder =
  | { readonly kind: "start"; readonly task: WriterTask }
  | { readonly kind: "leave"; readonly how: LeaveOrder };

const port = parentPort;
if (port === null) throw new Error("this is a worker's module");
const output = outputOf((workerData as { readonly thread: number }).thread);
const say = (line: string): void => sayOn(output, line);
let writer: ChaosWriter | null = null;

port.on("message", (order: ThreadOrder) => {
  if (order.kind === "leave") {
    writer?.leave(order.how);
    return;
  }
  writer = new ChaosWriter(order.task, say);
  writer.run().then(
    () => port.close(),
    (error: unknown) => {
      say(failureLine(error));
      throw error;
    },
  );
});
