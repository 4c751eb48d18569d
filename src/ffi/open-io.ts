/** Chooses the I/O for a directory: the best that works there, never silently less. */

import { statfsSync } from "node:fs";
import { release } from "node:os";
import { StoreError } from "../errors.js";
import type { BlockIo, IoBackend } from "./block-io.js";
import { ENOMEM, ENOSYS, EPERM, errnoName } from "./errno.js";
import { directIoAlignment } from "./libc.js";
import { isLiburingPresent } from "./liburing-driver.js";
import { poolIo } from "./pool-io.js";
import { Ring } from "./ring.js";
import { uringIo } from "./uring-io.js";

/** `"auto"` takes the best there is; the others demand one and fail with `ERR_IO_UNSUPPORTED` where it cannot be had. */
export type IoDemand = "auto" | IoBackend;

const EXT4_MAGIC = 0xef53;
const XFS_MAGIC = 0x5846_5342;
const NFS_MAGIC = 0x6969;
const SMB_MAGICS = [0x517b, 0xff53_4d42, 0xfe53_4d42];
const CEPH_MAGIC = 0x00c3_6400;
const FUSE_MAGIC = 0x6573_5546;
const NINE_P_MAGIC = 0x0102_1997;
const DIRECT_ALIGNMENT_BYTES_MAX = 4096;

/** What to say when io_uring_setup(2) refuses with that errno. */
export function explainRingRefusal(errno: number): string {
  switch (-errno) {
    case ENOSYS:
      return "this kernel has no io_uring (ENOSYS)";
    case EPERM:
      return "io_uring is not allowed here (EPERM): a container's seccomp profile, or the sysctl kernel.io_uring_disabled";
    case ENOMEM:
      return "io_uring got no locked memory (ENOMEM): raise RLIMIT_MEMLOCK";
    default:
      return `io_uring could not be set up (${errnoName(errno)})`;
  }
}

/** Opens a ring by liburing, else by the system calls; or says why neither works. */
function openRing(): Ring | string {
  const ring = Ring.open(isLiburingPresent() ? "liburing" : "syscall");
  return ring instanceof Ring ? ring : explainRingRefusal(ring.errno);
}

/** True, or why direct I/O on this file would not be direct. `open` with O_DIRECT succeeding proves nothing. */
export function checkDirectIo(path: string): true | string {
  const alignment = directIoAlignment(path);
  if (alignment !== null) {
    const { memoryBytes, offsetBytes } = alignment;
    if (memoryBytes === 0 || offsetBytes === 0) return "the file system does buffered I/O even with O_DIRECT";
    if (memoryBytes > DIRECT_ALIGNMENT_BYTES_MAX || offsetBytes > DIRECT_ALIGNMENT_BYTES_MAX) {
      return `direct I/O would need an alignment of ${Math.max(memoryBytes, offsetBytes)} bytes`;
    }
    return true;
  }
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const saysNothing = major < 6 || (major === 6 && minor < 1); // STATX_DIOALIGN came with Linux 6.1
  const type = statfsSync(path).type >>> 0;
  if (saysNothing && (type === EXT4_MAGIC || type === XFS_MAGIC)) return true;
  return `${fileSystemName(path)} does not offer direct I/O on this file`;
}

const FILE_SYSTEM_NAMES: ReadonlyMap<number, string> = new Map([
  [EXT4_MAGIC, "ext4"],
  [XFS_MAGIC, "xfs"],
  [0x0102_1994, "tmpfs"],
  [0x9123_683e, "btrfs"],
  [0x794c_7630, "overlayfs"],
  [0x2fc1_2fc1, "zfs"],
  [0xf2f5_2010, "f2fs"],
  [NFS_MAGIC, "nfs"],
  [0x517b, "smb"],
  [0xff53_4d42, "cifs"],
  [0xfe53_4d42, "smb2"],
  [CEPH_MAGIC, "ceph"],
  [FUSE_MAGIC, "fuse"],
  [NINE_P_MAGIC, "9p"],
]);

/** The name of the file system that holds `path`, or its magic number in hexadecimal. */
export function fileSystemName(path: string): string {
  const type = statfsSync(path).type >>> 0;
  return FILE_SYSTEM_NAMES.get(type) ?? `0x${type.toString(16)}`;
}

/** Locks and durability on network file systems are not what Varve needs. */
export function isNetworkFileSystem(path: string): boolean {
  const type = statfsSync(path).type >>> 0;
  return type === NFS_MAGIC || type === CEPH_MAGIC || type === NINE_P_MAGIC || SMB_MAGICS.includes(type);
}

/**
 * Opens the I/O for the file system that holds `probePath`, an existing regular file.
 *
 * @throws StoreError `ERR_IO_UNSUPPORTED` when `demand` names a backend that cannot be had, with the reason.
 */
export function openIo(demand: IoDemand, probePath: string): BlockIo {
  const direct = checkDirectIo(probePath);
  const directReason = direct === true ? null : direct;
  const refuse = (reason: string): never => {
    throw new StoreError("ERR_IO_UNSUPPORTED", `{ io: "${demand}" } cannot be had: ${reason}`, { demand, reason });
  };

  if (demand === "auto" || demand === "uring") {
    const ring = openRing();
    if (ring instanceof Ring) return uringIo(ring, direct === true, directReason);
    if (demand === "uring") return refuse(ring);
    return poolIo(direct === true, directReason === null ? ring : `${ring}; ${directReason}`);
  }
  if (demand === "threadpool") {
    return directReason === null ? poolIo(true, "asked for") : refuse(directReason);
  }
  return poolIo(false, "asked for");
}
