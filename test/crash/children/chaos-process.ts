/**
 * A process of the chaos test: a writer in its main thread and one in each worker thread (as many as argv[2] says), which the parent starts,
 * ends and terminates by lines of JSON on its standard input (`ProcessOrder`). Each thread says its lines on a descriptor of its own.
 *
 * Says `ready` on its standard output, and `terminated THREAD`. Ends by itself when all its writers have stopped, or its parent is gone.
 */

import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { type LeaveOrder, outputOf, type ProcessOrder } from "../chaos-plan.js";
import { ChaosWriter, failureLine, sayOn } from "./chaos-writer.js";

const THREAD = fileURLToPath(new URL("./chaos-thread.js", import.meta.url));

const say = (line: string): void => sayOn(outputOf(0), line);

function fail(error: unknown): never {
  say(failureLine(error));
  process.exit(1);
}

const threadCount = Number(process.argv[2]);
const workers = new Map<number, Worker>();
/** Terminated on purpose: their end is no failure. */
const condemned = new Set<Worker>();
let writer: ChaosWriter | null = null;
let runningCount = 0;

function endWhenAllStopped(): void {
  runningCount--;
  if (runningCount === 0 && condemned.size === 0) process.exit(0);
}

function startWorker(thread: number): Worker {
  const worker = new Worker(THREAD, { workerData: { thread } });
  workers.set(thread, worker);
  worker.on("error", (error) => {
    if (!condemned.has(worker)) fail(error);
  });
  worker.on("exit", (code) => {
    if (condemned.has(worker)) return;
    if (code !== 0) fail(new Error(`the worker of thread ${thread} ended with ${code}`));
    workers.delete(thread);
    endWhenAllStopped();
  });
  return worker;
}

async function terminate(thread: number): Promise<void> {
  const worker = workers.get(thread);
  if (worker === undefined) throw new Error(`there is no worker for thread ${thread}`);
  condemned.add(worker);
  await worker.terminate();
  condemned.delete(worker);
  workers.delete(thread);
  runningCount--;
  say(`terminated ${thread}`);
}

function leave(thread: number, how: LeaveOrder): void {
  if (thread === 0) writer?.leave(how);
  else workers.get(thread)?.postMessage({ kind: "leave", how });
}

function obey(order: ProcessOrder): void {
  switch (order.order) {
    case "start":
      runningCount++;
      if (order.thread > 0) {
        const worker = workers.get(order.thread) ?? startWorker(order.thread);
        worker.postMessage({ kind: "start", task: order.task });
        return;
      }
      writer = new ChaosWriter(order.task, say);
      writer.run().then(endWhenAllStopped, fail);
      return;
    case "terminate":
      terminate(order.thread).catch(fail);
      return;
    case "leave":
      leave(order.thread, order.how);
  }
}

// Started before they are needed: loading the modules takes longer than some lives.
for (let thread = 1; thread < threadCount; thread++) startWorker(thread);
await Promise.all([...workers.values()].map((worker) => once(worker, "online")));
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => obey(JSON.parse(line) as ProcessOrder));
lines.on("close", () => process.exit(1));
say("ready");
