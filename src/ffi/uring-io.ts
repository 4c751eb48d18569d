/** Block I/O over one `Ring`. */

import { constants } from "node:fs";
import { type BlockIo, type IoDescription, publishing } from "./block-io.js";
import type { Ring } from "./ring.js";

const DRAIN_POLL_MS = 1;

export function uringIo(ring: Ring, direct: boolean, reason: string | null): BlockIo {
  const description: IoDescription = { backend: "uring", driver: ring.driver, direct, publishes: false, reason };
  const directFlag = direct ? constants.O_DIRECT : 0;
  const write: BlockIo["write"] = (fd, buffer, bufferOffset, length, fileOffset, durable, completion) =>
    ring.write(fd, buffer, bufferOffset, length, fileOffset, durable, completion);
  return {
    ...publishing(write),
    description,
    get inFlightCount() {
      return ring.inFlightCount;
    },
    openFlags: (mode) => (mode === "read" ? constants.O_RDONLY : constants.O_RDWR) | directFlag,
    write: (fd, buffer, bufferOffset, length, fileOffset, durable, completion) =>
      ring.write(fd, buffer, bufferOffset, length, fileOffset, durable, completion),
    read: (fd, buffer, bufferOffset, length, fileOffset, completion) =>
      ring.read(fd, buffer, bufferOffset, length, fileOffset, completion),
    dataSync: (fd, completion) => ring.dataSync(fd, completion),
    allocate: (fd, byteLength, completion) => ring.allocate(fd, byteLength, completion),
    submit: () => ring.submit(),
    collect: () => ring.collect(),
    close: async () => {
      ring.submit();
      // The poll on the ring completes what is in flight; this only waits for it.
      while (!ring.isBroken && ring.inFlightCount > 0)
        await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
      ring.close();
    },
  };
}
