/** What this kernel's io_uring can do, as the kernel itself says. io_uring_register(2), IORING_REGISTER_PROBE. */

import { addressOf, systemCall } from "./libc.js";
import {
  IO_URING_OP_SUPPORTED,
  IORING_FEAT_CQE_SKIP,
  IORING_OP_FUTEX_WAIT,
  IORING_OP_FUTEX_WAKE,
  IORING_REGISTER_PROBE,
  PROBE_FLAGS,
  PROBE_HEADER_BYTES,
  PROBE_OPERATION_BYTES,
  PROBE_OPERATION_COUNT,
  SYS_IO_URING_REGISTER,
} from "./ring-layout.js";

export interface RingAbilities {
  /** Sleeping on a word of shared memory, and waking its sleepers. */
  readonly hasFutex: boolean;
  /** Entries whose success posts no completion. */
  readonly skipsSuccess: boolean;
}

/** Asks the ring behind `fd`. `features` is what its setup answered. */
export function probeAbilities(fd: number, features: number): RingAbilities {
  const probe = new Uint8Array(PROBE_HEADER_BYTES + PROBE_OPERATION_COUNT * PROBE_OPERATION_BYTES);
  // Where the kernel knows no probe it knows nothing of what is asked here, and the probe stays zero.
  systemCall(SYS_IO_URING_REGISTER, fd, IORING_REGISTER_PROBE, Number(addressOf(probe)), PROBE_OPERATION_COUNT);
  const supports = (opcode: number): boolean => {
    const flags = probe[PROBE_HEADER_BYTES + opcode * PROBE_OPERATION_BYTES + PROBE_FLAGS] as number;
    return (flags & IO_URING_OP_SUPPORTED) !== 0;
  };
  return {
    hasFutex: supports(IORING_OP_FUTEX_WAIT) && supports(IORING_OP_FUTEX_WAKE),
    skipsSuccess: (features & IORING_FEAT_CQE_SKIP) !== 0,
  };
}
