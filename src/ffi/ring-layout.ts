/**
 * Layouts and constants of io_uring: include/uapi/linux/io_uring.h and, for `struct io_uring`, liburing.h of 2.x.
 *
 * Both are ABI. liburing kept the offsets used here through all releases of liburing.so.2.
 */

export const SQE_BYTES = 64;
export const CQE_BYTES = 16;

/** `struct io_uring_params`, 120 bytes. */
export const PARAMS_BYTES = 120;
export const PARAMS = {
  sqEntries: 0,
  cqEntries: 4,
  flags: 8,
  features: 20,
  sqOffHead: 40,
  sqOffTail: 44,
  sqOffRingMask: 48,
  sqOffFlags: 56,
  sqOffArray: 64,
  cqOffHead: 80,
  cqOffTail: 84,
  cqOffRingMask: 88,
  cqOffCqes: 100,
} as const;

/** `struct io_uring` of liburing 2.x: 216 bytes in 2.3, far below a page in later ones. */
export const LIBURING_RING = {
  sqKhead: 0,
  sqKtail: 8,
  sqKringMask: 16,
  sqKflags: 32,
  sqSqes: 56,
  sqeTail: 68,
  cqKhead: 104,
  cqKtail: 112,
  cqKringMask: 120,
  cqCqes: 152,
  ringFd: 196,
} as const;

export const IORING_OFF_SQ_RING = 0;
export const IORING_OFF_CQ_RING = 0x800_0000;
export const IORING_OFF_SQES = 0x1000_0000;

export const IORING_SETUP_SINGLE_ISSUER: number = 1 << 12; // Linux 6.0

export const IORING_FEAT_SINGLE_MMAP: number = 1 << 0;
export const IORING_FEAT_NODROP: number = 1 << 1;
export const IORING_FEAT_CQE_SKIP: number = 1 << 11;

export const IORING_ENTER_GETEVENTS: number = 1 << 0;
export const IORING_SQ_CQ_OVERFLOW: number = 1 << 1;

export const IORING_OP_NOP = 0;
export const IORING_OP_FSYNC = 3;
export const IORING_OP_POLL_ADD = 6;
export const IORING_OP_ASYNC_CANCEL = 14;
export const IORING_OP_FALLOCATE = 17;
export const IORING_OP_READ = 22;
export const IORING_OP_WRITE = 23;
export const IORING_OP_FUTEX_WAIT = 51; // Linux 6.7
export const IORING_OP_FUTEX_WAKE = 52;

/** The next entry starts when this one has ended in full, and ends with ECANCELED when it has not. */
export const IOSQE_IO_LINK: number = 1 << 2;
/** An entry that succeeds posts no completion; before Linux 5.17 an unknown flag. */
export const IOSQE_CQE_SKIP_SUCCESS: number = 1 << 6;

export const IORING_FSYNC_DATASYNC = 1;
/** Per-write durability, linux/fs.h: as if the file were open with O_DSYNC. */
export const RWF_DSYNC = 0x2;
export const POLLIN = 0x1;

/** linux/futex.h: a word of 32 bits, not private to the process. */
export const FUTEX2_SIZE_U32 = 0x2;
export const FUTEX_BITSET_MATCH_ANY = 0xffff_ffff;
export const FUTEX_WAKE_ALL = 0x7fff_ffff;

/** The same numbers on every architecture. */
export const SYS_IO_URING_SETUP = 425;
export const SYS_IO_URING_ENTER = 426;
export const SYS_IO_URING_REGISTER = 427;

export const IORING_REGISTER_PROBE = 8;
/** `struct io_uring_probe`: a header, then 8 bytes for each of 256 operations. */
export const PROBE_OPERATION_COUNT = 256;
export const PROBE_HEADER_BYTES = 16;
export const PROBE_OPERATION_BYTES = 8;
export const PROBE_FLAGS = 2;
export const IO_URING_OP_SUPPORTED: number = 1 << 0;
