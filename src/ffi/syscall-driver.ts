/** A ring set up with the raw system calls, for systems without liburing. io_uring(7), io_uring_setup(2), io_uring_enter(2). */

import { EINVAL } from "./errno.js";
import { addressOf, closeFd, mmap, munmap, systemCall, viewMemory } from "./libc.js";
import { probeAbilities } from "./ring-abilities.js";
import type { RingDriver, RingRefusal } from "./ring-driver.js";
import {
  CQE_BYTES,
  IORING_ENTER_GETEVENTS,
  IORING_FEAT_SINGLE_MMAP,
  IORING_OFF_CQ_RING,
  IORING_OFF_SQ_RING,
  IORING_OFF_SQES,
  IORING_SETUP_SINGLE_ISSUER,
  PARAMS,
  PARAMS_BYTES,
  SQE_BYTES,
  SYS_IO_URING_ENTER,
  SYS_IO_URING_SETUP,
} from "./ring-layout.js";

const PROT_READ_WRITE = 3;
const MAP_SHARED_POPULATE = 0x8001;

function setup(entryCount: number, flags: number): { fd: number; params: Uint32Array } {
  const params = new Uint32Array(PARAMS_BYTES / 4);
  params[PARAMS.flags / 4] = flags;
  return { fd: systemCall(SYS_IO_URING_SETUP, entryCount, addressOf(params), 0), params };
}

/** Opens a ring of `entryCount` entries, or says what refused. */
export function openSyscallDriver(entryCount: number): RingDriver | RingRefusal {
  let { fd, params } = setup(entryCount, IORING_SETUP_SINGLE_ISSUER);
  if (fd === -EINVAL) ({ fd, params } = setup(entryCount, 0)); // before Linux 6.0
  if (fd < 0) return { errno: fd, step: "io_uring_setup" };

  const word = (offset: number): number => params[offset / 4] as number;
  const sqRingBytes = word(PARAMS.sqOffArray) + word(PARAMS.sqEntries) * 4;
  const cqRingBytes = word(PARAMS.cqOffCqes) + word(PARAMS.cqEntries) * CQE_BYTES;
  const sqesBytes = word(PARAMS.sqEntries) * SQE_BYTES;
  const single = (word(PARAMS.features) & IORING_FEAT_SINGLE_MMAP) !== 0;

  const mappings: { address: bigint; byteLength: number }[] = [];
  const map = (byteLength: number, offset: number): ArrayBuffer | number => {
    const address = mmap(byteLength, PROT_READ_WRITE, MAP_SHARED_POPULATE, fd, offset);
    if (address < 0n) return Number(address);
    mappings.push({ address, byteLength });
    return viewMemory(address, byteLength);
  };
  const close = (): void => {
    for (const { address, byteLength } of mappings.splice(0)) munmap(address, byteLength);
    closeFd(fd);
  };

  const sqRing = map(single ? Math.max(sqRingBytes, cqRingBytes) : sqRingBytes, IORING_OFF_SQ_RING);
  const cqRing = single ? sqRing : map(cqRingBytes, IORING_OFF_CQ_RING);
  const sqes = map(sqesBytes, IORING_OFF_SQES);
  if (typeof sqRing === "number" || typeof cqRing === "number" || typeof sqes === "number") {
    close();
    return {
      errno: [sqRing, cqRing, sqes].find((part) => typeof part === "number") as number,
      step: "mmap of the ring",
    };
  }

  const sqTail = new Uint32Array(sqRing, word(PARAMS.sqOffTail), 1);
  // Entry i of the ring is always slot i: the indirection of the array is not needed.
  const slots = new Uint32Array(sqRing, word(PARAMS.sqOffArray), word(PARAMS.sqEntries));
  for (let slot = 0; slot < slots.length; slot++) slots[slot] = slot;

  return {
    name: "syscall",
    fd,
    abilities: probeAbilities(fd, word(PARAMS.features)),
    submission: {
      head: new Uint32Array(sqRing, word(PARAMS.sqOffHead), 1),
      flags: new Uint32Array(sqRing, word(PARAMS.sqOffFlags), 1),
      mask: new Uint32Array(sqRing, word(PARAMS.sqOffRingMask), 1)[0] as number,
      entries: new Uint32Array(sqes),
    },
    completion: {
      head: new Uint32Array(cqRing, word(PARAMS.cqOffHead), 1),
      tail: new Uint32Array(cqRing, word(PARAMS.cqOffTail), 1),
      mask: new Uint32Array(cqRing, word(PARAMS.cqOffRingMask), 1)[0] as number,
      entries: new Int32Array(cqRing, word(PARAMS.cqOffCqes), (word(PARAMS.cqEntries) * CQE_BYTES) / 4),
    },
    publish: (tail) => {
      Atomics.store(sqTail, 0, tail);
    },
    enter: (count, waitCount) =>
      systemCall(SYS_IO_URING_ENTER, fd, count, waitCount, waitCount > 0 ? IORING_ENTER_GETEVENTS : 0),
    flushOverflow: () => systemCall(SYS_IO_URING_ENTER, fd, 0, 0, IORING_ENTER_GETEVENTS),
    close,
  };
}
