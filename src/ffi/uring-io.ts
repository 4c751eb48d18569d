/** Block I/O over one `Ring`. */

import { constants } from "node:fs";
import type { BlockIo, IoDescription } from "./block-io.js";
import { ECANCELED } from "./errno.js";
import { wakeSleepers } from "./publication.js";
import type { Ring } from "./ring.js";
import { WordWatch } from "./word-watch.js";

const DRAIN_POLL_MS = 1;

export function uringIo(ring: Ring, direct: boolean, reason: string | null): BlockIo {
  const description: IoDescription = { backend: "uring", driver: ring.driver, direct, reason, publishes: true };
  const directFlag = direct ? constants.O_DIRECT : 0;
  /** Where the ring cannot sleep. */
  const watch = ring.abilities.hasFutex ? null : new WordWatch();
  let isClosing = false;
  return {
    description,
    get inFlightCount() {
      return ring.inFlightCount;
    },
    openFlags: (mode) => (mode === "read" ? constants.O_RDONLY : constants.O_RDWR) | directFlag,
    write: (fd, buffer, bufferOffset, length, fileOffset, durable, completion) =>
      ring.write(fd, buffer, bufferOffset, length, fileOffset, durable, completion),
    writePublished: (fd, buffer, bufferOffset, length, fileOffset, publication, completion) =>
      ring.writePublished(fd, buffer, bufferOffset, length, fileOffset, publication, completion),
    read: (fd, buffer, bufferOffset, length, fileOffset, completion) =>
      ring.read(fd, buffer, bufferOffset, length, fileOffset, completion),
    dataSync: (fd, completion) => ring.dataSync(fd, completion),
    allocate: (fd, byteLength, completion) => ring.allocate(fd, byteLength, completion),
    sleepOn: (file, offset, expected, completion) => {
      if (watch !== null) watch.sleep(file, offset, expected, completion);
      else if (isClosing) queueMicrotask(() => completion.complete(-ECANCELED));
      else ring.sleepOn(file, offset, expected, completion);
    },
    wake: (file, offset) => {
      wakeSleepers(file, offset);
      watch?.wake(file, offset);
    },
    submit: () => ring.submit(),
    collect: () => ring.collect(),
    close: async () => {
      ring.submit();
      const drainDelay = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
      // The ring hears of what completes by itself; this only waits for it.
      while (!ring.isBroken && ring.inFlightCount > 0) await drainDelay();
      isClosing = true;
      await watch?.close();
      while (!ring.isBroken && ring.sleeperCount > 0) {
        ring.cancelSleeps();
        await drainDelay();
      }
      ring.close();
    },
  };
}
