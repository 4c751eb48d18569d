/**
 * The C library's functions that Varve calls, each with a typed face.
 *
 * `koffi.load(null)` finds them in the running process, so glibc and musl both work. Only calls that never block are here:
 * a call through koffi cannot be interrupted and would hold the event loop (koffi's `.async` would hold a libuv thread).
 */

import koffi from "koffi";
import { assert } from "../assert.js";

const libc = koffi.load(null);

const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

const cMmap = libc.func("void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)");
const cMadvise = libc.func("int madvise(void *address, size_t length, int advice)");
const cMlock = libc.func("int mlock(void *address, size_t length)");
const cMemcpy = libc.func("void *memcpy(void *target, void *source, size_t length)");
const cMunmap = libc.func("int munmap(void *address, size_t length)");
const cFlock = libc.func("int flock(int fd, int operation)");
const cStatx = libc.func("int statx(int directory, const char *path, int flags, unsigned int mask, void *result)");
const cGetrlimit = libc.func("int getrlimit(int resource, void *limit)");
const cPosixFadvise = libc.func("int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)");
const cPosixFallocate = libc.func("int posix_fallocate(int fd, int64_t offset, int64_t length)");
const cPipe2 = libc.func("int pipe2(void *fds, int flags)");
const cClose = libc.func("int close(int fd)");
// Variadic in C. Integer arguments travel in the same registers either way on x86-64 and AArch64, the ABIs of Node on Linux.
const cSyscall = libc.func("int64_t syscall(long number, long a, int64_t b, long c, long d, void *e, long f)");

/** Maps memory; `errno` as a negative number on failure. Flags and protections as in mmap(2). */
export function mmap(byteLength: number, protection: number, flags: number, fd: number, offset: number): bigint {
  const address = cMmap(null, byteLength, protection, flags, fd, offset) as bigint | null;
  if (address === null || address === MAP_FAILED) return BigInt(-koffi.errno());
  return address;
}

/** Of x86-64, and of AArch64 with 4 KiB pages. */
export const HUGE_PAGE_BYTES: number = 2 * 1024 * 1024;
const MADV_HUGEPAGE = 14;

/** Asks for huge pages behind this memory. Only advice: where they cannot be had, small ones serve. */
export function adviseHugePages(address: bigint, byteLength: number): void {
  cMadvise(address, byteLength, MADV_HUGEPAGE);
}

const MADV_COLLAPSE = 25;

/** Puts huge pages behind this memory now, as far as it can be done; what it holds stays. False: not all of it, or the kernel (before 6.1) cannot. */
export function collapsePages(address: bigint, byteLength: number): boolean {
  return cMadvise(address, byteLength, MADV_COLLAPSE) === 0;
}

const MADV_DONTDUMP = 16;

/** Keeps this memory out of core dumps. */
export function keepFromDumps(address: bigint, byteLength: number): void {
  cMadvise(address, byteLength, MADV_DONTDUMP);
}

/** Keeps this memory from being swapped: 0, or a negative errno where RLIMIT_MEMLOCK does not allow it. Unmapping it ends it. */
export function lockMemory(address: bigint, byteLength: number): number {
  return cMlock(address, byteLength) === 0 ? 0 : -koffi.errno();
}

/** From one piece of native memory into another, of whichever thread of this process. */
export function copyMemory(target: bigint, source: bigint, byteLength: number): void {
  cMemcpy(target, source, byteLength);
}

export function munmap(address: bigint, byteLength: number): void {
  cMunmap(address, byteLength);
}

/** A view of native memory without a copy. Touching it after `munmap` is a segmentation fault: the owner keeps track. */
export function viewMemory(address: bigint, byteLength: number): ArrayBuffer {
  return koffi.view(address, byteLength);
}

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

/** flock(2), exclusive and without waiting: 0, or a negative errno (−EWOULDBLOCK when another holds it). */
export function flockExclusive(fd: number): number {
  return cFlock(fd, LOCK_EX | LOCK_NB) === 0 ? 0 : -koffi.errno();
}

/** The same, shared: several may have it, and none exclusively meanwhile. */
export function flockShared(fd: number): number {
  return cFlock(fd, LOCK_SH | LOCK_NB) === 0 ? 0 : -koffi.errno();
}

export function flockRelease(fd: number): void {
  cFlock(fd, LOCK_UN);
}

const POSIX_FADV_DONTNEED = 4;

/** Gives the clean pages of a file back. Only advice: what comes of it does not matter. */
export function dropCachedPages(fd: number): void {
  cPosixFadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/** posix_fallocate(3): 0, or a negative errno. For small files only: this one writes, where the file system cannot reserve. */
export function reserveBlocks(fd: number, byteLength: number): number {
  return -(cPosixFallocate(fd, 0, byteLength) as number);
}

const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;

/** A pipe that never blocks and that no child inherits; or a negative errno. */
export function openPipe(): { readonly readFd: number; readonly writeFd: number } | number {
  const fds = Buffer.alloc(8);
  if (cPipe2(fds, O_NONBLOCK | O_CLOEXEC) !== 0) return -koffi.errno();
  return { readFd: fds.readInt32LE(0), writeFd: fds.readInt32LE(4) };
}

/** futex(2) has different numbers: x86-64, and the generic table that AArch64 has. */
const SYS_FUTEX = process.arch === "x64" ? 202 : 98;
const FUTEX_WAKE = 1;
const INT_MAX = 0x7fff_ffff;

/** Wakes all who sleep on that word of 32 bits, in every process that maps it. */
export function futexWakeAll(address: bigint): void {
  cSyscall(SYS_FUTEX, address, FUTEX_WAKE, INT_MAX, 0, null, 0);
}

/** memfd_create(2), by its number: older C libraries have no function for it. */
const SYS_MEMFD_CREATE = process.arch === "x64" ? 319 : 279;
const MFD_CLOEXEC = 1;
const NAME_BYTES = 128;

/** A file without a directory, that no child inherits: its descriptor, or a negative errno. The name shows in /proc only. */
export function createMemoryFile(name: string): number {
  // Large enough to have an address that stays, and ended by zeros.
  const bytes = new Uint8Array(NAME_BYTES);
  bytes.set(Buffer.from(name));
  const fd = Number(cSyscall(SYS_MEMFD_CREATE, addressOf(bytes), MFD_CLOEXEC, 0, 0, null, 0));
  return fd >= 0 ? fd : -koffi.errno();
}

export function closeFd(fd: number): void {
  cClose(fd);
}

/** A raw system call of up to four arguments: the result, or a negative errno. */
export function systemCall(number: number, a: number, b: number | bigint, c: number, d = 0): number {
  const result = Number(cSyscall(number, a, b, c, d, null, 0));
  return result === -1 ? -koffi.errno() : result;
}

/** The address of an array that stays alive and in place: one of at least 64 bytes, for the length of a call. */
export function addressOf(array: Uint8Array | Uint32Array): bigint {
  assert(array.byteLength >= 64, "V8 keeps small arrays on its own moving heap");
  return koffi.address(array);
}

/** Offsets in `struct statx`, linux/stat.h. */
const STATX_BYTES = 256;
const STATX_DIOALIGN = 0x2000;
const STX_MASK = 0;
const STX_DIO_MEM_ALIGN = 152;
const STX_DIO_OFFSET_ALIGN = 156;
const AT_FDCWD = -100;

/** What the kernel demands of direct I/O on this file; null where it does not say (before Linux 6.1, btrfs, tmpfs). */
export function directIoAlignment(path: string): { memoryBytes: number; offsetBytes: number } | null {
  const result = Buffer.alloc(STATX_BYTES);
  if (cStatx(AT_FDCWD, path, 0, STATX_DIOALIGN, result) !== 0) return null;
  if ((result.readUInt32LE(STX_MASK) & STATX_DIOALIGN) === 0) return null;
  return {
    memoryBytes: result.readUInt32LE(STX_DIO_MEM_ALIGN),
    offsetBytes: result.readUInt32LE(STX_DIO_OFFSET_ALIGN),
  };
}

const RLIMIT_MEMLOCK = 8;

/** The soft limit of locked memory in bytes; Infinity when there is none. */
export function lockedMemoryLimitBytes(): number {
  const limit = Buffer.alloc(16);
  if (cGetrlimit(RLIMIT_MEMLOCK, limit) !== 0) return 0;
  const soft = limit.readBigUInt64LE(0);
  return soft === 0xffff_ffff_ffff_ffffn ? Number.POSITIVE_INFINITY : Number(soft);
}
