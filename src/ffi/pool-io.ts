/**
 * Block I/O on libuv's thread pool, for kernels and containers without io_uring.
 *
 * With direct I/O the files are open with O_DSYNC, so every write is durable when it returns. Without it, a durable write is a
 * buffered write followed by fdatasync(2).
 */

import { constants, fdatasync, ftruncate, read, write as writeFile } from "node:fs";
import type { BlockIo, IoDescription } from "./block-io.js";
import { EIO } from "./errno.js";
import { assertPublication, publishHere, wakeSleepers } from "./publication.js";
import type { Completion } from "./ring.js";
import { WordWatch } from "./word-watch.js";

const DRAIN_POLL_MS = 1;

function resultOf(error: NodeJS.ErrnoException | null, bytes: number): number {
  if (error === null) return bytes;
  return error.errno !== undefined ? -Math.abs(error.errno) : -EIO;
}

export function poolIo(direct: boolean, reason: string): BlockIo {
  const backend = direct ? "threadpool" : "buffered";
  const description: IoDescription = { backend, driver: null, direct, reason, publishes: false };
  const openFlags = direct ? constants.O_DIRECT | constants.O_DSYNC : 0;
  const watch = new WordWatch();
  let inFlightCount = 0;

  const finish = (completion: Completion, result: number): void => {
    inFlightCount--;
    completion.complete(result);
  };
  const syncAfter = (fd: number, completion: Completion, written: number): void => {
    fdatasync(fd, (error) => finish(completion, resultOf(error, written)));
  };

  const write: BlockIo["write"] = (fd, buffer, bufferOffset, length, fileOffset, durable, completion) => {
    inFlightCount++;
    writeFile(fd, buffer.bytes, bufferOffset, length, fileOffset, (error, bytes) => {
      if (error === null && durable && !direct) syncAfter(fd, completion, bytes);
      else finish(completion, resultOf(error, bytes));
    });
  };

  return {
    description,
    get inFlightCount() {
      return inFlightCount;
    },
    openFlags: (mode) =>
      mode === "read" ? constants.O_RDONLY | (openFlags & ~constants.O_DSYNC) : constants.O_RDWR | openFlags,
    write,
    writePublished: (fd, buffer, bufferOffset, length, fileOffset, publication, completion) => {
      assertPublication(publication);
      const complete = (result: number): void => {
        if (result === length) publishHere(publication);
        completion.complete(result);
      };
      write(fd, buffer, bufferOffset, length, fileOffset, true, { complete });
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
    sleepOn: (file, offset, expected, completion) => watch.sleep(file, offset, expected, completion),
    wake: (file, offset) => {
      wakeSleepers(file, offset);
      watch.wake(file, offset);
    },
    submit: () => {},
    collect: () => {},
    close: async () => {
      while (inFlightCount > 0) await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
      await watch.close();
    },
  };
}
