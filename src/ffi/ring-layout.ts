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

export const IORING_SETUP_COOP_TASKRUN: number = 1 << 8; // Linux 5.19
export const IORING_SETUP_SINGLE_ISSUER: number = 1 << 12; // Linux 6.0

export const IORING_FEAT_SINGLE_MMAP: number = 1 << 0;
export const IORING_FEAT_NODROP: number = 1 << 1;

export const IORING_ENTER_GETEVENTS: number = 1 << 0;
export const IORING_SQ_CQ_OVERFLOW: number = 1 << 1;

export const IORING_OP_NOP = 0;
export const IORING_OP_FSYNC = 3;
export const IORING_OP_FALLOCATE = 17;
export const IORING_OP_READ = 22;
export const IORING_OP_WRITE = 23;

export const IORING_FSYNC_DATASYNC = 1;
/** Per-write durability, linux/fs.h: as if the file were open with O_DSYNC. */
export const RWF_DSYNC = 0x2;

/** The same numbers on every architecture. */
export const SYS_IO_URING_SETUP = 425;
export const SYS_IO_URING_ENTER = 426;
