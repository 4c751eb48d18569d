/**
 * What a store would find in a directory of this machine, and what to do about it.
 *
 * `examine` looks; `diagnose` judges what it found, and is pure. A warning means that a store works, but slower or with
 * less; a problem means that it does not work or could lose data.
 */

import {
  accessSync,
  constants,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { release } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileSystemName, type IoDescription, isNetworkFileSystem, openIo } from "../ffi/index.js";
import { flushesDevice, mountOptions } from "./mount.js";

export interface Finding {
  readonly name: string;
  readonly status: "ok" | "warning" | "problem";
  readonly found: string;
  /** What to do; null where nothing need be done. */
  readonly advice: string | null;
}

export interface MachineFacts {
  readonly kernel: string;
  readonly node: string;
  /** The directory that was looked at: the store's, or the nearest above it that exists. */
  readonly directory: string;
  readonly fileSystem: string;
  readonly isNetwork: boolean;
  /** Whether the mount passes flushes on to the device. */
  readonly flushesDevice: boolean;
  readonly freeBytes: number;
  /** Null where a file can be written, else why not. */
  readonly notWritable: string | null;
  /** Null where nothing could be tried. */
  readonly io: IoDescription | null;
  /** /proc/sys/kernel/io_uring_disabled: 0 allowed, 1 for members of a group, 2 for nobody; null where there is none. */
  readonly ioUringDisabled: number | null;
  /** RLIMIT_MEMLOCK; null: unlimited, or unknown. */
  readonly memlockBytes: number | null;
}

const MEBIBYTE = 1024 * 1024;
const NODE_MIN = [20, 19] as const;
// io_uring with the operations that are used; before it Varve writes through the thread pool.
const KERNEL_MIN = [5, 6] as const;
const MEMLOCK_BYTES_MIN = 8 * MEBIBYTE;
// A segment, its successor that is zeroed ahead, and room to grow.
const FREE_BYTES_MIN = 512 * MEBIBYTE;

/** Looks at the machine. Writes and removes one small file in the directory. */
export async function examine(storeDirectory: string): Promise<MachineFacts> {
  const directory = nearestDirectory(resolve(storeDirectory));
  const { bavail, bsize } = statfsSync(directory);
  const tried = await tryIo(directory);
  return {
    kernel: release(),
    node: process.version,
    directory,
    fileSystem: fileSystemName(directory),
    isNetwork: isNetworkFileSystem(directory),
    flushesDevice: flushesDevice(mountOptions(readText("/proc/self/mountinfo") ?? "", realpathSync(directory))),
    freeBytes: bavail * bsize,
    notWritable: typeof tried === "string" ? tried : null,
    io: typeof tried === "string" ? null : tried,
    ioUringDisabled: readNumber("/proc/sys/kernel/io_uring_disabled"),
    memlockBytes: readMemlock(),
  };
}

/** Judges the facts, one finding each. */
export function diagnose(facts: MachineFacts): Finding[] {
  return [
    judgeVersion("node", facts.node, NODE_MIN, "problem", "install Node 20.19 or later"),
    judgeVersion("kernel", facts.kernel, KERNEL_MIN, "warning", "Linux 5.6 or later has the io_uring that Varve uses"),
    judgeDirectory(facts),
    judgeFileSystem(facts),
    judgeFlushes(facts),
    judgeIoUring(facts),
    judgeLiburing(facts),
    judgeDirectIo(facts),
    judgeMemlock(facts),
    judgeFreeSpace(facts),
  ];
}

function judgeVersion(
  name: string,
  version: string,
  [majorMin, minorMin]: readonly [number, number],
  otherwise: Finding["status"],
  advice: string,
): Finding {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  const isEnough = major > majorMin || (major === majorMin && minor >= minorMin);
  return isEnough ? ok(name, version) : { name, status: otherwise, found: version, advice };
}

function judgeDirectory({ directory, notWritable }: MachineFacts): Finding {
  if (notWritable === null) return ok("directory", `${directory} can be written`);
  return {
    name: "directory",
    status: "problem",
    found: notWritable,
    advice: "choose another directory, or give this user the right to write there",
  };
}

function judgeFileSystem({ fileSystem, isNetwork }: MachineFacts): Finding {
  const name = "filesystem";
  if (isNetwork) {
    const advice = "choose a local disk: locks and syncs of a network filesystem cannot be relied on";
    return { name, status: "problem", found: fileSystem, advice };
  }
  if (fileSystem === "tmpfs") {
    const advice = "tmpfs is memory: fine for trying things out, gone at the next restart";
    return { name, status: "warning", found: fileSystem, advice };
  }
  if (fileSystem === "btrfs" || fileSystem === "zfs") {
    const advice = `${fileSystem} copies on write, so each durable append costs more; ext4 or xfs suit a log better`;
    return { name, status: "warning", found: fileSystem, advice };
  }
  if (fileSystem === "overlayfs") {
    const advice = "this is a container's own layer; mount a volume, so that the store outlives the container";
    return { name, status: "warning", found: fileSystem, advice };
  }
  return ok(name, fileSystem);
}

function judgeFlushes({ flushesDevice }: MachineFacts): Finding {
  const name = "flushes";
  if (flushesDevice) return ok(name, "reach the device");
  const advice = "mount without nobarrier (barrier=0): as it is, a power cut can take appends that were acknowledged";
  return { name, status: "problem", found: "the mount keeps them from the device", advice };
}

function judgeIoUring({ io, ioUringDisabled }: MachineFacts): Finding {
  const name = "io_uring";
  if (io?.backend === "uring") return ok(name, "allowed");
  if (io === null) return { name, status: "warning", found: "not tried", advice: "make the directory writable first" };
  const advice =
    ioUringDisabled !== null && ioUringDisabled > 0
      ? `allow it with: sysctl kernel.io_uring_disabled=0 (it is ${ioUringDisabled} now)`
      : "in a container allow io_uring_setup, io_uring_enter and io_uring_register in its seccomp profile";
  return { name, status: "warning", found: `${io.reason ?? "not used"}; writes go through ${io.backend}`, advice };
}

function judgeLiburing({ io }: MachineFacts): Finding {
  const name = "liburing";
  if (io?.driver === "liburing") return ok(name, "liburing.so.2 is used");
  if (io?.driver === "syscall") return ok(name, "not used: the system calls are made directly, with the same result");
  return ok(name, "not needed without io_uring");
}

function judgeDirectIo({ io, fileSystem }: MachineFacts): Finding {
  const name = "O_DIRECT";
  if (io?.direct === true) return ok(name, "writes bypass the page cache");
  const found = io === null ? "not tried" : (io.reason ?? "not used");
  const advice = `${fileSystem} does not take it here; ext4 and xfs do. Buffered writes are as durable, but slower and fill the page cache`;
  return { name, status: "warning", found, advice };
}

function judgeMemlock({ memlockBytes }: MachineFacts): Finding {
  const name = "memlock";
  if (memlockBytes === null) return ok(name, "unlimited");
  const found = `${Math.floor(memlockBytes / 1024)} KiB may be locked`;
  if (memlockBytes >= MEMLOCK_BYTES_MIN) return ok(name, found);
  return {
    name,
    status: "warning",
    found,
    advice: "raise RLIMIT_MEMLOCK to 8 MiB (ulimit -l 8192) if io_uring reports ENOMEM",
  };
}

function judgeFreeSpace({ freeBytes }: MachineFacts): Finding {
  const name = "free space";
  const found = `${Math.floor(freeBytes / MEBIBYTE).toLocaleString("en-US")} MiB`;
  if (freeBytes >= FREE_BYTES_MIN) return ok(name, found);
  return { name, status: "warning", found, advice: "make room: a full disk refuses appends, though reading goes on" };
}

function ok(name: string, found: string): Finding {
  return { name, status: "ok", found, advice: null };
}

function nearestDirectory(path: string): string {
  for (let directory = path; ; directory = dirname(directory)) {
    try {
      accessSync(directory, constants.F_OK);
      return directory;
    } catch (error) {
      if (directory === dirname(directory)) throw error;
    }
  }
}

// What a store would get is what the same function gives for a file of this directory.
async function tryIo(directory: string): Promise<IoDescription | string> {
  let own: string | null = null;
  try {
    own = mkdtempSync(join(directory, ".varve-doctor-"));
    const probe = join(own, "probe");
    writeFileSync(probe, "");
    const io = openIo("auto", probe);
    await io.close();
    return io.description;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    if (own !== null) rmSync(own, { recursive: true, force: true });
  }
}

function readNumber(path: string): number | null {
  const text = readText(path);
  return text === null ? null : Number(text);
}

function readMemlock(): number | null {
  const bytes = /^Max locked memory\s+(\S+)/m.exec(readText("/proc/self/limits") ?? "")?.[1];
  return bytes === undefined || bytes === "unlimited" ? null : Number(bytes);
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
