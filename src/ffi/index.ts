/** What the log may use of the system: block I/O with completions, aligned memory, files, locks. */

export { AlignedBuffer, BLOCK_BYTES, BufferPool } from "./aligned-buffer.js";
export { type IoBaseline, measureBaseline } from "./baseline.js";
export type { BlockIo, IoBackend, IoDescription, Publication } from "./block-io.js";
export { checkResult, DirectFile, readSmallFile, replaceFile, syncDirectory } from "./direct-file.js";
export { EAGAIN, ECANCELED, EDQUOT, EINTR, ENOSPC, errnoName, isMediumError } from "./errno.js";
export { FileLock } from "./file-lock.js";
export { largeMemory } from "./large-memory.js";
export { flockExclusive } from "./libc.js";
export { MappedFile } from "./mapped-file.js";
export { MemoryFile } from "./memory-file.js";
export { fileSystemName, type IoDemand, isNetworkFileSystem, openIo } from "./open-io.js";
export type { Completion } from "./ring.js";
export { Ring } from "./ring.js";
export { SecretMemory } from "./secret-memory.js";
