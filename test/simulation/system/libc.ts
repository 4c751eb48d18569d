/** The C library of a simulated process, as `src/ffi/libc.ts` has it. */

import { realmOf } from "../realms.js";
import { errnoOf } from "../system-error.js";

const realm = realmOf(import.meta.url);
const WORD_OFFSET_ALIGNMENT = 4;

export function mmap(byteLength: number, _protection: number, _flags: number, fd: number): bigint {
  const { process } = realm;
  process.assertAlive();
  return fd === -1 ? process.mapAnonymous(byteLength) : process.map(process.file(fd, "mmap").map());
}

/** Of large tables only, which ask where their cache lines begin: a boundary, in a process without addresses. */
export function addressOf(): bigint {
  return 4096n;
}

export const HUGE_PAGE_BYTES: number = 2 * 1024 * 1024;

export function adviseHugePages(): void {}

/** A kernel that cannot: so when memory is collected changes nothing of what happens. */
export function collapsePages(): boolean {
  return false;
}

export function keepFromDumps(): void {}

export function lockMemory(): number {
  return 0;
}

/** A thread that seals is a coroutine of the same process. */
export function copyMemory(target: bigint, source: bigint, byteLength: number): void {
  const { process } = realm;
  const [to, from] = [process.memoryAt(target), process.memoryAt(source)];
  new Uint8Array(to.memory, to.offset, byteLength).set(new Uint8Array(from.memory, from.offset, byteLength));
}

export function munmap(address: bigint): void {
  realm.process.assertAlive();
  realm.process.unmap(address);
}

export function viewMemory(address: bigint): ArrayBuffer {
  return realm.process.memoryAt(address).memory;
}

export function flockExclusive(fd: number): number {
  const { process } = realm;
  process.assertAlive();
  return process.machine.tryLock(process.openFile(fd, "flock")) ? 0 : errnoOf("EAGAIN");
}

/** Nothing that is simulated shares one: whoever has it has it alone. */
export function flockShared(fd: number): number {
  return flockExclusive(fd);
}

/** There are none: what is simulated has no index that is saved through one. */
export function createMemoryFile(): number {
  return -1;
}

export function dropCachedPages(): void {}

export function reserveBlocks(fd: number, byteLength: number): number {
  const { process } = realm;
  const open = process.openFile(fd, "fallocate");
  process.assertAlive();
  const errno = process.machine.before("map", open.path);
  process.assertAlive();
  if (errno < 0) return errno;
  open.file.allocate(byteLength);
  process.machine.after("map");
  process.assertAlive();
  return 0;
}

export function futexWakeAll(address: bigint): void {
  const { process } = realm;
  process.assertAlive();
  const { memory, offset } = process.memoryAt(address);
  process.machine.wake(memory, offset - (offset % WORD_OFFSET_ALIGNMENT));
}
