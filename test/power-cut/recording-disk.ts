/** A disk that records what is written to it and can be set to any state of its past: recording-disk.c, a loop device on it, a file system. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "../support/temporary-directory.js";
import type { DiskWrite } from "./disk-record.js";

export const FILE_SYSTEMS = ["ext4", "xfs"] as const;
export type FileSystem = (typeof FILE_SYSTEMS)[number];

/** XFS wants 300 MiB for itself. */
/** A rekeying takes a segment of 128 MiB. XFS makes none that are smaller. */
const DISK_MEBIBYTES = { ext4: 192, xfs: 320 } as const;
const MAKE = { ext4: ["mkfs.ext4", "-q", "-F", "-m", "0"], xfs: ["mkfs.xfs", "-q", "-f"] } as const;
const SOURCE = fileURLToPath(new URL("../../../test/power-cut/recording-disk.c", import.meta.url));
const FAILING = { writes: "w", flushes: "f", reads: "r", none: "o" } as const;
const TRIES_MAX = 100;
const WAIT_SECONDS = "0.05";

function run(command: string, ...rest: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, rest, { encoding: "utf8" });
  if (status === 0) return stdout.trim();
  throw new Error(`${command} ${rest.join(" ")}: ${error?.message ?? stderr.trim()}`);
}

function has(tool: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${tool}`]).status === 0;
}

/** Why there can be no recording disk here, or null. */
export function recordingDiskProblem(fileSystem: FileSystem): string | null {
  if (process.getuid?.() !== 0) return "loop devices need root";
  if (!existsSync("/dev/fuse")) return "there is no /dev/fuse";
  for (const tool of ["cc", "losetup", "blockdev", "mount", "umount", MAKE[fileSystem][0]])
    if (!has(tool)) return `${tool} is not installed`;
  if (!existsSync("/usr/include/fuse3/fuse.h")) return "libfuse3-dev is not installed";
  return null;
}

export class RecordingDisk {
  readonly #directory: string;
  readonly #process: ChildProcess;
  readonly #device: string;
  readonly #files: { readonly base: number; readonly trial: number; readonly control: number };
  /** Where the file system is mounted. */
  readonly mountPoint: string;
  #isMounted = false;

  /** With an empty file system on it, which is mounted; what is written from now on is recorded. */
  constructor(fileSystem: FileSystem) {
    this.#directory = temporaryDirectory();
    const program = join(this.#directory, "recording-disk");
    const disk = join(this.#directory, "disk");
    this.mountPoint = join(this.#directory, "mounted");
    mkdirSync(disk);
    mkdirSync(this.mountPoint);
    run(
      "cc",
      "-O2",
      "-Wall",
      "-Wextra",
      "-Werror",
      "-D_FILE_OFFSET_BITS=64",
      "-I/usr/include/fuse3",
      SOURCE,
      "-o",
      program,
      "-lfuse3",
    );
    const size = `${DISK_MEBIBYTES[fileSystem]}`;
    this.#process = spawn(program, [size, this.#recordPath, disk, "-f", "-s"], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    for (let tries = 0; !existsSync(join(disk, "disk")); tries++) {
      if (tries === TRIES_MAX) throw new Error("the recording disk does not come up");
      spawnSync("sleep", [WAIT_SECONDS]);
    }
    this.#files = {
      base: openSync(join(disk, "base"), "r+"),
      trial: openSync(join(disk, "trial"), "r+"),
      control: openSync(join(disk, "control"), "r+"),
    };
    this.#device = run("losetup", "--find", "--show", "--direct-io=on", join(disk, "disk"));
    const [make, ...rest] = MAKE[fileSystem];
    run(make, ...rest, this.#device);
    this.#tell("S");
    this.mount();
  }

  get #recordPath(): string {
    return join(this.#directory, "record");
  }

  /** What is written to this file stands in the record. */
  get marksPath(): string {
    return join(this.#directory, "disk", "mark");
  }

  /** From now on these operations of the disk fail, and no others. */
  fail(operation: "writes" | "flushes" | "reads" | "none"): void {
    this.#tell(FAILING[operation]);
  }

  #tell(letter: "S" | "E" | "U" | "w" | "f" | "r" | "o"): void {
    writeSync(this.#files.control, letter);
  }

  mount(): void {
    // What the kernel remembers of the device is of another state of it.
    run("blockdev", "--flushbufs", this.#device);
    run("mount", this.#device, this.mountPoint);
    this.#isMounted = true;
  }

  unmount(): void {
    // The kernel gives a ring's files back a while after they were closed.
    for (let tries = 0; spawnSync("umount", [this.mountPoint]).status !== 0; tries++) {
      if (tries === TRIES_MAX) run("umount", this.mountPoint);
      spawnSync("sleep", [WAIT_SECONDS]);
    }
    this.#isMounted = false;
  }

  /** Ends the recording, with nothing mounted any more, and goes back to the beginning. Returns the record. */
  end(): Buffer {
    this.unmount();
    this.#tell("E");
    return readFileSync(this.#recordPath);
  }

  /** What from now on is there in every state. */
  write(writes: readonly DiskWrite[]): void {
    for (const { offset, bytes } of writes) writeSync(this.#files.base, bytes, 0, bytes.length, offset);
  }

  /** Sets the disk to what `write` has put there and these writes, and mounts it; to be left with `leave`. */
  enter(writes: readonly DiskWrite[]): void {
    for (const { offset, bytes } of writes) writeSync(this.#files.trial, bytes, 0, bytes.length, offset);
    this.mount();
  }

  /** Unmounts, and undoes all that was written since `enter`. */
  leave(): void {
    if (this.#isMounted) this.unmount();
    this.#tell("U");
  }

  /** Keeps the disk as it is in a file, for whoever wants to look at it. */
  keep(path: string): void {
    writeFileSync(path, readFileSync(join(this.#directory, "disk", "base")));
  }

  close(): void {
    if (this.#isMounted) this.unmount();
    spawnSync("losetup", ["--detach", this.#device]);
    for (const file of Object.values(this.#files)) closeSync(file);
    for (let tries = 0; spawnSync("umount", [join(this.#directory, "disk")]).status !== 0 && tries < TRIES_MAX; tries++)
      spawnSync("sleep", [WAIT_SECONDS]);
    this.#process.kill();
  }
}
