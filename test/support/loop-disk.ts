/** A small real file system on a loop device, for what only a real disk does: becoming full, being slow. Needs root. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryDirectory } from "./temporary-directory.js";

const BLKIO = "/sys/fs/cgroup/blkio";

export interface LoopDisk {
  /** Where it is mounted. */
  readonly directory: string;
  /** Lets only so many bytes a second be written to it by the process, and from then on by nobody else's leave. */
  throttle(pid: number, writeBytesPerSecond: number): void;
  /** Unmounts it and mounts it again, as after a fault that made it read-only. Nobody may have a file of it open. */
  remount(): void;
  /** Unmounts it and gives everything back. Nobody may have a file of it open. */
  remove(): void;
}

function run(command: string, ...rest: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, rest, { encoding: "utf8" });
  if (status === 0) return stdout.trim();
  throw new Error(`${command} ${rest.join(" ")}: ${error?.message ?? stderr.trim()}`);
}

const UMOUNT_TRIES_MAX = 50;

/** The kernel gives a ring's files back a while after their process is gone. */
function unmount(mountPoint: string): void {
  for (let tries = 0; spawnSync("umount", [mountPoint]).status !== 0; tries++) {
    if (tries === UMOUNT_TRIES_MAX) run("umount", mountPoint);
    spawnSync("sleep", ["0.1"]);
  }
}

/** Why there can be no loop disk here, or null. */
export function loopDiskProblem(): string | null {
  if (process.getuid?.() !== 0) return "loop devices need root";
  for (const tool of ["losetup", "mkfs.ext4", "mount", "umount"])
    if (spawnSync("sh", ["-c", `command -v ${tool}`]).status !== 0) return `${tool} is not installed`;
  try {
    makeLoopDisk(4).remove();
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

function fileSystemOf(directory: string): string {
  return run("stat", "--file-system", "--format=%T", directory);
}

/** Memory as a file system that can be made larger. */
export class MemoryDisk {
  readonly directory: string;

  constructor(mebibytes: number) {
    this.directory = temporaryDirectory();
    run("mount", "-t", "tmpfs", "-o", `size=${mebibytes}M`, "tmpfs", this.directory);
  }

  resize(mebibytes: number): void {
    run("mount", "-o", `remount,size=${mebibytes}M`, this.directory);
  }

  remove(): void {
    run("umount", this.directory);
  }
}

/** Why a disk cannot be slowed down here, or null. */
export function throttleProblem(): string | null {
  return existsSync(join(BLKIO, "blkio.throttle.write_bps_device")) ? null : "there is no blkio control group (v1)";
}

/** An ext4 of that size in a file, mounted. `place`: a directory for the file, which takes its space only when it is written to. */
export function makeLoopDisk(mebibytes: number, place: string = temporaryDirectory()): LoopDisk {
  const directory = temporaryDirectory();
  const image = join(place, "image");
  const mountPoint = join(directory, "disk");
  const group = join(BLKIO, `varve-${process.pid}-${mebibytes}`);
  run("truncate", `--size=${mebibytes}M`, image);
  run("mkfs.ext4", "-q", "-F", "-m", "0", image);
  // Memory has no direct I/O.
  const isDirect = fileSystemOf(place) !== "tmpfs";
  const device = run("losetup", "--find", "--show", `--direct-io=${isDirect ? "on" : "off"}`, image);
  try {
    mkdirSync(mountPoint);
    run("mount", device, mountPoint);
  } catch (error) {
    run("losetup", "--detach", device);
    throw error;
  }
  return {
    directory: mountPoint,
    throttle: (pid, writeBytesPerSecond) => {
      const { rdev } = statSync(device);
      // makedev(3): the numbers of small devices lie in two bytes.
      const number = `${(rdev >> 8) & 0xff}:${rdev & 0xff}`;
      mkdirSync(group, { recursive: true });
      writeFileSync(join(group, "blkio.throttle.write_bps_device"), `${number} ${writeBytesPerSecond}`);
      writeFileSync(join(group, "cgroup.procs"), String(pid));
    },
    remount: () => {
      unmount(mountPoint);
      run("mount", device, mountPoint);
    },
    remove: () => {
      unmount(mountPoint);
      run("losetup", "--detach", device);
      if (existsSync(group)) rmdirSync(group);
    },
  };
}
