/** Sleeps on a word of the new mapped file argv[3] through `openIo(argv[2])`, and does nothing else; with `worker` as argv[4], in a worker. */

import { writeSync } from "node:fs";
import { isMainThread, Worker } from "node:worker_threads";
import { type IoDemand, MappedFile, openIo } from "../../../src/ffi/index.js";

const [, , demand, path, place] = process.argv;

if (place === "worker" && isMainThread) {
  new Worker(new URL(import.meta.url), { argv: process.argv.slice(2) });
} else {
  const file = MappedFile.create(path as string, 4096);
  const io = openIo(demand as IoDemand, file.path);
  io.sleepOn(file, 0, 0, { complete: (result) => writeSync(1, `woken with ${result}\n`) });
  io.submit();
  writeSync(1, "sleeping\n");
}
