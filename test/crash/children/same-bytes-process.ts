/**
 * Writes the history to the store in argv[2] with as many worker threads as argv[3] says, one step after the other, each by the next thread.
 * Writes what they answered and what each of them and one more writer read to the file argv[4], says `done` and waits to be killed. Where
 * argv[5] is `sealing`, checkpoints are made on the way.
 */

import { once } from "node:events";
import { writeFileSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { openStore } from "../../../src/index.js";
import { describeLog, describeStore, encodedSums, HISTORY, type LiveFindings } from "../same-bytes-history.js";
import type { ThreadAnswer, ThreadOrder } from "./same-bytes-thread.js";

const THREAD = fileURLToPath(new URL("./same-bytes-thread.js", import.meta.url));
const [, , directory, writerCount, findingsPath, sealing] = process.argv as [
  string,
  string,
  string,
  string,
  string,
  string,
];
/** Steps between checkpoints. */
const SEALING_STEPS = 110;

async function ask(worker: Worker, order: ThreadOrder): Promise<ThreadAnswer> {
  worker.postMessage(order);
  const [answer] = (await once(worker, "message")) as [ThreadAnswer];
  return answer;
}

const workers = Array.from({ length: Number(writerCount) }, () => new Worker(THREAD, { workerData: { directory } }));
for (const worker of workers) await ask(worker, { kind: "open" });

const answers: string[] = [];
for (const step of HISTORY.keys()) {
  const { text } = await ask(workers[step % workers.length] as Worker, { kind: "step", step });
  answers.push(text);
  if (sealing !== "sealing" || step % SEALING_STEPS !== SEALING_STEPS - 1) continue;
  const sealed = await ask(workers[step % workers.length] as Worker, { kind: "checkpoint" });
  if (sealed.text === "0") throw new Error("nothing was sealed on the way");
}

const logs: string[] = [];
const stores: string[] = [];
for (const worker of workers) {
  const { text, storeText } = await ask(worker, { kind: "read" });
  logs.push(text);
  stores.push(storeText);
}
const observer = await openStore(directory);
logs.push(await describeLog(observer.readAll()));
stores.push(await describeStore(observer.readAll()));
const findings: LiveFindings = { answers, logs, stores, encoded: await encodedSums(observer) };
writeFileSync(findingsPath, JSON.stringify(findings));
writeSync(1, "done\n");
process.stdin.on("end", () => process.exit(1)).resume(); // nobody is left to kill it
