/** Prints as JSON what `openIo(argv[2], argv[3])` comes to; with `worker` as argv[4], in a worker thread. */

import { isMainThread, Worker } from "node:worker_threads";
import { type IoDemand, openIo } from "../../../src/ffi/index.js";

const [, , demand, probePath, place] = process.argv;

if (place === "worker" && isMainThread) {
  new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
} else {
  try {
    const io = openIo(demand as IoDemand, probePath as string);
    console.log(JSON.stringify(io.description));
    await io.close();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    console.log(JSON.stringify({ code, message }));
  }
}
