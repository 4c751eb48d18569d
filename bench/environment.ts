/**
 * What a figure depends on besides the code: the machine, the system, the disk and the commit. Every result carries it,
 * for a figure without it cannot be compared with anything.
 */

import { spawnSync } from "node:child_process";
import { readFileSync, realpathSync, statSync } from "node:fs";
import { arch, availableParallelism, cpus, release, totalmem } from "node:os";
import { join } from "node:path";

export interface BenchEnvironment {
  readonly cpu: string;
  readonly cpuCount: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  /** Of the directory that is written to. Figures from a tmpfs are never durable ones. */
  readonly filesystem: string;
  readonly device: string;
  readonly node: string;
  /** Null where the library is not installed and the raw system calls are used. */
  readonly liburing: string | null;
  /** With "+" when files differ from it; null outside of a git repository. */
  readonly commit: string | null;
}

/** One mounted filesystem: a line of /proc/self/mountinfo. */
export interface Mount {
  /** `major:minor` of the device. */
  readonly deviceNumber: string;
  readonly mountPoint: string;
  readonly filesystem: string;
  readonly source: string;
}

/** Looks at the machine, and at the disk below a directory. */
export function describeEnvironment(directory: string): BenchEnvironment {
  const mount = mountOf(realpathSync(directory), parseMounts(readFileSync("/proc/self/mountinfo", "utf8")));
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cpuCount: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${release()} ${arch()}`,
    filesystem: mount?.filesystem ?? "unknown",
    device: mount === null ? "unknown" : describeDevice(mount),
    node: process.versions.node,
    liburing: liburingVersion(),
    commit: currentCommit(),
  };
}

/** Reads /proc/self/mountinfo; proc(5) has its fields. Spaces in names are written as \040 there. */
export function parseMounts(mountinfo: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of mountinfo.split("\n")) {
    const [left = "", right = ""] = line.split(" - ");
    const [, , deviceNumber, , mountPoint] = left.split(" ");
    const [filesystem, source] = right.split(" ");
    if (deviceNumber === undefined || mountPoint === undefined || filesystem === undefined || source === undefined)
      continue;
    mounts.push({ deviceNumber, mountPoint: unescaped(mountPoint), filesystem, source: unescaped(source) });
  }
  return mounts;
}

/** The mount that a path lies on: the one with the longest mount point above it, and of several the last. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | null {
  let found: Mount | null = null;
  for (const mount of mounts) {
    const above =
      path === mount.mountPoint ||
      path.startsWith(mount.mountPoint.endsWith("/") ? mount.mountPoint : `${mount.mountPoint}/`);
    if (above && mount.mountPoint.length >= (found?.mountPoint.length ?? 0)) found = mount;
  }
  return found;
}

function unescaped(name: string): string {
  return name.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function describeDevice({ source, deviceNumber }: Mount): string {
  const queue = join("/sys/dev/block", deviceNumber, "queue");
  // A partition has no queue of its own; its disk, one level up, has.
  const read = (name: string): string | null =>
    readTrimmed(join(queue, name)) ?? readTrimmed(join(queue, "../..", "queue", name));
  const facts = [source];
  const model = readTrimmed(join("/sys/dev/block", deviceNumber, "device/model"));
  if (model !== null) facts.push(model);
  const rotational = read("rotational");
  if (rotational !== null) facts.push(rotational === "1" ? "rotational" : "solid-state");
  const writeCache = read("write_cache");
  if (writeCache !== null) facts.push(writeCache);
  const fua = read("fua");
  if (fua !== null) facts.push(fua === "1" ? "FUA" : "no FUA");
  return facts.join(", ");
}

function readTrimmed(file: string): string | null {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return null;
  }
}

// The library has told its version only since 2.4; the name behind the link tells it in all.
function liburingVersion(): string | null {
  const { stdout } = spawnSync("ldconfig", ["-p"], {
    encoding: "utf8",
    env: { ...process.env, PATH: `${process.env["PATH"]}:/sbin:/usr/sbin` },
  });
  const path = /liburing\.so\.2 .*=> (\S+)/.exec(stdout ?? "")?.[1];
  if (path === undefined || statSync(path, { throwIfNoEntry: false }) === undefined) return null;
  return /liburing\.so\.(\S+)$/.exec(realpathSync(path))?.[1] ?? "2";
}

function currentCommit(): string | null {
  const git = (...words: string[]): string | null => {
    const { status, stdout } = spawnSync("git", words, { encoding: "utf8", cwd: import.meta.dirname });
    return status === 0 ? stdout.trim() : null;
  };
  const commit = git("rev-parse", "--short=12", "HEAD");
  if (commit === null) return null;
  return git("status", "--porcelain", "--untracked-files=no") === "" ? commit : `${commit}+`;
}
