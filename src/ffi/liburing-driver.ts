/** A ring set up and entered through liburing.so.2. io_uring_queue_init_params(3), io_uring_submit_and_wait(3). */

import koffi from "koffi";
import { AlignedBuffer, BLOCK_BYTES } from "./aligned-buffer.js";
import { EINVAL, ENOSYS } from "./errno.js";
import { viewMemory } from "./libc.js";
import { probeAbilities } from "./ring-abilities.js";
import type { RingDriver, RingRefusal } from "./ring-driver.js";
import {
  CQE_BYTES,
  IORING_SETUP_SINGLE_ISSUER,
  LIBURING_RING,
  PARAMS,
  PARAMS_BYTES,
  SQE_BYTES,
} from "./ring-layout.js";

function loadLiburing() {
  const library = koffi.load("liburing.so.2");
  return {
    queueInitParams: library.func("int io_uring_queue_init_params(unsigned int entries, void *ring, void *params)"),
    submit: library.func("int io_uring_submit(void *ring)"),
    submitAndWait: library.func("int io_uring_submit_and_wait(void *ring, unsigned int count)"),
    getEvents: library.func("int io_uring_get_events(void *ring)"),
    queueExit: library.func("void io_uring_queue_exit(void *ring)"),
  };
}

type Liburing = ReturnType<typeof loadLiburing>;

let liburing: Liburing | null | undefined;

/** Null where liburing.so.2 is not installed. Looked for once. */
function findLiburing(): Liburing | null {
  if (liburing === undefined) {
    try {
      liburing = loadLiburing();
    } catch {
      liburing = null;
    }
  }
  return liburing;
}

export function isLiburingPresent(): boolean {
  return findLiburing() !== null;
}

/** Opens a ring of `entryCount` entries, or says what refused. */
export function openLiburingDriver(entryCount: number): RingDriver | RingRefusal {
  const library = findLiburing();
  if (library === null) return { errno: -ENOSYS, step: "loading liburing.so.2" };

  // `struct io_uring` must not move or vanish while the ring lives, so it lies in native memory.
  const memory = new AlignedBuffer(BLOCK_BYTES);
  const ring = memory.bytes;
  const params = Buffer.alloc(PARAMS_BYTES);
  const init = (flags: number): number => {
    params.fill(0).writeUInt32LE(flags, PARAMS.flags);
    return library.queueInitParams(entryCount, ring, params) as number;
  };
  let result = init(IORING_SETUP_SINGLE_ISSUER);
  if (result === -EINVAL) result = init(0); // before Linux 6.0
  if (result < 0) {
    memory.unmap();
    return { errno: result, step: "io_uring_queue_init_params" };
  }

  const sqEntryCount = params.readUInt32LE(PARAMS.sqEntries);
  const cqEntryCount = params.readUInt32LE(PARAMS.cqEntries);
  const pointer = (offset: number, byteLength: number): ArrayBuffer =>
    viewMemory(ring.readBigUInt64LE(offset), byteLength);
  const word = (offset: number): Uint32Array => new Uint32Array(pointer(offset, 4));
  const address = koffi.address(ring);
  const sqeTail = new Uint32Array(ring.buffer, ring.byteOffset + LIBURING_RING.sqeTail, 1);

  const fd = ring.readInt32LE(LIBURING_RING.ringFd);
  return {
    name: "liburing",
    fd,
    abilities: probeAbilities(fd, params.readUInt32LE(PARAMS.features)),
    submission: {
      head: word(LIBURING_RING.sqKhead),
      flags: word(LIBURING_RING.sqKflags),
      mask: word(LIBURING_RING.sqKringMask)[0] as number,
      entries: new Uint32Array(pointer(LIBURING_RING.sqSqes, sqEntryCount * SQE_BYTES)),
    },
    completion: {
      head: word(LIBURING_RING.cqKhead),
      tail: word(LIBURING_RING.cqKtail),
      mask: word(LIBURING_RING.cqKringMask)[0] as number,
      entries: new Int32Array(pointer(LIBURING_RING.cqCqes, cqEntryCount * CQE_BYTES)),
    },
    publish: (tail) => {
      sqeTail[0] = tail;
    },
    enter: (_count, waitCount) =>
      (waitCount === 0 ? library.submit(address) : library.submitAndWait(address, waitCount)) as number,
    flushOverflow: () => library.getEvents(address) as number,
    close: () => {
      library.queueExit(address);
      memory.unmap();
    },
  };
}
