/**
 * Block I/O on libuv's thread pool, for kernels and containers without io_uring.
 *
 * With direct I/O the files are open with O_DSYNC, so every write is durable when it returns. Without it, a durable write is a
 * buffered write followed by fdatasync(2).
 */

import { constants, fdatasync, ftruncate, read, write } from "node:fs";
import { type BlockIo, type IoDescription, publishing } from "./block-io.js";
import { EIO } from "./errno.js";
import type { Completion } from "./ring.js";

const DRAIN_POLL_MS = 1;

function resultOf(error: NodeJS.ErrnoException | null, bytes: number): number {
  if (error === null) return bytes;
  return error.errno !== undefined ? -Math.abs(error.errno) : -EIO;
}

export function poolIo(direct: boolean, reason: string): BlockIo {
  const description: IoDescription = { backend: direct ? "threadpool" : "buffered", driver: null, direct, publishes: false, reason };
  const openFlags = direct ? constants.O_DIRECT | constants.O_DSYNC : 0;
  let inFlightCount = 0;

  const finish = (completion: Completion, result: number): void => {
    inFlightCount--;
    completion.complete(result);
  };
  const syncAfter = (fd: number, completion: Completion, written: number): void => {
    fdatasync(fd, (error) => finish(completion, resultOf(error, written)));
  };

  const poolWrite: BlockIo["write"] = (fd, buffer, bufferOffset, length, fileOffset, durable, completion) => {
    inFlightCount++;
    write(fd, buffer.bytes, bufferOffset, length, fileOffset, (error, bytes) => {
      if (error === null && durable && !direct) syncAfter(fd, completion, bytes);
      else finish(completion, resultOf(error, bytes));
    });
  };
  return {
    ...publishing(poolWrite),
    description,
    get inFlightCount() {
      return inFlightCount;
    },
    openFlags: (mode) =>
      mode === "read" ? constants.O_RDONLY | (openFlags & ~constants.O_DSYNC) : constants.O_RDWR | openFlags,
    write: (fd, buffer, bufferOffset, length, fileOffset, durable, completion) => {
      inFlightCount++;
      write(fd, buffer.bytes, bufferOffset, length, fileOffset, (error, bytes) => {
        if (error === null && durable && !direct) syncAfter(fd, completion, bytes);
        else finish(completion, resultOf(error, bytes));
      });
    },
    read: (fd, buffer, bufferOffset, length, fileOffset, completion) => {
      inFlightCount++;
      read(fd, buffer.bytes, bufferOffset, length, fileOffset, (error, bytes) =>
        finish(completion, resultOf(error, bytes)),
      );
    },
    dataSync: (fd, completion) => {
      inFlightCount++;
      syncAfter(fd, completion, 0);
    },
    allocate: (fd, byteLength, completion) => {
      inFlightCount++;
      ftruncate(fd, byteLength, (error) => finish(completion, resultOf(error, 0)));
    },
    submit: () => {},
    collect: () => {},
    close: async () => {
      while (inFlightCount > 0) await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    },
  };
}
