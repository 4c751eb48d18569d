/**
 * Terminates argv[3] worker threads, one after the other, while each has published writes and a sleeper in flight, and then shows that each
 * worker's lock is free and that this process still writes.
 */

import { constants, openSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { AlignedBuffer, BLOCK_BYTES, type BlockIo, FileLock, MappedFile, openIo } from "../../../src/ffi/index.js";

const [, , path, workerCount] = process.argv as [string, string, string, string];
const WRITES_IN_FLIGHT = 16;
const LOCK_WAIT_MS = 2000;

/** Starts a write again whenever one has ended. */
function keepWriting(io: BlockIo, fd: number, control: MappedFile, ended: (result: number) => void): void {
  const buffer = new AlignedBuffer(BLOCK_BYTES);
  for (let lane = 0; lane < WRITES_IN_FLIGHT; lane++) {
    const publication = { file: control, mailboxOffset: 16 * lane, doneOffset: 16 * lane + 8 };
    const write = (): void => {
      control.bigint64[2 * lane] = (control.bigint64[2 * lane] as bigint) + 1n;
      io.writePublished(fd, buffer, 0, BLOCK_BYTES, lane * BLOCK_BYTES, publication, { complete });
      io.submit();
    };
    const complete = (result: number): void => {
      ended(result);
      if (result === BLOCK_BYTES) write();
    };
    write();
  }
}

function openFile(io: BlockIo): number {
  return openSync(path, io.openFlags("write") | constants.O_CREAT, 0o600);
}

if (isMainThread) {
  MappedFile.create(`${path}.control`, BLOCK_BYTES).close();
  const io = openIo("uring", `${path}.control`);
  for (let number = 1; number <= Number(workerCount); number++) {
    const worker = new Worker(new URL(import.meta.url), { argv: [path, workerCount] });
    await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
    await delay(number % 7);
    await worker.terminate();
    const deadline = performance.now() + LOCK_WAIT_MS;
    let lock = FileLock.tryTake(`${path}.lock`);
    for (; lock === null && performance.now() < deadline; lock = FileLock.tryTake(`${path}.lock`)) await delay(1);
    if (lock === null) throw new Error(`the lock of worker ${number} is not freed`);
    lock.release();
  }
  const control = MappedFile.open(`${path}.control`);
  let endedCount = 0;
  keepWriting(io, openFile(io), control, (result) => {
    if (result !== BLOCK_BYTES) throw new Error(`a write of this process ended with ${result}`);
    if (++endedCount < 100) return;
    console.log(`${workerCount} terminated, all could be locked again, the process still writes`);
    process.exit();
  });
} else {
  const control = MappedFile.open(`${path}.control`);
  const io = openIo("uring", control.path);
  if (FileLock.tryTake(`${path}.lock`) === null) throw new Error("the lock of the worker before is still taken");
  io.sleepOn(control, 4088, 0, { complete: () => {} });
  let endedCount = 0;
  keepWriting(io, openFile(io), control, (result) => {
    if (result !== BLOCK_BYTES) throw new Error(`a write of a worker ended with ${result}`);
    if (++endedCount === WRITES_IN_FLIGHT) parentPort?.postMessage("writing");
  });
}
